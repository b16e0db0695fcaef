"""What a reward and a verifier of one's own cost: zero-micro on two tasks, by the built-in pair and by ten lines.

    python benchmarks/own_code.py [--steps 6] [--rounds 2] [--held-out]

The two recipes take turns. Printed: seconds of a step (median over all rounds, the first step of each left out), their
ratio, what the training rollouts show, and with --held-out pass@1 at the end with its interval. The problems, the seed
and the rewards are the same, so where the own verifier agrees with the built-in one, so do the weights.
"""

import argparse
import tempfile
from pathlib import Path
from statistics import median

from ponder.files import file_digest
from ponder.pipeline.run import run
from ponder.recipe.load import load_recipe
from ponder.watch.metrics import read_metrics

OWN = """
from dataclasses import replace
from ponder.micro.problems import generate
from ponder.records import OwnGold
from ponder.reward import Judged

def problems(split, count, seed):
    for one in generate(("arithmetic", "equation"), ("en", "zh"), count, split, seed):
        yield replace(one, gold=OwnGold(function="mine.py:equal", answer=one.gold.answer))

def equal(answer, gold):
    return answer.strip().rstrip(".") == gold.answer

def right(judged: Judged) -> float:
    return float(judged.verdict.outcome == "right")
"""
RECIPE = """
name: NAME
stages:
  zero:
    kind: rl
    model: micro
    template: r1-zero
    problems: [{PROBLEMS split: train, count: 1200, seed: 1}}]
    held_out: {problems: [{PROBLEMS split: test, count: 48, seed: 2}}], samples: 8, temperature: 1.0, top_p: 1.0}
    rewards: {REWARDS}
    steps: 6
    problems_per_step: 16
    group_size: 16
    sampling: {max_tokens: 384}
    optimizer: {lr: 1.0e-4, warmup_steps: 2}
"""
VARIANTS = {
    "built-in": ("name: same, source: micro, tasks: [arithmetic, equation], ", "accuracy: 1, format: 1"),
    "own": ("name: same, source: python, file: mine.py, arguments: {", '"mine.py:right": 1, format: 1'),
}


def main() -> None:
    """Train the two in turn and print the comparison."""
    options = argparse.ArgumentParser()
    options.add_argument("--steps", type=int, default=6)
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--held-out", action="store_true")
    given = options.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in VARIANTS}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "mine.py").write_text(OWN)
        for turn in range(given.rounds):
            for name, (problems, rewards) in VARIANTS.items():
                text = RECIPE.replace("PROBLEMS ", problems).replace("REWARDS", rewards).replace("NAME", name)
                text = text if name == "own" else text.replace("}}", "}")
                (folder / "recipe.yaml").write_text(text)
                overrides = [f"stages.zero.steps={given.steps}"]
                overrides += [] if given.held_out else ["stages.zero.held_out=null"]
                out = folder / f"{name}-{turn}"
                run(load_recipe(folder / "recipe.yaml", overrides), out, text=text, say=lambda line: None)
                stage = out / "stages" / "zero"
                rows = read_metrics(stage)
                seconds[name] += [took for row in rows[2:] if (took := row["seconds/step"]) is not None]
                shown = {key: round(value, 3) for key, value in rows[-1].items() if key in SHOWN and value is not None}
                print(f"{name}: {shown}, weights {file_digest(stage / 'model' / 'model.safetensors')[:16]}", flush=True)
    middle = {name: median(some) for name, some in seconds.items()}
    print(f"seconds of a step: {middle}; own / built-in {middle['own'] / middle['built-in']:.3f}")


SHOWN = ("seconds/verify", "rollout/accuracy", "rollout/format_ok", "reward/mean", "evaluation/pass@1")


if __name__ == "__main__":
    main()
