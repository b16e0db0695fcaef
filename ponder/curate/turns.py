"""The turns on the way to a reply, as examples have them: texts become thinking, calls and results."""

from dataclasses import replace

from ponder.environment import World
from ponder.policy.voice import Voice
from ponder.records import Message, Step, Talk

__all__ = ["steps_of"]


def steps_of(talk: Talk, world: World, voice: Voice) -> tuple[Step, ...] | str:
    """The turns before the last one, each with what it was answered with; or which of them nobody should learn, and
    why. `voice` is the model's that wrote them."""
    steps = []
    for number, (reply, answers) in enumerate(_answered(talk.messages), start=1):
        said = world.read(voice, reply.content)
        if said.reading.faults:
            return f"turn {number} holds a call that is none: {said.reading.faults[0].reason}"
        calls, template = said.message.tool_calls, voice.template
        if calls and template.answer_tags:
            if "<answer>" in said.message.content:
                return f"turn {number} calls a tool and answers"
            template = replace(template, answer_tags=False)  # calls stand in the answer's place
        response = template.split(reply.content)
        if not response.well_formed:
            return f"turn {number}: {response.problem}"
        steps.append(
            Step(thinking=response.thinking, content=said.message.content, tool_calls=calls, results=tuple(answers))
        )
    return tuple(steps)


def _answered(messages: tuple[Message, ...]) -> list[tuple[Message, list[Message]]]:
    """Each turn of the model's but the last, with the messages that follow it."""
    turns: list[tuple[Message, list[Message]]] = []
    for message in messages:
        if message.role == "assistant":
            turns.append((message, []))
        else:
            turns[-1][1].append(message)
    return turns[:-1]
