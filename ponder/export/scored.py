"""The scores that a run has of a model: those of `evaluate` stages, and those of its own stage while it trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ponder.evaluation.command import file_name
from ponder.evaluation.scores import Scores
from ponder.export.card import rows_text
from ponder.export.lineage import Lineage
from ponder.manifest import read_manifest
from ponder.report.blocks import share_text

__all__ = ["Measured", "measured", "scores_section"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One set of scores, of `what`, of the model in question or of its base."""

    what: str
    model: str
    scores: Scores


def measured(lineage: Lineage) -> list[Measured]:
    """Of this model, and of its base beside it, by every finished or unfinished `evaluate` stage that took this very
    model; then on the held-out problems of its own stage."""
    own, base = lineage.links[-1], lineage.base
    found = []
    for record in lineage.run.stages:
        manifest = read_manifest(record.folder)
        if manifest is None or manifest.identity.get("inputs", {}).get(own.name) != own.manifest.fingerprint:
            continue
        same = base is not None and manifest.identity.get("outside", {}).get(base.reference) == base.digest
        wanted = {own.name} | ({base.reference} if base is not None and same else set())
        found += [
            Measured(what=f"{stem.removeprefix(f'{file_name(model)}--')} (`{record.name}`)", model=model, scores=scores)
            for stem, scores in record.benchmarks.items()
            if (model := str(scores.provenance["model"])) in wanted
        ]
    found.sort(key=lambda one: (one.what, one.model != own.name))
    held_out = [Measured(what=f"held out, step {step}", model=own.name, scores=one) for step, one in _ends(lineage)]
    return found + held_out


def scores_section(found: Sequence[Measured], lineage: Lineage) -> list[str]:
    """A table, what it was sampled with, and which scores are not to be believed."""
    if not found:
        return ["The run has no scores of this model."]
    rows = [
        [
            one.what,
            one.model if one.model == lineage.links[-1].name else Path(one.model).name,
            _accuracy(one.scores),
            _consensus(one.scores),
            f"{one.scores.overall.problems:,} x {one.scores.overall.samples}",
            _sampling(one.scores),
            f"{one.scores.overall.mean_tokens:,.0f}",
            "yes" if one.scores.invalid is None else "NO",
        ]
        for one in found
    ]
    heads = [
        "problems",
        "model",
        "pass@1 (95 % interval)",
        "cons@16",
        "problems x samples",
        "sampling",
        "mean tokens",
        "valid",
    ]
    invalid = dict.fromkeys(
        f"{one.what}, {Path(one.model).name}: {one.scores.invalid}." for one in found if one.scores.invalid
    )
    return [
        "pass@1 is the mean share of right samples; the interval is of the problems drawn, not of training anew. All "
        "was measured on the weights as trained, before they were rounded for this folder.",
        rows_text(heads, rows),
        *invalid,
    ]


def _ends(lineage: Lineage) -> list[tuple[int, Scores]]:
    own = lineage.links[-1]
    if own.record.kind == "pretrain":
        return sorted(own.record.scores.items())[-1:]
    return [end for end in (own.record.start, own.record.end) if end is not None]


def _accuracy(scores: Scores) -> str:
    overall = scores.overall
    if not overall.pass_at:
        return "no gold"
    low, high = overall.interval
    return f"{share_text(overall.pass_at_1)} ({100 * low:.1f} to {100 * high:.1f})"


def _consensus(scores: Scores) -> str:
    found = scores.overall.cons_at.get(16)
    return "-" if found is None else share_text(found)


def _sampling(scores: Scores) -> str:
    sampling = scores.provenance["sampling"]
    return f"{sampling['temperature']:g}, top-p {sampling['top_p']:g}, {sampling['max_tokens']:,} tokens"
