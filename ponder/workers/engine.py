"""An engine in a process of its own: weights from a file, then any engine of ours over them."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ponder.policy import Policy
from ponder.policy.attention import register
from ponder.ranks.block import with_tensors
from ponder.recipe.rollout import EngineConfig, Sampling
from ponder.records import Completion
from ponder.rollout.engine import RenewableEngine, Request
from ponder.rollout.open import ENGINES, engine_kind
from ponder.workers.weights import Following, Published, check_probe, read_published

__all__ = ["EngineProgram", "EngineSetup"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSetup:
    """What an engine is told. `policy` has no weights yet."""

    policy: Policy
    config: EngineConfig


class EngineProgram:
    """The verbs of an engine's process."""

    def __init__(self, setup: EngineSetup) -> None:
        register()
        self._setup = setup
        self._policy: Policy | None = None
        self._engine: RenewableEngine | None = None

    def load(self, published: Published) -> float:
        """Draw from these weights from now on; the probe's mean difference. ModelError where they are not those that
        were published."""
        tensors = read_published(published)
        if self._policy is None:
            policy = replace(copy.deepcopy(self._setup.policy))
            with_tensors(policy.model, {name: one.clone() for name, one in tensors.items()})  # not of a file that goes
            torch.nn.Module.to(policy.model, policy.device)
            self._policy, self._engine = policy, self._open(policy)
        with torch.no_grad():
            for name, parameter in self._policy.model.named_parameters():
                parameter.copy_(tensors[name])
        return check_probe(self._policy, published)

    def draw(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        max_tokens: int,
        weight_version: int,
        newest: Path | None = None,
    ) -> tuple[list[tuple[Completion, ...]], str]:
        """See `RenewableEngine`. What is announced in `newest` is taken up meanwhile; its digest is told if it was."""
        assert self._engine is not None and self._policy is not None, "draw before load"
        if newest is None:
            return self._engine.generate(requests, sampling, max_tokens, weight_version), ""
        following = Following(newest, self._policy, weight_version)
        drawn = self._engine.generate(requests, sampling, max_tokens, weight_version, renewal=following)
        return drawn, following.digest

    def _open(self, policy: Policy) -> RenewableEngine:
        return ENGINES[engine_kind(self._setup.config, policy)](self._setup.config, policy)
