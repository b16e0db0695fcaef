"""One stream of continuous batching: prompts, rows, sampling, until every sample of its share is finished.

A lane is given its requests and yields what it finished after each step. It is run by `local.py`, in this process or in
a forked one, inside `torch.no_grad()` and the policy's autocast.

While few samples run, a step costs about the same for one token of a row as for several, so the tokens that will
probably follow are computed along with the last one (`draft.py`), and those that prove right are kept.

Shapes: R rows, W rows with padding, J guesses per row, K = 1 + J positions per row, T packed tokens, D hidden size.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from ponder.errors import ModelError
from ponder.policy.attention import attention_dtype
from ponder.policy.policy import Policy
from ponder.recipe.rollout import Sampling
from ponder.records import FinishReason
from ponder.rollout.draft import Drafter
from ponder.rollout.engine import Request
from ponder.rollout.sampler import sample, uniforms
from ponder.rollout.schedule import Schedule
from ponder.rollout.slots import PromptLayout, SlotCache, SlotLayout
from ponder.rollout.written import Written

__all__ = ["Finished", "Lane", "Step"]

_ROW_ROUND = 8
"""Rows are computed in multiples of this, so that matrix shapes recur: kernels are made once per shape."""
_SEED_MASK = (1 << 64) - 1
_MOST_FREE_TOKENS = 128
"""A forward pass may grow by this many guessed tokens ..."""
_STEP_FLOPS = 5e8
"""... and on a CPU by no more arithmetic than a step of a small model takes otherwise: about 5 ms of one core."""


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
        self._cache = SlotCache(attention_dtype(policy.device, dtype), policy.device)
        head = policy.head()
        self._head_weight = head.weight_VD.to(dtype)
        self._head_bias, self._head_scale = head.bias_V, head.scale
        self._stops = np.zeros(len(head.weight_VD), np.bool_)
        self._stops[list(policy.stop_ids)] = True
        self._prompt_hidden_GD = torch.zeros(0, head.weight_VD.shape[1], device=policy.device)
        self._written = Written()
        self._drafter = Drafter(_free_tokens(policy))

    def steps(self) -> Iterator[Step]:
        """Run to the end; each step samples one token for every running sample."""
        schedule = self._schedule
        while not schedule.done:
            kept_R = schedule.squeeze()
            if kept_R is not None:
                longest = int(schedule.length_R.max(initial=0))
                self._cache.keep_rows(kept_R, longest)
                self._written.keep(kept_R, longest)
            if prompts := schedule.prompts_to_compute():
                self._compute_prompts(prompts)
            new = schedule.seat()
            old = schedule.rows - new
            if new:
                guess_RJ = np.zeros((schedule.rows, 0), np.int64)
            else:
                guess_RJ = self._drafter.guess(self._written.tokens_RL, schedule.length_R)
            yield self._choose(self._next_hidden(old, new, guess_RJ), guess_RJ)

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

    def _next_hidden(self, old: int, new: int, guess_RJ: npt.NDArray[np.int64]) -> torch.Tensor:
        """The states that the next tokens are made of, K per row: `old` rows get their last token and their guesses
        computed, `new` ones, which have no guesses, have it from their prompt."""
        schedule, device = self._schedule, self._policy.device
        parts = []
        if old:
            padding = (0, -old % _ROW_ROUND)
            live_R, length_R = schedule.live_R[:old], schedule.length_R[:old]
            shortest = int(length_R[live_R].min(initial=self._max_tokens))  # idle rows read and write as little
            length_W = np.pad(np.where(live_R, length_R, shortest), padding, constant_values=shortest)
            prompt_W = np.pad(schedule.prompt_R[:old], padding)
            last_R = self._written.tokens_RL[np.arange(old), schedule.length_R[:old] - 1]
            token_RK = np.concatenate([last_R[:, None], np.maximum(guess_RJ[:old], 0)], 1)
            token_WK = np.pad(token_RK, (padding, (0, 0)))
            positions = token_WK.shape[1]
            position_WK = (self._cache.prompt_lengths_G[prompt_W] + length_W - 1)[:, None] + np.arange(positions)
            layout = SlotLayout(self._cache, prompt_W, length_W, np.pad(live_R, padding), device, positions)
            hidden_TD = self._policy.hidden(
                torch.from_numpy(token_WK.reshape(1, -1)).to(device),
                # a guess may lie beyond the window; it is never kept, but its position must be one the model has
                torch.from_numpy(np.minimum(position_WK, self._policy.window - 1).reshape(1, -1)).to(device),
                layout,
                self._cache,
            )
            parts.append(hidden_TD[: old * positions])
        if new:
            prompts = torch.from_numpy(schedule.prompt_R[old:]).to(device)
            parts.append(self._prompt_hidden_GD[prompts].to(parts[0].dtype if parts else torch.float32))
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def _choose(self, hidden_TD: torch.Tensor, guess_RJ: npt.NDArray[np.int64]) -> Step:
        """Sample every row's next token, and those after it that were guessed; let go of the finished rows."""
        schedule = self._schedule
        positions = 1 + guess_RJ.shape[1]
        place_RK = schedule.length_R[:, None] + np.arange(positions)
        token_RK, logprob_RK = self._sample(hidden_TD, np.repeat(schedule.sample_R, positions), place_RK)
        live_R = schedule.live_R.copy()
        right_RJ = np.equal(guess_RJ, token_RK[:, :-1])
        self._drafter.judge(guess_RJ[live_R], right_RJ[live_R])
        # A token counts while all guesses before it were right, no token before it ended the sample, and there is room.
        stop_RK: npt.NDArray[np.bool_] = self._stops[token_RK]
        goes_on_RK = np.concatenate([live_R[:, None], right_RJ & ~stop_RK[:, :-1]], 1)
        kept_RK = np.logical_and.accumulate(goes_on_RK, 1) & (place_RK < self._max_tokens)
        row_N, position_N = np.nonzero(kept_RK)
        place_N = place_RK[row_N, position_N]
        self._written.write(row_N, place_N, token_RK[row_N, position_N], logprob_RK[row_N, position_N])
        if self._drafter.useful:
            self._drafter.learn(self._written.tokens_RL, row_N, place_N)
        schedule.extend(kept_RK.sum(1))
        stopped_R = np.logical_or.reduce(kept_RK & stop_RK, 1)
        finished_R = live_R & (stopped_R | (schedule.length_R >= self._max_tokens))
        schedule.release(finished_R)
        return Step(
            tokens=len(row_N),
            finished=tuple(
                Finished(
                    int(schedule.sample_R[row]),
                    *self._written.row(row, int(schedule.length_R[row])),
                    "stop" if stopped_R[row] else "length",
                )
                for row in np.flatnonzero(finished_R).tolist()
            ),
        )

    def _sample(
        self, hidden_TD: torch.Tensor, sample_T: npt.NDArray[np.int64], place_RK: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """A token and its log-prob for every place, each drawn by the place's own random number."""
        logits_TV = functional.linear(hidden_TD.to(self._head_weight.dtype), self._head_weight).float()
        if self._head_bias is not None:
            logits_TV += self._head_bias
        if self._head_scale != 1:
            logits_TV *= self._head_scale
        uniform_T = torch.from_numpy(uniforms(self._seeds[sample_T], place_RK.reshape(-1))).to(logits_TV.device)
        token_T, logprob_T = sample(logits_TV, uniform_T, self._sampling)
        token, logprob = token_T.cpu().numpy(), logprob_T.cpu().numpy()
        if not np.isfinite(logprob).all():
            raise ModelError(
                "The model's logits are not finite, so nothing can be sampled. Its weights hold NaN or infinite "
                "numbers or overflow in this precision: go back to an earlier checkpoint, or set precision: fp32."
            )
        return token.reshape(place_RK.shape), logprob.reshape(place_RK.shape)


def _free_tokens(policy: Policy) -> int:
    """How many tokens a forward pass may grow by at little cost: on a GPU it waits for the weights to be read, with a
    small model on a CPU for the next operation to be started."""
    if policy.device.type != "cpu":
        return _MOST_FREE_TOKENS
    flops_per_token = 2 * sum(p.numel() for p in policy.model.parameters())
    return min(_MOST_FREE_TOKENS, int(_STEP_FLOPS / flops_per_token))
