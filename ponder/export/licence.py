"""The licence that a model brought: what the card or the files in its folder say."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from ponder.errors import ModelError
from ponder.export.lineage import Base
from ponder.files import EMBEDDED, file_digest, folder_digest, is_gguf, model_path
from ponder.hub import fetch

__all__ = ["CARD", "Licence", "base_licence", "folder_licence"]

CARD = "README.md"
_TEXTS = ("LICENSE*", "LICENCE*", "NOTICE*", "USE_POLICY*")
_FENCE = "---"


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """`id` is the hub's name of it, None where nothing says one; `fields` go with it into a card (`license_name`,
    `license_link`); `said` tells people where it stands, or why it is unknown. `texts` are files to hand on."""

    id: str | None
    said: str
    fields: tuple[tuple[str, str], ...] = ()
    texts: tuple[Path, ...] = ()


def base_licence(base: Base) -> Licence:
    """What is known of the licence of a model from outside."""
    if base.reference in EMBEDDED:
        return Licence(id="apache-2.0", said=f"`{base.reference}` ships with ponder under its licence, Apache 2.0")
    if base.hub is not None:
        try:
            return folder_licence(fetch(base.hub, [CARD, *_TEXTS]), base.hub.repository)
        except ModelError:
            return Licence(id=None, said=f"unknown: the card of `{base.hub.repository}` could not be read here")
    folder = model_path(base.reference)
    if is_gguf(folder):
        if base.digest is not None and file_digest(folder) != base.digest:
            return Licence(id=None, said=f"unknown: the file `{base.shown}` has changed since")
        return _file_licence(folder, base.shown)
    if not folder.is_dir():
        return Licence(id=None, said=f"unknown: the folder of `{base.shown}` is gone")
    if base.digest is not None and folder_digest(folder) != base.digest:
        return Licence(id=None, said=f"unknown: the folder of `{base.shown}` has changed since")
    return folder_licence(folder, base.shown)


def folder_licence(folder: Path, name: str) -> Licence:
    """What the card and the files in a model's folder say."""
    texts = tuple(sorted({path for pattern in _TEXTS for path in folder.glob(pattern) if path.is_file()}))
    beside = f"; its {', '.join(path.name for path in texts)} stand beside this card" if texts else ""
    fields = _front_matter(folder / CARD)
    stated = fields.get("license")
    if not isinstance(stated, str):
        return Licence(id=None, said=f"`{name}` has no card that states one{beside}", texts=texts)
    kept = tuple((key, str(fields[key])) for key in ("license_name", "license_link") if key in fields)
    return Licence(id=stated, said=f"the card of `{name}` states `{stated}`{beside}", fields=kept, texts=texts)


def _file_licence(file: Path, name: str) -> Licence:
    """What a GGUF file says of itself."""
    if find_spec("gguf") is None:
        return Licence(id=None, said=f"unknown: the package gguf is not here to read `{name}`")
    from gguf import GGUFReader, Keys

    reader, general = GGUFReader(file), Keys.General
    keys = {"license": general.LICENSE, "license_name": general.LICENSE_NAME, "license_link": general.LICENSE_LINK}
    fields = {key: str(field.contents()) for key, one in keys.items() if (field := reader.get_field(one)) is not None}
    stated = fields.pop("license", None)
    if stated is None:
        return Licence(id=None, said=f"`{name}` states none, and neither a card nor a licence comes with a GGUF file")
    return Licence(id=stated, said=f"`{name}` states `{stated}`", fields=tuple(fields.items()))


def _front_matter(card: Path) -> dict[str, Any]:
    """The YAML at the head of a card; empty where there is none, or it is none."""
    if not card.is_file():
        return {}
    head, _, rest = card.read_text(encoding="utf-8", errors="replace").partition("\n")
    if head.strip() != _FENCE:
        return {}
    lines = rest.splitlines()
    ends = [number for number, line in enumerate(lines) if line.strip() == _FENCE]
    try:
        found = yaml.safe_load("\n".join(lines[: ends[0]])) if ends else None
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}
