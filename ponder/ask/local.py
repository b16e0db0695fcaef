"""Asks a model in this process, chunk by chunk: a chunk's replies enter the log together.

A chunk is sampled by one call of the engine and depends on nothing but its asks, so a run that was killed in the middle
of one samples it again, to the same tokens on a CPU.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from ponder.ask.ask import Ask, Reply
from ponder.ask.log import RequestLog, request_key
from ponder.ask.meter import Meter
from ponder.errors import DataError
from ponder.policy.voice import Voice
from ponder.recipe.environment import Environment
from ponder.recipe.rollout import Sampling
from ponder.records import Completion, Message, Problem
from ponder.rollout.engine import Engine, Request
from ponder.seeds import derive_seed
from ponder.text.think import Response

__all__ = ["LocalAsker"]

_CHUNK = 512
"""Replies sampled between two writes: what a kill can cost."""


class LocalAsker:
    """See `Asker`. A prompt that leaves no room for `sampling.max_tokens` in the model's window is a failure; nothing
    is ever cut. With an `environment`, which `engine` talks with and whose tools `voice` knows, a reply is the end of a
    conversation."""

    def __init__(
        self,
        voice: Voice,
        engine: Engine,
        sampling: Sampling,
        log: RequestLog,
        *,
        seed: int,
        model: str,
        title: str,
        say: Callable[[str], None],
        environment: Environment | None = None,
    ) -> None:
        self._voice, self._engine, self._sampling, self._log, self._seed = voice, engine, sampling, log, seed
        self._title, self._say = title, say
        self._parameters = {
            "model": model,
            "template": voice.template.name,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "max_tokens": sampling.max_tokens,
            "seed": seed,
        } | ({} if environment is None else {"environment": environment.model_dump(mode="json")})

    def ask(self, asks: Sequence[Ask]) -> None:
        """See `Asker`."""
        missing = sum(self._key(ask) not in self._log for ask in asks)
        if not missing:
            return
        meter = Meter(self._title, len(asks), missing, self._say)
        for chunk in _chunks(asks):
            todo = [ask for ask in chunk if self._key(ask) not in self._log]
            if todo:
                replies = self._sample(chunk)
                new = {self._key(ask): ask for ask in todo}
                self._log.append([(key, self._facts(ask), replies[key]) for key, ask in new.items()])
                meter.add(*(replies[key] for key in new))
        meter.end()

    def reply(self, ask: Ask) -> Reply:
        """See `Asker`."""
        return self._log.read(self._key(ask))

    def split(self, reply: Reply) -> Response:
        """See `Asker`."""
        return self._voice.template.split(reply.text, finished=reply.finish_reason == "stop")

    def text(self, reply: Reply) -> str:
        """See `Asker`; what the template gave the model for free stands before it."""
        return self._voice.template.prefill + reply.text

    def _sample(self, chunk: Sequence[Ask]) -> dict[str, Reply]:
        """The replies by key; neighbouring asks with the same messages share their prompt."""
        limit = self._sampling.max_tokens
        requests: list[Request] = []
        groups: list[list[Ask]] = []
        replies: dict[str, Reply] = {}
        for (messages, problem), together in groupby(chunk, key=_prompted):
            group = list(together)
            try:
                prompt = self._voice.prompt(messages)
            except DataError as error:  # the model's chat template refuses this conversation
                replies |= {self._key(ask): Reply(failure=str(error)) for ask in group}
                continue
            if len(prompt) + limit > self._voice.window:
                failure = (
                    f"the prompt has {len(prompt)} tokens, which leaves no room for max_tokens {limit} in the model's "
                    f"window of {self._voice.window}"
                )
                replies |= {self._key(ask): Reply(prompt_tokens=len(prompt), failure=failure) for ask in group}
                continue
            seeds = tuple(derive_seed(self._seed, ask.id, ask.number) for ask in group)
            requests.append(Request(prompt_ids=prompt, seeds=seeds, key=group[0].id, problem=problem))
            groups.append(group)
        if requests:
            found = self._engine.generate(requests, self._sampling, limit, 0)
            for request, group, completions in zip(requests, groups, found, strict=True):
                for ask, completion in zip(group, completions, strict=True):
                    replies[self._key(ask)] = _reply(request, completion)
        return replies

    def _key(self, ask: Ask) -> str:
        return request_key(ask, self._parameters)

    def _facts(self, ask: Ask) -> dict[str, object]:
        return {"id": ask.id, "number": ask.number, "parameters": self._parameters}


def _prompted(ask: Ask) -> tuple[tuple[Message, ...], Problem | None]:
    """What asks that share a prompt have in common."""
    return ask.messages, ask.problem


def _reply(request: Request, completion: Completion) -> Reply:
    talk = completion.talk
    return Reply(
        text=completion.text,
        finish_reason=completion.finish_reason,
        prompt_tokens=len(request.prompt_ids),
        completion_tokens=len(completion.token_ids),
        failure="" if talk is None else talk.failure,
        talk=talk,
    )


def _chunks(asks: Sequence[Ask]) -> Iterator[list[Ask]]:
    """Whole prompts until a chunk is full."""
    chunk: list[Ask] = []
    for _, together in groupby(asks, key=_prompted):
        chunk += together
        if len(chunk) >= _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
