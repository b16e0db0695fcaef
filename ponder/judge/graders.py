"""Judges as rewards at work: each response of a rollout put before every judge, once for each different question.

A judge at an endpoint is asked the moment a completion is there, beside sampling (`ask.courier`); a model in this
process after sampling, all of a rollout together, since both want the same processor. A reply that does not follow the
form is asked for once more. What came to nothing is a failure and never a grade; a judge that fails too often is a
stop, with its failures forgotten, so that the same command asks those again.
"""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from statistics import fmean
from typing import Protocol

from ponder.ask import Ask, Asker, Reply, RequestLog
from ponder.ask.courier import Answered, Courier
from ponder.errors import EndpointError, LearningError
from ponder.judge.graded import GradeForm
from ponder.own import Cause, Failure
from ponder.reward.grade import Grade, Graded
from ponder.reward.judged import Judged
from ponder.reward.rules import says_something

__all__ = ["EndpointGrader", "Grader", "JudgeSet", "LocalGrader", "Settled"]

_TRIES = 2
_OFF_FORMAT = "its replies do not follow the form"
_LEAST_FAILURES = 20
"""Failures in one rollout that are too many where they are also above `max_failures`; fewer may be chance."""
_LEAST_ASKED = 4
"""Different answers in one rollout of which a judge must say something about one."""
_NO_ANSWER = Grade(value=0.0, reason="nothing was answered")
_NOT_ASKED = Grade(reason="the problem has no gold to compare with")

Questions = tuple[Ask, ...]
"""The same question as often as it may be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """The grades of different questions in their order, the requests that were made for the step, their tokens (in and
    out) and cost, None where no price is known."""

    grades: tuple[Grade, ...]
    asked: int = 0
    tokens: int = 0
    cost: float | None = None


class Grader(Protocol):
    """One judge and who asks it."""

    name: str
    form: GradeForm

    def begin(self, questions: Questions, step: int) -> None:
        """Ask beside what else is done, where that is possible."""
        ...

    def settle(self, questions: Sequence[Questions], step: int) -> Settled:
        """The grades, all asked for. Raises EndpointError where going on makes no sense."""
        ...


class EndpointGrader:
    """See `Grader`; `courier` must take a reply for one that says something where `says(form)` does."""

    def __init__(self, name: str, form: GradeForm, courier: Courier, log: RequestLog, max_failures: float) -> None:
        self.name, self.form = name, form
        self._courier, self._log, self._max_failures = courier, log, max_failures
        self._under_way: dict[str, Future[Answered]] = {}

    def begin(self, questions: Questions, step: int) -> None:
        """See `Grader`."""
        key = self._courier.key(questions[0])
        if key not in self._under_way:
            self._under_way[key] = self._courier.send(questions, {"step": step})

    def settle(self, questions: Sequence[Questions], step: int) -> Settled:
        """See `Grader`."""
        for one in questions:
            self.begin(one, step)
        answered = [self._under_way[self._courier.key(one[0])].result() for one in questions]
        self._under_way.clear()
        grades = tuple(_grade(self.name, self.form, one.reply) for one in answered)
        self._stop_where_it_fails(answered, grades)
        lines = [self._log.line(key) for one in answered for key in one.keys]
        mine = [line for line in lines if line.get("step") == step]
        costs = [line["cost"] for line in mine if line["cost"] is not None]
        tokens = sum((line["prompt_tokens"] or 0) + (line["completion_tokens"] or 0) for line in mine)
        return Settled(grades=grades, asked=len(mine), tokens=tokens, cost=sum(costs) if costs else None)

    def _stop_where_it_fails(self, answered: Sequence[Answered], grades: Sequence[Grade]) -> None:
        failed = [one for one, grade in zip(answered, grades, strict=True) if grade.failure is not None]
        too_many = len(failed) >= _LEAST_FAILURES and len(failed) > self._max_failures * len(grades)
        if not too_many and not _all_failed(grades):
            return
        self._log.forget([key for one in failed for key in one.keys])
        last = failed[-1].reply.failure or _OFF_FORMAT
        raise EndpointError(
            f"the judge of the reward {self.name!r} gave nothing for {len(failed)} of {len(grades)} answers, where its "
            f"endpoint's max_failures allows a share of {self._max_failures:g}; the last time: {last}. No reward is "
            f"made up for them. Check the server, the model and `{self.name}.deadline_seconds`, and give the same "
            "command again: what was received is kept, and only these are asked again"
        )


class LocalGrader:
    """See `Grader`."""

    def __init__(self, name: str, form: GradeForm, asker: Asker) -> None:
        self.name, self.form = name, form
        self._asker = asker

    def begin(self, questions: Questions, step: int) -> None:
        """Nothing: the processor is busy sampling."""

    def settle(self, questions: Sequence[Questions], step: int) -> Settled:
        """See `Grader`."""
        grades: dict[int, Grade] = {}
        asked = tokens = 0
        for attempt in range(_TRIES):
            todo = {i: one[attempt] for i, one in enumerate(questions) if i not in grades or grades[i].failure}
            if not todo:
                break
            self._asker.ask(list(todo.values()))
            for i, ask in todo.items():
                reply = self._asker.reply(ask)
                grades[i] = _grade_of(self.name, self.form, reply, self._asker.split(reply).answer or "")
                asked += 1
                tokens += (reply.prompt_tokens or 0) + (reply.completion_tokens or 0)
        settled = Settled(grades=tuple(grades[i] for i in range(len(questions))), asked=asked, tokens=tokens)
        if _all_failed(settled.grades):
            raise LearningError(
                f"the judge of the reward {self.name!r} gave nothing for any of {len(questions)} answers, so that "
                f"there is nothing to learn from; one of its replies: {self._asker.reply(questions[-1][-1])!r:.300}. "
                "Take a model that follows the form it is asked for (docs/judges.md), or raise its max_tokens"
            )
        return settled


def _all_failed(grades: Sequence[Grade]) -> bool:
    return len(grades) >= _LEAST_ASKED and all(grade.failure is not None for grade in grades)


@dataclass(slots=True)
class JudgeSet:
    """See `Graders`. `step` is that of the update for which is sampled."""

    graders: Sequence[Grader]
    step: int = 0
    _metrics: dict[str, float] = field(default_factory=dict)

    def covers(self, gold: bool) -> bool:
        """See `Graders`."""
        return any(gold or not grader.form.needs_gold for grader in self.graders)

    def begin(self, judged: Judged) -> None:
        """See `Graders`."""
        for grader in self.graders:
            questions = _questions(grader, judged)
            if not isinstance(questions, Grade):
                grader.begin(questions, self.step)

    def finish(self, judged: Sequence[Judged]) -> Graded:
        """See `Graders`."""
        grades: list[dict[str, Grade]] = [{} for _ in judged]
        metrics: dict[str, float] = {}
        for grader in self.graders:
            found = [_questions(grader, one) for one in judged]
            different = {one[0].messages: one for one in found if not isinstance(one, Grade)}
            settled = grader.settle(list(different.values()), self.step) if different else Settled(grades=())
            known = dict(zip(different, settled.grades, strict=True))
            for of_one, question in zip(grades, found, strict=True):
                of_one[grader.name] = question if isinstance(question, Grade) else known[question[0].messages]
            metrics |= _metrics_of(grader.name, settled, [of_one[grader.name] for of_one in grades])
        return Graded(grades=tuple(grades), metrics=metrics)


def _metrics_of(name: str, settled: Settled, grades: Sequence[Grade]) -> dict[str, float]:
    metrics = {
        f"judge/{name}_asked": float(settled.asked),
        f"judge/{name}_tokens": float(settled.tokens),
        f"judge/{name}_cannot_tell": fmean(float(grade.failure is not None) for grade in grades),
    }
    return metrics if settled.cost is None else metrics | {f"judge/{name}_cost": settled.cost}


def _questions(grader: Grader, judged: Judged) -> Questions | Grade:
    """What a judge is asked of a response, or the grade where it is not asked."""
    if grader.form.needs_gold and judged.problem.gold is None:
        return _NOT_ASKED
    answer = judged.response.answer
    if answer is None or not says_something(judged):
        return _NO_ANSWER
    messages = grader.form.messages(judged.problem, answer)
    name = f"{judged.problem.id} {grader.name}"
    return tuple(Ask(id=name, messages=messages, number=number) for number in range(_TRIES))


def _grade(name: str, form: GradeForm, reply: Reply) -> Grade:
    from ponder.ask.reply import split_reply

    return _grade_of(name, form, reply, split_reply(reply).answer or "")


def _grade_of(name: str, form: GradeForm, reply: Reply, answer: str) -> Grade:
    """What a reply, or the answer in it, says."""
    if reply.failure:
        cause: Cause = "timeout" if "deadline" in reply.failure else "exception"
        reason = f"the judge of {name!r} gave nothing: {reply.failure}"
        return Grade(failure=Failure(function=name, cause=cause, reason=reason))
    found = None if reply.finish_reason == "length" else form.read(answer)  # its verdict may still have been to come
    if found is None:
        return Grade(failure=Failure(function=name, cause="value", reason=f"the judge of {name!r}: {_OFF_FORMAT}"))
    return found
