"""Commands that use a model: `sample` on a tiny one, `verify` on a small file."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from typer.testing import CliRunner

from ponder.cli import app
from ponder.errors import DataError
from ponder.policy import random_policy, save_policy


@pytest.fixture
def model(tmp_path: Path) -> Path:
    words = ["<pad>", "<eos>", "<think>", "</think>", *(f"w{i}" for i in range(20))]
    plain = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<pad>"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, eos_token="<eos>", pad_token="<pad>")
    config = {
        "model_type": "qwen2", "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 128,
    }  # fmt: skip
    save_policy(random_policy(config, tokenizer, "r1-zero", 0, "fp32", "cpu"), tmp_path / "model")
    return tmp_path / "model"


def test_sample_prints_every_completion_once_and_the_same_for_the_same_seed(model: Path) -> None:
    arguments = ["sample", str(model), "w1 w2", "w3", "-k", "2", "--max-tokens", "5", "--seed"]
    first, again, other = (CliRunner().invoke(app, [*arguments, seed]) for seed in ("1", "1", "2"))
    assert first.exit_code == 0, first.output
    assert first.stdout.count("w1 w2  [1 of 2]") == first.stdout.count("w3  [2 of 2]") == 1
    assert first.stdout.count("tokens, ") == 4
    assert sorted(first.stdout.splitlines()) == sorted(again.stdout.splitlines())
    assert sorted(first.stdout.splitlines()) != sorted(other.stdout.splitlines())


def test_sample_of_a_prompt_beyond_the_window(model: Path) -> None:
    result = CliRunner().invoke(app, ["sample", str(model), " ".join(["w1"] * 200)])
    assert isinstance(result.exception, DataError)
    assert "window" in str(result.exception)


def test_verify_judges_rows_in_order(tmp_path: Path) -> None:
    rows = [{"g": "1/2", "a": r"so \boxed{0.5}"}, {"g": "7", "a": r"\boxed{8}"}, {"g": "x+1", "a": "no idea"}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "out.jsonl"
    arguments = [
        "verify",
        str(tmp_path / "rows.jsonl"),
        "--kind",
        "math",
        "--gold",
        "g",
        "--answer",
        "a",
        "-o",
        str(out),
    ]
    result = CliRunner().invoke(app, [*arguments, "--workers", "1"])
    assert result.exit_code == 0, result.output
    judged = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["verdict"] for row in judged][:2] == ["right", "wrong"]
    assert judged[2]["verdict"] != "right" and all(row["reason"] for row in judged)
    assert "3 rows" in result.stdout
