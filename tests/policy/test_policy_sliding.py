"""Sliding windows and sinks, packed: a layer's tokens see what its model's own code lets them see, there and back."""

import warnings
from copy import deepcopy
from typing import Any

import pytest
import torch
from devices import DEVICE
from rounding import assert_close_gradients, assert_close_logprobs
from tiny_models import SLIDING, sliding_policy
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from ponder.policy import PackedLayout, Policy, packed, token_logprobs

WINDOW = 8
PROMPTS = [[5 + i % 50 for i in range(length)] for length in (3, 21, 8)]
RESPONSES = [(owner, [4 + (7 * i + length) % 50 for i in range(length)]) for owner, length in
             [(0, 4), (0, 40), (1, 2), (1, 17), (2, 1), (2, 9), (0, 6)]]  # fmt: skip


def logprobs_of(policy: Policy) -> list[torch.Tensor]:
    layout = PackedLayout(
        [len(p) for p in PROMPTS], [len(r) - 1 for _, r in RESPONSES], [p for p, _ in RESPONSES], DEVICE, padding=5
    )
    ids = [t for p in PROMPTS for t in p] + [0] * 5 + [t for _, r in RESPONSES for t in r[:-1]]
    hidden = policy.hidden(torch.tensor([ids], device=DEVICE), layout.position_ids_T[None], layout)
    result = []
    for i, (owner, response) in enumerate(RESPONSES):
        last, start = int(layout.prompt_starts[owner]) + len(PROMPTS[owner]) - 1, int(layout.response_starts[i])
        index = torch.tensor([last, *range(start, start + len(response) - 1)], device=DEVICE)
        result.append(token_logprobs(hidden[index], policy.head(), torch.tensor(response, device=DEVICE))[0])
    return result


def plain_logprobs(model: Any) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """One sequence at a time, and the logits."""
    result, logits = [], []
    for owner, response in RESPONSES:
        ids = torch.tensor([PROMPTS[owner] + response], device=DEVICE)
        first = len(PROMPTS[owner])
        logits.append(model(ids).logits[0, first - 1 : -1])
        result.append(logits[-1].log_softmax(-1).gather(1, ids[0, first:, None])[:, 0])
    return result, logits


def gradients(model: Any, logprobs: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    model.zero_grad()
    sum((i + 1) * x.sum() for i, x in enumerate(logprobs)).backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def own(policy: Policy) -> Any:
    model = AutoModelForCausalLM.from_config(
        deepcopy(policy.model.config), attn_implementation="eager", dtype=torch.float32
    )
    model.load_state_dict(policy.model.state_dict())
    return model.eval().to(DEVICE)


@pytest.mark.parametrize("strip", [512, 5])
@pytest.mark.parametrize("name", SLIDING)
def test_equals_the_models_own_code(
    name: str, strip: int, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed, "_STRIP", strip)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        policy = sliding_policy(name, tokenizer, WINDOW)
    assert (policy.window, policy.limit) == (256, None)
    ours = logprobs_of(policy)
    model = own(policy)
    theirs, logits = plain_logprobs(model)
    layers = policy.model.config.num_hidden_layers
    for a, b, logit in zip(ours, theirs, logits, strict=True):
        assert_close_logprobs(a, b, logit, layers)
    assert_close_gradients(gradients(policy.model, ours), gradients(model, theirs), layers)
    with torch.no_grad():  # the window is felt: without it, the long ones are others
        wide = sliding_policy(name, tokenizer, 200)
        wide.model.load_state_dict(policy.model.state_dict())
        differences = [float((a - b).abs().max()) for a, b in zip(ours, logprobs_of(wide), strict=True)]
    assert max(differences) > 1e-3 and differences[0] == pytest.approx(0, abs=1e-5)


def test_windows_that_nobody_crosses_change_nothing(tokenizer: PreTrainedTokenizerFast) -> None:
    """Bit for bit what full attention gives."""
    full = sliding_policy("mistral", tokenizer, None)
    wide = sliding_policy("mistral", tokenizer, 46)
    assert all(torch.equal(a, b) for a, b in zip(logprobs_of(full), logprobs_of(wide), strict=True))
