"""Held-out problems of a stage: loaded once, measured at chosen steps, results kept in the stage's folder."""

from collections.abc import Callable, Collection
from typing import Any

from ponder.environment import World
from ponder.evaluation import Scores, completions_path, load_scores, save_scores, scores_path
from ponder.evaluation.evaluate import OnTick, evaluate
from ponder.policy import Policy
from ponder.recipe.problems import HeldOut
from ponder.recipe.rollout import Sampling
from ponder.records import Message
from ponder.rollout import Engine
from ponder.seeds import derive_seed
from ponder.stages.context import Context
from ponder.stages.left_out import list_left_out
from ponder.task import load_problems
from ponder.verify.pool import VerifierPool

__all__ = ["HeldOutProblems", "describe", "score_metrics"]


class HeldOutProblems:
    """The problems a stage is measured on. Every measurement uses the same seeds, so two of them are paired."""

    def __init__(self, config: HeldOut, context: Context[Any], max_tokens: int, world: World | None = None) -> None:
        self._config = config
        self._folder = context.folder
        self._seed = derive_seed(context.seed, "held out")
        self._max_tokens = max_tokens
        self.every = config.every
        self._world = world
        loaded = load_problems(config.problems, context.own, stages=context.inputs)
        list_left_out(context, loaded.left_out, of="held-out")
        self.problems = loaded.problems if world is None else world.begin(loaded.problems)

    def warn_of_trained(self, trained: Collection[tuple[Message, ...]], name: str, say: Callable[[str], None]) -> None:
        """Say where some of them are also among the conversations that the stage `name` trains on."""
        if shared := sum(problem.messages in trained for problem in self.problems):
            say(
                f"{name}: WARNING: {shared} of {len(self.problems)} held-out problems are also trained on, so held-out "
                "accuracy flatters the model; take another split, seed or file for `held_out`"
            )

    def scores(self) -> dict[int, Scores]:
        """All measurements so far, by step."""
        return load_scores(self._folder)

    def truncate_after(self, step: int) -> None:
        """Forget measurements of later steps: they are about to be made again."""
        for later in [done for done in self.scores() if done > step]:
            self._forget(later)

    def _forget(self, step: int) -> None:
        for path in (scores_path(self._folder, step), completions_path(self._folder, step)):
            path.unlink(missing_ok=True)

    def reopen(self, step: int, *, due: bool) -> bool:
        """Forget what was measured at `step` as at an end, where a run that goes on measures something else: fewer
        samples, or nothing if it is not `due` there. Returns whether a measurement still stands."""
        before, config = self.scores().get(step), self._config
        stands = due and before is not None and before.overall.samples == min(config.samples, config.samples_during)
        if not stands:
            self._forget(step)
        return stands

    def measure(
        self,
        policy: Policy,
        engine: Engine,
        pool: VerifierPool,
        *,
        step: int,
        full: bool,
        model: str,
        max_tokens: int | None = None,
        progress: OnTick | None = None,
    ) -> Scores:
        """Score the policy and write `evaluation/step-<step>.json` with all completions beside it.

        What an earlier session measured at this step is returned as it stands. `full` takes all samples, as at the
        start and at the end, otherwise those of a measurement in between. `max_tokens` is the limit of a stage whose
        limit rises.
        """
        before = self.scores().get(step)
        if before is not None:
            return before
        config = self._config
        voice = policy.voice()
        scores = evaluate(
            voice if self._world is None else self._world.voiced(voice),
            engine,
            self.problems,
            samples=config.samples if full else min(config.samples, config.samples_during),
            sampling=Sampling(
                temperature=config.temperature,
                top_p=config.top_p,
                max_tokens=config.max_tokens or max_tokens or self._max_tokens,
            ),
            pool=pool,
            seed=self._seed,
            model=model,
            weight_version=step,
            log=completions_path(self._folder, step),
            progress=progress,
            measures=config.metrics,
        )
        save_scores(self._folder, step, scores)
        return scores


def describe(scores: Scores, stage: str, step: int) -> str:
    """One line for the user about a measurement."""
    overall = scores.overall
    return (
        f"{stage}: after {step} steps held-out {overall.accuracy_text}, mean length "
        f"{overall.mean_tokens:.0f} tokens, {overall.reflection_per_1k_tokens:.1f} reflection words per 1k tokens, "
        f"form kept {overall.format_ok:.1%}, truncated {overall.truncated:.1%}"
        + "".join(f", {name} {value:.4g}" for name, value in overall.measures.items() if value is not None)
        + (f"; {scores.invalid}" if scores.invalid else "")
    )


def score_metrics(scores: Scores) -> dict[str, float]:
    """The scores as metrics `evaluation/<name>`, intervals and what could not be measured left out."""
    values = scores.overall.to_json().items()
    return {f"evaluation/{name}": float(value) for name, value in values if isinstance(value, int | float)}
