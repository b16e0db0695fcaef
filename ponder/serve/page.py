"""The chat page: the parts in `chat_page/` put together into one HTML file, which asks nothing of anybody else.

No part of it may run or load but what carries the nonce of this one answer; it may speak to its own server alone.
"""

import json
from functools import cache
from importlib.resources import files

from ponder.text.reflection import REFLECTION_PATTERN

__all__ = ["page"]

_SCRIPTS = ("temml.min.js", "words.js", "markdown.js", "wire.js", "tree.js", "view.js", "chat.js")
"""In the order in which they build on each other. The first is Temml, MIT, whose licence lies beside it."""
_NONCE = "{{nonce}}"


def page(nonce: str) -> tuple[str, str]:
    """The page, and its Content-Security-Policy. `nonce` is new for every answer."""
    policy = {
        "default-src": "'none'",
        "connect-src": "'self'",
        "img-src": "data:",  # its icon, which is empty
        "script-src": f"'nonce-{nonce}'",
        "style-src": f"'nonce-{nonce}'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return _whole().replace(_NONCE, nonce), "; ".join(f"{name} {value}" for name, value in policy.items())


@cache
def _whole() -> str:
    """The page with places for the nonce."""
    words = f"const REFLECTION = new RegExp({json.dumps(REFLECTION_PATTERN)}, 'gi');"
    scripts = [words, *map(_part, _SCRIPTS)]
    assert not any("</script" in one.lower() or "<!--" in one or _NONCE in one for one in scripts), "ends its element"
    filled = _part("chat.html").replace("{{style}}", _part("style.css"))
    return filled.replace("{{script}}", "\n".join(scripts))


def _part(name: str) -> str:
    return (files("ponder.serve") / "chat_page" / name).read_text(encoding="utf-8")
