"""Pretraining: next-token prediction from random weights on documents of the embedded world.

    loss = - mean over tokens of log p(token | tokens before it in its document)

Documents are packed without seeing each other. Document i of the corpus depends on (corpus seed, i) alone, so the
number of documents read is all that resuming needs. This makes the base model that ships with ponder.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import islice
from typing import Any

from ponder.algorithm import metric_values, next_token_loss
from ponder.evaluation import completions_path, scores_path
from ponder.files import publishing
from ponder.micro.corpus import documents
from ponder.micro.tokenizer import train_tokenizer
from ponder.policy import Policy, check_fields, random_policy, save_policy
from ponder.policy.memory import memory_used
from ponder.recipe.rollout import EngineConfig
from ponder.recipe.stages import PretrainStage
from ponder.rollout import open_engine
from ponder.seeds import derive_seed
from ponder.stages.again import going_on
from ponder.stages.context import Context
from ponder.stages.held_out import HeldOutProblems
from ponder.stages.longer import is_continued, say_longer, without
from ponder.stages.placed import placed_ranks, ranks_are_back
from ponder.stages.resumed import say_resumed
from ponder.train import AnyTrainer, CheckpointStore, Sample, learning_rate, open_trainer
from ponder.verify.pool import VerifierPool
from ponder.watch import AlarmLog, MetricsLog, Phases, Progress

__all__ = ["run_pretrain"]

_MAX_TOKENS = 512
"""Length limit of held-out completions where the recipe names none."""


def run_pretrain(context: Context[PretrainStage]) -> Mapping[str, Any]:
    """Train, save `model/`, and measure it on the held-out problems."""
    return going_on(context, _train)


def _train(context: Context[PretrainStage]) -> Mapping[str, Any]:
    config = context.config
    steps = -(-config.tokens // config.tokens_per_step)
    policy = _new_policy(context)
    incidents = context.folder.absolute() / "incidents"
    trainer = open_trainer(policy, config.optimizer, config.batch, incidents, placed_ranks(context))
    ranks_are_back(context)
    checkpoints = CheckpointStore(context.folder / "checkpoints", config.keep_checkpoints)
    log, alarms, phases = MetricsLog(context.folder), AlarmLog(context.folder), Phases()
    step, read = _resume(context, checkpoints, trainer, log)
    alarms.truncate_after(step)
    if is_continued(context, step, steps):
        _reopen(context, step, steps, log, alarms)
    corpus = documents(config.corpus.seed, read, config.corpus.careful)

    with closing(trainer), Progress(context.name, steps, done=step) as progress:
        phases.take()  # loading is no part of the first step
        progress.begin()
        while step < steps:
            with phases("update"):
                samples = _samples(policy, corpus, read, config.tokens_per_step)
                measured = trainer.forward_backward(samples, next_token_loss)
                report = trainer.optimizer_step(learning_rate(config.optimizer, step, steps))
            read += len(samples)
            step += 1
            seconds = phases.take()
            metrics = {
                **metric_values(measured),
                "optimizer/lr": report.lr,
                "optimizer/grad_norm": report.grad_norm,
                "optimizer/skipped": float(trainer.skipped),
                **memory_used(policy.device),
                **trainer.memory(),
                "speed/tokens_per_second": sum(len(s.response_ids) for s in samples) / seconds["step"],
                **{f"seconds/{name}": spent for name, spent in seconds.items()},
            }
            due = step % config.checkpoint_every == 0 or step == steps
            if due:
                metrics |= trainer.mismatch(samples)
            for alarm in alarms.check_mismatch(step, [log.write(step, metrics)]):
                progress.say(f"{context.name}: ALARM: {alarm.text}")
            progress.step(step, metrics)
            if due:  # after its metrics, or a kill would lose them
                with phases("save"):
                    checkpoints.save(step, trainer.save, {"documents": read})
        trainer.publish()

    with publishing(context.folder / "model") as folder:
        save_policy(policy, folder)
    return _measure(context, policy, step)


def _new_policy(context: Context[PretrainStage]) -> Policy:
    config = context.config
    check_fields(config.architecture)
    corpus = islice(documents(config.corpus.seed), config.corpus.tokenizer_documents)
    tokenizer = train_tokenizer(corpus, config.vocabulary)
    seed = derive_seed(context.seed, "weights") % 2**31
    return random_policy(config.architecture, tokenizer, config.template, seed, config.precision)


def _resume(
    context: Context[PretrainStage], checkpoints: CheckpointStore, trainer: AnyTrainer, log: MetricsLog
) -> tuple[int, int]:
    """The step to go on from and the documents read until then."""
    checkpoint = checkpoints.newest()
    say_resumed(context, checkpoint.step if checkpoint is not None else None)
    if checkpoint is None:
        log.truncate_after(0)
        return 0, 0
    trainer.load(checkpoint.folder)
    log.truncate_after(checkpoint.step)
    return checkpoint.step, int(checkpoint.state["documents"])


def _reopen(context: Context[PretrainStage], step: int, steps: int, log: MetricsLog, alarms: AlarmLog) -> None:
    """Make the step at which a shorter run stood one of many."""
    config = context.config
    if step % config.checkpoint_every:
        log.write(step, without(log.reopen(), "policy/mismatch"))
        alarms.truncate_after(step - 1)
    for path in (scores_path(context.folder, step), completions_path(context.folder, step)):
        path.unlink(missing_ok=True)
    say_longer(context, config.optimizer, step, steps)


def _samples(policy: Policy, corpus: Iterator[str], read: int, tokens: int) -> list[Sample]:
    """The next documents, at least `tokens` tokens to predict, each token weighing the same."""
    rows: list[tuple[int, ...]] = []
    while sum(map(len, rows)) - len(rows) < tokens:
        rows.append(tuple(policy.tokenizer(next(corpus)).input_ids))
    weight = 1 / (sum(map(len, rows)) - len(rows))
    return [
        Sample(prompt_ids=row[:1], response_ids=row[1:], group=str(read + i), weight=weight)
        for i, row in enumerate(rows)
    ]


def _measure(context: Context[PretrainStage], policy: Policy, step: int) -> Mapping[str, Any]:
    """The accuracy of the finished model on the held-out problems, per task in `evaluation/`."""
    if context.config.held_out is None:
        return {}
    held_out = HeldOutProblems(context.config.held_out, context, _MAX_TOKENS)
    with VerifierPool(own=context.own) as pool:
        engine = open_engine(EngineConfig(), policy)
        scores = held_out.measure(policy, engine, pool, step=step, full=True, model=context.name)
    return {"end": scores.overall.to_json()}
