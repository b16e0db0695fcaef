"""The problems that a benchmark, or a part of it, asks of a model, and what its scores say of them."""

from collections.abc import Callable
from typing import Any

from ponder.evaluation.benchmark import Benchmark, own_code
from ponder.records import Problem
from ponder.task import load_problems

__all__ = ["read_material"]


def read_material(
    benchmark: Benchmark, limit: int | None, judge_name: str | None, say: Callable[[str], None]
) -> tuple[tuple[Problem, ...], dict[str, Any]]:
    """The problems, `limit` of them spread evenly, and notes for the provenance. Rows that cannot be used are left
    out, counted and said."""
    loaded = load_problems(benchmark.problems, own_code(benchmark))
    if loaded.left_out:
        say(loaded.summary())
    problems = loaded.problems
    if limit is not None and limit < len(problems):
        say(f"{limit:,} of the {len(problems):,} problems of {benchmark.name}, spread evenly")
        problems = tuple(problems[i * len(problems) // limit] for i in range(limit))
    notes = {"benchmark": benchmark.model_dump(mode="json"), "rows_left_out": len(loaded.left_out), "judge": judge_name}
    return problems, notes
