"""What a smoke recipe reads from outside, made in the run folder: tiny random models of the architectures that the
recipe names, with the embedded tokenizer, and benchmarks of a few problems of the embedded world."""

from pathlib import Path
from typing import Any

from ponder.errors import ModelError
from ponder.evaluation.benchmark import Benchmark, find_benchmark
from ponder.files import EMBEDDED, EMBEDDED_BASE, is_gguf, model_path, publishing, read_json, write_json
from ponder.pipeline.smoke import TEACHER, benchmark_file, model_folder, tried
from ponder.recipe.architectures import known_architecture
from ponder.recipe.problems import MicroProblems
from ponder.recipe.recipe import Recipe
from ponder.recipe.stages import EvaluateStage
from ponder.seeds import derive_seed

__all__ = ["make_smoke_inputs"]

_PROBLEMS = MicroProblems(count=4, split="test")
_MAX_TOKENS = 8
_TEMPLATE = "r1-zero"
"""Of models whose stages name none."""


def make_smoke_inputs(recipe: Recipe, smoke: Recipe, folder: Path) -> None:
    """Make what `smoke`, the smoke recipe of `recipe`, reads in `folder` and is not there yet."""
    read = {reference for stage in smoke.stages.values() for reference in stage.writers()}
    named = {one for stage in recipe.stages.values() for one in stage.writers()} - recipe.stages.keys()
    for reference in sorted(named | {TEACHER}):
        path = model_folder(reference, folder)
        if str(path) in read and not path.exists():
            _make_model(reference, path, derive_seed(recipe.seed, "smoke", reference) % 2**31)
    for stage in recipe.stages.values():
        for name in tried(stage.benchmarks) if isinstance(stage, EvaluateStage) else ():
            found = find_benchmark(name)
            judge = found.judge if found.judge == "preference" else None  # the others are asked of a reader
            few = Benchmark(name=found.name, problems=(_PROBLEMS,), judge=judge, samples=2, max_tokens=_MAX_TOKENS)
            write_json(benchmark_file(name, folder), few.model_dump(mode="json"))


def _make_model(reference: str, folder: Path, seed: int) -> None:
    from ponder.policy import random_policy, save_policy
    from ponder.policy.pretrained import load_tokenizer
    from ponder.policy.shrink import shrink
    from ponder.policy.unpack import gguf_config

    config_file = EMBEDDED.get(reference, model_path(reference)) / "config.json"
    if is_gguf(model_path(reference)):
        architecture: dict[str, Any] | None = gguf_config(model_path(reference))
    else:
        architecture = read_json(config_file) if config_file.is_file() else known_architecture(reference)
    if architecture is None:
        raise ModelError(
            f"The architecture of {reference!r} is not known without downloading it, so it cannot be tried with "
            f"--smoke. Download the model's config.json into a folder and name that, or run without --smoke."
        )
    with publishing(folder) as temporary:
        tokenizer = load_tokenizer(EMBEDDED_BASE)
        save_policy(random_policy(shrink(architecture), tokenizer, _TEMPLATE, seed, "fp32", "cpu"), temporary)
