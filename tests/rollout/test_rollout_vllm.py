"""vLLM draws what the policy would: the same log-probs with whatever weights, and nothing where it has others."""

import gc
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import torch
from tiny_models import ARCHITECTURES
from transformers import PreTrainedTokenizerFast

from ponder.algorithm import next_token_loss
from ponder.errors import ModelError
from ponder.policy import Policy, load_policy, random_policy
from ponder.recipe.rollout import EngineConfig, Sampling, has_vllm
from ponder.recipe.training import BatchLimits, Optimizer
from ponder.records import Completion, Message, WeightSpan
from ponder.rollout import Request, open_engine, vllm_engine, vllm_start
from ponder.rollout.reproduce import check_reproduced
from ponder.rollout.vllm_engine import VllmEngine
from ponder.train import Sample, Trainer

pytestmark = [
    pytest.mark.scale,
    pytest.mark.skipif(not has_vllm(), reason="vLLM is not installed: `make test-scale` installs it"),
]

Tensors = Iterator[tuple[str, torch.Tensor]]
_SIZES = {"head_dim": 32, "hidden_size": 128, "intermediate_size": 128}
"""What the kernels of a CPU can do."""
MOE: Mapping[str, Any] = {
    **ARCHITECTURES["qwen3"],
    **_SIZES,
    "model_type": "qwen3_moe",
    "moe_intermediate_size": 64,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "norm_topk_prob": True,
}


@pytest.fixture(scope="module")
def micro() -> Policy:
    return load_policy("micro", precision="fp32")


@pytest.fixture(scope="module")
def micro_engine(micro: Policy) -> VllmEngine:
    engine = open_engine(EngineConfig(kind="vllm", max_slots=32), micro)
    assert isinstance(engine, VllmEngine)
    return engine


def asked(policy: Policy, *questions: str, samples: int = 4) -> list[Request]:
    voice = policy.voice()
    return [
        Request(
            prompt_ids=voice.prompt((Message(role="user", content=question),)),
            seeds=tuple(range(10 * i, 10 * i + samples)),
            key=str(i),
        )
        for i, question in enumerate(questions)
    ]


def samples_of(requests: list[Request], completions: list[tuple[Completion, ...]]) -> list[Sample]:
    return [
        Sample(prompt_ids=request.prompt_ids, response_ids=tuple(one.token_ids), group=request.key, weight=1e-3)
        for request, group in zip(requests, completions, strict=True)
        for one in group
    ]


def difference(trainer: Trainer, requests: list[Request], completions: list[tuple[Completion, ...]]) -> float:
    """Mean absolute difference between the trainer's log-probs and the engine's."""
    trainers = torch.cat(trainer.logprobs(samples_of(requests, completions)))
    engines = torch.tensor([x for group in completions for one in group for x in one.logprobs])
    return float((trainers - engines).abs().mean())


# A processor without products in bf16 needs minutes for them.
@pytest.mark.parametrize(("precision", "most"), [("fp32", 1e-5), pytest.param("bf16", 5e-3, marks=pytest.mark.slow)])
def test_engine_and_trainer_agree_after_every_update(precision: Any, most: float) -> None:
    policy = load_policy("micro", precision=precision)
    engine = open_engine(EngineConfig(kind="vllm", max_slots=64), policy)
    trainer = Trainer(policy, Optimizer(outlier_factor=1e9), BatchLimits())
    requests = asked(policy, "What is 3 + 4?", "What is 20 - 9?", "Is 7 prime?", "Add 2, 3 and 9.", samples=16)
    differences, drawn = [], []
    for version in range(21):
        completions = engine.generate(requests, Sampling(), 32, version)
        differences.append(difference(trainer, requests, completions))
        drawn.append([one.token_ids for group in completions for one in group])
        assert {one.weight_version for group in completions for one in group} == {version}
        trainer.forward_backward(samples_of(requests, completions), next_token_loss)
        trainer.optimizer_step(1e-4)
    assert trainer.version == 21
    assert max(differences) <= most
    assert drawn[0] != drawn[-1]  # the updates did something


def test_a_call_repeated_gives_the_same(micro: Policy, micro_engine: VllmEngine) -> None:
    requests = asked(micro, "What is 3 + 4?", "What is 20 - 9?", "Is 7 prime?")
    first = micro_engine.generate(requests, Sampling(), 40, 1)
    assert micro_engine.generate(requests, Sampling(), 40, 1) == first
    assert micro_engine.generate(requests[1:2], Sampling(), 40, 1) == first[1:2]  # whatever is drawn beside it
    assert len({one.token_ids for group in first for one in group}) > 6


def test_a_completion_ends_as_it_says(micro: Policy, micro_engine: VllmEngine) -> None:
    (group,) = micro_engine.generate(asked(micro, "What is 3 + 4?", samples=24), Sampling(), 60, 1)
    ended = {one.finish_reason for one in group}
    assert ended == {"stop", "length"}
    for one in group:
        assert (one.token_ids[-1] in micro.stop_ids) == (one.finish_reason == "stop")
        assert len(one.token_ids) == len(one.logprobs)
        assert len(one.token_ids) == 60 or one.finish_reason == "stop"


@pytest.mark.parametrize(
    "sampling", [Sampling(temperature=0), Sampling(temperature=0.6), Sampling(top_k=3), Sampling(top_p=0.8)], ids=str
)
def test_logprobs_are_of_the_distribution_that_was_drawn_from(
    micro: Policy, micro_engine: VllmEngine, sampling: Sampling
) -> None:
    """As ponder's own engine means them: at temperature 0 of the untempered one, of truncated ones what is left."""
    requests = asked(micro, "What is 3 + 4?")
    completions = micro_engine.generate(requests, sampling, 16, 1)
    trainer = Trainer(micro, Optimizer(), BatchLimits(), temperature=sampling.temperature or 1.0)
    whole = trainer.logprobs(samples_of(requests, completions))
    for one, expected in zip(completions[0], whole, strict=True):
        drawn = torch.tensor(one.logprobs)
        if sampling.top_k or sampling.top_p < 1:
            assert (drawn >= expected - 1e-4).all() and (drawn > expected + 1e-4).any()
        else:
            torch.testing.assert_close(drawn, expected, atol=1e-4, rtol=0)


def test_newer_weights_go_on_with_what_is_drawn() -> None:
    """Each span is what the trainer says by its weights, and those that drew nothing are not named."""
    policy = load_policy("micro", precision="fp32")
    engine = open_engine(EngineConfig(kind="vllm", max_slots=8), policy)
    assert isinstance(engine, VllmEngine)
    trainers = {7: Trainer(load_policy("micro", precision="fp32"), Optimizer(), BatchLimits())}

    class Renewed:
        version, looks = 7, 0

        def due(self) -> bool:
            self.looks += 1
            return self.looks in (6, 14)

        def take(self) -> int:
            self.version += 1
            with torch.no_grad():
                for parameter in policy.model.parameters():
                    parameter.mul_(1 + 0.02 * torch.rand_like(parameter))
            newer = load_policy("micro", precision="fp32")
            newer.model.load_state_dict(policy.model.state_dict())
            trainers[self.version] = Trainer(newer, Optimizer(), BatchLimits())
            return self.version

    requests = asked(policy, "What is 3 + 4?", "What is 20 - 9?", "Is 7 prime?", samples=6)
    found = engine.generate(requests, Sampling(), 60, 7, renewal=Renewed())
    samples = samples_of(requests, found)
    said = {version: trainer.logprobs(samples) for version, trainer in trainers.items()}
    seen = set()
    for i, one in enumerate(one for group in found for one in group):
        spans = one.spans or (WeightSpan(version=one.weight_version, stop=len(one.token_ids)),)
        seen |= {tuple(span.version for span in spans)}
        start = 0
        for span in spans:
            drawn = torch.tensor(list(one.logprobs))[start : span.stop]
            torch.testing.assert_close(drawn, said[span.version][i][start : span.stop], atol=2e-4, rtol=0)
            start = span.stop
    assert {(7, 8), (8, 9)} <= seen  # none is of three: what is drawn goes on while the probe is


def test_callbacks_are_told_every_completion(micro: Policy, micro_engine: VllmEngine) -> None:
    requests, seen = asked(micro, "What is 3 + 4?", "Is 7 prime?"), {}

    def on_finish(key: str, index: int, completion: Completion) -> None:
        seen[key, index] = completion

    completions = micro_engine.generate(requests, Sampling(), 20, 1, on_finish)
    assert seen == {(str(i), j): one for i, group in enumerate(completions) for j, one in enumerate(group)}


def test_a_callback_that_raises_leaves_nothing_behind(micro: Policy, micro_engine: VllmEngine) -> None:
    requests = asked(micro, "What is 3 + 4?", "Is 7 prime?")
    before = micro_engine.generate(requests, Sampling(), 20, 1)

    def on_finish(key: str, index: int, completion: Completion) -> None:
        raise KeyError(key)

    with pytest.raises(KeyError):
        micro_engine.generate(requests, Sampling(), 20, 1, on_finish)
    assert micro_engine.generate(requests, Sampling(), 20, 1) == before


def test_longer_prompts_than_before_are_drawn_too(micro: Policy, micro_engine: VllmEngine) -> None:
    short = asked(micro, "What is 3 + 4?")
    before = micro_engine.generate(short, Sampling(), 20, 1)
    long = [Request(prompt_ids=(short[0].prompt_ids * 40)[:1500], seeds=(1,), key="long")]
    ((one,),) = micro_engine.generate(long, Sampling(), 20, 1)
    trainer = Trainer(micro, Optimizer(), BatchLimits())
    assert difference(trainer, long, [(one,)]) <= 1e-5
    assert micro_engine.generate(short, Sampling(), 20, 1) == before


def test_the_process_keeps_its_threads_and_random_numbers(micro: Policy) -> None:
    threads, setter = torch.get_num_threads(), torch.set_num_threads
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    engine = open_engine(EngineConfig(kind="vllm", max_slots=4), micro)
    engine.generate(asked(micro, "What is 3 + 4?"), Sampling(), 4, 0)
    assert torch.get_num_threads() == threads and torch.set_num_threads is setter
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("name", ["qwen2", "qwen3", "llama", "qwen3_moe"])
def test_architectures(name: str, tokenizer: PreTrainedTokenizerFast) -> None:
    fields = MOE if name == "qwen3_moe" else {**ARCHITECTURES[name], **_SIZES}
    policy = random_policy(fields, tokenizer, "r1-zero", seed=3, precision="fp32", device="cpu")
    engine = open_engine(EngineConfig(kind="vllm", max_slots=8), policy)
    requests = asked(policy, "What is 3 + 4?", samples=8)
    trainer = Trainer(policy, Optimizer(), BatchLimits())
    for version in range(2):
        completions = engine.generate(requests, Sampling(), 16, version)
        assert difference(trainer, requests, completions) <= 2e-5
        changed(policy)


def changed(policy: Policy, by: float = 0.1) -> None:
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * by * parameter.std())


def _head_lost(tensors: Tensors) -> Tensors:
    return ((name, tensor) for name, tensor in tensors if name != "lm_head.weight")


def _tensor_lost(tensors: Tensors) -> Tensors:
    return ((name, tensor) for name, tensor in tensors if "layers.1.mlp.down_proj" not in name)


def _tensor_damaged(tensors: Tensors) -> Tensors:
    return ((name, tensor * 1.5 if "layers.1.mlp.down_proj" in name else tensor) for name, tensor in tensors)


def _of_another_shape(tensors: Tensors) -> Tensors:
    return ((name, tensor[:-1] if "layers.1.mlp.down_proj" in name else tensor) for name, tensor in tensors)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_head_lost, "does not compute what the policy does"),
        (_tensor_lost, "got no weights"),
        (_tensor_damaged, "does not compute what the policy does"),
        (_of_another_shape, "did not take the weights of version 2"),
    ],
)
def test_weights_that_are_not_the_policys_are_refused(
    damage: Callable[[Tensors], Tensors], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = load_policy("micro", precision="fp32")  # its head is tied to the embedding
    engine, requests = open_engine(EngineConfig(kind="vllm", max_slots=8), policy), asked(policy, "What is 3 + 4?")
    engine.generate(requests, Sampling(), 8, 1)
    changed(policy)
    published = vllm_engine.published
    with monkeypatch.context() as patch:
        patch.setattr(vllm_engine, "published", lambda policy: damage(published(policy)))
        with pytest.raises(ModelError, match=said) as error:
            engine.generate(requests, Sampling(), 8, 2)
    assert "\n" not in str(error.value)
    engine.generate(requests, Sampling(), 8, 2)  # whole again


def test_keys_of_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = load_policy("micro", precision="fp32")
    engine, requests = open_engine(EngineConfig(kind="vllm", max_slots=8), policy), asked(policy, "What is 3 + 4?")
    engine.generate(requests, Sampling(), 8, 1)
    changed(policy)
    from vllm import LLMEngine

    with monkeypatch.context() as patch:
        patch.setattr(LLMEngine, "reset_prefix_cache", lambda *args, **kwargs: True)
        with pytest.raises(ModelError, match="as drawn, differ"):
            engine.generate(requests, Sampling(), 8, 2)
    with monkeypatch.context() as patch:
        patch.setattr(LLMEngine, "reset_prefix_cache", lambda *args, **kwargs: False)
        with pytest.raises(ModelError, match="kept keys and values"):
            engine.generate(requests, Sampling(), 8, 2)
    engine.generate(requests, Sampling(), 8, 2)


def test_another_version_than_the_one_asked_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = load_policy("micro", precision="fp32")
    engine, requests = open_engine(EngineConfig(kind="vllm", max_slots=8), policy), asked(policy, "What is 3 + 4?")
    engine.generate(requests, Sampling(), 8, 6)
    from vllm import LLMEngine

    monkeypatch.setattr(LLMEngine, "set_weight_version", lambda *args: None)
    with pytest.raises(ModelError, match="version 6, and version 7 was asked for"):
        engine.generate(requests, Sampling(), 8, 7)


def test_experts_in_the_order_of_files_are_refused(
    tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ponder.rollout import vllm_worker

    policy = random_policy(MOE, tokenizer, "r1-zero", seed=3, precision="fp32", device="cpu")
    engine, requests = open_engine(EngineConfig(kind="vllm", max_slots=8), policy), asked(policy, "What is 3 + 4?")
    monkeypatch.setattr(vllm_worker, "_repack_experts", lambda model: None)
    with pytest.raises(ModelError, match="does not compute what the policy does"):
        engine.generate(requests, Sampling(), 8, 1)


def test_what_vllm_cannot_run_is_said(tokenizer: PreTrainedTokenizerFast) -> None:
    fields = {**ARCHITECTURES["qwen2"], "head_dim": 8}  # no kernel of a CPU has heads that small
    policy = random_policy(fields, tokenizer, "r1-zero", seed=3, precision="fp32", device="cpu")
    engine = open_engine(EngineConfig(kind="vllm"), policy)
    with pytest.raises(ModelError, match=r"Qwen2ForCausalLM: .*head_dim=8.*engine.kind"):
        engine.generate(asked(policy, "What is 3 + 4?"), Sampling(), 8, 0)


def test_logprobs_that_are_no_numbers_are_refused(micro: Policy) -> None:
    policy = load_policy("micro", precision="fp32")
    engine = open_engine(EngineConfig(kind="vllm", max_slots=8), policy)
    with torch.no_grad():
        next(policy.model.parameters()).fill_(torch.nan)
    with pytest.raises(ModelError):
        engine.generate(asked(policy, "What is 3 + 4?"), Sampling(), 8, 0)


def test_an_engine_that_ends_leaves_others_running(micro: Policy) -> None:
    first, second = (VllmEngine(micro, 4, 0.02) for _ in range(2))
    requests = asked(micro, "What is 3 + 4?")
    expected = first.generate(requests, Sampling(), 12, 0)
    host = first._host
    assert host is not None and second.generate(requests, Sampling(), 12, 0) == expected
    del first
    gc.collect()
    assert host._engine is None  # ended with its object
    assert second.generate(requests, Sampling(), 12, 0) == expected


def test_fewer_keys_than_the_rows_need(
    micro: Policy, micro_engine: VllmEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that do not fit wait, or are begun again: with the same seeds, to the same tokens."""
    requests = asked(micro, "What is 3 + 4?", "What is 20 - 9?", samples=16)
    expected = micro_engine.generate(requests, Sampling(), 150, 0)
    room = vllm_start._room(micro, 1, 1024)
    monkeypatch.setattr(vllm_start, "_room", lambda *args: room)
    engine = open_engine(EngineConfig(kind="vllm", max_slots=32), micro)
    assert engine.generate(requests, Sampling(), 150, 0) == expected


def test_the_probe_is_reproduced_only_within_its_tolerance(micro: Policy, micro_engine: VllmEngine) -> None:
    micro_engine.generate(asked(micro, "What is 3 + 4?"), Sampling(), 4, 0)
    host = micro_engine._host
    assert host is not None
    mean, tokens = check_reproduced(micro, lambda prompt: micro_engine._probe(host, prompt), 0.02)
    assert 0 < mean < 1e-5 and 32 < tokens <= 64
    with pytest.raises(ModelError, match="expected at most 5e-12"):
        check_reproduced(micro, lambda prompt: micro_engine._probe(host, prompt), 1e-12)
