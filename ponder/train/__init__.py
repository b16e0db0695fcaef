"""From samples to changed weights: packing, the trainer and its guard, schedules, checkpoints."""

from ponder.train.batch import Batch
from ponder.train.checkpoint import Checkpoint, CheckpointStore
from ponder.train.credit import credit, spread, weigh
from ponder.train.critic import CriticTrainer
from ponder.train.incident import load_incident
from ponder.train.open import AnyTrainer, open_trainer
from ponder.train.packing import pack, packed_tokens
from ponder.train.reference import Reference
from ponder.train.sample import Sample, TokenCredit
from ponder.train.schedule import learning_rate
from ponder.train.trainer import Loss, StepReport, Trainer

__all__ = [
    "AnyTrainer",
    "Batch",
    "Checkpoint",
    "CheckpointStore",
    "CriticTrainer",
    "Loss",
    "Reference",
    "Sample",
    "StepReport",
    "TokenCredit",
    "Trainer",
    "credit",
    "learning_rate",
    "load_incident",
    "open_trainer",
    "pack",
    "packed_tokens",
    "spread",
    "weigh",
]
