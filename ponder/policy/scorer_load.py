"""Model folders become scorers and scorers become model folders.

A new scorer is a causal model's body with a fresh row of weights; a saved one must agree with its `ponder_scorer.json`.
Either is probed: its packed scores must equal what the model's own code computes for each sequence alone.
"""

import math
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification
from transformers.modeling_layers import GenericForSequenceClassification

from ponder.errors import ModelError
from ponder.policy.attention import ATTENTION_NAME
from ponder.policy.load import autocast_dtype
from ponder.policy.policy import Policy
from ponder.policy.pretrained import UNLOADABLE, check_same, first_line, load_tokenizer, read_model, write_model
from ponder.policy.resolve import resolve_model
from ponder.policy.scorer import Scored, Scorer
from ponder.policy.scorer_file import Scope, ScorerFile, ScorerLoss, read_scorer_file, weights_digest
from ponder.policy.storage import keep_for_products
from ponder.policy.window import find_window
from ponder.recipe.training import Precision
from ponder.text.template import Template

__all__ = ["load_score_weights", "load_scorer", "new_scorer", "read_scored", "row_width", "save_scorer", "with_row"]

_HEAD = "score.weight"
_PROBE_TOKENS = 8


def new_scorer(policy: Policy, *, loss: ScorerLoss, scope: Scope, base: str, max_tokens: int, seed: int) -> Scorer:
    """A scorer with the body of `policy`, which it takes over, and a row of small random weights.

    Raises ModelError for an architecture that transformers does not give a classification head on the last token.
    """
    width = row_width(policy)
    generator = torch.Generator().manual_seed(seed)
    model = with_row(policy, torch.randn(1, width, generator=generator) / math.sqrt(width + 1), base, "a reward model")
    # Where the only end is also the padding, transformers would look for the score before it: then there is none.
    ends = sorted(policy.stop_ids - {policy.tokenizer.pad_token_id})
    scorer = Scorer(
        model=model,
        tokenizer=policy.tokenizer,
        template=policy.template,
        file=ScorerFile(
            scope=scope,
            loss=loss,
            template=policy.template.name,
            architecture=type(model).__name__,
            model_type=model.config.model_type,
            base=base,
            end=str(policy.tokenizer.convert_ids_to_tokens(ends[0])) if ends else None,
            max_tokens=max_tokens,
            mean=0.0,
            deviation=1.0,
            even=0.0,
            weights="",
        ),
        window=policy.window,
        limit=policy.limit,
        device=policy.device,
        autocast_dtype=policy.autocast_dtype,
    )
    _probe(scorer, base)
    return scorer


def with_row(policy: Policy, row_1D: torch.Tensor, base: str, what: str) -> Any:
    """The body of `policy`, which it takes over, under one linear row; `what` it is to become, for people.

    Raises ModelError for an architecture that transformers does not give a classification head on the last token.
    """
    if policy.fallback is not None:
        raise ModelError(
            f"{base!r} cannot become {what}: texts are scored packed, which it cannot be, since {policy.fallback}. Use "
            f"Qwen2, Qwen3, Llama, DeepSeek-V3 or a relative of them."
        )
    config = policy.model.config  # the body's own object, so that both always use the same attention
    config.num_labels = 1
    config.pad_token_id = policy.tokenizer.pad_token_id
    factory: Any = AutoModelForSequenceClassification
    try:
        with torch.device("meta"):
            model = factory.from_config(config, attn_implementation=ATTENTION_NAME, dtype=torch.float32)
    except UNLOADABLE as error:
        raise ModelError(
            f"Transformers has no classification head for {base!r} ({config.model_type}), so it cannot become {what}: "
            f"{' '.join(str(error).split())[:200]}. Use an architecture such as Qwen2, Qwen3, Llama or DeepSeek-V3."
        ) from error
    _check_head(model, base)
    setattr(model, model.base_model_prefix, policy.model.base_model)
    model.config = config
    model.score = torch.nn.Linear(row_1D.shape[1], 1, bias=False, device=policy.device)
    model.score.weight.data.copy_(row_1D)
    return model.eval()


def row_width(policy: Policy) -> int:
    """The numbers of a hidden state, and so of a row."""
    embeddings: Any = policy.model.get_input_embeddings()
    return int(embeddings.weight.shape[1])


def load_scorer(
    name_or_path: str | Path,
    scope: Scope | None = None,
    precision: Precision = "auto",
    device: str | torch.device | None = None,
) -> Scorer:
    """The scorer of a folder or hub id, its weights without gradient. `scope` is what it must score, None takes either.

    ModelError where the folder holds no scorer, or one that is not what its `ponder_scorer.json` says.
    """
    folder = resolve_model(name_or_path)
    file = read_scorer_file(folder, scope)
    template = Template.load(folder)
    if template.name != file.template:
        raise ModelError(
            f"The reward model in {str(folder)!r} was trained with the template {file.template!r}, but the template "
            f"saved beside it is {template.name!r}. Restore the folder from a copy, or train the reward model again."
        )
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    try:
        tokenizer = load_tokenizer(folder)
        model = read_scored(folder)
    except UNLOADABLE as error:
        raise ModelError(
            f"The reward model in {str(folder)!r} cannot be loaded: {first_line(error)[:300]}. Fetch the "
            f"folder again, or name another."
        ) from error
    _check_head(model, str(folder))
    model = model.eval().requires_grad_(False).to(where)
    window = find_window(model, str(name_or_path))
    scorer = Scorer(
        model=model,
        tokenizer=tokenizer,
        template=template,
        file=file,
        window=window.tokens,
        limit=window.limit,
        device=where,
        autocast_dtype=autocast_dtype(precision, where),
    )
    _probe(scorer, str(name_or_path))
    keep_for_products(model, scorer.autocast_dtype)
    return scorer


def save_scorer(scorer: Scorer, folder: Path) -> ScorerFile:
    """Write a plain Hugging Face folder with `ponder_scorer.json`, weights as float32; returns what that file says."""
    write_model(scorer.model, scorer.tokenizer, scorer.template, folder, torch.float32)
    file = scorer.with_file(weights=weights_digest(folder)).file
    file.save(folder)
    return file


def load_score_weights(scorer: Scorer, folder: Path) -> None:
    """Put the weights of a folder that `save_scorer` wrote into the scorer's own tensors."""
    scorer.model.load_state_dict(read_scored(folder).state_dict())


def read_scored(folder: Path) -> Any:
    """The model of a scorer's folder, as transformers has it; what `UNLOADABLE` lists where it cannot be read."""
    model = read_model(AutoModelForSequenceClassification, folder)
    if model.config.num_labels != 1:
        raise ValueError(f"its head has {model.config.num_labels} labels, expected 1")
    return model


def _check_head(model: Any, name: str) -> None:
    if not isinstance(model, GenericForSequenceClassification):
        raise ModelError(
            f"{name!r} is a {type(model).__name__}, whose score does not stand on the last token alone. Use an "
            f"architecture such as Qwen2, Qwen3, Llama or DeepSeek-V3."
        )


def _probe(scorer: Scorer, name: str) -> None:
    """Two texts after one prompt, packed by us and one after the other by the model's own attention."""
    model: Any = scorer.model
    rows, pad = model.get_input_embeddings().weight.shape[0], model.config.get_text_config().pad_token_id
    ids = [i for i in range(rows) if i != pad][:_PROBE_TOKENS]
    item = Scored(prompt_ids=tuple(ids[:3]), response_ids=(tuple(ids[3:5]), tuple(ids[5:])))

    def own() -> torch.Tensor:
        texts = [torch.tensor([item.prompt_ids + text], device=scorer.device) for text in item.response_ids]
        return torch.stack([model(text).logits[0, 0] for text in texts])

    precision, scorer.autocast_dtype = scorer.autocast_dtype, None
    try:
        check_same(model, name, "scores", lambda: scorer.forward([item]), own)
    finally:
        scorer.autocast_dtype = precision
