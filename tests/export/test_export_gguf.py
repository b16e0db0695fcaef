"""GGUF files: transformers' own loader finds the weights again, and the file's vocabulary tokenises as the model's."""

import itertools
import json
import math
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import regex
import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

from ponder.errors import ModelError
from ponder.export.architecture import architecture_of, rope_factors
from ponder.export.command import Gguf, export_command
from ponder.export.gguf_file import prepare_gguf
from ponder.export.licence import base_licence
from ponder.export.lineage import Base
from ponder.export.splitter import SPLITTERS
from ponder.files import file_digest
from ponder.policy import Policy, load_policy, random_policy, save_policy
from ponder.text.jinja import chat_jinja
from tests.tiny_models import ARCHITECTURES

_OF_MISTRAL = ("model_type", "sliding_window", "attention_bias")
TEXTS = ["two and two is 4, or 4 4444", "What is 2 + 3?", "say it's so\n\n  twice", "二加三等于五", "naïve \U0001f600!"]
GEMMA = {
    "model_type": "gemma3_text", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 6, "head_dim": 16,
    "num_attention_heads": 4, "num_key_value_heads": 1, "query_pre_attn_scalar": 16, "sliding_window": 128,
    "max_position_embeddings": 256, "initializer_range": 0.3,
}  # fmt: skip
TINY: dict[str, dict[str, Any]] = {
    **{name: ARCHITECTURES[name] for name in ("qwen2", "qwen3", "llama")},
    "mistral": {**ARCHITECTURES["llama"], "model_type": "mistral", "sliding_window": None},
    "gemma3_text": GEMMA,
}
LLAMA3_ROPE = {
    "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip


def fast(made: Tokenizer, **tokens: str) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>", pad_token="<pad>", **tokens)


@pytest.fixture(scope="session")
def split() -> PreTrainedTokenizerFast:
    """Byte-level, split as Qwen2 does."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLITTERS["qwen2"][0]), "isolated"),
            pre_tokenizers.ByteLevel(False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=320, show_progress=False, initial_alphabet=alphabet))
    made.add_special_tokens(["<pad>", "<end>"])
    made.add_tokens([AddedToken("<tool>", normalized=False)])
    return fast(made)


@pytest.fixture(scope="session")
def whole() -> PreTrainedTokenizerFast:
    """Of whole texts, with bytes to fall back to, as Gemma's."""
    words = Tokenizer(models.BPE())
    words.normalizer = normalizers.Replace(" ", "\u2581")
    words.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=200, show_progress=False))
    learnt = json.loads(words.to_str())["model"]
    tokens = ["<pad>", "<end>", "<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), *learnt["vocab"]]
    merges = [tuple(pair) for pair in learnt["merges"]]
    made = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges, unk_token="<unk>", byte_fallback=True))
    made.normalizer = words.normalizer
    made.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    made.add_special_tokens(["<pad>", "<end>"])
    return fast(made, unk_token="<unk>")


def policy_of(config: dict[str, Any], tokenizer: PreTrainedTokenizerFast, template: str = "r1-zero") -> Policy:
    return random_policy(config, tokenizer, template, seed=3, precision="fp32", device="cpu")


def loaded(folder: Path, file: Path) -> Any:
    """What transformers makes of the file; the config is the folder's, since its readers miss the size of a head."""
    factory: Any = AutoModelForCausalLM
    config = AutoConfig.from_pretrained(folder)
    if config.model_type == "mistral":  # is a llama in such files, and transformers looks for another name
        config = LlamaConfig(**{k: v for k, v in config.to_dict().items() if k not in _OF_MISTRAL})
    return factory.from_pretrained(file.parent, gguf_file=file.name, config=config, dtype=torch.float32).eval()


def greedy(model: Any, ids: list[int], count: int = 24) -> list[int]:
    found = list(ids)
    with torch.no_grad():
        for _ in range(count):
            found.append(int(model(torch.tensor([found])).logits[0, -1].argmax()))
    return found[len(ids) :]


@pytest.mark.parametrize("name", TINY)
def test_the_weights_are_found_again(name: str, split: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    policy = policy_of(TINY[name], split)
    save_policy(policy, tmp_path / "folder")
    prepare_gguf(policy, "f32", ids_only=False).write(tmp_path / "m.gguf", name)
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "folder", dtype=torch.float32).eval()
    model = loaded(tmp_path / "folder", tmp_path / "m.gguf")
    assert plain.state_dict().keys() == model.state_dict().keys()
    for weight, tensor in plain.state_dict().items():
        torch.testing.assert_close(model.state_dict()[weight], tensor, rtol=0, atol=2e-7, msg=weight)  # gemma's + 1 - 1
    assert greedy(model, [5, 6, 7]) == greedy(plain, [5, 6, 7])


@pytest.mark.parametrize("kind", ["f32", "q8_0"])
def test_the_embedded_model_says_the_same(kind: Any, tmp_path: Path) -> None:
    export_command("micro", None, None, Gguf(path=tmp_path / "m.gguf", type=kind, ids_only=True))
    policy = load_policy("micro", precision="fp32", device="cpu")
    save_policy(policy, tmp_path / "folder")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "folder", dtype=torch.float32).eval()
    model = loaded(tmp_path / "folder", tmp_path / "m.gguf")
    for question in ("What is 2 + 3?", "从25开始，减8，加31。结果是多少？"):
        ids = policy.tokenizer(question).input_ids
        assert greedy(model, ids) == greedy(plain, ids)


@pytest.mark.parametrize(("kind", "bits"), [("q8_0", 8.5), ("q4_0", 4.5)])
def test_quantised_weights_are_near(
    kind: Any, bits: float, split: PreTrainedTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("tempfile.SpooledTemporaryFile")  # weights wait nowhere, least of all in a small /tmp
    policy = policy_of({**TINY["qwen2"], "tie_word_embeddings": False}, split)
    written = prepare_gguf(policy, kind, ids_only=False).write(tmp_path / "m.gguf", "m")
    state, near = policy.model.state_dict(), 0
    for tensor in gguf.GGUFReader(tmp_path / "m.gguf").tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type)
        if tensor.name == "blk.0.attn_q.weight":
            assert tensor.n_bytes * 8 / tensor.n_elements == bits
            wanted = state["model.layers.0.self_attn.q_proj.weight"].numpy()
            step = np.abs(wanted).reshape(-1, 32).max(1, keepdims=True) / {"q8_0": 127, "q4_0": 8}[kind]
            assert (np.abs(values - wanted).reshape(-1, 32) <= 1.01 * step + 1e-3).all()
            near += 1
        if tensor.name in ("token_embd.weight", "output.weight"):
            assert tensor.tensor_type.name == "Q8_0"
        if tensor.name == "blk.0.ffn_down.weight":
            assert tensor.tensor_type.name == "F16", "48 columns are no whole blocks"
    assert near == 1
    assert sum(written.types.values()) == len(list(policy.model.parameters()))


def fields(file: Path) -> dict[str, Any]:
    reader = gguf.GGUFReader(file)
    return {name: field.contents() for name, field in reader.fields.items()}


def merged(symbols: list[str], rank: Any) -> list[str]:
    """The best pair again and again, the leftmost first."""
    while len(symbols) > 1:
        found = [(rank(a, b), i) for i, (a, b) in enumerate(itertools.pairwise(symbols)) if rank(a, b) is not None]
        if not found:
            break
        _, at = min(found)
        symbols[at : at + 2] = ["".join(symbols[at : at + 2])]
    return symbols


def test_a_splitting_vocabulary_tokenises_from_the_file(split: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    policy = policy_of(TINY["qwen2"], split)
    prepare_gguf(policy, "f32", ids_only=False).write(tmp_path / "m.gguf", "m")
    found = fields(tmp_path / "m.gguf")
    assert (found["tokenizer.ggml.model"], found["tokenizer.ggml.pre"]) == ("gpt2", "qwen2")
    tokens, ranks = found["tokenizer.ggml.tokens"], {m: i for i, m in enumerate(found["tokenizer.ggml.merges"])}
    places = {token: id for id, token in enumerate(tokens)}
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spelt = {b: chr(b) for b in printable} | {
        b: chr(256 + n) for n, b in enumerate(b for b in range(256) if b not in printable)
    }
    for text in TEXTS:
        ids = []
        for piece in regex.findall(SPLITTERS["qwen2"][0], text):
            symbols = [spelt[byte] for byte in piece.encode()]
            ids += [places[one] for one in merged(symbols, lambda a, b: ranks.get(f"{a} {b}"))]
        assert ids == split(text).input_ids, text
    kinds = dict(zip(tokens, found["tokenizer.ggml.token_type"], strict=True))
    assert (kinds["<end>"], kinds["<tool>"], kinds["a"]) == (3, 4, 1)


def test_a_vocabulary_of_whole_texts_tokenises_from_the_file(whole: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    policy = policy_of(GEMMA, whole)
    prepare_gguf(policy, "f32", ids_only=False).write(tmp_path / "m.gguf", "m")
    found = fields(tmp_path / "m.gguf")
    assert found["tokenizer.ggml.model"] == "llama" and "tokenizer.ggml.pre" not in found
    places = {token: id for id, token in enumerate(found["tokenizer.ggml.tokens"])}
    scores = found["tokenizer.ggml.scores"]

    def rank(left: str, right: str) -> float | None:
        return -scores[places[left + right]] if left + right in places else None

    for text in [*TEXTS, "fünf ßß"]:
        ids = []
        for one in merged(list(text.replace(" ", "\u2581")), rank):
            ids += [places[one]] if one in places else [places[f"<0x{byte:02X}>"] for byte in one.encode()]
        assert ids == whole(text).input_ids, text
    assert found["tokenizer.ggml.token_type"][places["<0x41>"]] == 6


def test_how_it_is_talked_to(split: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    policy = policy_of(TINY["qwen2"], split, "r1")
    prepare_gguf(policy, "q8_0", ids_only=False).write(tmp_path / "m.gguf", "a name")
    found = fields(tmp_path / "m.gguf")
    assert found["tokenizer.chat_template"] == chat_jinja(policy.template, split, split.eos_token_id)
    assert found["tokenizer.ggml.eos_token_id"] == split.eos_token_id
    assert found["tokenizer.ggml.padding_token_id"] == split.pad_token_id
    assert found["tokenizer.ggml.add_bos_token"] is False
    assert (found["general.name"], found["general.file_type"], found["general.architecture"]) == ("a name", 7, "qwen2")
    assert found["general.sampling.temp"] == pytest.approx(0.6) and found["general.sampling.top_p"] == pytest.approx(
        0.95
    )
    assert (found["qwen2.context_length"], found["qwen2.attention.key_length"]) == (256, 8)


def test_llama_3_1_scales_its_positions(split: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    config = {**TINY["llama"], "rope_parameters": LLAMA3_ROPE, "head_dim": 16}
    policy = policy_of(config, split)
    prepare_gguf(policy, "f32", ids_only=False).write(tmp_path / "m.gguf", "m")
    (tensor,) = [one for one in gguf.GGUFReader(tmp_path / "m.gguf").tensors if one.name == "rope_freqs.weight"]
    wanted = []
    for pair in range(8):  # Llama 3.1: long waves are stretched by the factor, short ones not, those between smoothly
        wave = 2 * math.pi * 500000.0 ** (2 * pair / 16)
        smooth = min(max((64 / wave - 1.0) / (4.0 - 1.0), 0.0), 1.0)
        wanted.append(1 / (smooth + (1 - smooth) / 8.0))
    np.testing.assert_allclose(tensor.data, wanted, rtol=1e-5)
    assert len({round(one, 3) for one in wanted}) > 1
    assert rope_factors(architecture_of(policy.model), policy_of(TINY["llama"], split).model) is None


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("qwen2", {"use_sliding_window": True, "sliding_window": 64, "max_window_layers": 1}, "a sliding window of 64"),
        ("qwen2", {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}}, "type 'linear'"),
        ("qwen3", {"hidden_act": "gelu"}, "the activation 'gelu'"),
        ("gemma3_text", {"query_pre_attn_scalar": 8}, "attention scaled by 8"),
        ("gemma3_text", {"layer_types": ["full_attention"] * 6}, "than each sixth"),
    ],
)
def test_what_llama_cpp_does_not_compute_is_refused(
    name: str, changes: dict[str, Any], said: str, split: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    policy = policy_of({**TINY[name], **changes}, split)
    with pytest.raises(ModelError, match=said):
        prepare_gguf(policy, "f32", ids_only=False).write(tmp_path / "m.gguf", "m")
    assert list(tmp_path.iterdir()) == []


def test_an_architecture_that_is_not_known_is_refused(split: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    policy = policy_of(ARCHITECTURES["deepseek_v3"], split)
    with pytest.raises(ModelError, match=r"llama, mistral, .* this model is a deepseek_v3"):
        prepare_gguf(policy, "f32", ids_only=True).write(tmp_path / "m.gguf", "m")


def test_a_splitter_that_is_not_known_is_refused_unless_ids_will_do(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"its way to split text .* give --ids-only"):
        export_command("micro", None, None, Gguf(path=tmp_path / "m.gguf", type="q8_0"))
    with pytest.raises(ModelError, match="give --ids-only"):
        export_command("micro", tmp_path / "folder", None, Gguf(path=tmp_path / "m.gguf", type="q8_0"))
    assert list(tmp_path.iterdir()) == [], "no folder without the file"
    said: list[str] = []
    export_command("micro", None, None, Gguf(path=tmp_path / "m.gguf", type="q8_0", ids_only=True), say=said.append)
    assert "feed it with token ids only" in said[-1]
    found = fields(tmp_path / "m.gguf")
    assert "tokenizer.ggml.pre" not in found and "tokenizer.chat_template" not in found
    assert [path.name for path in tmp_path.iterdir()] == ["m.gguf"]


def test_numbers_that_a_half_cannot_hold_are_refused(split: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    policy = policy_of(TINY["qwen2"], split)
    with torch.no_grad():
        policy.model.get_parameter("model.layers.0.mlp.up_proj.weight")[0, 0] = 1e5
    with pytest.raises(ModelError, match=r"numbers up to 100000.*--type f32"):
        prepare_gguf(policy, "f16", ids_only=False).write(tmp_path / "m.gguf", "m")
    assert list(tmp_path.iterdir()) == []


def test_records_are_no_model(small_run: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is a `sample` stage, whose records are no model"):
        export_command(str(small_run / "data"), None, None, Gguf(path=tmp_path / "m.gguf", type="f32"))


@pytest.mark.parametrize("stated", ["mit", None])
def test_the_licence_that_a_file_states(stated: str | None, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    if stated is not None:
        writer.add_license(stated)
        writer.add_license_link("https://example.org/terms")
    writer.add_tensor("a", np.zeros(32, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = base_licence(Base(reference=str(path), digest=None))
    assert found.id == stated and "`m.gguf` states" in found.said
    assert found.fields == ((("license_link", "https://example.org/terms"),) if stated else ())
    assert base_licence(Base(reference=str(path), digest=file_digest(path))) == found
    assert "the file `m.gguf` has changed" in base_licence(Base(reference=str(path), digest="sha256:0")).said
