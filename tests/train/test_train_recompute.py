"""Layers whose activations are computed again: the same gradients, and less is kept."""

from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from ponder.algorithm import next_token_loss, policy_loss
from ponder.policy import Policy, random_policy
from ponder.policy.lora import add_lora
from ponder.policy.recompute import Recomputation
from ponder.recipe.objective import Objective
from ponder.recipe.recompute import activation_bytes, kept_bytes, recomputes, room_bytes
from ponder.recipe.sft import Lora
from ponder.recipe.shape import Shape, shape_of
from ponder.recipe.training import BatchLimits, Optimizer
from ponder.train import Sample, Trainer

WIDE: dict[str, Any] = {"model_type": "qwen2", "hidden_size": 64, "intermediate_size": 256, "num_attention_heads": 4,
                        "num_key_value_heads": 2, "tie_word_embeddings": True}  # fmt: skip
MIXED = {"model_type": "qwen3_moe", "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "head_dim": 8,
         "num_key_value_heads": 2, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}  # fmt: skip
GRPO = partial(policy_loss, objective=Objective(preset="grpo"))


def policy_of(config: dict[str, Any], layers: int = 3, precision: Any = "fp32") -> Policy:
    words = ["<pad>", "<eos>", *(f"w{i}" for i in range(62))]
    model = models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<pad>")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(model), eos_token="<eos>", pad_token="<pad>")
    return random_policy(config | {"num_hidden_layers": layers}, tokenizer, "r1-zero", 5, precision, "cpu")


def samples(count: int = 6, length: int = 30) -> list[Sample]:
    return [
        Sample(prompt_ids=(3, 4, 5 + i // 2), response_ids=tuple((7 * i + 5 * j) % 62 for j in range(length + i)),
               group=str(i // 2), weight=1 / (count * length), advantage=(-1.0) ** i,
               behaviour=(-4.0,) * (length + i), reference=(-4.1,) * (length + i))
        for i in range(count)
    ]  # fmt: skip


def gradients(policy: Policy, recompute: Any, budget: int, loss: Any = GRPO) -> tuple[float, dict[str, torch.Tensor]]:
    limits = BatchLimits(tokens_per_micro_batch=budget, recompute=recompute)
    trainer = Trainer(policy, Optimizer(), limits, incident_folder=Path("unused"))
    trainer.forward_backward(samples(), loss)
    found = {name: p.grad.clone() for name, p in policy.model.named_parameters() if p.grad is not None}
    return trainer._loss, found


@pytest.mark.parametrize("budget", [1000, 60])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("config", [WIDE, MIXED], ids=lambda config: config["model_type"])
def test_the_gradient_is_the_same_numbers(config: dict[str, Any], precision: Any, budget: int) -> None:
    policy = policy_of(config, precision=precision)
    kept, again = (gradients(policy, recompute, budget) for recompute in (False, True))
    assert kept[0] == again[0]
    assert len(kept[1]) > 10 and all(torch.equal(grad, again[1][name]) for name, grad in kept[1].items())


def test_a_model_by_its_own_code_and_one_with_an_adapter_are_computed_again_too() -> None:
    own = policy_of(WIDE)
    own.model.set_attn_implementation("eager")
    own.fallback = "for the test"
    adapted = policy_of(WIDE)
    add_lora(adapted, Lora(rank=2), seed=1)
    for policy in (own, adapted):
        kept, again = (gradients(policy, recompute, 1000, next_token_loss)[1] for recompute in (False, True))
        assert kept and all(torch.equal(grad, again[name]) for name, grad in kept.items())


def held(policy: Policy, recompute: bool) -> tuple[int, int]:
    """Bytes that the forward pass of a batch keeps for its backward pass beside the weights, and its tokens."""
    from ponder.train.batch import Batch

    batch = Batch.of(samples(8, 200), policy.device)
    tokens = batch.input_ids_1T.shape[1]
    weights = {p.untyped_storage().data_ptr() for p in policy.model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in weights:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    recomputation = Recomputation(policy.model, BatchLimits(recompute=recompute), policy.device, None)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), recomputation.around(tokens):
        policy.hidden(batch.input_ids_1T, batch.layout.position_ids_T[None], batch.layout)
    return sum(kept.values()), tokens


def test_a_further_layer_keeps_what_goes_into_it_alone() -> None:
    (two, tokens), (six, _) = (held(policy_of(WIDE, layers), False) for layers in (2, 6))
    shape = shape_of(policy_of(WIDE, 6).model.config.to_dict(), "test")
    assert isinstance(shape, Shape)
    each = activation_bytes(shape, tokens, bf16=False, recompute=False) / 6
    assert (six - two) / 4 == pytest.approx(each, rel=0.25)
    (two, _), (six, _) = (held(policy_of(WIDE, layers), True) for layers in (2, 6))
    assert (six - two) / 4 == tokens * 64 * 4
    flat = activation_bytes(shape, tokens, bf16=False, recompute=True)
    assert flat == tokens * 6 * 64 * 4 + kept_bytes(shape, tokens, bf16=False) // 6


@pytest.mark.parametrize(
    ("asked", "kept", "room", "expected"),
    [(True, 1, 10, True), (False, 99, 10, False), ("auto", 10, 10, False), ("auto", 11, 10, True),
     ("auto", 11, None, False), (True, 1, None, True)],
)  # fmt: skip
def test_when_it_pays(asked: Any, kept: int, room: int | None, expected: bool) -> None:
    assert recomputes(asked, kept, room) is expected


def test_the_room_is_half_of_what_training_leaves() -> None:
    assert room_bytes(1000, 10) == 400 and room_bytes(1000, 10, ranks=2) == 450 and room_bytes(100, 10) == 0


def test_auto_keeps_what_fits() -> None:
    policy = policy_of(WIDE)
    recomputation = Recomputation(policy.model, BatchLimits(), policy.device, None)
    assert not recomputation.pays(4096)
    assert recomputation.pays(psutil.virtual_memory().total)
