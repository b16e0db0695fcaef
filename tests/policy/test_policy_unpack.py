"""GGUF files and fp8 folders are loaded as whole weights, the same as what they stand for."""

import json
import resource
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from devices import DEVICE
from safetensors.torch import load_file, save_file
from tiny_models import ARCHITECTURES, tiny_policy
from transformers import PreTrainedTokenizerFast

from ponder.errors import ModelError, RunFolderError
from ponder.export.gguf_file import prepare_gguf
from ponder.pipeline.shape import find_shape
from ponder.policy import Policy, load_policy, random_policy, resolve_model, save_policy
from ponder.recipe.recipe import Recipe


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def load(path: Path) -> Policy:
    return load_policy(path, "r1-zero", precision="fp32", device=DEVICE)


def with_tokenizer(policy: Policy, path: Path) -> None:
    """A GGUF file with the tokenizer beside it."""
    path.parent.mkdir()
    prepare_gguf(policy, "f32", ids_only=True).write(path, "tiny")
    policy.tokenizer.save_pretrained(path.parent)


def test_a_gguf_file(qwen2: Policy, tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "in" / "tiny.gguf"
    with_tokenizer(qwen2, path)
    with pytest.warns(UserWarning, match=r"tiny.gguf' were written out whole, as a plain folder"):
        loaded = load(path)
    for name, tensor in qwen2.model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], tensor), name
    assert loaded.tokenizer.get_vocab() == qwen2.tokenizer.get_vocab()
    assert load(path).window == 256 and len(list((cache / "ponder" / "models").iterdir())) == 1  # found again
    save_policy(loaded, tmp_path / "trained")
    assert load(tmp_path / "trained").stop_ids == loaded.stop_ids


WEIGHT = "blk.1.ffn_up.weight"
ADD = {str: "add_string", int: "add_uint32", float: "add_float32"}


def changed(
    policy: Policy,
    folder: Path,
    keys: dict[str, Any] | None = None,
    tensors: dict[str, tuple[int, ...] | None] | None = None,
) -> Path:
    """The policy's GGUF file with other keys, and with ones in tensors of these shapes, or without them for None."""
    with_tokenizer(policy, folder / "whole.gguf")
    reader = gguf.GGUFReader(folder / "whole.gguf")
    writer = gguf.GGUFWriter(folder / "changed.gguf", reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name != "general.architecture":
            inner = field.types[-1] if len(field.types) > 1 else None
            writer.add_key_value(name, field.contents(), field.types[0], inner)
    for name, value in (keys or {}).items():
        getattr(writer, ADD[type(value)])(name, value)
    other = tensors or {}
    for tensor in reader.tensors:
        if tensor.name not in other:
            writer.add_tensor(tensor.name, np.array(tensor.data))
    for name, shape in other.items():
        if shape is not None:
            writer.add_tensor(name, np.ones(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return folder / "changed.gguf"


@pytest.mark.parametrize(
    ("keys", "tensors", "said"),
    [
        ({}, {WEIGHT: None}, "lack 1 of the weights, such as 'model.layers.1.mlp.up_proj.weight'"),
        ({}, {WEIGHT: (3, 32)}, r"weight 'model.layers.1.mlp.up_proj.weight' is of shape \(3, 32\)"),
        ({}, {"blk.0.attn_q_norm.weight": (8,)}, "1 weights, such as 'blk.0.attn_q_norm.weight', for which a Qwen2For"),
        ({"split.count": 2}, {}, "one part of a GGUF model in several files"),
        ({"qwen2.rope.scaling.type": "longrope", "qwen2.rope.scaling.factor": 4.0}, {}, "'rope.scaling.type' says"),
        ({"qwen2.rope.scaling.attn_factor": 1.2}, {}, "by its key 'rope.scaling.attn_factor'"),
        ({"qwen2.rope.dimension_count": 4}, {}, "in 4 of the 8 numbers of a head, by its key 'rope.dimension_count'"),
        ({"qwen2.rope.freq_base_swa": 100.0}, {}, "by its key 'rope.freq_base_swa'"),
        ({}, {"rope_factors_long.weight": (4,)}, "by its tensor 'rope_factors_long.weight'"),
        (
            {"qwen2.rope.scaling.type": "yarn", "qwen2.rope.scaling.factor": 4.0},
            {"rope_freqs.weight": (4,)},
            "'rope.scaling.type' and in another way",
        ),
    ],
)
def test_files_that_would_be_read_wrongly(
    keys: dict[str, Any],
    tensors: dict[str, tuple[int, ...] | None],
    said: str,
    qwen2: Policy,
    tmp_path: Path,
    cache: Path,
) -> None:
    with pytest.raises(ModelError, match=said) as caught:
        resolve_model(changed(qwen2, tmp_path / "in", keys, tensors))
    assert "\n" not in str(caught.value)
    assert not list(cache.rglob("*.safetensors"))


def test_biases_that_transformers_does_not_read(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    """Of a llama with them, which such a file does not say."""
    with_tokenizer(tiny_policy("llama", tokenizer), tmp_path / "in" / "tiny.gguf")
    with pytest.raises(ModelError, match=r"such as 'blk.0.attn_k.bias', for which a LlamaForCausalLM has no place"):
        resolve_model(tmp_path / "in" / "tiny.gguf")


@pytest.mark.filterwarnings("ignore:The weights of")
@pytest.mark.parametrize(
    ("keys", "tensors", "rope"),
    [
        ({"scaling.type": "linear", "scaling.factor": 4.0}, {}, {"rope_type": "linear", "factor": 4.0}),
        ({"scaling.factor": 4.0}, {}, {"rope_type": "linear", "factor": 4.0}),
        ({"scaling.type": "none", "scaling.factor": 4.0}, {}, {}),
        (
            {"scaling.type": "yarn", "scaling.factor": 4.0, "scaling.original_context_length": 64},
            {},
            {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64},
        ),
        ({"freq_base": 500.0}, {"rope_freqs.weight": (4,)}, {"rope_theta": 500.0}),
    ],
)
def test_how_a_file_scales_positions(
    keys: dict[str, Any],
    tensors: dict[str, tuple[int, ...] | None],
    rope: dict[str, Any],
    tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
) -> None:
    plain = tiny_policy("qwen2", tokenizer)
    loaded = load(changed(plain, tmp_path / "in", {f"qwen2.rope.{key}": value for key, value in keys.items()}, tensors))
    rope = {"rope_type": "default", "rope_theta": 10000.0, **rope}
    fields = {**ARCHITECTURES["qwen2"], "rope_parameters": rope}
    wanted = random_policy(fields, tokenizer, "r1-zero", seed=3, precision="fp32", device=DEVICE)
    assert loaded.model.config.rope_parameters == wanted.model.config.rope_parameters
    mine, theirs = (one.model.get_submodule("model.rotary_emb").inv_freq for one in (loaded, wanted))
    assert torch.equal(mine, theirs)


@pytest.mark.filterwarnings("ignore:The weights of")
def test_an_exported_llama_3_1_comes_back(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    rope = {
        "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }  # fmt: skip
    fields = {**ARCHITECTURES["llama"], "attention_bias": False, "head_dim": 16, "rope_parameters": rope}
    policy = random_policy(fields, tokenizer, "r1-zero", seed=3, precision="fp32", device=DEVICE)
    with_tokenizer(policy, tmp_path / "in" / "tiny.gguf")
    loaded = load(tmp_path / "in" / "tiny.gguf")
    assert loaded.model.config.rope_parameters == policy.model.config.rope_parameters
    for name, tensor in policy.model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], tensor), name


def test_plans_know_its_size(qwen2: Policy, tmp_path: Path) -> None:
    path = tmp_path / "in" / "tiny.gguf"
    with_tokenizer(qwen2, path)
    recipe = Recipe.model_construct(stages={})
    shape = find_shape(recipe, str(path))
    assert not isinstance(shape, str) and shape.model_type == "qwen2" and shape.vocabulary == 60


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("tiny.gguf", b"safetensors", "is no GGUF file, whatever its name says"),
        ("big-00001-of-00002.gguf", b"GGUF\x03", "one part of a GGUF model in several files"),
        ("cut.gguf", b"GGUF\x03\0\0\0", "Transformers cannot read the model"),
        ("mixture-of-experts.gguf", b"GGUF\x03\0\0\0", "Transformers cannot read the model"),
    ],
)
def test_files_that_cannot_be_read(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=said) as caught:
        resolve_model(tmp_path / name)
    assert "\n" not in str(caught.value)


def quantised(folder: Path, block: tuple[int, int]) -> dict[str, torch.Tensor]:
    """Turn a folder's matrices into fp8 with a scale for each block; what they stand for, in bf16."""
    stored, whole = {}, {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        if "proj" not in name:
            stored[name] = whole[name] = tensor
            continue
        rows, columns = (-(-size // part) for size, part in zip(tensor.shape, block, strict=True))
        scale = torch.rand(rows, columns, generator=torch.Generator().manual_seed(len(name))) + 0.01
        wide = scale.repeat_interleave(block[0], 0)[: tensor.shape[0]].repeat_interleave(block[1], 1)[
            :, : tensor.shape[1]
        ]
        low = (tensor / wide).to(torch.float8_e4m3fn)
        stored |= {name: low, f"{name}_scale_inv": scale}
        whole[name] = (low.float() * wide).to(torch.bfloat16)
    save_file(stored, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "fp8", "weight_block_size": list(block), "fmt": "e4m3"}
    (folder / "config.json").write_text(json.dumps(config))
    return whole


@pytest.mark.parametrize("block", [(16, 16), (128, 128)])
def test_a_folder_in_fp8(block: tuple[int, int], tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    policy = tiny_policy("qwen3", tokenizer)
    save_policy(policy, tmp_path / "fp8")
    whole = quantised(tmp_path / "fp8", block)
    with pytest.warns(UserWarning, match="written out whole"):
        loaded = load(tmp_path / "fp8")
    state = loaded.model.state_dict()
    for name, tensor in whole.items():
        assert torch.equal(state[name], tensor.float()), name
    assert sum(tensor.dtype == torch.bfloat16 for tensor in whole.values()) == 14


@pytest.fixture
def fp8(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> Path:
    save_policy(tiny_policy("qwen3", tokenizer), tmp_path / "fp8")
    quantised(tmp_path / "fp8", (16, 16))
    return tmp_path / "fp8"


def cut_short(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def other_blocks(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"]["weight_block_size"] = [32, 16]
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (cut_short, r"model.safetensors' is damaged .*fetch it again"),
        (other_blocks, r"'model.*_proj.weight' in .* scales of the shape .* blocks of \(32, 16\) .* take"),
    ],
)
def test_a_folder_in_fp8_that_is_spoilt(spoil: Callable[[Path], None], said: str, fp8: Path, cache: Path) -> None:
    spoil(fp8)
    with pytest.raises(ModelError, match=said):
        resolve_model(fp8)
    assert not list(cache.rglob("*.safetensors"))


@pytest.mark.filterwarnings("ignore:The weights of")
def test_another_tokenizer_makes_another_folder(fp8: Path, qwen2: Policy, tmp_path: Path) -> None:
    file = tmp_path / "in" / "tiny.gguf"
    with_tokenizer(qwen2, file)
    for model, beside in ((fp8, fp8), (file, file.parent)):
        first = resolve_model(model)
        (beside / "chat_template.jinja").write_text("{{ messages }}")
        second = resolve_model(model)
        assert first != second and (second / "chat_template.jinja").read_text() == "{{ messages }}"


def test_one_process_at_a_time_unpacks(fp8: Path) -> None:
    with pytest.warns(UserWarning) as said, ThreadPoolExecutor() as pool:
        made, *others = pool.map(resolve_model, [fp8] * 4)
    assert others == [made] * 3 and len(said) == 1 and made.name == "fp8"
    shutil.rmtree(made)
    (made.parent / ".tmp-killed").mkdir()
    with pytest.warns(UserWarning, match="written out whole"):
        assert resolve_model(fp8) == made
    assert not list(made.parent.glob(".tmp-*"))


@pytest.mark.parametrize("most", [500, 2_000_000])
def test_a_full_disk_is_not_the_fault_of_a_gguf_file(most: int, qwen2: Policy, tmp_path: Path) -> None:
    with_tokenizer(qwen2, tmp_path / "in" / "tiny.gguf")
    tokenizer = tmp_path / "in" / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text() + " " * most)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))  # of each file
    try:
        with pytest.raises(RunFolderError, match="the disk is full"):
            resolve_model(tmp_path / "in" / "tiny.gguf")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_folders_in_sixteen_bits(dtype: torch.dtype, qwen2: Policy, tmp_path: Path) -> None:
    save_policy(qwen2, tmp_path / "half", dtype)
    loaded = load(tmp_path / "half")
    for name, tensor in qwen2.model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], tensor.to(dtype).float()), name
