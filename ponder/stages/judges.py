"""Who judges in an `rl` stage, as its recipe names them: judges, whose replies all stand in its `requests/`, and reward
models.

A judge at an endpoint has a thread of its own, a model in this process is loaded when it is first asked.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from ponder.ask import Reply
from ponder.ask.courier import Courier
from ponder.ask.reply import split_reply
from ponder.judge.graded import AgainstGold, ByCriteria, GradeForm
from ponder.judge.graders import EndpointGrader, Grader, JudgeSet, LocalGrader
from ponder.policy.scorer_load import load_scorer
from ponder.recipe.endpoint import ByEndpoint
from ponder.recipe.judges import JudgedReward, RubricReward
from ponder.recipe.rollout import Sampling
from ponder.recipe.stages import RlStage
from ponder.recipe.stages.rl import SCOPES
from ponder.records import Problem
from ponder.rollout.preference import RewardModels
from ponder.seeds import derive_seed
from ponder.stages.asking import Asking
from ponder.stages.context import Context

__all__ = ["open_judges", "open_reward_models"]


def open_judges(context: Context[RlStage], stack: ExitStack) -> JudgeSet | None:
    """The judges, which end with `stack`; None where the stage has none."""
    judges = context.config.judges()
    if not judges:
        return None
    asking = Asking(context, stack, context.config.precision, context.config.engine)
    for name, judge in judges.items():
        context.say(f"{context.name}: the reward {name!r} is given by {_who(judge)}")
    return JudgeSet([_grader(name, judge, asking, context, stack) for name, judge in judges.items()])


def open_reward_models(
    context: Context[RlStage], problems: Sequence[Problem], judges: JudgeSet | None
) -> RewardModels | None:
    """The scorers of the routes, checked to cover the problems; None where the stage has none."""
    config = context.config
    scorers = {
        route: load_scorer(context.model_source(reference), SCOPES[route], config.precision)
        for route, reference in config.reward_models.items()
    }
    models = RewardModels(scorers, config.preference_scale, config.batch.tokens_per_micro_batch)
    models.check_covers(problems, judges)
    routes = {problem.route for problem in problems}
    for route, scorer in scorers.items():
        scored = "no problem, which is surely a mistake" if route not in routes else "its problems"
        context.say(
            f"{context.name}: reward model {config.reward_models[route]} ({scorer.file.loss}, sees the "
            f"{scorer.file.scope}) judges the route {route}: {scored}"
        )
    return models if scorers else None


def _who(judge: JudgedReward) -> str:
    if isinstance(judge.by, ByEndpoint):
        return f"{judge.by.endpoint.model} at {judge.by.endpoint.base_url}, asked while sampling goes on"
    return f"{judge.by.model}, asked after sampling"


def _follows(form: GradeForm) -> Callable[[Reply], bool]:
    return lambda reply: form.read(split_reply(reply).answer or "") is not None


def _grader(name: str, judge: JudgedReward, asking: Asking, context: Context[RlStage], stack: ExitStack) -> Grader:
    form: GradeForm = ByCriteria(judge.criteria) if isinstance(judge, RubricReward) else AgainstGold()
    by = judge.by
    sampling = Sampling(temperature=by.temperature, top_p=by.top_p, max_tokens=by.max_tokens)
    if not isinstance(by, ByEndpoint):
        return LocalGrader(name, form, asking.model(name, by.model, by.template, sampling))
    log = asking.log(name)
    courier = stack.enter_context(
        Courier(
            by.endpoint,
            sampling,
            log,
            seed=derive_seed(context.seed, name),
            deadline_seconds=judge.deadline_seconds,
            says_something=_follows(form),
        )
    )
    return EndpointGrader(name, form, courier, log, by.endpoint.max_failures)
