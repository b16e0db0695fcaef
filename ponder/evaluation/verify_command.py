"""`ponder verify`: judge the answers in a file, or judge a run's stored rollouts again.

Rows in, the same rows out in the same order, each with `verdict` (right, wrong, cannot_tell), `reason` and `score`; at
the end totals. A row that cannot be judged (no such field, unreadable gold, not JSON) is a row out, too, with the fault
as its reason and `"fault": true`, and is listed with its number; the rest goes on.
"""

import json
import sys
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO, Any, get_args

from pydantic import ValidationError

from ponder.errors import DataError, ModelError, VerifierError
from ponder.recipe.problems import ChoiceNumbers, FileProblems, GoldKind, ProblemColumns
from ponder.records import Gold, OwnGold, Problem, Verdict, from_json
from ponder.sandbox.isolation import Least
from ponder.task.cell import ABSENT, cell
from ponder.task.fault import RowFault, known_names
from ponder.task.gold import GOLDS, choice_readings, unpacked
from ponder.task.numbered import Readings, settled
from ponder.task.plain import plain_json, plain_value
from ponder.task.table import Row, read_rows
from ponder.text.template import Template, template_for
from ponder.text.think import Response, ThinkParser
from ponder.verify import check_gold
from ponder.verify.format import check_form, pay_form
from ponder.verify.pool import VerifierPool

__all__ = ["KINDS", "Totals", "verify_command", "verify_rows"]

KINDS: tuple[str, ...] = (*get_args(GoldKind), "format")
"""What `--kind` may be."""
_AHEAD = 2_000
"""Rows in the pool at one time."""
_LISTED = 20
_NUMBERS = ("numbers", "nums")
_OPTIONS = ("options", "choices")


@dataclass(slots=True)
class Totals:
    """What came out: verdicts, rows with a fault, and rescored rollouts whose stored verdict was another."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    changed: int = 0
    rescored: int = 0
    causes: Mapping[str, int] = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        """The totals for people."""
        total = self.outcomes.total()
        yield f"{total} rows: " + ", ".join(
            f"{self.outcomes[name]} {name} ({self.outcomes[name] / total:.2%})" if total else f"0 {name}"
            for name in ("right", "wrong", "cannot_tell")
        )
        if self.rescored:
            yield f"{self.changed} of {self.rescored} stored verdicts are now different"
        causes = {name: n for name, n in self.causes.items() if name not in ("right", "wrong", "cannot_tell")}
        if causes:
            yield "causes: " + ", ".join(f"{name} {number}" for name, number in sorted(causes.items()))
        if self.faults:
            yield f"{len(self.faults)} rows could not be judged:"
            yield from (f"  {fault}" for fault in self.faults[:_LISTED])
            if len(self.faults) > _LISTED:
                yield f"  and {len(self.faults) - _LISTED} more"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """A row ready to be judged. `response` is the whole completion where its form is judged, with or without a gold;
    `stored` is a rollout's earlier outcome."""

    answer: str | None
    gold: Gold | None
    response: Response | None = None
    stored: str | None = None


def verify_command(
    file: Path,
    *,
    kind: str | None = None,
    gold: str | None = None,
    answer: str | None = None,
    out: Path | None = None,
    workers: int | None = None,
    deadline_seconds: float = 5.0,
    template: str | None = None,
    isolation: Least = "auto",
) -> Totals:
    """Judge every row of `file` (JSONL, JSON, CSV, TSV, Parquet, each also gzipped) or, where it is a run's or a
    stage's folder, every stored rollout.

    `kind` is one of KINDS, `gold` and `answer` name the fields with the gold and with the text to judge; rows that are
    rollouts need none of the three. Rows go to `out` (JSONL), or else to standard output and the totals to standard
    error. `template` is the prompt form of whole completions (rollouts, `format`), by default the one saved with the
    stage's model, or r1-zero. DataError and VerifierError for what concerns the file or the command as a whole.
    """
    if kind is not None and kind not in KINDS:
        raise VerifierError(f"There is no kind {kind!r}. {known_names(kind, KINDS)}.")
    missing = [name for name, value in (("--gold", gold), ("--answer", answer)) if value is None]
    if kind is not None and missing and not (kind == "format" and missing == ["--gold"]):
        raise VerifierError(
            f"--kind {kind} was given without {' and '.join(missing)}. It needs the names of two fields of the rows: "
            f"--gold, with what is right, and --answer, with the text to judge."
        )
    if out is not None and out.exists() and file.exists() and out.samefile(file):
        raise VerifierError(
            f"The output {out} is the very file to judge, which would be lost. Give --out another name."
        )
    rows, form = _rows(file, template)
    rows = chain([first for first in [next(rows, None)] if first is not None], rows)  # an unreadable file ends here
    with ExitStack() as stack:
        if out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)
            stream: IO[str] = stack.enter_context(out.open("w", encoding="utf-8", errors="backslashreplace"))
        else:
            stream = sys.stdout
        pool = stack.enter_context(
            VerifierPool(workers=workers, deadline_seconds=deadline_seconds, isolation=isolation)
        )
        totals = Totals()
        for row in verify_rows(rows, pool, totals, kind=kind, gold=gold, answer=answer, form=form):
            stream.write(plain_json(row, ascii_only=out is None) + "\n")
        totals.causes = pool.counters()
    for line in totals.lines():
        print(line, file=sys.stdout if out is not None else sys.stderr)
    return totals


def verify_rows(
    rows: Iterator[Row],
    pool: VerifierPool,
    totals: Totals,
    *,
    kind: str | None,
    gold: str | None,
    answer: str | None,
    form: Template,
) -> Iterator[dict[str, Any]]:
    """Every row with its verdict, in order; `totals` is filled on the way."""
    numbers = None
    if kind == "choice" and gold is not None:
        rows = iter(read := list(rows))
        numbers = settled(_readings(row.values, gold) for row in read if row.values is not None)
    waiting: deque[tuple[Row, _Question | str, Future[Verdict]]] = deque()
    for row in rows:
        question: _Question | str
        try:
            question = _question(row, kind, gold, answer, form, numbers)
        except RowFault as fault:
            question = f"row {row.number}: {fault}"
        waiting.append((row, question, _judge(question, pool)))
        if len(waiting) >= _AHEAD:
            yield _finished(*waiting.popleft(), totals)
    while waiting:
        yield _finished(*waiting.popleft(), totals)


def _judge(question: _Question | str, pool: VerifierPool) -> Future[Verdict]:
    if isinstance(question, str):
        return _known(Verdict(outcome="cannot_tell", reason=question))
    if question.response is not None:
        form = check_form(question.response, question.gold)
        if form.outcome != "right" or question.gold is None:
            return _known(form)
    assert question.gold is not None
    return pool.submit(question.answer, question.gold)


def _known(verdict: Verdict) -> Future[Verdict]:
    future: Future[Verdict] = Future()
    future.set_result(verdict)
    return future


def _finished(row: Row, question: _Question | str, future: Future[Verdict], totals: Totals) -> dict[str, Any]:
    verdict = future.result()
    if isinstance(question, _Question) and question.response is not None and question.gold is not None:
        form = check_form(question.response, question.gold)
        verdict = pay_form(verdict, question.gold) if form.outcome == "right" else form
    totals.outcomes[verdict.outcome] += 1
    result = {**(row.values or {"row": row.number}), "verdict": verdict.outcome, "reason": verdict.reason}
    result["score"] = verdict.score
    if isinstance(question, str):
        result["fault"] = True
        totals.faults.append(question)
    elif question.stored is not None:
        totals.rescored += 1
        totals.changed += question.stored != verdict.outcome
    return result


def _rows(file: Path, template: str | None) -> tuple[Iterator[Row], Template]:
    """The rows, and the form of whole completions among them."""
    if not file.is_dir():
        return iter(read_rows(file)), _form(file.absolute().parents, template)
    stores = sorted(path.parent for path in file.rglob("rollouts/rollouts-000000.jsonl"))
    if not stores:
        raise DataError(f"{file} is a folder without stored rollouts. Give a file, or the folder of a run or a stage.")
    paths = [path for store in stores for path in sorted(store.glob("rollouts-*.jsonl"))]
    return (row for path in paths for row in read_rows(path)), _form((stores[0].parent,), template)


def _form(folders: Any, template: str | None) -> Template:
    if template is None:
        for folder in folders:
            try:
                return template_for(folder / "model")
            except ModelError:
                continue
    return template_for(".", template or "r1-zero")


def _question(
    row: Row, kind: str | None, gold: str | None, answer: str | None, form: Template, numbers: ChoiceNumbers | None
) -> _Question:
    if row.values is None:
        raise RowFault(row.fault)
    if kind is None and isinstance(row.values.get("problem"), Mapping):
        return _rollout(row.values, form)
    if kind is None or answer is None:
        raise RowFault("not a stored rollout, so the command must give --kind, --gold and --answer")
    text = plain_value(_field(row.values, answer))
    if not isinstance(text, str):
        text = json.dumps(text) if text is not None else None
    if kind == "format":
        response = _response(text or "", form)
        judge = None if gold is None else _gold(row.values, _kind_of(row.values, gold), gold)
        return _Question(answer=response.answer, gold=judge, response=response)
    assert gold is not None
    right = _gold(row.values, kind, gold, numbers)
    return _Question(answer=None if text is None else _after_thinking(text), gold=right)


def _rollout(values: Mapping[str, Any], form: Template) -> _Question:
    """A line of a run's rollouts, or a `Rollout` as `to_json` writes it."""
    completion = values.get("completion", values)
    try:
        problem = from_json(Problem, values["problem"])
        text, finished = completion["text"], completion["finish_reason"] == "stop"
    except (ValidationError, KeyError, TypeError) as error:
        raise RowFault(f"not a rollout that ponder wrote: {str(error).splitlines()[0]}") from None
    if problem.gold is None:
        raise RowFault("the problem has no gold")
    if isinstance(problem.gold, OwnGold):
        raise RowFault(f"it is judged by your own function: `ponder try {problem.gold.function} --rollouts RUN`")
    unusable = check_gold(problem.gold)
    if unusable is not None:
        raise RowFault(unusable)
    verdict = values.get("verdict", values)
    stored = verdict.get("outcome") if isinstance(verdict, Mapping) else None
    return _Question(answer=form.split(text, finished=finished).answer, gold=problem.gold, stored=stored)


def _kind_of(values: Mapping[str, Any], name: str) -> str:
    """The kind of gold in a field: the one it names itself, or mathematics."""
    value = unpacked(_field(values, name))
    kind = value.get("kind") if isinstance(value, Mapping) else None
    return kind if isinstance(kind, str) and kind in GOLDS else "math"


def _response(text: str, form: Template) -> Response:
    parser = ThinkParser(answer_tags=form.answer_tags, think_tags=form.thinking)
    parser.feed(text if text.lstrip().startswith("<think>") else form.prefill + text)
    return parser.close()


def _after_thinking(text: str) -> str | None:
    if "</think>" in text:
        return text.rpartition("</think>")[2]
    return None if "<think>" in text else text


def _readings(values: Mapping[str, Any], name: str) -> Readings:
    """What a row's choice gold may mean where it is a number."""
    table = _table(values, "choice", name, None)
    return choice_readings(lambda column: _field(values, column), table)


def _gold(values: Mapping[str, Any], kind: str, name: str, numbers: ChoiceNumbers | None = None) -> Gold:
    value = unpacked(_field(values, name))
    if isinstance(value, Mapping) and value.get("kind") == kind:
        try:
            gold: Gold = from_json(Gold, value)  # type: ignore[arg-type]
        except ValidationError as error:
            raise RowFault(f"field {name!r}: {error.errors()[0]['msg']}") from None
    else:
        table = _table(values, kind, name, value, numbers)
        gold = GOLDS[kind](lambda column: _field(values, column), table)
    unusable = check_gold(gold)
    if unusable is not None:
        raise RowFault(unusable)
    return gold


def _table(
    values: Mapping[str, Any], kind: str, name: str, value: Any, numbers: ChoiceNumbers | None = None
) -> FileProblems:
    """Which fields of the row the gold is made of, told by the names they have in known sets."""
    names: dict[str, str] = {"answer": name}
    if kind == "expression" and isinstance(value, Mapping):
        names = {"numbers": f"{name}.numbers", "target": f"{name}.target"}
    elif kind == "expression":
        names = {"numbers": next((n for n in _NUMBERS if n in values), _NUMBERS[0]), "target": name}
    elif kind == "choice":
        names |= dict([("options", n) for n in _OPTIONS if n in values][:1])
    elif kind == "json":
        names = {"json_schema": name} | ({"values": "values"} if "values" in values else {})
    elif kind == "repository":
        names = {"tests": name} | ({"must_pass": "must_pass"} if "must_pass" in values else {})
    elif kind == "code":
        names = {"tests": name, "answer": "canonical_solution"}
        if {"entry_point", "prompt"} <= values.keys():
            names["entry_point"] = "entry_point"
    after = "####" if kind == "math" and isinstance(value, str) and "####" in value else None
    return FileProblems(
        path="",
        gold=kind,
        answer_after=after,
        choice_numbers=numbers,
        columns=ProblemColumns(**names),
    )


def _field(values: Mapping[str, Any], name: str) -> Any:
    """A field, found as sources find their columns."""
    value = cell(values, name)
    if value is not ABSENT:
        return value
    raise RowFault(f"there is no field {name!r}. {known_names(name, map(str, values))}")
