"""What numbers in the answer column of multiple choice mean: an option's own text, or its place counted from 0 or 1.

One row seldom tells: 2 beside the options 2, 3, 4 is A, B or C. All rows of a source together mostly do: where one is 0
nobody counts from 1, where one is the number of options nobody counts from 0.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from ponder.recipe.problems import ChoiceNumbers
from ponder.task.fault import RowFault

__all__ = ["Readings", "is_number", "letter_of", "readings", "settled"]

Readings = Mapping[ChoiceNumbers, int]
"""The option that an answer picks, by what its column may mean; readings under which it is none are left out."""
_MOST = 10


def is_number(answer: str) -> bool:
    """Whether an answer may be the place of an option."""
    return re.fullmatch(r"\d{1,2}", answer) is not None


def readings(answer: str, options: Sequence[str]) -> Readings:
    """What `answer`, which is no label of an option, may pick; `options` are empty where they stand in the question."""
    found: dict[ChoiceNumbers, int] = {}
    if options.count(answer) == 1:
        found["text"] = options.index(answer)
    if is_number(answer):
        places: Mapping[ChoiceNumbers, int] = {"from_zero": int(answer), "from_one": int(answer) - 1}
        found |= {name: place for name, place in places.items() if 0 <= place < (len(options) or _MOST)}
    return found


def settled(rows: Iterable[Readings]) -> ChoiceNumbers | None:
    """The one meaning under which every row's answer picks an option; of several that always pick the same one the
    first, and None where they differ or there is none."""
    told = [one for one in rows if one]
    if not told:
        return None
    holding = [name for name in told[0] if all(name in one for one in told)]
    same = all(len({one[name] for name in holding}) == 1 for one in told)
    return holding[0] if holding and same else None


def letter_of(answer: str, found: Readings, numbers: ChoiceNumbers | None, letters: str) -> str:
    """The letter of the option that a number picks; RowFault where that is in doubt, or where it is none."""
    if numbers is not None:
        if numbers not in found:
            what = {"text": "the text of no option", "from_zero": "no place counted from 0"}
            raise RowFault(f"answer {answer} is {what.get(numbers, 'no place counted from 1')} among its options")
        return letters[found[numbers]]
    if "text" in found and len({*found.values()}) == 1:
        return letters[found["text"]]
    words = {"text": "the option of that text", "from_zero": "counted from 0", "from_one": "counted from 1"}
    meanings = " or ".join(f"{letters[place]} ({words[name]})" for name, place in found.items())
    raise RowFault(
        f"answer {answer} is {meanings or 'none of its options'}, and the other rows do not tell which: set "
        "`choice_numbers` of the source to text, from_zero or from_one"
    )
