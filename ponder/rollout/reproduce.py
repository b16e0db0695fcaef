"""Whether an engine with weights of its own has the policy's: what it draws must be as likely by the policy.

Drawn are a few tokens after a prompt that is the same every time and fills blocks of a prefix cache: keys and values
left over from other weights would be found, and the tokens be drawn from them. Then the same tokens are scored at once,
which is how an engine computes prompts. Tokens that the model draws by itself are compared, since rounding moves
improbable ones far more.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ponder.errors import ModelError
from ponder.policy.forward import LogprobModel
from ponder.policy.packed import PackedLayout
from ponder.policy.policy import Policy
from ponder.policy.storage import cast_once
from ponder.records import Message

__all__ = ["PROBE_SEEDS", "PROBE_TOKENS", "Probed", "check_reproduced", "probe_logprobs", "probe_prompt"]

PROBE_SEEDS, PROBE_TOKENS = 4, 16
"""Completions of so many tokens at most: 64 tokens in all."""
_PROMPT = 80
"""Tokens, which fill two blocks of 32."""
_QUESTION = "What is 12 + 30? Think step by step, then give the sum. For example, 1 + 2 = 3 and 10 + 20 = 30."
_FLOAT32 = 1e-4
"""Largest mean difference on a CPU in float32; typical is 1e-6."""
_FEW = 5
"""How much more than a whole rollout the probe may differ elsewhere: a single improbable token, which bf16 moves by
half a nat, counts that much among 64. Weights that are missing or in another order make several nats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What an engine drew after the probe's prompt: tokens, and their log-probs twice, as drawn and as scored."""

    token_ids: Sequence[int]
    drawn: Sequence[float]
    scored: Sequence[float]


def probe_prompt(policy: Policy) -> tuple[int, ...]:
    """A question as the policy is asked, repeated until it is long enough; shorter where the window is small."""
    ids = policy.voice().prompt((Message(role="user", content=_QUESTION),))
    length = max(1, min(_PROMPT, policy.window - PROBE_TOKENS - 1))
    return (ids * -(-length // len(ids)))[-length:]


def check_reproduced(
    policy: Policy, probe: Callable[[tuple[int, ...]], Sequence[Probed]], tolerance: float
) -> tuple[float, int]:
    """The mean absolute difference of log-probs in nats, and of how many tokens. `probe` continues a prompt. ModelError
    where the mean of the drawn or of the scored ones is no number or, naming the worst token, too large for what a
    whole rollout may differ by: `tolerance`."""
    prompt = probe_prompt(policy)
    found = probe(prompt)
    ours = [x for row in _logprobs(policy, prompt, [one.token_ids for one in found]) for x in row]
    ids = [token for one in found for token in one.token_ids]
    tolerance *= _FEW
    if policy.device.type == "cpu" and policy.autocast_dtype is None:
        tolerance = min(tolerance, _FLOAT32)
    largest = 0.0
    for way, theirs in (
        ("drawn", [x for one in found for x in one.drawn]),
        ("scored", [x for one in found for x in one.scored]),
    ):
        differences = [abs(a - b) for a, b in zip(theirs, ours, strict=True)]
        mean = sum(differences) / len(differences)
        if not mean <= tolerance:
            worst = max(range(len(ids)), key=lambda i: math.inf if math.isnan(differences[i]) else differences[i])
            raise ModelError(
                f"vLLM was given the policy's weights and does not compute what the policy does: the log-probs of "
                f"{len(ids)} tokens, as {way}, differ by {mean:.3g} on average (expected at most {tolerance:g}), and "
                f"most for token id {ids[worst]}: {theirs[worst]:.4f} by vLLM, {ours[worst]:.4f} by the policy. A part "
                f"of the weights, or what it remembers of prompts, is not of this version, or vLLM computes this model "
                f"otherwise. Nothing was sampled. Set `engine.kind` to local."
            )
        largest = max(largest, mean)
    return largest, len(ids)


def probe_logprobs(policy: Policy) -> list[float]:
    """The log-probs of the probe's own tokens but the first, as the trainer computes them."""
    prompt = probe_prompt(policy)
    return _logprobs(policy, prompt[:1], [prompt[1:]])[0]


@torch.no_grad()
def _logprobs(policy: Policy, prompt: tuple[int, ...], completions: Sequence[Sequence[int]]) -> list[list[float]]:
    """Of each completion's tokens, as the trainer computes them."""
    sequences = [(*prompt, *completion) for completion in completions]
    layout = PackedLayout([len(one) for one in sequences], [], [], policy.device)
    ids_1T = torch.tensor([[token for one in sequences for token in one]], device=policy.device)
    read: list[int] = []
    start = 0
    for one in sequences:
        read += range(start + len(prompt) - 1, start + len(one) - 1)
        start += len(one)
    read_M = torch.tensor(read, device=policy.device)
    with cast_once(policy.model):
        logprobs_M, _ = LogprobModel(policy, len(read))(ids_1T, layout, read_M, ids_1T[0, read_M + 1], 1.0)
    return [row.tolist() for row in torch.split(logprobs_M, [len(one) for one in completions])]
