"""What other programs read in a model's folder: how it is talked to and how it is sampled.

`chat_template.jinja` renders the prompts that the model was trained on, `generation_config.json` samples as R1 was
measured (temperature 0.6, top-p 0.95; R1 v2, D.1) and ends where ponder ends. ponder itself goes on from what stood
there before, which `ponder_origin.json` keeps: a stage that trains the model further, in another form of prompts, sees
the tokenizer's own chat template and the ends that the model came with. A file that somebody has changed since counts
as it is.
"""

import hashlib
import json
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from transformers import GenerationConfig, PreTrainedTokenizerBase

from ponder.errors import ModelError
from ponder.files import write_json, write_text
from ponder.policy.policy import Policy
from ponder.text.jinja import chat_jinja, own_chat_template

__all__ = ["ORIGIN", "restore_chat_template", "restore_generation", "write_outward"]

ORIGIN = "ponder_origin.json"
_CHAT, _GENERATION = "chat_template.jinja", "generation_config.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Replaced:
    """The digest of what was written into a file, and what stood there before, None where there was no such file."""

    written: str
    before: str | None


_ORIGIN = TypeAdapter(dict[str, _Replaced])
_TEMPERATURE, _TOP_P = 0.6, 0.95
"""Without top-k, which transformers sets to 50 where nothing is said."""


def write_outward(policy: Policy, folder: Path) -> bool:
    """Put both files into a folder that the model and its tokenizer were saved to. Where no chat template renders the
    prompts of the policy's form, a warning says why, the tokenizer's own stays, and the answer is false."""
    model: Any = policy.model
    generation = model.generation_config if model.can_generate() else None
    origin: dict[str, _Replaced] = {}
    try:
        jinja = chat_jinja(policy.template, policy.tokenizer, policy.template.end_id(policy.tokenizer, generation))
    except ModelError as error:
        warnings.warn(f"{error} {_CHAT!r} is left as it was.", stacklevel=3)
        renders = False
    else:
        renders = True
        _replace(folder / _CHAT, jinja, own_chat_template(policy.tokenizer), origin)
    if generation is not None:
        settings = {
            "do_sample": True,
            "temperature": _TEMPERATURE,
            "top_p": _TOP_P,
            "top_k": 0,
            "bos_token_id": policy.tokenizer.bos_token_id,
            "eos_token_id": sorted(policy.stop_ids),
            "pad_token_id": policy.pad_id,
        }
        path = folder / _GENERATION
        _replace(path, json.dumps(settings, indent=2) + "\n", path.read_text(encoding="utf-8"), origin)
    write_json(folder / ORIGIN, {name: asdict(one) for name, one in origin.items()})
    return renders


def restore_chat_template(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Give the tokenizer of a folder the chat template that it had before `write_outward`."""
    known, before = _before(folder, _CHAT)
    chosen: Any = tokenizer.chat_template
    if known and isinstance(chosen, dict):
        tokenizer.chat_template = {name: before if name == "default" else text for name, text in chosen.items()}
    elif known:
        tokenizer.chat_template = before
        tokenizer.init_kwargs.pop("chat_template", None)  # which would be saved as null


def restore_generation(model: Any, folder: Path) -> None:
    """Give the model of a folder the generation config that it had before `write_outward`."""
    known, before = _before(folder, _GENERATION)
    if known and model.can_generate():
        factory: Any = GenerationConfig
        model.generation_config = factory.from_dict(json.loads(before)) if before is not None else factory()


def _replace(path: Path, text: str, before: str | None, origin: dict[str, _Replaced]) -> None:
    if before != text:
        write_text(path, text)
        origin[path.name] = _Replaced(written=_digest(path), before=before)


def _before(folder: Path, name: str) -> tuple[bool, str | None]:
    """Whether a file is still as it was written here, and what stood there before."""
    path = folder / ORIGIN
    if not (path.is_file() and (folder / name).is_file()):
        return False, None
    try:
        one = _ORIGIN.validate_json(path.read_bytes()).get(name)
    except ValidationError as error:
        raise ModelError(
            f"{str(path)!r} is damaged ({error.errors()[0]['msg']}): expected what stood in its folder before ponder "
            f"wrote the files that other programs read. Fetch it again; without it, they count as they are."
        ) from None
    if one is None or one.written != _digest(folder / name):
        return False, None
    return True, one.before


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
