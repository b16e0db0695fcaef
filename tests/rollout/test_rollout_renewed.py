"""Completions that newer weights go on with: each span is what its weights say of it, after all that stands before."""

import copy
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from devices import DEVICE
from tiny_models import tiny_policy
from transformers import PreTrainedTokenizerBase

from ponder.policy import Policy
from ponder.recipe.rollout import Sampling
from ponder.records import Completion, WeightSpan
from ponder.rollout import LocalEngine, Request

TOKENS = 60
FIRST = 7
"""Version of the weights that begin."""


class Renewed:
    """Newer weights after every so many looks of a lane, as long as there are any."""

    def __init__(self, policy: Policy, models: list[torch.nn.Module], every: int) -> None:
        self.policy, self.models, self.every = policy, models, every
        self.version, self.looks = FIRST, 0

    def due(self) -> bool:
        self.looks += 1
        return self.looks > self.every and self.version - FIRST < len(self.models)

    def take(self) -> int:
        new = self.models[self.version - FIRST].state_dict()
        self.policy.model.load_state_dict(new)
        self.version, self.looks = self.version + 1, 0
        return self.version


def changed(policy: Policy, count: int) -> list[torch.nn.Module]:
    """The model as it is after more and more updates."""
    models = []
    generator = torch.Generator().manual_seed(3)
    model = policy.model
    for _ in range(count):
        model = copy.deepcopy(model)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.02 * torch.randn(parameter.shape, generator=generator).to(parameter.device)
        models.append(model)
    return models


def requests() -> list[Request]:
    numbers = np.random.default_rng(0)
    return [
        Request(
            prompt_ids=tuple(numbers.integers(4, 60, size=1 + 5 * i).tolist()),
            seeds=tuple(range(10 * i, 10 * i + 4)),
            key=str(i),
        )
        for i in range(6)
    ]


@torch.no_grad()
def logprobs(model: torch.nn.Module, policy: Policy, prompt_ids: tuple[int, ...], one: Completion) -> torch.Tensor:
    """Of each of its tokens, by the model's own attention."""
    policy = replace(policy, model=model)
    policy.model.set_attn_implementation("eager")
    ids = torch.tensor([[*prompt_ids, *one.token_ids]], device=DEVICE)
    logits = model(ids).logits[0, len(prompt_ids) - 1 : -1].float()
    policy.model.set_attn_implementation("ponder")
    return logits.log_softmax(-1).gather(1, ids[0, len(prompt_ids) :, None])[:, 0].cpu()


@pytest.mark.parametrize("cache_bytes", [None, 60_000])
@pytest.mark.parametrize("lanes", [1, 2])
def test_each_span_is_what_its_weights_say(lanes: int, cache_bytes: int | None, qwen2: Policy) -> None:
    policy = replace(qwen2, model=copy.deepcopy(qwen2.model))
    models = [qwen2.model, *changed(policy, 2)]
    asked = requests()
    renewed = Renewed(policy, models[1:], every=15)
    ended: list[tuple[str, int]] = []
    engine = LocalEngine(policy, max_slots=16, lanes=lanes, cache_bytes=cache_bytes)
    found = engine.generate(
        asked, Sampling(), TOKENS, FIRST, lambda key, i, one: ended.append((key, i)), renewal=renewed
    )
    assert sorted(ended) == [(request.key, i) for request in asked for i in range(4)]
    seen = set()
    for request, group in zip(asked, found, strict=True):
        for one, seed in zip(group, request.seeds, strict=True):
            assert one.seed == seed and len(one.token_ids) <= TOKENS
            assert (one.finish_reason == "stop") == (one.token_ids[-1] in policy.stop_ids)
            assert one.finish_reason == "stop" or len(one.token_ids) == TOKENS
            spans = one.spans or (WeightSpan(version=one.weight_version, stop=len(one.token_ids)),)
            assert all(a.version < b.version and a.stop < b.stop for a, b in pairwise(spans))
            seen |= {tuple(span.version for span in spans)}
            start = 0
            for span in spans:
                said = logprobs(models[span.version - FIRST], policy, request.prompt_ids, one)[start : span.stop]
                assert (torch.tensor(list(one.logprobs))[start : span.stop] - said).abs().max() < 1e-4
                start = span.stop
    assert {len(versions) for versions in seen} >= {1, 3}, "those of one version, and of all"
    if cache_bytes is None:  # else some that are begun have no room for a while
        assert (FIRST, FIRST + 2) not in seen


@pytest.mark.parametrize("name", ["qwen2", "deepseek_v3"])
def test_the_same_weights_go_on_with_the_same_tokens(name: str, tokenizer: PreTrainedTokenizerBase) -> None:
    """Random numbers go on, too, and so do limits: nothing but the spans shows that there was a break."""
    policy = tiny_policy(name, tokenizer)
    expected = LocalEngine(policy, lanes=1).generate(requests(), Sampling(temperature=0.8), TOKENS, FIRST)
    renewed = Renewed(policy, [policy.model] * 3, every=11)
    found = LocalEngine(policy, lanes=1).generate(requests(), Sampling(temperature=0.8), TOKENS, FIRST, renewal=renewed)
    for group, others in zip(expected, found, strict=True):
        for one, other in zip(group, others, strict=True):
            assert (one.token_ids, one.text, one.finish_reason) == (other.token_ids, other.text, other.finish_reason)
            assert np.allclose(list(other.logprobs), list(one.logprobs), atol=1e-4)
    assert any(len(one.spans) == 4 for group in found for one in group)


def test_spans_are_of_all_ids_in_their_order() -> None:
    given = {"token_ids": [1, 2, 3], "logprobs": [0, 0, 0], "text": "", "finish_reason": "length", "seed": 0}
    spans = (WeightSpan(version=4, stop=2), WeightSpan(version=5, stop=3))
    assert Completion(**given, weight_version=4, spans=spans).spans == spans
    for wrong in (spans[:1], spans[::-1], (replace(spans[0], stop=3), spans[1]), (replace(spans[0], stop=0), spans[1])):
        with pytest.raises(AssertionError, match="spans"):
            Completion(**given, weight_version=4, spans=wrong)
    with pytest.raises(AssertionError, match="spans"):
        Completion(**given, weight_version=5, spans=spans)
