"""What comes from outside is looked at before anything runs, and watched for changes."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from ponder.errors import DataError, ModelError, RecipeError, RunFolderError
from ponder.files import EMBEDDED_BASE, write_json
from ponder.pipeline.columns import check_columns
from ponder.policy.scorer_file import ScorerFile
from ponder.recipe import Recipe

WINDOW_OF_256 = {
    "model_type": "qwen2", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8,
    "vocab_size": 16, "max_position_embeddings": 256,
}  # fmt: skip


def test_missing_inputs_stop_before_anything_runs(start: Callable[..., list[str]], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'nowhere\.jsonl' does not exist"):
        start("stages.zero.problems=[{source: file, path: nowhere.jsonl}]")
    with pytest.raises(ModelError, match=r"'\./nowhere' does not exist"):
        start("stages.zero.model=./nowhere")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_texts_is_no_file(
    start: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    searched = "stages.zero.environment={tools: [search], folder: texts}"
    with pytest.raises(DataError, match="the folder of texts 'texts' does not exist"):
        start(searched)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "one.txt").write_text("A paragraph.")
    assert start(searched) == ["base", "zero", "scores"]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        (
            "stages.zero.problems=[{source: file, path: q.jsonl, columns: {prompt: qestion}}]",
            "stage 'zero': Source 'q' has no column 'qestion', which `columns.prompt` names.*Did you mean 'question'",
        ),
        ("stages.zero.problems=[{source: file, path: torn.jsonl}]", "stage 'zero': .*torn.jsonl"),
    ],
)
def test_columns_that_no_row_has_stop_before_anything_runs(
    start: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, override: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "q.jsonl").write_text('{"question": "2+2?", "answer": "4"}\n')
    (tmp_path / "torn.jsonl").write_bytes(b"PAR1 is no line")
    with pytest.raises(DataError, match=words):
        start(override)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ("{kind: sft, model: micro, examples: [{source: file, path: q.jsonl}]}", "`columns.prompt` names"),
        (
            "{kind: reward_model, model: micro, loss: pairwise, data: [{source: file, path: q.jsonl}]}",
            "no column 'chosen'",
        ),
    ],
)
def test_columns_of_examples_and_pairs(tmp_path: Path, stage: str, words: str) -> None:
    (tmp_path / "q.jsonl").write_text('{"question": "2+2?", "answer": "4"}\n')
    text = stage.replace("q.jsonl", str(tmp_path / "q.jsonl"))
    recipe = Recipe.model_validate({"name": "r", "stages": {"it": yaml.safe_load(text)}})
    with pytest.raises(DataError, match=f"stage 'it': .*{words}"):
        check_columns("it", recipe.stages["it"])


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("stages.zero.rewards={acuracy: 1}", "stage 'zero': reward: there is none named 'acuracy'; did you mean"),
        ("stages.zero.problems=[{source: micro, tasks: [countdow]}]", "named 'countdow'; did you mean 'countdown'"),
        ("stages.base.held_out={problems: [{source: micro, tasks: [sums]}]}", "stage 'base': task .* named 'sums'"),
        ("stages.zero.problems=[{source: gym, task: chain_sums}]", "named 'chain_sums'; did you mean 'chain_sum'"),
        ("stages.scores.benchmarks=[gsm8q]", "no benchmark 'gsm8q'.*did you mean 'gsm8k'"),
    ],
)
def test_unknown_names_stop_before_anything_runs(
    start: Callable[..., list[str]], tmp_path: Path, override: str, words: str
) -> None:
    with pytest.raises(RecipeError, match=words):
        start(override)
    assert not (tmp_path / "out").exists()


def test_a_library_that_is_missing_stops_before_anything_runs(
    start: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    with pytest.raises(DataError, match=r"pip install 'ponder\[gym\]'"):
        start("stages.zero.problems=[{source: gym, task: chain_sum}]")
    assert not (tmp_path / "out").exists()


def test_a_limit_beyond_the_window_stops_before_anything_runs(start: Callable[..., list[str]], tmp_path: Path) -> None:
    model = tmp_path / "model"
    write_json(model / "config.json", WINDOW_OF_256)
    overrides = [f"stages.zero.model={model}", "stages.zero.sampling.max_tokens=200"]
    with pytest.raises(ModelError, match=r"completions of up to 300 tokens.*window of .* is 256"):
        start(*overrides, "stages.zero.sampling.length_schedule=[{from_step: 2, max_tokens: 300}]")
    assert start(*overrides) == ["base", "zero", "scores"]


OTHER = ScorerFile(
    scope="answer", loss="pairwise", template="r1", architecture="LlamaForSequenceClassification", model_type="llama",
    base="sft", end="<|end|>", max_tokens=8192, mean=0.0, deviation=1.0, even=0.0, weights="sha256:0",
)  # fmt: skip


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (None, "has no ponder_scorer.json.*made by a stage of kind `reward_model`"),
        (OTHER, r"holds a Qwen3ForCausalLM \(qwen3\), but its .* describes a LlamaForSequenceClassification \(llama\)"),
    ],
)
def test_what_is_no_reward_model_stops_before_anything_runs(
    start: Callable[..., list[str]], tmp_path: Path, file: ScorerFile | None, words: str
) -> None:
    shutil.copytree(EMBEDDED_BASE, tmp_path / "scorer")
    if file is not None:
        file.save(tmp_path / "scorer")
    with pytest.raises(ModelError, match=rf"stage 'zero', reward model '.*/scorer': .*{words}"):
        start("stages.zero.rewards.preference=1", f"stages.zero.reward_models={{helpful: {tmp_path}/scorer}}")
    assert not (tmp_path / "out").exists()


def test_a_changed_data_file_changes_the_fingerprint(start: Callable[..., list[str]], tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text(json.dumps({"prompt": "2+2?", "answer": "4"}))
    override = f"stages.zero.problems=[{{source: file, path: {data}}}]"
    start(override)
    data.write_text(json.dumps({"prompt": "2+3?", "answer": "5"}))
    with pytest.raises(RunFolderError, match=r"outside\..*data\.jsonl: sha256"):
        start(override)


ROBES = "name: robes\nproblems: [{source: file, path: FILE}]\n"


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"question": "2+2?", "answer": 4}], "no column 'prompt', .* There are: answer, question.* which columns"),
        ([{"prompt": "2+2?"}], "no column 'answer'.*`gold: null` with `judge: preference`"),
        ([{"prompt": "2+2?", "answer": ""}], "no usable problem: row 1 .* column 'answer' is empty"),
        ([], "it is empty"),
    ],
)
@pytest.mark.parametrize("form", ["yaml", "jsonl"])
def test_a_benchmark_without_gold_stops_before_anything_runs(
    start: Callable[..., list[str]], tmp_path: Path, rows: list[dict[str, object]], words: str, form: str
) -> None:
    data = tmp_path / "robes.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "robes.yaml").write_text(ROBES.replace("FILE", str(data)))
    with pytest.raises(DataError, match=rf"stage 'scores', benchmark '.*robes\.{form}': .*{words}"):
        start(f"stages.scores.benchmarks=[{tmp_path}/robes.{form}]")
    assert not (tmp_path / "out").exists()


def test_the_data_of_a_benchmark_file_are_watched(start: Callable[..., list[str]], tmp_path: Path) -> None:
    data = tmp_path / "robes.jsonl"
    (tmp_path / "robes.yaml").write_text(ROBES.replace("FILE", str(data)))
    override = f"stages.scores.benchmarks=[{tmp_path}/robes.yaml]"
    with pytest.raises(DataError, match=r"data file '.*robes\.jsonl' does not exist"):
        start(override)
    data.write_text('{"prompt": "2+2?", "answer": 4}\n')
    start(override)
    data.write_text('{"prompt": "2+2?", "answer": 5}\n')
    with pytest.raises(RunFolderError, match=r"scores \(outside\..*robes\.jsonl: sha256"):
        start(override)
