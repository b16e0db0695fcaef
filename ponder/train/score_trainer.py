"""The trainer of reward models: forward_backward, optimizer_step, save, load over one scorer.

As in `trainer`, the gradient of a step does not depend on how its items were cut into passes: each item brings its
weight, and losses add up. The two answers of a pair are always in one pass.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from pathlib import Path

import torch

from ponder.algorithm import SCORE_LOSSES, Sum, add_metrics
from ponder.files import write_json
from ponder.policy.memory import TokenBudget
from ponder.policy.recompute import Recomputation
from ponder.policy.repeatable import Repeatable
from ponder.policy.scorer import Scored, ScoreModel, Scorer, pack_scored
from ponder.policy.scorer_load import load_score_weights, save_scorer
from ponder.ranks.team import ALONE, Team
from ponder.recipe.training import BatchLimits, Optimizer
from ponder.train.incident import incident_wanted
from ponder.train.packing import in_rounds
from ponder.train.trainer import StepReport
from ponder.train.updater import Updater

__all__ = ["Judgement", "ScoreTrainer"]

_NOTHING = Scored(prompt_ids=(0,), response_ids=((0,),))


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What one row of data says: of a pair's two texts the first is the better; of a single text whether it is safe.

    Example: Judgement(scored=Scored(prompt_ids=(5,), response_ids=((7, 1), (8, 1))), labels=(1.0, 0.0)).
    """

    scored: Scored
    labels: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.labels) != len(self.scored.response_ids):
            raise AssertionError(f"{len(self.scored.response_ids)} texts but the labels {self.labels}")


class ScoreTrainer:
    """Trains one scorer in place with the loss that its file names."""

    def __init__(
        self,
        scorer: Scorer,
        optimizer: Optimizer,
        limits: BatchLimits,
        incident_folder: Path,
        team: Team = ALONE,
    ) -> None:
        self._scorer, self._team = scorer, team
        self._repeatable = Repeatable(scorer.device)
        self._recomputation = Recomputation(scorer.model, limits, scorer.device, scorer.autocast_dtype)
        self._model = ScoreModel(scorer)
        team.shard(self._model, scorer.model.base_model)
        self._incident_folder = incident_folder
        self._loss = SCORE_LOSSES[scorer.file.loss]
        self._updater = Updater(scorer.model, optimizer, team)
        self._step_loss = 0.0
        self._items: Sequence[Judgement] = ()
        self._budget = TokenBudget(limits.tokens_per_micro_batch, halves=team.size == 1, asked=limits.asked)

    @property
    def tokens_per_micro_batch(self) -> int:
        """The most tokens of a pass: what was asked for, or less since memory ran out."""
        return self._budget.tokens

    @property
    def memory_halvings(self) -> int:
        """How often memory ran out."""
        return self._budget.halvings

    @property
    def skipped(self) -> int:
        """Updates skipped by the guard so far."""
        return self._updater.guard.skipped

    @property
    def version(self) -> int:
        """Updates made so far."""
        return self._updater.version

    def forward_backward(self, items: Sequence[Judgement]) -> dict[str, Sum]:
        """The gradient of the mean loss over `items`, which are one whole step. When memory runs out, the budget of a
        pass is halved and the step computed again. Raises ModelError when single items do not fit."""

        def attempt() -> dict[str, Sum]:
            self._scorer.model.zero_grad(set_to_none=True)
            self._step_loss, self._items = 0.0, items
            return self._accumulate(items)

        return self._budget.run(
            lambda: self._repeatable.run(attempt),
            lambda: self._alone(items),
            "Lower `max_tokens`, or use a smaller model.",
        )

    def optimizer_step(self, lr: float) -> StepReport:
        """Change the weights by the accumulated gradient, or skip it with a reason, and forget it in either case.
        Raises LearningError after too many skipped steps in a row."""
        norm, reason = self._updater.step(self._step_loss, lr)
        self._scorer.model.zero_grad(set_to_none=True)
        if reason is not None:
            self._updater.guard.check(reason, str(self._save_incident(reason)))
        return StepReport(grad_norm=norm, lr=lr, version=self.version, skipped=reason)

    def save(self, folder: Path) -> None:
        """Write `model/` (a scorer's folder), `optimizer.safetensors` and `trainer_state.json` into the folder."""
        save_scorer(self._scorer, folder / "model")
        self.save_state(folder)

    def save_state(self, folder: Path) -> None:
        """The part of `save` that is not the weights."""
        self._updater.save(folder, {"budget": self._budget.state()})

    def load(self, folder: Path) -> None:
        """Go on from what `save` wrote, bit for bit."""
        load_score_weights(self._scorer, folder / "model")
        self.load_state(folder)

    def load_state(self, folder: Path) -> None:
        """The part of `load` that is not the weights."""
        state = self._updater.load(folder)
        self._budget.restore(state["budget"])

    def weights(self) -> tuple[int, Iterator[tuple[str, torch.Tensor]]]:
        """The number of updates made, and every trained tensor with its name, as in `Trainer`."""
        trained = [(name, p) for name, p in self._scorer.model.named_parameters() if p.requires_grad]
        return self.version, ((name, self._team.whole(p.detach())) for name, p in trained)

    def publish(self) -> None:
        """Make the scorer that the trainer was given have the latest weights: it always does, they are its own."""

    def memory(self) -> dict[str, float]:
        """What other processes of the trainer hold, as metrics: there are none."""
        return {}

    def close(self) -> None:
        """End what the trainer has started: nothing."""

    def _alone(self, items: Sequence[Judgement]) -> int | None:
        """The tokens of the largest row where each has a pass of its own, else None."""
        scored = [item.scored for item in items]
        if any(len(members) > 1 for members in pack_scored(scored, self.tokens_per_micro_batch)):
            return None
        return max(one.tokens for one in scored)

    def _save_incident(self, reason: str) -> Path:
        """The rows of a skipped update as ids, for a person to look at: the file, or the folder if that has enough."""
        path = self._incident_folder
        if self._team.rank == 0 and incident_wanted(path, "update"):
            path /= f"update-{self.version:08d}-{self.skipped:04d}.json"
            write_json(path, {"reason": reason, "items": [asdict(item) for item in self._items]})
        return self._team.gather(path)[0]

    def _accumulate(self, items: Sequence[Judgement]) -> dict[str, Sum]:
        metrics: dict[str, Sum] = {}
        scored = [item.scored for item in items]
        passes = pack_scored(scored, self.tokens_per_micro_batch)
        sizes = [sum(scored[i].tokens for i in members) for members in passes]
        for dealt in in_rounds(passes, sizes, self._team.size):
            chosen = [items[i] for i in dealt[self._team.rank]]
            if not chosen:  # ranks compute together, so one without items must keep step
                (self._model([_NOTHING]).sum() * 0).backward()
                continue
            with self._recomputation.around(sum(item.scored.tokens for item in chosen)):
                scores_M = self._model([item.scored for item in chosen])
            labels_M = torch.tensor([label for item in chosen for label in item.labels], device=scores_M.device)
            loss, measured = self._loss(scores_M, labels_M, 1 / len(items))
            loss.backward()  # type: ignore[no-untyped-call]
            self._step_loss += float(loss.detach())
            metrics = add_metrics(metrics, measured)
        return reduce(add_metrics, self._team.gather(metrics))
