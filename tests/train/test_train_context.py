"""Two processes that share every pass against one that has it whole: the same log-probs, gradients and metrics."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from tiny_models import ARCHITECTURES, SLIDING
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from ponder.algorithm import metric_values, policy_loss
from ponder.errors import ModelError
from ponder.policy import LogprobModel, PackedLayout, Policy, random_policy
from ponder.policy.shared import SharedLayout
from ponder.recipe.objective import PRESETS, Objective
from ponder.recipe.training import BatchLimits, Optimizer
from ponder.train import AnyTrainer, Sample, Trainer
from ponder.train.group import TrainerGroup
from tests.train.test_train_ranks import gradient_after, groups_of

COMMON = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,
    "sliding_window": 12,
}
MODELS = {
    "qwen2": ARCHITECTURES["qwen2"],
    "one key head for two processes": ARCHITECTURES["llama"],
    "latent attention and experts": ARCHITECTURES["deepseek_v3"],
    "windows and sinks": {**COMMON, **SLIDING["gpt_oss"]},
}
SAMPLES = groups_of([(9, 4, 7), (3, 4, 5), (12, 3, 9), (5, 1, 60), (8, 2, 11), (70, 1, 3)])


def policy_of(architecture: dict[str, object]) -> Policy:
    words = ["<pad>", "<eos>", *(f"w{i}" for i in range(61))]
    model = models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<pad>")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(model), eos_token="<eos>", pad_token="<pad>")
    return random_policy(architecture, tokenizer, "r1-zero", seed=5, precision="fp32", device="cpu")


def trainer_of(architecture: dict[str, object], folder: Path, ranks: int, context: int, **limits: object) -> AnyTrainer:
    given = {"tokens_per_micro_batch": 64, "logprob_chunk": 16, "ranks": ranks, "context": context} | limits
    batch = BatchLimits.model_validate(given)
    optimizer = Optimizer(lr=1e-2, max_grad_norm=1e9, betas=(0.9, 0.95))
    policy = policy_of(architecture)
    if ranks == 1:
        return Trainer(policy, optimizer, batch, incident_folder=folder / "incidents")
    return TrainerGroup(policy, optimizer, batch, folder / "incidents")


def assert_the_same(one: AnyTrainer, shared: AnyTrainer, samples: list[Sample], preset: str, folder: Path) -> None:
    loss = partial(policy_loss, objective=Objective.model_validate({"preset": preset}))
    torch.testing.assert_close(torch.cat(shared.logprobs(samples)), torch.cat(one.logprobs(samples)), rtol=0, atol=2e-5)
    measured = [metric_values(trainer.forward_backward(samples, loss)) for trainer in (one, shared)]
    assert measured[1] == pytest.approx(measured[0], rel=1e-5, abs=1e-6)
    reports = [trainer.optimizer_step(1e-3) for trainer in (one, shared)]
    assert reports[1].grad_norm == pytest.approx(reports[0].grad_norm, rel=5e-6)
    mine, theirs = (gradient_after(one_, folder / name) for one_, name in ((one, "mine"), (shared, "theirs")))
    assert mine.norm() > 0.01
    assert float((mine - theirs).norm() / mine.norm()) < 5e-6


@pytest.mark.parametrize("name", MODELS)
def test_gradient_and_logprobs_of_every_kind_of_attention(name: str, tmp_path: Path) -> None:
    shared = trainer_of(MODELS[name], tmp_path, 2, 2)
    try:
        assert_the_same(trainer_of(MODELS[name], tmp_path, 1, 1), shared, SAMPLES, "grpo", tmp_path)
    finally:
        shared.close()


def test_every_preset_and_layers_computed_again(tmp_path: Path) -> None:
    """GSPO's ratio is of whole sequences, of which each process computes a part."""
    shared = trainer_of(MODELS["qwen2"], tmp_path, 2, 2, recompute=True)
    start = tmp_path / "start"
    start.mkdir()
    shared.save(start)
    try:
        for preset in sorted(set(PRESETS) - {"ppo"}):
            shared.load(start)
            folder = tmp_path / preset
            folder.mkdir()
            assert_the_same(trainer_of(MODELS["qwen2"], tmp_path, 1, 1), shared, SAMPLES, preset, folder)
    finally:
        shared.close()


def test_four_processes_two_by_two_with_nothing_to_do_for_some(tmp_path: Path) -> None:
    """One pass for two seats: the others compute one that counts nothing. Not so with more of them."""
    shared = trainer_of(MODELS["qwen2"], tmp_path, 4, 2)
    try:
        for i, samples in enumerate((SAMPLES[:1], SAMPLES)):
            folder = tmp_path / str(i)
            folder.mkdir()
            one = trainer_of(MODELS["qwen2"], tmp_path, 1, 1)
            if i:
                one.load(tmp_path / "0" / "theirs")
            assert_the_same(one, shared, samples, "grpo", folder)
    finally:
        shared.close()


class Alone:
    """The first of two; nobody is there to exchange with."""

    parts, part = 2, 0

    def exchange(self, x_C: torch.Tensor) -> torch.Tensor:
        return x_C

    def join(self, own: torch.Tensor, place: torch.Tensor, count: int) -> torch.Tensor:
        return own


def test_heads_that_do_not_divide() -> None:
    layout = SharedLayout(PackedLayout([10], [], []), Alone())
    given = [torch.randn(1, 3, 5, 8) for _ in range(3)]
    with pytest.raises(ModelError, match=r"`batch\.context` is 2, which does not divide the 3 attention heads"):
        layout.attend(given[0], given[1], given[2], 0.3)


def test_models_by_their_own_code_are_not_shared() -> None:
    policy = replace(policy_of(ARCHITECTURES["qwen2"]), fallback="it has a state")
    with pytest.raises(ModelError, match=r"`batch\.context` is 2, but ranks share .* since it has a state"):
        LogprobModel(policy, 16, Alone())


@pytest.mark.parametrize(("ranks", "context"), [(2, 4), (3, 2), (6, 3), (1, 2)])
def test_ranks_that_do_not_divide(ranks: int, context: int) -> None:
    with pytest.raises(ValueError, match=f"`context` is {context}, with {ranks} `ranks`: ranks share a pass by twos"):
        BatchLimits(ranks=ranks, context=context)
