"""The `evaluate` stage: k samples per problem of each model on each benchmark, and every two models compared.

In: models, here or at endpoints, and benchmarks by name. Out, in `evaluation/`: for each pair
`<model>--<benchmark>.json` with its completions beside it; `paired.json`, the differences of every two models on the
same problems; with a `baseline`, `win_rates.json` and in `compared/` who won each comparison. Protocol: R1 v2, D.1 (see
`evaluation.evaluate`).

A pair whose scores are there from an earlier session is not sampled again, one that was interrupted goes on, and a
judge is not asked twice.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any

from ponder.environment import World
from ponder.errors import RecipeError
from ponder.evaluation.benchmark import Benchmark, find_benchmark
from ponder.evaluation.command import PER_CALL, file_name, measure
from ponder.evaluation.control import withheld
from ponder.evaluation.given import find_answers, given_answers
from ponder.evaluation.material import read_material
from ponder.evaluation.paired import compare_models, write_paired
from ponder.evaluation.preference import Answers, compare_answers, write_comparisons
from ponder.evaluation.results import read_results
from ponder.evaluation.scores import Scores, read_scores, score, write_scores
from ponder.evaluation.served_command import bill, measure_served
from ponder.evaluation.win_rate import WinRate, win_rate, write_win_rates
from ponder.judge import Judge, RuleJudge
from ponder.judge.keywords import Keywords, read_rules
from ponder.policy.load import load_policy
from ponder.policy.policy import Policy
from ponder.recipe.stages import EvaluateStage
from ponder.seeds import derive_seed
from ponder.stages.asking import Asking
from ponder.stages.context import Context
from ponder.stages.placed import close_placed, open_placed
from ponder.text.template import Template
from ponder.verify.pool import VerifierPool
from ponder.watch.ticker import Ticker

__all__ = ["run_evaluate"]


def run_evaluate(context: Context[EvaluateStage]) -> Mapping[str, Any]:
    """Evaluate every model on every benchmark, then compare; returns {model: {benchmark: numbers}}."""
    with ExitStack() as stack:
        run = _Run(context, stack)
        for model in context.config.names():
            run.measure(model)
        run.compare()
        run.compare_with_baseline()
        return run.results()


class _Run:
    """Scores by benchmark and model, as far as they are there."""

    def __init__(self, context: Context[EvaluateStage], stack: ExitStack) -> None:
        config = self.config = context.config
        self.context, self._stack = context, stack
        self.folder = context.folder / "evaluation"
        self.benchmarks = {name: find_benchmark(name) for name in config.benchmarks}
        if len({file_name(model) for model in config.names()}) < len(config.names()):
            raise RecipeError(f"Stage {context.name!r} names one model twice: {', '.join(config.names())}.")
        if len({benchmark.name for benchmark in self.benchmarks.values()}) < len(self.benchmarks):
            raise RecipeError(f"Stage {context.name!r} names one benchmark twice: {', '.join(config.benchmarks)}.")
        for benchmark in self.benchmarks.values():
            if config.baseline_answers is not None and benchmark.judge == "preference":  # before anything is sampled
                find_answers(config.baseline_answers, read_material(benchmark, None, None, self._say)[0])
        self.pool = stack.enter_context(VerifierPool(own=context.own))
        self.world = None if config.environment is None else World(config.environment, self.pool, context.own)
        self.scores: dict[str, dict[str, Scores]] = {name: {} for name in self.benchmarks}
        self.win_rates: dict[str, dict[str, WinRate]] = {}

    @cached_property
    def judge(self) -> Judge | None:
        """Opened when first asked for: a model that judges is large."""
        asking = Asking(self.context, self._stack, self.config.precision, self.config.engine)
        return asking.judge(self.config.judge, self.config.votes)

    def measure(self, model: str) -> None:
        """Score a model on every benchmark; it is loaded only if something is missing."""
        missing = [one for one in self.benchmarks.values() if not self.path(model, one).exists()]
        policy = self._policy(model) if missing and model not in self.config.served else None
        for name, benchmark in self.benchmarks.items():
            path = self.path(model, benchmark)
            if benchmark in missing:
                write_scores(path, self._scores(policy, model, benchmark, path.with_suffix(".jsonl")))
            scores = self.scores[name][model] = read_scores(path)
            self._tell(model, name, scores)
            if self.config.control is not None and benchmark.judge == "safety":
                self._measure_controlled(model, name, benchmark)
        close_placed(self.context, model)

    def _measure_controlled(self, model: str, name: str, benchmark: Benchmark) -> None:
        """The same completions as a service that controls risk would have sent them."""
        controlled = f"{model} with control"
        path = self.path(controlled, benchmark)
        if not path.exists():
            assert self.config.control is not None
            provenance, results = read_results(self.path(model, benchmark).with_suffix(".jsonl"))
            judge = self.judge or RuleJudge(self.pool)
            rules = Keywords(read_rules(self.config.control))
            template = Template.from_json(provenance["template"], where=f"the template of {model}")
            sent = withheld(results, rules, judge, template)
            unpaid = {key: value for key, value in provenance.items() if key != "requests"}  # which are the other's
            provenance = unpaid | {"model": controlled, "control": self.config.control}
            write_scores(path, score(sent, template, provenance, derive_seed(int(provenance["seed"]), "score")))
        scores = self.scores[name][controlled] = read_scores(path)
        self._tell(controlled, name, scores)

    def _tell(self, model: str, name: str, scores: Scores) -> None:
        self._say(
            f"{model} on {name}: {scores.overall.accuracy_text}"
            + (f", {scores.invalid}" if scores.invalid else "")
            + (f"; {line}" if (line := bill(scores)) else "")
        )

    def compare(self) -> None:
        """Write the differences of every two models."""
        named = {self.benchmarks[name].name: by_model for name, by_model in self.scores.items()}
        pairs = compare_models(named, derive_seed(self.context.seed, "paired"))
        write_paired(self.context.folder, pairs)
        for pair in pairs:
            low, high = pair.interval
            self._say(
                f"{pair.second} less {pair.first} on {pair.benchmark}: {pair.difference:+.3f} ({low:+.3f} to "
                f"{high:+.3f}, p {pair.p:.2g}){'' if pair.significant else ', may be chance'}"
            )

    def compare_with_baseline(self) -> None:
        """Win rates on the benchmarks whose answers are to be compared."""
        answers = self.config.baseline_answers
        baseline = self.config.baseline if answers is None else answers.name
        if baseline is None:
            return
        for name, benchmark in self.benchmarks.items():
            if benchmark.judge != "preference":
                continue
            for model in self.config.names():
                if answers is None and model == baseline:
                    continue
                own = self._answers(model, benchmark)
                standard = self._answers(baseline, benchmark) if answers is None else given_answers(answers, own[1])
                found = compare_answers(own, standard, self.judge)
                write_comparisons(self.folder / "compared" / f"{self.path(model, benchmark).stem}.jsonl", found)
                rate = win_rate(found, derive_seed(self.context.seed, "win rate", benchmark.name, model))
                self.win_rates.setdefault(name, {})[model] = rate
                self._say(f"{model} against {baseline} on {name}: {_told(rate)}")
        if not self.win_rates:
            self._say(f"baseline {baseline} is not used: no benchmark has `judge: preference`")
            return
        about = {
            "baseline": baseline,
            "judge": "the verifiers' scores" if self.judge is None else _judge_name(self.config),
            "judge_counts": {} if self.judge is None else dict(self.judge.counters()),
        }
        rates = {self.benchmarks[name].name: by_model for name, by_model in self.win_rates.items()}
        write_win_rates(self.context.folder, about, rates)

    def results(self) -> dict[str, dict[str, Any]]:
        """{model: {benchmark: numbers}}, win rates included."""
        return {
            model: {
                name: by_model[model].overall.to_json()
                | (self.win_rates[name][model].to_json() if model in self.win_rates.get(name, {}) else {})
                for name, by_model in self.scores.items()
                if model in by_model
            }
            for model in dict.fromkeys(
                (*self.config.names(), *(one for found in self.scores.values() for one in found))
            )
        }

    def path(self, model: str, benchmark: Benchmark) -> Path:
        """Where the scores of a pair are."""
        return self.folder / f"{file_name(model)}--{benchmark.name}.json"

    def _scores(self, policy: Policy | None, model: str, benchmark: Benchmark, log: Path) -> Scores:
        """Of a policy, or of the endpoint that goes by the name `model`."""
        config = self.config
        judge = self.judge if benchmark.judge in ("correctness", "safety") else None
        common: dict[str, Any] = {
            "model": model,
            "pool": self.pool,
            "samples": config.samples,
            "temperature": config.temperature,
            "top_p": config.top_p,
            "seed": derive_seed(self.context.seed, benchmark.name),
            "log": log,
            "judge": judge,
            "judge_name": None if judge is None else _judge_name(config),
            "measures": config.metrics,
            "say": self._say,
        }
        if policy is None:
            requests = self.context.folder / "requests" / f"{config.log(model)}.jsonl"
            return measure_served(config.served[model], benchmark, requests=requests, **common)
        return measure(
            policy,
            benchmark,
            engine=config.engine,
            opened=open_placed(self.context, config.engine, policy, self.world, model=model),
            per_call=PER_CALL,
            go_on=True,
            world=self.world,
            progress=Ticker(f"{self.context.name}: {model} on {benchmark.name}", self.context.say),
            **common,
        )

    def _policy(self, model: str) -> Policy:
        source = self.context.model_source(model)
        template = None if model in self.context.inputs else self.config.template
        return load_policy(source, template, self.config.precision, trained=False)

    def _answers(self, model: str, benchmark: Benchmark) -> Answers:
        path = self.path(model, benchmark).with_suffix(".jsonl")
        provenance, results = read_results(path)
        return Template.from_json(provenance["template"], where=f"the template in {path}"), results

    def _say(self, line: str) -> None:
        self.context.say(f"{self.context.name}: {line}")


def _judge_name(config: EvaluateStage) -> str:
    """Who reads the answers, for the files."""
    return ", ".join((*config.judge_models(), *(f"{one.model} at {one.base_url}" for one in config.judge_endpoints())))


def _told(rate: WinRate) -> str:
    if rate.rate is None or rate.interval is None or rate.controlled is None:
        return f"no comparison could be judged, of {rate.unjudged}"
    low, high = rate.interval
    unjudged = f", {rate.unjudged} comparisons not judged" if rate.unjudged else ""
    return f"win rate {rate.rate:.3f} ({low:.3f} to {high:.3f}), at equal length {rate.controlled:.3f}{unjudged}"
