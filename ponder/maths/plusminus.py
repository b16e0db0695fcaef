"""Plus-minus signs: a tree that has them is several answers. Tree in, the answers it stands for out.

The signs of one answer go together: "\\pm 1 \\mp 2" is 1 - 2 and -1 + 2.
"""

from ponder.maths.tree import Apply, Bracket, Many, Matrix, Measure, Number, Relation, Tree, contains

__all__ = ["signed"]


def signed(tree: Tree) -> list[Tree]:
    """A tree with plus-minus signs as the answers it stands for; the signs of one answer go together."""
    if not contains(tree, "±", "∓"):
        return [tree]
    if isinstance(tree, Bracket):
        items = tuple(part for item in tree.items for part in signed(item))
        return [Bracket(tree.opening, tree.closing, items)] if tree.opening == "\\{" else _both(tree)
    return _both(tree)


def _both(tree: Tree) -> list[Tree]:
    return [_with_sign(tree, upper=True), _with_sign(tree, upper=False)]


def _with_sign(tree: Tree, *, upper: bool) -> Tree:
    def part(node: Tree) -> Tree:
        return _with_sign(node, upper=upper)

    match tree:
        case Apply("±" | "∓" as name, (Number(value), alone)) if value == 0:
            return part(alone) if (name == "±") == upper else Apply("neg", (part(alone),))
        case Apply(name, args):
            name = {"±": "+" if upper else "-", "∓": "-" if upper else "+"}.get(name, name)
            return Apply(name, tuple(part(a) for a in args))
        case Bracket(opening, closing, items):
            return Bracket(opening, closing, tuple(part(i) for i in items))
        case Relation(signs, sides):
            return Relation(signs, tuple(part(s) for s in sides))
        case Measure(value, unit):
            return Measure(part(value), unit)
        case Many(items, word):
            return Many(tuple(part(i) for i in items), word)
        case Matrix(rows):
            return Matrix(tuple(tuple(part(i) for i in row) for row in rows))
        case _:
            return tree
