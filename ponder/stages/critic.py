"""The critic of an `rl` stage with the objective `ppo`.

It gives credit to the tokens of a rollout, and learns beside the policy from the same minibatches, with an optimizer of
its own.
"""

from collections.abc import Sequence
from pathlib import Path

from ponder.algorithm import metric_values
from ponder.policy import Policy
from ponder.policy.critic import Critic, critic_of, new_critic
from ponder.recipe.stages import RlStage
from ponder.stages.context import Context
from ponder.train import CriticTrainer, Sample, learning_rate, spread

__all__ = ["StageCritic"]


class StageCritic:
    """See above."""

    folder_name = "critic"
    """Where a checkpoint keeps it."""

    def __init__(self, context: Context[RlStage], policy: Policy) -> None:
        settings = context.config.learnt_critic()
        assert settings is not None
        self._config = context.config
        self._optimizer = settings.optimizer or context.config.optimizer
        self._from = settings.model
        self._model = self._begun(context, policy)
        self._trainer = CriticTrainer(
            self._model, self._optimizer, context.config.batch, settings.clip, context.folder / "incidents"
        )

    @property
    def window(self) -> int:
        """The most tokens that it reads."""
        return self._model.window

    def credit(self, groups: Sequence[Sequence[Sample]]) -> tuple[list[list[Sample]], dict[str, float]]:
        """The groups of a whole rollout with the credit of their tokens, and what that shows of the critic."""
        flat = [sample for group in groups for sample in group]
        credited, metrics = spread(flat, self._trainer.values(flat), self._config.objective)
        each = iter(credited)
        return [[next(each) for _ in group] for group in groups], metrics

    def update(self, samples: Sequence[Sample], step: int) -> tuple[dict[str, float], str | None]:
        """Learn from one minibatch: metrics, and why the weights stayed as they are, or None."""
        measured = self._trainer.forward_backward(samples)
        report = self._trainer.optimizer_step(learning_rate(self._optimizer, step, self._config.steps))
        return metric_values(measured) | {
            "critic/lr": report.lr,
            "critic/grad_norm": report.grad_norm,
            "critic/skipped": float(self._trainer.skipped),
        }, report.skipped

    def describe(self) -> str:
        """What the header of a run says of it."""
        objective = self._config.objective
        parameters = sum(p.numel() for p in self._model.model.parameters())
        begun = "as the policy, under a row of zeros" if self._from is None else f"as the reward model {self._from}"
        return (
            f"critic: {parameters:,} parameters, begun {begun}; lambda {objective.gae_lambda:g}, gamma "
            f"{objective.gae_gamma:g}, learning rate {self._optimizer.lr:g}"
        )

    def save(self, folder: Path) -> None:
        """Write it into a checkpoint."""
        (folder / self.folder_name).mkdir()
        self._trainer.save(folder / self.folder_name)

    def load(self, folder: Path) -> None:
        """Go on from a checkpoint, bit for bit."""
        self._trainer.load(folder / self.folder_name)

    def _begun(self, context: Context[RlStage], policy: Policy) -> Critic:
        if self._from is None:
            return new_critic(policy, context.config.model)
        return critic_of(context.model_source(self._from), policy)
