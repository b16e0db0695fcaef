"""Supervised fine-tuning on examples: cold start, the 800k stage of R1, distillation (R1 v2, B.4.2 and B.4.3).

    loss = - mean over the response tokens of an update of log p(token | prompt, response so far)

End tokens are response tokens; nothing of a prompt is learnt. Examples are packed without seeing each other. Example i
of the stream depends on (stage seed, i) alone, so the step is all that resuming needs.
"""

import math
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from ponder.algorithm import metric_values, next_token_loss
from ponder.evaluation.contamination import decontaminate_examples
from ponder.files import publishing
from ponder.policy import Policy, add_lora, load_policy, save_policy
from ponder.policy.memory import memory_used
from ponder.recipe.rollout import EngineConfig
from ponder.recipe.stages import SftStage
from ponder.report import try_report
from ponder.rollout import open_engine
from ponder.seeds import derive_seed
from ponder.stages.again import going_on
from ponder.stages.context import Context
from ponder.stages.held_out import HeldOutProblems, describe, score_metrics
from ponder.stages.left_out import list_left_out
from ponder.stages.longer import is_continued, say_longer, without
from ponder.stages.placed import placed_ranks, ranks_are_back
from ponder.stages.resumed import say_resumed
from ponder.stages.sft_data import SftData, split_data
from ponder.task.examples import load_examples
from ponder.train import CheckpointStore, learning_rate, open_trainer
from ponder.verify.pool import VerifierPool
from ponder.watch import AlarmLog, MetricsLog, Phases, Progress, read_metrics

__all__ = ["run_sft"]


def run_sft(context: Context[SftStage]) -> Mapping[str, Any]:
    """Train, and leave `model/`, checkpoints, metrics and held-out scores in the stage's folder."""
    return going_on(context, _train)


def _train(context: Context[SftStage]) -> Mapping[str, Any]:
    with ExitStack() as stack:
        run = _Run(context, stack)
        progress = stack.enter_context(Progress(context.name, run.steps, done=run.step))
        if run.step == 0:
            run.start(progress)
        if is_continued(context, run.step, run.steps):
            run.reopen(progress)
        run.begin(progress)
        while run.step < run.steps:
            row = run.update(progress)
            run.after_update(row, progress)
        run.trainer.publish()
    return run.export()


class _Run:
    """The state of one stage between updates: what `run_sft`'s loop works on."""

    def __init__(self, context: Context[SftStage], stack: ExitStack) -> None:
        config = self.config = context.config
        self.context, self.step = context, 0
        self.policy = self._policy()
        examples = decontaminate_examples(
            load_examples(config.examples, context.inputs),
            config.decontaminate,
            context.folder,
            lambda line: context.say(f"{context.name}: {line}"),
        )
        self.data: SftData = split_data(config, self.policy, examples, context.seed, context.name)
        self.steps = self.data.steps
        self.held_out = self._held_out()
        incidents = context.folder.absolute() / "incidents"
        self.trainer = open_trainer(self.policy, config.optimizer, config.batch, incidents, placed_ranks(context))
        ranks_are_back(context)
        stack.callback(self.trainer.close)
        self.checkpoints = CheckpointStore(context.folder / "checkpoints", config.keep_checkpoints)
        self.metrics, self.phases = MetricsLog(context.folder), Phases()
        self.alarms = AlarmLog(context.folder)
        self._resume()
        self._say_header()

    def start(self, progress: Progress) -> None:
        """What the model is before any update."""
        self.metrics.write(0, self._validation_loss() | self._measure(progress))

    def reopen(self, progress: Progress) -> None:
        """End the step at which a shorter run stood once more, now as one of many."""
        step, row, others = self.step, self.metrics.reopen(), []
        drawn = {one["step"]: one.get("data/examples") for one in read_metrics(self.context.folder)}
        others += [
            f"the update of step {at} was smaller, since the epochs ended within it"
            for at in self.context.continued
            if drawn.get(at) != self.data.drawn(at)
        ]
        validated = step % self.data.validation_every == 0
        stands = self.held_out.reopen(step, due=self._due()) if self.held_out is not None else validated
        row = row if stands else without(row, "seconds/evaluate")
        row = row if validated else without(row, "loss/validation", "policy/mismatch")
        self.alarms.truncate_after(step - 1)
        say_longer(self.context, self.config.optimizer, step, self.steps, *others)
        self.phases.take()
        self.after_update(without(row, "evaluation/"), progress)

    def _due(self) -> bool:
        """Whether the held-out problems are measured after this step wherever the end is."""
        every = self.held_out.every if self.held_out is not None else None
        return every is not None and self.step % every == 0

    def begin(self, progress: Progress) -> None:
        """The first step of this session begins: what loading and measuring took is none of it."""
        self.phases.take()
        progress.begin()

    def update(self, progress: Progress) -> dict[str, float]:
        """One update; its row of metrics."""
        config, data = self.config, self.data
        samples = data.batch(self.step)
        with self.phases("update"):
            measured = self.trainer.forward_backward(samples, next_token_loss)
            report = self.trainer.optimizer_step(learning_rate(config.optimizer, self.step, self.steps))
        if report.skipped:
            progress.say(f"{self.context.name}: update {self.step + 1} skipped: {report.skipped}")
        self.step += 1
        due = self.step % data.validation_every == 0 or self.step == self.steps
        validation = self._validation_loss() | self.trainer.mismatch(samples) if due else {}
        seconds = self.phases.take()
        tokens = sum(sample.learnt_tokens for sample in samples)
        return {
            **metric_values(measured),
            **validation,
            "data/examples": float(data.drawn(self.step)),
            "data/epochs": data.drawn(self.step) / data.training.per_epoch,
            "data/tokens": float(tokens),
            "optimizer/lr": report.lr,
            "optimizer/grad_norm": report.grad_norm,
            "optimizer/skipped": float(self.trainer.skipped),
            **memory_used(self.policy.device),
            **self.trainer.memory(),
            "speed/tokens_per_second": tokens / seconds["step"],
            **{f"seconds/{name}": spent for name, spent in seconds.items()},
        }

    def after_update(self, row: Mapping[str, float], progress: Progress) -> None:
        """Measure where that is due, write the row, and keep a checkpoint where that is due."""
        done = self.step == self.steps
        if done or self._due():
            row = {**row, **self._measure(progress)}
            before = row.get("seconds/evaluate", 0.0)  # of the validation loss
            row["seconds/evaluate"] = before + self.phases.take().get("evaluate", 0.0)
        written = self.metrics.write(self.step, row)
        for alarm in self.alarms.check_mismatch(self.step, [written]):
            progress.say(f"{self.context.name}: ALARM: {alarm.text}")
        progress.step(self.step, row)
        if done or self.step % self.config.checkpoint_every == 0:  # after its metrics, or a kill would lose them
            with self.phases("save"):
                self.checkpoints.save(self.step, self.trainer.save, {})

    def export(self) -> Mapping[str, Any]:
        """Leave a plain model behind; returns the scores at the start and at the end, and what was trained on."""
        if self.policy.adapter is not None:
            self.policy.adapter.merge()
        ends: Any = self.policy.model.generation_config
        ends.eos_token_id = sorted(self.policy.stop_ids)  # other programs must stop at the end token that was trained
        with publishing(self.context.folder / "model") as folder:
            save_policy(self.policy, folder)
        scores = self.held_out.scores() if self.held_out is not None else {}
        named = {"start": scores.get(0), "end": scores.get(self.steps)}
        found = {name: one.overall.to_json() for name, one in named.items() if one is not None}
        return found | {"data": self.data.to_json()}

    def _policy(self) -> Policy:
        context, config = self.context, self.config
        policy = load_policy(context.model_source(config.model), config.template, config.precision)
        if config.lora is not None:
            add_lora(policy, config.lora, derive_seed(context.seed, "weights") % 2**31)
        return policy

    def _validation_loss(self) -> dict[str, float]:
        """Mean over the response tokens of what is held back; nothing where nothing is."""
        samples = [one.sample(str(i), 0.0) for i, one in enumerate(self.data.validation)]
        if not samples:
            return {}
        with self.phases("evaluate"):
            logprobs = self.trainer.logprobs(samples)
        total = math.fsum(float(one.double().sum()) for one in logprobs)
        return {"loss/validation": -total / sum(map(len, logprobs))}

    def _held_out(self) -> HeldOutProblems | None:
        config, context = self.config, self.context
        if config.held_out is None:
            return None
        held_out = HeldOutProblems(config.held_out, context, self.data.room)
        held_out.warn_of_trained(self.data.prompts, context.name, context.say)
        return held_out

    def _measure(self, progress: Progress) -> dict[str, float]:
        """Score the held-out problems, unless that was done before, and show the report so far; what they show."""
        if self.held_out is None:
            return {}
        self.trainer.publish()
        with self.phases("evaluate"), VerifierPool(own=self.context.own) as pool:
            scores = self.held_out.measure(
                self.policy,
                open_engine(EngineConfig(), self.policy),
                pool,
                step=self.step,
                full=self.step in (0, self.steps),
                model=self.context.name,
                progress=lambda done, total, pace: progress.tick("evaluate", done, total, pace),
            )
        progress.say(describe(scores, self.context.name, self.step))
        try_report(self.context.folder.parent.parent, progress.say)
        return score_metrics(scores)

    def _resume(self) -> None:
        checkpoint = self.checkpoints.newest()
        say_resumed(self.context, checkpoint.step if checkpoint is not None else None)
        if checkpoint is not None:
            self.trainer.load(checkpoint.folder)
            self.step = checkpoint.step
        before = self.step if checkpoint is not None else -1
        self.metrics.truncate_after(before)
        self.alarms.truncate_after(before)
        if self.held_out is not None:
            self.held_out.truncate_after(before)

    def _say_header(self) -> None:
        """What is trained on what, with the first example as the trainer sees it."""
        parameters = list(self.policy.model.parameters())
        trained = sum(p.numel() for p in parameters if p.requires_grad)
        lora = self.config.lora
        for line in (
            f"model {self.config.model}: {sum(p.numel() for p in parameters):,} parameters, {trained:,} of them trained"
            + (f" (adapters of rank {lora.rank})" if lora is not None else "")
            + f"; {self.policy.autocast_dtype or 'float32'} products on {self.policy.device}, template "
            f"{self.policy.template.name}",
            *self.data.describe(self.policy.tokenizer),
        ):
            self.context.say(f"{self.context.name}: {line}")
        list_left_out(self.context, self.data.training.left_out)
