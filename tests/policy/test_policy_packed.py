"""A packed row computes what each sequence computes alone, forward and backward."""

import pytest
import torch
from devices import DEVICE
from rounding import assert_close_gradients, assert_close_logprobs, tolerance

from ponder.policy import PackedLayout, Policy, packed, token_logprobs

PROMPTS = [[5, 6, 7, 8, 9], [10, 11], [12, 13, 14, 15, 16, 17, 18, 19, 20]]
RESPONSES = [
    (0, [21, 22, 23, 24, 1]), (0, [25, 1]), (0, [26]), (1, [27] * 11 + [1]), (1, [28, 29, 1]), (2, [30, 31, 32, 1]),
]  # fmt: skip


def packed_logprobs(policy: Policy, responses: list[tuple[int, list[int]]]) -> list[torch.Tensor]:
    layout = PackedLayout(
        [len(p) for p in PROMPTS], [len(r) - 1 for _, r in responses], [p for p, _ in responses], DEVICE
    )
    ids = torch.tensor([t for p in PROMPTS for t in p] + [t for _, r in responses for t in r[:-1]], device=DEVICE)
    hidden = policy.hidden(ids[None], layout.position_ids_T[None], layout)
    result = []
    for i, (owner, response) in enumerate(responses):
        last = int(layout.prompt_starts[owner]) + len(PROMPTS[owner]) - 1
        start = int(layout.response_starts[i])
        index = torch.tensor([last, *range(start, start + len(response) - 1)], device=DEVICE)
        result.append(token_logprobs(hidden[index], policy.head(), torch.tensor(response, device=DEVICE))[0])
    return result


def plain_logprobs(
    policy: Policy, responses: list[tuple[int, list[int]]]
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """The log-probs of each response, and the logits they come from."""
    result, logits = [], []
    for owner, response in responses:
        ids = torch.tensor([PROMPTS[owner] + response], device=DEVICE)
        first = len(PROMPTS[owner])
        logits.append(policy.model(ids).logits[0, first - 1 : -1])
        result.append(logits[-1].log_softmax(-1).gather(1, ids[0, first:, None])[:, 0])
    return result, logits


def gradients(policy: Policy, logprobs: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    policy.model.zero_grad()
    sum((i + 1) * x.sum() for i, x in enumerate(logprobs)).backward()
    return {n: p.grad.clone() for n, p in policy.model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("max_mask", [packed._MAX_MASK_PER_ROW, 40, 0])
@pytest.mark.parametrize("plain_attention", ["eager", "sdpa"])
def test_equals_one_sequence_at_a_time(
    policy: Policy, max_mask: int, plain_attention: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed, "_MAX_MASK_PER_ROW", max_mask)
    ours = packed_logprobs(policy, RESPONSES)
    our_gradients = gradients(policy, ours)
    policy.model.set_attn_implementation(plain_attention)
    theirs, logits = plain_logprobs(policy, RESPONSES)
    layers = policy.model.config.num_hidden_layers
    for a, b, own in zip(ours, theirs, logits, strict=True):
        assert_close_logprobs(a, b, own, layers)
    assert_close_gradients(our_gradients, gradients(policy, theirs), layers)


@torch.no_grad()
def test_another_sequence_changes_nothing(policy: Policy) -> None:
    changed = [(o, [40 + t % 7 for t in r]) if i == 3 else (o, r) for i, (o, r) in enumerate(RESPONSES)]
    before, after = packed_logprobs(policy, RESPONSES), packed_logprobs(policy, changed)
    # Experts see other batch sizes when another sequence is routed elsewhere, which rounds differently.
    experts = policy.model.config.model_type == "deepseek_v3"
    policy.model.set_attn_implementation("eager")
    size = max(float(logits.abs().max()) for logits in plain_logprobs(policy, RESPONSES)[1])
    allowed = tolerance(size, policy.model.config.num_hidden_layers) if experts else 0.0
    for i, (a, b) in enumerate(zip(before, after, strict=True)):
        if i == 3:
            assert not torch.allclose(a, b, atol=1e-3)
        else:
            torch.testing.assert_close(a, b, rtol=0.0, atol=allowed)


def test_the_layout_of_the_docstring() -> None:
    layout = PackedLayout([2], [3, 1], [0, 0])
    assert layout.position_ids_T.tolist() == [0, 1, 2, 3, 4, 2]
    assert layout.response_starts.tolist() == [2, 5]


def test_long_tails_are_little_padded() -> None:
    lengths = [20 + 2 * i for i in range(200)]
    layout = PackedLayout([50] * 20, lengths, [i // 10 for i in range(200)])
    rows = sum(block.query_NQ.numel() for block in layout._arrange(None).blocks)
    assert rows < 1.25 * (sum(lengths) + 20 * 50)
    assert len(layout._arrange(None).blocks) < 20
