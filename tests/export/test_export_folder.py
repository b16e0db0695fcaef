"""`ponder export --to`: the folder works in plain transformers and datasets, and nothing is written over or half."""

import json
import shutil
from pathlib import Path

import datasets
import pytest
import torch
from huggingface_hub import DatasetCard, ModelCard
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from typer.testing import CliRunner

from ponder.cli import app
from ponder.errors import ModelError, PonderError, RunFolderError
from ponder.export.command import Gguf, export_command
from ponder.manifest import read_manifest
from ponder.policy import load_policy, save_policy
from ponder.recipe.examples import FileExamples
from ponder.records import Message
from ponder.task.examples import load_examples


@pytest.fixture(scope="session")
def exported(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("models") / "pupil"
    export_command(str(small_run / "pupil"), to, None)
    return to


def test_plain_transformers_have_the_weights_in_bfloat16(small_run: Path, exported: Path) -> None:
    before = AutoModelForCausalLM.from_pretrained(small_run / "stages/pupil/model").state_dict()
    after = AutoModelForCausalLM.from_pretrained(exported).state_dict()
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert after[name].dtype == torch.bfloat16
        assert torch.equal(after[name], tensor.bfloat16()), name
    assert json.loads((exported / "config.json").read_text())["dtype"] == "bfloat16"
    assert {oct(path.stat().st_mode & 0o777) for path in exported.iterdir()} == {"0o644"}


def test_plain_transformers_make_the_prompts_it_was_trained_with(exported: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(exported)
    policy = load_policy(exported)
    turns = [("user", "What is 2 + 3?"), ("assistant", "<think>\nTwo, three.\n</think>\n\n5"), ("user", "And 4 + 5?")]
    wanted = policy.template.encode(policy.tokenizer, [Message(role=role, content=text) for role, text in turns])  # type: ignore[arg-type]
    chat = [{"role": role, "content": text} for role, text in turns]
    assert list(wanted) == tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
    generation = GenerationConfig.from_pretrained(exported)
    assert (generation.temperature, generation.top_p, generation.do_sample) == (0.6, 0.95, True)
    assert set(generation.eos_token_id) == set(policy.stop_ids)


def test_an_exported_model_exports_to_the_same_files(exported: Path, tmp_path: Path) -> None:
    export_command(str(exported), tmp_path / "again", None)
    names = {path.name for path in exported.iterdir()} - {"README.md"}
    assert {path.name for path in (tmp_path / "again").iterdir()} - {"README.md"} == names
    for name in names:
        assert (tmp_path / "again" / name).read_bytes() == (exported / name).read_bytes(), name


def test_large_models_are_cut_into_shards(exported: Path, tmp_path: Path) -> None:
    policy = load_policy(exported, precision="fp32", device="cpu")
    save_policy(policy, tmp_path, dtype=torch.bfloat16, shard="2MB")
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    shards = set(index["weight_map"].values())
    assert len(shards) > 1
    assert all((tmp_path / name).stat().st_size < 2_100_000 for name in shards)
    again = AutoModelForCausalLM.from_pretrained(tmp_path).state_dict()
    for name, tensor in AutoModelForCausalLM.from_pretrained(exported).state_dict().items():
        assert torch.equal(again[name], tensor)


def test_data_sets_are_read_by_datasets_and_by_ponder(small_run: Path, tmp_path: Path) -> None:
    to = tmp_path / "data"
    export_command(str(small_run / "stages" / "data"), to, None)
    assert sorted(path.name for path in to.iterdir()) == ["README.md", "examples.jsonl"]
    rows = datasets.load_dataset(str(to), split="train", cache_dir=str(tmp_path / "cache"))
    kept = [json.loads(line) for line in (small_run / "stages/data/examples.jsonl").read_text().splitlines()]
    assert [row["answer"] for row in rows] == [one["answer"] for one in kept]
    loaded = load_examples([FileExamples(path=str(to / "examples.jsonl"), form="examples")], {})
    assert [entry.example.id for entry in loaded.examples] == [one["id"] for one in kept]
    assert DatasetCard.load(to / "README.md").data.license == "unknown"


def test_a_licence_can_be_stated(small_run: Path, tmp_path: Path) -> None:
    export_command(str(small_run / "stages/data"), tmp_path / "data", "cc-by-4.0")
    assert DatasetCard.load(tmp_path / "data" / "README.md").data.license == "cc-by-4.0"
    export_command(str(small_run / "cold"), tmp_path / "model", "mit")
    assert ModelCard.load(tmp_path / "model" / "README.md").data.license == "mit"


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("scores", ModelError, "an `evaluate` stage measures models of other stages"),
        ("nothing", ModelError, "There is no model folder"),
        ("", ModelError, "has several models: name one of"),
    ],
)
def test_what_has_no_model_is_refused(
    small_run: Path, tmp_path: Path, name: str, error: type[PonderError], said: str
) -> None:
    with pytest.raises(error, match=said):
        export_command(str(small_run / name), tmp_path / "to", None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_there_is_not_written_over(small_run: Path, tmp_path: Path, kind: str) -> None:
    to = tmp_path / "to"
    kept = to / "mine" if kind == "folder" else to
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("precious")
    with pytest.raises(RunFolderError, match=r"there already.*Name another place"):
        export_command(str(small_run / "pupil"), to, None)
    assert kept.read_text() == "precious"


def test_an_empty_folder_is_filled(small_run: Path, tmp_path: Path) -> None:
    export_command(str(small_run / "data"), tmp_path, None)
    assert (tmp_path / "examples.jsonl").is_file()


@pytest.fixture
def copied(small_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_run, tmp_path / "copied"))


def test_what_is_not_as_its_stage_left_it_is_refused(copied: Path, tmp_path: Path) -> None:
    with (copied / "stages/data/examples.jsonl").open("a") as file:
        file.write("{}\n")
    (copied / "stages/pupil/model/tokenizer.json").unlink()
    for name, file_name in (("data", "examples.jsonl"), ("pupil", "tokenizer.json")):
        with pytest.raises(RunFolderError, match=rf"{file_name}' is not what its stage left: expected sha256:"):
            export_command(str(copied / name), tmp_path / "to", None)
    assert not (tmp_path / "to").exists()


def test_unfinished_stages(copied: Path, tmp_path: Path) -> None:
    for name in ("data", "pupil"):
        (copied / "stages" / name / "done").unlink()
    shutil.rmtree(copied / "stages/pupil/model")
    with pytest.raises(ModelError, match=r"not finished .* run the recipe again"):
        export_command(str(copied / "data"), tmp_path / "data", None)
    export_command(str(copied / "pupil"), tmp_path / "pupil", None)
    assert "these are the weights of step 2." in (tmp_path / "pupil/README.md").read_text()
    manifest = read_manifest(copied / "stages/pupil")
    assert manifest is not None and manifest.fingerprint[:12] in (tmp_path / "pupil/README.md").read_text()
    shutil.rmtree(copied / "stages/pupil/checkpoints")
    with pytest.raises(ModelError, match="neither a finished model nor a checkpoint"):
        export_command(str(copied / "pupil"), tmp_path / "none", None)


def test_a_stage_that_kept_nothing(copied: Path, tmp_path: Path) -> None:
    manifest = json.loads((copied / "stages/data/manifest.json").read_text())
    (copied / "stages/data/manifest.json").write_text(json.dumps(manifest | {"products": {}}))
    (copied / "stages/data/examples.jsonl").unlink()
    with pytest.raises(ModelError, match=r"kept nothing, so there is no examples\.jsonl"):
        export_command(str(copied / "data"), tmp_path / "to", None)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "say where to"),
        (["--to", "x", "--type", "f16"], "say what a --gguf FILE holds"),
        (["--to", "x", "--ids-only"], "say what a --gguf FILE holds"),
        (["--gguf", "x", "--license", "mit"], "goes with --to"),
        (["--to", "gguf", "--type", "q8_0"], "--to NAME.gguf"),
    ],
)
def test_options_that_would_count_for_nothing_are_refused(options: list[str], said: str) -> None:
    result = CliRunner().invoke(app, ["export", "micro", *options], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert said in result.output


def test_a_folder_by_the_name_of_a_file_is_that_file(tmp_path: Path) -> None:
    options = ["--to", str(tmp_path / "micro.gguf"), "--type", "q8_0", "--ids-only"]
    result = CliRunner().invoke(app, ["export", "micro", *options])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "micro.gguf").read_bytes()[:4] == b"GGUF"


def test_a_file_cannot_stand_where_a_folder_is(tmp_path: Path) -> None:
    for to, path in ((None, tmp_path), (tmp_path / "x", tmp_path / "x")):
        with pytest.raises(RunFolderError, match="--gguf makes a file"):
            export_command("micro", to, None, Gguf(path=path, type="f32"))
    assert list(tmp_path.iterdir()) == []
