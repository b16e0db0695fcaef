"""Relations: what an equation or a chain of them says as an answer, and whether two of them say the same.

Tree in, tree out (`settled`), or True and False. "x = 2 + 3 = 5" says x = 5; "x = 1 or x = -2" gives two values of one
name; "m + n = 113" gives the value of a quantity. Anything else is compared as an equation: equal when the difference
of its sides is a constant multiple of the other's, for inequalities with the sign's direction.
"""

from fractions import Fraction

from ponder.maths.samevalue import is_constant, ratio, same_value
from ponder.maths.tree import (
    Apply,
    Bracket,
    Many,
    Measure,
    Number,
    Ratio,
    Relation,
    Symbol,
    TooLarge,
    Tree,
    children,
    free_symbols,
)
from ponder.maths.values import Undefined, exact

__all__ = ["assigned", "quantity", "same_equations", "same_name", "settled", "shared_name"]

_MAX_ITEMS = 100
_OPERATIONS = ("+", "-", "neg", "*", "^")
"""A term of these that is 0 makes an equation: "a^2 + b = 0" gives the value of nothing."""


def settled(tree: Tree) -> Tree:
    """A tree without what does not change it: chains that only compute, approximations, repeated answers."""
    if isinstance(tree, Relation):
        return _settled_relation(tree)
    if isinstance(tree, Many):
        kept: list[Tree] = []
        items = shared_name(tree.items)
        if len(items) > _MAX_ITEMS:
            raise TooLarge(f"more than {_MAX_ITEMS} answers")
        for item in items if len(items) <= 12 else ():
            if not any(_plainly_same(item, k) for k in kept):
                kept.append(settled(item))
        kept = kept or list(items)
        if len(kept) > 1 and _is_solved(kept[:-1], kept[-1]):
            return kept[-1]
        return kept[0] if len(kept) == 1 else Many(tuple(kept), tree.word)
    return tree


def _is_solved(steps: list[Tree], solution: Tree) -> bool:
    """Whether equations in one name are followed by its value: "3n = 84, n = 28"."""
    named = assigned(solution)
    value = exact(named[1], {}) if named is not None and is_constant(named[1]) and _is_term(named[1]) else None
    if named is None or value is None:
        return False
    at = {named[0]: value}
    for step in steps:
        if not isinstance(step, Relation) or step.signs != ("=",) or free_symbols(step) != {named[0]}:
            return False
        if assigned(step) is not None or not all(_is_term(side) for side in step.sides):
            return False
        try:
            sides = [exact(side, at) for side in step.sides]
        except Undefined:
            return False
        if sides[0] is None or sides[0] != sides[1]:
            return False
    return True


def _plainly_same(a: Tree, b: Tree) -> bool:
    term = (Number, Symbol, Apply)
    if a == b:
        return True
    if isinstance(a, Measure) and isinstance(b, Measure) and a.unit.dimension == b.unit.dimension:
        return is_constant(a) and is_constant(b) and same_value(_in_base(a), _in_base(b))
    return isinstance(a, term) and isinstance(b, term) and is_constant(a) and is_constant(b) and same_value(a, b)


def _in_base(measure: Measure) -> Tree:
    return Apply("*", (measure.value, Number(measure.unit.factor)))


def shared_name(items: tuple[Tree, ...]) -> tuple[Tree, ...]:
    """The values of "x = 1 or x = -2", "x = 1, -2", "x_1 = 1, x_2 = -2": several values of one name."""
    pairs = [assigned(settled(i)) if isinstance(i, Relation) else None for i in items]
    if pairs[0] is None:
        return items
    name = pairs[0][0].split("_")[0]
    values: list[Tree] = []
    for item, pair in zip(items, pairs, strict=True):
        if pair is not None and pair[0].split("_")[0] == name:
            values.append(pair[1])
        elif pair is None and not isinstance(item, Relation):
            values.append(item)
        else:
            return items
    return tuple(values)


def _settled_relation(tree: Relation) -> Tree:
    signs, sides = list(tree.signs), list(tree.sides)
    if "->" in signs and all(_closed(side) for side in sides):  # 40 -> 80 -> 160
        start = len(signs) - signs[::-1].index("->")
        signs, sides = signs[start:], sides[start:]
        if not signs:
            return sides[0]
    if "->" in signs:  # 2x = 14 -> x = 7
        start = len(signs) - signs[::-1].index("->")
        name = sides[start]
        if isinstance(name, Symbol) and name.name in set().union(*(free_symbols(side) for side in sides[:start])):
            signs, sides = signs[start:], sides[start:]
    if "~" in signs:
        # "x = 2 sqrt 3 ~ 3.46" says 2 sqrt 3; "x ~ 3.46" says 3.46.
        cut = signs.index("~")
        if cut == 0 and isinstance(sides[0], Symbol) and not is_constant(sides[0]):
            signs[0] = "="
            return _settled_relation(Relation(tuple(signs), tuple(sides)))
        signs, sides = signs[:cut], sides[: cut + 1]
        if not signs:
            return sides[0]
    if set(signs) == {"="}:
        start = 1 if not _closed(sides[0]) else 0
        values = sides[start:]
        if len(values) > 1 and all(_closed(v) for v in values):
            if not all(_plainly_same(values[-1], v) for v in values[:-1]):
                return Relation(tuple(signs), tuple(sides))
            return values[-1] if start == 0 else Relation(("=",), (sides[0], values[-1]))
        if start == 1 and len(values) > 1 and isinstance(sides[0], Symbol):
            same = all(isinstance(v, Number | Symbol | Apply) for v in values) and all(
                same_value(values[-1], v) for v in values[:-1]
            )
            return Relation(("=",), (sides[0], values[-1])) if same else tree
        if start == 0 and len(values) == 2 and isinstance(values[1], Symbol):
            return Relation(("=",), (values[1], values[0]))
    return Relation(tuple(signs), tuple(sides))


def _closed(tree: Tree) -> bool:
    return not free_symbols(tree)


def assigned(tree: Tree) -> tuple[str, Tree] | None:
    """The name and the value of "x = 5"."""
    match tree:
        case Relation(("=",), (Symbol(name), value)) if not is_constant(Symbol(name)):
            return name, value
        case _:
            return None


def quantity(tree: Relation) -> Tree | None:
    """The value of "m + n = 113" or "sin x = 1/2": a quantity of symbols alone, on the left of a value without any."""
    match tree:
        case Relation(("=",), (left, right)) if _closed(right) and free_symbols(left) and _symbols_only(left):
            zero = right == Number(Fraction(0)) and isinstance(left, Apply) and left.name in _OPERATIONS
            return None if zero or _is_equation_of_unknowns(left) else right
        case _:
            return None


def _is_equation_of_unknowns(left: Tree) -> bool:
    """Whether "x^2 + y^2 = 25" rather than a quantity such as "m + n" or "AB" stands there, which is no value."""
    match left:
        case Apply("+", args):
            return any(_is_equation_of_unknowns(arg) for arg in args)
        case Apply("neg" | "-" | "*" | "/" | "^" | "sqrt"):
            return bool({"x", "y", "z"} & set(free_symbols(left))) or left.name == "neg"
        case _:
            return False


def _symbols_only(tree: Tree, exponent: bool = False) -> bool:
    if isinstance(tree, Number):
        return exponent
    if isinstance(tree, Apply):
        args = tree.args
        return _symbols_only(args[0]) and all(_symbols_only(a, tree.name == "^") for a in args[1:])
    inside = isinstance(tree, Bracket | Ratio)
    return all(_symbols_only(c) for c in children(tree)) if inside else isinstance(tree, Symbol)


def same_name(a: str, b: str) -> bool:
    functions = [name == "y" or "(" in name for name in (a, b)]
    return a == b or all(functions) or len(a) > 4 or len(b) > 4


def same_equations(gold: Relation, answer: Relation) -> bool:
    if len(gold.signs) != len(answer.signs):
        return False
    if len(gold.signs) > 1:
        return (
            gold.signs == answer.signs
            and all(
                same_value(a, b) for a, b in zip(gold.sides, answer.sides, strict=True) if _is_term(a) and _is_term(b)
            )
            and all(_is_term(s) for s in (*gold.sides, *answer.sides))
        )
    if not all(_is_term(s) for s in (*gold.sides, *answer.sides)):
        return False
    sign_gold, sign_answer = gold.signs[0], answer.signs[0]
    difference_gold, difference_answer = Apply("-", gold.sides), Apply("-", answer.sides)
    if not free_symbols(difference_gold) or free_symbols(difference_gold) != free_symbols(difference_answer):
        return False
    direction = ratio(difference_answer, difference_gold)
    if direction is None:
        return False
    if sign_gold in ("=", "!="):
        return sign_gold == sign_answer
    flipped = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
    return sign_answer == (sign_gold if direction > 0 else flipped.get(sign_gold))


def _is_term(tree: Tree) -> bool:
    return isinstance(tree, Number | Symbol | Apply)
