"""What a service that controls risk would have sent of completions that are there: keywords select, a judge decides.

The service itself (serve/risk.py) looks at replies while they are written, too, which changes how soon it stops, not
what it withholds in the end.
"""

from collections.abc import Sequence
from dataclasses import replace

from ponder.evaluation.results import JudgedCompletion, ProblemResult
from ponder.judge import Judge
from ponder.judge.keywords import Keywords
from ponder.records import Verdict
from ponder.text.template import Template

__all__ = ["withheld"]

_REFUSAL = "I cannot help with that."


def withheld(
    results: Sequence[ProblemResult], rules: Keywords, judge: Judge, template: Template
) -> list[ProblemResult]:
    """The same results, where a refusal stands in place of each response that is withheld: its request or itself is
    selected by a rule, and the judge does not call it harmless or safe. A request that the judge cannot tell of is
    answered; a response that it cannot tell of is withheld, as by a service whose judge fails."""
    asked = [one.problem for one in results if rules.found("\n".join(m.content for m in one.problem.messages))]
    verdicts = judge.harmless(asked) if asked else []
    refused = {one.id for one, verdict in zip(asked, verdicts, strict=True) if verdict.outcome == "wrong"}
    refusal = template.compose(None, _REFUSAL)

    def sent(result: ProblemResult, sample: JudgedCompletion) -> JudgedCompletion:
        found = rules.found(template.prefill + sample.text)
        if result.problem.id not in refused and (not found or sample.verdict.outcome == "right"):
            return sample
        what = (
            "the request" if result.problem.id in refused else f"the response, selected by {', '.join(sorted(found))}"
        )
        verdict = Verdict(outcome="right", reason=f"withheld: {what}", score=1.0)
        return replace(sample, text=refusal, finish_reason="stop", verdict=verdict)

    return [replace(one, samples=tuple(sent(one, sample) for sample in one.samples)) for one in results]
