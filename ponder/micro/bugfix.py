"""Small packages with one fault each: two files, what a function gives, and what it should give.

The embedded models have never read a program. What is asked for is a patch: the line as it is and as it should be. The
fault is an operator, the order of the operands, one of them taken twice, or one too many; the tests of the package call
every function, so that a patch must mend one and leave the others.
"""

from dataclasses import dataclass, replace
from random import Random

from ponder.micro.question import LARGEST, Question, Slip, Working
from ponder.records import Language, RepositoryGold

__all__ = ["make"]

_FILES = ("price", "stock", "score", "time")
_NAMES = ("total", "left", "both", "more", "gap", "area", "sum", "rest")
_ASKED: dict[Language, str] = {
    "en": "{call} gives {found}, but {wanted} is right. Mend the line.",
    "zh": "{call}得{found}，应得{wanted}。请改正这一行。",
}
_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Body:
    """What a function returns: `left operator right`, and `more` behind it."""

    left: str
    operator: str
    right: str
    more: str = ""

    @property
    def line(self) -> str:
        return f"    return {self.left} {self.operator} {self.right}{self.more}"

    def value(self, a: int, b: int) -> int:
        left, right = ({"a": a, "b": b}[name] for name in (self.left, self.right))
        result = {"+": left + right, "-": left - right, "*": left * right}[self.operator]
        return result + (1 if self.more else 0)

    def sum(self, a: int, b: int) -> str:
        """As it is written on paper."""
        left, right = ({"a": a, "b": b}[name] for name in (self.left, self.right))
        return f"{left}{self.operator}{right}{self.more.replace(' ', '')}={self.value(a, b)}"


def make(rng: Random, language: Language) -> Question:
    """Difficulty is the number of functions minus one (1 or 2)."""
    difficulty = rng.randint(1, 2)
    while True:
        wanted = [_Body(left="a", operator=op, right="b") for op in rng.sample("+-*", difficulty + 1)]
        files, names = rng.sample(_FILES, 2), rng.sample(_NAMES, difficulty + 1)
        at = rng.randrange(len(wanted))
        faulty, other = (_fault(rng, wanted[at], wanted) for _ in range(2))
        a, b = rng.randint(2, 9), rng.randint(2, 9)
        values = [body.value(a, b) for body in (faulty, wanted[at], other)]
        if len(set(values)) == 3 and all(0 <= value <= LARGEST for value in values):
            break
    places = [files[number % 2] for number in range(len(wanted))]
    path = f"shop/{places[at]}.py"
    answer = _patch(path, faulty, wanted[at])
    facts = {"call": f"{names[at]}({a}, {b})", "found": values[0], "wanted": values[1]}
    sources = _sources(places, names, [faulty if number == at else body for number, body in enumerate(wanted)])
    shown = "".join(f"\n\n{name}\n{text.rstrip()}" for name, text in sources.items())
    lines = (faulty.sum(a, b), wanted[at].sum(a, b))

    def work(rng: Random) -> Working:
        slip = Slip(at=1, lines=(lines[0], other.sum(a, b)), answer=_patch(path, faulty, other), check=(lines[1],))
        return Working(lines=lines, answer=answer, check=(lines[1],), slip=slip)

    def guess(rng: Random) -> str:
        return _careless(rng, path, faulty, wanted[at])

    return Question(
        task="bugfix",
        key=f"{facts} {shown}",
        language=language,
        difficulty=difficulty,
        prompt=_ASKED[language].format(**facts) + shown,
        gold=RepositoryGold(
            files={"shop/__init__.py": "", **sources},
            tests={"tests/test_shop.py": _tests(rng, places, names, wanted, (a, b))},
            seconds=_SECONDS,
            answer=answer,
        ),
        answer=answer,
        work=work,
        guess=guess,
    )


def _fault(rng: Random, body: _Body, taken: list[_Body]) -> _Body:
    """The body with one fault, unlike every other of the package."""
    others = [replace(body, operator=operator) for operator in "+-*"]
    others += [replace(body, right="a"), replace(body, left="b"), replace(body, more=" + 1")]
    if body.operator == "-":
        others.append(replace(body, left="b", right="a"))
    return rng.choice([one for one in others if one not in taken])


def _sources(places: list[str], names: list[str], bodies: list[_Body]) -> dict[str, str]:
    found: dict[str, str] = {}
    for place, name, body in zip(places, names, bodies, strict=True):
        path = f"shop/{place}.py"
        found[path] = found.get(path, "") + f"def {name}(a, b):\n{body.line}\n\n"
    return found


def _tests(rng: Random, places: list[str], names: list[str], bodies: list[_Body], asked: tuple[int, int]) -> str:
    imports = [f"from shop.{place} import {name}\n" for place, name in zip(places, names, strict=True)]
    tests = []
    for name, body in zip(names, bodies, strict=True):
        cases = [asked, *((rng.randint(0, 30), rng.randint(0, 30)) for _ in range(3))]
        checks = "".join(f"    assert {name}({a}, {b}) == {body.value(a, b)}\n" for a, b in cases)
        tests.append(f"def test_{name}():\n{checks}")
    return "".join(imports) + "\n" + "\n".join(tests)


def _patch(path: str, old: _Body, new: _Body) -> str:
    return f"{path}\n<<<<<<< SEARCH\n{old.line}\n=======\n{new.line}\n>>>>>>> REPLACE"


def _careless(rng: Random, path: str, faulty: _Body, wanted: _Body) -> str:
    """As somebody patches who does not think about it; one in twenty is right."""
    other = _fault(rng, wanted, [faulty, wanted])
    wrong = _patch(path, faulty, other)
    return rng.choices(
        [
            _patch(path, faulty, wanted),
            wrong,
            _patch(path, wanted, faulty),
            wanted.line.strip(),
            wrong.partition("\n")[2],
            wrong.replace(">>>>>>> REPLACE", ""),
        ],
        [0.05, 0.5, 0.15, 0.1, 0.1, 0.1],
    )[0]
