"""vLLM behind the engine's verbs: it draws from a copy of the policy's weights.

    generate:  wake -> weights in -> probe -> draw -> sleep

Every call gives vLLM the weights as they are then, and draws nothing before it has shown that it computes the policy
with them. So nobody has to tell when they change. On a GPU it gives back its memory between the calls, while the
trainer updates. A seed decides the random numbers of its completion as with any engine, but they are vLLM's: the tokens
are others than `LocalEngine` draws.
"""

import math
import time
import weakref
from collections.abc import Sequence
from itertools import pairwise

from ponder.errors import ModelError
from ponder.policy.policy import Policy
from ponder.policy.published import published
from ponder.recipe.rollout import Sampling
from ponder.records import Completion, WeightSpan
from ponder.rollout.completion import complete
from ponder.rollout.engine import GenerationState, OnFinish, OnProgress, Renewal, Request, check_fits, refuse_guides
from ponder.rollout.lane import NOT_FINITE
from ponder.rollout.reproduce import PROBE_SEEDS, PROBE_TOKENS, Probed, check_reproduced
from ponder.rollout.vllm_host import Drawn, Host, Wish

__all__ = ["VllmEngine"]

_ROUND = 1024
"""Lengths are rounded up to a multiple of this, so that longer prompts seldom mean starting again."""
_REPORT_SECONDS = 0.25
"""Least time between progress reports."""


class VllmEngine:
    """At most `max_slots` sequences at a time. vLLM starts with the first call, and again when a call asks for longer
    sequences; it ends with this object. `tolerance` is for the probe, in nats."""

    def __init__(self, policy: Policy, max_slots: int, tolerance: float) -> None:
        """ModelError for a policy with adapters, whose weights vLLM has no place for."""
        if policy.adapter is not None:
            raise ModelError(
                "The policy has adapters (`lora`), which vLLM is not given: set `engine.kind` to local, or merge them"
            )
        self._policy, self._max_slots, self._tolerance = policy, max_slots, tolerance
        self._host: Host | None = None

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        max_tokens: int,
        weight_version: int,
        on_finish: OnFinish | None = None,
        on_progress: OnProgress | None = None,
        renewal: Renewal | None = None,
    ) -> list[tuple[Completion, ...]]:
        """See `RenewableEngine`. ModelError where vLLM cannot run the model or does not have its weights."""
        check_fits(requests, max_tokens, self._policy.window)
        refuse_guides(requests)
        if not any(request.seeds for request in requests):
            return [() for _ in requests]
        host = self._ready(max(len(request.prompt_ids) for request in requests) + max_tokens)
        try:
            self._load(host, weight_version)
            return self._draw(host, requests, sampling, max_tokens, weight_version, on_finish, on_progress, renewal)
        finally:
            host.sleep()

    def _load(self, host: Host, version: int) -> None:
        host.load(version, published(self._policy))
        check_reproduced(self._policy, lambda prompt: self._probe(host, prompt), self._tolerance)

    def _ready(self, tokens: int) -> Host:
        """The running vLLM, started where there is none for sequences of that length."""
        host = self._host
        if host is None or host.broken or host.tokens < tokens:
            self._host = None
            if host is not None:
                host.close()
            length = min(-(-tokens // _ROUND) * _ROUND, self._policy.window)
            host = self._host = Host(self._policy, self._max_slots, length)
            weakref.finalize(self, host.close)
        return host

    def _probe(self, host: Host, prompt: tuple[int, ...]) -> list[Probed]:
        stop = tuple(sorted(self._policy.stop_ids))
        drawn = _all(
            host,
            [
                Wish(name=str(seed), prompt_ids=prompt, seed=seed, max_tokens=PROBE_TOKENS, stop_ids=stop)
                for seed in range(PROBE_SEEDS)
            ],
        )
        scored = _all(
            host,
            [
                Wish(name=one.name, prompt_ids=(*prompt, *one.token_ids), seed=0, max_tokens=1, scored=True)
                for one in drawn
            ],
        )
        return [
            Probed(token_ids=one.token_ids, drawn=one.logprobs, scored=whole.logprobs[len(prompt) - 1 :])
            for one, whole in zip(drawn, scored, strict=True)
        ]

    def _draw(
        self,
        host: Host,
        requests: Sequence[Request],
        sampling: Sampling,
        max_tokens: int,
        version: int,
        on_finish: OnFinish | None,
        on_progress: OnProgress | None,
        renewal: Renewal | None,
    ) -> list[tuple[Completion, ...]]:
        loaded = [version]
        voice = self._policy.voice()
        silent = voice.silent_ids()
        places: dict[str, tuple[int, int]] = {}
        wishes: list[Wish] = []
        for i, request in enumerate(requests):
            for j, seed in enumerate(request.seeds):
                name = f"{i}/{j}"
                places[name] = i, j
                wishes.append(
                    Wish(
                        name=name,
                        prompt_ids=request.prompt_ids,
                        seed=seed,
                        max_tokens=max_tokens,
                        stop_ids=tuple(sorted(voice.stop_ids)),
                        temperature=sampling.temperature,
                        top_p=sampling.top_p,
                        top_k=sampling.top_k,
                    )
                )
        done: dict[tuple[int, int], Completion] = {}
        tokens = 0
        started = reported = time.monotonic()
        for step in host.draw(wishes):
            for drawn in step:
                i, j = place = places[drawn.name]
                spans = _spans(drawn, loaded)
                done[place] = complete(
                    voice,
                    silent,
                    drawn.token_ids,
                    drawn.logprobs,
                    "stop" if drawn.stopped else "length",
                    spans[0].version,
                    requests[i].seeds[j],
                    spans=spans if len(spans) > 1 else (),
                )
                tokens += len(drawn.token_ids)
                if on_finish is not None:
                    on_finish(requests[i].key, j, done[place])
            now = time.monotonic()
            if on_progress is not None and now - reported >= _REPORT_SECONDS:
                reported = now
                on_progress(
                    GenerationState(tokens=tokens, finished=len(done), total=len(wishes), seconds=now - started)
                )
            if renewal is not None and len(done) < len(wishes) and renewal.due():
                loaded.append(renewal.take())
                self._load(host, loaded[-1])
        return [tuple(done[i, j] for j in range(len(request.seeds))) for i, request in enumerate(requests)]


def _all(host: Host, wishes: Sequence[Wish]) -> list[Drawn]:
    """What is drawn of all wishes, in their order."""
    found = {one.name: one for step in host.draw(wishes) for one in step}
    return [found[wish.name] for wish in wishes]


def _spans(drawn: Drawn, loaded: Sequence[int]) -> tuple[WeightSpan, ...]:
    """Which weights drew which tokens. ModelError for what must never be trained on."""
    known = {str(version): version for version in loaded}
    spans = [WeightSpan(version=known.get(name, -1), stop=stop) for name, stop in drawn.versions]
    rising = all(one.version < other.version for one, other in pairwise(spans))
    if not spans or spans[0].version < 0 or not rising or spans[-1].stop != len(drawn.token_ids):
        drew = ", ".join(name for name, _ in drawn.versions) or "unknown"
        raise ModelError(
            f"vLLM drew a completion with weights of version {drew}, and version {', '.join(known)} was asked for: the "
            f"completions of this call are not used. Begin the stage again; if it happens again, set `engine.kind` to "
            f"local."
        )
    if not all(map(math.isfinite, drawn.logprobs)):
        raise ModelError(NOT_FINITE)
    return tuple(spans)
