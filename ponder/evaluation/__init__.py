"""Measured accuracy: k samples per problem, estimates with intervals, every completion stored, scores that say when
they should not be believed.

    problems + policy + engine -> ProblemResult (completions with verdicts) -> Scores -> evaluation/*.json

What is listed here reads and writes scores and needs no torch; `evaluation.evaluate` samples, `evaluation.benchmark`
finds benchmarks and `evaluation.command` is `ponder eval`.
"""

from ponder.evaluation.estimate import Difference, bootstrap_interval, consensus, paired_difference, pass_at_k
from ponder.evaluation.results import JudgedCompletion, ProblemResult, completions_path, read_results
from ponder.evaluation.scores import (
    INVALID_ABOVE,
    Score,
    Scores,
    load_scores,
    read_scores,
    save_scores,
    scores_path,
    write_scores,
)

__all__ = [
    "INVALID_ABOVE",
    "Difference",
    "JudgedCompletion",
    "ProblemResult",
    "Score",
    "Scores",
    "bootstrap_interval",
    "completions_path",
    "consensus",
    "load_scores",
    "paired_difference",
    "pass_at_k",
    "read_results",
    "read_scores",
    "save_scores",
    "scores_path",
    "write_scores",
]
