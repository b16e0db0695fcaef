"""`response_format`: what a reply must be written as, checked before anything is computed."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from ponder.errors import DataError
from ponder.policy.voice import Voice
from ponder.serve.fault import Fault
from ponder.serve.grammar import check_schema, value
from ponder.serve.guide import GrammarGuide, tags_of
from ponder.serve.wire import ChatRequest

__all__ = ["checked", "guide_of"]

_LARGEST = 64 << 10
"""Characters of a schema."""


async def guide_of(asked: ChatRequest, voice: Voice) -> GrammarGuide | None:
    """What guides the reply, or None where it is free; Fault for a schema that cannot be compiled."""
    for name in ("guided_json", "structured_outputs"):
        if getattr(asked, name) is not None:
            raise Fault(400, f"{name} is not done here: use response_format.", param=name, code="unsupported_parameter")
    wanted = asked.response_format
    if wanted is None or wanted.type == "text":
        return None
    schema = wanted.json_schema.content if wanted.type == "json_schema" else wanted.content or {"type": "object"}
    await checked(schema, voice, "response_format")
    return GrammarGuide(grammar=value(schema), thinks=asked.thinks)


async def checked(schema: Mapping[str, Any], voice: Voice, param: str) -> None:
    """Fault for a schema that no reply could be guided by; compiled in a thread, since it may take a while."""
    text = json.dumps(schema, ensure_ascii=False)
    if len(text) > _LARGEST:
        raise Fault(400, f"The JSON schema has {len(text)} characters; at most {_LARGEST} are taken.", param=param)
    if spelled := [tag for tag in tags_of(voice.template) if tag in text]:
        raise Fault(
            400,
            f"The JSON schema holds {spelled[0]!r}, which ends thinking or answer where this model writes it. Write it "
            f"in another way.",
            param=param,
        )
    try:
        await asyncio.to_thread(check_schema, schema)
    except DataError as error:
        raise Fault(400, str(error), param=param, code="invalid_json_schema") from None
