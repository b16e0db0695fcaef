"""A completion of what an engine has sampled: its text is the ids without those that say nothing."""

from collections.abc import Sequence

from ponder.policy.voice import Voice
from ponder.records import Completion, FinishReason, WeightSpan

__all__ = ["complete"]


def complete(
    voice: Voice,
    silent: frozenset[int],
    token_ids: Sequence[int],
    logprobs: Sequence[float],
    reason: FinishReason,
    weight_version: int,
    seed: int,
    *,
    guided: bool = False,
    spans: tuple[WeightSpan, ...] = (),
) -> Completion:
    """`silent` are the voice's `silent_ids`, which a caller has asked for once."""
    text = voice.tokenizer.decode(
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
        guided=guided,
        spans=spans,
    )
