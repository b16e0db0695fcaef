"""Both engines where layers see a few tokens only: what they sample is what the whole sequences give."""

import numpy as np
import pytest
from test_rollout_live import finish
from test_rollout_local import assert_right, assert_same_samples, full_logits, requests
from tiny_models import SLIDING, sliding_policy
from transformers import PreTrainedTokenizerFast

from ponder.policy import Policy
from ponder.recipe.rollout import Sampling
from ponder.records import Completion
from ponder.rollout import Bounds, Job, LiveEngine, LocalEngine, Request

WINDOW = 9
SAMPLING = Sampling(temperature=1.3)


def long_requests() -> list[Request]:
    """Prompts before, at and far beyond the window and the prefill's chunks of 32; the last two begin alike."""
    generator = np.random.default_rng(5)
    ids = generator.integers(4, 60, size=200).tolist()
    prompts = [ids[:4], ids[10:19], ids[20:60], ids[:97], ids[:130]]
    return [
        Request(prompt_ids=tuple(prompt), seeds=(10 * i, 10 * i + 1), key=f"p{i}") for i, prompt in enumerate(prompts)
    ]


def endless(policy: Policy) -> Policy:
    """Completions of all lengths cross the window."""
    policy.stop_ids = frozenset({1})
    return policy


@pytest.mark.parametrize("name", SLIDING)
def test_closed(name: str, tokenizer: PreTrainedTokenizerFast) -> None:
    policy = endless(sliding_policy(name, tokenizer, WINDOW))
    asked = [*requests(4), *long_requests()]
    done = LocalEngine(policy, max_slots=6, lanes=1).generate(asked, SAMPLING, 40, 0)
    for request, group in zip(asked, done, strict=True):
        assert_right(policy, request, group, SAMPLING)
    lengths = [len(one.token_ids) for group in done for one in group]
    assert max(lengths) == 40 > min(lengths)


@pytest.mark.parametrize("name", SLIDING)
def test_open(name: str, tokenizer: PreTrainedTokenizerFast) -> None:
    policy = endless(sliding_policy(name, tokenizer, WINDOW))
    asked = [*requests(4), *long_requests()]
    engine = LiveEngine(policy, Bounds(rows=6))
    done = engine.generate(asked, SAMPLING, 40, 0)
    for request, group in zip(asked, done, strict=True):
        assert_right(policy, request, group, SAMPLING)
    again = engine.generate(asked, SAMPLING, 40, 0)  # now with what the prefix cache keeps
    assert engine.load_now.hit_tokens >= 32 * (1 + 3 + 4)
    assert_same_samples(policy, asked, done, again, SAMPLING)


@pytest.mark.parametrize("name", ["gemma3_text", "gpt_oss"])
def test_forced_tokens_cross_the_window(name: str, tokenizer: PreTrainedTokenizerFast) -> None:
    """Several positions of a row at a step, some of which see what others do not."""
    policy = endless(sliding_policy(name, tokenizer, WINDOW))
    prompt, forced = tuple(range(5, 12)), tuple(range(20, 43))
    engine = LiveEngine(policy, Bounds(rows=4))
    number = engine.submit(Job(prompt_ids=prompt, seeds=(1, 2), max_tokens=30, key="f", forced=forced))
    told = finish(engine)
    for choice in (0, 1):
        ids = told[number, choice].ids
        assert tuple(ids[: len(forced)]) == forced
        completion = Completion(
            token_ids=tuple(ids), logprobs=tuple(told[number, choice].logprobs), finish_reason="length", seed=1,
            weight_version=0, text="",
        )  # fmt: skip
        exact = full_logits(policy, prompt, completion).log_softmax(-1)
        wanted = [float(exact[place, token]) for place, token in enumerate(ids)]
        assert completion.logprobs == pytest.approx(wanted, abs=1e-5)
