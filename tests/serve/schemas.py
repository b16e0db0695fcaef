"""Two hundred JSON schemas as people write them: twenty things, each described in ten ways."""

from collections.abc import Callable
from typing import Any

__all__ = ["SCHEMAS"]

Json = dict[str, Any]


def text(most: int = 24) -> Json:
    return {"type": "string", "minLength": 1, "maxLength": most}


def whole(least: int, most: int) -> Json:
    return {"type": "integer", "minimum": least, "maximum": most}


def real(least: float, most: float) -> Json:
    return {"type": "number", "minimum": least, "maximum": most}


def one_of(*names: Any) -> Json:
    return {"enum": list(names)}


def code(pattern: str) -> Json:
    return {"type": "string", "pattern": pattern}


def made(properties: Json, optional: tuple[str, ...] = (), **more: Any) -> Json:
    required = [name for name in properties if name not in optional]
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
        **more,
    }


THINGS: dict[str, tuple[Json, Json, Json, Json]] = {
    # name: (a text, a choice, a number, a code), each a property's name and schema
    "person": (
        {"name": text(30)},
        {"role": one_of("admin", "editor", "guest")},
        {"age": whole(0, 120)},
        {"email": code(r"^[a-z]{2,8}@[a-z]{2,8}\.(com|org)$")},
    ),
    "order": (
        {"customer": text()},
        {"status": one_of("new", "paid", "sent", "back")},
        {"total": real(0, 9999.5)},
        {"number": code(r"^[A-Z]{2}-[0-9]{4,6}$")},
    ),
    "book": (
        {"title": text(40)},
        {"language": one_of("en", "zh", "de", None)},
        {"pages": whole(1, 3000)},
        {"isbn": code(r"^97[89]-[0-9]{10}$")},
    ),
    "weather": (
        {"city": text()},
        {"sky": one_of("clear", "cloudy", "rain", "snow")},
        {"celsius": real(-60, 60)},
        {"station": code("^[A-Z]{4}$")},
    ),
    "recipe": (
        {"dish": text()},
        {"course": one_of("starter", "main", "dessert")},
        {"minutes": whole(1, 600)},
        {"slug": code("^[a-z]+(-[a-z]+){0,3}$")},
    ),
    "flight": (
        {"carrier": text(20)},
        {"class": one_of("economy", "business", "first")},
        {"seats": whole(1, 9)},
        {"flight": code("^[A-Z]{2}[0-9]{1,4}$")},
    ),
    "movie": (
        {"title": text(40)},
        {"rating": one_of("G", "PG", "PG-13", "R")},
        {"stars": {"type": "number", "exclusiveMinimum": 0, "maximum": 10}},
        {"imdb": code("^tt[0-9]{7}$")},
    ),
    "server": (
        {"host": text(16)},
        {"state": one_of("up", "down", "unknown")},
        {"cores": whole(1, 256)},
        {"address": code(r"^10\.[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{1,2}$")},
    ),
    "invoice": (
        {"issuer": text()},
        {"currency": one_of("EUR", "USD", "CNY")},
        {"cents": {"type": "integer", "multipleOf": 5, "minimum": 0, "maximum": 100000}},
        {"vat": code("^DE[0-9]{9}$")},
    ),
    "question": (
        {"question": text(60)},
        {"answer": one_of("A", "B", "C", "D")},
        {"confidence": real(0, 1)},
        {"topic": code("^(maths|physics|history)$")},
    ),
    "学生": (
        {"姓名": text(8)},
        {"年级": one_of("一年级", "二年级", "三年级")},
        {"分数": whole(0, 100)},
        {"学号": code("^S[0-9]{6}$")},
    ),
    "商品": (
        {"名称": text(10)},
        {"颜色": one_of("红", "绿", "蓝")},
        {"价格": real(0, 999)},
        {"编号": code("^[A-F0-9]{8}$")},
    ),
    "event": (
        {"title": text()},
        {"kind": one_of("talk", "meeting", "party")},
        {"guests": whole(0, 500)},
        {"day": {"type": "string", "format": "date"}},
    ),
    "ticket": (
        {"summary": text(50)},
        {"priority": one_of(1, 2, 3)},
        {"votes": whole(-100, 100)},
        {"key": code("^[A-Z]{3}-[1-9][0-9]{0,3}$")},
    ),
    "song": (
        {"artist": text()},
        {"genre": one_of("jazz", "rock", "folk")},
        {"seconds": whole(10, 1200)},
        {"isrc": code("^[A-Z]{2}[A-Z0-9]{3}[0-9]{7}$")},
    ),
    "sensor": (
        {"label": text(12)},
        {"unit": one_of("V", "A", "W", "°C")},
        {"value": real(-1000, 1000)},
        {"id": {"type": "string", "format": "uuid"}},
    ),
    "chemical": (
        {"name": text(20)},
        {"phase": one_of("solid", "liquid", "gas")},
        {"moles": {"type": "number", "minimum": 0, "exclusiveMaximum": 100}},
        {"cas": code("^[1-9][0-9]{1,6}-[0-9]{2}-[0-9]$")},
    ),
    "match": (
        {"venue": text()},
        {"result": one_of("home", "away", "draw")},
        {"goals": whole(0, 15)},
        {"score": code("^[0-9]:[0-9]$")},
    ),
    "house": (
        {"street": text()},
        {"heating": one_of("gas", "oil", "pump", "none")},
        {"rooms": whole(1, 20)},
        {"zip": code("^[0-9]{5}(-[0-9]{4})?$")},
    ),
    "plant": (
        {"species": text()},
        {"light": one_of("shade", "half", "sun")},
        {"height": real(0, 120)},
        {"colour": code("^#[0-9a-f]{6}$")},
    ),
}

WAYS: list[Callable[[str, Json, Json, Json, Json], Json]] = [
    lambda name, a, b, c, d: made({**a, **b, **c, **d}, title=name, description=f"One {name}."),
    lambda name, a, b, c, d: made({name: made({**a, **c}), "meta": made({**b, "code": made(d)})}),
    lambda name, a, b, c, d: {"type": "array", "items": made({**a, **b}), "minItems": 1, "maxItems": 3},
    lambda name, a, b, c, d: made(
        {"first": {"$ref": "#/$defs/one"}, "rest": {"type": "array", "items": {"$ref": "#/$defs/one"}, "maxItems": 2}},
        **{"$defs": {"one": made({**b, **c})}},
    ),
    lambda name, a, b, c, d: made({"value": {"anyOf": [*a.values(), *c.values(), {"type": "null"}]}, **b}),
    lambda name, a, b, c, d: made({**d, "tags": {"type": "array", "items": next(iter(b.values())), "maxItems": 4}}),
    lambda name, a, b, c, d: made({**a, **c, "note": text(10), "checked": {"type": "boolean"}}, ("note", "checked")),
    lambda name, a, b, c, d: {
        "$schema": "http://json-schema.org/draft-07/schema#",
        **made(
            {"kind": {"const": name}, "items": {"type": "array", "items": {"$ref": "#/definitions/x"}, "maxItems": 2}}
        ),
        "definitions": {"x": {"anyOf": [made({"kind": {"const": "n"}, **c}), made({"kind": {"const": "c"}, **d})]}},
    },
    lambda name, a, b, c, d: made(
        {"pair": {"type": "array", "prefixItems": [*c.values(), *b.values()], "items": False, "minItems": 2}}
    ),
    lambda name, a, b, c, d: {
        "allOf": [{"$ref": "#/$defs/base"}, {"type": "object", "properties": d, "required": list(d)}],
        "$defs": {"base": {"type": "object", "properties": {**b, **c}, "required": [*b, *c]}},
    },
]

SCHEMAS: list[tuple[str, Json]] = [
    (f"{name}-{number}", way(name, *parts)) for name, parts in THINGS.items() for number, way in enumerate(WAYS)
]
