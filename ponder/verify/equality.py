"""Whether an answer equals the gold, as trees of the reader. Gold tree and answer tree in, True or False out.

Raises TooLarge where the limits do not allow to tell. The rules, most of them about what may be left out:
- A unit, a degree sign or a percent sign may be missing on one side; two units are converted or differ.
- "x = 5" answers a gold "5" and the other way round; a gold equation with anything but a name on its left side is
  compared as an equation and never equals a number.
- Several answers count in any order, a sequence with dots in its order, points and intervals by their brackets.
- Numbers are compared exactly. Only a gold written as a decimal with at least `ROUNDED_DIGITS` significant digits also
  accepts what rounds to it.
"""

from fractions import Fraction

from ponder.verify.samevalue import is_constant, ratio, same_value
from ponder.verify.sets import is_surely_set, real_set, same_set
from ponder.verify.tree import (
    Apply,
    Based,
    Bracket,
    Many,
    Matrix,
    Measure,
    Number,
    Ratio,
    Relation,
    Symbol,
    Text,
    TooLarge,
    Tree,
    Union,
    children,
    contains,
    free_symbols,
)
from ponder.verify.values import Undefined, exact, numeric

__all__ = ["ROUNDED_DIGITS", "equal"]

ROUNDED_DIGITS = 5
_MAX_ITEMS = 100
_MAX_COMPARISONS = 400
_POINT = ("(", ")")


def equal(gold: Tree, answer: Tree) -> bool:
    """Whether `answer` means what `gold` means."""
    if gold == answer:
        return True
    gold, answer = _settled(gold), _settled(answer)
    if gold == answer:
        return True
    if is_surely_set(gold) or is_surely_set(answer):
        return _same_sets(gold, answer)
    if isinstance(gold, Relation) or isinstance(answer, Relation):
        return _same_relations(gold, answer)
    match gold, answer:
        case Many(items=items), Bracket("(" | "[", _, listed) if len(listed) == len(items) > 2:
            return all(equal(g, a) for g, a in zip(items, listed, strict=True))
        case (Many(items=items), _) | (Bracket("\\{", "\\}", items), _):
            return _same_items(items, answer)
        case _, Many(items=items):
            return isinstance(gold, Bracket) and _names_point(gold, items)
        case _, Bracket("\\{", "\\}", (only,)):
            return equal(gold, only)
        case Bracket(), Bracket():
            return _same_brackets(gold, answer)
        case (Matrix(), _) | (_, Matrix()):
            return _same_matrices(gold, answer)
        case Ratio(), _:
            return _same_ratio(gold, answer)
        case _, Ratio(items, False) if len(items) == 2:
            return equal(gold, Apply("/", (items[0], items[1])))
        case Based(digits, base), Based():
            return (digits, base) == (answer.digits, answer.base)
        case Based(digits), Number(value):
            return str(value) == digits
        case Number(), Ratio((hour, Number(minutes), *_), True) if minutes == 0:
            return gold == hour
        case (Text() | Union() | Based(), _) | (_, Text() | Union() | Based() | Bracket() | Ratio()):
            return False
        case Bracket(), _:
            return False
        case _:
            return _same_quantity(gold, answer)


def _settled(tree: Tree) -> Tree:
    """A tree without what does not change it: chains that only compute, approximations, repeated answers."""
    if isinstance(tree, Relation):
        return _settled_relation(tree)
    if isinstance(tree, Many):
        kept: list[Tree] = []
        items = _shared_name(tree.items)
        if len(items) > _MAX_ITEMS:
            raise TooLarge(f"more than {_MAX_ITEMS} answers")
        for item in items if len(items) <= 12 else ():
            if not any(_plainly_same(item, k) for k in kept):
                kept.append(_settled(item))
        kept = kept or list(items)
        return kept[0] if len(kept) == 1 else Many(tuple(kept), tree.word)
    return tree


def _plainly_same(a: Tree, b: Tree) -> bool:
    term = (Number, Symbol, Apply)
    if a == b:
        return True
    return isinstance(a, term) and isinstance(b, term) and is_constant(a) and is_constant(b) and same_value(a, b)


def _shared_name(items: tuple[Tree, ...]) -> tuple[Tree, ...]:
    """The values of "x = 1 or x = -2", "x = 1, -2", "x_1 = 1, x_2 = -2": several values of one name."""
    pairs = [_assigned(_settled(i)) if isinstance(i, Relation) else None for i in items]
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
            if not all(equal(values[-1], v) for v in values[:-1]):
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


def _assigned(tree: Tree) -> tuple[str, Tree] | None:
    """The name and the value of "x = 5"."""
    match tree:
        case Relation(("=",), (Symbol(name), value)) if not is_constant(Symbol(name)):
            return name, value
        case _:
            return None


def _quantity(tree: Relation) -> Tree | None:
    """The value of "m + n = 113" or "sin x = 1/2": a quantity of symbols alone, on the left of a value without any."""
    match tree:
        case Relation(("=",), (left, right)) if _closed(right) and free_symbols(left) and _symbols_only(left):
            return right
        case _:
            return None


def _symbols_only(tree: Tree, exponent: bool = False) -> bool:
    if isinstance(tree, Number):
        return exponent
    if isinstance(tree, Apply):
        args = tree.args
        return _symbols_only(args[0]) and all(_symbols_only(a, tree.name == "^") for a in args[1:])
    return all(_symbols_only(c) for c in children(tree)) if isinstance(tree, Bracket) else isinstance(tree, Symbol)


def _same_relations(gold: Tree, answer: Tree) -> bool:
    named_gold = _assigned(gold)
    named_answer = _assigned(answer)
    if named_gold is not None and named_answer is not None:
        if equal(named_gold[1], named_answer[1]):
            return _same_name(named_gold[0], named_answer[0])
    elif named_gold is not None and not isinstance(answer, Relation):
        return equal(named_gold[1], answer)
    elif named_answer is not None and not isinstance(gold, Relation):
        return equal(gold, named_answer[1])
    if isinstance(answer, Relation) and not isinstance(gold, Relation):
        value = _quantity(answer)
        return value is not None and equal(gold, value)
    if not isinstance(gold, Relation) or not isinstance(answer, Relation):
        return False
    return _same_equations(gold, answer)


def _same_name(a: str, b: str) -> bool:
    functions = [name == "y" or "(" in name for name in (a, b)]
    return a == b or all(functions) or len(a) > 4 or len(b) > 4


def _same_equations(gold: Relation, answer: Relation) -> bool:
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


def _same_sets(gold: Tree, answer: Tree) -> bool:
    first, second = real_set(_set_value(gold)), real_set(_set_value(answer))
    if first is not None and second is not None:
        return same_set(first, second)
    if isinstance(gold, Relation) and isinstance(answer, Relation):
        if gold.signs == answer.signs == ("in",):
            return gold.sides[0] == answer.sides[0] and equal(gold.sides[1], answer.sides[1])
        return _same_equations(gold, answer)
    for one, other in ((gold, answer), (answer, gold)):
        match one:
            case Relation(("in",), (Symbol(), inside)):
                return equal(inside, other)
    if isinstance(gold, Many) and isinstance(answer, Many):
        return _same_items(gold.items, answer)
    return isinstance(gold, Union) and isinstance(answer, Union) and _same_items(gold.items, Many(answer.items))


def _set_value(tree: Tree) -> Tree:
    named = _assigned(tree)
    return named[1] if named is not None and is_surely_set(named[1]) else tree


def _same_items(golds: tuple[Tree, ...], answer: Tree) -> bool:
    """Several answers in any order, none missing and none too many; in their order where dots stand among them."""
    match answer:
        case Many(items=items) | Bracket("\\{", "\\}", items):
            answers = items
        case _:
            answers = (answer,)
    golds, answers = _distinct(golds), _distinct(answers)
    if len(golds) != len(answers):
        return False
    if any(g == Symbol("...") for g in golds):
        return all(equal(g, a) for g, a in zip(golds, answers, strict=True))
    comparisons = 0
    left = list(answers)
    for gold in golds:
        for i, candidate in enumerate(left):
            comparisons += gold != candidate
            if comparisons > _MAX_COMPARISONS:
                raise TooLarge("too many answers to be compared in any order")
            if equal(gold, candidate):
                del left[i]
                break
        else:
            return False
    return True


def _distinct(items: tuple[Tree, ...]) -> tuple[Tree, ...]:
    kept: list[Tree] = []
    for item in _shared_name(items) if items else ():
        if item not in kept:
            kept.append(item)
    return tuple(kept)


def _names_point(gold: Bracket, items: tuple[Tree, ...]) -> bool:
    """Whether "x = 1, y = 2" gives the coordinates of the point (1, 2)."""
    pairs = [_assigned(i) for i in items]
    if (gold.opening, gold.closing) != _POINT or len(items) != len(gold.items) or any(p is None for p in pairs):
        return False
    names = [p[0] for p in pairs if p is not None]
    values = [p[1] for p in pairs if p is not None]
    return names == sorted(set(names)) and all(equal(g, v) for g, v in zip(gold.items, values, strict=True))


def _same_brackets(gold: Bracket, answer: Bracket) -> bool:
    if len(gold.items) != len(answer.items):
        return False
    kinds = {(gold.opening, gold.closing), (answer.opening, answer.closing)}
    if len(kinds) > 1:
        # A list of three or more may stand in any brackets but braces; with two items, brackets tell intervals apart.
        vector = kinds == {_POINT, ("⟨", "⟩")}
        if not vector and (("\\{", "\\}") in kinds or len(gold.items) == 2):
            return False
    return all(equal(g, a) for g, a in zip(gold.items, answer.items, strict=True))


def _same_matrices(gold: Tree, answer: Tree) -> bool:
    rows_gold, rows_answer = _rows(gold), _rows(answer)
    if rows_gold is None or rows_answer is None:
        return False
    shapes = {(len(rows_gold), len(rows_gold[0])), (len(rows_answer), len(rows_answer[0]))}
    if len(shapes) > 1:
        # A point may stand for a column or a row; a column is not a row.
        points = isinstance(gold, Bracket) or isinstance(answer, Bracket)
        if not points or not all(1 in shape for shape in shapes):
            return False
    flat_gold = [x for row in rows_gold for x in row]
    flat_answer = [x for row in rows_answer for x in row]
    return len(flat_gold) == len(flat_answer) and all(equal(g, a) for g, a in zip(flat_gold, flat_answer, strict=True))


def _rows(tree: Tree) -> tuple[tuple[Tree, ...], ...] | None:
    match tree:
        case Matrix(rows, False):
            return rows
        case Bracket("[", "]", items) if all(isinstance(i, Bracket) and i.opening == "[" for i in items):
            rows = tuple(i.items for i in items if isinstance(i, Bracket))
            return rows if len({len(r) for r in rows}) == 1 else None
        case Bracket("(" | "⟨", ")" | "⟩", items) if len(items) > 1:
            return tuple((i,) for i in items)
        case _:
            return None


def _same_ratio(gold: Ratio, answer: Tree) -> bool:
    if not isinstance(answer, Ratio):
        return not gold.clock and len(gold.items) == 2 and equal(Apply("/", (gold.items[0], gold.items[1])), answer)
    if gold.clock or answer.clock:
        return gold.items == answer.items
    if len(gold.items) != len(answer.items) or any(i == Symbol("...") for i in gold.items):
        return len(gold.items) == len(answer.items) and all(
            same_value(g, a) for g, a in zip(gold.items, answer.items, strict=True)
        )
    first_gold, first_answer = gold.items[0], answer.items[0]
    return all(
        same_value(Apply("*", (g, first_answer)), Apply("*", (a, first_gold)))
        for g, a in zip(gold.items[1:], answer.items[1:], strict=True)
    )


def _same_quantity(gold: Tree, answer: Tree) -> bool:
    """Terms and measures."""
    if isinstance(gold, Measure) and isinstance(answer, Measure):
        if gold.unit.dimension != answer.unit.dimension:
            return False
        factor = Number(answer.unit.factor / gold.unit.factor)
        return _same_term(gold.value, answer.value if factor.value == 1 else Apply("*", (answer.value, factor)))
    if isinstance(gold, Measure):
        gold = gold.value
    if isinstance(answer, Measure):
        if answer.larger is not None and _same_term(gold, Apply("/", (answer.value, Number(answer.larger)))):
            return True
        answer = answer.value
    return _same_term(gold, answer)


def _same_term(gold: Tree, answer: Tree) -> bool:
    if contains(gold, "inf") or contains(answer, "inf"):
        return gold == answer
    if _rounds_to(gold, answer):
        return True
    match gold, answer:
        case Apply("deg", (plain,)), _ if not contains(answer, "deg", "pi"):
            return same_value(plain, answer)
        case _, Apply("deg", (plain,)) if not contains(gold, "deg", "pi"):
            return same_value(gold, plain)
        case Apply("%", (plain,)), _ if not contains(answer, "%"):
            return same_value(plain, answer) or same_value(gold, answer)
        case _, Apply("%", (plain,)) if not contains(gold, "%"):
            value = exact(gold, {}) if is_constant(gold) else None
            # "0.5" is not "0.5%", but a gold of 50 was asked for in percent.
            counts_percent = value is None or value == 0 or abs(value) >= 1
            return same_value(gold, answer) or (counts_percent and same_value(gold, plain))
    return same_value(gold, answer)


def _rounds_to(gold: Tree, answer: Tree) -> bool:
    if not isinstance(gold, Number) or gold.places is None or not is_constant(answer):
        return False
    digits = len(str(abs(gold.value.numerator) * 10**gold.places // gold.value.denominator)) if gold.places < 50 else 0
    if digits < ROUNDED_DIGITS:
        return False
    try:
        value = exact(answer, {})
        if value is None:
            approximate = numeric(answer, {}, 60, contains(answer, "i"))[0]
            if approximate.imag:
                return False
            value = Fraction(str(approximate.real))
    except Undefined:
        return False
    return abs(value - gold.value) <= Fraction(1, 2 * 10**gold.places)
