"""Clients that people use, where they are installed: lm-eval's harness and LangChain's ChatDeepSeek."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ponder.files import model_path
from tests.serve.conftest import Running

ASK = "What is 17 + 25?"
START = "User: What is 17 + 25?\n\nAssistant:"


def evaluated(model: str, arguments: dict[str, Any], task: dict[str, Any], folder: Path, **more: Any) -> list[Any]:
    """What lm-eval got for each row of a task of one's own, without the hub."""
    lm_eval = pytest.importorskip("lm_eval", reason="lm-eval is not installed")
    from lm_eval.tasks import TaskManager

    rows = task.pop("rows")
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    data = {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(folder / "rows.jsonl")}}}
    said = {"task": "own", **data, "test_split": "test", **task}
    (folder / "own.yaml").write_text(json.dumps(said), encoding="utf-8")  # JSON is YAML
    found = lm_eval.simple_evaluate(
        model=model,
        model_args=arguments,
        tasks=["own"],
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        log_samples=True,
        bootstrap_iters=0,
        **more,
    )
    return [sample["resps"] for sample in found["samples"]["own"]]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OPENAI_API_KEY", "none")


@pytest.mark.parametrize("tokenizer", ["the server's", "a folder's"])
def test_lm_eval_scores_choices_as_the_model_does(server: Running, tmp_path: Path, tokenizer: str) -> None:
    """Log-likelihoods, and whether a choice is what greedy decoding writes."""
    folder = model_path("micro")
    own, model = (
        AutoTokenizer.from_pretrained(folder),
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32),
    )
    start = own(START).input_ids
    greedy = model.generate(torch.tensor([start]), do_sample=False, max_new_tokens=4)[0, len(start) :].tolist()
    choices = [own.decode(greedy), " 42", " the elephant"]
    task = {
        "rows": [{"choices": choices}],
        "output_type": "multiple_choice",
        "doc_to_text": START,
        "doc_to_choice": "choices",
        "doc_to_target": 0,
        "target_delimiter": "",
        "metric_list": [{"metric": "acc"}],
    }
    arguments = {"model": "micro", "base_url": server.url + "/v1/completions"}
    [found] = evaluated(
        "local-completions", arguments | ({} if "server" in tokenizer else {"tokenizer": str(folder)}), task, tmp_path
    )
    for choice, [(loglikelihood, is_greedy)] in zip(choices, found, strict=True):
        ids = own(START + choice).input_ids
        assert ids[: len(start)] == start
        with torch.no_grad():
            logprobs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        wanted = [float(logprobs[place - 1, ids[place]]) for place in range(len(start), len(ids))]
        assert loglikelihood == pytest.approx(sum(wanted), abs=1e-4 * len(wanted))
        assert is_greedy is (choice == choices[0])


def test_lm_eval_reads_answers_without_thinking(server: Running, tmp_path: Path) -> None:
    task = {
        "rows": [{"a": 17, "b": 25}, {"a": 2, "b": 3}],
        "output_type": "generate_until",
        "doc_to_text": "What is {{a}} + {{b}}?",
        "doc_to_target": "{{a + b}}",
        "generation_kwargs": {"until": [], "max_gen_toks": 200, "temperature": 0.6},
        "metric_list": [{"metric": "exact_match"}],
    }
    arguments = {"model": "micro", "base_url": server.url + "/v1/chat/completions", "num_concurrent": 2}
    found = evaluated("local-chat-completions", arguments, task, tmp_path, apply_chat_template=True)
    for asked, [text] in zip((ASK, "What is 2 + 3?"), found, strict=True):
        reply = server.chat(asked, seed=1234, temperature=0.6, max_tokens=200)["choices"][0]["message"]
        assert text == [reply["content"]] and "think" not in text[0]


def test_langchain_sees_thinking_calls_and_errors(server: Running) -> None:
    pytest.importorskip("langchain_deepseek", reason="langchain-deepseek is not installed")
    from langchain_core.messages import HumanMessage, ToolMessage
    from langchain_core.tools import tool
    from langchain_deepseek import ChatDeepSeek
    from openai import NotFoundError

    @tool
    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        return a + b

    said: Any = {"api_key": "none", "api_base": server.url + "/v1", "max_retries": 0, "stream_usage": True}
    model = ChatDeepSeek(model="micro", seed=5, **said)
    wanted = server.chat(ASK, seed=5)
    message = wanted["choices"][0]["message"]
    whole = model.invoke(ASK)
    assert whole.content == message["content"]
    assert whole.additional_kwargs["reasoning_content"] == message["reasoning_content"]
    assert whole.usage_metadata is not None
    thought = wanted["usage"]["completion_tokens_details"]["reasoning_tokens"]
    assert whole.usage_metadata["output_token_details"]["reasoning"] == thought > 0
    chunks = list(model.stream(ASK))
    assert "".join(str(one.content) for one in chunks) == whole.content and len(chunks) > 2
    thinking = "".join(one.additional_kwargs.get("reasoning_content", "") for one in chunks)
    assert thinking == message["reasoning_content"]

    bound = model.bind_tools([add], tool_choice="required", strict=True)
    called = bound.invoke(ASK)
    [call] = called.tool_calls
    assert call["name"] == "add" and {type(value) for value in call["args"].values()} == {int}
    summed = None
    for one in bound.stream(ASK):
        summed = one if summed is None else summed + one
    assert summed is not None and summed.tool_calls[0]["args"] == call["args"]
    history = [HumanMessage(ASK), called, ToolMessage("42", tool_call_id=call["id"])]
    assert isinstance(model.bind_tools([add]).invoke(history).content, str)
    with pytest.raises(NotFoundError):
        ChatDeepSeek(model="nope", **said).invoke(ASK)
