"""A trainer of reward models in several processes."""

from collections.abc import Sequence
from pathlib import Path

from ponder.algorithm import Sum
from ponder.policy.scorer import Scorer
from ponder.policy.scorer_load import load_score_weights, save_scorer
from ponder.ranks.placed import PlacedRanks
from ponder.recipe.training import BatchLimits, Optimizer
from ponder.train.rank_group import RankGroup
from ponder.train.score_trainer import Judgement

__all__ = ["ScoreTrainerGroup"]


class ScoreTrainerGroup(RankGroup):
    """See `ScoreTrainer` for the verbs."""

    def __init__(
        self,
        scorer: Scorer,
        optimizer: Optimizer,
        limits: BatchLimits,
        incident_folder: Path,
        placed: PlacedRanks | None = None,
    ) -> None:
        super().__init__(scorer, optimizer, limits, incident_folder, placed)
        self._scorer = scorer

    def forward_backward(self, items: Sequence[Judgement]) -> dict[str, Sum]:
        """The sums of all ranks."""
        metrics: dict[str, Sum] = self._ask("forward_backward", items)
        return metrics

    def save(self, folder: Path) -> None:
        """The weights as one process writes them, the optimizer's state in a folder `optimizer/`."""
        self.publish()
        save_scorer(self._scorer, folder / "model")
        self._ask("save_state", folder.absolute())

    def load(self, folder: Path) -> None:
        """From what any number of ranks, or one process, wrote."""
        load_score_weights(self._scorer, folder / "model")
        self._hand_out()
        self._ask("load_state", folder.absolute())
