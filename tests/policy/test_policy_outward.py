"""What other programs read in a saved model's folder, and that ponder goes on from what stood there before."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from devices import DEVICE
from tiny_models import tiny_policy
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from ponder.errors import ModelError
from ponder.files import EMBEDDED_BASE
from ponder.policy import Policy, load_policy, save_policy
from ponder.policy.outward import ORIGIN
from ponder.policy.pretrained import load_tokenizer
from ponder.records import Message

ASKED = [Message(role="user", content="What is 2 + 3?")]
CHATML = (
    "{% for m in messages %}<|pad|>{{ m.role }}: {{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|pad|>assistant: {% endif %}"
)


def saved(folder: Path, template: str, chat_template: Any = None, ends: Any = None) -> Policy:
    """A tiny model with the embedded tokenizer, saved."""
    tokenizer: Any = load_tokenizer(EMBEDDED_BASE)
    tokenizer.chat_template = chat_template
    policy = tiny_policy("qwen3", tokenizer, template)
    generation: Any = policy.model.generation_config
    if ends is not None:
        generation.eos_token_id = ends
        policy.stop_ids = policy.template.stop_ids(tokenizer, generation)
    save_policy(policy, folder)
    return policy


@pytest.mark.parametrize("template", ["r1-zero", "r1", "plain"])
@pytest.mark.parametrize("chat_template", [None, CHATML, {"default": CHATML, "tool_use": "{{ tools }}"}])
def test_transformers_asks_as_ponder_does(template: str, chat_template: Any, tmp_path: Path) -> None:
    policy = saved(tmp_path, template, chat_template)
    tokenizer, model = AutoTokenizer.from_pretrained(tmp_path), AutoModelForCausalLM.from_pretrained(tmp_path)
    turns = [{"role": "user", "content": "What is 2 + 3?"}]
    ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    assert tuple(ids) == policy.template.encode(policy.tokenizer, ASKED)
    settings = model.generation_config
    assert (settings.do_sample, settings.temperature, settings.top_p, settings.top_k) == (True, 0.6, 0.95, 0)
    assert set(settings.eos_token_id) == policy.stop_ids and settings.pad_token_id == policy.pad_id
    if isinstance(chat_template, dict):
        assert tokenizer.chat_template["tool_use"] == "{{ tools }}"


@pytest.mark.parametrize("template", ["r1-zero", "r1", "plain"])
@pytest.mark.parametrize("chat_template", [None, CHATML, {"default": CHATML, "tool_use": "{{ tools }}"}])
def test_ponder_goes_on_from_what_stood_there_before(template: str, chat_template: Any, tmp_path: Path) -> None:
    policy = saved(tmp_path / "a", template, chat_template, ends=[1, 7])
    again = load_policy(tmp_path / "a", precision="fp32", device=DEVICE)
    assert again.tokenizer.chat_template == chat_template
    assert again.template == policy.template
    assert again.model.generation_config.eos_token_id == [1, 7]
    for form in ("r1-zero", "r1", "plain"):  # also in the form of another stage
        bare, dressed = tmp_path / "bare", tmp_path / "dressed"
        shutil.copytree(tmp_path / "a", dressed)
        shutil.copytree(tmp_path / "a", bare)
        origin = json.loads((bare / ORIGIN).read_text())
        for name, one in origin.items():
            (bare / name).write_text(one["before"]) if one["before"] is not None else (bare / name).unlink()
        (bare / ORIGIN).unlink()  # as the folder was before other programs could read it
        one, other = (load_policy(path, form, "fp32", "cpu") for path in (bare, dressed))
        assert one.stop_ids == other.stop_ids
        assert one.template.encode(one.tokenizer, ASKED) == other.template.encode(other.tokenizer, ASKED)
        ends = [p.template.end_id(p.tokenizer, p.model.generation_config) for p in (one, other)]
        assert ends[0] == ends[1]
        shutil.rmtree(bare)
        shutil.rmtree(dressed)
    save_policy(again, tmp_path / "b")
    names = {path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file()}
    assert names == {path.relative_to(tmp_path / "b") for path in (tmp_path / "b").rglob("*") if path.is_file()}
    assert [
        name for name in names if (tmp_path / "a" / name).read_bytes() != (tmp_path / "b" / name).read_bytes()
    ] == []


def test_saving_over_a_saved_model_is_as_saving_once(tmp_path: Path) -> None:
    saved(tmp_path, "r1")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    policy = saved(tmp_path, "r1")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert load_policy(tmp_path, precision="fp32", device=DEVICE).tokenizer.chat_template is None
    assert torch.equal(policy.head()[0], load_policy(tmp_path, precision="fp32", device=DEVICE).head()[0])


def test_a_file_that_was_changed_by_hand_counts_as_it_is(tmp_path: Path) -> None:
    saved(tmp_path, "r1", CHATML)
    mine = CHATML.replace("assistant: ", "assistant, please: ")
    (tmp_path / "chat_template.jinja").write_text(mine)
    settings = json.loads((tmp_path / "generation_config.json").read_text())
    (tmp_path / "generation_config.json").write_text(json.dumps(settings | {"eos_token_id": [1, 5, 9]}))
    policy = load_policy(tmp_path, precision="fp32", device=DEVICE)
    assert policy.tokenizer.chat_template == mine
    assert {5, 9} <= policy.stop_ids


@pytest.mark.parametrize("content", ["{", "[]", '{"chat_template.jinja": 7}', '{"chat_template.jinja": {"before": 7}}'])
def test_a_damaged_origin_is_refused(content: str, tmp_path: Path) -> None:
    saved(tmp_path, "r1")
    (tmp_path / ORIGIN).write_text(content)
    with pytest.raises(ModelError, match=r"ponder_origin.json' is damaged"):
        load_policy(tmp_path, precision="fp32", device=DEVICE)


def test_without_ponders_files_the_chat_template_asks_the_same(tmp_path: Path) -> None:
    """As when somebody hands the folder on through transformers."""
    policy = saved(tmp_path, "r1")
    (tmp_path / ORIGIN).unlink()
    (tmp_path / "ponder_template.json").unlink()
    again = load_policy(tmp_path, "r1", "fp32", "cpu")
    assert again.template.encode(again.tokenizer, ASKED) == policy.template.encode(policy.tokenizer, ASKED)


def test_where_no_jinja_text_does_it_a_warning_says_so(tmp_path: Path) -> None:
    stubborn = CHATML.replace("assistant: {%", "assistant: <think>\n\n\n{%")
    with pytest.warns(UserWarning, match=r"no text behind it can make.*is left as it was"):
        saved(tmp_path, "r1", stubborn)
    assert (tmp_path / "chat_template.jinja").read_text() == stubborn


def test_every_saved_architecture_takes_it(policy: Policy, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    save_policy(policy, tmp_path)
    plain = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    turns = [{"role": "user", "content": "w1 w2"}]
    ids = plain.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    assert tuple(ids) == policy.template.encode(tokenizer, [Message(role="user", content="w1 w2")])
