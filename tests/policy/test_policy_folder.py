"""Folders that hold more than a model, or less: one sentence each, and nothing of theirs is run or applied."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from devices import DEVICE
from safetensors.torch import load_file, save_file

from ponder.errors import ModelError
from ponder.policy import Policy, load_policy, resolve_model, save_policy

QUANTISED: dict[str, dict[str, Any]] = {
    "bitsandbytes, 4 bit": {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
    "bitsandbytes of old, which did not name itself": {"quantization_config": {"load_in_8bit": True}},
    "awq": {"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm"}},
    "gptq": {"quantization_config": {"quant_method": "gptq", "bits": 4, "desc_act": False}},
    "fp8, as DeepSeek-V3": {"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}},
    "compressed-tensors": {"quantization_config": {"format": "pack-quantized", "quant_method": "compressed-tensors"}},
    "compressed-tensors of old": {"compression_config": {"format": "float-quantized"}},
    "mxfp4": {"quantization_config": {"quant_method": "mxfp4"}},
    "MLX": {"quantization": {"group_size": 64, "bits": 4}},
    "inside a model of text and images": {"text_config": {"quantization_config": {"quant_method": "gptq"}}},
}


@pytest.fixture
def folder(qwen2: Policy, tmp_path: Path) -> Path:
    save_policy(qwen2, tmp_path / "model")
    return tmp_path / "model"


def edit(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def refused(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load_policy(folder, device=DEVICE)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("form", QUANTISED)
def test_quantised_configurations(form: str, folder: Path) -> None:
    edit(folder / "config.json", **QUANTISED[form])
    message = refused(folder)
    assert "is quantised (" in message and "in bf16 or fp32" in message


@pytest.mark.parametrize("file", ["quantize_config.json", "quant_config.json", "hf_quant_config.json"])
def test_quantised_by_a_file_of_their_own(file: str, folder: Path) -> None:
    (folder / file).write_text("{}")
    assert f"is quantised (it has a {file})" in refused(folder)


@pytest.mark.parametrize(("dtype", "name"), [(torch.float8_e4m3fn, "F8_E4M3"), (torch.int8, "I8"), (torch.uint8, "U8")])
def test_weights_that_are_quantised_and_nothing_says_so(dtype: torch.dtype, name: str, folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    key = "model.layers.1.mlp.up_proj.weight"
    save_file(weights | {key: weights[key].to(dtype)}, folder / "model.safetensors", metadata={"format": "pt"})
    assert f"is quantised (its weight {key!r} is of the type {name})" in refused(folder)


@pytest.mark.filterwarnings("ignore:The files of")
def test_masks_are_no_weights(folder: Path) -> None:
    """As in the files of Pythia."""
    weights = load_file(folder / "model.safetensors")
    mask = torch.ones(1, 1, 8, 8, dtype=torch.uint8).tril()
    masks = {"model.layers.0.attention.bias": mask, "model.layers.0.attention.masked_bias": mask.to(torch.int8)}
    save_file(weights | masks, folder / "model.safetensors", metadata={"format": "pt"})
    loaded = load_policy(folder, device=DEVICE).model.state_dict()
    assert all(torch.equal(loaded[name], weight) for name, weight in weights.items())


def test_double_precision_is_no_quantisation(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file({n: w.double() for n, w in weights.items()}, folder / "model.safetensors", metadata={"format": "pt"})
    loaded = load_policy(folder, device=DEVICE).model.state_dict()
    assert all(torch.equal(loaded[name], weight) for name, weight in weights.items())


@pytest.mark.parametrize("kind", ["link to nowhere", "folder", "link to itself"])
def test_weights_that_are_no_file(kind: str, folder: Path) -> None:
    file = folder / "model.safetensors"
    file.unlink()
    if kind == "folder":
        file.mkdir()
    else:
        file.symlink_to("nowhere" if kind == "link to nowhere" else file.name)
    assert "cannot be loaded" in refused(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_files_that_were_not_fetched(name: str, folder: Path) -> None:
    (folder / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 123\n")
    assert f"{name}' is a pointer of Git LFS" in refused(folder)


def test_code_in_pickled_weights_is_not_run(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    mark = folder / "it-ran"

    class Weight:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (mark,)

    torch.save({"model.embed_tokens.weight": Weight()}, folder / "pytorch_model.bin")
    assert "cannot be loaded: Weights only load failed" in refused(folder)
    assert not mark.exists()


def test_an_attention_that_the_folder_asks_for(folder: Path) -> None:
    """That of the machine it was made on; ponder uses its own."""
    edit(folder / "config.json", _attn_implementation="flash_attention_2", attn_implementation="flash_attention_2")
    assert load_policy(folder, device=DEVICE).window == 256


def test_null_is_no_quantisation(folder: Path) -> None:
    edit(folder / "config.json", quantization_config=None)
    assert load_policy(folder, device=DEVICE).window == 256


def test_an_adapter_beside_a_model(folder: Path) -> None:
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": "x"}))
    message = refused(folder)
    assert "'adapter_config.json'" in message and "Merge" in message and "elsewhere" in message


def test_an_adapter_alone(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"an adapter .* and no model"):
        resolve_model(tmp_path)


def with_code(folder: Path, file: str, **auto_map: Any) -> Path:
    """A folder whose code would leave a mark if it were run."""
    mark = folder / "it-ran"
    code = f"open({str(mark)!r}, 'w')\nraise SystemExit\n"
    for name in ("modeling_own.py", "configuration_own.py", "tokenization_own.py"):
        (folder / name).write_text(code)
    edit(folder / file, auto_map=auto_map)
    return mark


@pytest.mark.parametrize(
    ("file", "kind", "brought"),
    [
        ("config.json", "own", {"AutoConfig": "configuration_own.OwnConfig"}),
        ("config.json", "own", {"AutoModelForCausalLM": "modeling_own.OwnForCausalLM"}),
        ("config.json", "qwen2", {"AutoModelForCausalLM": "modeling_own.Qwen2WithATwistForCausalLM"}),
        ("config.json", "qwen2", {"AutoModelForCausalLM": "someone/else--modeling_own.OwnForCausalLM"}),
        ("tokenizer_config.json", "qwen2", {"AutoTokenizer": ["tokenization_own.OwnTokenizer", None]}),
    ],
)
def test_code_of_a_folder_is_never_run(
    file: str, kind: str, brought: dict[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda *words: pytest.fail("asked at the terminal"))
    edit(folder / "config.json", model_type=kind)
    mark = with_code(folder, file, **brought)
    assert "needs code that its folder brings" in refused(folder)
    assert not mark.exists()


def test_code_that_has_become_part_of_transformers_is_left_aside(folder: Path) -> None:
    mark = with_code(
        folder,
        "config.json",
        AutoConfig="configuration_own.Qwen2Config",
        AutoModel="modeling_own.Qwen2Model",
        AutoModelForCausalLM="modeling_own.Qwen2ForCausalLM",
    )
    assert type(load_policy(folder, device=DEVICE).model).__module__.startswith("transformers.")
    assert not mark.exists()


@pytest.mark.parametrize("content", ["", "{", "[1]", "null", "\x00"])
def test_a_generation_config_that_is_none_is_not_passed_over(content: str, folder: Path) -> None:
    (folder / "generation_config.json").write_text(content)
    assert "generation_config.json' is damaged" in refused(folder)


def test_weights_that_are_all_zero(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file(
        {name: torch.zeros_like(one) for name, one in weights.items()}, folder / "model.safetensors", {"format": "pt"}
    )
    assert "are all zero" in refused(folder)
