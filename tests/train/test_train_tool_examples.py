"""Examples with calls: their ids are those of a rollout with these calls and results, and results are not learnt."""

from typing import Any

import numpy as np
import pytest
import torch
from devices import DEVICE
from rounding import assert_close_gradients
from tool_templates import LIST, NO_TOOLS, TAGS, tokenizer

from ponder.algorithm import next_token_loss
from ponder.policy import Policy, random_policy
from ponder.recipe.training import BatchLimits, Optimizer
from ponder.records import Example, Message, Step, Tool, ToolCall
from ponder.task.examples import LoadedExamples, SourcedExample
from ponder.train import Trainer
from ponder.train.examples import EncodedExample, encode_examples, show_mask

TINY = {"model_type": "qwen2", "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 4096}  # fmt: skip
ADD = Tool(name="add", description="Adds.", parameters={"type": "object", "properties": {"a": {"type": "integer"}}})
CALL = ToolCall(name="add", arguments='{"a": 2}')
STEP = Step(
    thinking="too hard", content="", tool_calls=(CALL,), results=(Message(role="tool", content="it gives 5"),)
)  # fmt: skip


def policy(template: str, chat: str | None) -> Policy:
    return random_policy(TINY, tokenizer(chat), template, seed=1, precision="fp32", device=DEVICE)


def example(**more: Any) -> Example:
    fields: dict[str, Any] = {
        "id": "e", "messages": (Message(role="user", content="2+3?"),), "thinking": "so five", "answer": "5",
        "domain": "d", "tools": (ADD,), "steps": (STEP,), **more,
    }  # fmt: skip
    return Example(**fields)


def encoded(one: Example, policy: Policy) -> EncodedExample:
    loaded = LoadedExamples(examples=(SourcedExample(source="s", row=1, example=one),), left_out=(), weights={"s": 1.0})
    (found,) = encode_examples(loaded, policy, 4096).examples
    return found


FORMS = [("r1", TAGS), ("r1", None), ("r1", NO_TOOLS), ("r1-zero", None), ("r1", LIST)]


@pytest.mark.parametrize(("template", "chat"), FORMS)
def test_the_ids_are_those_of_a_rollout(template: str, chat: str | None) -> None:
    owner = policy(template, chat)
    found = encoded(example(), owner)
    form, reader, ids = owner.template, owner.tokenizer, found.response.tolist()
    assert tuple(found.prompt.tolist()) == form.encode(reader, example().messages, tools=[ADD])
    (first, first_end), (last, last_end) = found.spans
    end = form.end_id(reader)
    assert (first, last_end) == (0, len(ids)) and ids[first_end - 1] == ids[-1] == end
    assert tuple(ids[first_end:last]) == form.encode_answer(reader, STEP.results, tools=[ADD], stop=end)
    turn = reader.decode(ids[: first_end - 1])
    assert "too hard" in turn
    (call,) = form.read_calls(reader, form.spoken(turn), [ADD]).calls
    assert (call.name, call.values) == ("add", {"a": 2})
    response = form.split(reader.decode(ids[last : last_end - 1]))
    assert (response.thinking, response.answer, response.well_formed) == ("so five", "5", True)
    read, learnt, _ = show_mask(found.sample("g", 1.0), reader)
    assert "it gives 5" not in learnt and "too hard" in learnt and "2+3?" in read


def test_turns_that_are_not_learnt_are_read(template: str = "r1") -> None:
    owner = policy(template, None)
    quiet = Step(thinking=None, content="", tool_calls=(CALL,), results=STEP.results, learnt=False)
    found, loud = encoded(example(steps=(quiet, STEP)), owner), encoded(example(steps=(STEP, STEP)), owner)
    assert len(found.spans) == 2 and len(loud.spans) == 3 and found.spans[0][0] > 0


def test_a_response_that_is_a_call() -> None:
    owner = policy("r1", None)
    found = encoded(example(steps=(), answer="", tool_calls=(CALL,)), owner)
    turn = owner.tokenizer.decode(found.response.tolist()[:-1])
    assert owner.template.read_calls(owner.tokenizer, owner.template.spoken(turn)).calls == (CALL,)


def test_calls_that_would_be_read_otherwise_are_left_out() -> None:
    owner = policy("r1", None)
    bad = Step(thinking=None, content="<tool_call>", tool_calls=(CALL,), results=STEP.results)
    loaded = LoadedExamples(
        examples=tuple(
            SourcedExample(source="s", row=i, example=example(steps=(one,))) for i, one in enumerate((bad, STEP))
        ),
        left_out=(),
        weights={"s": 1.0},
    )
    found = encode_examples(loaded, owner, 4096)
    assert len(found.examples) == 1 and "what is read back of it is" in found.left_out[0].reason


def test_results_carry_no_gradient(tmp_path: Any) -> None:
    """The gradient is that of transformers' own pass over the whole conversation, of the model's tokens alone."""
    owner = policy("r1", None)
    one = encoded(example(), owner)
    trainer = Trainer(owner, Optimizer(), BatchLimits(), temperature=1.0, incident_folder=tmp_path)
    trainer.forward_backward([one.sample("g", 1 / one.learnt_tokens)], next_token_loss)
    got = {name: p.grad.clone() for name, p in owner.model.named_parameters() if p.grad is not None}
    owner.model.zero_grad()
    owner.model.set_attn_implementation("eager")
    ids = torch.from_numpy(np.concatenate([one.prompt, one.response]).astype(np.int64))[None].to(DEVICE)
    logprobs = owner.model(ids).logits[0].log_softmax(-1)
    places = [len(one.prompt) + i for start, end in one.spans for i in range(start, end)]
    (-sum(logprobs[place - 1, ids[0, place]] for place in places) / len(places)).backward()  # type: ignore[union-attr]
    wanted = {name: p.grad.clone() for name, p in owner.model.named_parameters() if p.grad is not None}
    assert_close_gradients(got, wanted, 1)
