"""Watching a stage: metrics and rollouts on disk, live progress, and plain words when learning cannot happen.

In: what a stage measured at each step. Out: `metrics.jsonl`, `tensorboard/`, `rollouts/` in the stage's folder, lines
on the terminal, findings. Nothing here changes what a run computes.
"""

from ponder.watch.alarms import Alarm, AlarmLog, read_alarms
from ponder.watch.diagnose import Finding, diagnose, why_hopeless
from ponder.watch.keys import KEYS, Key
from ponder.watch.metrics import MetricsLog, read_metrics
from ponder.watch.phases import Phases
from ponder.watch.progress import Progress
from ponder.watch.rollouts import LoggedRollout, RolloutLog, read_last_step, read_rollouts
from ponder.watch.summary import summarize_groups

__all__ = [
    "KEYS",
    "Alarm",
    "AlarmLog",
    "Finding",
    "Key",
    "LoggedRollout",
    "MetricsLog",
    "Phases",
    "Progress",
    "RolloutLog",
    "diagnose",
    "read_alarms",
    "read_last_step",
    "read_metrics",
    "read_rollouts",
    "summarize_groups",
    "why_hopeless",
]
