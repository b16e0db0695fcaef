"""The engine in this process: samples from the very tensors being trained, so there is nothing to synchronise.

On a GPU, and with a large model, all requests run in one lane. On a CPU a small model spends its time in many short
operations, which gain little from a second thread and stall when anything else runs; there the requests are dealt out
to one lane per core. The lanes beside the first run in processes forked for the call: a fork sees the weights as they
are, needs no copy and no start-up, and is gone afterwards. How requests are dealt out depends on the call and the
number of threads alone, so a call repeated gives the same tokens bit for bit.
"""

import itertools
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch

from ponder.errors import ModelError
from ponder.policy.memory import retried
from ponder.policy.policy import Policy
from ponder.policy.storage import cast_once
from ponder.policy.turned import few_rows
from ponder.recipe.rollout import Sampling
from ponder.records import Completion, WeightSpan
from ponder.rollout.completion import complete
from ponder.rollout.engine import GenerationState, OnFinish, OnProgress, Renewal, Request, check_fits, refuse_guides
from ponder.rollout.forks import Forks, Share
from ponder.rollout.lane import NOT_FINITE, Finished, Step, closed_lane
from ponder.rollout.probe import check_sampling
from ponder.rollout.room import Room, room_of

__all__ = ["LocalEngine"]

_MAX_LANE_PARAMETERS = 100_000_000
"""Larger models use all threads in one lane: every lane streams all weights from memory at every step."""
_MIN_LANE_SAMPLES = 8
"""A lane for fewer samples is not worth a process."""
_REPORT_SECONDS = 0.25
"""Least time between progress reports."""

_Place = tuple[int, int]
"""A completion's place in the result: index of the request, index of the seed."""


class LocalEngine:
    """Continuous batching over at most `max_slots` sequences at a time.

    `lanes` is the number of processes that share the work, on a GPU one, which no fork survives; None takes one per
    thread of torch where that helps.
    `cache_bytes` is what keys and values may take in all, None for any: rows wait until there is room for them. The
    policy's weights must not change while a call runs. Everything a call allocates is freed when it returns.
    """

    def __init__(
        self, policy: Policy, max_slots: int = 256, lanes: int | None = None, cache_bytes: int | None = None
    ) -> None:
        self._policy = policy
        self._cache_bytes = cache_bytes
        self._room: Room | None = None  # known with the first call
        self._max_slots = max_slots
        self._lanes = lanes if policy.device.type == "cpu" else 1

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
        """See `RenewableEngine`. Callbacks run in this thread, inside `no_grad` and autocast."""
        check_fits(requests, max_tokens, self._policy.window)
        refuse_guides(requests)
        call = _Call(self._policy, requests, weight_version, on_finish, on_progress)
        slots = before = self._max_slots

        def lessen(reason: str) -> None:
            nonlocal slots
            if slots == 1:
                raise ModelError(
                    f"Memory ran out while a single completion was sampled ({reason}). Lower sampling.max_tokens, or "
                    f"use a smaller model."
                )
            slots = max(1, min(slots, call.missing) // 2)
            self._max_slots = max(slots, before // 2)  # a few long ones at a call's end say little of later calls
            warnings.warn(
                f"Memory ran out while sampling ({reason}); what is not finished is sampled again, at most {slots} "
                f"completions at a time, with the same seeds. `engine.max_slots` sets that from the start.",
                stacklevel=5,
            )

        stop = None if renewal is None else renewal.due
        retried(lambda: self._sample(call, sampling, max_tokens, slots, stop), lessen)
        while call.missing and renewal is not None:
            call.renew(renewal.take())
            retried(lambda: self._sample(call, sampling, max_tokens, slots, stop), lessen)
        return call.completions()

    def _sample(
        self, call: "_Call", sampling: Sampling, max_tokens: int, slots: int, stop: Callable[[], bool] | None = None
    ) -> None:
        """Finish what the call is still missing, at most `slots` at a time, or go on until it is to stop."""
        policy = self._policy
        requests, seeds, places = call.rest()
        wanted = _lanes_for(policy) if self._lanes is None else self._lanes
        room = self._room_for(requests, max_tokens)
        most = slots if room is None else min(slots, room.completions(requests, max_tokens))
        shares = _deal(seeds, min(wanted, most))
        if room is not None and requests and requests[0].begun:  # as many as have room, whatever length each has by now
            slots, room = max(1, most), None
        threads, was_training = torch.get_num_threads(), policy.model.training
        policy.model.train(False)
        try:
            with torch.no_grad(), cast_once(policy.model), policy.autocast(), few_rows(policy), Forks() as forks:
                check_sampling(policy)
                if len(shares) > 1:
                    torch.set_num_threads(1)  # a forked process has none of its parent's worker threads
                lanes = []
                for i, share in enumerate(shares):
                    rows = slots // len(shares) + (i < slots % len(shares))
                    part = None if room is None else room.shared(len(shares))
                    lanes.append(closed_lane(policy, _part(requests, share), sampling, max_tokens, rows, part))
                shares = [[places[place] for place in share] for share in shares]
                for lane, share in zip(lanes[1:], shares[1:], strict=True):
                    forks.start(lane, share, stop)
                for step in lanes[0].steps(stop):
                    call.take(step, shares[0])
                    for other, theirs in forks.received():
                        call.take(other, theirs)
                del lanes
                while forks.running:
                    for other, theirs in forks.received(wait_seconds=_REPORT_SECONDS):
                        call.take(other, theirs)
        finally:
            torch.set_num_threads(threads)
            policy.model.train(was_training)

    def _room_for(self, requests: Sequence[Request], max_tokens: int) -> Room | None:
        """Where memory is bounded and there is anything to sample: what it may be. ModelError where that is too little
        for a single completion."""
        if self._cache_bytes is None or not requests:
            return None
        if self._room is None:
            self._room = room_of(self._policy, self._cache_bytes)
        self._room.check(max(len(one.prompt_ids) - one.begun for one in requests), max_tokens)
        return self._room


class _Call:
    """The results of one call to `generate` as they come in."""

    def __init__(
        self,
        policy: Policy,
        requests: Sequence[Request],
        weight_version: int,
        on_finish: OnFinish | None,
        on_progress: OnProgress | None,
    ) -> None:
        self._requests, self._weight_version = requests, weight_version
        self._on_finish, self._on_progress = on_finish, on_progress
        self._voice = policy.voice()
        self._silent = self._voice.silent_ids()
        self._done: dict[_Place, Completion] = {}
        self._begun: dict[_Place, _Begun] = {}
        self._total = sum(len(r.seeds) for r in requests)
        self._tokens = 0
        self._started = self._reported = time.monotonic()

    def take(self, step: Step, share: Share) -> None:
        """Make completions of what a lane finished; its sample i stands at place `share[i]`."""
        if step.failed:
            raise ModelError(NOT_FINITE)
        self._tokens += step.tokens
        for finished in step.finished:
            place = share[finished.sample]
            completion = self._done[place] = self._completion(finished, place)
            if self._on_finish is not None:
                self._on_finish(self._requests[place[0]].key, place[1], completion)
        for begun in step.begun:
            known = self._begun.setdefault(share[begun.sample], _Begun())
            known.extend(begun.token_ids.tolist(), begun.logprobs.tolist(), self._weight_version)
        now = time.monotonic()
        if self._on_progress is not None and now - self._reported >= _REPORT_SECONDS:
            self._reported = now
            self._on_progress(
                GenerationState(
                    tokens=self._tokens, finished=len(self._done), total=self._total, seconds=now - self._started
                )
            )

    @property
    def missing(self) -> int:
        """How many completions are not finished."""
        return self._total - len(self._done)

    def renew(self, weight_version: int) -> None:
        """What comes now is drawn by these weights."""
        self._weight_version = weight_version

    def rest(self) -> tuple[list[Request], list[list[int]], dict[_Place, _Place]]:
        """What is to be drawn: requests, the indices of their seeds, and which place of the call each place of theirs
        is. A completion that is begun is a request of its own, before all others."""
        requests, seeds = list[Request](), list[list[int]]()
        places: dict[_Place, _Place] = {}
        for (i, j), begun in self._begun.items():
            if (i, j) not in self._done:
                places[len(requests), 0] = i, j
                prompt_ids = (*self._requests[i].prompt_ids, *begun.token_ids)
                one = replace(self._requests[i], prompt_ids=prompt_ids, begun=len(begun.token_ids))
                requests.append(replace(one, seeds=(self._requests[i].seeds[j],)))
                seeds.append([0])
        for i, request in enumerate(self._requests):
            left = [j for j in range(len(request.seeds)) if (i, j) not in self._done and (i, j) not in self._begun]
            places.update({(len(requests), j): (i, j) for j in left})
            requests.append(request)
            seeds.append(left)
        return requests, seeds, places

    def completions(self) -> list[tuple[Completion, ...]]:
        return [tuple(self._done[i, j] for j in range(len(r.seeds))) for i, r in enumerate(self._requests)]

    def _completion(self, finished: Finished, place: _Place) -> Completion:
        whole = self._begun.get(place, _Begun())
        whole.extend(finished.token_ids.tolist(), finished.logprobs.tolist(), self._weight_version)
        return complete(
            self._voice,
            self._silent,
            whole.token_ids,
            whole.logprobs,
            finished.reason,
            whole.spans[0].version,
            self._requests[place[0]].seeds[place[1]],
            spans=tuple(whole.spans) if len(whole.spans) > 1 else (),
        )


@dataclass(slots=True)
class _Begun:
    """What a completion has so far."""

    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    spans: list[WeightSpan] = field(default_factory=list)

    def extend(self, token_ids: Sequence[int], logprobs: Sequence[float], version: int) -> None:
        """More of it, drawn by weights of this version."""
        self.token_ids += token_ids
        self.logprobs += logprobs
        if self.spans and self.spans[-1].version == version:
            self.spans.pop()
        self.spans.append(WeightSpan(version=version, stop=len(self.token_ids)))


def _lanes_for(policy: Policy) -> int:
    small = sum(p.numel() for p in policy.model.parameters()) <= _MAX_LANE_PARAMETERS
    return torch.get_num_threads() if small and policy.device.type == "cpu" and sys.platform == "linux" else 1


def _deal(seeds_of_requests: Sequence[Sequence[int]], lanes: int) -> list[list[_Place]]:
    """Equal shares of all samples. Neighbouring requests go to different lanes, since they may be alike in length; the
    samples of a request stay together where they can."""
    total = sum(map(len, seeds_of_requests))
    lanes = max(1, min(lanes, total // _MIN_LANE_SAMPLES))
    order = [i for lane in range(lanes) for i in range(lane, len(seeds_of_requests), lanes)]
    places = [(i, j) for i in order for j in seeds_of_requests[i]]
    cuts = [total * lane // lanes for lane in range(lanes + 1)]
    return [places[start:stop] for start, stop in itertools.pairwise(cuts)]


def _part(requests: Sequence[Request], share: Share) -> list[Request]:
    """The requests of a share, each with its seeds in that share."""
    seeds: dict[int, list[int]] = {}
    for i, j in share:
        seeds.setdefault(i, []).append(requests[i].seeds[j])
    return [
        Request(prompt_ids=requests[i].prompt_ids, seeds=tuple(s), key=requests[i].key, begun=requests[i].begun)
        for i, s in seeds.items()
    ]
