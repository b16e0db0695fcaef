"""The turns before a reply: what they say becomes thinking, calls and results, or is not to be learnt, and why."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from ponder.ask import Reply
from ponder.curate import Candidate, why_not
from ponder.curate.choose import normalized
from ponder.curate.turns import steps_of
from ponder.environment import World
from ponder.own import OwnCode
from ponder.policy import load_policy
from ponder.policy.voice import Voice
from ponder.recipe.environment import Environment
from ponder.recipe.sample import Keep
from ponder.records import MathGold, Message, Problem, Talk, Verdict
from ponder.text.template import TEMPLATES
from ponder.verify.pool import VerifierPool

CALL = '<tool_call>\n{"name": "calculator", "arguments": {"expression": "2+3"}}\n</tool_call>'


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with VerifierPool(workers=1) as pool:
        yield World(Environment(tools=("calculator",)), pool, OwnCode())


@pytest.fixture(scope="module")
def voice(world: World) -> Voice:
    return world.voiced(load_policy("micro", "r1", "fp32", "cpu").voice())


def talk(first: str, *answers: Message, last: str = "so\n</think>\n\n5") -> Talk:
    given = answers or (Message(role="tool", content="5", name="calculator"),)
    turns = (Message(role="assistant", content=first), *given, Message(role="assistant", content=last))
    return Talk(messages=turns, spans=((0, 1), (2, 3)), calls=1)


@pytest.mark.parametrize(
    ("template", "first", "thinking", "content", "calls"),
    [
        ("r1", f"too large\n</think>\n\n{CALL}", "too large", "", 1),
        ("r1", f"too large\n</think>\n\nI look it up.\n{CALL}\n{CALL}", "too large", "I look it up.", 2),
        ("r1", "I ask back\n</think>\n\nWhich one?", "I ask back", "Which one?", 0),
        ("r1-zero", f"too large</think> {CALL}", "too large", "", 1),
        ("r1-zero", "I ask back</think> <answer>Which one?</answer>", "I ask back", "Which one?", 0),
    ],
)
def test_what_a_turn_says(
    world: World, voice: Voice, template: str, first: str, thinking: str, content: str, calls: int
) -> None:
    spoken = replace(voice, template=TEMPLATES[template])
    if TEMPLATES[template].prefill == "":
        first = "<think>" + first
    found = steps_of(talk(first), world, spoken)
    assert not isinstance(found, str), found
    (step,) = found
    assert (step.thinking, step.content, len(step.tool_calls)) == (thinking, content, calls)
    assert all(call.name == "calculator" and call.values == {"expression": "2+3"} for call in step.tool_calls)
    assert [result.content for result in step.results] == ["5"] and step.learnt


@pytest.mark.parametrize(
    ("template", "first", "reason"),
    [
        (
            "r1",
            'hm\n</think>\n\n<tool_call>\n{"name": "calc\n</tool_call>',
            "turn 1 holds a call that is none: not JSON",
        ),
        ("r1", "hm\n</think>\n\n<think>\nagain\n</think>\n\n" + CALL, "turn 1: "),
        ("r1", "never ended", "turn 1: </think> is missing"),
        ("r1-zero", f"<think>hm</think> <answer>5</answer> {CALL}", "turn 1 calls a tool and answers"),
        ("r1-zero", "<think>hm</think> Which one?", "turn 1: "),
    ],
)
def test_what_nobody_should_learn(world: World, voice: Voice, template: str, first: str, reason: str) -> None:
    found = steps_of(talk(first), world, replace(voice, template=TEMPLATES[template]))
    assert isinstance(found, str) and found.startswith(reason), found


def test_one_reply_has_no_turns_before_it(world: World, voice: Voice) -> None:
    alone = Talk(messages=(Message(role="assistant", content="so\n</think>\n\n5"),), spans=((0, 1),))
    assert steps_of(alone, world, voice) == ()


def candidate(world: World, voice: Voice, first: str, **reply: object) -> Candidate:
    said = talk(first)
    steps = steps_of(said, world, voice)
    text = said.messages[-1].content
    return Candidate(
        problem=Problem(
            id="p", messages=(Message(role="user", content="2+3?"),), gold=MathGold(answer="5"), domain="math"
        ),
        number=0,
        reply=Reply(text=text, talk=said, completion_tokens=20, **reply),  # type: ignore[arg-type]
        response=voice.template.split(text),
        text=text,
        verdict=Verdict(outcome="right", reason="as told", score=1.0),
        steps=() if isinstance(steps, str) else steps,
        fault=steps if isinstance(steps, str) else "",
    )


@pytest.mark.parametrize(
    ("keep", "thinking", "reason"),
    [
        ({"one_language": 0.95}, "too large for my head", None),
        ({"one_language": 0.95}, "这个数太大", "mixed_language"),
        ({"readable": {}}, "so we add one and then we add one again " * 12, "unreadable"),
        ({}, "no end <think>", "not_well_formed"),
    ],
)
def test_rules_look_at_every_turn(
    world: World, voice: Voice, keep: dict[str, object], thinking: str, reason: str | None
) -> None:
    found = why_not(candidate(world, voice, f"{thinking}\n</think>\n\n{CALL}"), Keep(**keep))  # type: ignore[arg-type]
    assert (found and found.reason) == reason


def test_limits_are_named_and_calls_tell_solutions_apart(world: World, voice: Voice) -> None:
    one = candidate(world, voice, f"a\n</think>\n\n{CALL}")
    other = candidate(world, voice, f"a\n</think>\n\n{CALL.replace('2+3', '3+2')}")
    assert normalized(one) != normalized(other) and one.judged(64).turns == one.reply.talk.messages  # type: ignore[union-attr]
    cut = replace(one, reply=replace(one.reply, finish_reason="length", talk=replace(one.reply.talk, cut="turns")))  # type: ignore[type-var]
    found = why_not(cut, Keep())
    assert found is not None and (found.reason, found.detail) == ("cut", "cut at the limit of turns")
