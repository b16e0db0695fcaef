"""Model folders become policies and policies become model folders.

Any causal language model of transformers is loaded with the ponder attention and then probed: its log-probs of a few
packed tokens must equal what its own code computes for each sequence alone, so that an architecture with a twist ponder
does not know is refused instead of being trained wrongly.
"""

import json
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedTokenizerBase

from ponder.errors import ModelError
from ponder.policy.attention import ATTENTION_NAME, register
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
from ponder.policy.window import find_window
from ponder.recipe.training import Precision
from ponder.text.template import Template, template_for

__all__ = ["load_policy", "load_weights", "random_policy", "save_policy"]

_PROBE_TOKENS = 8
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
        model = read_model(AutoModelForCausalLM, folder)
    except UNLOADABLE as error:
        if error.args == (ATTENTION_NAME,):  # what an architecture that lists its attentions itself does not find there
            kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
            raise _without_our_attention(str(name_or_path), f"a {kind}") from error
        raise ModelError(
            f"The model in {str(folder)!r} cannot be loaded: {first_line(error)}. Expected a causal language model and "
            f"its tokenizer in the Hugging Face format: fetch the folder again, or name another."
        ) from error
    policy = _policy(model, tokenizer, form, precision, device, str(name_or_path))
    if not trained:
        keep_for_products(policy.model, policy.autocast_dtype)
    return policy


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
            model = factory.from_config(built, attn_implementation=ATTENTION_NAME, dtype=torch.float32)
        except (ValueError, KeyError, TypeError, ArithmeticError, RuntimeError) as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise ModelError(f"Transformers cannot build a causal language model of {fields}: {reason}.") from error
    return _policy(model, tokenizer, form, precision, device, f"random {built.model_type}")


def save_policy(policy: Policy, folder: str | Path, dtype: torch.dtype = torch.float32) -> None:
    """Write a plain Hugging Face folder: weights as `dtype`, config, tokenizer, generation config, template."""
    write_model(policy.model, policy.tokenizer, policy.template, Path(folder), dtype)


def load_weights(policy: Policy, folder: str | Path) -> None:
    """Put the weights of a folder that `save_policy` wrote into the policy's own tensors."""
    policy.model.load_state_dict(read_model(AutoModelForCausalLM, Path(folder)).state_dict())


def autocast_dtype(precision: Precision, device: torch.device) -> torch.dtype | None:
    """The dtype of matrix products, or None for float32."""
    if precision == "auto":
        fast = device.type == "cuda" or (device.type == "cpu" and _cpu_has_bf16())
        return torch.bfloat16 if fast else None
    return torch.bfloat16 if precision == "bf16" else None


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
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    rows = model.get_input_embeddings().weight.shape[0]
    if rows < len(tokenizer):
        raise ModelError(
            f"Model {name!r} has embeddings for {rows} tokens but its tokenizer knows {len(tokenizer)}. The tokenizer "
            f"belongs to another model: put the right one into the folder."
        )
    if not model._supports_attention_backend:
        raise _without_our_attention(name, f"a {type(model).__name__}")
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
    check_savable(model, tokenizer, name)
    _leave_out_unknown_ends(model, name, rows)
    stop_ids = template.stop_ids(tokenizer, model.generation_config)
    pad = tokenizer.pad_token_id
    model = model.eval().to(where)
    window = find_window(model, name)
    policy = Policy(
        model=model,
        tokenizer=tokenizer,
        template=template.dated(tokenizer),
        stop_ids=stop_ids,
        pad_id=int(pad) if pad is not None else min(stop_ids),
        window=window.tokens,
        limit=window.limit,
        device=where,
        autocast_dtype=autocast_dtype(precision, where),
        logit_scale=_logit_scale(model.config.to_dict()),
    )
    _probe(policy, name)
    if window.limit is not None:
        warnings.warn(
            f"Model {name!r} is used up to {window.tokens:,} tokens only: {window.limit}.{_WAY_OUT}", stacklevel=3
        )
    return policy


def _without_our_attention(name: str, kind: str) -> ModelError:
    return ModelError(
        f"Model {name!r} is {kind}, which does not let its attention be replaced, so it can neither be packed nor "
        f"sampled here. Use an architecture such as Qwen2, Qwen3, Llama or DeepSeek-V3."
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
    """Cohere multiplies its logits, Granite divides them."""
    return float(config.get("logit_scale") or 1.0) / float(config.get("logits_scaling") or 1.0)


def _probe(policy: Policy, name: str) -> None:
    """Two responses to one prompt, packed by us and one after the other by the model's own attention; at the first
    positions of the window and at the last."""
    model: Any = policy.model
    ids = torch.arange(_PROBE_TOKENS, device=policy.device) % model.get_input_embeddings().weight.shape[0]
    prompt, first, second = ids[:3], ids[3:5], ids[5:]
    layout = PackedLayout([len(prompt)], [len(first), len(second)], [0, 0], policy.device)

    def ours(offset: int) -> torch.Tensor:
        hidden_TD = policy.hidden(ids[None], layout.position_ids_T[None] + offset, layout)
        weight_VD, bias_V, scale = policy.head()
        return (torch.nn.functional.linear(hidden_TD, weight_VD, bias_V) * scale).log_softmax(-1)

    def own(offset: int) -> torch.Tensor:
        rows = [torch.cat([prompt, response])[None] for response in (first, second)]
        places = [offset + torch.arange(row.shape[1], device=policy.device)[None] for row in rows]
        one, two = (model(row, position_ids=at).logits[0] for row, at in zip(rows, places, strict=True))
        return torch.cat([one, two[len(prompt) :]]).log_softmax(-1)

    precision, policy.autocast_dtype = policy.autocast_dtype, None
    try:
        for offset in (0, max(0, policy.window - _PROBE_TOKENS)):
            check_same(model, name, "log-probs", partial(ours, offset), partial(own, offset))
    finally:
        policy.autocast_dtype = precision
