"""Loading, saving, random and shrunk policies, and what bad input gets."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from devices import DEVICE
from rounding import assert_close_logits
from safetensors.torch import load_file, save_file
from tiny_architectures import ARCHITECTURES as KINDS
from tiny_models import ARCHITECTURES
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CONFIG_MAPPING,
    AutoModelForCausalLM,
    AutoTokenizer,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    GPTJConfig,
    GPTJForCausalLM,
    LlamaTokenizer,
    PreTrainedTokenizerFast,
)

from ponder.errors import ModelError, RecipeError
from ponder.policy import (
    PackedLayout,
    Policy,
    check_fields,
    load,
    load_policy,
    random_policy,
    resolve_model,
    save_policy,
)
from ponder.policy.load import autocast_dtype
from ponder.policy.shrink import shrink
from ponder.recipe.rollout import Sampling
from ponder.records import Message
from ponder.rollout import LocalEngine, Request
from ponder.text.template import TEMPLATES

IDS = torch.tensor([[5, 6, 7, 8, 9, 10]], device=DEVICE)


def packed_logits(policy: Policy) -> torch.Tensor:
    layout = PackedLayout([IDS.shape[1]], [], [], DEVICE)
    weight, bias, scale = policy.head()
    return torch.nn.functional.linear(policy.hidden(IDS, layout.position_ids_T[None], layout), weight, bias) * scale


@torch.no_grad()
def test_saved_folder_is_plain_hugging_face(policy: Policy, tmp_path: Path) -> None:
    save_policy(policy, tmp_path)
    assert "ponder" not in (tmp_path / "config.json").read_text()
    plain = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert plain.dtype == torch.float32
    assert_close_logits(plain.to(DEVICE)(IDS).logits[0], packed_logits(policy), policy.model.config.num_hidden_layers)
    again = load_policy(tmp_path, precision="fp32", device=DEVICE)
    assert again.tokenizer.encode("w3 w4") == [5, 6] == policy.tokenizer.encode("w3 w4")
    assert again.template == policy.template and again.stop_ids == policy.stop_ids == {1}
    assert (again.window, again.pad_id) == (256, 0)
    theirs = dict(again.model.named_parameters())
    assert all(torch.equal(p, theirs[n]) for n, p in policy.model.named_parameters())
    assert torch.equal(packed_logits(again), packed_logits(policy))


@torch.no_grad()
def test_bf16_weights_on_request(policy: Policy, tmp_path: Path) -> None:
    save_policy(policy, tmp_path, dtype=torch.bfloat16)
    plain = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert plain.dtype == torch.bfloat16
    again = load_policy(tmp_path, precision="fp32", device=DEVICE)
    theirs = dict(again.model.named_parameters())
    for name, parameter in policy.model.named_parameters():
        assert theirs[name].dtype == torch.float32
        assert torch.equal(parameter.bfloat16().float(), theirs[name])


def test_tied_weights_stay_tied(qwen2: Policy, tmp_path: Path) -> None:
    save_policy(qwen2, tmp_path)
    again = load_policy(tmp_path, device=DEVICE)
    assert again.head().weight_VD is again.model.get_input_embeddings().weight


def test_tied_weights_are_written_once(qwen2: Policy, tmp_path: Path) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        save_policy(qwen2, tmp_path, dtype=dtype)
        written = load_file(tmp_path / "model.safetensors")
        assert "model.embed_tokens.weight" in written and "lm_head.weight" not in written
        assert {tensor.dtype for tensor in written.values()} == {dtype}
    again = load_policy(tmp_path, device=DEVICE)
    assert again.head().weight_VD is again.model.get_input_embeddings().weight


def test_random_policy_depends_on_its_seed_alone(tokenizer: PreTrainedTokenizerFast, qwen2: Policy) -> None:
    torch.manual_seed(99)
    before = torch.random.get_rng_state()
    twin = random_policy(qwen2.model.config, tokenizer, "r1-zero", seed=3, device=DEVICE)
    other = random_policy(qwen2.model.config, tokenizer, "r1-zero", seed=4, device=DEVICE)
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(twin.head().weight_VD, qwen2.head().weight_VD)
    assert not torch.equal(other.head().weight_VD, qwen2.head().weight_VD)


SHIPPED = {
    "qwen2": {"hidden_size": 1536, "num_attention_heads": 12, "num_key_value_heads": 2, "num_hidden_layers": 28},
    "qwen3": {"hidden_size": 1024, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128},
    "qwen3_moe": {"num_experts": 128, "num_experts_per_tok": 8, "num_hidden_layers": 48},
    "llama": {"hidden_size": 4096, "num_attention_heads": 32, "num_key_value_heads": 8},
    "deepseek_v3": {
        "rope_parameters": {
            "rope_type": "yarn", "factor": 40.0, "rope_theta": 10000.0, "beta_fast": 32.0, "beta_slow": 1.0,
            "mscale": 1.0, "mscale_all_dim": 1.0, "original_max_position_embeddings": 4096,
        },
    },
}  # fmt: skip


@pytest.mark.parametrize("model_type", sorted(SHIPPED))
def test_shrunk_architectures_work(model_type: str, tokenizer: PreTrainedTokenizerFast) -> None:
    config = CONFIG_MAPPING[model_type](**SHIPPED[model_type])
    policy = random_policy(shrink(config), tokenizer, "r1", seed=0, device=DEVICE)
    assert policy.model.config.model_type == model_type
    assert sum(p.numel() for p in policy.model.parameters()) < 100_000
    fields = {"model_type": model_type, **SHIPPED[model_type]}
    assert random_policy(shrink(fields), tokenizer, "r1", seed=0).model.config.model_type == model_type


def test_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    assert autocast_dtype("fp32", cpu) is None
    assert autocast_dtype("bf16", cpu) == torch.bfloat16
    monkeypatch.setattr(load, "_cpu_has_bf16", lambda: True)
    assert autocast_dtype("auto", cpu) == torch.bfloat16
    monkeypatch.setattr(load, "_cpu_has_bf16", lambda: False)
    assert autocast_dtype("auto", cpu) is None


@torch.no_grad()
def test_bf16_is_autocast_over_float32_weights(qwen2: Policy) -> None:
    exact = packed_logits(qwen2)
    qwen2.autocast_dtype = torch.bfloat16
    rounded = packed_logits(qwen2)
    assert all(p.dtype == torch.float32 for p in qwen2.model.parameters())
    assert 0 < float((rounded - exact).abs().max()) < 0.05 * float(exact.abs().max())


def edited(folder: Path, file: str, **changes: Any) -> None:
    values = json.loads((folder / file).read_text())
    values.update(changes)
    (folder / file).write_text(json.dumps(values))


def test_missing_folder_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "zero").mkdir()
    with pytest.raises(ModelError, match=r"no model folder .*did you mean .*zero'"):
        load_policy(tmp_path / "zeroo")
    with pytest.raises(ModelError, match=r"without config\.json"):
        resolve_model(tmp_path / "zero")


def test_missing_hub_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="no model 'nobody/nothing'"):
        load_policy("nobody/nothing")
    with pytest.raises(ModelError, match="did you mean 'micro'"):
        load_policy("mikro")


def test_no_template(qwen2: Policy, tmp_path: Path) -> None:
    save_policy(qwen2, tmp_path)
    (tmp_path / "ponder_template.json").unlink()
    with pytest.raises(ModelError, match="template"):
        load_policy(tmp_path)
    assert load_policy(tmp_path, template="r1").template.name == "r1"


def test_tokenizer_without_end(tokenizer: PreTrainedTokenizerFast, qwen2: Policy, tmp_path: Path) -> None:
    save_policy(qwen2, tmp_path)
    edited(tmp_path, "tokenizer_config.json", eos_token=None)
    edited(tmp_path, "generation_config.json", eos_token_id=None)
    edited(tmp_path, "config.json", eos_token_id=None)
    with pytest.raises(ModelError, match="end token"):
        load_policy(tmp_path)


def test_tokenizer_larger_than_the_model(qwen2: Policy, tmp_path: Path) -> None:
    save_policy(qwen2, tmp_path)
    larger = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    larger.add_tokens(["more", "words"])
    larger.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"60 tokens but its tokenizer knows 62"):
        load_policy(tmp_path)


def test_a_special_token_without_embeddings_is_ordinary_text(qwen2: Policy, tmp_path: Path) -> None:
    """As the place of an image in gemma-3-1b-it, a model of text."""
    save_policy(qwen2, tmp_path)
    larger = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    larger.add_tokens(["<image>"], special_tokens=True)
    larger.save_pretrained(tmp_path)
    assert larger.encode("w3 <image> w4") == [5, 60, 6]
    with pytest.warns(UserWarning, match=r"no embeddings for, and they are left out of it: '<image>'\. Where") as said:
        policy = load_policy(tmp_path, device=DEVICE)
    assert sum("'<image>'" in str(one.message) for one in said) == 1 and len(policy.tokenizer) == 60
    assert policy.tokenizer.encode("w3 <image> w4") == [5, 0, 0, 0, 6]
    prompt = policy.template.encode(policy.tokenizer, [Message(role="user", content="w3 <image> w4")])
    assert 5 in prompt and 6 in prompt and max(prompt) < 60
    save_policy(policy, tmp_path / "again")
    assert load_policy(tmp_path / "again", device=DEVICE).tokenizer.encode("<eos> <image>") == [1, 0, 0, 0]


def test_special_tokens_without_embeddings_that_texts_need(qwen2: Policy, tmp_path: Path) -> None:
    qwen2.template = TEMPLATES["r1"]
    save_policy(qwen2, tmp_path)
    larger = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    larger.add_tokens(["<|im_end|>"], special_tokens=True)
    larger.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"60 tokens but its tokenizer knows 61"):
        load_policy(tmp_path, device=DEVICE)
    larger = PreTrainedTokenizerFast.from_pretrained(tmp_path, pad_token="<|im_end|>")
    larger.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"60 tokens but its tokenizer knows 61"):
        load_policy(tmp_path, template="r1-zero", device=DEVICE)


TEXT = "What is 1,234 + 5?\n\n  na\u00efve  \u4e8c\u52a0\u4e09 \U0001f600\n"


def bytes_tokenizer() -> PreTrainedTokenizerFast:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<begin>", "<end>"],
    )
    made.train_from_iterator(["what is what", "two and two"], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<begin>", eos_token="<end>", pad_token="<end>")


def test_a_tokenizer_under_the_name_of_another(tmp_path: Path) -> None:
    """As DeepSeek-R1-Distill-Llama: pieces of bytes, under a class that splits otherwise."""
    tokenizer = bytes_tokenizer()
    save_policy(random_policy(ARCHITECTURES["llama"], tokenizer, "r1-zero", seed=3, device=DEVICE), tmp_path)
    edited(tmp_path, "tokenizer_config.json", tokenizer_class="LlamaTokenizerFast", legacy=True, add_bos_token=True)
    ids = Tokenizer.from_file(str(tmp_path / "tokenizer.json")).encode(TEXT, add_special_tokens=False).ids
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert theirs.encode(TEXT, add_special_tokens=False) != ids and " " not in theirs.decode(ids)
    policy = load_policy(tmp_path, device=DEVICE)
    assert policy.tokenizer.encode(TEXT, add_special_tokens=False) == ids
    assert policy.tokenizer.decode(ids) == TEXT
    assert policy.stop_ids == {tokenizer.eos_token_id}
    save_policy(policy, tmp_path / "again")
    again = load_policy(tmp_path / "again", device=DEVICE).tokenizer
    assert again.encode(TEXT) == policy.tokenizer.encode(TEXT) and again.decode(ids) == TEXT


def test_a_class_that_splits_as_its_file_says_is_kept(tmp_path: Path) -> None:
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", "a"]
    tokenizer = LlamaTokenizer({piece: i for i, piece in enumerate(pieces)}, [])
    save_policy(random_policy(ARCHITECTURES["llama"], tokenizer, "r1-zero", seed=3, device=DEVICE), tmp_path)
    loaded = load_policy(tmp_path, device=DEVICE).tokenizer
    assert type(loaded).__name__ == "LlamaTokenizer" and loaded.decode(loaded.encode(TEXT)) == TEXT


def test_damaged_weights(qwen2: Policy, tmp_path: Path) -> None:
    save_policy(qwen2, tmp_path)
    shutil.copy(tmp_path / "config.json", tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_policy(tmp_path)


def _change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


NAME = "model.layers.0.self_attn.q_proj.weight"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda weights: weights.pop(NAME), rf"lack 1 of the weights, such as '{NAME}'"),
        (lambda weights: weights.update({NAME: torch.zeros(3, 3)}), rf"weight '{NAME}' is of shape \(3, 3\)"),
        (lambda weights: weights[NAME].fill_(float("nan")), "weights hold NaN or infinite values"),
    ],
    ids=["missing", "of another shape", "not a number"],
)
def test_weights_that_transformers_would_take(
    qwen2: Policy, tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], object], words: str
) -> None:
    save_policy(qwen2, tmp_path)
    _change_weights(tmp_path, change)
    with pytest.raises(ModelError, match=words) as caught:
        load_policy(tmp_path)
    assert "\n" not in str(caught.value)


def test_weights_that_have_no_place_are_named(qwen2: Policy, tmp_path: Path) -> None:
    save_policy(qwen2, tmp_path)
    edited(tmp_path, "config.json", num_hidden_layers=1, layer_types=["full_attention"])
    with pytest.warns(UserWarning, match=r"hold 12 weights for which .* has no place, such as 'model.layers.1.input"):
        load_policy(tmp_path)


def test_the_folder_of_a_run_names_its_models(qwen2: Policy, tmp_path: Path) -> None:
    save_policy(qwen2, tmp_path / "stages" / "zero" / "model")
    for folder in (tmp_path, tmp_path / "stages" / "zero"):
        with pytest.raises(ModelError, match=r"in it there is '.*/stages/zero/model'"):
            resolve_model(folder)


def test_no_tokenizer(qwen2: Policy, tmp_path: Path) -> None:
    save_policy(qwen2, tmp_path)
    for file in tmp_path.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(ModelError, match="tokenizer"):
        load_policy(tmp_path)


@pytest.mark.parametrize("fields", [{"hidden_size": "big"}, {"num_attention_heads": 0}, {"model_type": "nonesuch"}])
def test_a_configuration_that_makes_no_sense(qwen2: Policy, tmp_path: Path, fields: dict[str, Any]) -> None:
    save_policy(qwen2, tmp_path)
    edited(tmp_path, "config.json", **fields)
    with pytest.raises(ModelError, match="cannot be loaded") as caught:
        load_policy(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_misspelt_field_of_an_architecture() -> None:
    known = {"model_type": "qwen3", "hidden_size": 64, "head_dim": 16, "rope_theta": 1e4, "tie_word_embeddings": True}
    check_fields(known)
    check_fields({"model_type": "deepseek_v3", "n_routed_experts": 8, "kv_lora_rank": 8, "first_k_dense_replace": 1})
    with pytest.raises(RecipeError, match=r"'qwen3' has no field 'hiden_size'; did you mean 'hidden_size'\?"):
        check_fields(known | {"hiden_size": 64})


def test_unknown_model_type(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ModelError, match="qwen22"):
        random_policy({"model_type": "qwen22"}, tokenizer, "r1", seed=0)
    with pytest.raises(ModelError, match="model_type"):
        random_policy({"hidden_size": 8}, tokenizer, "r1", seed=0)


def test_logits_that_are_bent(tokenizer: PreTrainedTokenizerFast) -> None:
    """With weights as near zero as these nobody would notice."""
    fields = {"model_type": "gemma2", "num_hidden_layers": 2, "head_dim": 8, "hidden_size": 32, "intermediate_size": 32}
    with pytest.raises(ModelError, match=r"bends its logits by a tanh \(final_logit_softcapping: 30"):
        random_policy(fields, tokenizer, "r1", seed=0, device=DEVICE)


@pytest.mark.filterwarnings("ignore:Model 'random falcon_h1' runs by its own attention")
@pytest.mark.parametrize(
    ("name", "field", "given", "scale"),
    [
        ("cohere", "logit_scale", 0.5, 0.5),
        ("granite", "logits_scaling", 4.0, 0.25),
        ("hyperclovax", "logits_scaling", 2.0, 2.0),
        ("falcon_h1", "lm_head_multiplier", 0.5, 0.5),
        ("minicpm3", "dim_model_base", 16, 0.5),
    ],
)
@torch.no_grad()
def test_logits_that_are_scaled(
    name: str, field: str, given: float, scale: float, tokenizer: PreTrainedTokenizerFast
) -> None:
    """Each was probed against its own code when it was made."""
    fields = {**KINDS.get(name, KINDS["granite"]), "model_type": name, field: given}
    policy = random_policy(fields, tokenizer, "r1-zero", seed=3, precision="fp32", device=DEVICE)
    assert policy.logit_scale == scale and getattr(policy.model.config, field) == given


def test_models_that_see_are_refused(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    text = {**ARCHITECTURES["qwen2"], "vocab_size": 60, "head_dim": 8, "eos_token_id": 1, "pad_token_id": 0}
    sight = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = Gemma3Config(
        text_config={key: value for key, value in text.items() if key not in ("model_type", "initializer_range")},
        vision_config={**sight, "image_size": 28, "patch_size": 14},
        mm_tokens_per_image=4,
    )
    Gemma3ForConditionalGeneration(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"reads more than text \('vision_config' in its config.json\)"):
        load_policy(tmp_path, "r1-zero", device=DEVICE)


@pytest.mark.parametrize(
    ("given", "gone"),
    [
        ({"do_sample": False, "temperature": 0.6, "top_p": 0.95}, ["temperature: 0.6", "top_p: 0.95"]),
        ({"temperature": 0.7, "top_k": 20, "repetition_penalty": 1.05}, ["temperature: 0.7", "top_k: 20"]),
        ({"num_beams": 1, "length_penalty": 2.0}, ["length_penalty: 2.0"]),
    ],
    ids=["greedy with a temperature", "sampling settings alone", "beams"],
)
def test_a_generation_config_that_could_not_be_saved_again(
    given: dict[str, Any], gone: list[str], qwen2: Policy, tmp_path: Path
) -> None:
    save_policy(qwen2, tmp_path)
    bare = dict.fromkeys(("do_sample", "temperature", "top_p", "top_k"))
    edited(tmp_path, "generation_config.json", eos_token_id=[1, 7], **bare | given)
    with pytest.warns(UserWarning, match="contradicts itself and could not be saved again; left out of it: ") as warned:
        policy = load_policy(tmp_path, device=DEVICE)
    assert all(one in str(warned[0].message) for one in gone)
    assert policy.stop_ids == {1, 7}
    save_policy(policy, tmp_path / "again")
    kept = load_policy(tmp_path / "again", device=DEVICE).model.generation_config.to_diff_dict()
    assert kept["eos_token_id"] == [1, 7] and kept.get("repetition_penalty") == given.get("repetition_penalty")
    assert not {one.partition(":")[0] for one in gone} & kept.keys()


@pytest.mark.parametrize(
    ("given", "kept", "gone"),
    [
        ([1, 7, 60], {1, 7}, "60"),
        ([-1, 7], {1, 7}, "-1"),
        (99_999_999, {1}, "99999999"),
        (["1", 7, None], {1, 7}, "'1', None"),
        ("<eos>", {1}, "'<eos>'"),
    ],
)
def test_end_tokens_that_the_model_cannot_write(
    given: Any, kept: set[int], gone: str, qwen2: Policy, tmp_path: Path
) -> None:
    save_policy(qwen2, tmp_path)
    edited(tmp_path, "generation_config.json", eos_token_id=given)
    with pytest.warns(UserWarning, match=f"for it has 60, counted from 0; left out of it: {gone}"):
        policy = load_policy(tmp_path, device=DEVICE)
    assert policy.stop_ids == kept
    request = Request(prompt_ids=(5, 6), seeds=(1,), key="p")
    LocalEngine(policy, lanes=1).generate([request], Sampling(), 4, 0)


@pytest.mark.parametrize("chat_template", [7, ["{{ x }}"], True])
def test_a_chat_template_that_is_no_text(chat_template: Any, qwen2: Policy, tmp_path: Path) -> None:
    qwen2.template = TEMPLATES["r1"]
    save_policy(qwen2, tmp_path)
    (tmp_path / "chat_template.jinja").unlink()
    edited(tmp_path, "tokenizer_config.json", chat_template=chat_template)
    with pytest.raises(ModelError, match="chat") as caught:
        load_policy(tmp_path, device=DEVICE)
    assert "\n" not in str(caught.value)


def test_an_architecture_that_lists_its_attentions_itself(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    config = GPTJConfig(vocab_size=60, n_embd=32, n_layer=1, n_head=4, rotary_dim=4, n_positions=128, eos_token_id=1)
    GPTJForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="slower, since a GPTJForCausalLM does not let its attention be replaced"):
        policy = load_policy(tmp_path, "r1-zero", device=DEVICE)
    save_policy(policy, tmp_path / "again")
    with pytest.warns(UserWarning, match="slower"):
        assert load_policy(tmp_path / "again", device=DEVICE).fallback == policy.fallback


def test_settings_that_go_together_are_kept(qwen2: Policy, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    save_policy(qwen2, tmp_path)
    edited(tmp_path, "generation_config.json", do_sample=True, temperature=0.6, top_p=0.95, top_k=20)
    save_policy(load_policy(tmp_path, device=DEVICE), tmp_path / "again")
    kept = load_policy(tmp_path / "again", device=DEVICE).model.generation_config.to_diff_dict()
    assert (kept["do_sample"], kept["temperature"], kept["top_p"], kept["top_k"]) == (True, 0.6, 0.95, 20)
    assert not recwarn.list


def test_what_can_be_loaded_and_not_saved_is_said_at_once(
    qwen2: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: object, *given: object, **more: object) -> None:
        raise NotImplementedError("this kind of vocabulary cannot be written")

    save_policy(qwen2, tmp_path)
    monkeypatch.setattr(type(load_policy(tmp_path, device=DEVICE).tokenizer), "save_pretrained", refuse)
    with pytest.raises(ModelError, match=r"can be loaded but not saved, .*: this kind of vocabulary cannot be written"):
        load_policy(tmp_path, device=DEVICE)


@pytest.mark.parametrize(("own", "kept"), [(None, "64"), ("7", "7")])
def test_kernels_kept_are_limited_unless_the_user_says_how_many(
    own: str | None, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
    monkeypatch.setenv(name, "to be restored")
    if own is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, own)
    load_policy("micro")
    assert os.environ[name] == kept
