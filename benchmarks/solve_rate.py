"""Problems drawn by solve rate against problems in turn: how many groups teach something, how soon the model is good.

    python benchmarks/solve_rate.py [--seeds 3] [--steps 40] [--hopeless 1200] [--out FOLDER]

The embedded base model is trained on the six tasks of reasoning, for the right answer alone. Among the problems are
`--hopeless` ones that it never solves (JSON, sums too large for a head), as in any set that was not made for one
model. Both arms have the same problems, seeds and steps, and their useful groups are compared over equally many
sampled tokens: as many as the arm with fewer has in all. Printed: for each seed the share of useful groups, held-out
pass@1 on the six tasks at the end, and the first measurement of at least 0.60; then means over seeds, and as the last
line JSON. With --out the runs are kept, and a broken off benchmark goes on.
"""

import argparse
import json
import tempfile
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from statistics import fmean

from ponder.evaluation.scores import load_scores
from ponder.pipeline.run import run
from ponder.recipe import load_recipe
from ponder.watch.metrics import read_metrics

_GOOD = 0.60
_RECIPE = """\
name: NAME
seed: SEED
stages:
  zero:
    kind: rl
    model: micro
    template: r1-zero
    problems:
      - {name: known, source: micro, count: 1800, seed: 1}
      - {name: hopeless, source: micro, tasks: [form, calculator], count: HOPELESS, seed: 3}
    held_out:
      problems: [{source: micro, split: test, count: 96, seed: 2}]
      every: EVERY
      samples: 4
      samples_during: 4
      temperature: 1.0
      top_p: 1.0
    SAMPLER
    rewards: {accuracy: 1}
    steps: STEPS
    problems_per_step: 24
    group_size: 8
    sampling: {max_tokens: 256}
    optimizer: {lr: 1.0e-4, warmup_steps: 2}
"""
ARMS = {"in turn": "", "solve rate": "sampler: {by: solve_rate, keep: [0.2, 0.8]}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What a run showed, step by step (`taught` counts its useful groups), and its measurements of pass@1 by step."""

    groups: list[float]
    taught: list[float]
    tokens: list[float]
    measured: dict[int, float]

    def useful_within(self, tokens: float) -> float:
        """The share of useful groups among those of the first so many tokens, the step that passes them left out."""
        steps = max(1, sum(done <= tokens for done in accumulate(self.tokens)))
        return sum(self.taught[:steps]) / sum(self.groups[:steps])

    @property
    def good_at(self) -> int | None:
        """The first measured step of a good model."""
        return next((step for step, rate in sorted(self.measured.items()) if rate >= _GOOD), None)


def _trained(arm: str, seed: int, options: argparse.Namespace, folder: Path) -> Course:
    name = f"{arm.replace(' ', '-')}-{seed}"
    values = {"NAME": name, "SEED": seed, "STEPS": options.steps, "SAMPLER": ARMS[arm],
              "EVERY": options.every, "HOPELESS": options.hopeless}  # fmt: skip
    text = _RECIPE
    for key, value in values.items():
        text = text.replace(key, str(value))
    if not options.hopeless:
        text = "".join(line for line in text.splitlines(keepends=True) if "name: hopeless" not in line)
    file = folder / f"{name}.yaml"
    file.write_text(text)
    run(load_recipe(file), folder / name, text=text, say=lambda line: None)
    stage = folder / name / "stages" / "zero"
    rows = [row for row in read_metrics(stage) if row["step"]]
    return Course(
        groups=[row["groups/count"] for row in rows],
        taught=[row["groups/useful"] * row["groups/count"] for row in rows],
        tokens=[row["rollout/tokens"] for row in rows],
        measured={step: scores.overall.pass_at_1 for step, scores in load_scores(stage).items()},
    )


def _compare(options: argparse.Namespace, folder: Path) -> None:
    print("seed  arm         useful  pass@1  0.60 at step")
    found = []
    for seed in range(options.seeds):
        courses = {arm: _trained(arm, seed, options, folder) for arm in ARMS}
        tokens = min(sum(course.tokens) for course in courses.values())
        for arm, course in courses.items():
            useful, good_at = course.useful_within(tokens), course.good_at
            last = course.measured[max(course.measured)]
            when = "never" if good_at is None else good_at
            print(f"{seed:4}  {arm:10} {useful:7.1%} {last:7.3f}  {when}", flush=True)
            found.append({"seed": seed, "arm": arm, "useful": useful, "within_tokens": tokens, **asdict(course)})
    means = {arm: fmean(one["useful"] for one in found if one["arm"] == arm) for arm in ARMS}
    before, after = means.values()
    print(f"useful groups: {before:.1%} in turn, {after:.1%} by solve rate, {100 * (after - before):+.1f} points")
    print(json.dumps({"steps": options.steps, "hopeless": options.hopeless, "runs": found}))


def main() -> None:
    """Train both arms for each seed and print the comparison."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--every", type=int, default=4, help="steps between measurements")
    parser.add_argument("--hopeless", type=int, default=1200)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        _compare(options, options.out)
        return
    with tempfile.TemporaryDirectory() as folder:
        _compare(options, Path(folder))


if __name__ == "__main__":
    main()
