"""From samples to changed weights: packing, the trainer and its guard, schedules, checkpoints."""

from ponder.train.batch import Batch
from ponder.train.checkpoint import Checkpoint, CheckpointStore
from ponder.train.credit import credit, weigh
from ponder.train.incident import load_incident
from ponder.train.packing import pack, packed_tokens
from ponder.train.reference import Reference
from ponder.train.sample import Sample
from ponder.train.schedule import learning_rate
from ponder.train.trainer import Loss, StepReport, Trainer

__all__ = [
    "Batch",
    "Checkpoint",
    "CheckpointStore",
    "Loss",
    "Reference",
    "Sample",
    "StepReport",
    "Trainer",
    "credit",
    "learning_rate",
    "load_incident",
    "pack",
    "packed_tokens",
    "weigh",
]
