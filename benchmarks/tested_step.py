"""An RL step in which patches are judged by tests that last five seconds, beside sums that are judged at once.

    python benchmarks/tested_step.py [STEPS] [--busy]

The embedded model is shown how patches look and then trained on `bugfix` and `arithmetic` together. The tests sleep,
as those that wait for something do; with `--busy` they compute, and want the processors that sampling has. All run
twice, apart from the patched code and beside it. Printed for each step: different patches that tests ran on, the
seconds of sampling, those that were then still waited for verdicts, the whole step; and what the same tests take by
themselves, and with the rest of the step in sum. The last line is JSON.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from ponder.pipeline.run import run
from ponder.recipe import load_recipe
from ponder.records import RepositoryGold, Rollout
from ponder.text.template import TEMPLATES
from ponder.verify.patch import PatchError
from ponder.verify.pool import VerifierPool
from ponder.verify.repository import patched_files
from ponder.watch.metrics import read_metrics
from ponder.watch.rollouts import read_rollouts

_SLOWLY = {
    False: "    time.sleep(5)\n",
    True: "    end = time.process_time() + 5\n    while time.process_time() < end:\n        pass\n",
}
_PROBLEMS = """
from dataclasses import replace
from ponder.micro.problems import generate

def problems(count, seed, slowly):
    for one in generate(("bugfix",), ("en",), count, "train", seed):
        tests = {
            path: "import time\\n" + text.replace("    assert", slowly + "    assert", 1)
            for path, text in one.gold.tests.items()
        }
        yield replace(one, gold=replace(one.gold, tests=tests, seconds=60.0))
"""
_RECIPE = """\
name: tested-step
stages:
  met:
    kind: sft
    model: micro
    template: r1
    examples: [{{source: micro, tasks: [bugfix], languages: [en], count: 1600, seed: 1, careful: 0.3}}]
    steps: 60
    batch_size: 16
    optimizer: {{lr: 2.0e-3, warmup_steps: 5}}
    validation_share: 0
  mended:
    kind: rl
    model: met
    problems:
      - {{source: python, file: slow.py, arguments: {{count: 100, seed: 2, slowly: {slowly}}}}}
      - {{source: micro, tasks: [arithmetic], languages: [en], count: 300}}
    rewards: {{accuracy: 1, format: 0.2}}
    steps: {steps}
    problems_per_step: 16
    group_size: 16
    sampling: {{max_tokens: 256}}
    optimizer: {{lr: 1.0e-4}}
"""


def _patches(rollouts: list[Rollout]) -> dict[tuple[str, str], tuple[str, RepositoryGold]]:
    """Answers with a patch that applies, one of each, with their golds."""
    found = {}
    for one in rollouts:
        gold, completion = one.problem.gold, one.completion
        answer = TEMPLATES["r1"].split(completion.text, finished=completion.finish_reason == "stop").answer
        if not isinstance(gold, RepositoryGold) or answer is None:
            continue
        try:
            patched = patched_files(answer, gold)
        except PatchError:
            continue
        found[one.problem.id, json.dumps(patched)] = (answer, gold)
    return found


def _alone(patches: dict[tuple[str, str], tuple[str, RepositoryGold]]) -> float:
    """Seconds that the tests take when all are asked for at once, with nothing beside."""
    with VerifierPool() as pool:
        began = time.monotonic()
        for future in [pool.submit(answer, gold) for answer, gold in patches.values()]:
            future.result()
        return time.monotonic() - began


def main(steps: int, busy: bool) -> None:
    """Train, then test once more what each step tested."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file, out = folder / "tested-step.yaml", folder / "run"
        file.write_text(_RECIPE.format(steps=steps, slowly=json.dumps(_SLOWLY[busy])))
        (folder / "slow.py").write_text(_PROBLEMS)
        run(load_recipe(file), out, text=file.read_text(), say=lambda line: None)
        stage = out / "stages" / "mended"
        logged = [(one.step, one.rollout) for one in read_rollouts(stage)]
        rows = [row for row in read_metrics(stage) if row["step"]]
        found = []
        print("step  patches sampling   waited     step    tests      sum")
        for row in rows:
            patches = _patches([rollout for step, rollout in logged if step == row["step"]])
            alone, waited, whole = _alone(patches), row["seconds/verify"], row["seconds/step"]
            cells = (row["seconds/generate"], waited, whole, alone, whole - waited + alone)
            print(f"{int(row['step']):4} {len(patches):8}", *(f"{cell:8.1f}" for cell in cells))
            found.append(dict(zip(("sampling", "waited", "step", "tests", "sum"), cells, strict=True)))
        print(json.dumps({"busy": busy, "steps": found}))


if __name__ == "__main__":
    numbers = [word for word in sys.argv[1:] if word.isdigit()]
    main(int(numbers[0]) if numbers else 2, "--busy" in sys.argv)
