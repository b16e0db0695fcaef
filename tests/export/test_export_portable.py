"""What other programs read in an exported folder: transformers 4's words beside those of 5, and what the card says."""

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from tiny_models import ARCHITECTURES
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerFast

from ponder.errors import ModelError
from ponder.export.command import export_command
from ponder.export.portable import write_portable
from ponder.policy import load_policy, random_policy, save_policy

LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip
BY_LAYER = {
    "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    "full_attention": {"rope_type": "default", "rope_theta": 1e6},
}


def written(folder: Path, rope: dict[str, Any], tokenizer: dict[str, Any] | None = None, **fields: Any) -> Path:
    """A folder with these positions, as transformers 5 writes it."""
    config = AutoConfig.for_model(**{**ARCHITECTURES["llama"], "rope_parameters": rope, **fields})
    config.save_pretrained(folder)
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer or {}))
    return folder


def read(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text())
    return found


@pytest.mark.parametrize("rope", [{"rope_type": "default", "rope_theta": 1e6}, LLAMA3])
def test_positions_stand_where_transformers_4_looks_for_them(rope: dict[str, Any], tmp_path: Path) -> None:
    before = AutoConfig.from_pretrained(written(tmp_path, rope)).to_dict()
    assert write_portable(tmp_path)
    found = read(tmp_path / "config.json")
    assert found["rope_theta"] == rope["rope_theta"]
    scaling = {key: value for key, value in rope.items() if key != "rope_theta"}
    assert found.get("rope_scaling") == (scaling if rope is LLAMA3 else None)
    assert AutoConfig.from_pretrained(tmp_path).to_dict() == before


def test_positions_that_differ_by_layer_are_for_transformers_5(tmp_path: Path) -> None:
    written(tmp_path, BY_LAYER, model_type="gemma3_text")
    before = (tmp_path / "config.json").read_bytes()
    assert not write_portable(tmp_path)
    assert (tmp_path / "config.json").read_bytes() == before


def test_the_tokenizer_is_of_a_class_that_transformers_4_knows(tmp_path: Path) -> None:
    said = {"tokenizer_class": "TokenizersBackend", "extra_special_tokens": ["<a>"], "eos_token": "<b>"}
    write_portable(written(tmp_path, LLAMA3, said))
    assert read(tmp_path / "tokenizer_config.json") == {
        "tokenizer_class": "PreTrainedTokenizerFast", "additional_special_tokens": ["<a>"], "eos_token": "<b>",
    }  # fmt: skip


def test_an_export_is_portable(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export_command("micro", tmp_path / "to")
    assert read(tmp_path / "to/tokenizer_config.json")["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert read(tmp_path / "to/config.json")["rope_theta"] == 10_000
    assert "tokenizer = AutoTokenizer.from" in (tmp_path / "to/README.md").read_text()


def test_a_tokenizer_that_auto_classes_replace_is_loaded_by_the_general_class(tmp_path: Path) -> None:
    """Of `qwen2`, whose usual splitter transformers puts over any other."""
    own = load_policy("micro", precision="fp32", device="cpu")
    save_policy(random_policy(ARCHITECTURES["qwen2"], own.tokenizer, "r1-zero", 3, "fp32", "cpu"), tmp_path / "model")
    with pytest.warns(UserWarning, match="AutoTokenizer splits text otherwise"):
        export_command(str(tmp_path / "model"), tmp_path / "to")
    text = "Sum 1234 and 5."
    wanted = own.tokenizer.encode(text)
    assert PreTrainedTokenizerFast.from_pretrained(tmp_path / "to").encode(text) == wanted
    assert AutoTokenizer.from_pretrained(tmp_path / "to").encode(text) != wanted
    card = (tmp_path / "to/README.md").read_text()
    assert "import AutoModelForCausalLM, PreTrainedTokenizerFast\n" in card
    assert "tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)" in card


def test_a_form_that_was_chosen_is_no_form_that_was_trained(tmp_path: Path) -> None:
    export_command("micro", tmp_path / "to", template="r1")
    card = (tmp_path / "to/README.md").read_text()
    assert "renders the prompts in the form `r1`, chosen at export;" in card
    assert "trained with" not in card and "Replies think first" not in card and "- reasoning" not in card


def test_a_card_names_no_chat_template_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: Any) -> str:
        raise ModelError("No text does.")

    monkeypatch.setattr("ponder.policy.outward.chat_jinja", refuse)
    with pytest.warns(UserWarning, match="is left as it was"):
        export_command("micro", tmp_path / "to")
    card = (tmp_path / "to/README.md").read_text()
    assert "chat_template.jinja" not in card and "No chat template renders the prompts in the form `r1-zero`" in card
