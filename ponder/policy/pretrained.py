"""Hugging Face folders as models, and models as such folders: what policies and scorers share."""

import json
import tempfile
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoTokenizer, GenerationConfig, PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.utils import logging

from ponder.errors import ModelError, PonderError
from ponder.policy.attention import ATTENTION_NAME, OWN_CODE, Unpackable, register
from ponder.policy.outward import restore_chat_template
from ponder.text.template import Template

__all__ = [
    "UNLOADABLE",
    "check_found",
    "check_same",
    "check_savable",
    "first_line",
    "hide_progress",
    "load_tokenizer",
    "read_model",
    "splits_as_written",
    "uncomputable",
    "write_model",
]

_TOLERANCE = 1e-3
"""Largest difference between what the model's own code computes and what ours does, in float32; typical is 1e-6."""

_TEXT = "A line of 1,234 words:\n\n  na\u00efve  e\u0301 \u4e8c\u52a0\u4e09 \U0001f600\n"
"""What tokenizers split unlike each other: blanks, digits, ends of lines, signs of one and of several bytes."""

UNLOADABLE = (
    OSError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    ArithmeticError,
    RuntimeError,
    ImportError,
    UnpicklingError,
    SafetensorError,
    StrictDataclassError,
)
"""What transformers raises for files that are damaged or make no sense."""


def hide_progress() -> None:
    """Transformers' bars and tables would tear the run's own display; what they say of errors, errors say, too."""
    quiet: tuple[Any, ...] = (logging.disable_progress_bar, logging.set_verbosity_error)
    for silence in quiet:
        silence()


def first_line(error: BaseException) -> str:
    """What an error says, as one line without a full stop."""
    return " ".join(str(error).partition("\n\n")[0].split()).rstrip(".")


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer as its own files describe it. For some architectures (Qwen2 among them) AutoTokenizer would put
    the architecture's usual class, with its own splitting of text, over a tokenizer that declares no special class; and
    of a tokenizer.json under a declared class it takes the vocabulary, and the splitting of that class: of the bytes of
    DeepSeek-R1-Distill-Llama under `LlamaTokenizerFast` no blank would be left."""
    config_file = folder / "tokenizer_config.json"
    declared = json.loads(config_file.read_text(encoding="utf-8")) if config_file.is_file() else {}
    generic = declared.get("tokenizer_class") in ("PreTrainedTokenizerFast", "TokenizersBackend")
    tokenizer: PreTrainedTokenizerBase = (PreTrainedTokenizerFast if generic else AutoTokenizer).from_pretrained(folder)
    if not generic and not splits_as_written(tokenizer, folder / "tokenizer.json"):
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    restore_chat_template(tokenizer, folder)
    return tokenizer


def splits_as_written(tokenizer: PreTrainedTokenizerBase, file: Path) -> bool:
    """Whether a tokenizer splits and joins a text as its tokenizer.json does; true where there is none."""
    if not file.is_file():
        return True
    written = Tokenizer.from_file(str(file))
    written.no_truncation()
    written.no_padding()
    ids = written.encode(_TEXT, add_special_tokens=False).ids
    joined = written.decode(ids, skip_special_tokens=False)
    own = tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return tokenizer.encode(_TEXT, add_special_tokens=False) == ids and own == joined


def read_model(factory: Any, folder: Path, dtype: torch.dtype = torch.float32, attention: str = ATTENTION_NAME) -> Any:
    """The model with all its weights; transformers would fill in what the files lack with random numbers."""
    register()
    hide_progress()
    config: Any = AutoConfig.from_pretrained(folder)
    config._attn_implementation = attention  # some files name that of the machine they were written on
    model, found = factory.from_pretrained(
        folder,
        config=config,
        attn_implementation=attention,
        dtype=dtype,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # as unmatched ones: found below
    )
    check_found(found)
    if left_over := sorted(found["unexpected_keys"]):
        warnings.warn(
            f"The files of {str(folder)!r} hold {len(left_over)} weights for which the model of its config.json has no "
            f"place, such as {left_over[0]!r}; they are left out.",
            stacklevel=3,
        )
    return model


def check_found(found: Mapping[str, Any]) -> None:
    """ValueError for weights that a folder or a file lacks or has in another shape; `found` is what transformers says
    of a loading that was to pass over those."""
    if wrong := sorted(found["mismatched_keys"]):
        key, got, expected = wrong[0]
        raise ValueError(f"weight {key!r} is of shape {tuple(got)}, and config.json asks for {tuple(expected)}")
    if lacking := sorted(found["missing_keys"]):
        raise ValueError(f"its files lack {len(lacking)} of the weights, such as {lacking[0]!r}")


def write_model(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    template: Template,
    folder: Path,
    dtype: torch.dtype,
    *,
    shard: str = "50GB",
) -> None:
    """Write a plain Hugging Face folder: weights as `dtype`, config, tokenizer, generation config, template. A file
    holds weights of `shard` at most.

    Buffers, such as the router bias of DeepSeek-V3, keep their precision.
    """
    hide_progress()
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}

    @cache
    def cast(parameter: torch.Tensor) -> torch.Tensor:  # once, or a head tied to the embeddings would be written twice
        return parameter.detach().to(dtype)

    state = {
        name: cast(tensor) if name in parameters else tensor
        for name, tensor in model.state_dict(keep_vars=True).items()
    }
    model.save_pretrained(folder, state_dict=state, max_shard_size=shard)
    tokenizer.save_pretrained(folder)
    template.save(folder)
    config_file = folder / "config.json"
    config = json.loads(config_file.read_text(encoding="utf-8"))
    config["dtype"] = str(dtype).removeprefix("torch.")
    config_file.write_text(json.dumps(config, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def check_savable(model: Any, tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    """Write all but the weights to nowhere, since transformers takes some folders that it refuses to write again, which
    would be found hours later. Settings of a generation config that contradict each other are left out and said, as
    none of them has a part in training; for anything else ModelError."""
    generation = model.generation_config if model.can_generate() else None
    if generation is not None and (kept := _without_contradictions(generation)) is not generation:
        before = generation.to_diff_dict()
        gone = ", ".join(f"{key}: {value}" for key, value in before.items() if key not in kept.to_diff_dict())
        warnings.warn(
            f"The generation config of model {name!r} contradicts itself and could not be saved again; left out of it: "
            f"{gone}.",
            stacklevel=4,
        )
        model.generation_config = kept
    with tempfile.TemporaryDirectory() as nowhere:
        try:
            model.config.save_pretrained(nowhere)
            tokenizer.save_pretrained(nowhere)
            if model.generation_config is not None:
                model.generation_config.save_pretrained(nowhere)
        except UNLOADABLE as error:
            raise ModelError(
                f"The model {name!r} can be loaded but not saved, so its training would be lost: {first_line(error)}. "
                f"Correct the file of its folder that this is about, or fetch the folder again."
            ) from error


def _without_contradictions(generation: GenerationConfig) -> GenerationConfig:
    """The same object if transformers would save it, else one with those of its settings that go together."""
    if _holds(settings := generation.to_diff_dict()):
        return generation
    kept: dict[str, Any] = {}
    for key, value in sorted(settings.items(), key=lambda setting: setting[0] != "do_sample"):
        if _holds(kept | {key: value}):
            kept[key] = value
    factory: Any = GenerationConfig
    made: GenerationConfig = factory(**kept)
    return made


def _holds(settings: dict[str, Any]) -> bool:
    factory: Any = GenerationConfig
    try:
        factory(**settings).validate(strict=True)
    except (ValueError, TypeError, AttributeError):
        return False
    return True


def uncomputable(name: str, error: Exception) -> PonderError:
    """What to say of an error that a model's own code raised on a few tokens."""
    if isinstance(error, PonderError):
        return error
    return ModelError(
        f"Model {name!r} cannot be computed: {first_line(error)}. Its config.json contradicts itself, or its "
        f"architecture does not pass on what packing needs; use Qwen2, Qwen3, Llama, DeepSeek-V3 or a relative of them."
    )


def check_same(
    model: Any, name: str, what: str, ours: Callable[[], torch.Tensor], own: Callable[[], torch.Tensor]
) -> None:
    """Unpackable unless `ours()`, computed with the attention that the model has, is what its own attention gives in
    `own()`; both in float32."""
    attention = model.config._attn_implementation
    try:
        with torch.no_grad(), torch.autocast(model.device.type, enabled=False):
            found = ours()
            model.set_attn_implementation(OWN_CODE)
            expected = own()
    except UNLOADABLE as error:
        if attention == ATTENTION_NAME and not isinstance(error, PonderError):
            raise Unpackable(
                f"a {type(model).__name__} does not pass on what that needs ({first_line(error)})"
            ) from error
        raise uncomputable(name, error) from error
    finally:
        model.set_attn_implementation(attention)
    if not torch.isfinite(expected).all():
        raise ModelError(
            f"Model {name!r} gives {what} that are not numbers: its weights hold NaN or infinite values. It was "
            f"damaged in training or on the way; take an earlier checkpoint or fetch it again."
        )
    worst = float((found - expected).abs().max())
    if not worst <= _TOLERANCE:
        raise Unpackable(
            f"a {type(model).__name__} gives {what} that differ by {worst:.3g} from its own code when packed (expected "
            f"at most {_TOLERANCE}): its architecture computes something ponder does not"
        )
