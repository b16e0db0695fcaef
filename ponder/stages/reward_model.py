"""Reward models: which of two answers is more helpful, or whether a response is safe.

    pairwise   loss = - mean log sigmoid(r(x, y_chosen) - r(x, y_rejected))     Nature eq. 5
    pointwise  loss = - mean log p(label), p(safe) = sigmoid(r(x, y))           binary cross-entropy

A model's body gets one row of weights on the last token. Helpfulness sees prompt and final answer only, safety the
whole response (Nature, Methods). Prompts that are measured on are never trained on. The order of an epoch depends on
(stage seed, epoch) alone, so the step is all that resuming needs.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from random import Random
from typing import Any

from ponder.algorithm import metric_values
from ponder.errors import DataError
from ponder.evaluation.scorer import HELD_OUT_FILE, ScorerQuality, quality_of_labels, quality_of_pairs
from ponder.files import publishing, write_json
from ponder.policy import load_policy
from ponder.policy.memory import memory_used
from ponder.policy.scorer import Scored, Scorer
from ponder.policy.scorer_load import new_scorer, save_scorer
from ponder.recipe.reward_model import PreferenceSource
from ponder.recipe.stages import RewardModelStage
from ponder.records import LabelledResponse, PreferencePair
from ponder.seeds import derive_seed
from ponder.stages.again import going_on
from ponder.stages.context import Context
from ponder.stages.left_out import list_left_out
from ponder.stages.longer import is_continued, say_longer, without
from ponder.stages.placed import placed_ranks, ranks_are_back
from ponder.stages.resumed import say_resumed
from ponder.task.fault import LeftOut
from ponder.task.preference import LoadedPreferences, load_labels, load_pairs
from ponder.train import CheckpointStore, learning_rate
from ponder.train.open import open_score_trainer
from ponder.train.score_trainer import Judgement
from ponder.watch import AlarmLog, MetricsLog, Phases, Progress

__all__ = ["run_reward_model"]

_LEAST_DEVIATION = 1e-6
"""Of held-out scores; what is divided by it is a scorer that tells nothing apart."""
_MEASURED = (
    "scorer/accuracy",
    "scorer/auc",
    "scorer/calibration_error",
    "scorer/length_correlation",
    "scorer/mean",
    "scorer/deviation",
    "scorer/mismatch",
)
"""Metrics of the held-out rows."""

Row = PreferencePair | LabelledResponse


def run_reward_model(context: Context[RewardModelStage]) -> Mapping[str, Any]:
    """Train, and leave `model/` with its `ponder_scorer.json`, checkpoints, metrics and `held_out.json`."""
    return going_on(context, _train)


def _train(context: Context[RewardModelStage]) -> Mapping[str, Any]:
    run = _Run(context)
    with closing(run.trainer), Progress(context.name, run.steps, done=run.step) as progress:
        if run.step == 0:
            run.log.write(0, _metrics(run.measure(progress)))
        if is_continued(context, run.step, run.steps):
            run.reopen()
        run.phases.take()  # loading and measuring are no part of the first step
        progress.begin()
        while run.step < run.steps:
            run.update(progress)
        quality = run.measure(progress)
    even = quality.mean if context.config.loss == "pairwise" else 0.0  # differences say nothing of where the zero is
    deviation = max(quality.deviation, _LEAST_DEVIATION)
    with publishing(context.folder / "model") as folder:
        save_scorer(run.scorer.with_file(mean=quality.mean, deviation=deviation, even=even), folder)
    write_json(context.folder / HELD_OUT_FILE, quality.to_json())
    return {"trained_on": len(run.trained), "left_out": run.left_out, "held_out": quality.to_json()}


class _Run:
    """The state of one stage between updates."""

    def __init__(self, context: Context[RewardModelStage]) -> None:
        config = self.config = context.config
        self.context = context
        self.left_out = 0
        self._unread: list[LeftOut] = []
        seed = derive_seed(context.seed, "weights") % 2**31
        policy = load_policy(context.model_source(config.model), config.template, config.precision)
        self.scorer = new_scorer(
            policy, loss=config.loss, scope=config.scored, base=config.model, max_tokens=config.max_tokens, seed=seed
        )
        self.trained, self.held_out = self._rows()
        self.batches = -(-len(self.trained) // config.batch_size)
        self.steps = self.batches * config.epochs
        incidents = context.folder.absolute() / "incidents"
        placed = placed_ranks(context)
        self.trainer = open_score_trainer(self.scorer, config.optimizer, config.batch, incidents, placed)
        ranks_are_back(context)
        self.checkpoints = CheckpointStore(context.folder / "checkpoints", config.keep_checkpoints)
        self.log, self.phases = MetricsLog(context.folder), Phases()
        self.alarms = AlarmLog(context.folder)
        self.step = self._resume()
        self._say_header()

    def reopen(self) -> None:
        """Make the step at which a shorter run stood one of many."""
        every = self.config.evaluate_every
        if every is None or self.step % every:
            self.log.write(self.step, without(self.log.reopen(), *_MEASURED, "seconds/evaluate"))
            self.alarms.truncate_after(self.step - 1)
        say_longer(self.context, self.config.optimizer, self.step, self.steps)

    def update(self, progress: Progress) -> None:
        """One update and its row of metrics, and what is due after it."""
        config = self.config
        with self.phases("update"):
            measured = self.trainer.forward_backward(self._batch(self.step))
            report = self.trainer.optimizer_step(learning_rate(config.optimizer, self.step, self.steps))
        if report.skipped:
            progress.say(f"{self.context.name}: update {self.step + 1} skipped: {report.skipped}")
        self.step += 1
        metrics = metric_values(measured) | {
            "optimizer/lr": report.lr,
            "optimizer/grad_norm": report.grad_norm,
            "optimizer/skipped": float(self.trainer.skipped),
            **memory_used(self.scorer.device),
            **self.trainer.memory(),
        }
        every, done = config.evaluate_every, self.step == self.steps
        if done or (every is not None and self.step % every == 0):
            with self.phases("evaluate"):
                metrics |= _metrics(self.measure(None if done else progress)) | self.mismatch()
        metrics |= {f"seconds/{name}": spent for name, spent in self.phases.take().items()}
        for alarm in self.alarms.check_mismatch(self.step, [self.log.write(self.step, metrics)]):
            progress.say(f"{self.context.name}: ALARM: {alarm.text}")
        progress.step(self.step, metrics)
        if self.step % config.checkpoint_every == 0 or done:  # after its metrics, or a kill would lose them
            with self.phases("save"):
                self.checkpoints.save(self.step, self.trainer.save, {})

    def measure(self, progress: Progress | None) -> ScorerQuality:
        """The quality on the held-out rows; said where `progress` is given."""
        self.trainer.publish()
        items = [item.scored for item in self.held_out]
        scores = self.scorer.scores(items, self.trainer.tokens_per_micro_batch)
        lengths = [tuple(map(len, item.response_ids)) for item in items]
        if self.config.loss == "pairwise":
            quality = quality_of_pairs([(a, b) for a, b in scores], [(a, b) for a, b in lengths])
        else:
            safe = [item.labels[0] == 1 for item in self.held_out]
            quality = quality_of_labels([one for (one,) in scores], safe, [one for (one,) in lengths])
        if progress is not None:
            auc = "" if quality.auc is None else f", area under the curve {quality.auc:.3f}"
            length = quality.length_correlation
            progress.say(
                f"{self.context.name}: after {self.step} steps held-out accuracy {quality.accuracy:.3f}{auc} on "
                f"{quality.rows:,} rows, calibration error {quality.calibration_error:.3f}, correlation of score and "
                f"length {'unknown' if length is None else format(length, '.2f')}"
            )
        return quality

    def mismatch(self) -> dict[str, float]:
        """How far the scores of the longest and the shortest held-out row, packed, are from those of each alone."""
        rows = sorted((item.scored for item in self.held_out), key=lambda one: one.longest)
        if len(rows) < 2:
            return {}
        ends, budget = [rows[0], rows[-1]], self.trainer.tokens_per_micro_batch
        packed = self.scorer.scores(ends, budget)
        alone = [self.scorer.scores([one], budget)[0] for one in ends]
        return {
            "scorer/mismatch": max(
                abs(a - b) for x, y in zip(packed, alone, strict=True) for a, b in zip(x, y, strict=True)
            )
        }

    def _batch(self, step: int) -> Sequence[Judgement]:
        """The rows of update `step`: an epoch is shuffled and dealt out evenly."""
        epoch, number = divmod(step, self.batches)
        order = list(range(len(self.trained)))
        Random(derive_seed(self.context.seed, "order", epoch)).shuffle(order)
        first, last = (len(order) * (number + more) // self.batches for more in (0, 1))
        return [self.trained[i] for i in order[first:last]]

    def _rows(self) -> tuple[list[Judgement], list[Judgement]]:
        """What is trained on and what is measured on, as ids."""
        config, seed = self.config, derive_seed(self.context.seed, "held out")
        data = self._load(config.data)
        if config.held_out:
            held_out = self._load(config.held_out)
            prompts = {row.messages for row in held_out}
            trained = [row for row in data if row.messages not in prompts]
            if shared := len(data) - len(trained):
                self._say(f"{shared:,} rows are not trained on, since their prompts are held out")
        else:
            prompts_in_order = sorted(dict.fromkeys(row.messages for row in data), key=lambda m: _draw(seed, m))
            count = max(1, round(config.held_out_share * len(prompts_in_order)))
            kept_back = set(prompts_in_order[:count])
            held_out = [row for row in data if row.messages in kept_back]
            trained = [row for row in data if row.messages not in kept_back]
        if not trained:
            raise DataError(
                f"Stage {self.context.name!r} has no row to train on: the prompts of all {len(data):,} rows are held "
                "out. "
                + (
                    "`held_out` reads the same questions as `data`: give one of them another split, seed or file."
                    if config.held_out
                    else "They share too few prompts to measure on some and train on others: give rows to more prompts."
                )
            )
        encoded = self._encoded(trained, "train on"), self._encoded(held_out, "measure on")
        if config.loss == "pointwise":
            self._check_labels(*encoded)
        return encoded

    def _check_labels(self, trained: Sequence[Judgement], held_out: Sequence[Judgement]) -> None:
        """Labels that are all alike teach nothing, and measure little."""
        kinds = ("unsafe", "safe")
        for rows, purpose in ((trained, "train on"), (held_out, "measure on")):
            safe = sum(row.labels[0] == 1 for row in rows)
            if 0 < safe < len(rows):
                continue
            fact = f"all {len(rows):,} responses to {purpose} are {kinds[safe > 0]}"
            if rows is held_out:
                self._say(f"WARNING: {fact}, so accuracy says little and there is no area under the curve")
                continue
            raise DataError(
                f"Stage {self.context.name!r} cannot learn to tell safe from unsafe: {fact}. Add {kinds[safe == 0]} "
                "ones, such as from other requests or another model."
            )

    def _load(self, sources: Sequence[PreferenceSource]) -> Sequence[Row]:
        pairwise = self.config.loss == "pairwise"
        load: Callable[..., LoadedPreferences[Any]] = load_pairs if pairwise else load_labels
        loaded = load(sources, self.context.inputs)
        self._say(", ".join(f"{size:,} rows of {name}" for name, size in loaded.sizes.items()))
        self.left_out += len(loaded.left_out)
        self._unread += loaded.left_out
        list_left_out(self.context, self._unread)
        rows: Sequence[Row] = loaded.rows
        return rows

    def _encoded(self, rows: Sequence[Row], purpose: str) -> list[Judgement]:
        """The rows as ids; those that are too long, or that the prompt form refuses, are left out and counted.
        DataError where none is left."""
        limit = min(self.config.max_tokens, self.scorer.window)
        read: list[Judgement | None] = []
        refused: list[str] = []
        for row in rows:
            try:
                read.append(_judgement(self.scorer, row))
            except DataError as error:
                refused.append(str(error))
        if refused:
            self.left_out += len(refused)
            self._say(
                f"{len(refused):,} rows to {purpose} fit no prompt and are left out, the first since: {refused[0]}"
            )
        items = [item for item in read if item is not None]
        if unanswered := len(read) - len(items):
            self.left_out += unanswered
            self._say(f"{unanswered:,} rows to {purpose} have no answer after their thinking and are left out")
        fitting = [item for item in items if item.scored.longest <= limit]
        if too_long := len(items) - len(fitting):
            self.left_out += too_long
            self._say(f"{too_long:,} rows to {purpose} are longer than {limit:,} tokens and left out")
        if not fitting:
            raise DataError(
                f"Stage {self.context.name!r} has no row to {purpose}: {too_long:,} are longer than {limit:,} tokens, "
                f"{unanswered:,} have no answer after their thinking, {len(refused):,} fit no prompt, and there are no "
                "others. Raise max_tokens, or give other data."
            )
        return fitting

    def _resume(self) -> int:
        checkpoint = self.checkpoints.newest()
        say_resumed(self.context, checkpoint.step if checkpoint is not None else None)
        step = 0
        if checkpoint is not None:
            self.trainer.load(checkpoint.folder)
            step = checkpoint.step
        self.log.truncate_after(step if checkpoint is not None else -1)
        self.alarms.truncate_after(step if checkpoint is not None else -1)
        return step

    def _say_header(self) -> None:
        file, parameters = self.scorer.file, sum(p.numel() for p in self.scorer.model.parameters())
        self._say(
            f"{file.architecture} of {parameters:,} parameters from {self.config.model}, template {file.template}; "
            f"scores the {file.scope} after the prompt on its last token ({file.end or 'no end token'})"
        )
        self._say(
            f"{file.loss} loss on {len(self.trained):,} rows, {self.steps} updates of at most {self.config.batch_size} "
            f"rows; measured on {len(self.held_out):,} rows"
        )

    def _say(self, text: str) -> None:
        self.context.say(f"{self.context.name}: {text}")


def _judgement(scorer: Scorer, row: Row) -> Judgement | None:
    """A row as ids, or None where a text has nothing that the scorer sees."""
    texts = (row.chosen, row.rejected) if isinstance(row, PreferencePair) else (row.response,)
    labels = (1.0, 0.0) if isinstance(row, PreferencePair) else (float(row.safe),)
    seen = [text for one in texts if (text := scorer.seen(one)) is not None]
    if len(seen) < len(texts):
        return None
    ids = tuple(scorer.text_ids(text) for text in seen)
    return Judgement(scored=Scored(prompt_ids=scorer.prompt_ids(row.messages), response_ids=ids), labels=labels)


def _metrics(quality: ScorerQuality) -> dict[str, float]:
    numbers = {
        "scorer/accuracy": quality.accuracy,
        "scorer/auc": quality.auc,
        "scorer/calibration_error": quality.calibration_error,
        "scorer/length_correlation": quality.length_correlation,
        "scorer/mean": quality.mean,
        "scorer/deviation": quality.deviation,
    }
    return {name: value for name, value in numbers.items() if value is not None}


def _draw(seed: int, messages: tuple[Any, ...]) -> int:
    return derive_seed(seed, *(f"{message.role}: {message.content}" for message in messages))
