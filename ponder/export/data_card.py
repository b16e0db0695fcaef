"""The card of a data set that a `sample` stage made: `README.md` of its folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ponder.export.card import UNKNOWN, card_text, rows_text
from ponder.export.history import (
    data_section,
    decontamination_section,
    foreign_data,
    hub_datasets,
    stages_section,
    versions_section,
)
from ponder.export.licence import base_licence
from ponder.export.lineage import Lineage, Link, read_lineage
from ponder.export.source import DataSource
from ponder.files import file_digest
from ponder.report.readers import read_composition

__all__ = ["data_card"]

_COLUMNS: Mapping[str, str] = {
    "examples": "`id`; `messages`, what was asked; `thinking` and `answer`, what is to be said; `domain`; `language`; "
    "`origin`, the stage that made it; where tools could be called also `tools`, `steps` and `tool_calls`",
    "pairs": "`id`; `messages`, what was asked; `chosen`, the better answer, and `rejected`; `domain`; `language`",
    "labels": "`id`; `messages`, what was asked; `response`, whole; `safe`, its label; `domain`; `language`",
    "problems": "`problem`, with its gold answer; of `judged` responses `right` were so",
}
_USE = """\
```python
from datasets import load_dataset

rows = load_dataset(".", split="train")  # this folder, or its name on the hub
```"""
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_LARGER = "n>1M"
_SETTINGS = ("sampling", "keep", "pairs")


def data_card(source: DataSource, stated: str | None) -> str:
    """The text of README.md; `stated` is the licence that the user gives it, None has it unknown."""
    lineage = read_lineage(source.stage)
    own = lineage.links[-1]
    parts = read_composition(source.stage)
    count = sum(part.count for part in parts)
    front: Mapping[str, Any] = {
        "license": stated or UNKNOWN,
        "language": sorted({part.language for part in parts}),
        "task_categories": ["text-generation"],
        "size_categories": [next((name for most, name in _SIZES if count < most), _LARGER)],
        "source_datasets": hub_datasets(lineage),
        "tags": ["ponder", "synthetic", source.output],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": source.file.name}]}],
    }
    sections: list[tuple[str, Sequence[str]]] = [
        ("", _opening(source, own, count)),
        ("Use", [f"Columns: {_COLUMNS[source.output]}.", _USE]),
        ("How it was made", _made(own)),
        ("Who responded", stages_section(lineage)),
        ("Data", data_section(lineage)),
        ("Decontamination", decontamination_section(lineage)),
        ("Limits", _limits(own)),
        ("Licences", _licences(stated, lineage)),
        ("Versions", versions_section(lineage)),
    ]
    return card_text(front, source.name, sections)


def _opening(source: DataSource, own: Link, count: int) -> list[str]:
    text = [
        f"{count:,} {source.output}: stage `{own.name}` (kind `sample`) of the recipe `{own.manifest.recipe}`, run by "
        f"ponder. `{source.file.name}`: {file_digest(source.file)}."
    ]
    if own.manifest.smoke:
        text.append("**A smoke run: what a tiny random model wrote, of no use but to see that everything works.**")
    return text


def _made(own: Link) -> list[str]:
    config = own.record.config
    settings = {key: config[key] for key in _SETTINGS if key != "pairs" or config["output"] == "pairs"}
    keep = config["keep"]
    named = {Path(name).name: weight for name, weight in keep["rewards"].items()}
    settings["keep"] = keep | {"own": [Path(name).name for name in keep["own"]], "rewards": named}
    results = own.record.results
    text = [
        f"{results['problems']:,} problems, {config['samples']} responses each; of {results['asked']:,} responses "
        f"{results['kept']:,} {'rows were made' if config['output'] != 'examples' else 'were kept'}."
    ]
    text.append(f"```yaml\n{yaml.safe_dump(settings, sort_keys=False)}```")
    if config["rewrite"] is not None:
        text.append("What was kept was then rewritten, and its answers judged again.")
    if rejected := results["rejected"]:
        text.append("Left out:")
        text.append(rows_text(["reason", "responses"], [[reason, f"{n:,}"] for reason, n in rejected.items()]))
    return text


def _limits(own: Link) -> list[str]:
    config = own.record.config
    lines = ["A model wrote it: beyond what the rules above check nobody has read it."]
    if config["output"] == "examples" and not (config["keep"]["correct"] or config["keep"]["judged"]):
        lines.append("Its answers were not checked: `keep.correct` is off.")
    failed = sum(one["failed"] for one in own.record.results["requests"].values())
    lines += [f"{failed:,} requests failed and are not in it."] if failed else []
    return ["\n".join(f"- {line}" for line in lines)]


def _licences(stated: str | None, lineage: Lineage) -> list[str]:
    text = [
        f"Whoever exported this states `{stated}`." if stated is not None else "Nobody has stated a licence for it."
    ]
    base = lineage.base
    if base is not None:
        text.append(f"Licence of the model that wrote it, or of what that began as: {base_licence(base).said}.")
    return [*text, *foreign_data(lineage)]
