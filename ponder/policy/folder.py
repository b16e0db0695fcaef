"""What a model's folder must not hold, found before anything of it is loaded or run. No torch.

Transformers would apply an adapter without a word, ask at the terminal about code that the folder brings, and load
quantised weights, which cannot be trained. Each is one sentence here, with what to do.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ponder.errors import ModelError, RunFolderError
from ponder.files import is_pointer, read_json

__all__ = ["ADAPTER", "check_folder", "fp8_scales", "weight_types"]

ADAPTER = "adapter_config.json"
_QUANTISED_CONFIGS = ("quantization_config", "compression_config", "quantization")
"""Keys of a config.json that say so: of transformers, of old compressed-tensors, of MLX."""
_QUANTISED_FILES = ("quantize_config.json", "quant_config.json", "hf_quant_config.json")
"""Files that said so before it stood in config.json: of GPTQ, AWQ and ModelOpt."""
_NARROW = ("F8", "F6_", "F4", "I8", "U8")
"""Types of weights that only a quantised model has, or how they begin; F64 is none."""
_MASKS = ("bias", "mask")
"""How tensors end that hold whole numbers and no weights: which tokens see each other, in folders of GPT-NeoX."""
_FP8 = "F8_E4M3"
_SCALE = "_scale_inv"
"""What the scales of a weight's blocks are called after it."""
_HEADER_BYTES = 100 * 2**20
"""No longer header is read: the format allows none."""


def check_folder(folder: Path, *, weights: bool = True) -> None:
    """ModelError for a folder with an adapter, quantised weights or code of its own. `weights` says whether its weights
    are there already: without them fp8 may still be what `fp8_scales` finds."""
    for path in filter(Path.is_file, sorted(folder.iterdir())):
        if is_pointer(path):
            raise ModelError(
                f"{str(path)!r} is a pointer of Git LFS in place of the file itself. Fetch it (`git lfs pull` in its "
                f"folder), or download the model anew."
            )
    if (folder / ADAPTER).is_file():
        raise ModelError(
            f"{str(folder)!r} holds the adapter {ADAPTER!r} beside a model, so that it is two models: with the adapter "
            f"and without. Merge the adapter into the weights and name the folder of the merged model, or move "
            f"{ADAPTER!r} and its weights elsewhere to use the model alone."
        )
    _check_generation(folder / "generation_config.json")
    config = _read(folder / "config.json")
    unpacks = bool(fp8_scales(folder)) if weights else _says_fp8(config)
    if (method := _quantised(folder, config)) is not None and not unpacks:
        raise ModelError(
            f"The model in {str(folder)!r} is quantised ({method}), and ponder trains and measures whole weights only. "
            f"Name the model it was made from, in bf16 or fp32, or turn its weights back into bf16 and save them."
        )
    if (code := _own_code(config, _read(folder / "tokenizer_config.json"))) is not None:
        raise ModelError(
            f"The model in {str(folder)!r} needs code that its folder brings ({code}), and ponder runs no code of a "
            f"model's folder. Use a model whose architecture is part of transformers, or a transformers that has this."
        )


def fp8_scales(folder: Path) -> dict[str, str]:
    """The scales of the fp8 weights of a folder that says `quant_method: fp8` and has one for each of these, by the
    names of both; empty for any other folder."""
    if not _says_fp8(_read(folder / "config.json")):
        return {}
    types = weight_types(folder)
    scales = {name: f"{name}{_SCALE}" for name, kind in types.items() if kind == _FP8}
    narrow = [name for name, kind in types.items() if _narrow(name, kind)]
    return scales if len(scales) == len(narrow) and all(scale in types for scale in scales.values()) else {}


def _says_fp8(config: Mapping[str, Any]) -> bool:
    settings = config.get("quantization_config")
    return isinstance(settings, dict) and settings.get("quant_method") == "fp8"


def weight_types(folder: Path) -> dict[str, str]:
    """The type of every tensor in the folder's safetensors files, such as BF16, from their headers alone."""
    found: dict[str, str] = {}
    for path in filter(Path.is_file, sorted(folder.glob("*.safetensors"))):
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = file.read(length) if length <= _HEADER_BYTES else b""
        try:
            tensors = json.loads(header)
        except ValueError:
            continue  # damaged: loading says so
        if isinstance(tensors, dict):
            found |= {name: str(one.get("dtype")) for name, one in tensors.items() if name != "__metadata__"}
    return found


def _check_generation(path: Path) -> None:
    """ModelError where the file is no JSON object: transformers passes over it, and with it over the end tokens."""
    try:
        value = read_json(path) if path.is_file() else {}
    except RunFolderError:
        value = None
    if not isinstance(value, dict):
        raise ModelError(
            f"{str(path)!r} is damaged: expected a JSON object. It names the tokens that end a reply: fetch it again, "
            f"or remove it where the tokenizer alone knows them."
        )


def _read(path: Path) -> Mapping[str, Any]:
    try:
        value = read_json(path) if path.is_file() else {}
    except RunFolderError:
        return {}  # damaged: loading says so
    return value if isinstance(value, dict) else {}


def _quantised(folder: Path, config: Mapping[str, Any]) -> str | None:
    """How the weights are quantised, or None."""
    for part in (config, *(value for value in config.values() if isinstance(value, dict))):
        for key in _QUANTISED_CONFIGS:
            if settings := part.get(key):
                return _method(settings, key)
    for name in _QUANTISED_FILES:
        if (folder / name).is_file():
            return f"it has a {name}"
    for name, kind in weight_types(folder).items():
        if _narrow(name, kind) or name.endswith(".qweight"):
            return f"its weight {name!r} is of the type {kind}"
    return None


def _narrow(name: str, kind: str) -> bool:
    return kind.startswith(_NARROW) and not (kind in ("I8", "U8") and name.endswith(_MASKS))


def _method(settings: Any, key: str) -> str:
    """Example: `quant_method: awq`."""
    if isinstance(settings, dict):
        for name in ("quant_method", "load_in_4bit", "load_in_8bit", "bits", "format"):
            if settings.get(name):
                return f"{name}: {settings[name]}"
    return f"config.json has {key!r}"


def _own_code(config: Mapping[str, Any], tokenizer: Mapping[str, Any]) -> str | None:
    """The class that only the folder's code defines, or None. Many folders bring code that has long become part of
    transformers: then that of transformers is used, under the same name."""
    if not any(_brought(config)) and not any(_brought(tokenizer)):
        return None  # as nearly always, and transformers' lists bring torch along
    from transformers import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
    )

    kind = str(config.get("model_type"))
    for auto, reference in _brought(config):
        name = reference.rpartition(".")[2]
        known = {
            "AutoModelForCausalLM": MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
            "AutoModelForSequenceClassification": MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
        }.get(auto)
        if kind not in CONFIG_MAPPING or (known is not None and name not in _names(known.get(kind, ()))):
            return f"{reference!r} as {auto}, in config.json"
    for auto, reference in _brought(tokenizer):
        name = reference.rpartition(".")[2]
        if name not in _tokenizers():
            return f"{reference!r} as {auto}, in tokenizer_config.json"
    return None


def _brought(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The classes of an `auto_map`: (what asks for it, `module.Class`)."""
    brought = config.get("auto_map")
    for auto, references in brought.items() if isinstance(brought, dict) else [("AutoTokenizer", brought)]:
        for reference in references if isinstance(references, list | tuple) else [references]:
            if isinstance(reference, str):
                yield auto, reference


def _names(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names


def _tokenizers() -> set[str]:
    import transformers

    return {name for name in dir(transformers) if "Tokenizer" in name}
