"""The trainer of a critic: values, forward_backward, optimizer_step, save, load over one critic.

As in `trainer`, the gradient of a step does not depend on how its samples were cut into micro-batches.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import torch

from ponder.algorithm import Sum, ValueTerms, add_metrics, value_loss
from ponder.files import write_text
from ponder.policy.critic import Critic, load_critic_weights, save_critic
from ponder.policy.memory import TokenBudget
from ponder.policy.recompute import Recomputation
from ponder.policy.repeatable import Repeatable
from ponder.recipe.training import BatchLimits, Optimizer
from ponder.train.batch import Batch
from ponder.train.incident import incident_wanted, samples_text
from ponder.train.packing import pack
from ponder.train.sample import Sample
from ponder.train.trainer import StepReport
from ponder.train.updater import Updater

__all__ = ["CriticTrainer"]

_ADVICE = "Lower `max_tokens`, or use a smaller model."


class CriticTrainer:
    """Trains one critic in place; `clip` is that of `value_loss`."""

    def __init__(
        self, critic: Critic, optimizer: Optimizer, limits: BatchLimits, clip: float | None, incident_folder: Path
    ) -> None:
        self._critic = critic
        self._clip = clip
        self._incident_folder = incident_folder
        self._repeatable = Repeatable(critic.device)
        self._recomputation = Recomputation(critic.model, limits, critic.device, critic.autocast_dtype)
        self._updater = Updater(critic.model, optimizer)
        self._loss = 0.0
        self._samples: Sequence[Sample] = ()
        self._budget = TokenBudget(limits.tokens_per_micro_batch)

    @property
    def tokens_per_micro_batch(self) -> int:
        """The most tokens of a pass: what was asked for, or less since memory ran out."""
        return self._budget.tokens

    @property
    def skipped(self) -> int:
        """Updates skipped by the guard so far."""
        return self._updater.guard.skipped

    @property
    def version(self) -> int:
        """Updates made so far."""
        return self._updater.version

    def values(self, samples: Sequence[Sample]) -> list[torch.Tensor]:
        """What the critic expects before each learnt token of every sample, on the CPU, without gradient."""
        return self._budget.run(lambda: self._values(samples), lambda: self._alone(samples), _ADVICE)

    def forward_backward(self, samples: Sequence[Sample]) -> dict[str, Sum]:
        """The gradient of the loss of these samples, which have credit and are one whole step. When memory runs out,
        the budget of a pass is halved and the step computed again. Raises ModelError when single ones do not fit."""

        def attempt() -> dict[str, Sum]:
            self._critic.model.zero_grad(set_to_none=True)
            self._loss, self._samples = 0.0, samples
            return self._accumulate(samples)

        return self._budget.run(lambda: self._repeatable.run(attempt), lambda: self._alone(samples), _ADVICE)

    def optimizer_step(self, lr: float) -> StepReport:
        """Change the weights by the accumulated gradient, or skip it with a reason, and forget it in either case.
        Raises LearningError after too many skipped steps in a row."""
        norm, reason = self._updater.step(self._loss, lr)
        self._critic.model.zero_grad(set_to_none=True)
        if reason is not None:
            self._updater.guard.check(f"the critic's: {reason}", str(self._save_incident(reason)))
        return StepReport(grad_norm=norm, lr=lr, version=self.version, skipped=reason)

    def save(self, folder: Path) -> None:
        """Write `model/`, `optimizer.safetensors` and `trainer_state.json` into the folder."""
        save_critic(self._critic, folder / "model")
        self._updater.save(folder, {"budget": self._budget.state()})

    def load(self, folder: Path) -> None:
        """Go on from what `save` wrote, bit for bit."""
        load_critic_weights(self._critic, folder / "model")
        state = self._updater.load(folder)
        self._budget.restore(state["budget"])

    def _alone(self, samples: Sequence[Sample]) -> int | None:
        """The tokens of the longest sample where each has a pass of its own, else None."""
        if any(len(members) > 1 for members in pack(samples, self.tokens_per_micro_batch)):
            return None
        return max(len(sample.prompt_ids) + len(sample.response_ids) for sample in samples)

    def _forward(self, batch: Batch) -> torch.Tensor:
        with self._recomputation.around(batch.input_ids_1T.shape[1]):
            values_M = self._critic.values(batch.input_ids_1T, batch.layout, batch.read_M)
        return values_M[: len(batch.weights_N)]

    def _accumulate(self, samples: Sequence[Sample]) -> dict[str, Sum]:
        metrics: dict[str, Sum] = {}
        for members in pack(samples, self.tokens_per_micro_batch):
            batch = Batch.of([samples[i] for i in members], self._critic.device)
            if batch.values_N is None or batch.returns_N is None:
                raise AssertionError("a critic learns from samples that have credit")
            terms = ValueTerms(
                values_N=self._forward(batch),
                old_N=batch.values_N,
                returns_N=batch.returns_N,
                weights_N=batch.weights_N,
            )
            loss, measured = value_loss(terms, self._clip)
            loss.backward()  # type: ignore[no-untyped-call]
            self._loss += float(loss.detach())
            metrics = add_metrics(metrics, measured)
        return metrics

    @torch.no_grad()
    def _values(self, samples: Sequence[Sample]) -> list[torch.Tensor]:
        result = [torch.empty(0)] * len(samples)
        for members in pack(samples, self.tokens_per_micro_batch):
            batch = Batch.of([samples[i] for i in members], self._critic.device)
            values_N = self._forward(batch).cpu()
            for i, values in zip(members, torch.split(values_N, list(batch.lengths)), strict=True):
                result[i] = values
        return result

    def _save_incident(self, reason: str) -> Path:
        """The samples of a skipped update, for a person to look at: the file, or the folder if that has enough."""
        if not incident_wanted(self._incident_folder, "critic"):
            return self._incident_folder
        path = self._incident_folder / f"critic-{self.version:08d}-{self.skipped:04d}.json"
        write_text(path, f'{{"reason": {json.dumps(reason)}, "samples": {samples_text(self._samples)}}}\n')
        return path
