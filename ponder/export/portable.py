"""What other programs make of an exported folder: transformers 5 writes some things in words that transformers 4, and
programs made for its files such as llama.cpp's converter, do not know or pass over without a word."""

import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoTokenizer

from ponder.policy.pretrained import splits_as_written

__all__ = ["tokenizer_loader", "write_portable"]

_CONFIG, _TOKENIZER = "config.json", "tokenizer_config.json"


def write_portable(folder: Path) -> bool:
    """Say in the words of transformers 4, too, of which class the tokenizer is and how positions turn the heads. False
    where it has no words for these positions, which differ by layer; its own defaults would take their place."""
    _rewrite(folder / _TOKENIZER, _tokenizer_as_before)
    before = (folder / _CONFIG).read_text(encoding="utf-8")
    rope = json.loads(before).get("rope_parameters")
    if not rope:
        return True
    if "rope_theta" not in rope:
        return False
    added, loaded = _rope_as_before(rope), _loaded(folder)
    _rewrite(folder / _CONFIG, lambda config: config | added)
    again = _loaded(folder)
    if any(again.get(key) != value for key, value in loaded.items() if key not in added):
        (folder / _CONFIG).write_text(before, encoding="utf-8")
        return False
    return True


def tokenizer_loader(folder: Path) -> str:
    """The class of transformers by which the folder's tokenizer is as its tokenizer.json says: of some architectures
    (Qwen2 among them) AutoTokenizer puts the usual splitting of text in place of the model's own. A warning says so."""
    if splits_as_written(AutoTokenizer.from_pretrained(folder), folder / "tokenizer.json"):
        return "AutoTokenizer"
    warnings.warn(
        "AutoTokenizer splits text otherwise than this model's tokenizer.json says, since it takes the splitting that "
        "is usual for the architecture; the card loads the tokenizer with PreTrainedTokenizerFast, as others should.",
        stacklevel=4,
    )
    return "PreTrainedTokenizerFast"


def _tokenizer_as_before(config: dict[str, Any]) -> dict[str, Any]:
    if config.get("tokenizer_class") == "TokenizersBackend":
        config["tokenizer_class"] = "PreTrainedTokenizerFast"
    if isinstance(config.get("extra_special_tokens"), list):  # a mapping in transformers 4
        config["additional_special_tokens"] = config.pop("extra_special_tokens")
    return config


def _rope_as_before(rope: Mapping[str, Any]) -> dict[str, Any]:
    """The fields beside `rope_parameters` that say the same."""
    beside = {key: rope[key] for key in ("rope_theta", "partial_rotary_factor") if key in rope}
    scaling = {key: value for key, value in rope.items() if key not in beside}
    return beside if scaling.get("rope_type", "default") == "default" else beside | {"rope_scaling": scaling}


def _loaded(folder: Path) -> dict[str, Any]:
    config: Any = AutoConfig.from_pretrained(folder)
    found: dict[str, Any] = config.to_dict()
    return found


def _rewrite(file: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    config = change(json.loads(file.read_text(encoding="utf-8")))
    file.write_text(json.dumps(config, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
