"""Conversations in one engine: ids are never made anew, log-probs are the model's, limits end them, no clock counts."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from devices import DEVICE
from tiny_models import ARCHITECTURES
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from ponder.environment import World
from ponder.own import read_own
from ponder.policy import Policy, random_policy
from ponder.recipe.environment import Environment
from ponder.recipe.rollout import Sampling
from ponder.recipe.training import BatchLimits, Optimizer
from ponder.records import Completion, MathGold, Message, Problem, Talk, from_json, to_json
from ponder.rollout import Request
from ponder.rollout.conversations import Conversations
from ponder.train import Sample, Trainer
from ponder.verify.pool import VerifierPool

CALL = '<tool_call>{"name":"slow","arguments":{"text":"w3"}}</tool_call>'
BAD = "<tool_call>slow(w3)</tool_call>"
FILE = '''
import random, time
from ponder.records import Message

def slow(text: str) -> str:
    """Gives the text back, sooner or later."""
    time.sleep(random.SystemRandom().uniform(0, 0.05))
    return text + " w4"
class Echo:
    def __init__(self, problem, most=3): self.most = most
    def first(self): return [Message(role="user", content="w1 w2")]
    def answer(self, reply):
        self.most -= 1
        return "w5 " + reply.content[-6:] if self.most else None
class Endless(Echo):
    def answer(self, reply): return "w6 w7"
class Broken(Echo):
    def answer(self, reply): raise ValueError("no more")
'''
PROBLEM = Problem(id="p", messages=(Message(role="user", content="w1 w2 w3"),), gold=MathGold(answer="7"), domain="d")
SAMPLING = Sampling(temperature=1.0)


@pytest.fixture(scope="module")
def policy() -> Policy:
    """A model that often says a whole call, in one word."""
    words = ["<pad>", "<eos>", "?", CALL, BAD, "User:", "Assistant:", *(f"w{i}" for i in range(9))]
    plain = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="?"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, eos_token="<eos>", pad_token="<pad>")
    config = ARCHITECTURES["qwen3"] | {"max_position_embeddings": 1024}
    return random_policy(config, tokenizer, "plain", seed=3, precision="fp32", device=DEVICE)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VerifierPool]:
    folder = tmp_path_factory.mktemp("own")
    (folder / "mine.py").write_text(FILE)
    with VerifierPool(workers=2, own=read_own(["mine.py"], folder)) as found:
        yield found


@dataclass(frozen=True)
class Held:
    """A conversation as it was held: its first prompt, and what followed."""

    prompt: tuple[int, ...]
    completion: Completion
    talk: Talk


def hold(policy: Policy, pool: VerifierPool, count: int = 24, max_tokens: int = 120, **settings: object) -> list[Held]:
    world = World(Environment.model_validate({"call_seconds": 2, **settings}), pool, pool._own)
    (problem,) = world.begin([PROBLEM])
    prompt = world.voiced(policy.voice()).prompt(problem.messages)
    request = Request(prompt_ids=prompt, seeds=tuple(range(count)), key="p", problem=problem)
    done: list[int] = []
    (found,) = Conversations(policy, world, 16).generate(
        [request], SAMPLING, max_tokens, 3, on_finish=lambda key, place, completion: done.append(place)
    )
    assert sorted(done) == list(range(count))
    return [Held(prompt, one, one.talk) for one in found if one.talk is not None]


TOOLS = {"tools": ("mine.py:slow",), "turns": 4}


def test_log_probs_are_those_of_a_plain_pass_over_the_whole_conversation(policy: Policy, pool: VerifierPool) -> None:
    found, model = hold(policy, pool, **TOOLS), deepcopy(policy.model)
    model.set_attn_implementation("eager")
    assert max(one.talk.turns for one in found) == 4
    for one in found:
        ids = torch.tensor([[*one.prompt, *one.completion.token_ids]], device=DEVICE)
        with torch.no_grad():
            logprobs = model(ids).logits.float().log_softmax(-1)[0]
        places = [len(one.prompt) + i for start, end in one.talk.spans for i in range(start, end)]
        plain = [float(logprobs[place - 1, ids[0, place]]) for place in places]
        torch.testing.assert_close(torch.tensor(list(one.completion.logprobs)), torch.tensor(plain), rtol=0, atol=1e-5)


def test_the_trainer_agrees_on_the_models_tokens(policy: Policy, pool: VerifierPool, tmp_path: Path) -> None:
    trainer = Trainer(policy, Optimizer(), BatchLimits(), temperature=1.0, incident_folder=tmp_path)
    samples = [
        Sample(
            prompt_ids=one.prompt,
            response_ids=one.completion.token_ids,
            group="p",
            weight=1.0,
            behaviour=one.completion.logprobs,
            spans=one.talk.spans,
        )
        for one in hold(policy, pool, **TOOLS)
    ]
    assert any(sample.learnt_tokens < len(sample.response_ids) for sample in samples)
    for sample, logprobs in zip(samples, trainer.logprobs(samples), strict=True):
        assert len(logprobs) == sample.learnt_tokens
        torch.testing.assert_close(logprobs, torch.tensor(list(sample.behaviour or ())), rtol=0, atol=1e-5)


def test_ids_are_those_sampled_and_those_of_the_answers(policy: Policy, pool: VerifierPool) -> None:
    template, tokenizer = policy.template, policy.tokenizer
    tools = World(Environment.model_validate(TOOLS), pool, pool._own).voiced(policy.voice()).tools
    for one in hold(policy, pool, **TOOLS):
        ids, messages, place = one.completion.token_ids, list(one.talk.messages), 0
        assert one.talk.spans[-1][1] == len(ids)
        for start, end in one.talk.spans:
            answers = []
            while messages[0].role != "assistant":
                answers.append(messages.pop(0))
            stop = tokenizer.eos_token_id
            wanted = template.encode_answer(tokenizer, answers, tools=tools, stop=stop) if answers else ()
            assert tuple(ids[place:start]) == wanted
            assert messages.pop(0).content == tokenizer.decode([token for token in ids[start:end] if token > 1])
            place = end
        assert not messages
        assert one.completion.text == one.talk.messages[-1].content


def test_no_clock_counts(policy: Policy, pool: VerifierPool) -> None:
    """Tools take as long as they like, and workers come and go: the same seeds give the same bytes."""
    first = hold(policy, pool, **TOOLS)
    with VerifierPool(workers=1, own=pool._own, jobs_per_worker=40) as other:
        second = hold(policy, other, **TOOLS)
    for one, two in zip(first, second, strict=True):
        assert one == two and list(one.completion.logprobs) == list(two.completion.logprobs)


def test_a_turn_finds_what_was_computed_of_the_prompts_before_it(policy: Policy, pool: VerifierPool) -> None:
    world = World(Environment.model_validate(TOOLS), pool, pool._own)
    prompt = world.voiced(policy.voice()).prompt(PROBLEM.messages)
    assert len(prompt) > 32
    engine = Conversations(policy, world, 16)
    (found,) = engine.generate(
        [Request(prompt_ids=prompt, seeds=tuple(range(12)), key="p", problem=PROBLEM)], SAMPLING, 120, 3
    )
    later = sum(one.talk.turns - 1 for one in found if one.talk is not None)
    assert later and engine.hit_tokens >= later * (len(prompt) // 32 * 32)


@pytest.mark.parametrize(
    ("settings", "max_tokens", "cut"),
    [
        ({**TOOLS, "turns": 2}, 300, "turns"),
        ({**TOOLS, "turns": 50}, 40, "tokens"),
        ({**TOOLS, "turns": 50, "seconds": 1e-9}, 300, "seconds"),
        ({"own": "mine.py:Endless", "turns": 5}, 400, "turns"),
        ({"own": "mine.py:Endless", "turns": 400}, 60, "tokens"),
    ],
    ids=["turns", "tokens", "seconds", "endless class", "endless class, tokens"],
)
def test_what_never_ends_ends_at_its_limit(
    policy: Policy, pool: VerifierPool, settings: dict[str, object], max_tokens: int, cut: str
) -> None:
    found = hold(policy, pool, max_tokens=max_tokens, **settings)
    ended = [one.completion for one in found if one.talk.cut == cut]
    assert ended and all(one.finish_reason == "length" for one in ended)
    turns = settings["turns"]
    assert isinstance(turns, int) and all(one.talk.turns <= turns for one in found)
    assert all(len(one.completion.token_ids) <= max_tokens for one in found)


def test_a_class_answers_until_it_ends(policy: Policy, pool: VerifierPool) -> None:
    ended = [
        one for one in hold(policy, pool, own="mine.py:Echo", arguments={"most": 2}, max_tokens=400) if not one.talk.cut
    ]
    assert ended
    for one in ended:
        assert one.completion.finish_reason == "stop"
        assert [message.role for message in one.talk.messages] == ["assistant", "user", "assistant"]
        assert one.talk.messages[1].content == "w5 " + one.talk.messages[0].content[-6:]


def test_a_class_that_fails_is_no_fault_of_the_models(policy: Policy, pool: VerifierPool) -> None:
    found = hold(policy, pool, own="mine.py:Broken", max_tokens=400)
    failed = [one.talk for one in found if not one.talk.cut]
    assert failed
    assert all("ValueError: no more" in one.failure and one.failed_by == "mine.py:Broken" for one in failed)


def test_malformed_calls_are_answered_as_such(policy: Policy, pool: VerifierPool) -> None:
    malformed = [one.talk for one in hold(policy, pool, **TOOLS) if one.talk.malformed and one.talk.turns > 1]
    told = [message.content for one in malformed for message in one.messages if message.role == "tool"]
    assert any(text.startswith("error: this is no call: expected") for text in told)


def test_completions_are_kept_whole_in_files(policy: Policy, pool: VerifierPool) -> None:
    for one in hold(policy, pool, **TOOLS):
        assert from_json(Completion, to_json(one.completion)) == one.completion
