"""Reinforcement learning on problems whose answers can be checked: R1-Zero, and every later RL stage.

For each rollout: sample a group of G completions of every problem, judge them, turn rewards into advantages within the
group, and make `updates_per_rollout` updates of the objective (R1 eq. 1-3 with the preset `grpo`):

    maximise  mean over outputs of [ min(rho A, clip(rho, 1 - eps, 1 + eps) A) - beta KL(policy || reference) ]
    A = (r - mean of the group) / std of the group
    r = rules for reasoning | the route's reward model for general problems, + format + language (Nature eq. 8-10)
        | what a judge says (docs/judges.md)

With the preset `ppo` a critic that learns beside the policy gives each token an advantage of its own (docs/ppo.md).

Departures: groups whose rewards are all equal are left out of the update; minibatches of a rollout hold whole groups.
Everything random derives from (stage seed, step, problem, sample), and checkpoints lie between rollouts, so a killed
stage run again ends with the same weights bit for bit on a CPU.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from ponder.algorithm import metric_values, policy_loss
from ponder.allocator import give_back_memory
from ponder.environment import World
from ponder.errors import DataError, LearningError
from ponder.evaluation.contamination import decontaminate_problems
from ponder.files import publishing
from ponder.judge.attacks import check_judges
from ponder.policy import load_policy, save_policy
from ponder.policy.memory import memory_used
from ponder.policy.voice import Voice
from ponder.recipe.stages import RlStage
from ponder.records import Group
from ponder.report import try_report
from ponder.reward.canaries import check_canaries
from ponder.reward.combine import check_names
from ponder.rollout import (
    PARITY_SAMPLES,
    Collected,
    Request,
    check_fits,
    check_parity,
    engine_kind,
    spread,
)
from ponder.seeds import derive_seed
from ponder.stages.again import going_on
from ponder.stages.context import Context
from ponder.stages.critic import StageCritic
from ponder.stages.drawing import Drawing
from ponder.stages.held_out import HeldOutProblems, describe, score_metrics
from ponder.stages.judges import open_judges, open_reward_models
from ponder.stages.left_out import list_left_out
from ponder.stages.longer import is_continued, say_longer, without
from ponder.stages.placed import open_placed, placed_ranks, ranks_are_back
from ponder.stages.resumed import say_resumed
from ponder.stages.rl_header import header
from ponder.stages.rollouts import Rollouts
from ponder.task import load_problems
from ponder.train import CheckpointStore, Reference, Sample, credit, learning_rate, open_trainer, weigh
from ponder.train.proximal import with_proximal
from ponder.verify.pool import VerifierPool
from ponder.watch import (
    AlarmLog,
    Finding,
    MetricsLog,
    Phases,
    Progress,
    diagnose,
    read_metrics,
    summarize_groups,
    why_hopeless,
)
from ponder.watch.patience import why_stop

__all__ = ["run_rl"]

_DIAGNOSE_EVERY = 10
"""Steps between findings about whether the run can learn."""


def run_rl(context: Context[RlStage]) -> Mapping[str, Any]:
    """Train, and leave `model/`, checkpoints, metrics, rollouts and held-out scores in the stage's folder."""
    return going_on(context, _train)


def _train(context: Context[RlStage]) -> Mapping[str, Any]:
    with VerifierPool(own=context.own) as pool, ExitStack() as stack:
        run = _Run(context, pool, stack)
        with Progress(context.name, run.steps, done=run.step) as progress:
            if run.step == 0:
                run.start(progress)
            if is_continued(context, run.step, run.steps):
                run.reopen(progress)
            run.begin(progress)
            while not run.done:
                collected = run.sample(progress)
                give_back_memory()  # the cache of sampling is gone
                for samples in run.minibatches(collected.groups):
                    run.update(samples, progress)
                run.after_rollout(progress)
            run.end()
        with publishing(context.folder / "model") as folder:
            save_policy(run.policy, folder)
        return run.results()


class _Run:
    """The state of one stage between rollouts: what `run_rl`'s loop works on."""

    def __init__(self, context: Context[RlStage], pool: VerifierPool, stack: ExitStack) -> None:
        config = self.config = context.config
        self.context, self.pool = context, pool
        self.step, self.best, self._saved_reference = 0, -1.0, -1
        self._shown: dict[str, float] = {}
        self._ended: dict[str, float] | None = None  # the last update's row, until what is measured after it is known
        self._compared = False  # whether engine and trainer were found to agree
        self._drawn_version = 0  # of the weights that drew the rollout at hand
        self._reference_step = 0  # of the reference that it is compared with
        self._waited = 0.0  # seconds of the next step that passed before the model was measured
        self._sampled = self._spent = 0.0  # tokens of the rollout at hand, seconds of its steps
        check_names(config.reward_weights(0))
        self.steps = config.steps
        self.policy = load_policy(context.model_source(config.model), config.template, config.precision)
        self.world = None if config.environment is None else World(config.environment, pool, context.own)
        self.problems = decontaminate_problems(
            load_problems(config.problems, context.own, stages=context.inputs),
            config.decontaminate,
            context.folder,
            self._say,
        )
        if self.world is not None:
            self.problems = replace(self.problems, problems=self.world.begin(self.problems.problems))
        self.judges = open_judges(context, stack)
        self.reward_models = open_reward_models(context, self.problems.problems, self.judges)
        self.critic = None if config.learnt_critic() is None else StageCritic(context, self.policy)
        self.drawing = Drawing(self.problems, config, context.seed)
        self.held_out = self._held_out()
        self._check_lengths()
        check_canaries(self.policy.template, self.problems.problems, config.largest_weights(), pool, say=self._say)
        if self.judges is not None:
            count = len(config.rubric.criteria) if config.rubric is not None else 1
            check_judges(self.judges, self.problems.problems, count, self._say)
        incidents = context.folder.absolute() / "incidents"
        self.trainer = open_trainer(self.policy, config.optimizer, config.batch, incidents, placed_ranks(context))
        stack.callback(self.trainer.close)
        ranks_are_back(context)
        self.reference = Reference(self.trainer, 0) if config.objective.kl_coefficient > 0 else None
        self.checkpoints = CheckpointStore(context.folder / "checkpoints", config.keep_checkpoints)
        self.metrics, self.phases = MetricsLog(context.folder), Phases()
        self.alarms = AlarmLog(context.folder, config.engine.parity_tolerance)
        self._engine_config = config.engine.model_copy(
            update={"kind": engine_kind(config.engine, self.policy, self.world)}
        )
        self._resume()
        self.engine = open_placed(context, self._engine_config, self.policy, self.world, config.batch.ranks)
        self.rollouts = Rollouts(context, self.drawing, self._voice(), pool, self.reward_models, self.judges)
        self.rollouts.open(self.engine, self._engine_config, self.policy, self.step, self.trainer.version, stack)
        self._say_header()

    def start(self, progress: Progress) -> None:
        """What the model is before any update."""
        if self.held_out is not None:
            measured = self.measure(progress)
            self.best = measured.get("evaluation/pass@1", self.best)
            self.rows.append(self.metrics.write(0, measured))

    def reopen(self, progress: Progress) -> None:
        """End the step at which a shorter run stood once more, now as one of many."""
        step, updates, others = self.step, self.config.updates_per_rollout, []
        if cut := [at for at in self.context.continued if at % updates]:
            others.append(f"the rollout before step {cut[0]} was cut short, and those after it begin at other steps")
        due = self.held_out is not None and _crossed(self.held_out.every, step - min(updates, step), step)
        stands = self.held_out is not None and self.held_out.reopen(step, due=due)
        scores = self.held_out.scores() if self.held_out is not None else {}
        best_step, self.best = 0, -1.0
        for at in sorted(at for at in scores if at < step):
            if scores[at].overall.pass_at_1 > self.best:
                best_step, self.best = at, scores[at].overall.pass_at_1
        if not self.checkpoints.take_back_best(step, best_step):
            others.append(f"the best checkpoint until then, of step {best_step}, is gone")
        self._ended = without(self.metrics.reopen(), "evaluation/", *([] if stands else ["seconds/evaluate"]))
        self.rows.pop()
        self.alarms.truncate_after(step - 1)
        say_longer(self.context, self.config.optimizer, step, self.steps, *others)
        self.after_rollout(progress)

    def begin(self, progress: Progress) -> None:
        """The first step of this session begins: what loading and measuring took is none of it."""
        self.phases.take()
        progress.begin()

    def sample(self, progress: Progress) -> Collected:
        """The groups of the next rollout, judged, on disk, and with what they show."""
        version = self.trainer.version
        collected = self.rollouts.next(
            self.step, version, self.phases, lambda done, total, pace: progress.tick("generate", done, total, pace)
        )
        self.trainer.temperature = self.config.sampling.temperature_at(self.step)
        self._drawn_version = min(
            (one.completion.weight_version for group in collected.groups for one in group.rollouts), default=version
        )
        self._shown = {**summarize_groups(collected.groups, self.policy.template), **collected.metrics}
        return collected

    def minibatches(self, groups: tuple[Group, ...]) -> list[list[Sample]]:
        """The samples of each update of this rollout, weighed: the useful groups, dealt out at random. The length limit
        in a weight is the one they were sampled under, whatever limit is in force when the update is made."""
        updates = min(self.config.updates_per_rollout, self.steps - self.step)
        useful = credit(groups, self.config.objective)
        same = self._drawn_version == self.trainer.version  # else they may well differ
        if not self._compared and useful and same:  # at step 0, or as soon as there is something to compare
            self._compared = True
            self._check_parity([sample for group in useful for sample in group])
        if self.reference is not None:
            self._reference_step = self.reference.step
            with self.phases("reference"):
                flat = self.reference.annotate([sample for group in useful for sample in group])
            annotated = iter(flat)
            useful = [[next(annotated) for _ in group] for group in useful]
        if self.config.objective.mismatch_cap is not None and useful:
            with self.phases("proximal"):
                useful = with_proximal(useful, self.trainer)
        if self.critic is not None and useful:
            with self.phases("critic"):
                useful, shown = self.critic.credit(useful)
            self._shown |= shown
        Random(self._seed("minibatches", self.step)).shuffle(useful)
        dealt = [[sample for group in useful[i::updates] for sample in group] for i in range(updates)]
        return [weigh(samples, self.config.objective, self._max_tokens()) if samples else [] for samples in dealt]

    def update(self, samples: list[Sample], progress: Progress) -> None:
        """One policy update and its row of metrics. Without samples the weights stay as they are."""
        config = self.config
        self._end_step(progress)  # of the same rollout: nothing is measured between its updates
        lr = learning_rate(config.optimizer, self.step, self.steps)
        row, self._shown = self._shown, {}
        if config.engine.lag > 0:
            row["policy/staleness"] = float(self.trainer.version - self._drawn_version)
        if samples:
            with self.phases("update"):
                measured = self.trainer.forward_backward(samples, partial(policy_loss, objective=config.objective))
                report = self.trainer.optimizer_step(lr)
            row |= metric_values(measured) | {"optimizer/lr": report.lr, "optimizer/grad_norm": report.grad_norm}
            if report.skipped:
                progress.say(f"{self.context.name}: update {self.step + 1} skipped: {report.skipped}")
        if samples and self.critic is not None:
            with self.phases("critic"):
                learnt, skipped = self.critic.update(samples, self.step)
            row |= learnt
            if skipped:
                progress.say(f"{self.context.name}: update {self.step + 1} of the critic skipped: {skipped}")
        self.step += 1
        every = config.objective.reference_every
        if self.reference is not None and every is not None and self.step % every == 0:
            self.reference.renew(self.step)
        seconds = self.phases.take()
        if self._waited:
            seconds |= {name: seconds.get(name, 0.0) + self._waited for name in ("wait", "step")}
            self._waited = 0.0
        row |= {
            "optimizer/skipped": float(self.trainer.skipped),
            "policy/reference_step": float(self._reference_step),
            **memory_used(self.policy.device),
            **self.trainer.memory(),
            **{f"seconds/{name}": spent for name, spent in seconds.items()},
        }
        self._sampled += row.get("rollout/tokens", 0.0)
        self._spent += seconds["step"]
        self._ended = row

    def _end_step(self, progress: Progress, measured: dict[str, float] | None = None) -> None:
        """Write the row of the last update, if it is not written yet, with what was measured after it."""
        if self._ended is not None:
            row, self._ended = self._ended | (measured or {}), None
            self.rows.append(self.metrics.write(self.step, row))
            progress.step(self.step, row)

    def after_rollout(self, progress: Progress) -> None:
        """Measure, keep a checkpoint and say what is wrong, where that is due."""
        self.trainer.publish()
        self.rollouts.renew(self.trainer.version)
        config, updates = self.config, self.config.updates_per_rollout
        before = self.step - min(updates, self.step)
        done = self.step >= self.steps
        measured: dict[str, float] = {}
        if self._sampled:
            measured = {"speed/tokens_per_second": self._sampled / self._spent}
        self._sampled = self._spent = 0.0
        if self.held_out is not None and (done or _crossed(self.held_out.every, before, self.step)):
            self._drain(progress)
            measured |= self.measure(progress)
        if not done and (why := self._why_stop()) is not None:
            progress.say(f"{self.context.name}: training ends at step {self.step} of {self.steps}: {why}")
            done = True
        self._end_step(progress, measured)
        accuracy = measured.get("evaluation/pass@1", self.best)
        best, self.best = accuracy > self.best, max(self.best, accuracy)
        self.alarm(progress)
        hopeless = None if done or self.critic is not None else why_hopeless(self.rows, before)
        if best or done or hopeless or _crossed(config.checkpoint_every, before, self.step):
            self._drain(progress)  # what was begun before it is on disk: no weights before it are asked for again
            with self.phases("save"):
                self._save(best)
        if _crossed(_DIAGNOSE_EVERY, before, self.step) or done:
            for finding in diagnose(self.rows, _DIAGNOSE_EVERY, ended=done):
                progress.say(f"{self.context.name}: {finding.level}: {self._place_of(finding)}{finding.text}")
        if hopeless:
            raise LearningError(f"{self.context.name}: {hopeless}")

    def _drain(self, progress: Progress) -> None:
        self.rollouts.drain(self.phases, lambda done, total, pace: progress.tick("generate", done, total, pace))

    def end(self) -> None:
        """Training is over: nothing is left of updates that are not made."""
        self.rollouts.end(self.step)

    def _place_of(self, finding: Finding) -> str:
        """Where the class stands that may be the reason; nothing for others."""
        environment = self.config.environment
        if finding.name != "endless" or environment is None or environment.own is None:
            return ""
        return self.context.own.place(environment.own)

    def alarm(self, progress: Progress) -> None:
        """Raise what has newly gone wrong: before the checkpoint, so that a kill in between raises it again."""
        scores = self.held_out.scores() if self.held_out is not None else {}
        held_out = {step: found.accuracy for step, found in scores.items()}
        for alarm in self.alarms.check(self.step, self.rows, held_out, self.config.weights_since(self.step)):
            progress.say(f"{self.context.name}: ALARM: {alarm.text}")

    def measure(self, progress: Progress) -> dict[str, float]:
        """Score the held-out problems: what they show, and the seconds it took unless that was done before."""
        assert self.held_out is not None
        before = self.step in self.held_out.scores()
        with self.phases("evaluate"), self.rollouts.all_threads():
            scores = self.held_out.measure(
                self.policy,
                self.engine,
                self.pool,
                step=self.step,
                full=self.step in (0, self.steps),
                model=self.context.name,
                max_tokens=self._max_tokens(),
                progress=lambda done, total, pace: progress.tick("evaluate", done, total, pace),
            )
        progress.say(describe(scores, self.context.name, self.step))
        try_report(self.context.folder.parent.parent, progress.say)
        spent = self.phases.take()
        self._waited = spent.get("wait", 0.0)
        return score_metrics(scores) | ({} if before else {"seconds/evaluate": spent["evaluate"]})

    def results(self) -> Mapping[str, Any]:
        """The scores at the start and at the end, for the manifest."""
        scores = self.held_out.scores() if self.held_out is not None else {}
        named = {"start": scores.get(0), "end": scores.get(self.step)}
        return {name: found.overall.to_json() for name, found in named.items() if found is not None}

    @property
    def done(self) -> bool:
        """Whether all updates are made, or no more are to be."""
        return self.step >= self.steps or self._why_stop() is not None

    def _why_stop(self) -> str | None:
        stop = self.config.stop
        if stop is None or self.held_out is None:
            return None
        scores = self.held_out.scores()
        accuracies = {step: found.overall.pass_at_1 for step, found in scores.items() if step <= self.step}
        return why_stop(accuracies, stop.patience, stop.least_gain)

    def _say(self, line: str) -> None:
        self.context.say(f"{self.context.name}: {line}")

    def _seed(self, *parts: str | int) -> int:
        return derive_seed(self.context.seed, *parts)

    def _max_tokens(self) -> int:
        return self.config.sampling.max_tokens_at(self.step)

    def _check_lengths(self) -> None:
        """Every prompt must leave room for the longest completion, now rather than at the step that draws it."""
        longest, voice = self.config.longest_completion(), self._voice()
        requests = [
            Request(prompt_ids=voice.prompt(problem.messages), seeds=(), key=problem.id)
            for problem in self.problems.problems
        ]
        check_fits(requests, longest, voice.window if self.critic is None else min(voice.window, self.critic.window))

    def _voice(self) -> Voice:
        voice = self.policy.voice()
        return voice if self.world is None else self.world.voiced(voice)

    def _check_parity(self, rollout: list[Sample]) -> None:
        chosen = spread([len(sample.response_ids) for sample in rollout], PARITY_SAMPLES)
        samples = [rollout[i] for i in chosen]
        parity = check_parity(
            [sample.learnt_ids for sample in samples],
            [sample.behaviour or () for sample in samples],
            [logprobs.tolist() for logprobs in self.trainer.logprobs(samples)],
            self.config.engine.parity_tolerance,
        )
        self.context.say(
            f"{self.context.name}: engine and trainer log-probs of {parity.tokens:,} tokens differ by "
            f"{parity.mean:.2g} on average (tolerance {self.config.engine.parity_tolerance:g}), "
            f"{parity.worst:.2g} at most"
        )

    def _save(self, best: bool) -> None:
        reference = self.reference

        def write(folder: Path) -> None:
            self.trainer.save(folder)
            if reference is not None and not kept:
                reference.save(folder)
            if self.critic is not None:
                self.critic.save(folder)

        kept = reference is not None and reference.step == self._saved_reference
        unchanged = {Reference.folder_name: reference.save} if reference is not None and kept else {}
        state: dict[str, Any] = {"best": self.best, "reference_step": reference.step if reference else None}
        state |= self.drawing.state()
        if self.config.engine.kind == "auto":
            state["engine"] = self._engine_config.kind
        self.checkpoints.save(self.step, write, state, unchanged, best=best)
        self._saved_reference = reference.step if reference else -1

    def _resume(self) -> None:
        checkpoint = self.checkpoints.newest()
        say_resumed(self.context, checkpoint.step if checkpoint is not None else None)
        if checkpoint is not None:
            self.trainer.load(checkpoint.folder)
            self.step, self.best = checkpoint.step, checkpoint.state["best"]
            self.drawing.restore(checkpoint.state)
            if self.config.engine.kind == "auto" and "engine" in checkpoint.state:  # on this machine it may be another
                self._engine_config = self._engine_config.model_copy(update={"kind": checkpoint.state["engine"]})
            if self.critic is not None:
                self.critic.load(checkpoint.folder)
            if self.reference is not None:
                self.reference.load(checkpoint.folder, checkpoint.state["reference_step"])
                self._saved_reference = self.reference.step
        self.metrics.truncate_after(self.step if checkpoint is not None else -1)
        self.alarms.truncate_after(self.step)
        self.rows = list(read_metrics(self.context.folder))
        if self.held_out is not None:
            self.held_out.truncate_after(self.step if checkpoint else -1)

    def _held_out(self) -> HeldOutProblems | None:
        config = self.config.held_out
        if config is None:
            return None
        held_out = HeldOutProblems(config, self.context, self._max_tokens(), self.world)
        trained = {problem.messages for problem in self.problems.problems}
        held_out.warn_of_trained(trained, self.context.name, self.context.say)
        if self.config.stop is not None and all(problem.gold is None for problem in held_out.problems):
            raise DataError(
                f"Stage {self.context.name!r} is to stop where held-out accuracy no longer rises, but none of its "
                f"{len(held_out.problems)} held-out problems has an answer to check. Add some that have, or remove "
                "`stop`."
            )
        return held_out

    def _say_header(self) -> None:
        for line in header(
            self.config,
            self.policy,
            problems=len(self.problems.problems),
            tools=tuple(tool.name for tool in self._voice().tools),
            max_tokens=self._max_tokens(),
            engine=self._engine_config.kind,
            lag=self.rollouts.lag,
            reference_step=self.reference.step if self.reference is not None else None,
            critic=self.critic.describe() if self.critic is not None else None,
        ):
            self._say(line)
        list_left_out(self.context, self.problems.left_out)


def _crossed(every: int | None, before: int, after: int) -> bool:
    """Whether a multiple of `every` lies in (before, after]."""
    return every is not None and after // every > before // every
