"""Guides and biases: what they leave of a sample's distribution, and that nobody else notices them."""

import pickle
from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
import torch
from devices import DEVICE
from test_rollout_live import Told, finish, job, take
from test_rollout_local import full_logits, ids_of

from ponder.errors import DataError, ModelError
from ponder.policy import Policy
from ponder.policy.voice import Voice
from ponder.recipe.rollout import Sampling
from ponder.records import Completion
from ponder.rollout import Drawing, LiveEngine, LocalEngine, Request
from ponder.rollout.sampler import sample, uniforms


class Stairs:
    """Each token is larger than the last one by at most `reach`; at the top nothing follows."""

    def __init__(self, reach: int, vocabulary: int, first: int) -> None:
        self._reach, self._vocabulary, self.last = reach, vocabulary, first

    def allowed(self) -> npt.NDArray[np.bool_]:
        allowed = np.zeros(self._vocabulary, np.bool_)
        allowed[self.last + 1 : self.last + 1 + self._reach] = True
        return allowed

    def take(self, token: int) -> None:
        self.last = token


@dataclass(frozen=True)
class Climb:
    """Makes them."""

    reach: int
    first: int = 3

    def open(self, voice: Voice, size: int) -> Stairs:
        return Stairs(self.reach, size, self.first)


def as_completion(told: Told, seed: int) -> Completion:
    return Completion(
        token_ids=told.ids, logprobs=told.logprobs, text="", finish_reason="stop", weight_version=0, seed=seed
    )


def expected(policy: Policy, told: Told, seed: int, maker: Climb, drawing: Drawing) -> tuple[list[int], torch.Tensor]:
    """Tokens and log-probs of the same draws from logits of the model alone, the banned ones left out."""
    logits = full_logits(policy, (5, 6, 7), as_completion(told, seed))
    guide = maker.open(policy.voice(), logits.shape[1])
    for place, token in enumerate(told.ids):
        logits[place, torch.from_numpy(~guide.allowed()).to(DEVICE)] = float("-inf")
        guide.take(token)
    uniform = torch.from_numpy(uniforms(np.full(len(told.ids), seed, np.uint64), np.arange(len(told.ids)))).to(DEVICE)
    tokens, logprobs = sample(logits, uniform, Sampling(temperature=drawing.temperature, top_p=drawing.top_p))
    return tokens.tolist(), logprobs


@pytest.mark.parametrize("drawing", [Drawing(), Drawing(temperature=0.0), Drawing(temperature=0.7, top_p=0.8)])
@pytest.mark.parametrize("company", [0, 30])
def test_guided_samples_are_draws_from_what_is_allowed(qwen2: Policy, drawing: Drawing, company: int) -> None:
    """In one job with three samples, each with a state of its own; those beside them are as without them."""
    others = [job([9, i + 4], i, max_tokens=25) for i in range(company)]
    alone = LiveEngine(qwen2)
    for one in others:
        alone.submit(one)
    plain = finish(alone)

    engine, maker = LiveEngine(qwen2), Climb(5)
    numbers = {engine.submit(one): i for i, one in enumerate(others)}
    guided = engine.submit(job([5, 6, 7], 3, 4, 5, max_tokens=8, drawing=drawing, guide=maker, stop_ids=frozenset()))
    told = finish(engine)
    for choice, seed in enumerate((3, 4, 5)):
        one = told[guided, choice]
        assert len(one.ids) == 8 and all(0 < b - a <= 5 for a, b in pairwise([3, *one.ids]))
        tokens, logprobs = expected(qwen2, one, seed, maker, drawing)
        assert tokens == one.ids
        torch.testing.assert_close(torch.tensor(one.logprobs, device=DEVICE), logprobs, rtol=0, atol=1e-4)
    if drawing.temperature:
        assert len({tuple(told[guided, choice].ids) for choice in range(3)}) > 1
    assert [told[number, 0].ids for number in numbers] == [plain[i, 0].ids for i in numbers.values()]


def test_a_guide_that_allows_nothing_ends_its_sample_alone(qwen2: Policy) -> None:
    engine = LiveEngine(qwen2)
    beside = engine.submit(job([5, 6, 7], 1, stop_ids=frozenset()))
    stuck = engine.submit(job([5, 6, 7], 2, guide=Climb(1, first=55), stop_ids=frozenset()))
    told = finish(engine)
    assert (told[stuck, 0].ids, told[stuck, 0].reason) == ([56, 57, 58, 59], "failed")
    assert (len(told[beside, 0].ids), told[beside, 0].reason) == (20, "length")
    with pytest.raises(ModelError, match="guide allowed nothing"):
        request = Request(prompt_ids=(5, 6, 7), seeds=(1,), key="a", guide=Climb(1, first=55))
        LiveEngine(qwen2).generate([request], Sampling(), 20, 0)


def test_stop_ids_that_are_allowed_end_a_guided_sample(qwen2: Policy) -> None:
    engine = LiveEngine(qwen2)
    number = engine.submit(job([5, 6, 7], 2, guide=Climb(1), stop_ids=frozenset({8})))
    told = finish(engine)
    assert (told[number, 0].ids, told[number, 0].reason) == ([4, 5, 6, 7, 8], "stop")


def test_what_a_guide_does_not_allow_is_not_forced(qwen2: Policy) -> None:
    engine = LiveEngine(qwen2)
    number = engine.submit(job([5, 6, 7], 2, guide=Climb(3), forced=(6, 7, 30, 31), max_tokens=8, stop_ids=frozenset()))
    ids = finish(engine)[number, 0].ids
    assert ids[:2] == [6, 7] and len(ids) == 8
    assert all(0 < b - a <= 3 for a, b in pairwise(ids))


def test_bias_moves_and_bans(qwen2: Policy) -> None:
    """By as much as it says, at every place, for its own job alone; few rows guess several tokens at a step."""
    engine = LiveEngine(qwen2)
    plain = engine.submit(job([5, 6, 7], 2, stop_ids=frozenset()))
    bias = ((10, 2.5), (11, -1.5), *((token, float("-inf")) for token in range(20, 56)))
    biased = engine.submit(job([5, 6, 7], 2, bias=bias, stop_ids=frozenset()))
    told = finish(engine)
    unbiased = LiveEngine(qwen2)
    unbiased.submit(job([5, 6, 7], 2, stop_ids=frozenset()))
    assert told[plain, 0].ids == finish(unbiased)[0, 0].ids
    assert set(told[plain, 0].ids) & set(range(20, 56))
    logits = full_logits(qwen2, (5, 6, 7), as_completion(told[biased, 0], 2))
    for token, value in bias:
        logits[:, token] += value
    uniform = torch.from_numpy(uniforms(np.full(20, 2, np.uint64), np.arange(20))).to(DEVICE)
    tokens, logprobs = sample(logits, uniform, Sampling())
    assert tokens.tolist() == told[biased, 0].ids
    torch.testing.assert_close(torch.tensor(told[biased, 0].logprobs, device=DEVICE), logprobs, rtol=0, atol=1e-4)
    with pytest.raises(DataError, match="none of the model's 60"):
        engine.submit(job([5], 1, bias=((60, 1.0),)))


def test_guided_completions_say_so_and_closed_engines_refuse_guides(qwen2: Policy) -> None:
    requests = [
        Request(prompt_ids=(5, 6, 7), seeds=(1, 2), key="a", guide=Climb(5)),
        Request(prompt_ids=(5, 6, 7), seeds=(1, 2), key="b"),
    ]
    guided, free = LiveEngine(qwen2).generate(requests, Sampling(), 6, 0)
    assert [one.guided for one in (*guided, *free)] == [True, True, False, False]
    assert ids_of([free]) == ids_of(LocalEngine(qwen2).generate(requests[1:], Sampling(), 6, 0))
    with pytest.raises(DataError, match="'a' brings a guide"):
        LocalEngine(qwen2).generate(requests, Sampling(), 6, 0)


def test_a_job_with_a_guide_travels(qwen2: Policy) -> None:
    one = replace(job([5, 6], 1, guide=Climb(4)), bias=((3, 1.0),))
    assert pickle.loads(pickle.dumps(one)) == one


def test_pieces_of_guided_jobs_come_one_token_at_a_step(qwen2: Policy) -> None:
    engine = LiveEngine(qwen2)
    engine.submit(job([5, 6, 7], 2, guide=Climb(1), forced=tuple(range(4, 16)), max_tokens=12, stop_ids=frozenset()))
    told: dict[tuple[int, int], Told] = defaultdict(Told)
    while engine.load_now.jobs:
        pieces = engine.step()
        assert all(len(piece.token_ids) == 1 for piece in pieces)
        take(told, pieces)
    assert told[0, 0].ids == list(range(4, 16))
