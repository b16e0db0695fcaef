"""How servers speak: to a question each replies that 2+3=5, so 5, whole and as a stream, in its own manner.

`LEFT_OUT` characters end a line for Python and for no stream: they stand in every thought.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

LEFT_OUT = "\u2028\u2029\u0085\x0b\x0c\x1c\x1d\x1e"
THOUGHT = f"2+3{LEFT_OUT}=5"
ANSWER = "5 \U0001f600"
USAGE = {"prompt_tokens": 7, "completion_tokens": 9, "total_tokens": 16}


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """`message` whole, `deltas` as a stream; `finish` in both; `end` after the stream's events."""

    message: dict[str, Any]
    deltas: Sequence[dict[str, Any]]
    finish: Any = "stop"
    usage: Any = None
    separator: str = "\n\n"
    before: str = ""
    end: str = "data: [DONE]"
    ascii: bool = True
    thought: str | None = THOUGHT
    finished: bool = True

    def whole(self) -> str:
        choice = {"index": 0, "message": {"role": "assistant", **self.message}, "finish_reason": self.finish}
        return ("\n\n" if self.before else "") + self._dump({"choices": [choice], "usage": self.usage})

    def stream(self) -> str:
        pieces: list[dict[str, Any]] = [{"choices": [{"index": 0, "delta": delta}]} for delta in self.deltas]
        pieces.append({"choices": [{"index": 0, "delta": {}, "finish_reason": self.finish}]})
        if self.usage is not None:
            pieces.append({"choices": [], "usage": self.usage})
        lines = [self.before, *(f"data: {self._dump(piece)}" for piece in pieces), self.end]
        return "".join(line + self.separator for line in lines)

    def _dump(self, value: object) -> str:
        return json.dumps(value, ensure_ascii=self.ascii)


class Again(Dialect):
    """Says all of it again in the last event, as MiniMax does."""

    def stream(self) -> str:
        last = {"choices": [{"index": 0, "message": self.message, "finish_reason": "stop"}], "usage": self.usage}
        return super().stream().replace("data: [DONE]", f"data: {self._dump(last)}\n\ndata: [DONE]")


class Groq(Dialect):
    """Counts tokens in a place of its own."""

    def stream(self) -> str:
        return (
            super()
            .stream()
            .replace('"choices": [], "usage":', '"choices": [], "x_groq": {"usage":')
            .replace("}}\n\ndata: [DONE]", "}}}\n\ndata: [DONE]")
        )


def _apart(field: str, **options: Any) -> Dialect:
    deltas = [{"role": "assistant", field: THOUGHT[:4], "content": None}, {field: THOUGHT[4:]}, {"content": ANSWER}]
    return Dialect(message={field: THOUGHT, "content": ANSWER}, deltas=deltas, **options)


def _parts(thinking: Any, answer: Any, **options: Any) -> Dialect:
    return Dialect(
        message={"content": [thinking, answer]}, deltas=[{"content": [thinking]}, {"content": [answer]}], **options
    )


def _inside(text: str, **options: Any) -> Dialect:
    return Dialect(
        message={"content": text}, deltas=[{"content": text[i : i + 3]} for i in range(0, len(text), 3)], **options
    )


DIALECTS = {
    "DeepSeek": _apart("reasoning_content", usage=USAGE, before=": keep-alive", ascii=False),
    "newer vLLM": _apart("reasoning", usage=USAGE),
    "ollama": _apart("thinking", usage=USAGE),
    "Windows lines": _apart("reasoning_content", separator="\r\n\r\n", ascii=False, usage=USAGE),
    "old Mac lines": _apart("reasoning_content", separator="\r\r", ascii=False, usage=USAGE),
    "no blank lines": Dialect(
        message={"reasoning_content": THOUGHT, "content": ANSWER},
        deltas=[{"reasoning_content": THOUGHT}, {"content": ANSWER}],
        separator="\n",
        usage=USAGE,
    ),
    "Mistral": _parts(
        {"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]}, {"type": "text", "text": ANSWER}
    ),
    "Anthropic": _parts(
        {"type": "thinking", "thinking": THOUGHT, "signature": "x"}, {"type": "text", "text": ANSWER}, finish="end_turn"
    ),
    "plain texts in a list": _parts({"type": "reasoning", "text": THOUGHT}, ANSWER),
    "OpenRouter": Dialect(
        message={
            "content": ANSWER,
            "reasoning": THOUGHT,
            "reasoning_details": [
                {"type": "reasoning.text", "text": THOUGHT},
                {"type": "reasoning.encrypted", "data": "abc"},
            ],
        },
        deltas=[
            {"reasoning": THOUGHT, "reasoning_details": [{"type": "reasoning.text", "text": THOUGHT}], "content": ""},
            {"content": ANSWER, "reasoning": None},
        ],
    ),
    "details only": Dialect(
        message={"content": ANSWER, "reasoning_details": [{"type": "reasoning.summary", "summary": THOUGHT}]},
        deltas=[{"reasoning_details": [{"type": "reasoning.summary", "summary": THOUGHT}]}, {"content": ANSWER}],
    ),
    "tags": _inside(f"<think>\n{THOUGHT}\n</think>\n\n{ANSWER}"),
    "tags, the first one in the prompt": _inside(f"{THOUGHT}\n</think>\n\n{ANSWER}"),
    "apart and between tags": Dialect(
        message={"reasoning_content": THOUGHT, "content": f"<think>\n{THOUGHT}\n</think>\n\n{ANSWER}"},
        deltas=[
            {"reasoning_content": THOUGHT},
            {"content": "<think>\n"},
            {"content": f"{THOUGHT}\n</think>\n{ANSWER}"},
        ],
    ),
    "apart, the last tag left over": Dialect(
        message={"reasoning_content": THOUGHT, "content": f"</think>\n\n{ANSWER}"},
        deltas=[{"reasoning_content": THOUGHT}, {"content": "</think>"}, {"content": f"\n\n{ANSWER}"}],
    ),
    "a signature after the thinking": Dialect(
        message={
            "content": ANSWER,
            "reasoning_details": [{"type": "reasoning.text", "text": THOUGHT, "signature": "s"}],
        },
        deltas=[
            {"reasoning_details": [{"type": "reasoning.text", "text": THOUGHT}]},
            {"reasoning_details": [{"type": "reasoning.text", "signature": "s"}]},
            {"content": [{"type": "text", "text": None}]},
            {"content": ANSWER},
        ],
    ),
    "blocks": Dialect(
        message={"content": ANSWER, "thinking_blocks": [{"type": "thinking", "thinking": THOUGHT}]},
        deltas=[{"thinking_blocks": [{"type": "thinking", "thinking": THOUGHT}]}, {"content": ANSWER}],
    ),
    "Claude's tags": _inside(f"<thinking>{THOUGHT}</thinking>\n{ANSWER}"),
    "Gemini's tags": _inside(f"<thought>\n{THOUGHT}</thought>{ANSWER}"),
    "Magistral's tags": _inside(f"[THINK]{THOUGHT}[/THINK]{ANSWER}"),
    "Kimi's tags": _inside(f"\u25c1think\u25b7{THOUGHT}\u25c1/think\u25b7{ANSWER}"),
    "Command A's tags": _inside(
        f"<|START_THINKING|>{THOUGHT}<|END_THINKING|><|START_RESPONSE|>{ANSWER}<|END_RESPONSE|><|END_OF_TURN_TOKEN|>"
    ),
    "Gemma 4's channel": _inside(f"<|channel>thought\n{THOUGHT}<channel|>{ANSWER}<turn|>"),
    "Granite's words": _inside(f"Here is my thought process: {THOUGHT}\n\nHere is my response: {ANSWER}"),
    "an end token let through": _inside(f"<think>{THOUGHT}</think>{ANSWER}<|im_end|>\n"),
    "several end tokens let through": _inside(
        f"<think>{THOUGHT}</think>{ANSWER}<\uff5cend\u2581of\u2581sentence\uff5c> </s>"
    ),
    "raw harmony": _inside(
        f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>final<|message|>{ANSWER}<|return|>"
    ),
    "tags inside the field": Dialect(
        message={"content": ANSWER, "reasoning_content": f"<think>\n{THOUGHT}\n</think>"},
        deltas=[{"reasoning_content": f"<think>\n{THOUGHT}\n"}, {"reasoning_content": "</think>"}, {"content": ANSWER}],
    ),
    "heartbeats": _apart("reasoning_content", before="data:", end="data: [DONE]\n\ndata: junk"),
    "everything again at the end": Again(
        message={"reasoning_content": THOUGHT, "content": ANSWER},
        deltas=[{"reasoning_content": THOUGHT}, {"content": ANSWER}],
        usage=USAGE,
    ),
    "Groq's usage": Groq(
        message={"reasoning": THOUGHT, "content": ANSWER},
        deltas=[{"reasoning": THOUGHT}, {"content": ANSWER}],
        usage=USAGE,
    ),
    "a long word for the end": _apart("reasoning_content", finish="FINISH_REASON_STOP"),
    "TGI": _apart("reasoning_content", finish="eos_token"),
    "Gemini": _apart("reasoning_content", finish="STOP", usage=USAGE | {"completion_tokens": 4}),
    "no finish reason, tokens counted": _apart("reasoning_content", finish=None, usage=USAGE),
    "no finish reason, nothing counted": _apart("reasoning_content", finish=None),
    "an empty finish reason": _apart("reasoning_content", finish=""),
    "usage of another form": _apart("reasoning_content", usage={"input": 7}),
    "no thinking": Dialect(message={"content": ANSWER}, deltas=[{"content": ANSWER}], thought=None),
    "a refusal": Dialect(
        message={"content": None, "refusal": ANSWER},
        deltas=[{"refusal": ANSWER[:1]}, {"refusal": ANSWER[1:]}],
        thought=None,
    ),
    "surrogate halves": Dialect(
        message={"content": ANSWER},
        deltas=[{"content": "5 \ud83d"}, {"content": "\ude00"}],
        thought=None,
    ),
    "cut": _apart("reasoning_content", finish="max_tokens", finished=False),
    "cut, in Mistral's word": _apart("reasoning_content", finish="model_length", finished=False),
    "cut, by the count alone": _apart(
        "reasoning_content", finish=None, usage=USAGE | {"completion_tokens": 64, "total_tokens": 71}, finished=False
    ),
}
"""Name -> dialect; each is understood as thinking `THOUGHT`, answer `ANSWER` and, but for "cut", finished."""
