"""Instruction following: the IFEval constraint types that need no model (arXiv 2311.07911)."""

from ponder.records import InstructionGold, Verdict

__all__ = ["check_instructions", "verify_instructions"]


def verify_instructions(answer_text: str, gold: InstructionGold) -> Verdict:
    """Right when every constraint holds."""
    return Verdict(outcome="cannot_tell", reason="no constraint type is known yet")


def check_instructions(gold: InstructionGold) -> str | None:
    """Why this gold is unusable, or None."""
    return "no constraint type is known yet"
