"""A model as one GGUF file, for llama.cpp and what is built on it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ponder.errors import ModelError
from ponder.export.architecture import Architecture, architecture_of, settings, weights
from ponder.export.vocabulary import Vocabulary, read_vocabulary
from ponder.files import placing
from ponder.policy import Policy
from ponder.text.jinja import chat_jinja
from ponder.text.template import begin_id

__all__ = ["GgufType", "Prepared", "Written", "prepare_gguf"]

GgufType = Literal["f32", "f16", "q8_0", "q4_0"]
_TEMPERATURE, _TOP_P = 0.6, 0.95
_LARGEST_HALF = 65504.0
_IDS_ONLY = "it has no splitter and no chat template: llama.cpp would cut text wrongly, so feed it with token ids only"
_KEPT_BETTER = ("token_embd.weight", "output.weight")
"""Of a file in four bits these have eight, for every token goes through them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a file holds: tensors by type, and whether it can tokenise text."""

    types: Mapping[str, int]
    tokenises: str | None

    def describe(self) -> str:
        """Example: 25 weights as Q8_0, 13 as F32; text is split as qwen2."""
        counts = ", ".join(f"{count} {'weights as ' if not i else 'as '}{name}" for i, (name, count) in self._ordered())
        text = f"text is split as {self.tokenises}" if self.tokenises else _IDS_ONLY
        return f"{counts}; {text}"

    def _ordered(self) -> enumerate[tuple[str, int]]:
        return enumerate(sorted(self.types.items(), key=lambda one: -one[1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A model that was looked at and can be written. `types` are those of its weights, by llama.cpp's names; `chat` is
    None where the file is for token ids only."""

    policy: Policy
    kind: GgufType
    architecture: Architecture
    vocabulary: Vocabulary
    chat: str | None
    types: Mapping[str, Any]

    def write(self, path: Path, name: str) -> Written:
        """Write the file, whole or not at all, weight by weight."""
        import gguf

        architecture, model = self.architecture, self.policy.model
        with placing(path) as temporary:
            writer = gguf.GGUFWriter(temporary, architecture.name)
            writer.add_name(name)
            writer.add_file_type(_file_type(self.kind))
            writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
            for key, value in settings(architecture, model):
                if isinstance(value, int):
                    writer.add_uint32(f"{architecture.name}.{key}", value)
                else:
                    writer.add_float32(f"{architecture.name}.{key}", value)
            writer.add_sampling_temp(_TEMPERATURE)
            writer.add_sampling_top_p(_TOP_P)
            writer.add_sampling_top_k(0)
            _add_vocabulary(writer, self.vocabulary, self.policy)
            if self.chat is not None:
                writer.add_chat_template(self.chat)
            for tensor, values in weights(architecture, model):
                stored = self.types[tensor]
                block, block_bytes = gguf.GGML_QUANT_SIZES[stored]
                writer.add_tensor_info(tensor, values.shape, values.dtype, values.size // block * block_bytes, stored)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
            for tensor, values in weights(architecture, model):
                writer.write_tensor_data(gguf.quants.quantize(values, self.types[tensor]))
            writer.close()
        counted = Counter(stored.name for stored in self.types.values())
        tokenises = None if self.chat is None else self.vocabulary.splitter or self.vocabulary.form
        return Written(types=counted, tokenises=tokenises)


def prepare_gguf(policy: Policy, kind: GgufType, *, ids_only: bool) -> Prepared:
    """Look at all that the file is to hold. ModelError where llama.cpp would compute or tokenise something else."""
    architecture = architecture_of(policy.model)
    model: Any = policy.model
    return Prepared(
        policy=policy,
        kind=kind,
        architecture=architecture,
        vocabulary=read_vocabulary(policy.tokenizer, model.config.vocab_size, ids_only=ids_only),
        chat=None if ids_only else chat_jinja(policy.template, policy.tokenizer, _end(policy)),
        types={tensor: _stored(tensor, values, kind) for tensor, values in weights(architecture, model)},
    )


def _end(policy: Policy) -> int:
    model: Any = policy.model
    return policy.template.end_id(policy.tokenizer, model.generation_config)


def _add_vocabulary(writer: Any, vocabulary: Vocabulary, policy: Policy) -> None:
    tokenizer: Any = policy.tokenizer
    writer.add_tokenizer_model(vocabulary.form)
    if vocabulary.form == "none":
        return
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.kinds)
    if vocabulary.merges:
        writer.add_token_merges(vocabulary.merges)
    if vocabulary.scores:
        writer.add_token_scores(vocabulary.scores)
    if vocabulary.splitter is not None:
        writer.add_tokenizer_pre(vocabulary.splitter)
    writer.add_add_space_prefix(False)
    writer.add_add_bos_token(begin_id(tokenizer) is not None)
    writer.add_add_eos_token(False)
    end = _end(policy)
    others = sorted(policy.stop_ids - {end})
    writer.add_eos_token_id(end)
    for other, add in zip(others, (writer.add_eot_token_id, writer.add_eom_token_id), strict=False):
        add(other)
    writer.add_pad_token_id(policy.pad_id)
    if tokenizer.bos_token_id is not None:
        writer.add_bos_token_id(tokenizer.bos_token_id)
    if tokenizer.unk_token_id is not None and vocabulary.form == "llama":
        writer.add_unk_token_id(tokenizer.unk_token_id)


def _file_type(kind: GgufType) -> int:
    from gguf import LlamaFileType

    return int(LlamaFileType.ALL_F32 if kind == "f32" else LlamaFileType[f"MOSTLY_{kind.upper()}"])


def _stored(name: str, values: np.ndarray[Any, np.dtype[np.float32]], kind: GgufType) -> Any:
    """The type that a weight is stored in: vectors are small and keep theirs, and blocks of 32 must fill a row."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    if values.ndim == 1:
        return GGMLQuantizationType.F32
    wanted = GGMLQuantizationType[("q8_0" if kind == "q4_0" and name in _KEPT_BETTER else kind).upper()]
    block, _ = GGML_QUANT_SIZES[wanted]
    stored = wanted if values.shape[-1] % block == 0 else GGMLQuantizationType.F16
    if stored == GGMLQuantizationType.F16 and np.abs(values).max() > _LARGEST_HALF:
        raise ModelError(
            f"The weight {name!r} of this model has numbers up to {np.abs(values).max():g}, and a half holds "
            f"{_LARGEST_HALF:g}. Write it with --type f32."
        )
    return stored
