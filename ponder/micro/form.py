"""Small forms: a sentence about a person, and what of it is to be filled in as JSON.

The embedded models have never read JSON. Those who answer off the top of their heads write it as people do who have
seen it somewhere: with single quotes, without quotes, with a comma too many or words around it.
"""

import json
from random import Random
from typing import Any

from ponder.micro.lexicon import FACTS, NAMES
from ponder.micro.question import LARGEST, Question, Slip, Working, near_miss
from ponder.records import JsonGold, Language

__all__ = ["make"]

_FIELDS: dict[str, dict[str, Any]] = {
    "name": {"type": "string", "minLength": 1},
    "age": {"type": "integer", "minimum": 0, "maximum": LARGEST},
    "city": {"type": "string", "minLength": 1},
}
_LEAST_AGE = 3
_CITIES = tuple(city for about, city, _ in FACTS if about["en"].startswith("the capital"))
_TOLD: dict[Language, str] = {
    "en": "{name} from {city} is {age} years old. Fill in the form in JSON: {fields}.",
    "zh": "来自{city}的{name}{age}岁。用JSON填表：{fields}。",
}


def make(rng: Random, language: Language) -> Question:
    """Difficulty is the number of fields minus one (1 or 2)."""
    facts = {
        "name": rng.choice(NAMES[language]),
        "age": rng.randint(_LEAST_AGE, LARGEST),
        "city": rng.choice(_CITIES)[language],
    }
    fields = rng.sample(list(_FIELDS), rng.randint(2, len(_FIELDS)))
    wanted = {field: facts[field] for field in fields}
    told = {**facts, "fields": (", " if language == "en" else "、").join(fields)}

    def work(rng: Random) -> Working:
        lines = _lines(wanted)
        at = rng.randrange(len(fields))
        wrong = {**wanted, fields[at]: _mistaken(rng, fields[at], facts, language)}
        slip = Slip(
            at=at,
            lines=(*lines[:at], *_lines(wrong)[at:]),
            answer=json.dumps(wrong, ensure_ascii=False),
            check=(lines[at],),
        )
        return Working(lines=lines, answer=json.dumps(wanted, ensure_ascii=False), check=(lines[-1],), slip=slip)

    return Question(
        task="form",
        key=f"{language} {' '.join(map(str, told.values()))}",
        language=language,
        difficulty=len(fields) - 1,
        prompt=_TOLD[language].format(**told),
        gold=JsonGold(
            schema={
                "type": "object",
                "properties": {field: _FIELDS[field] for field in fields},
                "required": fields,
                "additionalProperties": False,
            },
            values=wanted,
        ),
        answer=json.dumps(wanted, ensure_ascii=False),
        work=work,
        guess=lambda rng: _careless(rng, wanted),
    )


def _lines(wanted: dict[str, Any]) -> tuple[str, ...]:
    return tuple(f"{json.dumps(field)}: {json.dumps(value, ensure_ascii=False)}" for field, value in wanted.items())


def _mistaken(rng: Random, field: str, facts: dict[str, Any], language: Language) -> Any:
    if field == "age":
        return near_miss(rng, facts["age"])
    others = {"name": NAMES[language], "city": [city[language] for city in _CITIES]}
    return rng.choice([one for one in others[field] if one != facts[field]])


def _careless(rng: Random, wanted: dict[str, Any]) -> str:
    """As somebody writes it who does not think about it; one in twenty is right."""
    whole = json.dumps(wanted, ensure_ascii=False)
    bare = ", ".join(f"{field}: {value}" for field, value in wanted.items())
    short = dict(list(wanted.items())[:-1])
    return rng.choices(
        [
            whole,
            whole.replace('"', "'"),
            "{" + bare + "}",
            bare,
            whole.removesuffix("}") + ",}",
            whole.removesuffix("}"),
            f"JSON: {whole}",
            json.dumps(short, ensure_ascii=False),
        ],
        [0.05, 0.2, 0.15, 0.15, 0.1, 0.1, 0.1, 0.15],
    )[0]
