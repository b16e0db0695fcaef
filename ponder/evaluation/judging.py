"""From completions to results: each is taken apart and judged while others are still sampled, and a problem is handed
on, in order, as soon as all of it is judged."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Protocol

from ponder.evaluation.results import JudgedCompletion, ProblemResult
from ponder.judge import Answered, Judge
from ponder.recipe.own import OwnUse
from ponder.records import Completion, Problem, RuleGold, SafetyGold, Verdict
from ponder.reward.judged import Judged
from ponder.reward.judging import UNCHECKED, Judgement, after_verdict
from ponder.text.template import Template
from ponder.text.think import Response
from ponder.verify.pool import VerifierPool

__all__ = ["NO_GOLD", "ByJudge", "BySafety", "ByVerifier", "Judging", "Measures", "Verdicts", "to_refuse"]

NO_GOLD = Verdict(outcome="cannot_tell", reason="the problem has no gold: only a comparison can tell")
"""The verdict on every response to such a problem."""


class Verdicts(Protocol):
    """Who says whether a response is right."""

    def submit(self, problem: Problem, response: Response, text: str) -> Future[Verdict]:
        """The verdict on one response, now or later."""
        ...

    def settle(self) -> None:
        """Reach every verdict that still waits; called once the last response is there."""
        ...


class ByVerifier:
    """The verifier of the problem's gold, in the pool; a problem without gold cannot be told."""

    def __init__(self, pool: VerifierPool) -> None:
        self._pool = pool

    def submit(self, problem: Problem, response: Response, text: str) -> Future[Verdict]:
        """See `Verdicts`."""
        return _known(NO_GOLD) if problem.gold is None else self._pool.submit(response.answer, problem.gold)

    def settle(self) -> None:
        """The pool settles by itself."""


class ByJudge:
    """A judge that reads answer and reference (SimpleQA); no answer at all is wrong without asking."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._waiting: list[tuple[Answered, Future[Verdict]]] = []

    def submit(self, problem: Problem, response: Response, text: str) -> Future[Verdict]:
        """See `Verdicts`."""
        if response.answer is None:
            return _known(Verdict(outcome="wrong", reason="no answer: nothing stands after the thinking"))
        future: Future[Verdict] = Future()
        self._waiting.append((Answered(problem=problem, answer=response.answer, response=text), future))
        return future

    def settle(self) -> None:
        """Ask about all that wait, side by side."""
        waiting, self._waiting = self._waiting, []
        verdicts = self._judge.correct([item for item, _ in waiting])
        for (_, future), verdict in zip(waiting, verdicts, strict=True):
            future.set_result(verdict)


def to_refuse(problems: Sequence[Problem]) -> list[Problem]:
    """The same, those without gold taken for requests that are to be refused."""
    gold = SafetyGold(unsafe=True, rule=RuleGold(answer="I cannot help with that."))
    return [problem if problem.gold is not None else replace(problem, gold=gold) for problem in problems]


class BySafety:
    """A judge that reads whole responses: a safe one is right."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._waiting: list[tuple[Answered, Future[Verdict]]] = []

    def submit(self, problem: Problem, response: Response, text: str) -> Future[Verdict]:
        """See `Verdicts`."""
        future: Future[Verdict] = Future()
        self._waiting.append((Answered(problem=problem, answer=response.answer or "", response=text), future))
        return future

    def settle(self) -> None:
        """Ask about all that wait, side by side."""
        waiting, self._waiting = self._waiting, []
        verdicts = self._judge.safe([item for item, _ in waiting])
        for (_, future), verdict in zip(waiting, verdicts, strict=True):
            future.set_result(verdict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """Functions of the user's own that are called with every completion, in the workers of `pool`."""

    pool: VerifierPool
    names: tuple[str, ...]
    max_tokens: int


class Judging:
    """The completions of some problems on their way to `take`, which gets each result in the order of the problems."""

    def __init__(
        self,
        problems: Sequence[Problem],
        samples: int,
        template: Template,
        verdicts: Verdicts,
        take: Callable[[ProblemResult], None],
        measures: Measures,
    ) -> None:
        self._problems = {problem.id: problem for problem in problems}
        self._waiting = [problem.id for problem in reversed(problems)]
        self._samples = samples
        self._template = template
        self._verdicts = verdicts
        self._take = take
        self._measures = measures
        self._uses = [OwnUse(role="reward", function=name) for name in measures.names]
        self._found: dict[str, dict[int, tuple[Completion, Future[Judgement]]]] = {one.id: {} for one in problems}

    def add(self, problem_id: str, index: int, completion: Completion) -> None:
        """A completion has come to its end."""
        response = self._template.split(completion.text, finished=completion.finish_reason == "stop")
        text = self._template.prefill + completion.text
        problem = self._problems[problem_id]
        judged = Judged(
            problem=problem,
            response=response,
            verdict=UNCHECKED,
            completion_tokens=len(completion.token_ids),
            finish_reason=completion.finish_reason,
            max_tokens=self._measures.max_tokens,
            turns=() if completion.talk is None else completion.talk.messages,
        )
        failure = "" if completion.talk is None else completion.talk.failure
        if failure:  # of who answers, not of the model: its last reply is no answer
            verdict = _known(Verdict(outcome="cannot_tell", reason=failure))
        else:
            verdict = self._verdicts.submit(problem, response, text)
        self._found[problem_id][index] = completion, after_verdict(self._measures.pool, verdict, judged, self._uses)
        self._hand_on()

    def wait(self) -> None:
        """Until every result is handed on."""
        self._verdicts.settle()
        for found in self._found.values():
            for _, judgement in found.values():
                judgement.result()
        self._hand_on()
        assert not self._waiting, "the engine did not finish every request"

    def _hand_on(self) -> None:
        while self._waiting:
            found = self._found[self._waiting[-1]]
            if len(found) < self._samples or not all(judgement.done() for _, judgement in found.values()):
                return
            problem_id = self._waiting.pop()
            samples = tuple(_sample(found[i][0], found[i][1].result()) for i in range(self._samples))
            self._take(ProblemResult(problem=self._problems[problem_id], samples=samples))
            found.clear()


def _known(verdict: Verdict) -> Future[Verdict]:
    future: Future[Verdict] = Future()
    future.set_result(verdict)
    return future


def _sample(completion: Completion, judgement: Judgement) -> JudgedCompletion:
    return JudgedCompletion(
        text=completion.text,
        tokens=len(completion.token_ids),
        finish_reason=completion.finish_reason,
        seed=completion.seed,
        verdict=judgement.judged.verdict,
        measures={name: called.value for name, called in judgement.own.items()},
        talk=completion.talk,
    )
