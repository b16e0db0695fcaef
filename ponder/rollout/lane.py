"""One stream of continuous batching: prompts, rows, sampling, until every sample of its share is finished.

A lane is given its requests and yields what it finished after each step. It is run by `local.py`, in this process or in
a forked one, inside `torch.no_grad()` and the policy's autocast.

Shapes: R rows, W rows with padding, T packed prompt tokens, L places for sampled tokens, D hidden size.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from ponder.errors import ModelError
from ponder.policy.policy import Policy
from ponder.recipe.rollout import Sampling
from ponder.records import FinishReason
from ponder.rollout.engine import Request
from ponder.rollout.sampler import sample, uniforms
from ponder.rollout.schedule import Schedule
from ponder.rollout.slots import PromptLayout, SlotCache, SlotLayout

__all__ = ["Finished", "Lane", "Step"]

_ROW_ROUND = 8
"""Rows are computed in multiples of this, so that matrix shapes recur: kernels are made once per shape."""
_SEED_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished sample by its number in the lane; ids end with the stop id where the reason is "stop"."""

    sample: int
    token_ids: npt.NDArray[np.int64]
    logprobs: npt.NDArray[np.float32]
    reason: FinishReason


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did: tokens sampled, samples finished."""

    tokens: int
    finished: tuple[Finished, ...]


class Lane:
    """Samples all completions of `requests`, at most `max_rows` at a time."""

    def __init__(
        self, policy: Policy, requests: Sequence[Request], sampling: Sampling, max_tokens: int, max_rows: int
    ) -> None:
        self._policy = policy
        self._requests = requests
        self._sampling = sampling
        self._max_tokens = max_tokens
        self._seeds = np.array([seed & _SEED_MASK for r in requests for seed in r.seeds], np.uint64)
        self._prompt_lengths = np.array([len(r.prompt_ids) for r in requests], np.int64)
        self._schedule = Schedule(self._prompt_lengths.tolist(), [len(r.seeds) for r in requests], max_rows)
        dtype = policy.autocast_dtype or torch.float32
        self._cache = SlotCache(dtype)
        head = policy.head()
        self._head_weight = head.weight_VD.to(dtype)
        self._head_bias, self._head_scale = head.bias_V, head.scale
        self._stops = np.zeros(len(head.weight_VD), np.bool_)
        self._stops[list(policy.stop_ids)] = True
        self._prompt_hidden_GD = torch.zeros(0, head.weight_VD.shape[1], device=policy.device)
        self._tokens_RL = np.zeros((0, 0), np.int64)
        self._logprobs_RL = np.zeros((0, 0), np.float32)

    def steps(self) -> Iterator[Step]:
        """Run to the end; each step samples one token for every running sample."""
        schedule = self._schedule
        while not schedule.done:
            kept_R = schedule.squeeze()
            if kept_R is not None:
                self._cache.keep_rows(kept_R, int(schedule.length_R.max(initial=0)))
                self._tokens_RL, self._logprobs_RL = self._tokens_RL[kept_R], self._logprobs_RL[kept_R]
            if prompts := schedule.prompts_to_compute():
                self._compute_prompts(prompts)
            new = schedule.seat()
            hidden_RD = self._next_hidden(schedule.rows - new, new)
            yield self._choose(hidden_RD)

    def _compute_prompts(self, prompts: Sequence[int]) -> None:
        """Fill the cache with the prompts' keys and values; keep each one's last hidden state for the first token."""
        lengths = self._prompt_lengths[prompts]
        layout = PromptLayout(self._cache, lengths.tolist(), self._policy.device)
        ids_T = [token for p in prompts for token in self._requests[p].prompt_ids]
        hidden_TD = self._policy.hidden(
            torch.tensor([ids_T], device=self._policy.device), layout.position_ids_T[None], layout, self._cache
        )
        last = torch.from_numpy(np.cumsum(lengths) - 1).to(hidden_TD.device)
        kept_G = self._schedule.add_prompts(prompts)
        self._cache.add_prompts(kept_G, lengths.tolist())
        kept = torch.from_numpy(kept_G).to(hidden_TD.device)
        self._prompt_hidden_GD = torch.cat([self._prompt_hidden_GD[kept], hidden_TD[last].float()])

    def _next_hidden(self, old: int, new: int) -> torch.Tensor:
        """The state each row's next token is made of: `old` rows get their last token computed, `new` ones have it from
        their prompt."""
        schedule, device = self._schedule, self._policy.device
        parts = []
        if old:
            padding = (0, -old % _ROW_ROUND)
            live_R, length_R = schedule.live_R[:old], schedule.length_R[:old]
            shortest = int(length_R[live_R].min(initial=self._max_tokens))  # idle rows read and write as little
            length_W = np.pad(np.where(live_R, length_R, shortest), padding, constant_values=shortest)
            slot_W = np.pad(schedule.slot_R[:old], padding)
            last_R = self._tokens_RL[np.arange(old), schedule.length_R[:old] - 1]
            prompt_W = self._cache.prompt_lengths_G[slot_W]
            layout = SlotLayout(self._cache, slot_W, length_W, device)
            hidden_WD = self._policy.hidden(
                torch.from_numpy(np.pad(last_R, padding)[None]).to(device),
                torch.from_numpy((prompt_W + length_W - 1)[None]).to(device),
                layout,
                self._cache,
            )
            parts.append(hidden_WD[:old])
        if new:
            slots = torch.from_numpy(schedule.slot_R[old:]).to(device)
            parts.append(self._prompt_hidden_GD[slots].to(parts[0].dtype if parts else torch.float32))
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def _choose(self, hidden_RD: torch.Tensor) -> Step:
        """Sample every row's next token and let go of the finished ones."""
        schedule = self._schedule
        logits_RV = functional.linear(hidden_RD.to(self._head_weight.dtype), self._head_weight).float()
        if self._head_bias is not None:
            logits_RV += self._head_bias
        if self._head_scale != 1:
            logits_RV *= self._head_scale
        uniform_R = torch.from_numpy(uniforms(self._seeds[schedule.sample_R], schedule.length_R)).to(logits_RV.device)
        token_R, logprob_R = sample(logits_RV, uniform_R, self._sampling)
        token, logprob = token_R.cpu().numpy(), logprob_R.cpu().numpy()
        if not np.isfinite(logprob).all():
            raise ModelError(
                "The model's logits are not finite, so nothing can be sampled. Its weights hold NaN or infinite "
                "numbers or overflow in this precision: go back to an earlier checkpoint, or set precision: fp32."
            )
        live, place_R = schedule.live_R.copy(), schedule.length_R.copy()
        self._make_room(schedule.rows, int(place_R.max()) + 1)
        rows = np.flatnonzero(live)
        self._tokens_RL[rows, place_R[rows]] = token[rows]
        self._logprobs_RL[rows, place_R[rows]] = logprob[rows]
        stopped = self._stops[token]
        finished = live & (stopped | (place_R + 1 >= self._max_tokens))
        schedule.advance(finished)
        return Step(
            tokens=len(rows),
            finished=tuple(
                Finished(
                    int(schedule.sample_R[row]),
                    self._tokens_RL[row, : place_R[row] + 1].copy(),
                    self._logprobs_RL[row, : place_R[row] + 1].copy(),
                    "stop" if stopped[row] else "length",
                )
                for row in np.flatnonzero(finished).tolist()
            ),
        )

    def _make_room(self, rows: int, length: int) -> None:
        old_rows, old_length = self._tokens_RL.shape
        if rows > old_rows or length > old_length:
            grown = (
                (0, max(0, rows - old_rows)),
                (0, max(0, length - old_length, old_length // 2 * (length > old_length))),
            )
            self._tokens_RL = np.pad(self._tokens_RL, grown)
            self._logprobs_RL = np.pad(self._logprobs_RL, grown)
