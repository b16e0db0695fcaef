"""Keywords in a text, also one that is still being written.

    rules -> Keywords: found(text) -> ids of the rules;  watch() -> Watch: feed(text) -> what is settled

All words are looked for at once (Aho and Corasick 1975), over text without case, accents, width and invisible marks,
every stretch of blanks being one.
"""

import json
import unicodedata
from collections import deque
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ponder.errors import DataError

__all__ = ["Keywords", "Rule", "Watch", "read_rules"]


class Rule(BaseModel):
    """Words that select a turn. `examples` are texts that they must select."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    words: Annotated[tuple[str, ...], Field(min_length=1)]
    examples: tuple[str, ...] = ()


def read_rules(path: str) -> list[Rule]:
    """The rules of a YAML file; DataError for a file that holds none, and for rules that miss their examples."""
    try:
        rows = yaml.safe_load(Path(path).expanduser().read_text(encoding="utf-8"))
        rules = TypeAdapter(list[Rule]).validate_json(_json(rows), strict=True)
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise DataError(f"The rules of risk control cannot be read from {path!r}: {error}.") from None
    except ValidationError as error:
        raise DataError(
            f"The rules of risk control in {path!r} are wrong at {_wrong(error)}. Expected a list of {{id: ..., words: "
            f"[...]}}."
        ) from None
    ids = [rule.id for rule in rules]
    if not rules or len(set(ids)) < len(ids):
        raise DataError(f"The rules of risk control in {path!r} are {ids}; expected one at least, and ids that differ.")
    for rule in rules:
        blank = [word for word in rule.words if not _folded(word)]
        missed = [text for text in rule.examples if not Keywords([rule]).found(text)] if not blank else []
        if blank or missed:
            what = (
                f"has a word without letters, {blank[0]!r}" if blank else f"does not select its example {missed[0]!r}"
            )
            raise DataError(f"The rule {rule.id!r} of risk control {what}: mend its words in {path!r}.")
    return rules


def _wrong(error: ValidationError) -> str:
    """Where the rules are wrong, and how: a name that is not known comes before the one that is missing for it."""
    details = error.errors(include_url=False)
    one = next((one for one in details if one["type"] == "extra_forbidden"), details[0])
    place = ".".join(map(str, one["loc"])) or "the top"
    if one["type"] == "extra_forbidden":
        return f"{place}: a rule has no {one['loc'][-1]!r}, but {', '.join(Rule.model_fields)}"
    return f"{place}: {one['msg']}"


def _json(rows: object) -> str:
    try:
        return json.dumps(rows)
    except (TypeError, ValueError) as error:  # dates, and lists within themselves
        raise DataError(f"The rules of risk control hold what is no text: {error}.") from None


@lru_cache(maxsize=4096)
def _fold(character: str) -> str:
    """A character as it is looked for: of one, none or several."""
    if character.isspace():
        return " "
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
    return "".join(one for one in plain if unicodedata.category(one) not in ("Mn", "Me", "Cf"))


def _folded(text: str) -> str:
    """A word as it is looked for."""
    return " ".join(part for part in "".join(map(_fold, text)).split(" ") if part)


class Keywords:
    """The automaton of all rules: states are beginnings of words, `_fails[s]` the longest shorter one that ends s."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._next: list[dict[str, int]] = [{}]
        self._found: list[frozenset[str]] = [frozenset()]
        self._depth = [0]
        for rule in rules:
            for word in rule.words:
                self._add(_folded(word), rule.id)
        self._fails = [0] * len(self._next)
        waiting = deque(self._next[0].values())
        while waiting:
            state = waiting.popleft()
            for character, following in self._next[state].items():
                waiting.append(following)
                fail = self._fails[state]
                while fail and character not in self._next[fail]:
                    fail = self._fails[fail]
                self._fails[following] = self._next[fail].get(character, 0)
                self._found[following] |= self._found[self._fails[following]]

    def _add(self, word: str, rule: str) -> None:
        state = 0
        for character in word:
            if character not in self._next[state]:
                self._next[state][character] = len(self._next)
                self._next.append({})
                self._found.append(frozenset())
                self._depth.append(self._depth[state] + 1)
            state = self._next[state][character]
        self._found[state] |= {rule}

    def step(self, state: int, character: str) -> int:
        """The state after one more character."""
        while state and character not in self._next[state]:
            state = self._fails[state]
        return self._next[state].get(character, 0)

    def at(self, state: int) -> tuple[frozenset[str], int]:
        """The rules whose words end here, and how many characters may be the beginning of one."""
        return self._found[state], self._depth[state]

    def found(self, text: str) -> frozenset[str]:
        """The rules that select a text."""
        watch = self.watch()
        watch.feed(text)
        return frozenset(watch.found)

    def watch(self) -> "Watch":
        """For a text as it comes."""
        return Watch(self)


class Watch:
    """One text. `found` are the rules that have selected it so far; `matched` says that one has since the last
    `release`, and then nothing is settled."""

    def __init__(self, keywords: Keywords) -> None:
        self._keywords = keywords
        self._state, self._blank = 0, False
        self._held: deque[tuple[str, int]] = deque()  # characters, and how many each is as it is looked for
        self._pending = 0
        self.found: set[str] = set()
        self.matched = False

    def feed(self, text: str) -> str:
        """What of the text so far is no beginning of a word, and has not been given yet."""
        settled: list[str] = []
        for character in text:
            length = 0
            for one in self._looked_for(character):
                length += 1
                self._state = self._keywords.step(self._state, one)
                rules, _ = self._keywords.at(self._state)
                self.matched = self.matched or bool(rules - self.found)
                self.found |= rules
            self._held.append((character, length))
            self._pending += length
            settled += self._settled()
        return "".join(settled)

    def release(self) -> str:
        """All that is held, and on: the text has passed, or is at its end."""
        self.matched = False
        text = "".join(character for character, _ in self._held)
        self._held.clear()
        self._pending = 0
        return text

    def _looked_for(self, character: str) -> Iterator[str]:
        for one in _fold(character):
            if one != " " or not self._blank:
                yield one
            self._blank = one == " "

    def _settled(self) -> Iterator[str]:
        _, depth = self._keywords.at(self._state)
        while not self.matched and self._held and self._pending - self._held[0][1] >= depth:
            character, length = self._held.popleft()
            self._pending -= length
            yield character
