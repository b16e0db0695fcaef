"""The rollouts of an `rl` stage, judged and on disk: drawn when their updates begin, or ahead of them (`engine.lag`).

    next(step, version) -> the groups of the rollout after `step` updates, and what they show
    renew(version)      the weights are others now
    drain(), end(step)  nothing is under way any more; nothing is left of later updates

What is drawn, by whomever and whenever, is a function of (stage seed, step, problem, sample) and of the weights that
lag says.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack

from ponder.judge.graders import JudgeSet
from ponder.policy import Policy
from ponder.policy.voice import Voice
from ponder.recipe.rollout import EngineConfig
from ponder.recipe.stages import RlStage
from ponder.records import Problem
from ponder.rollout import Collected, Engine, GenerationState, OnProgress
from ponder.rollout.collect import Phase, collect
from ponder.rollout.preference import RewardModels
from ponder.seeds import derive_seed
from ponder.stages.ahead import Ahead, Tick, all_threads
from ponder.stages.context import Context
from ponder.stages.drawers import open_drawers
from ponder.stages.drawing import Drawing
from ponder.stages.failures import FailureLog
from ponder.verify.pool import VerifierPool
from ponder.watch import Phases, RolloutLog
from ponder.watch.drawn import DrawnLog, DrawnRollout
from ponder.watch.pace import drawing_pace

__all__ = ["Rollouts"]


class Rollouts:
    """See above; what judges them is given, and `open` says what draws them."""

    _engine: Engine
    _ahead: Ahead | None = None

    def __init__(
        self,
        context: Context[RlStage],
        drawing: Drawing,
        voice: Voice,
        pool: VerifierPool,
        reward_models: RewardModels | None,
        judges: JudgeSet | None,
    ) -> None:
        self._context, self._config = context, context.config
        self._drawing, self._voice, self._pool = drawing, voice, pool
        self._reward_models, self._judges = reward_models, judges
        self._log = RolloutLog(context.folder, exact=context.config.engine.lag > 0)
        self._failures = FailureLog(context.folder)

    def open(
        self, engine: Engine, config: EngineConfig, policy: Policy, step: int, version: int, stack: ExitStack
    ) -> None:
        """Go on after `step` updates with weights of `version`: what stands in the logs of later ones is forgotten,
        unless it was drawn ahead, whole, and is still to be learnt from. What draws ahead ends with `stack`."""
        self._engine = engine
        if config.lag > 0:
            self._ahead = self._open_ahead(config, policy, step, version, stack)
        else:
            self._forget_after(step)

    @property
    def lag(self) -> str | None:
        """One line for the user about what is drawn ahead; None where nothing is."""
        config = self._config
        return self._ahead.describe(config.engine.lag, config.updates_per_rollout) if self._ahead else None

    def next(self, step: int, version: int, phases: Phases, tick: Tick) -> Collected:
        """The groups of the rollout after `step` updates; the weights are of `version` now."""
        if self._ahead is not None:
            return self._take(self._ahead, step, version, phases, tick)
        problems = self._problems(step)
        longest = self._config.sampling.max_tokens_at(step)

        def told(state: GenerationState) -> None:
            pace = drawing_pace(state.tokens, state.finished, state.total, state.seconds, longest)
            tick(state.finished, state.total, pace)

        collected = self._draw(self._engine, step, problems, version, phases, told)
        self._keep(step, collected)
        self._drawing.learn(collected.groups)
        return collected

    def renew(self, version: int) -> None:
        """The weights are of this version from now on."""
        if self._ahead is not None:
            self._ahead.renew(version)

    def drain(self, phases: Phases, tick: Tick) -> None:
        """Wait for what is drawn ahead."""
        if self._ahead is not None:
            with phases("wait"):
                self._ahead.drain(tick)

    def all_threads(self) -> AbstractContextManager[None]:
        """Within it this process has the threads that drawing ahead has otherwise: when nothing is under way."""
        return all_threads(self._ahead)

    def end(self, step: int) -> None:
        """Training is over after `step` updates: forget what was drawn ahead for updates that are not made."""
        if self._ahead is not None:
            self._ahead.close()
            self._ahead.forget_after(step)
            self._forget_after(step)

    def _take(self, ahead: Ahead, step: int, version: int, phases: Phases, tick: Tick) -> Collected:
        """The rollout, which was begun before; a later one is begun now."""
        lag = self._config.engine.lag
        coming = range(step, self._config.steps, self._config.updates_per_rollout)[: lag + 1]
        if step > 0 and not all(ahead.begun(at) for at in coming[:lag]):
            self._context.say(
                f"{self._context.name}: rollouts after step {step} that were to be drawn before are not on disk: they "
                f"are drawn with the weights of this step, which are fresher"
            )
        self._begin(ahead, coming[:lag], version)
        with phases("wait"):
            drawn = ahead.take(step, tick)
        self._drawing.learn(drawn.groups)
        self._begin(ahead, coming[lag:], version)
        seconds = {f"seconds/{name}": spent for name, spent in drawn.seconds.items()}
        return Collected(groups=drawn.groups, metrics={**drawn.metrics, **seconds})

    def _begin(self, ahead: Ahead, steps: Sequence[int], version: int) -> None:
        for at in steps:
            if not ahead.begun(at):
                ahead.begin(at, self._problems(at), version)

    def _count(self, step: int) -> int:
        """How many problems the rollout after `step` updates has."""
        return min(self._config.updates_per_rollout, self._config.steps - step) * self._config.problems_per_step

    def _problems(self, step: int) -> list[Problem]:
        return self._drawing.next(step, self._count(step))

    def _draw(
        self,
        engine: Engine,
        step: int,
        problems: Sequence[Problem],
        version: int,
        phases: Phase,
        on_progress: OnProgress,
    ) -> Collected:
        """The rollout after `step` updates, judged; `version` is that of the engine's weights."""
        config = self._config
        if self._judges is not None:
            self._judges.step = step + 1
        return collect(
            engine,
            self._voice,
            problems,
            group_size=config.group_size,
            sampling=config.sampling.model_copy(update={"temperature": config.sampling.temperature_at(step)}),
            max_tokens=config.sampling.max_tokens_at(step),
            seed=derive_seed(self._context.seed, "sample", step),
            weight_version=version,
            pool=self._pool,
            rewards=config.reward_weights(step),
            reward_models=self._reward_models,
            graders=self._judges,
            overlong_buffer_ratio=config.objective.overlong_buffer_ratio,
            refill=self._drawing.refill(step, len(problems)) if config.objective.dynamic_sampling else None,
            phases=phases,
            on_progress=on_progress,
        )

    def _keep(self, step: int, collected: Collected) -> None:
        """Put the rollout after `step` updates into the logs."""
        for group in collected.groups:
            for rollout in group.rollouts:
                self._log.write(step + 1, rollout)
        self._failures.write(step + 1, collected)
        if self._ahead is not None:
            self._log.sync()

    def _forget_after(self, step: int) -> None:
        self._log.truncate_after(step)
        self._failures.truncate_after(step)

    def _open_ahead(self, config: EngineConfig, policy: Policy, step: int, version: int, stack: ExitStack) -> Ahead:
        """What draws ahead, with the rollouts that stand whole in the log; those after them are forgotten."""
        log = DrawnLog(self._context.folder, self._config.group_size)
        coming = range(step, self._config.steps, self._config.updates_per_rollout)
        kept: dict[int, DrawnRollout] = {}
        for at, (first, drawn) in zip(coming, log.read_after(step).items(), strict=False):
            if first != at + 1 or drawn.problems != self._count(at):
                break
            kept[at] = drawn
        last = max(kept, default=step - 1) + 1
        log.truncate_after(last)
        self._forget_after(last)
        drawers = open_drawers(self._engine, policy, config, self._context.folder)
        ahead = Ahead(drawers, self._draw, self._keep, log, kept)
        stack.callback(ahead.close)
        ahead.renew(version)
        if step > 0:  # their problems were drawn before the checkpoint
            for at in coming[: config.lag]:
                if at in kept:
                    ahead.begin(at, [], kept[at].groups[0].rollouts[0].completion.weight_version)
        return ahead
