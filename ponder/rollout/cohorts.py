"""The memory of models that run by their own code: one cache of transformers for each cohort of rows.

A cohort are the samples of one prompt that got their rows at once. They are of one length for as long as they run, so
no cache holds padding, whatever it keeps of the past: keys, states, the last inputs of a convolution. Each has a copy
of its prompt's cache. So several models calls make a step, one for each cohort.

Shapes: R rows, W rows with padding, T = W tokens, N members of a cohort, D hidden size.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ponder.errors import ModelError
from ponder.policy.policy import Policy
from ponder.rollout.prefix import PrefixCache
from ponder.rollout.schedule import Schedule

__all__ = ["CohortKeys"]

_MEASURED = (1, 33)
"""Tokens of the sequences by whose caches it is known what a token takes."""

_CACHES = ("past_key_values", "cache_params")
"""What models call the cache that they give and take."""
_Cache = dict[str, Any]

_Index = npt.NDArray[np.int64]


@dataclass(slots=True, eq=False)
class _Cohort:
    """Samples in the order of the cache's rows; those that have finished stay until they are most of them."""

    cache: _Cache
    samples: list[int]


class _Alone:
    """The layout of one sequence that begins a cache."""

    def __init__(self) -> None:
        self.cache: _Cache = {}

    def plain(self, model: Any, input_ids_1T: torch.Tensor) -> torch.Tensor:
        output = model(input_ids=input_ids_1T, use_cache=True)
        kind = next((one for one in _CACHES if output.get(one) is not None), None)
        if kind is None:
            raise ModelError(
                f"A {type(model).__name__} gives no cache back, so that it cannot be sampled from. It can be "
                f"trained on examples; to sample, take Qwen2, Qwen3, Llama, DeepSeek-V3 or a relative of them."
            )
        self.cache = {kind: output[kind]}
        hidden: torch.Tensor = output.last_hidden_state[0]
        return hidden


class _Together:
    """The layout of the next token of rows, each in its cohort; rows in none give zeros."""

    def __init__(self, cohorts: Sequence[_Cohort], row_of: Mapping[int, int]) -> None:
        self._cohorts, self._row_of = cohorts, row_of

    def plain(self, model: Any, input_ids_1T: torch.Tensor) -> torch.Tensor:
        hidden_TD: torch.Tensor | None = None
        for cohort in self._cohorts:
            row_N = [self._row_of.get(sample, 0) for sample in cohort.samples]
            output = model(input_ids=input_ids_1T[0, row_N][:, None], use_cache=True, **cohort.cache)
            states_ND = output.last_hidden_state[:, 0]
            if hidden_TD is None:
                hidden_TD = states_ND.new_zeros(input_ids_1T.shape[1], states_ND.shape[1])
            there = [i for i, sample in enumerate(cohort.samples) if sample in self._row_of]
            hidden_TD[[row_N[i] for i in there]] = states_ND[there]
        assert hidden_TD is not None, "no row is in a cohort"
        return hidden_TD


class CohortKeys:
    """See `Keys` and `OpenKeys`; nothing is kept for later prompts."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.prefix = PrefixCache(0)
        self.hit_tokens = self.miss_tokens = 0
        self._prompts: dict[int, tuple[_Cache, int]] = {}  # cache, length
        self._cohorts: list[_Cohort] = []
        self._cohort_of: dict[int, _Cohort] = {}  # of samples that have not finished
        self._sizes: tuple[int, int] | None = None

    @property
    def cache(self) -> None:
        return None

    def compute(self, schedule: Schedule, prompts: Mapping[int, Sequence[int]]) -> list[tuple[int, torch.Tensor]]:
        complete = []
        for prompt in schedule.begin():
            ids = prompts[prompt]
            cache, hidden_TD = self._run(ids)
            self._prompts[prompt] = cache, len(ids)
            self.miss_tokens += len(ids)
            complete.append((prompt, hidden_TD[-1].float()))
        schedule.computed([prompt for prompt, _ in complete])
        return complete

    def layout(self, schedule: Schedule, rows: int, width: int, positions: int) -> tuple[_Together, _Index]:
        assert positions == 1, "what its own cache has taken in, a model cannot forget"
        samples, live_R = schedule.sample_R[:rows].tolist(), schedule.live_R[:rows].tolist()
        row_of = {sample: row for row, (sample, live) in enumerate(zip(samples, live_R, strict=True)) if live}
        prompts = schedule.prompt_R[:rows].tolist()
        new: dict[int, list[int]] = {}
        for sample, row in row_of.items():
            if sample not in self._cohort_of:
                new.setdefault(prompts[row], []).append(sample)
        for prompt, members in new.items():
            cache = copy.deepcopy(self._prompts[prompt][0])
            _pick(cache, [0] * len(members), self._policy.device)
            cohort = _Cohort(cache, members)
            self._cohorts.append(cohort)
            self._cohort_of.update(dict.fromkeys(members, cohort))
        before_R = np.array([self._prompts[p][1] if p in self._prompts else 0 for p in prompts], np.int64)
        before_W = np.pad(before_R + schedule.length_R[:rows] - 1, (0, width - rows))
        return _Together(self._cohorts, row_of), before_W

    def keep_rows(self, kept_R: _Index, length: int) -> None:
        """Nothing moves: samples are found in their cohort."""

    def clean(self, sample: int, places: int) -> None:
        """Nothing is guessed for a model whose own cache forgets nothing."""

    def drop(self, prompts: Sequence[int], samples: Sequence[int]) -> None:
        touched = {id(self._cohort_of[one]): self._cohort_of.pop(one) for one in samples if one in self._cohort_of}
        for cohort in touched.values():
            left = [i for i, sample in enumerate(cohort.samples) if sample in self._cohort_of]
            if not left:
                self._cohorts.remove(cohort)
            elif 2 * len(left) <= len(cohort.samples):
                _pick(cohort.cache, left, self._policy.device)
                cohort.samples = [cohort.samples[i] for i in left]
        for prompt in prompts:
            self._prompts.pop(prompt, None)

    def job_bytes(self, prompt_tokens: int, max_tokens: int) -> tuple[int, int]:
        """A row has its own copy of its prompt."""
        if self._sizes is None:
            small, large = (_bytes(self._run([0] * count)[0]) for count in _MEASURED)
            each = -(-max(0, large - small) // (_MEASURED[1] - _MEASURED[0]))
            self._sizes = max(0, small - each * _MEASURED[0]), each
        fixed, each = self._sizes
        return fixed + each * prompt_tokens, fixed + each * (prompt_tokens + max_tokens)

    def held_bytes(self) -> int:
        return sum(_bytes(cache) for cache, _ in self._prompts.values()) + sum(
            _bytes(one.cache) for one in self._cohorts
        )

    def expect(
        self, prompt: int, ids: Sequence[int], samples: int, salt: str | None = None, public_tokens: int = 0
    ) -> None:
        """Nothing is made ready."""

    def take_hits(self) -> dict[int, int]:
        return {}

    def _run(self, ids: Sequence[int]) -> tuple[_Cache, torch.Tensor]:
        """The cache of a whole sequence, and its hidden states (T, D)."""
        layout = _Alone()
        ids_1T = torch.tensor([ids], device=self._policy.device)
        with torch.no_grad():
            hidden_TD = self._policy.hidden(ids_1T, torch.arange(len(ids), device=ids_1T.device)[None], layout)
        return layout.cache, hidden_TD


def _pick(cache: _Cache, rows: Sequence[int], device: torch.device) -> None:
    """These rows of a cache, some of them maybe several times."""
    for one in cache.values():
        one.reorder_cache(torch.tensor(rows, device=device))


def _bytes(cache: _Cache) -> int:
    """Of all tensors that a cache's layers hold."""
    held = [value for one in cache.values() for layer in one.layers for value in vars(layer).values()]
    nested = [one for value in held if isinstance(value, dict) for one in value.values()]
    return sum(value.nbytes for value in [*held, *nested] if isinstance(value, torch.Tensor))
