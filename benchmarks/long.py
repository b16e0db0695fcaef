"""Peaks of memory with one long sequence beside what the plan says: an update, and sampling in a tight cache.

    python benchmarks/long.py [--tokens 16384] [--layers 6 12] [--sampled 2048] [--tensors]

A model of 23.1M parameters with 6 layers. Every number is of a process of its own, less what one with next to no
parameters and a short sequence has; `--tensors` makes each update a second time, watched by a profiler, and tells what
torch allocated of it, without gaps that the allocator leaves. An update is measured with activations kept and computed
again, sampling with a cache that holds three of eight completions. The last line is JSON.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sized import sized_policy
from torch.profiler import ProfilerActivity, profile

from ponder.algorithm import next_token_loss
from ponder.pipeline.memory import memory, phases, sampling_memory
from ponder.policy import Policy
from ponder.recipe.rollout import Sampling
from ponder.recipe.shape import Shape, shape_of
from ponder.recipe.stages import PretrainStage
from ponder.recipe.training import BatchLimits, Optimizer
from ponder.rollout import LocalEngine, Request
from ponder.rollout.room import room_of
from ponder.train import Sample, Trainer

_AS_A_RUN = """
import runpy, sys
from pathlib import Path
from ponder.allocator import keep_freed_memory
keep_freed_memory()
sys.argv = sys.argv[1:]
sys.path.insert(0, str(Path(sys.argv[0]).parent))
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Starts this file with the allocator settled before torch is there, as `ponder run` does."""
_PROMPT = 200
_ROWS = 3
_SAMPLES = 8


def main() -> None:
    """Print a line for each measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=16384)
    parser.add_argument("--sampled", type=int, default=2048)
    parser.add_argument("--layers", type=int, nargs="+", default=[6, 12])
    parser.add_argument("--tensors", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one is not None:
        print(json.dumps(_measure(**json.loads(given.one))))
        return
    found = []
    small = {"layers": 1, "width": 8, "tokens": 64, "recompute": False}
    least = {what: _apart(what=what, watched=False, **small)["peak"] for what in _MEASURES}
    cases = [("update", layers, given.tokens, True) for layers in given.layers]
    cases += [("update", given.layers[0], given.tokens, False), ("sampling", given.layers[0], given.sampled, False)]
    for what, layers, tokens, recompute in cases:
        case = {"what": what, "layers": layers, "width": 512, "tokens": tokens, "recompute": recompute}
        one = _apart(watched=False, **case)
        measured = one["peak"] - least[what]
        tensors = _apart(watched=True, **case)["tensors"] if given.tensors and what == "update" else 0
        how = "" if what == "sampling" else ", activations computed again" if recompute else ", activations kept"
        held = f"{tensors / 2**20:,.0f} MiB of tensors, " if tensors else ""
        print(
            f"{what}, {layers} layers, {tokens:,} tokens{how}: {measured / 2**20:,.0f} MiB, {held}"
            f"planned {one['planned'] / 2**20:,.0f} MiB, {one['seconds']:.0f} s",
            flush=True,
        )
        found.append({"what": what, "layers": layers, "tokens": tokens, "recompute": recompute, "measured": measured,
                      "tensors": tensors, "planned": one["planned"], "seconds": one["seconds"]})  # fmt: skip
    print(json.dumps({"long": found}))


def _apart(**case: Any) -> dict[str, float]:
    done = subprocess.run([sys.executable, "-c", _AS_A_RUN, __file__, "--one", json.dumps(case)], capture_output=True)
    if done.returncode:
        raise SystemExit(done.stderr.decode())
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _measure(*, what: str, layers: int, width: int, tokens: int, recompute: bool, watched: bool) -> dict[str, float]:
    policy = sized_policy(width, layers)
    began = time.monotonic()
    planned, tensors = _MEASURES[what](policy, tokens, recompute, watched)
    return {"peak": _peak(), "tensors": tensors, "planned": planned, "seconds": time.monotonic() - began}


def _update(policy: Policy, tokens: int, recompute: bool, watched: bool) -> tuple[int, int]:
    limits = BatchLimits(tokens_per_micro_batch=tokens, recompute=recompute)
    tensors = 3 * 4 * sum(p.numel() for p in policy.model.parameters())
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(policy, Optimizer(), limits, incident_folder=Path(folder))
        for length in (64, tokens):
            ids = tuple(3 + i % 8000 for i in range(length))
            sample = Sample(prompt_ids=ids[:1], response_ids=ids[1:], group="", weight=1 / length)
            if watched and length == tokens:
                with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
                    trainer.forward_backward([sample], next_token_loss)
                tensors += _most_allocated(profiled)
            else:
                trainer.forward_backward([sample], next_token_loss)
            trainer.optimizer_step(1e-5)
    stage = PretrainStage(architecture={}, tokens=tokens, tokens_per_step=tokens, batch=limits)
    return phases(memory(stage, _shape(policy), bf16=False, on_cpu=True))["update"], tensors


def _most_allocated(profiled: Any) -> int:
    """Most bytes of tensors that were there at one time and had not been before."""
    now = most = 0
    for event in sorted(profiled.profiler.kineto_results.events(), key=lambda event: event.start_ns()):
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    return most


def _sampling(policy: Policy, tokens: int, recompute: bool, watched: bool) -> tuple[int, int]:
    policy.stop_ids = frozenset()
    ids = tuple(3 + i % 8000 for i in range(min(_PROMPT, tokens)))
    prompt_bytes, row_bytes = room_of(policy, 1).sizes(len(ids), tokens)
    cache = prompt_bytes + _ROWS * row_bytes
    engine = LocalEngine(policy, _SAMPLES, 1, cache_bytes=cache)
    engine.generate([Request(prompt_ids=ids, seeds=tuple(range(_SAMPLES)), key="")], Sampling(), tokens, 0)
    parts = sampling_memory(_shape(policy), slots=_SAMPLES, max_tokens=tokens, bf16=False, cache_bytes=cache)
    return sum(parts.values()), 0


_MEASURES = {"update": _update, "sampling": _sampling}


def _shape(policy: Policy) -> Shape:
    shape = shape_of(policy.model.config.to_dict(), "the model")
    assert isinstance(shape, Shape), shape
    return shape


def _peak() -> int:
    """Most bytes that this process had, by Linux's account."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024


if __name__ == "__main__":
    main()
