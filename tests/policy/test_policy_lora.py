"""Adapters: only they are trained and saved, training goes on from them exactly, and merged they change nothing."""

from pathlib import Path

import pytest
import torch
from devices import DEVICE
from rounding import assert_close_logprobs
from safetensors.torch import load_file
from tiny_architectures import ARCHITECTURES as KINDS
from tiny_models import tiny_policy
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from ponder.algorithm import next_token_loss
from ponder.errors import ModelError, RecipeError
from ponder.policy import Policy, add_lora, load_policy, random_policy, save_policy
from ponder.recipe import Lora
from ponder.recipe.training import BatchLimits, Optimizer
from ponder.train import Sample, Trainer

ARCHITECTURES = ("qwen3", "llama", "deepseek_v3")
SAMPLES = [
    Sample(prompt_ids=(2, 3, 4), response_ids=(5, 6, 7, 1), group="a", weight=0.1),
    Sample(prompt_ids=(8, 9), response_ids=(10, 11, 12, 13, 14, 1), group="b", weight=0.1),
]


def policy_of(name: str, tokenizer: PreTrainedTokenizerFast, seed: int = 3) -> Policy:
    return tiny_policy(name, tokenizer, seed=seed)


def trainer_of(policy: Policy) -> Trainer:
    return Trainer(policy, Optimizer(lr=1e-2), BatchLimits(), incident_folder=Path("unused"))


def train(trainer: Trainer, steps: int) -> None:
    for _ in range(steps):
        trainer.forward_backward(SAMPLES, next_token_loss)
        assert trainer.optimizer_step(1e-2).skipped is None


def weights_of(policy: Policy) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in policy.model.named_parameters()}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_merged_model_is_plain_and_computes_the_same(
    name: str, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    policy = policy_of(name, tokenizer)
    trainer = trainer_of(policy)
    untrained = trainer.logprobs(SAMPLES)
    plain = set(dict(policy.model.named_parameters()))
    add_lora(policy, Lora(rank=4), seed=0)
    trainer = trainer_of(policy)
    assert all(torch.equal(a, b) for a, b in zip(untrained, trainer.logprobs(SAMPLES), strict=True))  # B is 0
    train(trainer, 5)
    adapted = trainer.logprobs(SAMPLES)
    assert all((a - b).abs().max() > 0.05 for a, b in zip(untrained, adapted, strict=True))
    assert policy.adapter is not None
    policy.adapter.merge()
    assert policy.adapter is None and set(dict(policy.model.named_parameters())) == plain
    save_policy(policy, tmp_path / "model")
    loaded = load_policy(tmp_path / "model", precision="fp32", device=DEVICE)
    merged = trainer_of(loaded).logprobs(SAMPLES)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model").to(DEVICE)  # without ponder or peft
    for sample, ours, expected in zip(SAMPLES, merged, adapted, strict=True):
        ids = torch.tensor([(*sample.prompt_ids, *sample.response_ids)], device=DEVICE)
        start, targets = len(sample.prompt_ids), torch.tensor(sample.response_ids, device=DEVICE)
        logits = model(ids).logits[0, start - 1 : -1].detach()
        theirs = logits.log_softmax(-1).gather(1, targets[:, None])[:, 0]
        assert_close_logprobs(ours, expected, logits, model.config.num_hidden_layers)
        assert_close_logprobs(theirs, expected, logits, model.config.num_hidden_layers)


def test_only_adapters_are_trained_and_saved(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    policy = policy_of("qwen3", tokenizer)
    add_lora(policy, Lora(rank=4), seed=0)
    trainer = trainer_of(policy)
    before = weights_of(policy)
    train(trainer, 3)
    changed = {name for name, now in weights_of(policy).items() if not torch.equal(now, before[name])}
    adapters = {name for name in before if "lora_" in name}
    assert changed == adapters and len(adapters) == 2 * 7 * 2  # A and B of seven modules in two layers
    trainer.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "adapter", "optimizer.safetensors", "trainer_state.json",
    ]  # fmt: skip
    assert all("lora_" in name for name in load_file(tmp_path / "adapter" / "adapter_model.safetensors"))
    assert all("lora_" in name for name in load_file(tmp_path / "optimizer.safetensors"))


def test_training_goes_on_from_a_checkpoint_bit_for_bit(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    results = []
    for interrupted in (False, True):
        policy = policy_of("qwen3", tokenizer)
        add_lora(policy, Lora(rank=4), seed=0)
        trainer = trainer_of(policy)
        train(trainer, 2)
        if interrupted:
            trainer.save(tmp_path)
            policy = policy_of("qwen3", tokenizer)
            add_lora(policy, Lora(rank=4), seed=0)
            trainer = trainer_of(policy)
            trainer.load(tmp_path)
        train(trainer, 2)
        results.append(weights_of(policy))
    first, second = results
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_seed_draws_the_adapters(tokenizer: PreTrainedTokenizerFast) -> None:
    drawn = []
    for seed in (0, 0, 1):
        policy = policy_of("qwen3", tokenizer)
        state = torch.get_rng_state()
        add_lora(policy, Lora(rank=4), seed=seed)
        assert torch.equal(torch.get_rng_state(), state)
        drawn.append(torch.cat([w.flatten() for name, w in weights_of(policy).items() if "lora_A" in name]))
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_chosen_targets(tokenizer: PreTrainedTokenizerFast) -> None:
    policy = policy_of("llama", tokenizer)
    add_lora(policy, Lora(rank=4, targets=("q_proj",)), seed=0)
    trained = [name for name, p in policy.model.named_parameters() if p.requires_grad]
    assert len(trained) == 4 and all("q_proj.lora_" in name for name in trained)


FEED_FORWARD = ("gate_proj", "up_proj", "down_proj")
"""In deepseek_v3: modules of the dense first layer and of the shared experts, two tensors for all routed experts."""


@pytest.mark.parametrize(
    ("targets", "in_feed_forward", "elsewhere"),
    [(FEED_FORWARD, 3 + 3 + 2, 0), ((), 3 + 3 + 2, 2 * 5), (("mlp.down_proj",), 1, 0), (("o_proj",), 0, 2)],
    ids=["named", "all", "one place by its path", "attention"],
)
def test_experts_in_one_tensor_beside_dense_layers_and_shared_experts(
    targets: tuple[str, ...], in_feed_forward: int, elsewhere: int, tokenizer: PreTrainedTokenizerFast
) -> None:
    policy = policy_of("deepseek_v3", tokenizer)
    add_lora(policy, Lora(rank=4, targets=targets), seed=0)
    before = weights_of(policy)
    train(trainer_of(policy), 2)
    changed = {name for name, now in weights_of(policy).items() if not torch.equal(now, before[name])}
    assert changed == {name for name in before if "lora_" in name}
    assert sum(".mlp." in name for name in changed) == 2 * in_feed_forward
    assert sum(".self_attn." in name for name in changed) == 2 * elsewhere
    if targets == FEED_FORWARD:
        assert {name.rpartition(".lora_")[0] for name in changed} == {
            *(f"model.layers.0.mlp.{one}" for one in FEED_FORWARD),
            *(f"model.layers.1.mlp.shared_experts.{one}" for one in FEED_FORWARD),
            "model.layers.1.mlp.experts", "model.layers.1.mlp.experts.base_layer",
        }  # fmt: skip


def test_adapters_of_experts_go_on_from_a_checkpoint(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    policies = [policy_of("deepseek_v3", tokenizer) for _ in range(2)]
    for policy in policies:
        add_lora(policy, Lora(rank=4), seed=0)
    trainer = trainer_of(policies[0])
    train(trainer, 2)
    trainer.save(tmp_path)
    trainer_of(policies[1]).load(tmp_path)
    first, second = map(weights_of, policies)
    assert all(torch.equal(first[name], second[name]) for name in first)


def kind_of(name: str, tokenizer: PreTrainedTokenizerFast) -> Policy:
    return random_policy(KINDS[name], tokenizer, "r1-zero", seed=3, precision="fp32", device=DEVICE)


def test_gpt_2_whose_weights_lie_the_other_way_round(tokenizer: PreTrainedTokenizerFast) -> None:
    policy = kind_of("gpt2", tokenizer)
    add_lora(policy, Lora(rank=4), seed=0)
    before, trainer = weights_of(policy), trainer_of(policy)
    untrained = trainer.logprobs(SAMPLES)
    train(trainer, 5)
    changed = {name for name, now in weights_of(policy).items() if not torch.equal(now, before[name])}
    assert changed == {name for name in before if "lora_" in name} and len(changed) == 2 * 4 * 2
    adapted = trainer.logprobs(SAMPLES)
    assert all((a - b).abs().max() > 0.01 for a, b in zip(untrained, adapted, strict=True))
    assert policy.adapter is not None
    policy.adapter.merge()
    for merged, one in zip(trainer_of(policy).logprobs(SAMPLES), adapted, strict=True):
        torch.testing.assert_close(merged, one, rtol=0, atol=5e-5)


@pytest.mark.filterwarnings("ignore:Model 'random mamba' runs by its own attention")
def test_mamba_whose_code_reads_a_weight_of_a_module(tokenizer: PreTrainedTokenizerFast) -> None:
    policy = kind_of("mamba", tokenizer)
    add_lora(policy, Lora(rank=4), seed=0)
    before = weights_of(policy)
    train(trainer_of(policy), 2)
    changed = {name for name, now in weights_of(policy).items() if not torch.equal(now, before[name])}
    assert changed == {name for name in before if "lora_" in name}
    places = {name.rpartition(".lora_")[0].rpartition(".")[2] for name in changed}
    assert places == {"in_proj", "x_proj", "out_proj"}


@pytest.mark.filterwarnings("ignore:Model 'random (mamba|jamba)' runs by its own attention")
@pytest.mark.parametrize("name", ["mamba", "jamba"])
def test_a_module_that_is_never_called_is_no_target(name: str, tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ModelError, match=r"names 'dt_proj', .* reads the weight of '.*dt_proj' without calling it"):
        add_lora(kind_of(name, tokenizer), Lora(targets=("in_proj", "dt_proj")), seed=0)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (("q_proj", "v_porj"), "no linear module of this model has the name 'v_porj'"),
        (("query",), "linear modules of this model are down_proj"),
        (("lm_head",), "the output"),
    ],
)
def test_targets_that_cannot_be_adapted(
    tokenizer: PreTrainedTokenizerFast, targets: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        add_lora(policy_of("llama", tokenizer), Lora(targets=targets), seed=0)


def test_without_peft(tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ponder.recipe.sft.find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=r"pip install 'ponder\[peft\]'"):
        add_lora(policy_of("llama", tokenizer), Lora(), seed=0)
