"""Plans: sizes counted exactly, memory and time by hand, and what the page says."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from ponder.errors import RunFolderError
from ponder.files import EMBEDDED_BASE, write_json
from ponder.manifest import Manifest, Session
from ponder.pipeline.estimate import Work, pretrain_work, reward_model_work, rl_work, seconds
from ponder.pipeline.machine import CLUSTER_DEVICE, Device, this_device
from ponder.pipeline.memory import PROMPT_TOKENS, frozen_bytes, memory, peak, phases, sampling_memory
from ponder.pipeline.plan import describe_plan
from ponder.pipeline.shape import Shape, find_shape, shape_of
from ponder.policy import random_policy
from ponder.recipe import PretrainStage, Recipe, RewardModelStage, RlStage, load_recipe
from ponder.recipe.architectures import known_architecture
from ponder.recipe.training import BatchLimits
from ponder.train import Sample
from ponder.train.batch import Batch
from ponder.watch import MetricsLog

RECIPES = sorted((Path(__file__).parents[2] / "ponder" / "recipes").glob("*.yaml"))

COMMON: dict[str, Any] = {
    "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 8, "num_key_value_heads": 2,
    "intermediate_size": 96, "vocab_size": 200, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
EXPERTS = {"moe_intermediate_size": 24, "num_experts_per_tok": 2}
LATENT = {"kv_lora_rank": 20, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 10, "num_key_value_heads": 8}


@pytest.mark.parametrize(
    ("model_type", "fields"),
    [
        ("qwen2", {}),
        ("qwen2", {"tie_word_embeddings": True}),
        ("qwen3", {"head_dim": 16}),
        ("llama", {}),
        ("mistral", {}),
        ("gemma", {"head_dim": 16}),
        ("gemma3_text", {"head_dim": 16}),
        ("mixtral", {"num_local_experts": 4, "num_experts_per_tok": 2}),
        ("qwen2_moe", EXPERTS | {"num_experts": 4, "shared_expert_intermediate_size": 40}),
        ("qwen3_moe", EXPERTS | {"num_experts": 4, "head_dim": 16}),
        ("deepseek_v3", EXPERTS | LATENT | {"n_routed_experts": 8, "q_lora_rank": 12, "n_group": 2, "topk_group": 1,
                                            "first_k_dense_replace": 1}),
        ("deepseek_v3", EXPERTS | LATENT | {"n_routed_experts": 8, "q_lora_rank": None, "n_group": 2, "topk_group": 1,
                                            "first_k_dense_replace": 2, "n_shared_experts": 2}),
    ],
)  # fmt: skip
def test_parameters_are_those_of_the_model(model_type: str, fields: dict[str, Any]) -> None:
    config = AutoConfig.for_model(model_type, **(COMMON | {"tie_word_embeddings": False} | fields))
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    shape = shape_of(config.to_dict(), "test")
    assert isinstance(shape, Shape)
    assert shape.parameters == sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("hub_id", "billions", "active"),
    [
        ("Qwen/Qwen2.5-0.5B", 0.494, None),  # sizes as published on the model cards
        ("Qwen/Qwen2.5-1.5B", 1.54, None),
        ("Qwen/Qwen2.5-7B", 7.61, None),
        ("Qwen/Qwen2.5-32B-Instruct", 32.5, None),
        ("Qwen/Qwen3-4B-Base", 4.0, None),
        ("meta-llama/Llama-3.1-8B", 8.03, None),
        ("meta-llama/Llama-3.1-70B", 70.6, None),
        ("deepseek-ai/DeepSeek-V3-Base", 671, 37),
    ],
)
def test_known_models_have_their_published_size(hub_id: str, billions: float, active: float | None) -> None:
    config = known_architecture(hub_id)
    assert config is not None
    shape = shape_of(config, "table")
    assert isinstance(shape, Shape)
    assert shape.parameters / 1e9 == pytest.approx(billions, rel=0.01)
    if active is not None:
        assert shape.active / 1e9 == pytest.approx(active, rel=0.02)


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "mamba"},
        {"model_type": "qwen2"},
        {},
        [],
        {"model_type": ["qwen2"]},
        {"model_type": "llama"} | COMMON | {"hidden_size": "big"},
        {"model_type": "llama"} | COMMON | {"num_attention_heads": 0},
    ],
)
def test_what_cannot_be_counted_is_said(config: dict[str, Any]) -> None:
    assert isinstance(shape_of(config, "here"), str)


def rl(**fields: Any) -> RlStage:
    return RlStage.model_validate({"model": "micro", "problems": [{"source": "micro"}], "steps": 10} | fields)


TINY = Shape(
    model_type="qwen2",
    parameters=1000,
    active=900,
    linear=700,
    largest_layer=200,
    head=0,
    cached=16,
    latent=16,
    kept=50,
    kept_fp32=30,
    pair=96,
    layers=3,
    heads=2,
    hidden=8,
    vocabulary=100,
    window=512,
    origin="test",
)
DEVICE = Device(name="CPU, test", memory_bytes=2**30, train_flops=1e6, generate_flops=1e5)


def test_memory_by_hand() -> None:
    stage = rl(
        problems_per_step=4, group_size=8, updates_per_rollout=2, sampling={"max_tokens": 300},
        batch={"tokens_per_micro_batch": 1000, "logprob_chunk": 10}, engine={"max_slots": 50},
    )  # fmt: skip
    assert memory(stage, TINY, bf16=False) == {
        "weights": 4000,
        "gradients": 4000,
        "optimizer": 8000,
        "reference": 4000,
        "logits": 10 * 100 * 4 * 3,
        "KV cache": 50 * (300 + PROMPT_TOKENS) * 16 * 4,  # 64 completions, but 50 slots
        "logits drawn from": 50 * 100 * 4 * 2,
        "activations": 1000 * (50 + 30) * 4,
    }
    half = memory(stage.model_copy(update={"objective": rl(objective="dr_grpo").objective}), TINY, bf16=True)
    assert "reference" not in half and half["weights"] == 4000 and half["activations"] == 1000 * (50 * 2 + 30 * 4)
    assert half["bf16 copies"] == half["copies of a pass"] == 700 * 2
    assert memory(stage, TINY, bf16=True, room=0)["copies of a pass"] == 700 * 2 // 3
    assert memory(stage, TINY, bf16=True)["reference"] == 300 * 4 + 700 * 2
    assert memory(stage, TINY, bf16=True, on_cpu=True)["logits"] == 10 * 100 * 4 * 3
    all_at_once = stage.model_copy(update={"batch": BatchLimits(tokens_per_micro_batch=1000, logprob_chunk=10**6)})
    assert memory(all_at_once, TINY, bf16=False)["logits"] == 1000 * 100 * 4 * 3  # no more rows than a pass has
    wide = dataclasses.replace(TINY, vocabulary=10**6)
    assert memory(stage, wide, bf16=True, on_cpu=True)["logits"] == 2**20 * 4 * 3
    again = memory(stage, TINY, bf16=False, room=1000 * 80 * 4 - 1)["activations"]
    assert again == 1000 * 3 * 8 * 4 + 1000 * 80 * 4 // 3


@pytest.mark.parametrize(
    ("model_type", "fields"),
    [
        ("qwen2", {}),
        ("qwen2", {"tie_word_embeddings": True}),
        ("qwen3_moe", EXPERTS | {"num_experts": 4, "head_dim": 16}),
        ("qwen2_moe", EXPERTS | {"num_experts": 4, "shared_expert_intermediate_size": 40}),
        ("deepseek_v3", EXPERTS | LATENT | {"n_routed_experts": 8, "q_lora_rank": 12, "n_group": 2, "topk_group": 1,
                                            "first_k_dense_replace": 1}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_reference_is_planned_as_it_is_kept(model_type: str, fields: dict[str, Any], precision: Any) -> None:
    """To the byte, of a copy that is really frozen."""
    config = COMMON | {"model_type": model_type, "tie_word_embeddings": False} | fields
    policy = random_policy(config, AutoTokenizer.from_pretrained(EMBEDDED_BASE), "r1-zero", 0, precision, "cpu")
    shape = shape_of(policy.model.config.to_dict(), "test")
    assert isinstance(shape, Shape)
    frozen = sum(p.nbytes for p in policy.frozen_copy().model.parameters())
    assert frozen_bytes(shape, bf16=precision == "bf16") == frozen
    layers = [sum(p.numel() for p in layer.parameters()) for layer in policy.model.model.layers]  # type: ignore[union-attr]
    assert shape.largest_layer == max(layers)


@pytest.mark.parametrize(
    ("name", "precision", "expected"),
    [("CPU, 2 cores", "bf16", 4), ("CPU, 2 cores", "auto", 4), ("H100", "auto", 2), ("H100", "fp32", 4)],
)
def test_keys_and_values_of_a_cpu_are_float32(name: str, precision: Any, expected: int) -> None:
    device = dataclasses.replace(DEVICE, name=name)
    cached = device.bf16_cache(precision)
    parts = sampling_memory(TINY, slots=3, max_tokens=7, bf16=device.bf16(precision), bf16_cache=cached)
    assert parts["KV cache"] == 3 * (7 + PROMPT_TOKENS) * 16 * expected


def test_the_cache_and_an_update_are_never_there_together() -> None:
    kept = {"weights": 4, "optimizer": 8}
    update = {"gradients": 4, "logits": 2, "activations": 10}
    assert peak(kept | update | {"KV cache": 9}) == 4 + 8 + 16
    assert peak(kept | update | {"KV cache": 30}) == 4 + 8 + 30
    assert phases(kept | update | {"KV cache": 9}) == {"sampling": 21, "update": 28}
    assert phases(kept | {"KV cache": 9}) == {"sampling": 21} and phases(kept | update) == {"update": 28}
    assert peak(kept | update) == 28


def test_drawing_ahead_is_beside_an_update_with_weights_of_its_own() -> None:
    ahead, turns = rl(engine={"lag": 2}), rl()
    parts, without = (memory(stage, TINY, bf16=False) for stage in (ahead, turns))
    assert parts == without | {"drawing ahead": 2 * 1000 * 4}
    assert phases(parts) == {"sampling beside an update": sum(parts.values())} and peak(parts) > peak(without)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "qwen2", "hidden_size": 128, "intermediate_size": 512, "num_attention_heads": 4,
         "num_key_value_heads": 1},
        {"model_type": "qwen3", "hidden_size": 96, "intermediate_size": 288, "num_attention_heads": 4,
         "num_key_value_heads": 2, "head_dim": 32},
    ],
    ids=lambda config: config["model_type"],
)  # fmt: skip
def test_activations_are_what_the_backward_pass_keeps(config: dict[str, Any], precision: Any) -> None:
    """Bytes per token that two further layers keep, weighed by hooks on autograd."""
    found = []
    for layers in (1, 3):
        policy = random_policy(
            config | {"num_hidden_layers": layers}, AutoTokenizer.from_pretrained(EMBEDDED_BASE), "r1-zero", 0,
            precision, "cpu",
        )  # fmt: skip
        prompt, response = tuple(range(5, 105)), (7,) * 200
        sample = Sample(prompt_ids=prompt, response_ids=response, group="g", weight=1.0)
        batch = Batch.of([sample] * 4, policy.device)
        kept: dict[int, torch.Tensor] = {}

        def keep(tensor: torch.Tensor, kept: dict[int, torch.Tensor] = kept) -> torch.Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), policy.autocast():
            policy.hidden(batch.input_ids_1T, batch.layout.position_ids_T[None], batch.layout)
        tokens = batch.input_ids_1T.shape[1]
        per_token = [t.untyped_storage().nbytes() for t in kept.values() if tokens in t.shape or t.ndim == 4]
        found.append(sum(per_token) / tokens)
        shape = shape_of(policy.model.config.to_dict(), "test")
    assert isinstance(shape, Shape)
    estimate = (shape.kept * (2 if precision == "bf16" else 4) + shape.kept_fp32 * 4) / 3
    assert (found[1] - found[0]) / 2 == pytest.approx(estimate, rel=0.2)


def test_a_sequence_longer_than_the_budget_has_a_pass_of_its_own() -> None:
    stage = rl(sampling={"max_tokens": 100, "length_schedule": [{"from_step": 5, "max_tokens": 800}]},
               batch={"tokens_per_micro_batch": 64})  # fmt: skip
    assert memory(stage, TINY, bf16=False)["activations"] == (800 + PROMPT_TOKENS) * 80 * 4


def test_a_critic_is_a_second_model_that_is_trained() -> None:
    """Its weights and moments beside the policy's; of its tokens one pass for the values, and one there and back."""
    alone, beside = rl(objective="grpo"), rl(objective="ppo")
    less = memory(alone, TINY, bf16=True)
    more = memory(beside, TINY, bf16=True, critic=dataclasses.replace(TINY, parameters=500, linear=400))
    assert more == less | {"critic": 500 * (4 + 8) + 400 * 2}
    work = rl_work(beside, 0, None)
    assert work == dataclasses.replace(rl_work(alone, 0, None), critic=work.trained)
    spent = seconds(work, TINY, DEVICE) - seconds(dataclasses.replace(work, critic=0.0), TINY, DEVICE)
    assert spent == pytest.approx(900 * 8 * work.trained / 1e6)
    small = dataclasses.replace(TINY, active=90)
    halved = seconds(work, TINY, DEVICE, small) - seconds(dataclasses.replace(work, critic=0.0), TINY, DEVICE)
    assert halved == pytest.approx(spent / 10)


def test_work_by_hand() -> None:
    stage = rl(
        steps=3, problems_per_step=2, group_size=4,
        sampling={"max_tokens": 100, "length_schedule": [{"from_step": 2, "max_tokens": 200}]},
        held_out={"problems": [{"source": "micro", "count": 5}, {"source": "file", "path": "x", "limit": 3}],
                  "samples": 16, "every": 1, "samples_during": 2},
    )  # fmt: skip
    completions, prompts = 8 * (50 + 50 + 100), 3 * 2 * PROMPT_TOKENS
    held_out = (5 + 3) * (2 * 16 + 3 * 2) * 100
    kept = completions + prompts
    assert rl_work(stage, 0, None) == Work(generated=kept + held_out, trained=kept, reference=kept)
    measured = rl_work(stage, 2, 30.0)
    assert measured.trained == 8 * 30 + 2 * PROMPT_TOKENS
    assert seconds(Work(generated=10, trained=20, reference=30), TINY, DEVICE) == pytest.approx(
        2 * 900 * 10 / 1e5 + 900 * (6 * 20 + 2 * 30) / 1e6
    )


def test_the_papers_run_comes_out_at_its_published_cost() -> None:
    """R1-Zero: 101,000 H800-hours (version 2, table 7). The assumed rates are set so that this holds."""
    recipe = next(path for path in RECIPES if path.stem == "zero-671b")
    stage = load_recipe(recipe).stages["zero"]
    shape = find_shape(load_recipe(recipe), "zero")
    assert isinstance(stage, RlStage) and isinstance(shape, Shape)
    assert seconds(rl_work(stage, 0, None), shape, CLUSTER_DEVICE) / 3600 == pytest.approx(101_000, rel=0.2)


def test_pretrain_work() -> None:
    stage = PretrainStage(architecture={}, tokens=1234)
    assert pretrain_work(stage) == Work(generated=0, trained=1234, reference=0)


def test_this_device_has_memory_and_rates() -> None:
    device = this_device()
    assert device.memory_bytes > 2**28 and device.train_flops > device.generate_flops > 0


def write_recipe(folder: Path, text: str) -> Recipe:
    (folder / "r.yaml").write_text(text)
    return load_recipe(folder / "r.yaml")


CHAIN = """\
name: chain
stages:
  scores: {kind: evaluate, models: [zero], benchmarks: [gsm8k]}
  zero:
    kind: rl
    model: base
    steps: 20
    updates_per_rollout: 4
    problems: [{source: file, path: nowhere.jsonl}]
  base:
    kind: pretrain
    architecture: {model_type: qwen2, hidden_size: 64, num_hidden_layers: 2, num_attention_heads: 4,
                   intermediate_size: 128}
    tokens: 100000
"""


def test_the_page(tmp_path: Path) -> None:
    page = describe_plan(write_recipe(tmp_path, CHAIN), tmp_path / "out")
    stages = [line.split()[1] for line in page.splitlines() if line[:3].strip().isdigit()]
    assert stages == ["base", "zero", "scores"]
    for part in (
        "128 problems, 2,048 completions of at most 512 tokens, for 4 updates; 256 at one time",
        "32 problems x 16 completions, 20 updates",
        "from stage base",
        "assumed",
        "  phases   sampling ",
        " tokens, activations kept)",
        "would not start: stage 'zero': the data file 'nowhere.jsonl' does not exist",
    ):
        assert part in page
    assert not (tmp_path / "out").exists()


def test_too_big_a_model_is_priced_for_a_cluster(tmp_path: Path) -> None:
    text = CHAIN.replace("model: base", "model: deepseek-ai/DeepSeek-V3-Base")
    page = describe_plan(write_recipe(tmp_path, text), tmp_path / "out")
    assert "671 billion parameters, 36.6 billion active per token" in page
    assert "too much" in page and "GPU-hours on H100 80GB" in page and "$" in page


def test_an_unknown_model_gets_no_numbers(tmp_path: Path) -> None:
    text = CHAIN.replace("model: base", "model: nobody/nothing-1B")
    page = describe_plan(write_recipe(tmp_path, text), tmp_path / "out")
    assert "no estimate of memory and time: not downloaded yet, and not known by name" in page


@pytest.mark.parametrize(("own", "updates"), [(True, 15), (False, 20)])
def test_measured_speed_replaces_the_guess(tmp_path: Path, own: bool, updates: int) -> None:
    recipe = write_recipe(tmp_path, CHAIN)
    stage = recipe.stages["zero"]
    run = tmp_path / "runs" / ("mine" if own else "earlier")
    folder = run / "stages" / "zero"
    plan = describe_plan(recipe, tmp_path / "runs" / "mine")
    assert "steps measured" not in plan
    write_measured(folder, stage.model_dump(mode="json"), recipe, run, own)
    plan = describe_plan(recipe, tmp_path / "runs" / "mine")
    assert f"about {updates * 3} s for {updates} updates, from 5 steps measured in {folder}" in plan


@pytest.mark.parametrize(("threads", "seconds"), [(None, 71), (2, 71), (1, 60)])
def test_what_had_the_machine_for_itself_takes_longer_beside_others(
    threads: int | None, seconds: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ponder.pipeline.machine._gpus", list)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1})
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    recipe = write_recipe(tmp_path, f"at_once: 2\n{CHAIN}")
    run = tmp_path / "runs" / "earlier"
    config = recipe.stages["zero"].model_dump(mode="json")
    write_measured(run / "stages" / "zero", config, recipe, run, own=False, threads=threads)
    assert f"about {seconds} s for 20 updates, from" in describe_plan(recipe, tmp_path / "runs" / "mine")


def test_damaged_runs_beside_it_stop_no_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They tell nothing; damage of its own is said."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "chain.yaml"
    path.write_text(
        "name: chain\nstages: {zero: {kind: rl, model: micro, problems: [{source: micro}], steps: 100}}\n", "utf-8"
    )
    recipe = load_recipe(path)
    config = recipe.stages["zero"].model_dump(mode="json")
    beside, own = tmp_path / "runs/other/stages/zero", tmp_path / "runs/chain/stages/zero"
    for name, file in (("x", "manifest.json"), ("y", "metrics.jsonl")):
        damaged = tmp_path / f"runs/{name}/stages/zero"
        write_measured(damaged, config, recipe, tmp_path / "runs/chain", own=False)
        (damaged / file).write_text("{damaged\n")
    write_json(tmp_path / "tries/it/tried.json", {})
    (tmp_path / "tries/it/tried.json").write_text("{")
    assert "measured" not in describe_plan(recipe, tmp_path / "runs/chain")
    write_measured(beside, config, recipe, tmp_path / "runs/chain", own=False)
    assert "5 steps measured in" in describe_plan(recipe, tmp_path / "runs/chain")
    write_measured(own, config, recipe, tmp_path / "runs/chain", own=True)
    (own / "metrics.jsonl").write_text("{damaged\n")
    with pytest.raises(RunFolderError, match="is damaged"):
        describe_plan(recipe, tmp_path / "runs/chain")


def write_measured(
    folder: Path, config: dict[str, Any], recipe: Recipe, run: Path, own: bool, threads: int | None = None
) -> None:
    import socket

    from ponder.pipeline.fingerprint import fingerprint, identities

    identity = identities(recipe, smoke=False)["zero"]
    if own:
        write_json(
            run / "recipe.resolved.json",
            {"format": 1, "ponder": "0", "smoke": False, "overrides": [], "recipe": {"name": "chain"}},
        )
    Manifest(
        recipe="chain", stage="zero", kind="rl", config=config, identity=identity, fingerprint=fingerprint(identity),
        seed=0, smoke=False, versions={},
        sessions=(Session(started="2026-01-01T00:00:00+00:00", host=socket.gethostname(), pid=1, threads=threads),),
    ).write(folder)  # fmt: skip
    log = MetricsLog(folder)
    for step in range(1, 6):
        log.write(step, {"seconds/step": 3.0 if step != 2 else 100.0, "rollout/mean_tokens": 70.0})
    log.close()


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_every_shipped_recipe_is_planned(path: Path, tmp_path: Path) -> None:
    page = describe_plan(load_recipe(path), tmp_path / "out")
    assert path.stem in page and "memory" in page and "time" in page


def test_reward_models_are_planned(tmp_path: Path) -> None:
    text = """\
name: taste
stages:
  helpful: {kind: reward_model, model: micro, loss: pairwise, data: [{source: micro, count: 600}], epochs: 2}
  safe: {kind: reward_model, model: micro, loss: pointwise, data: [{source: file, path: labels.jsonl}]}
  r1:
    {kind: rl, model: micro, problems: [{source: micro}], steps: 3, rewards: {accuracy: 1, preference: 1},
     reward_models: {helpful: helpful, safety: safe}}
"""
    (tmp_path / "taste.yaml").write_text(text)
    plan = describe_plan(load_recipe(tmp_path / "taste.yaml"), tmp_path / "out")
    assert "from micro on micro" in plan and "from micro, helpful (helpful), safe (safety)" in plan
    assert "600 rows, 2 epochs, 256 rows per update, at most 6 updates" in plan
    assert "an unknown number of rows" in plan and " for an update, at " in plan
    assert "reward models" in plan.partition("r1 (rl)")[2]
    stage = RewardModelStage.model_validate({"model": "m", "loss": "pairwise", "data": [{"source": "micro"}]})
    assert reward_model_work(stage, 100) == Work(generated=0, trained=100 * 5 * PROMPT_TOKENS, reference=0)
    parts = memory(stage.model_copy(update={"max_tokens": 10_000}), TINY, bf16=False)
    assert "logits" not in parts and parts["activations"] == 20_000 * (50 + 30) * 4
    assert memory(rl(), TINY, bf16=False, scorers=[TINY, TINY])["reward models"] == 8000
