"""The tolerances of the other tests tell rounding from a fault: a real fault in a model moves log-probs by far more."""

import pytest
import torch
from rounding import FAULT, assert_close_gradients, assert_close_logits, assert_close_logprobs, tolerance
from tiny_models import ARCHITECTURES, tiny_policy
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from ponder.policy import Policy


@pytest.fixture(params=sorted(ARCHITECTURES))
def policy(request: pytest.FixtureRequest) -> Policy:
    words = models.WordLevel({"<pad>": 0, "<eos>": 1, **{f"w{i}": i + 2 for i in range(58)}}, unk_token="<pad>")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(words), eos_token="<eos>", pad_token="<pad>")
    return tiny_policy(request.param, tokenizer)


@torch.no_grad()
def logits_of(policy: Policy, ids: list[int], first_position: int = 0) -> torch.Tensor:
    policy.model.set_attn_implementation("eager")
    positions = torch.arange(first_position, first_position + len(ids))[None]
    logits: torch.Tensor = policy.model(torch.tensor([ids]), position_ids=positions).logits[0]
    return logits


def moved(policy: Policy, one: torch.Tensor, other: torch.Tensor) -> float:
    """The least difference of the log-probs at the last three places, over the ways to choose one token there."""
    return float((one[-3:].log_softmax(-1) - other[-3:].log_softmax(-1)).abs().median())


def test_a_fault_is_more_than_rounding(policy: Policy) -> None:
    """A token that sees one too few, one too many, or one in another's place; a layer less."""
    ids = [5, 6, 7, 8, 9, 10, 11, 12]
    right = logits_of(policy, ids)
    faults = {
        "one too few": logits_of(policy, ids[1:]),
        "one too many": logits_of(policy, [4, *ids]),
        "in another's place": logits_of(policy, [ids[1], ids[0], *ids[2:]]),
    }
    for name, wrong in faults.items():
        assert moved(policy, right, wrong) > 10 * FAULT, name
    same = logits_of(policy, ids, first_position=7)  # rotary positions count from anywhere: rounding only
    layers = policy.model.config.num_hidden_layers
    assert_close_logprobs(same.log_softmax(-1), right.log_softmax(-1), right, layers)


@pytest.mark.parametrize("temperature", [1.3, 1.0, 0.35])
def test_a_fault_of_one_in_ten_thousand_is_found(temperature: float) -> None:
    logits = torch.linspace(-6.4, 6.4, 60)[None].repeat(4, 1)
    logprobs = (logits / temperature).log_softmax(-1)
    assert_close_logprobs(logprobs, logprobs + 1e-6, logits, 2, temperature)
    wrong = logprobs.clone()
    wrong[2, 5] += FAULT
    with pytest.raises(AssertionError, match="not close"):
        assert_close_logprobs(logprobs, wrong, logits, 2, temperature)
    with pytest.raises(AssertionError, match="not close"):
        assert_close_logits(logits, logits + FAULT, 2)


def test_a_gradient_is_judged_by_the_largest() -> None:
    gradients = {"a": torch.tensor([1000.0, 1.0]), "b": torch.tensor([0.01])}
    assert_close_gradients(gradients, {"a": gradients["a"] + 1e-3, "b": gradients["b"] + 1e-3}, 2)
    with pytest.raises(AssertionError):
        assert_close_gradients(gradients, {"a": gradients["a"], "b": gradients["b"] + 1e3 * FAULT}, 2)
    with pytest.raises(AssertionError):
        assert_close_gradients(gradients, {"a": gradients["a"]}, 2)


def test_a_case_too_large_to_tell_them_apart_is_refused() -> None:
    assert tolerance(7.0, 2) < FAULT / 2
    for size, layers, temperature in ((7.0, 2, 0.1), (60.0, 2, 1.0), (7.0, 12, 1.0)):
        with pytest.raises(AssertionError, match="make the case smaller"):
            tolerance(size, layers, temperature)
