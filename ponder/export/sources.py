"""The sources of problems, examples and preferences of a stage, each as one line that tells what was read."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ponder.export.card import UNKNOWN, short
from ponder.export.lineage import Link
from ponder.files import read_json
from ponder.hub import parse_hub_id

__all__ = ["SourceLine", "source_lines"]

_HUB_ROWS = "hub_rows.json"
_GENERATED = "generated from its seed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLine:
    """`use` is what the stage did with it, `digest` of what was read; `hub` is the data set's name on the hub, if it is
    one, and `stage` the stage that made it. `is_foreign`: somebody else's, under a licence that a run does not know."""

    use: str
    what: str
    digest: str
    hub: str | None = None
    stage: str | None = None
    is_foreign: bool = False


def source_lines(link: Link) -> Iterator[SourceLine]:
    """What the stage learnt from, and what it was measured on while it trained."""
    config = link.record.config
    held_out = config.get("held_out") or {}
    for key, use in (("problems", "problems"), ("examples", "examples"), ("data", "preferences")):
        yield from (_line(link, one, use) for one in config.get(key) or () if isinstance(one, Mapping))
    yield from (_line(link, one, "held out") for one in held_out.get("problems", ()))


def _line(link: Link, source: Mapping[str, Any], use: str) -> SourceLine:
    return _FORMS[source["source"]](link, source, use)


def _micro(link: Link, source: Mapping[str, Any], use: str) -> SourceLine:
    what = f"embedded world, {source['count']:,} of its split `{source['split']}`, seed {source['seed']}"
    return SourceLine(use=use, what=_with(what, source, "tasks", "languages"), digest=_GENERATED)


def _gym(link: Link, source: Mapping[str, Any], use: str) -> SourceLine:
    what = f"reasoning-gym task `{source['task']}`, {source['count']:,} problems, seed {source['seed']}"
    return SourceLine(use=use, what=what, digest=_GENERATED)


def _file(link: Link, source: Mapping[str, Any], use: str) -> SourceLine:
    digest = link.manifest.identity.get("outside", {}).get(source["path"])
    return SourceLine(
        use=use, what=_with(f"file `{Path(source['path']).name}`", source), digest=short(digest), is_foreign=True
    )


def _hub(link: Link, source: Mapping[str, Any], use: str) -> SourceLine:
    named = parse_hub_id(source["id"])
    subset = source["subset"]
    subsets: list[str | None] = [subset] if subset is None or isinstance(subset, str) else list(subset)
    notes = link.record.folder / _HUB_ROWS
    known: dict[str, Any] = read_json(notes) if notes.is_file() else {}
    found = []
    for one in subsets:
        key = source["id"] + (f", subset {one!r}" if one else "") + f", split {source['split']!r}"
        rows, digest = known.get(key, (None, None))
        found.append(f"{rows:,} rows, {short(digest)}" if rows is not None else UNKNOWN)
    what = f"`{source['id']}`, split `{source['split']}`" + (
        f", subset `{', '.join(map(str, subsets))}`" if subset else ""
    )
    hub = named.repository if named is not None else source["id"]
    return SourceLine(use=use, what=_with(what, source), digest="; ".join(found), hub=hub, is_foreign=True)


def _python(link: Link, source: Mapping[str, Any], use: str) -> SourceLine:
    digest = link.manifest.identity.get("own", {}).get(source["file"])
    what = f"function `{source['function']}` of `{Path(source['file']).name}`{_called_with(source['arguments'])}"
    return SourceLine(use=use, what=_with(what, source), digest=short(digest))


def _called_with(arguments: Mapping[str, Any]) -> str:
    """Numbers by value; whatever else is named alone, since it may be a path or a key."""
    shown = [f"{name}={json.dumps(one)}" if isinstance(one, int | float) else name for name, one in arguments.items()]
    return f", called with `{', '.join(shown)}`" if shown else ""


def _stage(link: Link, source: Mapping[str, Any], use: str) -> SourceLine:
    digest = link.manifest.identity.get("inputs", {}).get(source["stage"])
    what = _with(f"what stage `{source['stage']}` made", source)
    return SourceLine(use=use, what=what, digest=f"stage {short(digest)}", stage=source["stage"])


def _with(what: str, source: Mapping[str, Any], *keys: str) -> str:
    """With what else decides which rows were taken, where it says something."""
    said = [f"{key} {', '.join(source[key])}" for key in keys if source.get(key)]
    said += [f"{key} {source[key]}" for key in ("limit", "shuffle_seed", "pass_rate") if source.get(key) is not None]
    said += [f"weight {source['weight']:g}"] if source.get("weight", 1) != 1 else []
    said += [f"from step {source['from_step']}"] if source.get("from_step") else []
    said += [f"until step {source['until_step']}"] if source.get("until_step") else []
    return "; ".join([what, *said])


_FORMS: Mapping[str, Callable[[Link, Mapping[str, Any], str], SourceLine]] = {
    "micro": _micro,
    "gym": _gym,
    "file": _file,
    "hub": _hub,
    "python": _python,
    "stage": _stage,
}
