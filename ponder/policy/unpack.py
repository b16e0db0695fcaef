"""Models in another form become plain folders, once, in the cache: GGUF files, and folders of 8 bit floats.

What is trained are whole weights, so what was stored in fewer bits is taken for what it stands for: a GGUF file by
transformers' reader, in float32; blocks of fp8 as DeepSeek-V3 has them (weight times the scale of its block, bf16), by
ponder. A folder in the cache is named by the content it was made of. Torch is loaded where something is unpacked.
"""

import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import struct
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ponder.errors import ModelError
from ponder.files import file_digest, publishing, read_json, sweep, write_json
from ponder.policy.folder import fp8_scales
from ponder.policy.rope import rope_changes

__all__ = ["gguf_config", "unpacked_fp8", "unpacked_gguf"]

_MAGIC = b"GGUF"
_PART = re.compile(r"-\d+-of-\d+$")
_ROPE = "rope_"
"""How tensors begin that say how positions are turned into angles, and are no weights."""
_HEAD = "output.weight"
"""What some files hold although it is the embeddings: transformers then takes those."""
_BLOCK = (128, 128)
"""Rows and columns of a weight under one scale, unless the configuration says otherwise."""
_READING = 2
"""How GGUF files are read: counted up where it changes, so that no folder is taken that was made otherwise."""
_UNREADABLE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    ImportError,
    struct.error,
)
_BESIDE = (".json", ".jinja", ".txt", ".model")
"""Files that are the same whatever form the weights have."""
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")


def gguf_config(path: Path) -> dict[str, Any]:
    """The configuration of the model in a GGUF file. ModelError where it cannot be read."""
    _check_gguf(path)
    from transformers import AutoConfig

    try:
        config: dict[str, Any] = AutoConfig.from_pretrained(path.parent, gguf_file=path.name).to_dict()
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error
    return config


def unpacked_gguf(path: Path) -> Path:
    """A plain folder of what is in a GGUF file. A tokenizer.json beside the file goes before the vocabulary in it."""
    _check_gguf(path)
    beside = [path.parent / name for name in _TOKENIZER if (path.parent / name).is_file()]
    own = path.parent / _TOKENIZER[0] not in beside

    def make(folder: Path) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from ponder.policy.pretrained import check_found

        rope = _check_contents(path)
        factory: Any = AutoModelForCausalLM
        where = {"pretrained_model_name_or_path": path.parent, "gguf_file": path.name}
        try:
            model, found = factory.from_pretrained(
                **where, dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=True
            )
            check_found(found)
            _check_shapes(model)
            _check_places(path, model, found["unexpected_keys"])
            tokenizer = AutoTokenizer.from_pretrained(**where) if own else None
        except _UNREADABLE as error:
            raise _unreadable(path, error) from error
        _write_model(model, folder, rope)
        if tokenizer is None:
            _copy(beside, folder)
        else:
            tokenizer.save_pretrained(folder)

    return _made_once(path, [path] if own else [path, *beside], make, _READING)


def unpacked_fp8(folder: Path) -> Path:
    """A plain folder, in bf16, of one whose weights are fp8 in blocks (`fp8_scales`)."""
    config = dict(read_json(folder / "config.json"))
    files = sorted(folder.glob("*.safetensors"))
    beside = sorted(path for path in folder.iterdir() if path.suffix in _BESIDE and path.is_file())
    block = config.pop("quantization_config").get("weight_block_size") or _BLOCK

    def make(made: Path) -> None:
        _copy(beside, made)
        write_json(made / "config.json", config | {"dtype": "bfloat16"})
        _write_whole(folder, files, made, tuple(block))

    return _made_once(folder, [*beside, *files], make)


def _made_once(source: Path, files: list[Path], make: Callable[[Path], None], *how: int) -> Path:
    """The folder in the cache that `make` fills with what it makes of these files of `source`, by one process at a
    time. It is called as they are; what one that was killed left behind goes."""
    content = [str(source.absolute()), *(f"{path.name} {file_digest(path)}" for path in files), *how]
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ponder" / "models"
    home = root / hashlib.sha256(json.dumps(content).encode()).hexdigest()[:24]
    made = home / source.absolute().name.removesuffix(".gguf")
    if not made.is_dir():
        home.mkdir(parents=True, exist_ok=True)
        with (home / ".lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            sweep(home)
            if not made.is_dir():
                with publishing(made) as temporary:
                    make(temporary)
                _say(source, made)
    return made


def _check_contents(path: Path) -> dict[str, Any]:
    """What of the configuration is otherwise than transformers reads it. ModelError for what it does not read."""
    import gguf

    config = gguf_config(path)
    try:
        reader = gguf.GGUFReader(path)
        before = f"{reader.fields['general.architecture'].contents()}.rope."
        said = {k.removeprefix(before): one.contents() for k, one in reader.fields.items() if k.startswith(before)}
        divisors = {
            one.name: gguf.dequantize(one.data, one.tensor_type).tolist()
            for one in reader.tensors
            if one.name.startswith(_ROPE)
        }
        parts = reader.fields["split.count"].contents() if "split.count" in reader.fields else 1
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error
    if parts > 1:
        raise _one_part(path)
    return rope_changes(config, said, divisors, str(path))


def _check_shapes(model: Any) -> None:
    """ValueError for a weight of another shape than the configuration makes, which is taken from a GGUF file as it
    is."""
    import torch

    with torch.device("meta"):
        made = dict(type(model)(model.config).named_parameters())
    for name, one in model.named_parameters():
        if one.shape != made[name].shape:
            raise ValueError(
                f"weight {name!r} is of shape {tuple(one.shape)}, and its keys ask for {tuple(made[name].shape)}"
            )


def _check_places(path: Path, model: Any, left_over: set[str]) -> None:
    """ValueError for a tensor that transformers found no place for in its model, where that can be known: it says so
    of some architectures, and of the others where each weight of the model has a name in the file."""
    import gguf

    reader = gguf.GGUFReader(path)
    name = reader.fields["general.architecture"].contents()
    if arch := next((one for one, known in gguf.MODEL_ARCH_NAMES.items() if known == name), None):
        names = gguf.get_tensor_name_map(arch, model.config.num_hidden_layers)
        found = {names.get_name(weight, try_suffixes=(".weight", ".bias")) for weight, _ in model.named_parameters()}
        if None not in found:
            aside = (_ROPE, f"blk.{model.config.num_hidden_layers}.")  # the last block guesses further tokens
            others = {one.name for one in reader.tensors if not one.name.startswith(aside)}
            left_over = left_over | (others - found - {_HEAD})
    if left_over:
        raise ValueError(
            f"it holds {len(left_over)} weights, such as {min(left_over)!r}, for which a {type(model).__name__} has no "
            f"place"
        )


def _write_model(model: Any, folder: Path, changes: Mapping[str, Any]) -> None:
    """As transformers would, which takes any model that came of a GGUF file for quantised; with these changes of its
    configuration."""
    from huggingface_hub import save_torch_state_dict

    save_torch_state_dict(model.state_dict(), folder)
    config = {**model.config.to_dict(), **changes}
    config.pop("quantization_config", None)
    write_json(folder / "config.json", config | {"dtype": "float32", "architectures": [type(model).__name__]})
    if model.can_generate():
        model.generation_config.save_pretrained(folder)


def _write_whole(folder: Path, files: list[Path], made: Path, block: tuple[int, int]) -> None:
    """The weights file by file, so that no more than one file is in memory. ModelError for files that are cut short and
    scales that are not one for each block."""
    import torch
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import save_file

    scale_of, at = fp8_scales(folder), dict[str, Path]()
    for path in files:
        try:
            with safe_open(path, "pt") as tensors:
                at |= dict.fromkeys(tensors.keys(), path)
        except SafetensorError as error:
            raise ModelError(f"{str(path)!r} is damaged ({error}): fetch it again.") from error
    weight_map: dict[str, str] = {}
    for path in files:
        whole = {}
        with safe_open(path, "pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 -- no dict
                if name in scale_of.values():
                    continue
                tensor = tensors.get_tensor(name)
                if name in scale_of:
                    with safe_open(at[scale_of[name]], "pt") as others:
                        scale = others.get_tensor(scale_of[name]).float()
                    if scale.numel() > 1:
                        _check_scale(name, tuple(scale.shape), tuple(tensor.shape), block, folder)
                        for dim, size in zip((-2, -1), block, strict=True):
                            scale = scale.repeat_interleave(size, dim).narrow(dim, 0, tensor.shape[dim])
                    tensor = (tensor.float() * scale).to(torch.bfloat16)
                whole[name] = tensor
        weight_map |= dict.fromkeys(whole, path.name)
        save_file(whole, made / path.name, {"format": "pt"})
    if (made / "model.safetensors.index.json").is_file():
        write_json(made / "model.safetensors.index.json", {"metadata": {}, "weight_map": weight_map})


def _check_scale(
    name: str, scales: tuple[int, ...], shape: tuple[int, ...], block: tuple[int, int], folder: Path
) -> None:
    expected = (*shape[:-2], *(-(-size // part) for size, part in zip(shape[-2:], block, strict=True)))
    if scales != expected:
        raise ModelError(
            f"The weight {name!r} in {str(folder)!r} is {shape} with scales of the shape {scales}; blocks of {block} "
            f"(`weight_block_size` in config.json) take {expected}. Fetch the folder again, or correct that number."
        )


def _check_gguf(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise ModelError(f"{str(path)!r} is no GGUF file, whatever its name says. Fetch it again.")
    if _PART.search(path.stem):
        raise _one_part(path)
    if importlib.util.find_spec("gguf") is None:
        raise ModelError(
            f"To read {str(path)!r} the package gguf is needed: {sys.executable} -m pip install 'ponder[export]'."
        )


def _one_part(path: Path) -> ModelError:
    return ModelError(
        f"{str(path)!r} is one part of a GGUF model in several files, which transformers does not read. Put them "
        f"together (`llama-gguf-split --merge`) and name the one file."
    )


def _unreadable(path: Path, error: Exception) -> ModelError:
    reason = " ".join(str(error).partition("\n\n")[0].split()).rstrip(".")
    return ModelError(
        f"Transformers cannot read the model in {str(path)!r}: {reason}. Name the folder that it was made from, in the "
        f"Hugging Face format."
    )


def _copy(files: list[Path], target: Path) -> None:
    for path in files:
        shutil.copy(path, target / path.name)


def _say(source: Path, folder: Path) -> None:
    size = sum(path.stat().st_size for path in folder.iterdir())
    warnings.warn(
        f"The weights of {str(source)!r} were written out whole, as a plain folder of {size / 1e9:,.1f} GB that is "
        f"kept: {str(folder)!r}.",
        stacklevel=5,
    )
