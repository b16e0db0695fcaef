"""The open engine: jobs join, are cancelled and end one by one, and every step says what is new of each.

    submit(job) -> number    step() -> pieces    cancel(job)    force(job, choice, ids)    load(version, tensors)

One lane in this process. Whoever calls it decides when a step is made; between steps it does nothing. An answer depends
on its job and the weights, not on the company that it was computed in.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch

from ponder.errors import BusyError, DataError, ModelError
from ponder.policy.policy import Policy
from ponder.policy.turned import few_rows
from ponder.recipe.rollout import Sampling
from ponder.records import Completion, FinishReason
from ponder.rollout.cohorts import CohortKeys
from ponder.rollout.completion import complete
from ponder.rollout.drawing import Drawing
from ponder.rollout.engine import Bounds, GenerationState, Job, Load, OnFinish, OnProgress, Piece, Request, check_fits
from ponder.rollout.keys import OpenKeys
from ponder.rollout.lane import NOT_FINITE, Lane
from ponder.rollout.probe import check_sampling
from ponder.rollout.rows import SampleSettings
from ponder.rollout.schedule import Schedule
from ponder.rollout.shelf_keys import ShelfKeys
from ponder.rollout.thoughts import Thoughts

__all__ = ["LiveEngine"]


@dataclass(slots=True)
class _Running:
    """A job that is not finished: where its prompt and its choices are in the lane."""

    prompt: int
    samples: dict[int, int]
    hit_tokens: int = 0


class LiveEngine:
    """See `OpenEngine`. The policy's weights change by `load` alone while there are jobs. `thinking_tokens` are those
    of what `generate` samples; jobs bring their own."""

    def __init__(
        self,
        policy: Policy,
        bounds: Bounds | None = None,
        weight_version: int = 0,
        thinking_tokens: int | None = None,
    ) -> None:
        self._policy, self._bounds, self._voice = policy, bounds or Bounds(), policy.voice()
        self._thinking_tokens = thinking_tokens
        self._thoughts = Thoughts(self._voice)
        self._version = weight_version
        self._loading: tuple[int, Mapping[str, torch.Tensor]] | None = None
        self._schedule = Schedule(self._bounds.rows, is_open=True, memory=self._bounds.memory_bytes)
        self._products = few_rows(policy)  # looks through all weights: not in every step
        with self._computing():
            check_sampling(policy)
            self._keys: OpenKeys = (
                ShelfKeys(policy, self._bounds.rows, self._bounds.cache_bytes)
                if policy.fallback is None
                else CohortKeys(policy)
            )
        self._lane = Lane(policy, self._schedule, self._keys, None)
        self._jobs: dict[int, _Running] = {}
        self._job_of_prompt: dict[int, int] = {}
        self._choice_of: dict[int, tuple[int, int]] = {}
        self._next_job = 0
        self._leaving: list[int] = []
        """Samples that are cancelled, and not forgotten yet: where many leave at once their keys are moved once."""

    @property
    def load_now(self) -> Load:
        self._let_go()
        return Load(
            jobs=len(self._jobs),
            rows=int(self._schedule.live_R.sum()),
            waiting_tokens=self._schedule.waiting_tokens,
            reserved_bytes=self._schedule.reserved,
            held_bytes=self._keys.held_bytes(),
            cached_bytes=self._keys.prefix.held_bytes,
            hit_tokens=self._keys.hit_tokens,
            miss_tokens=self._keys.miss_tokens,
            weight_version=self._version,
        )

    def submit(self, job: Job) -> int:
        """See `OpenEngine`."""
        self._let_go()
        prompt_bytes, row_bytes = self._check(job)
        settings = [
            SampleSettings(
                seed=seed,
                limit=job.max_tokens,
                drawing=job.drawing,
                stop_ids=job.stop_ids,
                private=job.salt is not None,
                bias=job.bias,
                guide=None if job.guide is None else job.guide.open(self._voice, self._lane.vocabulary),
                pause=job.thinking_tokens,
                top=job.top,
            )
            for seed in job.seeds
        ]
        prompt, samples = self._lane.add(
            job.prompt_ids,
            settings,
            priority=job.priority,
            owner=job.owner,
            prompt_bytes=prompt_bytes,
            row_bytes=row_bytes,
        )
        self._keys.expect(prompt, job.prompt_ids, len(samples), job.salt, job.public_tokens)
        number = self._next_job
        self._next_job += 1
        self._jobs[number] = _Running(prompt, dict(enumerate(samples)))
        self._job_of_prompt[prompt] = number
        for choice, sample in enumerate(samples):
            self._choice_of[sample] = number, choice
            self._lane.force(sample, job.forced)
            if job.thinking_tokens is not None:
                self._thoughts.begin(sample, job.thinking_tokens)
        return number

    def cancel(self, job: int, choice: int | None = None) -> None:
        """See `OpenEngine`."""
        running = self._jobs.get(job)
        if running is None:
            return
        for one in [choice] if choice is not None else list(running.samples):
            if one in running.samples:
                self._leaving.append(running.samples[one])
                self._end(running.samples[one])

    def force(self, job: int, choice: int, token_ids: Sequence[int]) -> None:
        """See `OpenEngine`."""
        self._check_ids(token_ids, "forced tokens")
        if job in self._jobs and choice in self._jobs[job].samples:
            self._lane.force(self._jobs[job].samples[choice], token_ids)

    def load(self, version: int, tensors: Mapping[str, torch.Tensor]) -> None:
        """See `OpenEngine`."""
        state = self._policy.model.state_dict()
        given = {state[name].data_ptr() for name in tensors if name in state}
        unknown = [name for name in tensors if name not in state]
        missing = [name for name, tensor in state.items() if name not in tensors and tensor.data_ptr() not in given]
        changed = [name for name in tensors if name in state and state[name].shape != tensors[name].shape]
        if wrong := [*unknown, *missing, *changed]:
            raise ModelError(
                f"Weights of version {version} do not fit the model: {len(unknown)} of its tensors are unknown, "
                f"{len(missing)} missing and {len(changed)} of another shape, such as {wrong[0]!r}. Load weights of "
                f"the same architecture, or begin anew with the other model."
            )
        self._let_go()
        self._loading = version, tensors
        self._schedule.paused = True
        self._load_when_idle()

    def step(self) -> list[Piece]:
        """See `OpenEngine`."""
        self._let_go()
        self._load_when_idle()
        with self._computing():
            step = self._lane.step()
        for prompt, hit in self._keys.take_hits().items():
            if prompt in self._job_of_prompt:
                self._jobs[self._job_of_prompt[prompt]].hit_tokens = hit
        reasons: dict[int, FinishReason | Literal["failed"]] = dict.fromkeys(step.failed, "failed")
        reasons.update({one.sample: one.reason for one in step.finished})
        tokens: dict[int, tuple[list[int], list[float]]] = {sample: ([], []) for sample in step.failed}
        for sample, token, logprob in zip(
            step.sample_N.tolist(), step.token_N.tolist(), step.logprob_N.tolist(), strict=True
        ):
            ids, logprobs = tokens.setdefault(sample, ([], []))
            ids.append(token)
            logprobs.append(logprob)
        pieces = []
        for sample, (ids, logprobs) in tokens.items():
            job, choice = self._choice_of[sample]
            reason = reasons.get(sample)
            pieces.append(
                Piece(
                    job=job,
                    choice=choice,
                    token_ids=tuple(ids),
                    logprobs=tuple(logprobs),
                    reason=reason,
                    hit_tokens=self._jobs[job].hit_tokens,
                    weight_version=self._version,
                    top=step.top.get(sample, ()),
                )
            )
            if reason is not None:
                self._end(sample)
            elif closing := self._thoughts.take(sample, ids, self._lane.forced(sample)):
                self._lane.force(sample, closing)
        return pieces

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        max_tokens: int,
        weight_version: int,
        on_finish: OnFinish | None = None,
        on_progress: OnProgress | None = None,
    ) -> list[tuple[Completion, ...]]:
        """See `Engine.generate`; only while there are no other jobs."""
        assert not self._jobs and weight_version == self._version, (len(self._jobs), weight_version, self._version)
        drawing = Drawing(temperature=sampling.temperature, top_p=sampling.top_p, top_k=sampling.top_k)
        check_fits(requests, max_tokens, self._policy.window)
        started, silent = time.monotonic(), self._voice.silent_ids()
        request_of = {
            self.submit(
                Job(
                    prompt_ids=r.prompt_ids,
                    seeds=r.seeds,
                    max_tokens=max_tokens,
                    key=r.key,
                    drawing=drawing,
                    guide=r.guide,
                    thinking_tokens=self._thinking_tokens,
                )
            ): i
            for i, r in enumerate(requests)
            if r.seeds
        }
        written: dict[tuple[int, int], tuple[list[int], list[float]]] = {}
        found: dict[tuple[int, int], Completion] = {}
        while self._jobs:
            for piece in self.step():
                place = request_of[piece.job], piece.choice
                if piece.reason == "failed":
                    guided = requests[place[0]].guide is not None
                    raise ModelError(f"{NOT_FINITE} Or its guide allowed nothing." if guided else NOT_FINITE)
                ids, logprobs = written.setdefault(place, ([], []))
                ids += piece.token_ids
                logprobs += piece.logprobs
                if piece.reason is not None:
                    request = requests[place[0]]
                    seed = request.seeds[piece.choice]
                    found[place] = complete(
                        self._voice,
                        silent,
                        ids,
                        logprobs,
                        piece.reason,
                        piece.weight_version,
                        seed,
                        guided=request.guide is not None,
                    )
                    if on_finish is not None:
                        on_finish(request.key, piece.choice, found[place])
            if on_progress is not None:
                tokens, total = sum(len(ids) for ids, _ in written.values()), sum(len(r.seeds) for r in requests)
                seconds = time.monotonic() - started
                on_progress(GenerationState(tokens=tokens, finished=len(found), total=total, seconds=seconds))
        return [tuple(found[i, j] for j in range(len(r.seeds))) for i, r in enumerate(requests)]

    def _end(self, sample: int) -> None:
        number, choice = self._choice_of.pop(sample)
        self._thoughts.forget(sample)
        running = self._jobs[number]
        del running.samples[choice]
        if not running.samples:
            del self._jobs[number], self._job_of_prompt[running.prompt]

    def _let_go(self) -> None:
        if self._leaving:
            self._lane.cancel(self._leaving)
            self._leaving.clear()

    def _load_when_idle(self) -> None:
        """Put the weights that wait into place once nothing of the old ones is in use."""
        if self._loading is None or self._schedule.busy:
            return
        self._version, tensors = self._loading
        self._policy.model.load_state_dict(tensors, strict=False)
        self._lane.read_head()
        self._keys.prefix.clear()
        self._loading, self._schedule.paused = None, False

    def _check(self, job: Job) -> tuple[int, int]:
        """The bytes of the job's prompt and of each of its rows; raises for what can never be done, or not now."""
        check_fits(
            [Request(prompt_ids=job.prompt_ids, seeds=job.seeds, key=job.key)], job.max_tokens, self._policy.window
        )
        if not job.seeds or job.max_tokens < 1:
            raise DataError(
                f"The request {job.key!r} asks for {len(job.seeds)} completions of at most {job.max_tokens} tokens: "
                f"ask for one of each at least."
            )
        if job.thinking_tokens is not None and job.thinking_tokens < 1:
            raise DataError(
                f"The request {job.key!r} allows {job.thinking_tokens} tokens of thinking: allow 1 at least, or let "
                f"the prompt end with an empty thought."
            )
        for ids, what in (
            (job.prompt_ids, "prompt"),
            (job.forced, "forced tokens"),
            (job.stop_ids or (), "stop ids"),
            ([token for token, _ in job.bias], "bias"),
        ):
            self._check_ids(ids, what)
        prompt_bytes, row_bytes = self._keys.job_bytes(len(job.prompt_ids), job.max_tokens)
        if prompt_bytes + row_bytes > self._bounds.memory_bytes:
            raise ModelError(
                f"The request {job.key!r} needs {prompt_bytes + row_bytes:,} bytes of keys and values for a prompt of "
                f"{len(job.prompt_ids)} and at most {job.max_tokens} new tokens, but the engine may use "
                f"{self._bounds.memory_bytes:,} in all. Ask for fewer tokens, or give the engine more memory."
            )
        waiting = self._schedule.waiting_tokens
        if self._schedule.waits(job.owner) and waiting + len(job.prompt_ids) > self._bounds.waiting_tokens:
            raise BusyError(
                f"Prompts of {waiting:,} tokens wait already, and at most {self._bounds.waiting_tokens:,} may: the "
                f"request {job.key!r} with {len(job.prompt_ids)} has no room now. Try again later."
            )
        return prompt_bytes, row_bytes

    def _check_ids(self, ids: Sequence[int] | frozenset[int], what: str) -> None:
        known = self._lane.vocabulary
        if wrong := [token for token in ids if not 0 <= token < known]:
            raise DataError(
                f"Token {wrong[0]} of the {what} is none of the model's {known}: give ids from 0 to {known - 1}."
            )

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """The arithmetic of every forward pass."""
        if self._policy.model.training:
            self._policy.model.train(False)
        with torch.no_grad(), self._policy.autocast(), self._products:
            yield
