"""Where what a model computes begins to depend on lengths that packing and sampling do not respect, its window ends."""

import warnings
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from devices import DEVICE
from tiny_models import tiny_policy
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from ponder.errors import ModelError
from ponder.policy import Policy, load_policy, random_policy, save_policy
from ponder.policy.scorer import Scored
from ponder.policy.scorer_load import load_scorer, new_scorer, save_scorer
from ponder.recipe.rollout import Sampling
from ponder.recipe.training import BatchLimits, Optimizer
from ponder.rollout import LocalEngine, Request
from ponder.train import Sample, Trainer

BASE = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 8,
    "num_key_value_heads": 2, "max_position_embeddings": 256, "initializer_range": 0.3, "bos_token_id": 1,
    "eos_token_id": 1, "pad_token_id": 0, "attention_dropout": 0.0, "sliding_window": None,
}  # fmt: skip
MOE = {"num_local_experts": 4, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
SHORT, LONG = [1.0, 1.1, 1.2, 1.3], [1.0, 2.0, 4.0, 8.0]


def longrope(border: int, **more: Any) -> dict[str, Any]:
    rope = {"rope_type": "longrope", "short_factor": SHORT, "long_factor": LONG, "rope_theta": 1e4}
    return {"rope_parameters": rope | {"original_max_position_embeddings": border} | more}


SWITCHING: dict[str, tuple[dict[str, Any], int]] = {
    "llama, longrope": ({"model_type": "llama", **longrope(100)}, 100),
    "phi3, longrope": ({"model_type": "phi3", "original_max_position_embeddings": 96, **longrope(96)}, 96),
    "only its slowest frequency switches": (
        {"model_type": "llama", **longrope(77, short_factor=[1, 1, 1, 1], long_factor=[1, 1, 1, 1.01])}, 77,
    ),
    "phimoe, longrope with other attention scales": (
        {"model_type": "phimoe", **MOE, **longrope(128, short_factor=[1.0] * 4, long_factor=[1.0] * 4,
         short_mscale=1.0, long_mscale=1.3)}, 128,
    ),
}  # fmt: skip
STEADY: dict[str, dict[str, Any]] = {
    "dynamic NTK, which begins behind the window": {
        "model_type": "llama", "rope_parameters": {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 1e4},
    },
    "longrope with one set of factors": {"model_type": "llama", **longrope(100, long_factor=SHORT)},
    "longrope whose border is the window": {"model_type": "llama", **longrope(256)},
    "yarn": {"model_type": "llama", "rope_parameters": {
        "rope_type": "yarn", "factor": 4.0, "rope_theta": 1e4, "original_max_position_embeddings": 64}},
    "llama3": {"model_type": "llama", "rope_parameters": {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "rope_theta": 1e4,
        "original_max_position_embeddings": 64}},
    "a sliding window as long as the window": {"model_type": "mistral", "sliding_window": 256},
    "a longer one": {"model_type": "mistral", "sliding_window": 4096},
    "one that no layer uses": {"model_type": "qwen2_moe", **MOE, "shared_expert_intermediate_size": 16,
                               "use_sliding_window": False, "sliding_window": 16},
}  # fmt: skip


def make(fields: dict[str, Any], tokenizer: PreTrainedTokenizerFast) -> Policy:
    return random_policy(BASE | fields, tokenizer, "r1-zero", seed=4, precision="fp32", device=DEVICE)


def make_quietly(fields: dict[str, Any], tokenizer: PreTrainedTokenizerFast) -> Policy:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make(fields, tokenizer)


def sample(length: int, number: int) -> Sample:
    """A sequence of that many tokens, three of them a prompt."""
    ids = [4 + (7 * number + 3 * i + i * i) % 50 for i in range(length)]
    return Sample(prompt_ids=tuple(ids[:3]), response_ids=tuple(ids[3:]), group=str(number), weight=1.0)


def trainer(policy: Policy, budget: int = 4096) -> Trainer:
    return Trainer(policy, Optimizer(), BatchLimits(tokens_per_micro_batch=budget))


@torch.no_grad()
def alone(policy: Policy, one: Sample) -> torch.Tensor:
    """The log-probs of one sequence by a fresh model of the same weights with its own attention."""
    model = AutoModelForCausalLM.from_config(
        deepcopy(policy.model.config), attn_implementation="eager", dtype=torch.float32
    )
    model.load_state_dict(policy.model.state_dict())
    logits = (
        model.eval().to(DEVICE)(torch.tensor([[*one.prompt_ids, *one.response_ids]], device=DEVICE)).logits[0, 2:-1]
    )
    logprobs = logits.log_softmax(-1).cpu()
    return logprobs[torch.arange(len(one.response_ids)), torch.tensor(one.response_ids)]


def assert_packed_is_alone(policy: Policy, lengths: list[int]) -> None:
    rows = [sample(length, i) for i, length in enumerate(lengths)]
    for one, found in zip(rows, trainer(policy).logprobs(rows), strict=True):
        torch.testing.assert_close(found, alone(policy, one), rtol=0, atol=2e-4)


@pytest.mark.parametrize("name", SWITCHING)
def test_the_window_ends_at_the_border(name: str, tokenizer: PreTrainedTokenizerFast) -> None:
    fields, border = SWITCHING[name]
    with pytest.warns(UserWarning, match=rf"used up to {border} tokens only: .*Longer sequences are refused"):
        policy = make(fields, tokenizer)
    assert policy.window == border and policy.limit
    assert_packed_is_alone(policy, [20, border, 9, border - 1])
    for verb in (trainer(policy).logprobs, lambda rows: trainer(policy).forward_backward(rows, None)):  # type: ignore[arg-type]
        with pytest.raises(ModelError, match=rf"has {border + 1} tokens, and the model's window is {border}, since"):
            verb([sample(20, 0), sample(border + 2, 1)])  # its last token is only predicted
    request = Request(prompt_ids=(5, 6, 7), seeds=(1,), key="p")
    with pytest.raises(ModelError, match=f"window is {border} tokens"):
        LocalEngine(policy).generate([request], Sampling(), border - 2, 0)
    (found,) = LocalEngine(policy).generate([request], Sampling(), border - 3, 0)[0]
    one = Sample(prompt_ids=(5, 6, 7), response_ids=found.token_ids, group="p", weight=1.0)
    torch.testing.assert_close(torch.tensor(found.logprobs), alone(policy, one), rtol=0, atol=2e-4)


@pytest.mark.parametrize("name", SWITCHING)
def test_beyond_the_border_one_sequence_would_change_all(name: str, tokenizer: PreTrainedTokenizerFast) -> None:
    """What is refused is wrong indeed: these cases are not vacuous."""
    fields, border = SWITCHING[name]
    policy = make_quietly(fields, tokenizer)
    policy.window = 256
    short, long = sample(border - 1, 0), sample(border + 30, 1)
    found = trainer(policy).logprobs([short, long])[0]
    assert float((found - alone(policy, short)).abs().max()) > 1e-4


def test_a_trainer_measures_what_neighbours_change(tokenizer: PreTrainedTokenizerFast) -> None:
    policy = make_quietly(SWITCHING["llama, longrope"][0], tokenizer)
    rows = [sample(length, i) for i, length in enumerate((30, 99, 12, 60))]
    right = trainer(policy).mismatch(rows)
    assert right["policy/mismatch"] <= right["policy/mismatch_max"] < 1e-4
    policy.window = 256  # as if nothing had been found at load
    wrong = trainer(policy).mismatch([*rows, sample(140, 5)])
    assert wrong["policy/mismatch"] > 0.02 and wrong["policy/mismatch_max"] > 1
    assert trainer(policy).mismatch(rows[:1]) == {}


@pytest.mark.parametrize("name", STEADY)
def test_the_whole_window_where_nothing_switches(name: str, tokenizer: PreTrainedTokenizerFast) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        policy = make(STEADY[name], tokenizer)
    assert (policy.window, policy.limit) == (256, None)
    assert_packed_is_alone(policy, [20, 256, 9, 130])


def test_padding_stands_within_the_longest_sequence(tokenizer: PreTrainedTokenizerFast) -> None:
    """A pass is filled up to a round size, here with more tokens than the border: they must not cross it."""
    rows = [sample(40, i) for i in range(60)]
    policy = make_quietly({"model_type": "llama", **longrope(65)}, tokenizer)
    for count in (1, 20, 60):
        found = trainer(policy).logprobs(rows[:count])
        torch.testing.assert_close(found[0], alone(policy, rows[0]), rtol=0, atol=2e-4)


def test_a_window_that_nobody_could_use(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(
        ModelError, match="computes only the first 50 as its own code does: beyond 50 tokens its rotary"
    ):
        make({"model_type": "llama", **longrope(50)}, tokenizer)


@pytest.mark.parametrize("tokens", [0, 1, 63, 2**25 + 1, 10**12])
def test_a_window_that_makes_no_sense(tokens: int, tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ModelError, match=rf"has a window of {tokens:,} tokens.*Expected 64 to 33,554,432"):
        make({"model_type": "llama", "max_position_embeddings": tokens}, tokenizer)


def test_tokens_that_see_each_other_outside_attention(tokenizer: PreTrainedTokenizerFast) -> None:
    """However little: with weights near zero the log-probs hardly differ."""
    fields = {"model_type": "lfm2", "layer_types": ["conv", "full_attention"], "initializer_range": 0.01}
    with pytest.warns(UserWarning, match=r"padded.*Lfm2ForCausalLM lets a token see those before it outside"):
        assert make(fields, tokenizer).fallback
    assert make(fields | {"layer_types": ["full_attention"] * 2}, tokenizer).fallback is None


def test_code_that_fails_on_a_few_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    moe = MOE | {"num_experts": 2, "num_local_experts": 2, "num_experts_per_tok": 5}
    with pytest.raises(ModelError, match=r"cannot be computed: .*config.json contradicts itself") as caught:
        make({"model_type": "qwen3_moe", **moe}, tokenizer)
    assert "\n" not in str(caught.value)


def test_an_attention_with_a_mask_of_its_own(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.warns(UserWarning, match="runs by its own attention and cache, .*DogeAttention.* a mask of its own"):
        assert make({"model_type": "doge", "keep_window_size": 64}, tokenizer).fallback


def test_loaded_folders_and_reward_models_have_the_same_window(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    policy = make_quietly(SWITCHING["llama, longrope"][0], tokenizer)
    save_policy(policy, tmp_path / "model")
    with pytest.warns(UserWarning, match="used up to 100 tokens only"):
        loaded = load_policy(tmp_path / "model", precision="fp32", device=DEVICE)
    assert (loaded.window, loaded.limit) == (100, policy.limit)
    scorer = new_scorer(loaded, loss="pairwise", scope="answer", base="tiny", max_tokens=64, seed=1)
    save_scorer(scorer, tmp_path / "scorer")
    for one in (scorer, load_scorer(tmp_path / "scorer", precision="fp32", device=DEVICE)):
        assert one.window == 100
        with pytest.raises(ModelError, match="has 101 tokens, and the model's window is 100, since beyond 100"):
            one.scores([Scored(prompt_ids=(5,), response_ids=((6,) * 100,))], 1000)


def test_a_model_is_left_as_it_was(tokenizer: PreTrainedTokenizerFast) -> None:
    """Probing passes through long positions; the buffers that these change are those of short ones again."""
    policy = tiny_policy("llama", tokenizer)
    switching = make_quietly(SWITCHING["llama, longrope"][0], tokenizer)
    for one in (policy, switching):
        assert one.model.config._attn_implementation == "ponder"
    fresh = AutoModelForCausalLM.from_config(deepcopy(switching.model.config), dtype=torch.float32).to(DEVICE)
    assert torch.equal(
        dict(switching.model.named_buffers())["model.rotary_emb.inv_freq"], fresh.model.rotary_emb.inv_freq
    )
