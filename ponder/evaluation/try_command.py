"""`ponder try rewards.py:brevity --rollouts RUN`: a function of the user's own, shown before anything is trained.

A reward or keep rule, and a verifier, are called on stored rollouts of a run, in the very workers of training; a
function that makes problems is asked for some. What it is is told from how it can be called.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from ponder.errors import DataError, ModelError, RecipeError
from ponder.evaluation.trial import Tried, reward_lines, verifier_lines
from ponder.manifest import read_manifest
from ponder.own import OwnCode, read_own
from ponder.own.apart import check_own, made_problems, see
from ponder.own.roles import ROLES
from ponder.recipe.own import OwnName, OwnRole, OwnUse
from ponder.recipe.source import parse_value
from ponder.records import Gold, OwnGold, Rollout, to_json
from ponder.reward.judged import Judged
from ponder.text.template import Template, template_for
from ponder.verify import check_gold
from ponder.verify.pool import VerifierPool
from ponder.watch.rollouts import LoggedRollout, read_rollouts

__all__ = ["given", "try_command"]

_ROLES: tuple[OwnRole, ...] = ("problems", "reward", "verifier")
_SHOWN_PROBLEMS = 3


def try_command(
    name: str,
    rollouts: Path | None,
    *,
    arguments: Sequence[str] = (),
    limit: int,
    deadline_seconds: float,
    template: str | None,
) -> None:
    """Print what the function named `file.py:function` gives on up to `limit` stored rollouts of the run or stage
    folder `rollouts`, or the problems it makes from `arguments`, each `name=value` in YAML. The file is found from the
    working directory."""
    own = OwnName.read(name)
    code = read_own([own.file], Path.cwd())
    named = given(arguments)
    role = _role(code, name, named)
    if role == "problems":
        for line in _problem_lines(code, name, named, limit):
            print(line)
        return
    if rollouts is None:
        raise RecipeError(
            f"{name} is tried on stored rollouts: give the folder of a run or a stage with --rollouts, such as "
            "`--rollouts runs/zero-micro`; two steps of any run are enough"
        )
    folder, logged, total = _sample(rollouts, limit)
    form = _template(folder, template)
    most = _max_tokens(folder, logged)
    with VerifierPool(deadline_seconds=deadline_seconds, own=code) as pool:
        calls = [
            pool.call(role, name, _judged(one.rollout, form, most))
            if role == "reward"
            else pool.call(role, name, _answer(one.rollout, form), _gold(one.rollout, name))
            for one in logged
            if role == "reward" or _answer(one.rollout, form) is not None
        ]
        asked = [one for one in logged if role == "reward" or _answer(one.rollout, form) is not None]
        tried = [
            Tried(step=one.step, rollout=one.rollout, called=call.result())
            for one, call in zip(asked, calls, strict=True)
        ]
    print(f"{name} as a {role} {ROLES[role].form}, on {len(tried)} of {total} stored rollouts of {folder}")
    for line in reward_lines(tried) if role == "reward" else verifier_lines(tried):
        print(line)


def given(arguments: Sequence[str]) -> dict[str, Any]:
    """What `name=value` words say, each value in YAML; RecipeError for a word of another form."""
    named = {}
    for argument in arguments:
        key, equals, text = argument.partition("=")
        if not equals or not key.isidentifier():
            raise RecipeError(f"{argument!r} is neither an argument nor a setting: write name=value, such as count=100")
        named[key] = parse_value(text, argument)
    return named


def _role(code: OwnCode, name: str, arguments: Mapping[str, Any]) -> OwnRole:
    """The first role that the function can be called in."""
    faults: dict[OwnRole, str] = {}
    for role in _ROLES:
        try:
            use = OwnUse(role=role, function=name, arguments=arguments if role == "problems" else {})
            check_own(code, [use])
        except RecipeError as error:
            faults[role] = str(error).removesuffix(f". {see(role)}")
            if arguments:
                break  # only what makes problems is given some
        else:
            return role
    if len(set(faults.values())) == 1:
        raise RecipeError(f"{faults['problems']}. {see('problems')}")
    raise RecipeError(
        f"{faults['reward']}. It is no verifier {ROLES['verifier'].form} either, and makes no problems "
        f"{ROLES['problems'].form}. {see('reward')}"
    )


def _problem_lines(code: OwnCode, name: str, arguments: Mapping[str, Any], limit: int) -> Iterator[str]:
    problems = list(islice(made_problems(code, name, arguments), limit))
    domains = Counter(problem.domain for problem in problems)
    yield f"{name} makes {len(problems)} problems" + (" or more" if len(problems) == limit else "")
    yield "domains: " + ", ".join(f"{domain} {count}" for domain, count in domains.most_common())
    repeated = len(problems) - len({problem.messages for problem in problems})
    if repeated:
        yield f"{repeated} repeat the prompt of an earlier one and would be left out"
    for problem in problems:
        if problem.gold is not None and (reason := check_gold(problem.gold)) is not None:
            yield f"{problem.id} would be left out: {reason}"
    for problem in problems[:_SHOWN_PROBLEMS]:
        yield f"  {problem.id}: {problem.prompt!r:.200} gold {problem.gold!r:.200}"


def _sample(run: Path, limit: int) -> tuple[Path, list[LoggedRollout], int]:
    """The stage's folder, up to `limit` of its rollouts in the order they were written, and how many it has: of all
    groups a sample, the same at every call."""
    stores = sorted(path.parent.parent for path in run.rglob("rollouts/rollouts-000000.jsonl"))
    if not stores:
        raise DataError(f"{str(run)!r} holds no stored rollouts: give the folder of a run or of an `rl` stage")
    if len(stores) > 1:
        raise DataError(
            f"{str(run)!r} holds the rollouts of several stages: give the folder of one: {', '.join(map(str, stores))}"
        )
    rng, kept, total = Random(0), list[tuple[int, LoggedRollout]](), 0
    for total, one in enumerate(read_rollouts(stores[0]), start=1):
        place = total - 1 if total <= limit else rng.randrange(total)
        if place < limit:
            kept[place : place + 1] = [(total, one)]
    return stores[0], [one for _, one in sorted(kept, key=lambda pair: pair[0])], total


def _template(folder: Path, name: str | None) -> Template:
    """The form the rollouts were written in: that of the stage's model, or what its recipe says."""
    if name is None:
        try:
            return template_for(folder / "model")
        except ModelError:
            manifest = read_manifest(folder)
            name = None if manifest is None else manifest.config["template"]
    if name is None:
        raise RecipeError(f"{str(folder)!r} does not say in which form its rollouts are: give --template")
    return template_for(folder, name)


def _max_tokens(folder: Path, logged: list[LoggedRollout]) -> int:
    """The limit the completions were sampled under, as the stage began; the longest where nobody says."""
    manifest = read_manifest(folder)
    if manifest is None:
        return max(len(one.rollout.completion.token_ids) for one in logged)
    return int(manifest.config["sampling"]["max_tokens"])


def _judged(rollout: Rollout, form: Template, max_tokens: int) -> Judged:
    completion = rollout.completion
    return Judged(
        problem=rollout.problem,
        response=form.split(completion.text, finished=completion.finish_reason == "stop"),
        verdict=rollout.verdict,
        completion_tokens=len(completion.token_ids),
        finish_reason=completion.finish_reason,
        max_tokens=max_tokens,
        turns=() if completion.talk is None else completion.talk.messages,
    )


def _answer(rollout: Rollout, form: Template) -> str | None:
    completion = rollout.completion
    return form.split(completion.text, finished=completion.finish_reason == "stop").answer


def _gold(rollout: Rollout, name: str) -> OwnGold:
    """The stored gold as the verifier would be given it."""
    gold = rollout.problem.gold
    if isinstance(gold, OwnGold):
        return replace(gold, function=name)
    return OwnGold(function=name, answer=_plain(gold), prompt=rollout.problem.prompt)


def _plain(gold: Gold | None) -> object:
    """The answer that a built-in gold holds, or all of it where that is more than one."""
    if gold is None:
        return None
    fields: dict[str, object] = to_json(gold)
    return fields["answer"] if "answer" in fields else fields  # noqa: SIM401 - not a default: another kind of gold
