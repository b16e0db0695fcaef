"""Model folders become policies and policies become model folders.

Any causal language model of transformers is loaded with the ponder attention and then probed: its log-probs of a few
packed tokens must equal what its own code computes for each sequence alone. An architecture with a twist that ponder
does not know is run by its own code instead, which is said, and is probed like that; what does not pass is refused
instead of being trained wrongly.
"""

import json
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedTokenizerBase

from ponder.errors import ModelError
from ponder.policy.attention import ATTENTION_NAME, OWN_CODE, Unpackable, register
from ponder.policy.outward import restore_generation, write_outward
from ponder.policy.packed import PackedLayout
from ponder.policy.policy import Policy
from ponder.policy.pretrained import (
    UNLOADABLE,
    check_same,
    check_savable,
    first_line,
    load_tokenizer,
    read_model,
    write_model,
)
from ponder.policy.resolve import resolve_model
from ponder.policy.shrink import build_config
from ponder.policy.storage import keep_for_products
from ponder.policy.window import find_window, whole_window
from ponder.recipe.training import Precision
from ponder.text.control import chat_source
from ponder.text.template import Template, template_for

__all__ = ["device_here", "load_policy", "load_weights", "precision_here", "random_policy", "save_policy"]

_PROBE_TOKENS = 8
_PADDED_TOKENS = 64
"""Of a model's own code: enough for padding to show in what a sparse attention chooses."""
_REFUSED = {
    ("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap"): "bends its logits by a tanh",
    ("index_topk",): "attends to tokens that it chooses by scores which are often equal",
}
"""What configurations call it, and what it is."""
_SENSES = ("vision_config", "audio_config")
_LOGIT_FACTORS = ("logit_scale", "lm_head_multiplier", "logits_scaling", "logits_mup_width_multiplier")
_WAY_OUT = (
    " Longer sequences are refused. Take a model without that; of a longrope model a copy whose config.json has the "
    "long_factor as its short_factor, too, computes all lengths alike."
)


def load_policy(
    name_or_path: str | Path,
    template: str | Template | None = None,
    precision: Precision = "auto",
    device: str | torch.device | None = None,
    trained: bool = True,
) -> Policy:
    """The policy of a folder, hub id or `micro`. `template` overrides the one saved with the model.

    `device` None takes CUDA where there is one. `trained` false is for models that only write: they are frozen, and
    their matrices kept as products take them. Raises ModelError for anything that cannot be trained: no such model,
    no template, no end token, a vocabulary smaller than the tokenizer's, attention that ponder does not compute.
    """
    folder = resolve_model(name_or_path)
    form = template if isinstance(template, Template) else template_for(folder, template)
    try:
        tokenizer = load_tokenizer(folder)
        model = _read(folder)
        restore_generation(model, folder)
    except UNLOADABLE as error:
        raise ModelError(
            f"The model in {str(folder)!r} cannot be loaded: {first_line(error)}. Expected a causal language model and "
            f"its tokenizer in the Hugging Face format: fetch the folder again, or name another."
        ) from error
    policy = _policy(model, tokenizer, form, precision, device, str(name_or_path))
    if not trained:
        keep_for_products(policy.model, policy.autocast_dtype)
    return policy


def _read(folder: Path) -> Any:
    try:
        return read_model(AutoModelForCausalLM, folder)
    except KeyError as error:
        if error.args != (ATTENTION_NAME,):  # what an architecture that lists its attentions itself does not find there
            raise
        return read_model(AutoModelForCausalLM, folder, attention=OWN_CODE)


def random_policy(
    config: Mapping[str, Any] | PreTrainedConfig,
    tokenizer: PreTrainedTokenizerBase,
    template: str | Template,
    seed: int,
    precision: Precision = "auto",
    device: str | torch.device | None = None,
) -> Policy:
    """A policy with random weights of the given architecture; the vocabulary size and end token are filled in."""
    form = template if isinstance(template, Template) else template_for(".", template)
    fields = config.to_dict() if isinstance(config, PreTrainedConfig) else dict(config)
    fields |= {"vocab_size": len(tokenizer), "dtype": "float32"}
    fields |= {f"{end}_token_id": tokenizer.convert_tokens_to_ids(token) for end, token in _ends(tokenizer).items()}
    built = build_config(fields)
    register()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            factory: Any = AutoModelForCausalLM
            model = _built(factory, built)
        except (ValueError, KeyError, TypeError, ArithmeticError, RuntimeError) as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise ModelError(f"Transformers cannot build a causal language model of {fields}: {reason}.") from error
    return _policy(model, tokenizer, form, precision, device, f"random {built.model_type}")


def _built(factory: Any, config: PreTrainedConfig) -> Any:
    try:
        return factory.from_config(config, attn_implementation=ATTENTION_NAME, dtype=torch.float32)
    except KeyError as error:
        if error.args != (ATTENTION_NAME,):
            raise
        return factory.from_config(config, attn_implementation=OWN_CODE, dtype=torch.float32)


def save_policy(policy: Policy, folder: str | Path, dtype: torch.dtype = torch.float32, *, shard: str = "50GB") -> bool:
    """Write a plain Hugging Face folder: weights as `dtype`, config, tokenizer, generation config, template, and the
    chat template with which other programs make the same prompts. No file of weights is larger than `shard`. The answer
    says whether there is such a chat template."""
    write_model(policy.model, policy.tokenizer, policy.template, Path(folder), dtype, shard=shard)
    return write_outward(policy, Path(folder))


def load_weights(policy: Policy, folder: str | Path) -> None:
    """Put the weights of a folder that `save_policy` wrote into the policy's own tensors."""
    policy.model.load_state_dict(_read(Path(folder)).state_dict())


def autocast_dtype(precision: Precision, device: torch.device) -> torch.dtype | None:
    """The dtype of matrix products, or None for float32."""
    if precision == "auto":
        fast = device.type == "cuda" or (device.type == "cpu" and _cpu_has_bf16())
        return torch.bfloat16 if fast else None
    return torch.bfloat16 if precision == "bf16" else None


def precision_here() -> Literal["fp32", "bf16"]:
    """What `auto` is on this machine."""
    return "fp32" if autocast_dtype("auto", device_here()) is None else "bf16"


def device_here() -> torch.device:
    """What models are loaded to on this machine."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _cpu_has_bf16() -> bool:
    cpuinfo = Path("/proc/cpuinfo")
    flags = set(cpuinfo.read_text().split()) if cpuinfo.exists() else set()
    return bool(flags & {"amx_bf16", "avx512_bf16"})


def _policy(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    template: Template,
    precision: Precision,
    device: str | torch.device | None,
    name: str,
) -> Policy:
    where = torch.device(device) if device else device_here()
    rows = model.get_input_embeddings().weight.shape[0]
    if rows < len(tokenizer):
        _leave_out_unembedded(tokenizer, template, name, rows)
    if not tokenizer("1").input_ids:
        raise ModelError(
            f"The tokenizer of model {name!r} knows {len(tokenizer)} tokens and cannot even split the text '1': its "
            f"files are missing or damaged. Put the tokenizer.json of the model into its folder."
        )
    if not model.get_input_embeddings().weight.any():
        raise ModelError(
            f"The embeddings of model {name!r} are all zero: its weights are damaged, or were never filled in. Fetch "
            f"the folder again."
        )
    _check_known(model, name)
    check_savable(model, tokenizer, name)
    _leave_out_unknown_ends(model, name, rows)
    stop_ids = template.stop_ids(tokenizer, model.generation_config)
    pad = tokenizer.pad_token_id
    model = model.eval().to(where)
    policy = Policy(
        model=model,
        tokenizer=tokenizer,
        template=template.dated(tokenizer),
        stop_ids=stop_ids,
        pad_id=int(pad) if pad is not None else min(stop_ids),
        window=0,
        device=where,
        autocast_dtype=autocast_dtype(precision, where),
        logit_scale=_logit_scale(model.config.to_dict()),
    )
    try:
        _lay_out(policy, name)
    except Unpackable as error:
        _fall_back(policy, name, error.reason)
    if policy.limit is not None:
        warnings.warn(
            f"Model {name!r} is used up to {policy.window:,} tokens only: {policy.limit}.{_WAY_OUT}", stacklevel=3
        )
    if policy.fallback is not None:
        warnings.warn(
            f"Model {name!r} runs by its own attention and cache, padded and several times slower, since "
            f"{policy.fallback}.",
            stacklevel=3,
        )
    return policy


def _check_known(model: Any, name: str) -> None:
    """ModelError for what a probe with few tokens and small numbers does not show."""
    if senses := [key for key in _SENSES if getattr(model.config, key, None) is not None]:
        raise ModelError(
            f"Model {name!r} reads more than text ({senses[0]!r} in its config.json), and ponder trains on text alone. "
            f"Name a model of text, or the language model in this one, saved as a folder of its own."
        )
    fields = model.config.get_text_config().to_dict()
    for keys, reason in _REFUSED.items():
        if found := [f"{key}: {fields[key]}" for key in keys if fields.get(key)]:
            raise ModelError(
                f"Model {name!r} {reason} ({found[0]} in its config.json), which ponder does not compute. Use Gemma 3, "
                f"Qwen2, Qwen3, Llama, DeepSeek-V3 or a relative of them."
            )


def _lay_out(policy: Policy, name: str) -> None:
    """The policy computes by ponder's layouts. Unpackable where these do not compute what the model does."""
    model: Any = policy.model
    if not model._supports_attention_backend or model.config._attn_implementation != ATTENTION_NAME:
        raise Unpackable(f"a {type(model).__name__} does not let its attention be replaced")
    window = find_window(model, name)
    policy.window, policy.limit = window.tokens, window.limit
    _probe(policy, name, (0, max(0, policy.window - _PROBE_TOKENS)))


def _fall_back(policy: Policy, name: str, reason: str) -> None:
    """The policy computes by the model's own code. ModelError where that computes no sequence beside another."""
    model: Any = policy.model
    model.set_attn_implementation(OWN_CODE)
    model.config._attn_implementation = OWN_CODE  # which old classes leave as it is, and read for their masks
    policy.window, policy.limit, policy.fallback = whole_window(model, name), None, reason
    try:
        _probe(policy, name, (0,), _PADDED_TOKENS)
    except Unpackable as error:
        raise ModelError(
            f"Model {name!r} cannot be trained here. Packed it cannot be, since {reason}; and run by its own code "
            f"{error.reason}. Use Qwen2, Qwen3, Llama, DeepSeek-V3 or a relative of them."
        ) from error


def _leave_out_unembedded(tokenizer: Any, template: Template, name: str, rows: int) -> None:
    """Take the special tokens out of the tokenizer that the model has no embeddings for, such as the place of an image
    in a model of text, so that what spells one is ordinary text. ModelError where text needs one of these."""
    beyond = [one for number, one in tokenizer.added_tokens_decoder.items() if number >= rows]
    written = chat_source(tokenizer) + json.dumps(template.to_json(), ensure_ascii=False)
    marks = (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token, tokenizer.unk_token)
    needed = [one.content for one in beyond if not one.special or one.content in written or one.content in marks]
    if needed or not tokenizer.is_fast or len(tokenizer) - len(beyond) > rows:
        raise ModelError(
            f"Model {name!r} has embeddings for {rows} tokens but its tokenizer knows {len(tokenizer)}. The tokenizer "
            f"belongs to another model: put the right one into the folder."
        )
    form = json.loads(tokenizer.backend_tokenizer.to_str())
    form["added_tokens"] = [one for one in form["added_tokens"] if one["id"] < rows]
    tokenizer._tokenizer = Tokenizer.from_str(json.dumps(form))
    warnings.warn(
        f"The tokenizer of model {name!r} knows special tokens that the model has no embeddings for, and they are left "
        f"out of it: {', '.join(repr(one.content) for one in beyond)}. Where a text spells them it is ordinary text.",
        stacklevel=4,
    )


def _leave_out_unknown_ends(model: Any, name: str, rows: int) -> None:
    """Let the generation config name such end tokens only as the model can write."""
    if not model.can_generate():
        return
    declared = model.generation_config.eos_token_id
    ends = declared if isinstance(declared, list | tuple) else [] if declared is None else [declared]
    known = [one for one in ends if type(one) is int and 0 <= one < rows]
    if len(known) < len(ends):
        unknown = ", ".join(repr(one) for one in ends if one not in known)
        warnings.warn(
            f"The generation config of model {name!r} names end tokens that the model cannot write, for it has "
            f"{rows:,}, counted from 0; left out of it: {unknown}.",
            stacklevel=4,
        )
        model.generation_config.eos_token_id = known or None


def _ends(tokenizer: PreTrainedTokenizerBase) -> dict[str, str]:
    tokens = {"bos": tokenizer.bos_token, "eos": tokenizer.eos_token, "pad": tokenizer.pad_token}
    return {end: token for end, token in tokens.items() if token is not None}


def _logit_scale(config: Mapping[str, Any]) -> float:
    """Cohere, Falcon H1 and HyperCLOVA X multiply their logits, Granite divides them; MiniCPM and Inkling divide what
    they are made of."""
    narrowed = config["dim_model_base"] / config["hidden_size"] if config.get("dim_model_base") else 1.0
    factors = {key: float(config.get(key) or 1.0) for key in _LOGIT_FACTORS}
    multiplied = factors["logit_scale"] * factors["lm_head_multiplier"]
    if config["model_type"] == "hyperclovax":
        return multiplied * factors["logits_scaling"]
    return multiplied / factors["logits_scaling"] * narrowed / factors["logits_mup_width_multiplier"]


def _probe(policy: Policy, name: str, offsets: Sequence[int], tokens: int = _PROBE_TOKENS) -> None:
    """Two responses to one prompt, `tokens` in all, packed by us and one after the other by the model's own attention;
    from each of the positions `offsets` on."""
    model: Any = policy.model
    ids = torch.arange(tokens, device=policy.device) % model.get_input_embeddings().weight.shape[0]
    prompt, first, second = ids.tensor_split([3, 3 + tokens // 4])
    layout = PackedLayout([len(prompt)], [len(first), len(second)], [0, 0], policy.device)

    def ours(offset: int) -> torch.Tensor:
        hidden_TD = policy.hidden(ids[None], layout.position_ids_T[None] + offset, layout)
        weight_VD, bias_V, scale = policy.head()
        return (torch.nn.functional.linear(hidden_TD, weight_VD, bias_V) * scale).log_softmax(-1)

    def own(offset: int) -> torch.Tensor:
        rows = [torch.cat([prompt, response])[None] for response in (first, second)]
        places = [offset + torch.arange(row.shape[1], device=policy.device)[None] for row in rows]
        given = [{"position_ids": at} if offset else {} for at in places]
        one, two = (model(row, use_cache=False, **more).logits[0] for row, more in zip(rows, given, strict=True))
        return torch.cat([one, two[len(prompt) :]]).log_softmax(-1)

    precision, policy.autocast_dtype = policy.autocast_dtype, None
    try:
        for offset in offsets:
            check_same(model, name, "log-probs", partial(ours, offset), partial(own, offset))
    finally:
        policy.autocast_dtype = precision
