"""The evaluate stage: every model on every benchmark, nothing sampled twice; then the report stage about it."""

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from ponder.errors import RecipeError
from ponder.evaluation import read_scores
from ponder.files import write_json
from ponder.policy import random_policy, save_policy
from ponder.recipe.stages import EvaluateStage, ReportStage
from ponder.stages.context import Context
from ponder.stages.evaluate import run_evaluate
from ponder.stages.report import run_report


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with one finished stage `base` that holds a tiny model, and a benchmark file."""
    folder = tmp_path_factory.mktemp("run")
    words = ["<pad>", "<eos>", "<think>", "</think>", *map(str, range(20))]
    plain = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<pad>"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, eos_token="<eos>", pad_token="<pad>")
    architecture = {
        "model_type": "llama",
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 96,
    }
    policy = random_policy(architecture, tokenizer, "r1-zero", seed=1, precision="fp32", device="cpu")
    save_policy(policy, folder / "stages" / "base" / "model")
    (folder / "sums.jsonl").write_text('{"prompt": "2 + 3", "answer": 5}\n{"prompt": "1 + 3", "answer": 4}\n')
    (folder / "sums.yaml").write_text(
        f"name: sums\nsamples: 2\nmax_tokens: 6\nproblems: [{{source: file, path: {folder / 'sums.jsonl'}}}]\n"
    )
    return folder


def context(folder: Path, config: Any, name: str, said: list[str]) -> Context[Any]:
    stage = folder / "stages" / name
    stage.mkdir(parents=True, exist_ok=True)
    inputs = {"base": folder / "stages" / "base"}
    return Context(config=config, name=name, folder=stage, seed=3, inputs=inputs, smoke=False, say=said.append)


def test_each_pair_once(made: Path) -> None:
    said: list[str] = []
    config = EvaluateStage(models=("base",), benchmarks=(str(made / "sums.yaml"),), samples=3)
    results = run_evaluate(context(made, config, "scores", said))
    path = made / "stages" / "scores" / "evaluation" / "base--sums.json"
    scores = read_scores(path)
    assert results == {"base": {str(made / "sums.yaml"): scores.overall.to_json()}}
    assert (scores.overall.problems, scores.overall.samples) == (2, 3)
    assert scores.provenance["model"] == "base"
    assert path.with_suffix(".jsonl").exists()
    assert "base on" in said[0] and "pass@1" in said[0]
    before = path.stat().st_mtime_ns
    assert run_evaluate(context(made, config, "scores", said)) == results
    assert path.stat().st_mtime_ns == before


def test_one_model_named_twice(made: Path) -> None:
    config = EvaluateStage(models=("base", "base"), benchmarks=("micro",))
    with pytest.raises(RecipeError, match="names one model twice"):
        run_evaluate(context(made, config, "twice", []))


def test_the_report_stage(made: Path) -> None:
    stages = {"scores": {"kind": "evaluate"}, "page": {"kind": "report"}}
    write_json(made / "recipe.resolved.json", {"smoke": False, "recipe": {"name": "tiny", "stages": stages}})
    said: list[str] = []
    config = ReportStage(stages=("scores",))
    assert run_report(context(made, config, "page", said)) == {"report": "report.html"}
    text = (made / "report.html").read_text()
    assert 'id="scores"' in text and 'id="page"' not in text
    assert json.dumps(str(made / "report.html"))[1:-1] in said[0]
