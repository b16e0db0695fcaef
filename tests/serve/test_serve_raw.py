"""`/v1/completions` and `/v1/responses`: raw text, scores of prompts, and OpenAI's newer interface."""

import json
from typing import Any

import httpx2
import openai
import pytest
import torch
from transformers import AutoModelForCausalLM

from ponder.files import model_path
from tests.serve.conftest import Running

TEXT = "User: What is 17 + 25?\n\nAssistant: <think>\n"


def test_a_text_goes_on_as_it_stands(server: Running) -> None:
    body = {"prompt": TEXT, "seed": 4, "max_tokens": 12, "n": 2}
    reply = server.post("/v1/completions", body).json()
    assert [one["index"] for one in reply["choices"]] == [0, 1] and reply["object"] == "text_completion"
    assert reply["usage"]["completion_tokens"] <= 24
    echoed = server.post("/v1/completions", {**body, "echo": True}).json()
    for plain, whole in zip(reply["choices"], echoed["choices"], strict=True):
        assert whole["text"] == TEXT + plain["text"]
    with httpx2.stream("POST", server.url + "/v1/completions", json={**body, "n": 1, "stream": True}) as stream:
        lines = [line.removeprefix("data: ") for line in stream.iter_lines() if line]
    assert lines[-1] == "[DONE]"
    assert "".join(json.loads(line)["choices"][0]["text"] for line in lines[:-1]) == reply["choices"][0]["text"]


def test_what_is_written_is_counted_while_it_is_read(server: Running) -> None:
    """A client that leaves has had what it has read."""
    body = {"prompt": TEXT, "seed": 4, "max_tokens": 12, "stream": True}
    body["stream_options"] = {"include_usage": True, "continuous_usage_stats": True}
    with httpx2.stream("POST", server.url + "/v1/completions", json=body) as stream:
        lines = [line.removeprefix("data: ") for line in stream.iter_lines() if line]
    counts = [json.loads(line)["usage"]["completion_tokens"] for line in lines[:-1]]
    assert counts == sorted(counts) and counts[0] >= 1 and counts[-2] == counts[-1] > 1


def test_several_prompts_and_ids(server: Running) -> None:
    ids = server.post("/tokenize", {"prompt": TEXT}).json()["tokens"]
    fields = {"seed": 4, "max_tokens": 8, "temperature": 0}
    texts = server.post("/v1/completions", {"prompt": [TEXT, "Hello"], **fields}).json()["choices"]
    [as_ids] = server.post("/v1/completions", {"prompt": ids, **fields}).json()["choices"]
    both = server.post("/v1/completions", {"prompt": [ids, ids], **fields}).json()["choices"]
    assert texts[0]["text"] == as_ids["text"] == both[0]["text"] == both[1]["text"]
    assert [one["index"] for one in texts] == [0, 1]


def test_scores_are_those_of_the_model(server: Running) -> None:
    """What evaluation harnesses ask: the log-prob of each token of a prompt."""
    model = AutoModelForCausalLM.from_pretrained(model_path("micro"), dtype=torch.float32)
    ids = server.post("/tokenize", {"prompt": TEXT}).json()["tokens"]
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    wanted = [float(logits[i, token]) for i, token in enumerate(ids[1:])]
    for limit in (0, 1):
        body = {"prompt": TEXT, "max_tokens": limit, "echo": True, "logprobs": 1, "temperature": 0}
        [choice] = server.post("/v1/completions", body).json()["choices"]
        found = choice["logprobs"]
        assert found["token_logprobs"][0] is None and len(found["tokens"]) >= len(ids)
        assert found["token_logprobs"][1 : len(ids)] == pytest.approx(wanted, abs=1e-4)
        assert "".join(found["tokens"]).startswith(TEXT)
        offsets = found["text_offset"]
        assert all(
            TEXT[a:b] == t for a, b, t in zip(offsets, offsets[1:], found["tokens"], strict=False) if b < len(TEXT)
        )
        best = [server.post("/detokenize", {"tokens": [int(one)]}).json()["prompt"] for one in logits.argmax(1)]
        likely = found["top_logprobs"]
        assert likely[0] is None and len(likely) == len(found["tokens"])
        for place, top in enumerate(likely[1 : len(ids)]):
            assert next(iter(top)) == best[place] and top[best[place]] == pytest.approx(
                float(logits[place].max()), abs=1e-4
            )
            assert set(top) == {best[place], found["tokens"][place + 1]}
        if limit:  # greedy
            assert likely[-1] == {found["tokens"][-1]: pytest.approx(found["token_logprobs"][-1], abs=1e-5)}


def test_whether_a_token_was_the_likeliest_shows_exactly(server: Running) -> None:
    """Harnesses compare the two numbers with `==`."""
    greedy = server.post("/v1/completions", {"prompt": TEXT, "max_tokens": 24, "temperature": 0, "logprobs": 1}).json()
    written = greedy["choices"][0]
    body = {"prompt": TEXT + written["text"], "max_tokens": 0, "echo": True, "logprobs": 1}
    read = server.post("/v1/completions", body).json()["choices"][0]["logprobs"]
    drawn = written["logprobs"]
    own = read["token_logprobs"][-len(drawn["tokens"]) :]
    for logprobs, top in (
        (drawn["token_logprobs"], drawn["top_logprobs"]),
        (own, read["top_logprobs"][-len(own) :]),
    ):
        assert [max(one.values()) for one in top] == logprobs
    first = read["token_logprobs"][1 : -len(own)], read["top_logprobs"][1 : -len(own)]
    assert any(max(top.values()) != logprob for logprob, top in zip(*first, strict=True))
    chat = server.chat("What is 17 + 25?", max_tokens=30, temperature=0, logprobs=True, top_logprobs=3)
    for entries in chat["choices"][0]["logprobs"].values():
        assert [one["top_logprobs"][0]["logprob"] for one in entries] == [one["logprob"] for one in entries]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [10**9]}, "prompt"),
        ({"prompt": [-1]}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": ["a", [1]]}, "prompt"),
        ({"prompt": "x", "suffix": "y"}, "suffix"),
        ({"prompt": "x", "max_tokens": 0}, "max_tokens"),
        ({"prompt": "x", "best_of": 3}, "best_of"),
        ({"prompt": "x", "max_tokens": 10**6}, "prompt"),
        ({}, "prompt"),
    ],
)
def test_wrong_completions(server: Running, fields: Any, param: str) -> None:
    reply = server.post("/v1/completions", fields)
    assert reply.status_code == 400 and reply.json()["error"]["param"] == param, reply.text


def test_responses_are_those_of_the_chat(server: Running) -> None:
    client = openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)
    ask = "What is 17 + 25?"
    chat = server.chat(ask, seed=9, max_tokens=80)["choices"][0]["message"]
    extra = {"seed": 9}
    whole = client.responses.create(model="micro", input=ask, max_output_tokens=80, extra_body=extra)
    assert whole.output_text == chat["content"]
    thoughts = [item for item in whole.output if item.type == "reasoning"]
    assert [item.content[0].text for item in thoughts if item.content] == [chat["reasoning_content"]] * bool(thoughts)
    said, kinds = "", []
    with client.responses.create(
        model="micro", input=[{"role": "user", "content": ask}], max_output_tokens=80, stream=True, extra_body=extra
    ) as stream:
        for event in stream:
            kinds.append(event.type)
            if event.type == "response.output_text.delta":
                said += event.delta
    assert said == chat["content"] and kinds[0] == "response.created"
    assert kinds[-1] in ("response.completed", "response.incomplete")
    with pytest.raises(openai.BadRequestError):
        client.responses.create(model="micro", input=ask, previous_response_id="resp_1")


def test_a_response_with_a_history(server: Running) -> None:
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "Hello."}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": []},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello!"}]},
        {"role": "user", "content": "What is 1 + 1?"},
    ]
    reply = server.post("/v1/responses", {"input": items, "instructions": "Be brief.", "max_output_tokens": 5})
    assert reply.status_code == 200, reply.text
    assert reply.json()["usage"]["output_tokens"] <= 5
