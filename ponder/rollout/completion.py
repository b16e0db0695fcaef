"""A completion of what an engine has sampled: its text is the ids without those that say nothing."""

from collections.abc import Sequence

from ponder.policy.policy import Policy
from ponder.records import Completion, FinishReason

__all__ = ["complete", "silent_ids"]


def silent_ids(policy: Policy) -> frozenset[int]:
    """Tokens that end, fill or begin a text and are no part of it. Not all special tokens: tags such as <think> are
    special tokens of some tokenizers."""
    begin = policy.tokenizer.bos_token_id
    assert begin is None or isinstance(begin, int)
    return policy.stop_ids | {policy.pad_id} | (frozenset() if begin is None else {begin})


def complete(
    policy: Policy,
    silent: frozenset[int],
    token_ids: Sequence[int],
    logprobs: Sequence[float],
    reason: FinishReason,
    weight_version: int,
    seed: int,
) -> Completion:
    """`silent` are the policy's `silent_ids`."""
    text = policy.tokenizer.decode(
        [i for i in token_ids if i not in silent], skip_special_tokens=False, clean_up_tokenization_spaces=False
    )
    assert isinstance(text, str)
    return Completion(
        token_ids=token_ids,
        logprobs=logprobs,
        text=text,
        finish_reason=reason,
        weight_version=weight_version,
        seed=seed,
    )
