"""What each stage cost: time, tokens, floating-point operations.

A forward pass of one token through N parameters is 2 N operations, forward and backward together 6 N (Kaplan et al.,
arXiv 2001.08361, section 2.1). N counts every parameter, of a mixture of experts also those that were not chosen, so
there the operations are an upper bound. A critic is taken for one of the policy's size: its tokens are trained and
scored beside those of the policy. Prompt tokens and attention are left out.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

from ponder.errors import RunFolderError
from ponder.manifest import step_folders
from ponder.report.run import Run, StageRecord
from ponder.watch.lines import read_lines
from ponder.watch.metrics import Row

__all__ = ["Cost", "stage_cost"]

_TRAIN, _FORWARD = 6, 2
_MOST_HEADER_BYTES = 100_000_000
_STATES = (".safetensors", ".distcp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Tokens by what was done with them: `trained` forward and backward, `sampled` and `scored` (by the reference model
    or a critic) forward only, `measured` sampled for evaluations. `parameters` is None where no file tells;
    `charged` is what an endpoint asked for, in dollars; `state_bytes` are those of the weights and moments in the last
    checkpoint, None where there is none."""

    seconds: float
    trained: float
    sampled: float
    scored: float
    measured: float
    measured_flops: float
    parameters: int | None
    charged: float | None
    files: tuple[str, ...]
    state_bytes: int | None = None

    @property
    def training_flops(self) -> float | None:
        """Operations of the stage's own work, its sampling included, its evaluations not."""
        if self.parameters is None:
            return None
        return self.parameters * (_TRAIN * self.trained + _FORWARD * (self.sampled + self.scored))

    @property
    def flops(self) -> float | None:
        """All operations of the stage, None where its own work is not known."""
        if not (self.trained or self.sampled or self.scored):
            return self.measured_flops
        own = self.training_flops
        return None if own is None else own + self.measured_flops


def stage_cost(run: Run, stage: StageRecord) -> Cost | None:
    """The cost of a stage so far, None for one that has not begun."""
    if stage.status == "waiting":
        return None
    trained, sampled, scored = _tokens(stage)
    parameters, where = _parameters(run, stage)
    own = [one for one in stage.benchmarks.values() if "control" not in one.provenance]  # which samples nothing
    measured = [(one, one.overall) for one in (*stage.scores.values(), *own)]
    tokens = [overall.mean_tokens * overall.samples * overall.problems for _, overall in measured]
    flops = [
        _FORWARD * float(one.provenance.get("parameters", 0)) * count
        for (one, _), count in zip(measured, tokens, strict=True)
    ]
    files = [stage.folder / "manifest.json", *([stage.folder / "metrics.jsonl"] if stage.rows else []), *where]
    files += _logs(stage)
    files += [stage.folder / "evaluation" / f"{name}.json" for name in _evaluations(stage)]
    return Cost(
        seconds=stage.seconds,
        trained=trained,
        sampled=sampled,
        scored=scored,
        measured=sum(tokens),
        measured_flops=sum(flops),
        parameters=parameters,
        charged=_charged(stage),
        files=tuple(run.relative(path) for path in files),
        state_bytes=_state_bytes(stage.folder / "checkpoints"),
    )


def _requests(stage: StageRecord) -> Mapping[str, Mapping[str, float | None]]:
    """The totals of each log of requests that a finished `sample` stage has."""
    found: Mapping[str, Mapping[str, float | None]] = (
        stage.results.get("requests", {}) if stage.kind == "sample" else {}
    )
    return found


def _charged(stage: StageRecord) -> float | None:
    """What endpoints asked for, to sample, judge or rewrite, or to be measured; None where no price is known."""
    lines = (line for path in _logs(stage) for _, line in read_lines(path))
    costs = [float(cost) for line in lines if (cost := line.get("cost")) is not None]
    return sum(costs) if costs else None


def _logs(stage: StageRecord) -> list[Path]:
    """The logs of all that was asked, of models here and at endpoints."""
    return sorted((stage.folder / "requests").glob("*.jsonl"))


def _state_bytes(checkpoints: Path) -> int | None:
    """Of one process's files, or of the parts that several wrote."""
    found = step_folders(checkpoints)
    return sum(path.stat().st_size for path in found[-1].rglob("*") if path.suffix in _STATES) if found else None


def _evaluations(stage: StageRecord) -> list[str]:
    return [*(f"step-{step:06d}" for step in stage.scores), *stage.benchmarks]


def _tokens(stage: StageRecord) -> tuple[float, float, float]:
    """Tokens trained on, sampled, and passed through the reference model, from the metrics and results."""
    rows, config = stage.rows, stage.config
    match stage.kind:
        case "pretrain":
            steps = rows[-1]["step"] or 0 if rows else 0
            return float(steps * config["tokens_per_step"]), 0.0, 0.0
        case "sample":
            return 0.0, float(_requests(stage).get("samples", {}).get("completion_tokens") or 0), 0.0
        case "rl":
            sampled = _sum(rows, "rollout/tokens")
            has_reference = config["objective"]["kl_coefficient"] > 0
            if "gae_lambda" in config["objective"]:  # all that is sampled, by the policy and by the critic
                return 2 * sampled, sampled, (1 + has_reference) * sampled
            trained = sum(tokens * useful for tokens, useful in _both(rows, "rollout/tokens", "groups/useful"))
            return trained, sampled, trained if has_reference else 0.0
    return _sum(rows, "data/tokens"), 0.0, 0.0


def _sum(rows: Sequence[Row], key: str) -> float:
    return sum(value for row in rows if (value := row.get(key)) is not None)


def _both(rows: Sequence[Row], first: str, second: str) -> list[tuple[float, float]]:
    found = [(row.get(first), row.get(second)) for row in rows]
    return [(a, b) for a, b in found if a is not None and b is not None]


def _parameters(run: Run, stage: StageRecord) -> tuple[int | None, list[Path]]:
    """How many parameters the model has that a stage works with, and the files that tell: the headers of its weights,
    before there are any those of an evaluation, for a `sample` stage those of the stage it samples from."""
    source = next(
        (one for one in run.stages if stage.kind == "sample" and one.name == stage.config.get("model")), stage
    )
    files = sorted((source.folder / "model").glob("*.safetensors"))
    if files:
        return sum(_header_parameters(path) for path in files), files
    for step, scores in source.scores.items():
        count = scores.provenance.get("parameters")
        if isinstance(count, int):
            return count, [source.folder / "evaluation" / f"step-{step:06d}.json"]
    return None, []


def _header_parameters(path: Path) -> int:
    """Parameters of a safetensors file: its first 8 bytes are the length of a JSON header that holds all shapes."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header: Mapping[str, Mapping[str, Sequence[int]]] = json.loads(file.read(min(length, _MOST_HEADER_BYTES)))
        return sum(prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
    except (struct.error, ValueError, AttributeError, TypeError, KeyError) as error:
        raise RunFolderError(
            f"{str(path)!r} is damaged: expected weights in safetensors form, got trouble with {error!s:.80}. Restore "
            "it from a copy, or start its stage anew with --redo."
        ) from None
