"""Sections on what came before: stages, data, decontamination, licences. All of it is read out of the run folder."""

from collections.abc import Iterator

import ponder
from ponder.evaluation.contamination import MANIFEST as DECONTAMINATION
from ponder.export.card import UNKNOWN, rows_text, short
from ponder.export.licence import Licence
from ponder.export.lineage import Base, Lineage, Link
from ponder.export.sources import source_lines
from ponder.files import EMBEDDED, read_json
from ponder.manifest import updates_made
from ponder.report.blocks import plain_text
from ponder.report.readers import read_composition
from ponder.watch.pace import seconds_text

__all__ = [
    "data_section",
    "decontamination_section",
    "foreign_data",
    "hub_datasets",
    "licence_section",
    "stages_section",
    "versions_section",
]

_RUN_APART = (
    "Of stages {} the run folder no longer tells what was read: they are gone from it, or were run anew since. What "
    "they did is unknown."
)


def _base_text(lineage: Lineage) -> str:
    """What the weights began as."""
    base, first = lineage.base, lineage.weights[0]
    if base is not None:
        return f"{_named(base)}, digest {short(base.digest)}"
    return "random weights" if first.record.kind == "pretrain" else UNKNOWN


def stages_section(lineage: Lineage) -> list[str]:
    """The base, and a row per stage."""
    through = {link.name for link in lineage.weights}
    rows = [
        [
            f"**{link.name}**" if link.name in through else link.name,
            link.record.kind,
            ", ".join(_named_here(lineage, one) for one in link.reads) or "-",
            _done(link),
            seconds_text(link.record.seconds),
            link.record.status,
            short(link.manifest.fingerprint),
        ]
        for link in lineage.links
    ]
    heads = ["stage", "kind", "from", "did", "time", "state", "fingerprint"]
    text = [f"The weights began as {_base_text(lineage)}. In bold the stages that they went through."]
    text.append(rows_text(heads, rows))
    if others := [*map(_named, lineage.others()), *_endpoints(lineage)]:
        text.append(f"Other models had a part in it, as writers, judges or reward models: {', '.join(others)}.")
    if lineage.unknown:
        text.append(_RUN_APART.format(", ".join(f"`{one}`" for one in lineage.unknown)))
    return text


def data_section(lineage: Lineage) -> list[str]:
    """What every stage read, and of what the data made by the run consists."""
    lines = [(link, line) for link in lineage.links for line in source_lines(link)]
    rows = [[link.name, line.use, line.what, line.digest] for link, line in lines]
    rows += [
        [
            link.name,
            "corpus",
            f"documents of the embedded world, seed {link.record.config['corpus']['seed']}",
            "generated",
        ]
        for link in lineage.links
        if link.record.kind == "pretrain"
    ]
    text = [rows_text(["stage", "use", "source", "digest"], rows)] if rows else []
    return [*text, *(part for link in lineage.links for part in _composition(link))]


def decontamination_section(lineage: Lineage) -> list[str]:
    """What was looked for in the data of each stage, and what was left out for it."""
    rows, without = [], []
    for link in lineage.links:
        path = link.record.folder / DECONTAMINATION
        if not path.is_file():
            without += [f"`{link.name}`"] if any(line.stage is None for line in source_lines(link)) else []
            continue
        found = read_json(path)
        for name, one in found["benchmarks"].items():
            rows.append([link.name, name, str(found["words"]), f"{found['texts']:,}", f"{one['left_out']:,}"])
    text = []
    if rows:
        text.append("Texts that share a run of words with a question of a benchmark were left out.")
        text.append(rows_text(["stage", "benchmark", "words in a row", "texts", "left out"], rows))
    if without:
        text.append(f"The data of {', '.join(without)} was not compared with any benchmark.")
    return text


def licence_section(licence: Licence, stated: str | None, lineage: Lineage | None) -> list[str]:
    """Of the base, and what is unknown of the data's."""
    text = [f"Licence of the base: {licence.said}."]
    if stated is not None:
        text.append(f"Whoever exported this states `{stated}` for it.")
    return text if lineage is None else [*text, *foreign_data(lineage)]


def foreign_data(lineage: Lineage) -> list[str]:
    """Somebody else's data that was learnt from, under licences that a run does not know."""
    lines = [
        line for link in lineage.links for line in source_lines(link) if line.use != "held out" and line.is_foreign
    ]
    named = dict.fromkeys(f"`{line.hub}`" if line.hub else line.what.partition(";")[0] for line in lines)
    return [f"The run does not know the licences of {', '.join(named)}."] if named else []


def versions_section(lineage: Lineage | None) -> list[str]:
    """Of what the stage ran with, and of what wrote the card."""
    exported = f"Exported by ponder {ponder.__version__}."
    if lineage is None:
        return [exported]
    own = lineage.links[-1].manifest
    made = ", ".join(f"{name} {version}" for name, version in own.versions.items())
    return [f"Made with {made}; seed {own.seed}. {exported}"]


def hub_datasets(lineage: Lineage) -> list[str]:
    """The data sets of the hub that were learnt from, directly or through data made of them."""
    lines = [line for link in lineage.links for line in source_lines(link) if line.use != "held out"]
    return list(dict.fromkeys(line.hub for line in lines if line.hub is not None))


def _named_here(lineage: Lineage, reference: str) -> str:
    own = {link.name for link in lineage.links} | set(lineage.unknown)
    return reference if reference in own else Base(reference=reference, digest=None).shown


def _named(base: Base) -> str:
    if base.reference in EMBEDDED:
        return f"`{base.reference}`, a model that ships with ponder"
    return f"`{base.hub.repository}`" if base.hub is not None else f"a model in a folder `{base.shown}`"


def _endpoints(lineage: Lineage) -> list[str]:
    return list(dict.fromkeys(f"`{one}` at an endpoint" for link in lineage.links for one in link.endpoints))


def _done(link: Link) -> str:
    if link.record.kind == "sample":
        results = link.record.results
        return f"kept {results['kept']:,} of {results['asked']:,}" if "kept" in results else "-"
    made = updates_made(link.record.folder) or int(link.record.rows[-1]["step"] or 0) if link.record.rows else 0
    return f"{made:,} updates"


def _composition(link: Link) -> Iterator[str]:
    """Of a `sample` stage by domain and language (R1 v2, table 5), of an `sft` stage by domain."""
    if parts := read_composition(link.record.folder):
        rows = [
            [
                one.domain,
                one.language,
                f"{one.count:,}",
                "-" if one.average_tokens is None else f"{one.average_tokens:,.1f}",
            ]
            for one in parts
        ]
        yield f"What `{link.name}` kept:"
        yield rows_text(["domain", "language", str(link.record.config["output"]), "average tokens"], rows)
    data = link.record.results.get("data")
    if data is not None and data.get("domains"):
        rows = [[n, f"{one['examples']:,}", plain_text(one["mean_tokens"])] for n, one in data["domains"].items()]
        yield f"What `{link.name}` learnt from:"
        yield rows_text(["domain", "examples", "mean tokens, prompt included"], rows)
