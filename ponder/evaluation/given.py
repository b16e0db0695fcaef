"""A baseline's answers from a file, as results of the same problems: what models are compared with (AlpacaEval,
Arena-Hard and others publish the answers of their reference models)."""

from collections.abc import Sequence
from pathlib import Path

from ponder.errors import DataError
from ponder.evaluation.results import JudgedCompletion, ProblemResult
from ponder.files import expand_path
from ponder.recipe.stages.evaluate import BaselineAnswers
from ponder.records import Problem, Verdict
from ponder.task.table import read_rows
from ponder.text.template import TEMPLATES, Template

__all__ = ["find_answers", "given_answers"]

_UNREAD = Verdict(outcome="cannot_tell", reason="a baseline's answer from a file: only a judge that reads it can tell")


def given_answers(answers: BaselineAnswers, results: Sequence[ProblemResult]) -> tuple[Template, list[ProblemResult]]:
    """The answer to each problem, once for every sample of a model's `results`, so that each is compared with it.
    DataError as of `find_answers`."""
    texts = find_answers(answers, [result.problem for result in results])
    found = []
    for result, text in zip(results, texts, strict=True):
        samples = [
            JudgedCompletion(text=text, tokens=0, finish_reason="stop", seed=one.seed, verdict=_UNREAD)
            for one in result.samples
        ]
        found.append(ProblemResult(problem=result.problem, samples=tuple(samples)))
    return TEMPLATES["plain"], found


def find_answers(answers: BaselineAnswers, problems: Sequence[Problem]) -> list[str]:
    """The answer to each problem. DataError where the file has none to one of them, or two, or a row that cannot be
    read."""
    path = expand_path(answers.path)
    known = _read(answers, path)
    questions = [problem.messages[-1].content for problem in problems]
    if lacking := [question for question in questions if _key(question) not in known]:
        raise DataError(
            f"The baseline's answers in {str(path)!r} lack {len(lacking)} of {len(problems)} questions, such as "
            f"{lacking[0][:80]!r}. Each must stand in column {answers.prompt!r} word for word as the benchmark asks "
            f"it. Complete the file, or name another column."
        )
    return [known[_key(question)] for question in questions]


def _read(answers: BaselineAnswers, path: Path) -> dict[str, str]:
    known: dict[str, str] = {}
    for row in read_rows(path):
        values = row.values or {}
        question, text = values.get(answers.prompt), values.get(answers.answer)
        if not isinstance(question, str) or not isinstance(text, str):
            raise DataError(
                f"Row {row.number} of the baseline's answers in {str(path)!r} cannot be used: expected texts in the "
                f"columns {answers.prompt!r} and {answers.answer!r}, got the columns {', '.join(map(repr, values))}"
                f"{'; ' + row.fault if row.fault else ''}. Name the columns with `prompt` and `answer`."
            )
        if known.setdefault(_key(question), text) != text:
            raise DataError(
                f"The baseline's answers in {str(path)!r} have two to one question, {question[:80]!r} (row "
                f"{row.number}). Leave one of them in the file."
            )
    return known


def _key(question: str) -> str:
    """Blanks at the ends are nobody's words."""
    return question.strip()
