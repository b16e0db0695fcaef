"""What servers call things: the words at a reply's end, the fields and parts that hold thinking and answer.

A server's dialect is a line in one of these tables; `tests/ask/dialects.py` speaks each of them.
"""

import re
from collections.abc import Mapping
from typing import Literal

from ponder.ask.faults import FailedReply

__all__ = ["ENDINGS", "Ending", "Texts", "read_cached", "read_message", "read_tokens", "split_marks"]

Ending = Literal["stop", "length", "again", "withheld"]
Texts = tuple[str, str]
"""Thinking and answer."""

ENDINGS: Mapping[str, Ending] = {
    # the model ended its reply, or wrote a stop string: OpenAI and most; TGI; Anthropic; Cohere; Gemini; older ones
    "stop": "stop",
    "eos_token": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "stop_str": "stop",
    "complete": "stop",
    "completed": "stop",
    "end": "stop",
    "finished": "stop",
    "normal": "stop",
    "done": "stop",
    # cut at a limit of tokens: OpenAI; TGI, Anthropic, Gemini, Cohere; Mistral; Responses
    "length": "length",
    "max_tokens": "length",
    "max_length": "length",
    "model_length": "length",
    "max_output_tokens": "length",
    "max_completion_tokens": "length",
    "limit": "length",
    "model_context_window_exceeded": "length",
    # the server broke off: DeepSeek; GLM; vLLM and SGLang; OpenRouter
    "insufficient_system_resource": "again",
    "network_error": "again",
    "abort": "again",
    "aborted": "again",
    "cancelled": "again",
    "canceled": "again",
    "error": "again",
    "server_error": "again",
    "timeout": "again",
    "overloaded": "again",
    "engine_overloaded": "again",
    "load": "again",
    # the server withholds the reply: OpenAI, Azure; Gemini; GLM; Anthropic
    "content_filter": "withheld",
    "safety": "withheld",
    "sensitive": "withheld",
    "recitation": "withheld",
    "blocklist": "withheld",
    "prohibited_content": "withheld",
    "refusal": "withheld",
}
"""Finish reasons in lower case, without `FINISH_REASON_` before them. Tool calls and unknown words are failures that
name the word."""

_THINKING_FIELDS = (
    "reasoning_content", "reasoning", "reasoning_text", "thinking", "reasoning_details", "thinking_blocks",
)  # fmt: skip
"""DeepSeek and most; newer vLLM, OpenRouter, Groq; Copilot; ollama; OpenRouter's and LiteLLM's parts. Servers
that send several send the same text in each, so the first that holds any counts."""
_ANSWER_PARTS = ("text", "output_text", "refusal")
_THINKING_PARTS = ("thinking", "reasoning", "reasoning_text", "reasoning.text", "reasoning.summary", "summary_text")
"""Mistral and Anthropic; others; OpenRouter."""
_SILENT_PARTS = ("redacted_thinking", "reasoning.encrypted", "reference")
"""Hold nothing that can be read."""
_TEXT_KEYS = ("text", "thinking", "reasoning", "content", "summary", "refusal", "value")
"""Where a part keeps its text, which may be parts again."""
_TAGS = (
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("\u25c1think\u25b7", "\u25c1/think\u25b7"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|channel>thought", "<channel|>"),
    ("Here is my thought process:", "Here is my response:"),
)
"""Marks around thinking that stands at the beginning of the content, beside `<think>`: of Claude, Gemini, others, Seed,
Magistral, Kimi, Command A, Gemma 4, Granite."""
_BEGIN_TOKENS = ("<|START_RESPONSE|>", "<|START_TEXT|>")
"""Tokens before an answer that servers let through: of Command A."""
_STOP_TOKENS = (
    "<|im_end|>", "<|endoftext|>", "<|end_of_text|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<|return|>", "</s>",
    "<\uff5cend\u2581of\u2581sentence\uff5c>", "<end_of_turn>", "<turn|>", "<eos>", "<|END_RESPONSE|>",
    "<|END_TEXT|>", "<|END_OF_TURN_TOKEN|>", "[EOS]", "<|user|>", "<|endofturn|>", "[|endofturn|]",
)  # fmt: skip
"""Tokens that end a turn, which servers let through at the end of the content."""
_END_TOKENS = 16
"""Some servers count end tokens and the like beyond the limit."""
_CHANNEL = re.compile(
    r"<\|channel\|>(\w+)[^<]*<\|message\|>(.*?)(?=<\|(?:end|return|call|start|channel)\|>|\Z)", re.DOTALL
)
"""Raw harmony, of gpt-oss."""


def read_message(message: Mapping[str, object]) -> Texts:
    """Thinking and answer of a message, or of one piece of a stream. FailedReply for a form that is not known."""
    if message.get("tool_calls") or message.get("function_call"):
        raise FailedReply("the reply calls a tool, though none was offered")
    thinking, answer = _content(message.get("content"))
    for field in _THINKING_FIELDS:
        apart = _flat(message.get(field), field)
        if apart:
            thinking = apart + thinking
            break
    return thinking, answer or _flat(message.get("refusal"), "refusal")


def split_marks(thinking: str, answer: str) -> Texts:
    """The same texts with thinking that stands in the answer between another model's marks put where it belongs."""
    if "<|channel|>" in answer:
        pieces = _CHANNEL.findall(answer)
        thought = "\n\n".join(text.strip() for channel, text in pieces if channel != "final")
        return thinking or thought, "".join(text for channel, text in pieces if channel == "final").strip()
    for opening, closing in _TAGS:
        if not thinking and answer.lstrip().startswith(opening):
            inside, _, rest = answer.lstrip().removeprefix(opening).partition(closing)
            return inside, _without_tokens(rest)
    answer = _without_tokens(answer)
    bare = thinking.strip()
    return (bare.removeprefix("<think>").removesuffix("</think>") if bare.startswith("<think>") else thinking), answer


def _without_tokens(answer: str) -> str:
    """An answer without the tokens around it that say where a turn begins and ends."""
    for token in _BEGIN_TOKENS:
        answer = answer.lstrip().removeprefix(token) if answer.lstrip().startswith(token) else answer
    while last := next((one for one in _STOP_TOKENS if answer.rstrip().endswith(one)), None):
        answer = answer.rstrip().removesuffix(last)
    return answer


def read_tokens(usage: object, max_tokens: int) -> tuple[int | None, int | None]:
    """Tokens of the prompt and of the reply, thinking included; None where the server does not count them, or counts
    more than it was allowed.

    Some (xAI, Gemini) leave thinking out of `completion_tokens` and put it into the total alone.
    """
    if not isinstance(usage, Mapping):
        return None, None
    prompt, completion, total = (
        _count(usage.get(name)) for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    )
    if prompt is not None and completion is not None and total is not None and total - prompt <= max_tokens:
        completion = max(completion, total - prompt)
    counted = completion is not None and completion <= max_tokens + _END_TOKENS
    return prompt, completion if counted else None


def read_cached(usage: object) -> int | None:
    """Tokens of the prompt that the server had in its cache, None where it does not say: OpenAI and most put them into
    details, DeepSeek and Moonshot beside the other counts. More than the prompt has is no count."""
    if not isinstance(usage, Mapping):
        return None
    details = usage.get("prompt_tokens_details")
    inner = details.get("cached_tokens") if isinstance(details, Mapping) else None
    found = [_count(one) for one in (inner, usage.get("prompt_cache_hit_tokens"), usage.get("cached_tokens"))]
    cached = next((one for one in found if one is not None), None)
    prompt = _count(usage.get("prompt_tokens"))
    return cached if cached is not None and prompt is not None and cached <= prompt else None


def _content(content: object) -> Texts:
    if content is None or isinstance(content, str):
        return "", content or ""
    if not isinstance(content, list):
        raise FailedReply(f"the reply's content is neither text nor a list of parts but {type(content).__name__}")
    thinking, answer = "", ""
    for part in content:
        kind = "text" if isinstance(part, str) else part.get("type") if isinstance(part, Mapping) else None
        if kind in _THINKING_PARTS:
            thinking += _flat(part, "content")
        elif kind in _ANSWER_PARTS:
            answer += _flat(part, "content")
        elif kind not in _SILENT_PARTS:
            raise FailedReply(f"the reply's content holds a part of a kind that is not known: {kind!r}")
    return thinking, answer


def _flat(value: object, field: str) -> str:
    """All text of a text, a part or a list of parts, in order."""
    match value:
        case None:
            return ""
        case str():
            return value
        case list():
            return "".join(_flat(one, field) for one in value)
        case Mapping():
            found = [value[key] for key in _TEXT_KEYS if value.get(key) is not None]
            if value.get("type") in _SILENT_PARTS:
                return ""
            if found or value.get("type") in (*_ANSWER_PARTS, *_THINKING_PARTS):
                return _flat(found[0], field) if found else ""
    raise FailedReply(f"the reply's {field} holds no text that can be read but {type(value).__name__}")


def _count(value: object) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
