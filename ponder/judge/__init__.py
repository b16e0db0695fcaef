"""Judges: is an answer right, which of two is better, is a response safe.

`judge` is the protocol, `rule` asks the verifiers, `chance` asks nobody, `model` asks a model, with the prompts and
forms of `correctness`, `pairwise` and `safety`.
"""

from ponder.judge.chance import ChanceJudge
from ponder.judge.judge import Answered, Judge, Pair, Preference
from ponder.judge.model import ModelJudge
from ponder.judge.rule import RuleJudge

__all__ = ["Answered", "ChanceJudge", "Judge", "ModelJudge", "Pair", "Preference", "RuleJudge"]
