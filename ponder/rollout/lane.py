"""One stream of continuous batching: prompts, rows, sampling. Requests join and leave between any two steps.

A lane is run by `local.py` until its share of a closed batch is finished, in this process or in a forked one, and by
`live.py` for as long as there is anybody who asks; always inside `torch.no_grad()` and the policy's autocast.

While few samples run, a step costs about the same for one token of a row as for several, so the tokens that will
probably follow are computed along with the last one (`draft.py`), and those that prove right are kept. Forced tokens
are guesses that are right by decree.

Shapes: R rows, W rows with padding, J guesses per row, K = 1 + J positions per row, T packed tokens, D hidden size.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from ponder.policy.policy import Policy
from ponder.recipe.rollout import Sampling
from ponder.records import FinishReason
from ponder.rollout.cohorts import CohortKeys
from ponder.rollout.draft import Drafter, OpenDrafter
from ponder.rollout.drawing import Likeliest
from ponder.rollout.engine import Request
from ponder.rollout.guide import Guide
from ponder.rollout.keys import BatchKeys, Keys, OpenKeys
from ponder.rollout.recorded import Recorder
from ponder.rollout.room import Room
from ponder.rollout.rows import Rows, SampleSettings
from ponder.rollout.sampler import add_bias, allow, likeliest, sample, sample_rows, tempered, uniforms
from ponder.rollout.schedule import Schedule
from ponder.rollout.written import Written

__all__ = ["NOT_FINITE", "Begun", "Finished", "Lane", "Step", "closed_lane"]

_ROW_ROUND = 8
"""Rows are computed in multiples of this, so that matrix shapes recur: kernels are made once per shape."""
_MOST_FREE_TOKENS = 128
"""A forward pass of a closed lane may grow by this many guessed tokens ..."""
_STEP_FLOPS = 5e8
"""... and on a CPU by no more arithmetic than a step of a small model takes otherwise: about 5 ms of one core."""
_STEP_TOKENS_SMALL, _STEP_TOKENS, _STEP_TOKENS_GPU = 48, 20, 256
"""What a pass of an open lane costs whatever it computes, in tokens: on a CPU operations are started if the model is
small, and weights read if it is not; on a GPU both, and each token costs little."""

NOT_FINITE = (
    "The model's logits are not finite, so nothing can be sampled. Its weights hold NaN or infinite numbers or "
    "overflow in this precision: go back to an earlier checkpoint, or set precision: fp32."
)
_Index = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished sample by its number in the lane; ids end with the stop id where the reason is "stop"."""

    sample: int
    token_ids: npt.NDArray[np.int64]
    logprobs: npt.NDArray[np.float32]
    reason: FinishReason


@dataclass(frozen=True, slots=True)
class Begun:
    """What a sample has that is not finished; at least one token."""

    sample: int
    token_ids: npt.NDArray[np.int64]
    logprobs: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did: tokens sampled, samples finished, and samples that cannot go on, their logits not being
    finite; of a lane that stops here what its others have `begun`. `sample_N`, `token_N` and `logprob_N` are the tokens
    themselves, each sample's in their order; `top` has, for the samples that want to know, what could have stood in
    each token's place, most likely first."""

    tokens: int
    finished: tuple[Finished, ...] = ()
    failed: tuple[int, ...] = ()
    sample_N: _Index = field(default_factory=lambda: np.zeros(0, np.int64))
    token_N: _Index = field(default_factory=lambda: np.zeros(0, np.int64))
    logprob_N: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    top: dict[int, tuple[Likeliest, ...]] = field(default_factory=dict)
    begun: tuple[Begun, ...] = ()


class Lane:
    """Samples at most `max_rows` of the schedule's samples at a time.

    `sampling` is the one distribution of all rows, in the arithmetic that stored rollouts repeat bit for bit; without
    it every sample brings its own.
    """

    def __init__(
        self, policy: Policy, schedule: Schedule, keys: Keys, sampling: Sampling | None, most_rows: int | None = None
    ) -> None:
        """Rows are padded to no more than `most_rows`, which there is memory for."""
        self._policy, self._schedule, self._keys, self._sampling = policy, schedule, keys, sampling
        self._most_rows = most_rows
        self._recorder = Recorder(policy)
        self.read_head()
        self._stops = np.zeros(len(self._head_weight), np.bool_)
        self._stops[list(policy.stop_ids)] = True
        self._prompts: dict[int, Sequence[int]] = {}
        self._prompt_hidden: dict[int, torch.Tensor] = {}
        self._settings: dict[int, SampleSettings] = {}
        self._forced: dict[int, list[int]] = {}  # what samples must have next
        self._rows = Rows()
        self._written = Written()
        self._drafter = _drafter(policy, is_open=sampling is None)
        self._plain = False  # whether the next pass is one without guesses
        self._next_prompt = self._next_sample = 0

    def add(
        self,
        prompt_ids: Sequence[int],
        samples: Sequence[SampleSettings],
        *,
        priority: int = 0,
        owner: str | None = None,
        prompt_bytes: int = 0,
        row_bytes: int = 0,
    ) -> tuple[int, range]:
        """Sample completions of this prompt from the next step on; the numbers of the prompt and of the samples. Memory
        is set aside by the bytes given (`Schedule`)."""
        prompt, first = self._next_prompt, self._next_sample
        numbers = range(first, first + len(samples))
        if samples:
            self._prompts[prompt] = prompt_ids
            self._settings.update(zip(numbers, samples, strict=True))
            self._schedule.add(
                prompt,
                len(prompt_ids),
                numbers,
                priority=priority,
                owner=owner,
                prompt_bytes=prompt_bytes,
                row_bytes=row_bytes,
            )
            self._next_prompt, self._next_sample = prompt + 1, numbers.stop
            if self._sampling is None and self._drafter.useful and not samples[0].private:
                tokens_1L = np.array([prompt_ids], np.int64)  # answers quote what they are asked about
                self._drafter.learn(tokens_1L, np.zeros(len(prompt_ids), np.int64), np.arange(len(prompt_ids)))
        return prompt, numbers

    def cancel(self, samples: Sequence[int]) -> None:
        """Forget samples that are not finished; nothing more is computed for them."""
        for number in samples:
            self._schedule.cancel(number)
        self._forget(samples)

    def force(self, sample: int, token_ids: Sequence[int]) -> None:
        """The next tokens of a sample that is not finished are these, behind those it was told before."""
        if token_ids:
            self._forced.setdefault(sample, []).extend(token_ids)

    def forced(self, sample: int) -> Sequence[int]:
        """The tokens that a sample has been told and does not have yet."""
        return self._forced.get(sample, ())

    def read_head(self) -> None:
        """Take the output projection as it is now: after the weights have changed."""
        head = self._policy.head()
        self._head_weight = head.weight_VD.to(self._policy.autocast_dtype or torch.float32)
        self._head_bias, self._head_scale = head.bias_V, head.scale

    @property
    def vocabulary(self) -> int:
        """How many tokens the model knows."""
        return len(self._head_weight)

    def steps(self, stop: Callable[[], bool] | None = None) -> Iterator[Step]:
        """Run to the end, or until it is to stop; each step samples one token or more for every running sample, but for
        one that is to be computed once more. Of a lane that was stopped the last step says what it has begun."""
        while not self._schedule.done:
            if stop is not None and stop():
                yield Step(0, begun=self._begun())
                return
            yield self.step()

    def _begun(self) -> tuple[Begun, ...]:
        schedule = self._schedule
        rows = np.flatnonzero(schedule.live_R & (schedule.length_R > 0)).tolist()
        return tuple(
            Begun(int(schedule.sample_R[row]), *self._written.row(row, int(schedule.length_R[row]))) for row in rows
        )

    def step(self) -> Step:
        """Compute what prompts are next, seat what waits, sample for every row. May sample nothing: where prompts are
        still being computed, or nothing waits."""
        schedule = self._schedule
        kept_R = schedule.squeeze()
        if kept_R is not None:
            longest = int(schedule.length_R.max(initial=0))
            self._keys.keep_rows(kept_R, longest)
            self._written.keep(kept_R, longest)
            self._rows.keep(kept_R)
        self._prompt_hidden.update(self._keys.compute(schedule, self._prompts))
        new = schedule.seat()
        old = schedule.rows - new
        if new:
            self._rows.seat(schedule.sample_R[old:].tolist(), self._settings)
        if not schedule.rows:
            return Step(0)
        plain, self._plain = bool(new) or self._plain, False
        guess_RJ = np.zeros((schedule.rows, 0), np.int64) if plain else self._guess()
        return self._choose(self._next_hidden(old, new, guess_RJ), guess_RJ)

    def _guess(self) -> npt.NDArray[np.int64]:
        """What may follow, or must, as (R, J)."""
        guess_RJ = self._drafter.guess(self._written.tokens_RL, self._schedule.length_R, self._able())
        if forced := self._forced_rows():
            wanted = max(len(ids) for _, ids in forced)
            more = self._drafter.free_width(self._schedule.rows, wanted) - guess_RJ.shape[1]
            guess_RJ = np.pad(guess_RJ, ((0, 0), (0, max(0, more))), constant_values=-1)
            for row, ids in forced:
                known = ids[: guess_RJ.shape[1]]
                guess_RJ[row] = -1
                guess_RJ[row, : len(known)] = known
        guess_RJ[self._rows.guided] = -1  # what may follow shows after each token
        return guess_RJ

    def _able(self) -> npt.NDArray[np.bool_]:
        """The rows whose next tokens may be guessed: not those that share nothing, nor those that are told what they
        may be or must."""
        able_R = ~self._rows.private_R
        able_R[self._rows.guided] = False
        able_R[[row for row, _ in self._forced_rows()]] = False
        return able_R

    def _next_hidden(self, old: int, new: int, guess_RJ: npt.NDArray[np.int64]) -> torch.Tensor:
        """The states that the next tokens are made of, K per row: `old` rows get their last token and their guesses
        computed, `new` ones, which have no guesses, have it from their prompt."""
        schedule, device = self._schedule, self._policy.device
        parts = []
        if old:
            padding = (0, self._padding(old))
            last_R = self._written.tokens_RL[np.arange(old), schedule.length_R[:old] - 1]
            token_RK = np.concatenate([last_R[:, None], np.maximum(guess_RJ[:old], 0)], 1)
            token_WK = np.pad(token_RK, (padding, (0, 0)))
            positions = token_WK.shape[1]
            layout, before_W = self._keys.layout(schedule, old, len(token_WK), positions)
            position_WK = before_W[:, None] + np.arange(positions)
            hidden_TD = self._recorder.hidden(
                torch.from_numpy(token_WK.reshape(1, -1)).to(device),
                # a guess may lie beyond the window; it is never kept, but its position must be one the model has
                torch.from_numpy(np.minimum(position_WK, self._policy.window - 1).reshape(1, -1)).to(device),
                layout,
                self._keys.cache,
            )
            parts.append(hidden_TD[: old * positions])
        if new:
            first_ND = torch.stack([self._prompt_hidden[prompt] for prompt in schedule.prompt_R[old:].tolist()])
            parts.append(first_ND.to(parts[0].dtype if parts else torch.float32))
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def _padding(self, rows: int) -> int:
        padding = -rows % _ROW_ROUND
        return padding if self._most_rows is None else max(0, min(padding, self._most_rows - rows))

    def _choose(self, hidden_TD: torch.Tensor, guess_RJ: npt.NDArray[np.int64]) -> Step:
        """Sample every row's next token, and those after it that were guessed; let go of the finished rows."""
        schedule, limit_R = self._schedule, self._rows.limit_R
        positions = 1 + guess_RJ.shape[1]
        place_RK = schedule.length_R[:, None] + np.arange(positions)
        token_RK, logprob_RK, finite_RK, top_RK = self._sample(hidden_TD, place_RK)
        live_R = schedule.live_R.copy()
        right_RJ = np.equal(guess_RJ, token_RK[:, :-1])
        self._drafter.judge(guess_RJ, token_RK, live_R & self._able())
        # A token counts while all guesses before it were right, no token before it ended the sample, and there is room.
        stop_RK = self._stopping(token_RK)
        goes_on_RK = np.concatenate([live_R[:, None], right_RJ & ~stop_RK[:, :-1]], 1)
        until_R = np.where(schedule.length_R < self._rows.pause_R, self._rows.pause_R, limit_R)
        kept_RK = np.logical_and.accumulate(goes_on_RK, 1) & (place_RK < until_R[:, None])
        failed_R = np.logical_or.reduce(kept_RK & ~finite_RK, 1)
        kept_RK &= np.logical_and.accumulate(finite_RK, 1)
        # It may be what was computed along that is no number, and spoils what stands before it: in an open lane, where
        # strangers share a pass, once more without. A closed one has failed as a whole.
        spoilt_R = failed_R & (positions > 1 and self._sampling is None)
        failed_R &= ~spoilt_R
        self._plain = bool(spoilt_R.any())
        row_N, position_N = np.nonzero(kept_RK)
        place_N = place_RK[row_N, position_N]
        token_N, logprob_N = token_RK[row_N, position_N], logprob_RK[row_N, position_N]
        if len(row_N):
            self._written.write(row_N, place_N, token_N, logprob_N)
            self._learn(row_N, place_N)
        for row in self._rows.guided:
            if kept_RK[row, 0]:
                self._guide(row).take(int(token_RK[row, 0]))
        kept_R = kept_RK.sum(1)
        schedule.extend(kept_R)
        for row in np.flatnonzero(spoilt_R).tolist():
            keys = cast(OpenKeys, self._keys)
            keys.clean(int(schedule.sample_R[row]), max(0, int(schedule.length_R[row]) - 1))
        stopped_R = np.logical_or.reduce(kept_RK & stop_RK, 1)
        finished_R = live_R & ~failed_R & (stopped_R | (schedule.length_R >= limit_R))
        for row, ids in self._forced_rows():
            del ids[: int(kept_R[row])]
        step = Step(
            tokens=len(row_N),
            finished=tuple(
                Finished(
                    int(schedule.sample_R[row]),
                    *self._written.row(row, int(schedule.length_R[row])),
                    "stop" if stopped_R[row] else "length",
                )
                for row in np.flatnonzero(finished_R).tolist()
            ),
            failed=tuple(schedule.sample_R[failed_R].tolist()),
            sample_N=schedule.sample_R[row_N],
            token_N=token_N,
            logprob_N=logprob_N,
            top={int(schedule.sample_R[row]): tuple(tops[: kept_RK[row].sum()]) for row, tops in top_RK.items()},
        )
        schedule.release(finished_R | failed_R)
        self._forget([*(one.sample for one in step.finished), *step.failed])
        return step

    def _sample(
        self, hidden_TD: torch.Tensor, place_RK: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.bool_], dict[int, list[Likeliest]]]:
        """A token, its log-prob and whether that is a number for every place, each drawn by the place's own random
        number; and the most likely tokens of each place of the rows that want them."""
        logits_TV = functional.linear(hidden_TD.to(self._head_weight.dtype), self._head_weight).float()
        if self._head_bias is not None:
            logits_TV += self._head_bias
        if self._head_scale != 1:
            logits_TV *= self._head_scale
        positions = place_RK.shape[1]
        seed_T = np.repeat(self._rows.seed_R, positions)
        number_RK = place_RK + self._rows.first_R[:, None]
        uniform_T = torch.from_numpy(uniforms(seed_T, number_RK.reshape(-1))).to(logits_TV.device)
        if self._sampling is not None:
            token_T, logprob_T = sample(logits_TV, uniform_T, self._sampling)
            token, logprob = token_T.cpu().numpy(), logprob_T.cpu().numpy()
            finite = np.isfinite(logprob)
            top: dict[int, list[Likeliest]] = {}
        else:
            token, logprob, finite, top = self._sample_rows(logits_TV, uniform_T, positions)
        return token.reshape(place_RK.shape), logprob.reshape(place_RK.shape), finite.reshape(place_RK.shape), top

    def _sample_rows(
        self, logits_TV: torch.Tensor, uniform_T: torch.Tensor, positions: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.bool_], dict[int, list[Likeliest]]]:
        """As `_sample`, every row by its own drawing, or with the tokens it is forced to have."""
        drawings = [settings.drawing for settings in self._rows.settings for _ in range(positions)]
        for row in self._rows.with_bias:
            add_bias(logits_TV[row * positions : (row + 1) * positions], self._rows.settings[row].bias)
        if self._rows.guided:
            self._restrict(logits_TV, positions)
        forced = [
            (row * positions + i, token) for row, ids in self._forced_rows() for i, token in enumerate(ids[:positions])
        ]
        if forced:
            place_F = torch.tensor([place for place, _ in forced], device=logits_TV.device)
            token_F = torch.tensor([token for _, token in forced], device=logits_TV.device)
            logprob_FV = tempered(logits_TV[place_F], [drawings[place] for place, _ in forced])
        token_T, logprob_T, mass_TV = sample_rows(logits_TV, uniform_T, drawings)
        finite = np.isfinite(logprob_T.cpu().numpy())
        if forced:
            token_T[place_F], logprob_T[place_F] = token_F, logprob_FV.gather(1, token_F[:, None])[:, 0]
        top: dict[int, list[Likeliest]] = {}
        if rows := self._rows.with_top:
            if forced:
                mass_TV[place_F] = logprob_FV.exp()
            place_M = torch.tensor([row * positions + i for row in rows for i in range(positions)])
            counts = [self._rows.settings[row].top for row in rows for _ in range(positions)]
            found = likeliest(mass_TV[place_M.to(mass_TV.device)], counts)
            top = {row: found[i * positions : (i + 1) * positions] for i, row in enumerate(rows)}
        return token_T.cpu().numpy(), logprob_T.cpu().numpy(), finite, top

    def _restrict(self, logits_TV: torch.Tensor, positions: int) -> None:
        """Leave the guided rows the tokens that their guides allow, which a forced one may be or is forced no more."""
        rows = [row for row in self._rows.guided if self._schedule.live_R[row]]
        if not rows:
            return
        allowed_MV = np.stack([self._guide(row).allowed() for row in rows])
        for row, ids in self._forced_rows():
            if row in rows and not allowed_MV[rows.index(row), ids[0]]:
                ids.clear()
        allow(logits_TV, [row * positions for row in rows], allowed_MV)

    def _guide(self, row: int) -> Guide:
        guide = self._rows.settings[row].guide
        assert guide is not None
        return guide

    def _stopping(self, token_RK: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Whether a token ends its sample."""
        stop_RK: npt.NDArray[np.bool_] = self._stops[token_RK]
        for row in self._rows.with_stop_ids:
            stop_ids = self._rows.settings[row].stop_ids
            assert stop_ids is not None
            stop_RK[row] = [token in stop_ids for token in token_RK[row].tolist()]
        return stop_RK

    def _learn(self, row_N: _Index, place_N: _Index) -> None:
        """Remember the new tokens of all who share."""
        if not self._drafter.useful:
            return
        if self._rows.private_R.any():
            shared_N = ~self._rows.private_R[row_N]
            row_N, place_N = row_N[shared_N], place_N[shared_N]
        self._drafter.learn(self._written.tokens_RL, row_N, place_N)

    def _forced_rows(self) -> list[tuple[int, list[int]]]:
        """The live rows that must have certain tokens next."""
        if not self._forced:
            return []
        sample_R, live_R = self._schedule.sample_R.tolist(), self._schedule.live_R.tolist()
        return [
            (row, self._forced[sample])
            for row, (sample, live) in enumerate(zip(sample_R, live_R, strict=True))
            if live and self._forced.get(sample)
        ]

    def _forget(self, samples: Sequence[int]) -> None:
        """Drop what is kept of samples that have finished, and of prompts whose last one has."""
        for number in samples:
            del self._settings[number]
            self._forced.pop(number, None)
        ended = self._schedule.take_ended()
        for prompt in ended:
            del self._prompts[prompt]
            self._prompt_hidden.pop(prompt, None)
        if samples:
            self._keys.drop(ended, samples)


def closed_lane(
    policy: Policy,
    requests: Sequence[Request],
    sampling: Sampling,
    max_tokens: int,
    max_rows: int,
    room: Room | None = None,
) -> Lane:
    """A lane for all of `requests`, at most `max_rows` of their samples at a time and no more than there is `room` for,
    numbered in order."""
    prompt_bytes = row_bytes = 0
    memory = most_rows = None
    if room is not None and room.completions(requests, max_tokens) < max_rows:  # it is tight
        memory, max_rows = room.bytes, room.completions(requests, max_tokens)
        most_rows = max_rows
        prompt_bytes, row_bytes = room.sizes(max(len(one.prompt_ids) for one in requests), max_tokens)
    keys = BatchKeys(policy, max_tokens, most_rows) if policy.fallback is None else CohortKeys(policy)
    lane = Lane(policy, Schedule(max_rows, memory=memory), keys, sampling, most_rows)
    for request in requests:
        limit = max_tokens - request.begun
        settings = [SampleSettings(seed=seed, limit=limit, first=request.begun) for seed in request.seeds]
        lane.add(request.prompt_ids, settings, prompt_bytes=prompt_bytes, row_bytes=row_bytes)
    return lane


def _drafter(policy: Policy, *, is_open: bool) -> Drafter:
    free_tokens = _free_tokens(policy)
    if not is_open or policy.fallback is not None:
        return Drafter(free_tokens)
    small = _STEP_TOKENS_SMALL if free_tokens else _STEP_TOKENS
    step_tokens = small if policy.device.type == "cpu" else _STEP_TOKENS_GPU
    return OpenDrafter(max(free_tokens, step_tokens), step_tokens)


def _free_tokens(policy: Policy) -> int:
    """How many tokens a forward pass may grow by at little cost: on a GPU it waits for the weights to be read, with a
    small model on a CPU for the next operation to be started."""
    if policy.fallback is not None:  # what its own cache has taken in, a model cannot forget
        return 0
    if policy.device.type != "cpu":
        return _MOST_FREE_TOKENS
    flops_per_token = 2 * sum(p.numel() for p in policy.model.parameters())
    return min(_MOST_FREE_TOKENS, int(_STEP_FLOPS / flops_per_token))
