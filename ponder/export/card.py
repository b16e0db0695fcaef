"""A card: front matter that the hub reads, and Markdown for people."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

__all__ = ["UNKNOWN", "card_text", "cell", "rows_text", "short"]

UNKNOWN = "unknown"
"""Also the hub's own name of a licence that nobody stated."""
_DIGITS = 12


def card_text(front: Mapping[str, Any], title: str, sections: Iterable[tuple[str, Sequence[str]]]) -> str:
    """Front matter without what is empty, the title, and each section with its paragraphs; a section without any is
    left out, the first one has no heading."""
    kept = {key: value for key, value in front.items() if value not in (None, [], {})}
    head = yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, width=1000)
    parts = [f"# {title}"]
    for heading, paragraphs in sections:
        parts += [f"## {heading}"] if heading and paragraphs else []
        parts += paragraphs
    return f"---\n{head}---\n\n" + "\n\n".join(parts) + "\n"


def rows_text(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(cell, line)) + " |" for line in lines)


def cell(text: str) -> str:
    """Text that cannot end its cell, or begin another."""
    return " ".join(text.split()).replace("|", "\\|")


def short(digest: str | None) -> str:
    """The first digits of a digest, of whatever kind."""
    if digest is None:
        return UNKNOWN
    kind, _, value = digest.rpartition(":")
    return f"`{value[:_DIGITS]}`" if kind in ("", "sha256") else f"`{digest}`"
