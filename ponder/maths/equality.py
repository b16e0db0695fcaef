"""Whether an answer equals the gold, as trees of the reader. Gold tree and answer tree in, True or False out.

Raises TooLarge where the limits do not allow to tell. The rules, most of them about what may be left out:
- A unit, a degree sign or a percent sign may be missing on one side; two units are converted or differ.
- "x = 5" answers a gold "5" and the other way round; a gold equation with anything but a name on its left side is
  compared as an equation and never equals a number.
- Several answers count in any order, a sequence with dots in its order, points and intervals by their brackets.
- Numbers are compared exactly. Only a gold written as a decimal with at least `ROUNDED_DIGITS` significant digits also
  accepts what rounds to it.
"""

import re
from fractions import Fraction

from ponder.maths.matrixvalue import multiplied_out
from ponder.maths.relations import assigned, quantity, same_equations, same_name, settled, shared_name
from ponder.maths.samevalue import is_constant, same_value
from ponder.maths.sets import is_surely_set, real_set, same_set
from ponder.maths.tree import (
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
    contains,
)
from ponder.maths.values import Undefined, approximate, exact

__all__ = ["ROUNDED_DIGITS", "equal", "nearly_equal"]

ROUNDED_DIGITS = 5
_PRINTED_DIGITS = 16
_MAX_COMPARISONS = 400
_LEAST_PLACES = 4
"""Decimals shorter than this are not taken for a rounded value."""
_POINT = ("(", ")")


def equal(gold: Tree, answer: Tree) -> bool:
    """Whether `answer` means what `gold` means."""
    if type(gold) is Number and gold.places is None:
        plain = answer.value if type(answer) is Measure and answer.larger is None else answer
        if type(plain) is Number:
            return gold.value == plain.value
    if gold == answer:
        return True
    points = _points(gold), _points(answer)
    gold, answer = multiplied_out(settled(gold)), multiplied_out(settled(answer))
    if gold == answer:
        return True
    if points[0] is not None and _are_points(answer):
        return _same_items(points[0], answer)
    if points[1] is not None and _are_points(gold):
        return _same_items(gold.items if isinstance(gold, Many) else (gold,), Many(points[1]))
    if is_surely_set(gold) or is_surely_set(answer):
        return _same_sets(gold, answer)
    if isinstance(gold, Relation) or isinstance(answer, Relation):
        return _same_relations(gold, answer)
    match gold, answer:
        case Many(items=items), Bracket("(" | "[", _, listed) if len(listed) == len(items) > 2:
            return all(equal(g, a) for g, a in zip(items, listed, strict=True))
        case (Many(items=items), _) | (Bracket("\\{", "\\}", items), _):
            return _same_items(items, answer)
        case Bracket("cases", _, rows), Bracket("cases", _, others):
            return _same_items(rows, Many(others))
        case Number() | Apply(), Many(
            (Number(whole, None), Apply("/", (Number(top, None), Number(bottom, None)))), "and"
        ):
            # "3 and 1/2"
            return 0 < top < bottom and equal(gold, Number(whole + top / bottom))
        case _, Many():
            return False
        case _, Bracket("\\{", "\\}", (only,)):
            return equal(gold, only)
        case Bracket(), Bracket():
            return _same_brackets(gold, answer)
        case (Matrix(), _) | (_, Matrix()):
            return _same_matrices(gold, answer)
        case Ratio(), _:
            return _same_ratio(gold, answer)
        case _, Ratio((first, second), False):  # 3:1 is no 3
            return not _is_whole(gold) and equal(gold, Apply("/", (first, second)))
        case Based(digits, base), Based():
            return (digits, base) == (answer.digits, answer.base)
        case Based(digits), Number(value):
            return str(value) == digits
        case Number(), Ratio((hour, Number(minutes), *_), True) if minutes == 0:
            return gold == hour and hour != Number(Fraction(0))
        case (Text() | Union() | Based(), _) | (_, Text() | Union() | Based() | Bracket() | Ratio()):
            return False
        case Bracket(), _:
            return False
        case _:
            return _same_quantity(gold, answer)


def nearly_equal(gold: Tree, answer: Tree) -> bool:
    """Whether an evaluation may count an answer that equals the gold to six places, or as the last step of a chain that
    does not hold."""
    if isinstance(answer, Relation) and set(answer.signs) <= {"=", "~"} and len(answer.signs) > 1:
        exact_signs = answer.signs.index("~") if "~" in answer.signs else len(answer.signs)
        answer = answer.sides[exact_signs]
        named = assigned(settled(gold))
        gold = named[1] if named is not None else gold
    if equal(gold, answer):
        return True
    match gold, answer:
        case Bracket("(", ")", items), (Many(others) | Bracket("\\{", "\\}", others)) if len(items) == len(others):
            return all(equal(g, a) for g, a in zip(items, others, strict=True))
        case Number(), Ratio((first, second), False):
            return equal(gold, Apply("/", (first, second)))
        case Bracket(opening, closing, items), Bracket(other_opening, other_closing, others):
            same = (opening, closing) == (other_opening, other_closing) and len(items) == len(others)
            return same and all(nearly_equal(g, a) for g, a in zip(items, others, strict=True))
        case (Number() | Apply(), Number() | Apply()) if is_constant(gold) and is_constant(answer):
            if not (_is_decimal(gold) or _is_decimal(answer)):
                return False
            try:
                values = approximate(gold, 30), approximate(answer, 30)
            except Undefined:
                return False
            if values[0] is None or values[1] is None:
                return False
            try:
                return round(float(values[0]), 6) == round(float(values[1]), 6)
            except OverflowError:  # beyond what a float holds, so equal only where they are exactly
                return False
        case _:
            return False


def _is_decimal(tree: Tree) -> bool:
    return isinstance(tree, Number) and tree.places is not None and tree.places >= _LEAST_PLACES


def _same_relations(gold: Tree, answer: Tree) -> bool:
    named_gold = assigned(gold)
    named_answer = assigned(answer)
    if named_answer is not None and isinstance(gold, Many):
        pairs = _coordinates(*named_answer)
        return _same_items(gold.items, named_answer[1] if pairs is None else Many(pairs))
    if named_gold is not None and named_answer is not None:
        if equal(named_gold[1], named_answer[1]):
            return same_name(named_gold[0], named_answer[0])
    elif named_gold is not None and not isinstance(answer, Relation):
        return equal(named_gold[1], answer)
    elif named_answer is not None and not isinstance(gold, Relation):
        names = named_answer[0].strip("()").split(",")
        return names == sorted(names) and equal(gold, named_answer[1])
    if isinstance(answer, Relation) and not isinstance(gold, Relation):
        value = quantity(answer)
        return value is not None and equal(gold, value)
    if isinstance(gold, Relation) and not isinstance(answer, Relation):
        value = quantity(gold)  # "A : B = 3 : 4", "NO / BO = 2"
        return value is not None and equal(value, answer)
    if not isinstance(gold, Relation) or not isinstance(answer, Relation):
        return False
    return same_equations(gold, answer)


def _coordinates(name: str, value: Tree) -> tuple[Tree, ...] | None:
    """ "(x, y) = (2, -1)" as x = 2, y = -1."""
    names = re.fullmatch(r"\((\w+(?:,\w+)+)\)", name)
    if names is None or not isinstance(value, Bracket) or (value.opening, value.closing) != _POINT:
        return None
    letters = names[1].split(",")
    if len(letters) != len(value.items):
        return None
    return tuple(Relation(("=",), (Symbol(n), v)) for n, v in zip(letters, value.items, strict=True))


def _same_sets(gold: Tree, answer: Tree) -> bool:
    first, second = real_set(_set_value(gold)), real_set(_set_value(answer))
    if first is not None and second is not None:
        return same_set(first, second)
    if isinstance(gold, Relation) and isinstance(answer, Relation):
        if gold.signs == answer.signs == ("in",):
            return gold.sides[0] == answer.sides[0] and equal(gold.sides[1], answer.sides[1])
        return same_equations(gold, answer)
    for one, other in ((gold, answer), (answer, gold)):
        match one:
            case Relation(("in",), (Symbol(), inside)):
                return equal(inside, other)
    if isinstance(gold, Many) and isinstance(answer, Many):
        return _same_items(gold.items, answer)
    return isinstance(gold, Union) and isinstance(answer, Union) and _same_items(gold.items, Many(answer.items))


def _set_value(tree: Tree) -> Tree:
    named = assigned(tree)
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
    values = [_named_value(gold) for gold in golds]
    if all(values) and not any(isinstance(a, Relation) for a in answers):  # "a = 4, b = 5" by its values, in order
        return all(v is not None and equal(v, a) for v, a in zip(values, answers, strict=True))
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


def _named_value(tree: Tree) -> Tree | None:
    """What a name, or a figure such as AB, is said to be."""
    tree = settled(tree)
    named = assigned(tree)
    return named[1] if named is not None else quantity(tree) if isinstance(tree, Relation) else None


def _distinct(items: tuple[Tree, ...]) -> tuple[Tree, ...]:
    kept: list[Tree] = []
    for item in shared_name(items) if items else ():
        if item not in kept:
            kept.append(item)
    return tuple(kept)


def _points(tree: Tree) -> tuple[Tree, ...] | None:
    """The points of "x = 1, y = 2; x = 3, y = 4", by the order of the names."""
    if not isinstance(tree, Many):
        return None
    pairs = [p for item in tree.items if (p := assigned(settled(item))) is not None]
    names = sorted({name for name, _ in pairs})
    if len(pairs) < len(tree.items) or len(names) < 2 or len(pairs) % len(names) or any(len(n) > 1 for n in names):
        return None
    groups = [dict(pairs[i : i + len(names)]) for i in range(0, len(pairs), len(names))]
    if any(len(group) < len(names) for group in groups):
        return None
    return tuple(Bracket("(", ")", tuple(group[name] for name in names)) for group in groups)


def _are_points(tree: Tree) -> bool:
    items = tree.items if isinstance(tree, Many) else (tree,)
    return all(isinstance(i, Bracket) and (i.opening, i.closing) == _POINT for i in items)


def _is_whole(tree: Tree) -> bool:
    return isinstance(tree, Number) and tree.value.denominator == 1


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
        case Matrix(rows):
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
    if isinstance(answer, Measure) and answer.unit.dimension == "share" and contains(gold, "%"):
        return same_value(gold, Apply("*", (answer.value, Number(answer.unit.factor))))
    if isinstance(answer, Measure) and answer.unit.dimension == "angle" and contains(gold, "deg"):
        return same_value(gold, answer.value)
    if isinstance(gold, Measure) and isinstance(answer, Measure):
        if gold.unit.dimension != answer.unit.dimension:
            return False
        factor = Number(answer.unit.factor / gold.unit.factor)
        return _same_term(gold.value, answer.value if factor.value == 1 else Apply("*", (answer.value, factor)))
    if isinstance(gold, Measure):
        if contains(answer, "%"):
            return False
        if gold.larger is not None and _same_term(Apply("/", (gold.value, Number(gold.larger))), answer):
            return True
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
            value = approximate(answer, 60)
    except Undefined:
        return False
    # What a program printed has up to 17 digits, and the last may be off by some.
    printed = 10 if digits >= _PRINTED_DIGITS else 1
    return value is not None and abs(value - gold.value) <= Fraction(printed, 2 * 10**gold.places)
