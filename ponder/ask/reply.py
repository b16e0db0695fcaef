"""What a chat-completions server sends, read into a reply. Pure: no network here.

The thinking comes in a field of its own, in parts of the content, or between `<think>` tags of the content, of which
the first may be missing because the server's template wrote it (`dialect.py`). A body may be whole or a stream.
"""

import json
from collections.abc import Iterable, Mapping

from ponder.ask.ask import Reply
from ponder.ask.dialect import ENDINGS, Ending, read_cached, read_message, read_tokens, split_marks
from ponder.ask.faults import FailedReply, MalformedReply, RefusedReply
from ponder.ask.refusal import read_refusal
from ponder.ask.stream import END, is_stream, read_events, read_json
from ponder.text.think import Response, ThinkParser

__all__ = ["read_reply", "split_reply"]


def read_reply(text: str, max_tokens: int) -> Reply:
    """The reply in a body, whole or streamed, to a request that allowed `max_tokens`.

    Raises MalformedReply for a body that was cut, holds no reply or an error that may pass; FailedReply for a reply
    that was withheld, is no text, or stands in a form that is not known; RefusedReply where no request can succeed.
    """
    text = text.removeprefix("\ufeff")
    if is_stream(text):
        return _streamed(read_events(text), max_tokens)
    try:
        body = read_json(text)
    except ValueError as error:
        raise MalformedReply(f"the reply is no JSON ({error}), got {_start(text)}") from None
    _refuse(body)
    choice = _choice(body)
    if choice is None:
        raise MalformedReply(f"the reply is no chat completion: it has no choices, got {_start(text)}")
    message = choice.get("message")
    if message is None and "message" in choice:
        raise MalformedReply(f"the reply is no chat completion: its message is null, got {_start(text)}")
    if not isinstance(message, Mapping):
        raise FailedReply(f"the reply is no chat completion: its choice has no message, got {_start(text)}")
    thinking, answer = read_message(message)
    return _reply(thinking, answer, choice.get("finish_reason"), _usage(body), max_tokens)


def split_reply(reply: Reply) -> Response:
    """Thinking and answer of a server's reply. A reply without any thinking is well formed; its thinking is None."""
    finished = reply.finish_reason == "stop"
    if "</think>" in reply.text or "<think>" in reply.text:
        parser = ThinkParser(answer_tags=False)
        given = "" if reply.reasoning is None else f"<think>{reply.reasoning}</think>"
        opened = given or "<think>" in reply.text
        parser.feed(given + reply.text if opened else "<think>" + reply.text)
        return parser.close(finished=finished)
    thinking = None if reply.reasoning is None else reply.reasoning.strip()
    answer = reply.text.strip() or None
    problem = "" if answer and finished else "cut at the length limit" if not finished else "there is no answer"
    if thinking is None and not finished:
        answer = None
    return Response(thinking=thinking, answer=answer, well_formed=not problem, problem=problem)


def _streamed(events: Iterable[object], max_tokens: int) -> Reply:
    thinking: list[str] = []
    answer: list[str] = []
    whole = ("", "")  # some servers say all of it again at the end, or in every event
    finish: object = None
    usage: object = None
    ended = False
    unread: set[str] = set()
    for event in events:
        ended = ended or event == END
        if not isinstance(event, Mapping):
            continue
        _refuse(event)
        usage = _usage(event) or usage
        choice = _choice(event)
        if choice is None:
            continue
        piece, message = choice.get("delta") or {}, choice.get("message")
        if not isinstance(piece, Mapping):
            raise FailedReply(f"the stream holds no chat completion: its delta is no object, got {_start(str(piece))}")
        unread |= {str(name) for name, value in (*choice.items(), *piece.items()) if _may_be_text(name, value)}
        more = read_message(piece)
        thinking.append(more[0])
        answer.append(more[1])
        if isinstance(message, Mapping) and message:
            whole = read_message(message)
        finish = choice.get("finish_reason") or finish
    if finish is None and not ended:
        raise MalformedReply("the stream ended before the reply was finished")
    if not any((*thinking, *answer, *whole)) and unread:
        raise FailedReply(
            f"the stream is none of chat completions: its text seems to stand in {', '.join(sorted(unread))}, where no "
            f"chat completion has it; check base_url"
        )
    if not any(thinking + answer):
        return _reply(*whole, finish, usage, max_tokens)
    return _reply("".join(thinking), "".join(answer), finish, usage, max_tokens)


def _reply(thinking: str, answer: str, finish: object, usage: object, max_tokens: int) -> Reply:
    prompt, completion = read_tokens(usage, max_tokens)
    size = len((thinking + answer).encode("utf-8", "surrogatepass"))
    if completion == 0 and size:
        completion = None  # a server that does not count
    ending = _ending(finish, completion, size, max_tokens)
    if ending == "again":
        raise MalformedReply(f"the server broke off with finish_reason {finish!r}")
    if ending == "withheld":
        raise FailedReply(f"the server withheld the reply with finish_reason {finish!r}")
    thinking, answer = split_marks(_characters(thinking), _characters(answer))
    block, tag, rest = answer.partition("</think>")
    if thinking and tag and block.strip().removeprefix("<think>").strip() in ("", thinking.strip()):
        answer = rest.lstrip()  # the thinking was sent twice, apart and between tags, or its last tag was left over
    return Reply(
        text=answer,
        reasoning=thinking or None,
        finish_reason=ending,
        prompt_tokens=prompt,
        cached_tokens=read_cached(usage),
        completion_tokens=completion,
    )


def _may_be_text(name: object, value: object) -> bool:
    """Whether a field of a choice or of its delta that nothing reads holds what a model wrote."""
    return isinstance(value, str) and bool(value) and name not in _NO_TEXT


def _ending(finish: object, completion: int | None, size: int, max_tokens: int) -> Ending:
    """What a finish reason means. Some servers never give one: then a reply of fewer tokens than were allowed, and so
    of fewer bytes, ended by itself; of any other nobody knows."""
    if isinstance(finish, str) and finish:
        ending = ENDINGS.get(finish.lower().removeprefix("finish_reason_"))
        if ending is None:
            raise FailedReply(
                f"the server ended the reply with finish_reason {finish!r}, which tells neither whole nor cut"
            )
        return ending
    if completion is not None:
        return "stop" if completion < max_tokens else "length"
    if size < max_tokens:
        return "stop"
    raise FailedReply(
        "the server says neither finish_reason nor how many tokens the reply has, so nobody knows whether it was cut"
    )


def _refuse(value: object) -> None:
    """Raise what an error object says, where the value is one. A reply with choices is none, whatever else it holds."""
    if isinstance(value, Mapping) and value.get("choices") and not value.get("error"):
        return
    refusal = read_refusal(value)
    if refusal is not None:
        said = f"the server sent an error instead of a reply: {refusal.message}"
        raise {"again": MalformedReply, "failed": FailedReply, "stop": RefusedReply}[refusal.fate](said)


def _choice(value: object) -> Mapping[str, object] | None:
    """The first choice; None where there is none."""
    choices = value.get("choices") if isinstance(value, Mapping) else None
    if not isinstance(choices, list):
        return None
    return next((one for one in choices if isinstance(one, Mapping) and not one.get("index")), None)


def _characters(text: str) -> str:
    """Text whose surrogate halves, which may come in two events, are whole characters; a half alone is U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _usage(event: object) -> object:
    """Counts of tokens, wherever a server puts them."""
    choice = _choice(event)
    for place in (event, choice, event.get("x_groq") if isinstance(event, Mapping) else None):
        if isinstance(place, Mapping) and isinstance(place.get("usage"), Mapping):
            return place["usage"]
    return None


_NO_TEXT = ("role", "name", "type", "id", "object", "finish_reason", "stop_reason", "native_finish_reason", "content")


def _start(text: str) -> str:
    return json.dumps(text[:80], ensure_ascii=False)
