"""A model at an endpoint on the problems of a benchmark: asked, judged and scored like one of our own.

    problems + asker -> replies in a durable log -> verdicts -> completions file -> Scores

A server has its own template, its own tokenizer and counts tokens by itself. So a reply is written down as a whole
response, thinking between tags, in a form that reads both parts back, and the file can be judged again. A request that
failed for good is a sample without an answer, counted and said: leaving it out would flatter the server.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ponder.ask import Ask, Asker, Reply
from ponder.errors import DataError
from ponder.evaluation.evaluate import Judges, check_problems, problems_digest, verdicts_of, versions
from ponder.evaluation.judging import Verdicts, to_refuse
from ponder.evaluation.results import JudgedCompletion, ProblemResult, ResultsWriter
from ponder.evaluation.scores import Scores, score
from ponder.judge import Judge
from ponder.recipe.endpoint import Endpoint
from ponder.recipe.own import OwnUse
from ponder.recipe.rollout import Sampling
from ponder.records import Problem
from ponder.reward.judged import Judged
from ponder.reward.judging import UNCHECKED, after_verdict
from ponder.seeds import derive_seed
from ponder.text.template import TEMPLATES
from ponder.verify.pool import VerifierPool

__all__ = ["evaluate_served"]

_FORM = replace(TEMPLATES["r1"], prefill="")
"""What replies are written down in: nothing stands before what the server wrote."""


def evaluate_served(
    asker: Asker,
    endpoint: Endpoint,
    problems: Sequence[Problem],
    *,
    samples: int,
    sampling: Sampling,
    pool: VerifierPool,
    seed: int,
    model: str,
    notes: Mapping[str, Any] | None = None,
    log: Path | None = None,
    judge: Judge | None = None,
    judges: Judges = "correctness",
    measures: Sequence[str] = (),
) -> Scores:
    """The scores of the model at `endpoint`, which `asker` asks, with `samples` replies to each problem; the rest is as
    in `evaluate`. Raises EndpointError where more requests failed than the endpoint's `max_failures` allows, DataError
    as `evaluate` does."""
    problems = to_refuse(problems) if judges == "safety" else problems
    check_problems(problems, needs_gold=judge is not None)
    asks = [[Ask(id=one.id, messages=one.messages, number=i) for i in range(samples)] for one in problems]
    asker.ask([ask for row in asks for ask in row])
    provenance = {
        "model": model,
        "endpoint": {"base_url": endpoint.base_url, "model": endpoint.model},
        "requests": _totals([asker.reply(ask) for row in asks for ask in row]),
        "template": _FORM.to_json(),
        "first_prompt": "\n\n".join(message.content for message in problems[0].messages),
        "samples": samples,
        "sampling": sampling.model_dump(mode="json"),
        "not_sent": list(endpoint.leave_out),
        "seed": seed,
        "problems": len(problems),
        "problems_sha256": problems_digest(problems),
        "versions": versions(),
        **({"measures": list(measures)} if measures else {}),
        **(notes or {}),
    }
    judged = _Judged(asker, verdicts_of(pool, judge, judges), pool, measures, sampling, seed)
    results = judged.results(problems, asks)
    if log is not None:
        with ResultsWriter(log, provenance) as writer:
            for result in results:
                writer.write(result)
    return score(results, _FORM, provenance, derive_seed(seed, "score"))


class _Judged:
    """Verdicts on replies, all under way at once."""

    def __init__(
        self,
        asker: Asker,
        verdicts: Verdicts,
        pool: VerifierPool,
        measures: Sequence[str],
        sampling: Sampling,
        seed: int,
    ) -> None:
        self._asker, self._verdicts, self._pool, self._seed = asker, verdicts, pool, seed
        self._uses = [OwnUse(role="reward", function=name) for name in measures]
        self._max_tokens = sampling.max_tokens

    def results(self, problems: Sequence[Problem], asks: Sequence[Sequence[Ask]]) -> list[ProblemResult]:
        """In the order of the problems and of the asks of each."""
        waiting = [[self._begin(problem, ask) for ask in row] for problem, row in zip(problems, asks, strict=True)]
        self._verdicts.settle()
        return [
            ProblemResult(problem=problem, samples=tuple(one() for one in row))
            for problem, row in zip(problems, waiting, strict=True)
        ]

    def _begin(self, problem: Problem, ask: Ask) -> Callable[[], JudgedCompletion]:
        """Hand a reply to its judge; what to call for the verdict."""
        reply = self._asker.reply(ask)
        text = _text(self._asker, reply)
        response = _FORM.split(text, finished=reply.finish_reason == "stop")
        tokens = reply.completion_tokens or 0
        judged = Judged(
            problem=problem,
            response=response,
            verdict=UNCHECKED,
            completion_tokens=tokens,
            finish_reason=reply.finish_reason,
            max_tokens=self._max_tokens,
        )
        verdict = self._verdicts.submit(problem, response, text)
        future = after_verdict(self._pool, verdict, judged, self._uses)

        def finished() -> JudgedCompletion:
            found = future.result()
            return JudgedCompletion(
                text=text,
                tokens=tokens,
                finish_reason=reply.finish_reason,
                seed=derive_seed(self._seed, ask.id, ask.number),
                verdict=found.judged.verdict,
                measures={name: called.value for name, called in found.own.items()},
            )

        return finished


def _totals(replies: Sequence[Reply]) -> dict[str, float | None]:
    """As of a log, of these replies alone; the cost is null where no price is known."""
    costs = [reply.cost for reply in replies if reply.cost is not None]
    return {
        "asked": len(replies),
        "failed": sum(bool(reply.failure) for reply in replies),
        "prompt_tokens": sum(reply.prompt_tokens or 0 for reply in replies),
        "cached_tokens": sum(reply.cached_tokens or 0 for reply in replies),
        "completion_tokens": sum(reply.completion_tokens or 0 for reply in replies),
        "uncounted": sum(reply.completion_tokens is None and not reply.failure for reply in replies),
        "cost": sum(costs) if costs else None,
    }


def _text(asker: Asker, reply: Reply) -> str:
    """The reply as one response of the form; empty for one that failed."""
    if reply.failure:
        return ""
    response = asker.split(reply)
    if response.answer is None:
        return f"<think>\n{response.thinking}" if response.thinking else reply.text
    try:
        return _FORM.compose(response.thinking, response.answer)
    except DataError:  # tags of its own within, which stay as the server sent them
        return asker.text(reply)
