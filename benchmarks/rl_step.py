"""One step of R1-Zero's reinforcement learning: ponder against TRL 1.16's GRPOTrainer on this machine.

    python benchmarks/rl_step.py --shapes uniform,long_tail,m24 --steps 5

Both sides get the same weights, prompt ids, group size, temperature, length limit, objective (GRPO without divergence)
and learning rate, and run at their best settings (README.md beside this file). Each lives in its own process; they
take turns, in alternating order, and medians are compared after a step of warm-up. The last line printed is JSON.
"""

import argparse
import dataclasses
import json
import statistics
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

_TRL = "1.16"


def main() -> None:
    """Measure every shape asked for and print what was found."""
    arguments = _arguments()
    _require_trl()
    import torch
    from shapes import SHAPES
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.set_num_threads(arguments.threads)
    names = arguments.shapes.split(",")
    if unknown := set(names) - set(SHAPES):
        raise SystemExit(f"unknown shapes {sorted(unknown)}: there are {', '.join(SHAPES)}")
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            shape = SHAPES[name]
            if arguments.smoke:
                shape = dataclasses.replace(shape, num_problems=2, max_tokens=16)
            results[name] = _compare(shape, Path(folder), arguments)
    summary = {
        "ratios": {name: result["ratio"] for name, result in results.items()},
        "threads": arguments.threads,
        "steps": arguments.steps,
        "versions": {package: metadata.version(package) for package in ("torch", "transformers", "trl")},
        "shapes": results,
    }
    print(json.dumps(summary))


def _arguments() -> argparse.Namespace:
    import os

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shapes", default="uniform,long_tail,m24", help="comma-separated (default: all three)")
    parser.add_argument("--steps", type=int, default=5, help="steps of each side after the warm-up (default: 5)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="(default: all cores)")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, to see that everything runs")
    return parser.parse_args()


def _require_trl() -> None:
    try:
        version = metadata.version("trl")
        metadata.version("accelerate")
    except metadata.PackageNotFoundError as error:
        raise SystemExit(
            f"benchmarks/rl_step.py compares ponder with TRL, but {error.name!r} is not installed. Install the extra "
            f"'bench': pip install -e '.[bench]'"
        ) from error
    if not version.startswith(_TRL):
        raise SystemExit(
            f"benchmarks/rl_step.py compares ponder with TRL {_TRL}, but TRL {version} is installed. Install the extra "
            f"'bench': pip install -e '.[bench]'"
        )


def _compare(shape: Any, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Steps of both sides in turn; prints a table and returns its numbers."""
    from machine import measure, work
    from shapes import model_folder
    from side_ponder import ponder_side
    from side_trl import SETTINGS, trl_side
    from sides import Side
    from transformers import AutoConfig

    model = model_folder(shape, folder)
    config = AutoConfig.from_pretrained(model)
    limits = measure(shape.precision)
    settings = dict(SETTINGS[shape.name])
    settings["micro_batch"] = min(settings["micro_batch"], shape.num_completions)
    sides = {
        "ponder": Side("ponder", ponder_side, shape, model, arguments.threads, _LR),
        "trl": Side("TRL", trl_side, shape, model, arguments.threads, _LR, settings),
    }
    steps: dict[str, list[Any]] = {name: [] for name in sides}
    with sides["ponder"], sides["trl"]:
        peaks = {name: side.watched_step() for name, side in sides.items()}  # the warm-up
        for turn in range(arguments.steps):
            for name in list(sides) if turn % 2 else list(sides)[::-1]:
                steps[name].append(sides[name].step())
        peaks = {name: max(peaks[name], side.watched_step()) for name, side in sides.items()}

    print(
        f"\n{shape.name}: {shape.num_completions} completions of at most {shape.max_tokens} tokens, {shape.precision}, "
        f"{arguments.threads} threads; TRL: {settings}\n"
        f"machine: {limits.flops_per_second / 1e9:.0f} Gflop/s in a {shape.precision} matrix product, "
        f"{limits.bytes_per_second / 1e9:.1f} GB/s in a copy"
    )
    print(f"{'':8}{'step s':>8}{'from':>8}{'to':>8}{'tokens':>8}{'generate':>22}{'update':>20}{'peak memory':>13}")
    result: dict[str, Any] = {"machine": dataclasses.asdict(limits), "settings": settings}
    for name, measured in steps.items():
        seconds = statistics.median(s.seconds for s in measured)
        tokens = statistics.median(sum(s.lengths) for s in measured)
        needed = [work(config, shape, s) for s in measured]

        def share(amount: str, phase: str, rate: float, steps: Any = measured, needed: Any = needed) -> float:
            shares = (getattr(w, amount) / getattr(s, phase) / rate for w, s in zip(needed, steps, strict=True))
            return statistics.median(shares)

        side = result[name] = {
            "seconds": seconds,
            "tokens": tokens,
            "generate_tokens_per_second": statistics.median(sum(s.lengths) / s.generate_seconds for s in measured),
            "update_tokens_per_second": statistics.median(sum(s.lengths) / s.update_seconds for s in measured),
            "generate_share_of_flops": share("generate_flops", "generate_seconds", limits.flops_per_second),
            "generate_share_of_bandwidth": share("generate_bytes", "generate_seconds", limits.bytes_per_second),
            "update_share_of_flops": share("update_flops", "update_seconds", limits.flops_per_second),
            "peak_bytes": peaks[name],
        }
        print(
            f"{name:8}{seconds:8.2f}{min(s.seconds for s in measured):8.2f}{max(s.seconds for s in measured):8.2f}"
            f"{tokens:8.0f}{side['generate_tokens_per_second']:9.0f}/s "
            f"{side['generate_share_of_flops']:4.0%} {side['generate_share_of_bandwidth']:4.0%} "
            f"{side['update_tokens_per_second']:12.0f}/s {side['update_share_of_flops']:4.0%}"
            f"{side['peak_bytes'] / 2**20:9.0f} MiB"
        )
    result["ratio"] = result["trl"]["seconds"] / result["ponder"]["seconds"]
    print(
        f"ponder is {result['ratio']:.2f} times faster. After tokens/s stand shares of the machine's limits: matrix "
        f"product and memory bandwidth in generate, matrix product in update."
    )
    return result


_LR = 1e-6
"""So small that the model, and with it the lengths, stay the same over the steps."""

if __name__ == "__main__":
    if not __debug__:
        sys.exit("run without -O: the sides check each other by assertions")
    main()
