"""Whether sampling ahead learns as sampling in turn does, and overlaps: zero-micro with `engine.lag` 0 and 1.

    python benchmarks/lag.py [--seeds 0 1 2] [--lags 0 1] [--steps 50] [KEY=VALUE ...]

Each run is `ponder run zero-micro` with one thread, so that with lag one core samples and another trains. Printed for
each: held-out pass@1 at the start and at the end with its 95 % interval, the steps' staleness, and of steps after the
first their mean seconds, those of sampling and judging, those of all else, and the step over the longer of the two
(without lag it is their sum). Other arguments are overrides of the recipe. The last line is JSON.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import fmean
from typing import Any

_BESIDE = ("generate", "verify", "judge", "score")


def main() -> None:
    """Run what is asked for, and print a line about each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--lags", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_args()
    found = []
    for seed in arguments.seeds:
        for lag in arguments.lags:
            with tempfile.TemporaryDirectory() as folder:
                one = measured(Path(folder), seed, lag, arguments.steps, arguments.overrides)
            found.append(one)
            print(told(one), flush=True)
    print(json.dumps(found))


def measured(folder: Path, seed: int, lag: int, steps: int, overrides: list[str]) -> dict[str, Any]:
    """One run from its start to its end."""
    given = [f"seed={seed}", f"stages.zero.steps={steps}", f"stages.zero.engine.lag={lag}", *overrides]
    command = [sys.executable, "-m", "ponder.cli", "run", "zero-micro", "--out", str(folder / "run"), *given]
    done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    stage = folder / "run" / "stages" / "zero"
    rows = [json.loads(line) for line in (stage / "metrics.jsonl").read_text().splitlines()]
    timed = [row for row in rows if row.get("seconds/generate") is not None][1:]
    beside = fmean(sum(row.get(f"seconds/{name}", 0.0) for name in _BESIDE) for row in timed)
    step = fmean(row["seconds/step"] for row in timed)
    spent = ("wait",) if lag else _BESIDE
    rest = fmean(row["seconds/step"] - sum(row.get(f"seconds/{name}", 0.0) for name in spent) for row in timed)
    return {
        "seed": seed,
        "lag": lag,
        "steps": steps,
        "held_out": json.loads((stage / "manifest.json").read_text())["results"],
        "staleness": sorted({row.get("policy/staleness", 0.0) for row in rows if row["step"] > lag}),
        "seconds": {"step": step, "sampling": beside, "rest": rest},
        "step_over_longer": step / max(beside, rest),
    }


def told(one: dict[str, Any]) -> str:
    """One line for people."""
    scores = [one["held_out"][name] for name in ("start", "end") if name in one["held_out"]]
    passed = " -> ".join(
        "{:.3f} ({:.3f} to {:.3f})".format(score["pass@1"], *score["pass@1_interval"]) for score in scores
    )
    seconds = ", ".join(f"{name} {value:.2f}" for name, value in one["seconds"].items())
    stale = ", ".join(f"{value:g}" for value in one["staleness"])
    return (
        f"seed {one['seed']}, lag {one['lag']}: pass@1 {passed or 'not measured'}; {stale} updates old; "
        f"seconds: {seconds}; step / longer {one['step_over_longer']:.2f}"
    )


if __name__ == "__main__":
    main()
