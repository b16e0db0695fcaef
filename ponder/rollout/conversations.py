"""Conversations of several turns, all in one open engine: whoever waits for an answer leaves the rows to the others.

    Request (first prompt, seeds) -> turn -> answer -> turn -> ... -> Completion with a Talk

The next prompt of a conversation is the ids so far and those of the answer, so nothing that was sampled is read from
text again, and the engine finds what it has computed of the prompt before. An answer is taken up a fixed number of the
engine's steps after its turn, waited for if it is not there yet: so what is computed beside what does not depend on how
long a tool took, and the same seed gives the same bytes.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ponder.environment import Answer, World
from ponder.errors import ModelError
from ponder.policy.policy import Policy
from ponder.policy.voice import Voice
from ponder.recipe.rollout import Sampling
from ponder.records import Completion, FinishReason, Message, Span, Talk
from ponder.rollout.completion import complete
from ponder.rollout.drawing import Drawing
from ponder.rollout.engine import (
    Bounds,
    GenerationState,
    Job,
    OnFinish,
    OnProgress,
    Piece,
    Request,
    check_fits,
    refuse_guides,
)
from ponder.rollout.lane import NOT_FINITE
from ponder.rollout.live import LiveEngine
from ponder.seeds import derive_seed

__all__ = ["Conversations"]

_ANSWER_STEPS = 16
"""Steps of the engine between the end of a turn and its answer: most tools are done by then."""
_UNBOUNDED = 1 << 62
_REPORT_SECONDS = 0.3


@dataclass(slots=True)
class _Conversation:
    """One that is not finished. `ids` and `logprobs` are of the turn that is being written."""

    request: Request
    choice: int
    all_ids: list[int] = field(default_factory=list)
    all_logprobs: list[float] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    replies: list[Message] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    text: str = ""
    seconds: float = 0.0
    calls: int = 0
    failed: int = 0
    malformed: int = 0
    due: int = 0
    wait: Callable[[], Answer] | None = None


class Conversations:
    """An `Engine` whose completions are conversations with `world`. `max_rows` turns are written at one time. Of the
    prompts of the last call `hit_tokens` were known from earlier turns and other conversations."""

    def __init__(self, policy: Policy, world: World, max_rows: int) -> None:
        self._policy, self._world, self._max_rows = policy, world, max_rows
        self.hit_tokens = 0

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        max_tokens: int,
        weight_version: int,
        on_finish: OnFinish | None = None,
        on_progress: OnProgress | None = None,
    ) -> list[tuple[Completion, ...]]:
        """See `Engine.generate`; `max_tokens` is for all that follows the first prompt, answers included."""
        check_fits(requests, max_tokens, self._policy.window)
        refuse_guides(requests)
        bounds = Bounds(rows=self._max_rows, memory_bytes=_UNBOUNDED, waiting_tokens=_UNBOUNDED)
        engine = LiveEngine(self._policy, bounds, weight_version)  # anew, so that it remembers nothing of other calls
        call = _Call(
            engine, self._world, self._world.voiced(self._policy.voice()), sampling, max_tokens, weight_version
        )
        found = call.run(requests, on_finish, on_progress)
        self.hit_tokens = engine.load_now.hit_tokens
        return found


class _Call:
    """One call to `generate`."""

    def __init__(
        self,
        engine: LiveEngine,
        world: World,
        voice: Voice,
        sampling: Sampling,
        max_tokens: int,
        weight_version: int,
    ) -> None:
        self._engine, self._world, self._voice = engine, world, voice
        self._drawing = Drawing(temperature=sampling.temperature, top_p=sampling.top_p, top_k=sampling.top_k)
        self._max_tokens, self._weight_version = max_tokens, weight_version
        self._silent = voice.silent_ids()
        self._running: dict[tuple[int, int], _Conversation] = {}
        self._waiting: list[_Conversation] = []
        self._done: dict[tuple[str, int], Completion] = {}
        self._on_finish: OnFinish | None = None

    def run(
        self, requests: Sequence[Request], on_finish: OnFinish | None, on_progress: OnProgress | None
    ) -> list[tuple[Completion, ...]]:
        """Hold all conversations to their ends."""
        self._on_finish = on_finish
        started = reported = time.monotonic()
        total, tokens, step = sum(len(request.seeds) for request in requests), 0, 0
        for request in requests:
            if request.seeds:
                talks = [_Conversation(request, choice) for choice in range(len(request.seeds))]
                self._submit(talks, request.prompt_ids, request.seeds, self._max_tokens)
        while self._running or self._waiting:
            if not self._running:
                step = max(step, min(one.due for one in self._waiting))
            for talk in [one for one in self._waiting if one.due <= step]:
                self._waiting.remove(talk)
                self._go_on(talk)
            for piece in self._engine.step():
                tokens += len(piece.token_ids)
                self._take(piece, step)
            step += 1
            now = time.monotonic()
            if on_progress is not None and now - reported >= _REPORT_SECONDS:
                reported = now
                on_progress(
                    GenerationState(tokens=tokens, finished=len(self._done), total=total, seconds=now - started)
                )
        return [tuple(self._done[one.key, i] for i in range(len(one.seeds))) for one in requests]

    def _submit(
        self, talks: Sequence[_Conversation], prompt_ids: tuple[int, ...], seeds: tuple[int, ...], max_tokens: int
    ) -> None:
        key = talks[0].request.key
        job = Job(prompt_ids=prompt_ids, seeds=seeds, max_tokens=max_tokens, key=key, drawing=self._drawing)
        number = self._engine.submit(job)
        self._running.update({(number, choice): talk for choice, talk in enumerate(talks)})

    def _take(self, piece: Piece, step: int) -> None:
        if piece.reason == "failed":
            raise ModelError(NOT_FINITE)
        talk = self._running[piece.job, piece.choice]
        talk.ids += piece.token_ids
        talk.logprobs += piece.logprobs
        if piece.reason is not None:
            del self._running[piece.job, piece.choice]
            self._end_turn(talk, piece.reason, step)

    def _end_turn(self, talk: _Conversation, reason: FinishReason, step: int) -> None:
        """Put the turn to the conversation, and have it answered if it is to go on."""
        start = len(talk.all_ids)
        talk.all_ids += talk.ids
        talk.all_logprobs += talk.logprobs
        talk.spans.append((start, len(talk.all_ids)))
        turn = complete(self._voice, self._silent, talk.ids, talk.logprobs, reason, self._weight_version, 0)
        talk.text, talk.ids, talk.logprobs = turn.text, [], []
        said = self._world.read(self._voice, turn.text)
        talk.messages.append(Message(role="assistant", content=turn.text))
        if reason == "length":
            self._finish(talk, "length", cut="tokens")
            return
        talk.calls += len(said.reading.calls)
        talk.malformed += len(said.reading.faults)
        if not self._world.goes_on(said):
            self._finish(talk, "stop")
        elif len(talk.spans) >= self._world.config.turns:
            self._finish(talk, "length", cut="turns")
        else:
            talk.wait = self._world.answer(talk.request.problem, talk.replies, said)
            talk.due = step + _ANSWER_STEPS
            if not said.reading.items:
                talk.replies.append(said.message)
            self._waiting.append(talk)

    def _go_on(self, talk: _Conversation) -> None:
        """Take the answer up, and begin the next turn."""
        assert talk.wait is not None
        answer = talk.wait()
        talk.seconds += answer.seconds
        talk.failed += answer.failed_calls
        if answer.failure:
            self._finish(talk, "length", failure=answer.failure)
        elif answer.messages is None:
            self._finish(talk, "stop")
        elif talk.seconds > self._world.config.seconds:
            self._finish(talk, "length", cut="seconds")
        else:
            ids = self._voice.template.encode_answer(
                self._voice.tokenizer, answer.messages, tools=self._voice.tools, stop=talk.all_ids[-1]
            )
            room = self._max_tokens - len(talk.all_ids) - len(ids)
            if room < 1:
                self._finish(talk, "length", cut="tokens")
                return
            talk.all_ids += ids
            talk.messages += answer.messages
            prompt = (*talk.request.prompt_ids, *talk.all_ids)
            self._submit([talk], prompt, (derive_seed(talk.request.seeds[talk.choice], len(talk.spans)),), room)

    def _finish(
        self,
        talk: _Conversation,
        reason: FinishReason,
        cut: Literal["turns", "tokens", "seconds"] | None = None,
        failure: str = "",
    ) -> None:
        key = talk.request.key, talk.choice
        self._done[key] = Completion(
            token_ids=talk.all_ids,
            logprobs=talk.all_logprobs,
            text=talk.text,
            finish_reason=reason,
            weight_version=self._weight_version,
            seed=talk.request.seeds[talk.choice],
            talk=Talk(
                messages=tuple(talk.messages),
                spans=tuple(talk.spans),
                cut=cut,
                failure=failure,
                failed_by=(self._world.config.own or "") if failure else "",
                calls=talk.calls,
                failed=talk.failed,
                malformed=talk.malformed,
            ),
        )
        if self._on_finish is not None:
            self._on_finish(*key, self._done[key])
