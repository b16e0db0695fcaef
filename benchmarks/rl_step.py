"""One step of R1-Zero's reinforcement learning: ponder against TRL 1.16's GRPOTrainer on this machine.

    python benchmarks/rl_step.py --shapes uniform,long_tail,m24 --steps 5
    python benchmarks/rl_step.py --shapes q05 --model FOLDER         # a real model, such as Qwen2.5-Coder-0.5B-Instruct

Both sides get the same weights, prompt ids, group size, temperature, length limit, objective (GRPO without divergence)
and learning rate, and run at their best settings (README.md beside this file). Each lives in its own process; they
take turns, in alternating order, and medians are compared after a step of warm-up. The last line printed is JSON.
"""

import argparse
import dataclasses
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

_TRL = "1.16"


def main() -> None:
    """Measure every shape asked for and print what was found."""
    arguments = _arguments()
    _require_trl()
    import torch
    from shapes import SHAPES, USUAL
    from sides import SideEnded
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.set_num_threads(arguments.threads)
    names = (arguments.shapes or USUAL).split(",")
    if unknown := set(names) - set(SHAPES):
        raise SystemExit(f"unknown shapes {sorted(unknown)}: there are {', '.join(SHAPES)}")
    if arguments.model is None and (real := [name for name in names if SHAPES[name].real]):
        raise SystemExit(f"{', '.join(real)} is measured on a real model: name its folder by --model FOLDER")
    if arguments.model is not None and not (arguments.model / "config.json").is_file():
        raise SystemExit(f"--model {arguments.model}: no config.json there, so it is no folder of a model")
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            shape = SHAPES[name]
            if arguments.smoke:
                shape = dataclasses.replace(shape, num_problems=2, max_tokens=16)
            try:
                results[name] = _compare(shape, Path(folder), arguments)
            except SideEnded as error:
                raise SystemExit(str(error)) from error
    summary = {
        "ratios": {name: result["ratio"] for name, result in results.items()},
        "threads": arguments.threads,
        "steps": arguments.steps,
        "versions": {package: metadata.version(package) for package in ("torch", "transformers", "trl")},
        "shapes": results,
    }
    print(json.dumps(summary))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shapes", help="comma-separated (default: uniform,long_tail,m24)")
    parser.add_argument("--model", type=Path, help="folder of the real model that q05 is measured on")
    parser.add_argument("--steps", type=int, default=5, help="steps of each side after the warm-up (default: 5)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="(default: all cores)")
    parser.add_argument("--tune", action="store_true", help="look for TRL's best settings first (slow)")
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

    model = model_folder(shape, folder, arguments.model)
    config = AutoConfig.from_pretrained(model)
    limits = measure(shape.precision)
    settings = _tuned(shape, model, arguments.threads) if arguments.tune else SETTINGS[shape.name]
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

    numbers = {
        name: _numbers(taken, [work(config, shape, step) for step in taken], limits) | {"peak_bytes": peaks[name]}
        for name, taken in steps.items()
    }
    ratio = numbers["trl"]["seconds"] / numbers["ponder"]["seconds"]
    most = numbers["trl"]["seconds"] / numbers["ponder"]["seconds_at_full_rate"]
    print(
        f"\n{shape.name}: {shape.num_completions} completions of at most {shape.max_tokens} tokens, {shape.precision}, "
        f"{arguments.threads} threads; TRL: {settings}\n"
        f"machine: {limits.flops_per_second / 1e9:.0f} Gflop/s in a {shape.precision} matrix product, "
        f"{limits.bytes_per_second / 1e9:.1f} GB/s in a copy\n"
        f"{'':8}{'step s':>8}{'from':>8}{'to':>8}{'tokens':>8}{'longest':>9}{'generate':>22}{'update':>20}"
        f"{'peak memory':>13}"
    )
    for name, side in numbers.items():
        print(
            f"{name:8}{side['seconds']:8.2f}{side['fastest']:8.2f}{side['slowest']:8.2f}{side['tokens']:8.0f}"
            f"{side['longest']:9.0f}{side['generate_tokens_per_second']:9.0f}/s "
            f"{side['generate_share_of_flops']:4.0%} {side['generate_share_of_bandwidth']:4.0%} "
            f"{side['update_tokens_per_second']:12.0f}/s {side['update_share_of_flops']:4.0%}"
            f"{side['peak_bytes'] / 2**20:9.0f} MiB"
        )
    print(
        f"ponder is {ratio:.2f} times faster. After tokens/s stand shares of the machine's limits: matrix product and "
        f"memory bandwidth in generate, matrix product in update.\n"
        f"The least work of this step takes {numbers['ponder']['seconds_at_full_rate']:.2f} s at the full rate of a "
        f"matrix product, so that {most:.2f} times is the most that this machine allows."
    )
    return {
        "ratio": ratio,
        "ratio_at_full_rate": most,
        **numbers,
        "machine": dataclasses.asdict(limits),
        "settings": dataclasses.asdict(settings),
    }


def _numbers(steps: list[Any], needed: list[Any], limits: Any) -> dict[str, float]:
    """Medians over the steps of one side."""

    def median(value: Callable[[Any, Any], float]) -> float:
        return statistics.median(value(step, work) for step, work in zip(steps, needed, strict=True))

    flops, bandwidth = limits.flops_per_second, limits.bytes_per_second
    return {
        "seconds": median(lambda s, w: s.seconds),
        "fastest": min(s.seconds for s in steps),
        "slowest": max(s.seconds for s in steps),
        "tokens": median(lambda s, w: sum(s.lengths)),
        "longest": median(lambda s, w: max(s.lengths)),
        "generate_tokens_per_second": median(lambda s, w: sum(s.lengths) / s.generate_seconds),
        "update_tokens_per_second": median(lambda s, w: sum(s.lengths) / s.update_seconds),
        "generate_share_of_flops": median(lambda s, w: w.generate_flops / s.generate_seconds / flops),
        "generate_share_of_bandwidth": median(lambda s, w: w.generate_bytes / s.generate_seconds / bandwidth),
        "update_share_of_flops": median(lambda s, w: w.update_flops / s.update_seconds / flops),
        "seconds_at_full_rate": median(lambda s, w: (w.generate_flops + w.update_flops) / flops),
    }


def _tuned(shape: Any, model: Path, threads: int) -> Any:
    """The settings with which TRL makes a shorter step fastest."""
    from side_trl import TRIALS, Settings, trl_side
    from sides import Side, SideEnded

    short = dataclasses.replace(shape, max_tokens=max(16, shape.max_tokens // 4))
    seconds: dict[Settings, float] = {}
    best = Settings()
    for field, values in TRIALS.items():
        if field == "bf16_weights" and shape.precision != "bf16":
            continue
        for settings in (dataclasses.replace(best, **{field: value}) for value in values):
            if settings in seconds:
                continue
            try:
                with Side("TRL", trl_side, short, model, threads, _LR, settings) as side:
                    side.step()
                    seconds[settings] = side.step().seconds
            except SideEnded as error:
                seconds[settings] = float("inf")
                print(error)
            print(f"{seconds[settings]:8.2f} s with {settings}", flush=True)
        best = min(seconds, key=lambda settings: seconds[settings])
    return best


_LR = 1e-6
"""So small that the model, and with it the lengths, stay the same over the steps."""

if __name__ == "__main__":
    if not __debug__:
        sys.exit("run without -O: the sides check each other by assertions")
    main()
