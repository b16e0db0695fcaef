"""The `sample` stage: what a model or a teacher responds becomes data to learn from.

In: problems, a model or an endpoint, rules. Out: `examples.jsonl`, `pairs.jsonl`, `labels.jsonl` or `problems.jsonl`,
beside it `rejected.jsonl` (what was not kept, and why), `composition.json` (R1 v2, table 5) and `requests/` (every
reply). First everything is asked, each reply on disk as it comes; then problem after problem is judged, chosen from and
rewritten.

One stage, five uses: cold-start data (v2 B.3.2), rejection sampling (v1 2.3.3), distillation data (v1 2.4), preference
pairs and safety labels (v2 3.1), and, our own, problems with their pass rates for RL. A killed stage run again asks
only what is missing.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ponder.ask import Ask, Asker, Reply
from ponder.curate import (
    Candidate,
    ModelRewriter,
    Output,
    PairChoice,
    Rejected,
    Rewriter,
    RuleRewriter,
    choose,
    why_not,
)
from ponder.curate.choose import pass_rate
from ponder.curate.keep import MENDED, as_written
from ponder.curate.pairs import pairs_to_compare
from ponder.errors import DataError
from ponder.evaluation.contamination import decontaminate_problems
from ponder.judge import Answered, Judge, Pair, RuleJudge
from ponder.recipe.own import OwnUse
from ponder.recipe.stages import SampleStage
from ponder.records import Example, LabelledResponse, MeasuredProblem, Problem, Step
from ponder.reward.combine import own_rewards
from ponder.reward.judging import Judgement, judge
from ponder.seeds import derive_seed
from ponder.stages.asking import Asking
from ponder.stages.context import Context
from ponder.stages.left_out import list_left_out
from ponder.task import load_problems
from ponder.verify.pool import VerifierPool

if TYPE_CHECKING:
    from ponder.environment import World
    from ponder.policy.voice import Voice

__all__ = ["run_sample"]

_BLOCK = 256
"""Problems judged and rewritten together."""


def run_sample(context: Context[SampleStage]) -> Mapping[str, Any]:
    """Sample, judge, choose, rewrite and write; DataError where nothing is kept."""
    with ExitStack() as stack:
        run = _Run(context, stack)
        run.asker.ask([ask for problem in run.problems for ask in run.asks(problem)])
        output = Output(context.folder, run.config.output)
        with output:
            for block in _blocks(run.problems):
                run.take(run.candidates(block), output)
            run.finish(output)
        return run.results(output)


class _Run:
    """What one stage works with: problems, who is asked, who judges, who rewrites."""

    def __init__(self, context: Context[SampleStage], stack: ExitStack) -> None:
        config = self.config = context.config
        self.context = context
        loaded = decontaminate_problems(
            load_problems(config.problems, context.own, stages=context.inputs),
            config.decontaminate,
            context.folder,
            self._say,
        )
        self._say(loaded.summary())
        list_left_out(context, loaded.left_out)
        self.pool = stack.enter_context(VerifierPool(own=context.own))
        self.world = _world(context, self.pool)
        self._given = {problem.id: problem for problem in loaded.problems}
        self.problems = loaded.problems if self.world is None else self.world.begin(loaded.problems)
        self._talked = Counter[str]()
        self._asking = Asking(context, stack, config.precision, config.engine)
        self.asker = self._responder()
        reader = self._asking.judge(config.judge, config.pairs.votes)
        self.judge: Judge = reader or RuleJudge(self.pool)
        self.rewriter = self._rewriter()
        self._pairs = PairChoice(config.pairs)
        self._tokens: dict[str, int | None] = {}  # of kept pairs' chosen answers

    def asks(self, problem: Problem) -> list[Ask]:
        """All that is asked about a problem."""
        environment = self.config.environment
        about = problem if environment is not None and environment.own is not None else None
        return [
            Ask(id=problem.id, messages=problem.messages, number=i, problem=about) for i in range(self.config.samples)
        ]

    def candidates(self, problems: Sequence[Problem]) -> list[Candidate]:
        """The replies to the problems, taken apart and verified."""
        found = []
        for problem in problems:
            for ask in self.asks(problem):
                reply = self.asker.reply(ask)
                response = self.asker.split(reply)
                text = self.asker.text(reply)
                if self.config.keep.unfinished:
                    response = as_written(response, text)
                steps = self._steps(reply)
                found.append(
                    Candidate(
                        problem=problem,
                        number=ask.number,
                        reply=reply,
                        response=response,
                        text=text,
                        verdict=None,
                        steps=() if isinstance(steps, str) else steps,
                        fault=steps if isinstance(steps, str) else "",
                    )
                )
        return self._verified(found)

    def take(self, candidates: Sequence[Candidate], output: Output) -> None:
        """Make of a block's candidates what the stage is to make."""
        make = {
            "examples": self._examples,
            "pairs": self._compare,
            "labels": self._labels,
            "problems": self._measured,
        }
        make[self.config.output](candidates, output)

    def finish(self, output: Output) -> None:
        """Write what could only be chosen over all problems."""
        for pair in self._pairs.finish():
            output.keep(pair, self._tokens[pair.id])
        output.reject(self._pairs.rejected)

    def results(self, output: Output) -> dict[str, Any]:
        """What the manifest says; DataError where nothing was kept."""
        counts = dict(output.reasons.most_common())
        listed = ", ".join(f"{count:,} {reason}" for reason, count in counts.items()) or "none rejected"
        asked = len(self.problems) * self.config.samples
        if off := self.judge.counters().get("off_format"):
            listed += f" ({off:,} replies of the judge did not follow its form)"
        if talks := self._talked["conversations"]:
            self._say(
                f"conversations: {self._talked['turns'] / talks:.1f} turns, {self._talked['with_calls'] / talks:.0%} "
                f"call a tool; {self._talked['cut']:,} cut at a limit, {self._talked['failed']:,} failed; of "
                f"{self._talked['calls']:,} calls {self._talked['failed_calls']:,} gave an error"
            )
        if output.kept == 0:
            raise DataError(
                f"stage {self.context.name!r} kept nothing: of {asked} responses to {len(self.problems)} problems, "
                f"{listed}. {self.context.folder / 'rejected.jsonl'} says why for each; loosen the rule that rejects "
                f"most, or sample more, and run with --redo {self.context.name}: replies of an endpoint are kept. Or "
                "name another model."
            )
        self._say(f"kept {output.kept:,} {self.config.output} of {asked:,} responses; {listed}")
        return {
            **({"conversations": dict(self._talked)} if self.world is not None else {}),
            "kept": output.kept,
            "asked": asked,
            "problems": len(self.problems),
            "rejected": counts,
            "requests": {name: log.totals() for name, log in self._asking.logs.items()},
            "judge": dict(self.judge.counters()),
            "composition": output.composition(),
        }

    def _examples(self, candidates: Sequence[Candidate], output: Output) -> None:
        keep, mended = self.config.keep, MENDED if self.rewriter is not None else frozenset[str]()
        groups = [list(group) for _, group in groupby(candidates, key=lambda one: one.problem.id)]
        fitting: Iterable[list[Candidate]] = (self._kept(own, output, mended) for own in groups)
        if keep.judged:  # before the choice, which is among right ones; all at once, for the judge is far away
            by_group = list(fitting)
            right = {one.id for one in self._judged_correct([one for own in by_group for one in own], output)}
            fitting = [[one for one in own if one.id in right] for own in by_group]
        chosen: list[Candidate] = []
        for own, kept in zip(groups, fitting, strict=True):
            kept, rejected = choose(kept, keep, pass_rate(own), self.config.sampling.max_tokens)
            output.reject(rejected)
            chosen += kept
        if self.rewriter is not None:
            chosen = self._rewritten(self.rewriter, chosen, output)
        for one in chosen:
            output.keep(self._example(one), one.reply.completion_tokens)

    def _rewritten(self, rewriter: Rewriter, chosen: Sequence[Candidate], output: Output) -> list[Candidate]:
        """The candidates in new words, judged anew where their answers changed."""
        found = rewriter.rewrite(chosen)
        output.reject([one for one in found if isinstance(one, Rejected)])
        kept = self._kept(self._verified([one for one in found if isinstance(one, Candidate)]), output)
        before = {one.id: one.response.answer for one in chosen}
        changed = [one for one in kept if one.response.answer != before[one.id]]
        agreed = {one.id for one in self._judged_correct(changed, output)} | {
            one.id for one in kept if one not in changed
        }
        return [one for one in kept if one.id in agreed]

    def _compare(self, candidates: Sequence[Candidate], output: Output) -> None:
        most = None if isinstance(self.judge, RuleJudge) else self.config.pairs.compared
        asked: list[tuple[Candidate, Candidate]] = []
        for name, group in groupby(candidates, key=lambda one: one.problem.id):
            kept, rejected = choose(self._kept(list(group), output), self.config.keep, None, 1)
            output.reject(rejected)
            pairs = pairs_to_compare(kept, most, derive_seed(self.context.seed, "pairs", name))
            if not pairs:
                output.reject([Rejected(id=name, reason="no_pair", detail="fewer than two different answers")])
            asked += pairs
        found = self.judge.compare(
            [Pair(problem=a.problem, first=a.response.answer or "", second=b.response.answer or "") for a, b in asked]
        )
        judged = [(a, b, preference) for (a, b), preference in zip(asked, found, strict=True)]
        for _, of_one in groupby(judged, key=lambda one: one[0].problem.id):
            self._pairs.add(list(of_one))
        for a, b in asked:
            self._tokens[f"{a.id}-{b.number}"] = a.reply.completion_tokens

    def _labels(self, candidates: Sequence[Candidate], output: Output) -> None:
        kept: list[Candidate] = []
        for _, group in groupby(candidates, key=lambda one: one.problem.id):
            own, rejected = choose(self._kept(list(group), output), self.config.keep, None, 1)
            output.reject(rejected)
            kept += own
        for one, verdict in zip(kept, self.judge.safe([_answered(one) for one in kept]), strict=True):
            if verdict.outcome == "cannot_tell":
                output.reject([Rejected(id=one.id, reason="cannot_tell", detail=verdict.reason)])
                continue
            problem = one.problem
            label = LabelledResponse(
                id=one.id,
                messages=problem.messages,
                response=one.text.strip(),
                safe=verdict.outcome == "right",
                domain=problem.domain,
                language=problem.language,
            )
            output.keep(label, one.reply.completion_tokens)

    def _measured(self, candidates: Sequence[Candidate], output: Output) -> None:
        band = self.config.keep.pass_rate
        for name, group in groupby(candidates, key=lambda one: one.problem.id):
            own = list(group)
            rate = pass_rate(own)
            if rate is None:
                why = "no reply" if own[0].problem.gold is not None else "the problem has no gold"
                output.reject([Rejected(id=name, reason="pass_rate", detail=f"not known: {why}")])
                continue
            if band is not None and not band[0] <= rate <= band[1]:
                output.reject([Rejected(id=name, reason="pass_rate", detail=f"pass rate {rate:.3g}")])
                continue
            judged = sum(not one.reply.failure for one in own)
            output.keep(MeasuredProblem(problem=self._given[name], right=round(rate * judged), judged=judged), None)

    def _kept(
        self, candidates: Sequence[Candidate], output: Output, leave_out: frozenset[str] = frozenset()
    ) -> list[Candidate]:
        faults = [why_not(one, self.config.keep, leave_out) for one in candidates]
        output.reject([fault for fault in faults if fault is not None])
        return [one for one, fault in zip(candidates, faults, strict=True) if fault is None]

    def _judged_correct(self, candidates: Sequence[Candidate], output: Output) -> list[Candidate]:
        if not self.config.keep.judged or not candidates:
            return list(candidates)
        verdicts = self.judge.correct([_answered(one) for one in candidates])
        kept = []
        for one, verdict in zip(candidates, verdicts, strict=True):
            if verdict.outcome == "right":
                kept.append(one)
            else:
                output.reject([Rejected(id=one.id, reason=f"judged_{verdict.outcome}", detail=verdict.reason)])
        return kept

    def _verified(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The candidates with the verifiers' verdicts, and what the user's own functions say of them."""
        keep, most = self.config.keep, self.config.sampling.max_tokens
        uses = [OwnUse(role="rule", function=name) for name in keep.own]
        if keep.best_of is not None:
            uses += own_rewards(keep.rewards)
        futures = [None if one.reply.failure else judge(self.pool, one.judged(most), uses) for one in candidates]
        return [
            one if future is None else _told(one, future.result())
            for one, future in zip(candidates, futures, strict=True)
        ]

    def _example(self, candidate: Candidate) -> Example:
        problem, response = candidate.problem, candidate.response
        assert response.answer, candidate.id
        return Example(
            id=candidate.id,
            messages=problem.messages,
            thinking=response.thinking,
            answer=response.answer,
            domain=problem.domain,
            language=problem.language,
            origin=self.context.name,
            tools=self._voice.tools if self.world is not None else (),
            steps=candidate.steps,
        )

    @cached_property
    def _voice(self) -> "Voice":
        """Of the model whose replies are conversations."""
        assert self.config.model is not None, self.config
        return self._asking.voice(self.config.model, self.config.template, self.world)

    def _steps(self, reply: Reply) -> tuple[Step, ...] | str:
        """The turns before a reply; or why nobody should learn them."""
        if self.world is None or reply.talk is None:
            return ()
        talk = reply.talk
        self._talked.update(
            conversations=1,
            turns=talk.turns,
            calls=talk.calls,
            failed_calls=talk.failed,
            malformed_calls=talk.malformed,
        )
        self._talked.update(with_calls=talk.calls > 0, cut=talk.cut is not None, failed=bool(talk.failure))
        from ponder.curate.turns import steps_of

        return steps_of(reply.talk, self.world, self._voice)

    def _responder(self) -> Asker:
        config = self.config
        if config.endpoint is not None:
            return self._asking.endpoint("samples", config.endpoint, config.sampling)
        assert config.model is not None, config
        return self._asking.model("samples", config.model, config.template, config.sampling, self.world)

    def _rewriter(self) -> Rewriter | None:
        config = self.config.rewrite
        if config is None:
            return None
        asker = self._asking.helper("rewrite", config.by)
        return RuleRewriter(config) if asker is None else ModelRewriter(config, asker)

    def _say(self, text: str) -> None:
        self.context.say(f"{self.context.name}: {text}")


def _world(context: Context[SampleStage], pool: VerifierPool) -> "World | None":
    """Who answers the model; who needs none loads no torch."""
    if context.config.environment is None:
        return None
    from ponder.environment import World

    return World(context.config.environment, pool, context.own)


def _told(candidate: Candidate, judgement: Judgement) -> Candidate:
    verdict = None if candidate.problem.gold is None else judgement.judged.verdict
    return replace(candidate, verdict=verdict, own=judgement.own)


def _answered(candidate: Candidate) -> Answered:
    return Answered(problem=candidate.problem, answer=candidate.response.answer or "", response=candidate.text)


def _blocks(problems: Sequence[Problem]) -> Iterator[Sequence[Problem]]:
    for start in range(0, len(problems), _BLOCK):
        yield problems[start : start + _BLOCK]
