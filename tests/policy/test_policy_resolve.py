"""Models of the hub: what is fetched of a repository, and what is said before its weights are."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from devices import DEVICE
from huggingface_hub.utils import filter_repo_objects
from test_policy_folder import edit

from ponder.errors import ModelError
from ponder.policy import Policy, load_policy, resolve_model, save_policy

COMMIT = "1" * 40
Files = Callable[[], set[str]]


@pytest.fixture
def repository(qwen2: Policy, tmp_path: Path) -> Path:
    save_policy(qwen2, tmp_path / "repository")
    return tmp_path / "repository"


@pytest.fixture
def fetched(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    """A hub with that repository; which of its files are here."""
    here = tmp_path / "snapshots" / COMMIT

    def download(
        name: str,
        *,
        revision: str | None,
        allow_patterns: Sequence[str],
        ignore_patterns: Sequence[str],
        local_files_only: bool,
    ) -> str:
        assert name == "maker/tiny" and revision in (None, COMMIT)
        there = [str(path.relative_to(repository)) for path in repository.rglob("*") if path.is_file()]
        wanted: list[str] = list(
            filter_repo_objects(there, allow_patterns=list(allow_patterns), ignore_patterns=list(ignore_patterns))
        )
        for file in wanted:
            (here / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(repository / file, here / file)
        return str(here)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    return lambda: {str(path.relative_to(here)) for path in here.rglob("*") if path.is_file()}


def put(folder: Path, name: str, value: Any = None) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(value))


def test_files_in_folders_are_left_there(repository: Path, fetched: Files) -> None:
    there = {path.name for path in repository.iterdir()}
    for name in ("onnx/config.json", "half/model.safetensors", "pytorch_model.bin", "README.md"):
        put(repository, name)
    put(repository, "additional_chat_templates/tools.jinja", "{{ messages }}")
    assert resolve_model("maker/tiny").name == COMMIT
    assert fetched() == there | {"additional_chat_templates/tools.jinja"}


@pytest.mark.parametrize("shard", ["50GB", "20KB"])
def test_weights_that_stand_there_twice_are_fetched_once(
    shard: str, repository: Path, fetched: Files, qwen2: Policy
) -> None:
    save_policy(qwen2, repository, shard=shard)
    if shard == "20KB":
        (repository / "model.safetensors").unlink()
        put(repository, "model-of-another-time.safetensors")
    wanted = {path.name for path in repository.iterdir()} - {"model-of-another-time.safetensors"}
    put(repository, "consolidated.safetensors")
    resolve_model("maker/tiny")
    assert fetched() == wanted and any("-00002-of-" in name for name in wanted) == (shard == "20KB")


def test_weights_by_another_name_where_there_are_no_others(repository: Path, fetched: Files) -> None:
    (repository / "model.safetensors").rename(repository / "consolidated.safetensors")
    with pytest.raises(ModelError):  # transformers does not look there
        load_policy("maker/tiny", device=DEVICE)
    assert "consolidated.safetensors" in fetched()


def test_pickled_weights_where_there_are_no_others(repository: Path, fetched: Files, qwen2: Policy) -> None:
    (repository / "model.safetensors").unlink()
    torch.save(qwen2.model.state_dict(), repository / "pytorch_model.bin")
    torch.save({}, repository / "optimizer.bin")
    loaded = load_policy("maker/tiny", device=DEVICE).model.state_dict()
    assert "pytorch_model.bin" in fetched() and "optimizer.bin" not in fetched()
    assert all(torch.equal(loaded[name], weight) for name, weight in qwen2.model.state_dict().items())


@pytest.mark.parametrize(
    ("config", "said", "weights"),
    [
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, r"is quantised \(quant_method: gptq\)", False),
        ({"auto_map": {"AutoConfig": "own.OwnConfig"}, "model_type": "own"}, "needs code that its folder", False),
        ({"quantization_config": {"quant_method": "fp8"}}, r"is quantised \(quant_method: fp8\)", True),
    ],
)
def test_what_the_configuration_says_is_said_before_weights_are_fetched(
    config: dict[str, Any], said: str, weights: bool, repository: Path, fetched: Files
) -> None:
    edit(repository / "config.json", **config)
    with pytest.raises(ModelError, match=said):
        resolve_model("maker/tiny")
    assert ("model.safetensors" in fetched()) == weights


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("adapter_config.json", r"'maker/tiny' holds an adapter \('adapter_config.json'\) and no model"),
        ("tiny-Q4_0.gguf", "'maker/tiny' on the Hugging Face hub has no config.json, .* a GGUF file of it can be"),
    ],
)
def test_repositories_without_a_model(file: str, said: str, repository: Path, fetched: Files) -> None:
    (repository / "config.json").unlink()
    put(repository, file, {})
    with pytest.raises(ModelError, match=said):
        resolve_model("maker/tiny")
    assert "model.safetensors" not in fetched()
