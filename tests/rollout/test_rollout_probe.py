"""Models that are computed rightly at once and could not be token by token are refused before they write anything."""

from typing import Any

import pytest
import torch
from devices import DEVICE
from rounding import FAULT
from tiny_models import tiny_policy
from transformers import PreTrainedTokenizerFast

from ponder.errors import ModelError
from ponder.policy import Policy, random_policy
from ponder.recipe.rollout import Sampling
from ponder.recipe.training import BatchLimits, Optimizer
from ponder.rollout import LocalEngine, Request
from ponder.rollout.probe import check_sampling
from ponder.rollout.slots import SlotLayout
from ponder.train import Sample, Trainer

BASE = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256, "bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0,
    "initializer_range": 0.3,
}  # fmt: skip
REQUESTS = [Request(prompt_ids=(5, 6, 7), seeds=(1, 2), key="p"), Request(prompt_ids=(9,), seeds=(3,), key="q")]


def make(fields: dict[str, Any], tokenizer: PreTrainedTokenizerFast, precision: Any = "fp32") -> Policy:
    return random_policy(BASE | fields, tokenizer, "r1-zero", seed=4, precision=precision, device=DEVICE)


def test_outputs_that_a_model_expects_in_one_piece(tokenizer: PreTrainedTokenizerFast) -> None:
    fields = {"model_type": "jetmoe", "num_key_value_heads": 2, "kv_channels": 8, "num_local_experts": 4,
              "num_experts_per_tok": 2}  # fmt: skip
    policy = make(fields, tokenizer)
    done = LocalEngine(policy, lanes=1).generate(REQUESTS, Sampling(), 12, 0)
    samples = [
        Sample(prompt_ids=request.prompt_ids, response_ids=one.token_ids, group=request.key, weight=1.0)
        for request, group in zip(REQUESTS, done, strict=True)
        for one in group
    ]
    found = Trainer(policy, Optimizer(), BatchLimits()).logprobs(samples)
    for mine, one in zip(found, [one for group in done for one in group], strict=True):
        torch.testing.assert_close(torch.tensor(one.logprobs), mine, rtol=0, atol=FAULT)


class Fault:
    """What a layout could do wrong with an architecture, done on purpose."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, change: Any) -> None:
        right = SlotLayout.attend
        monkeypatch.setattr(SlotLayout, "attend", lambda *given: change(right(*given)))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_log_probs_that_differ(
    precision: Any, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tiny_policy("qwen3", tokenizer, precision=precision)
    Fault(monkeypatch, lambda output: -output)
    with (
        pytest.raises(ModelError, match="Qwen3ForCausalLM, gives other log-probs when it is sampled from"),
        torch.no_grad(),
        policy.autocast(),
    ):
        check_sampling(policy)


def test_an_error_of_its_code(tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tiny_policy("qwen3", tokenizer)
    Fault(monkeypatch, lambda output: output[:, :, :1, None])
    with pytest.raises(ModelError, match=r"cannot be sampled from: .*keeps more of the past than") as caught:
        LocalEngine(policy, lanes=1).generate(REQUESTS, Sampling(), 5, 0)
    assert "\n" not in str(caught.value)


def test_a_model_is_asked_once(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    first = LocalEngine(policy, lanes=1).generate(REQUESTS, Sampling(), 5, 0)
    monkeypatch.setattr("ponder.rollout.probe._difference", lambda policy: pytest.fail("asked again"))
    assert LocalEngine(policy, lanes=1).generate(REQUESTS, Sampling(), 5, 0) == first
