"""What all trainers in several processes share: starting them, asking all at once, shared weights, the end.

What is trained stays in this process, too, for whoever reads it and for files. Its weights are those of the last
`publish`, in memory that rank 0 writes: on a CPU they are the model's own tensors. Ranks that are placed on other
machines write them to a file.
"""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from ponder.policy import Policy
from ponder.policy.scorer import Scorer
from ponder.ranks.block import WeightBlock, without_weights
from ponder.ranks.crew import Crew
from ponder.ranks.placed import PlacedCrew, PlacedRanks
from ponder.recipe.training import BatchLimits, Optimizer
from ponder.train.rank import RankSetup
from ponder.train.trainer import StepReport

__all__ = ["RankGroup"]

_MAKER = "ponder.train.rank:Rank"


class RankGroup:
    """`limits.ranks` processes that train one model. Raises RankError when one of them fails or is gone, which ends
    all."""

    def __init__(
        self,
        trained: Policy | Scorer,
        optimizer: Optimizer,
        limits: BatchLimits,
        incident_folder: Path,
        placed: PlacedRanks | None = None,
    ) -> None:
        self._model = trained.model
        self._stale = False
        self._block = WeightBlock.of(trained.model) if placed is None else placed.weights(trained.model)
        self._meeting = tempfile.TemporaryDirectory()  # as long as the ranks: NCCL meets there at its first exchange
        try:
            self._crew = self._started(trained, optimizer, limits, incident_folder, placed)
        except BaseException:
            self._let_go()
            raise
        self._facts = {"version": 0, "skipped": 0, "memory_halvings": 0}
        self._facts["tokens_per_micro_batch"] = limits.tokens_per_micro_batch

    def _started(
        self,
        trained: Policy | Scorer,
        optimizer: Optimizer,
        limits: BatchLimits,
        incident_folder: Path,
        placed: PlacedRanks | None,
    ) -> Crew | PlacedCrew:
        empty = without_weights(trained, trained.model)
        self._block.lend(trained.model)
        for buffer in empty.model.buffers():
            buffer.data = buffer.data.cpu()  # or every rank would unpickle it on the first GPU
        crew = None if placed is None else placed.crew(limits.ranks, _MAKER)
        setups = [
            RankSetup(
                rank=rank,
                size=limits.ranks,
                meeting=Path(self._meeting.name) / "meeting" if crew is None else crew.meeting,
                trained=empty,
                weights=self._block.told,
                optimizer=optimizer,
                limits=limits,
                incident_folder=incident_folder,
            )
            for rank in range(limits.ranks)
        ]
        if crew is None:
            assert isinstance(self._block, WeightBlock), "ranks of this machine share memory"
            return Crew(_MAKER, [(one,) for one in setups], [self._block.descriptor])
        crew.make([(one,) for one in setups])
        return crew

    @property
    def tokens_per_micro_batch(self) -> int:
        """The most tokens of a pass."""
        return self._facts["tokens_per_micro_batch"]

    @property
    def memory_halvings(self) -> int:
        """How often memory ran out."""
        return self._facts["memory_halvings"]

    @property
    def skipped(self) -> int:
        """Updates skipped by the guard so far."""
        return self._facts["skipped"]

    @property
    def version(self) -> int:
        """Updates made so far."""
        return self._facts["version"]

    @property
    def pids(self) -> list[int]:
        """The processes, by rank, where they are of this machine."""
        return self._crew.pids if isinstance(self._crew, Crew) else []

    def optimizer_step(self, lr: float) -> StepReport:
        """One step, made or skipped by all ranks."""
        report: StepReport = self._ask("optimizer_step", lr)
        self._stale = True
        return report

    def weights(self) -> tuple[int, Iterator[tuple[str, torch.Tensor]]]:
        """Those in this process, published anew."""
        self.publish()
        trained = ((name, p.detach()) for name, p in self._model.named_parameters() if p.requires_grad)
        return self.version, trained

    def publish(self) -> None:
        """Give what is in this process the weights of the latest update."""
        if self._stale:
            self._crew.call("publish")
            self._block.read(self._model)
            self._stale = False

    def memory(self) -> dict[str, float]:
        """Memory of the rank that holds most; the weights in shared memory that it has touched count, too."""
        return {"memory/rank_bytes": float(max(self._crew.resident_bytes()))}

    def close(self) -> None:
        """End the processes. The model keeps the weights that were last published."""
        self._crew.close()
        self._let_go()

    def _let_go(self) -> None:
        self._block.close()
        self._meeting.cleanup()

    def _settings(self) -> Mapping[str, Any]:
        """What is set of every rank's trainer before it does something."""
        return {}

    def _hand_out(self) -> None:
        self._block.write(self._model)
        self._crew.call("take")
        self._stale = False

    def _ask(self, verb: str, *arguments: Any, **named: Any) -> Any:
        value, self._facts = self._crew.call("ask", verb, self._settings(), arguments, named, doing=verb)[0]
        return value
