"""Canaries: completions that answer nothing and must therefore earn nothing.

Tried once before training, on some of the real problems, through the very template, verifier and rewards of the run:
if one of them is paid, the model would find it too, and learn that instead of the task.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from ponder.errors import LearningError
from ponder.recipe.own import OwnUse
from ponder.records import (
    ChoiceGold,
    InstructionGold,
    MathGold,
    Message,
    OwnGold,
    Problem,
    RepositoryGold,
    RuleGold,
    SafetyGold,
)
from ponder.reward.combine import check_names, own_rewards, score
from ponder.reward.judged import Judged
from ponder.reward.judging import UNCHECKED, judge
from ponder.reward.tried import check_own_values
from ponder.text.template import Template
from ponder.verify.pool import VerifierPool

__all__ = ["canaries", "check_canaries"]

_CHECKED = ("accuracy", "format")
_SAMPLE = 16
_LETTERS = "ABCDEFGHIJ"
_SHOWN = 200
_UNCHANGED = "patch that mends nothing"
_NO_CHANGE = "unused_file.py\n<<<<<<< SEARCH\n=======\n# nothing\n>>>>>>> REPLACE"


def check_canaries(
    template: Template,
    problems: Sequence[Problem],
    weights: Mapping[str, float],
    pool: VerifierPool,
    sample: int = _SAMPLE,
    say: Callable[[str], None] = print,
) -> None:
    """Let every canary answer `sample` problems, taken evenly. LearningError if one earns accuracy or format, where
    these have a weight, for a known patch that is not right, and for a function of the user's own that gives something
    of another type or fails on all. What else the user's own rewards pay for them is said."""
    check_names(weights)
    if weights.get("format") and not template.thinking:
        raise LearningError(
            f"The reward 'format' has the weight {weights['format']:g}, but template {template.name!r} has no tags, so "
            f"that whatever is written earns it. Set `rewards: {{accuracy: 1}}`, or `template: r1` for responses with "
            f"a thought."
        )
    checked = {name: weights[name] for name in _CHECKED if weights.get(name)}
    own = own_rewards(weights)
    count = min(sample, len(problems)) if checked or own else 0
    some = [problems[index * len(problems) // count] for index in range(count)]
    _check_in_time(template, some[:1], own, pool)
    tried = [
        (canary, completion, judge(pool, _written_down(template, problem, completion), own))
        for problem in some
        for canary, completion in canaries(template, problem)
    ]
    answered = [
        judge(pool, _written_down(template, problem, _written(template, "Let me think.", answer)), own)
        for problem in some
        if (answer := _answer_of(problem)) is not None and (own or isinstance(problem.gold, OwnGold))
    ]
    patches = [
        judge(pool, _written_down(template, problem, _written(template, "Let me think.", problem.gold.answer)), ())
        for problem in some
        if isinstance(problem.gold, RepositoryGold) and problem.gold.answer and "accuracy" in checked
    ]
    found = [(canary, completion, judgement.result()) for canary, completion, judgement in tried]
    for patch in (one.result().judged for one in patches):
        if patch.verdict.outcome != "right":
            raise LearningError(
                f"The known answer of problem {patch.problem.id!r} is not right by its own tests "
                f"({patch.verdict.reason}): no patch can be, or only a wrong one. Remove that problem from its source, "
                f"correct its answer, or mend its tests."
            )
    check_own_values([one for _, _, one in found], [one.result() for one in answered], say)
    for canary, completion, judgement in found:
        judged, problem = judgement.judged, judgement.judged.problem
        for reward, value in score(judged, checked)[0].items():
            if value and (canary, reward) != (_UNCHANGED, "format"):  # it has the form of a patch
                raise LearningError(
                    f"The canary {canary!r} earns {value:g} of the reward {reward!r} on problem {problem.id!r} "
                    f"({judged.verdict.reason}): a completion that answers nothing must earn nothing, or the model "
                    f"learns to write it. The completion begins {completion[:_SHOWN]!r}. Remove that problem from "
                    f"its source, or correct its answer."
                )


def _check_in_time(template: Template, one: Sequence[Problem], own: Sequence[OwnUse], pool: VerifierPool) -> None:
    """LearningError for an own reward that is late with two canaries side by side: all of them would take an hour."""
    for use in own:
        judgements = [
            judge(pool, _written_down(template, problem, completion), [use])
            for problem in one
            for _, completion in list(canaries(template, problem))[:2]
        ]
        failures = [failure for judgement in judgements for failure in judgement.result().failures()]
        late = [failure for failure in failures if failure.function == use.function and failure.cause == "timeout"]
        if late and len(late) == len(judgements):
            raise LearningError(
                f"{late[0].reason}, whatever it is called with: load what is slow to load at the top of the file, or "
                f"make the function faster. `ponder try {use.function} --rollouts RUN` shows the time of its calls."
            )


def canaries(template: Template, problem: Problem) -> Iterator[tuple[str, str]]:
    """Names and completions, as the model would write them after the prompt."""
    yield "empty", ""
    yield "blank", " \n"
    yield "tags only", _written(template, "", "")
    yield "all tags", "<think></think><answer></answer>"
    yield "thinking only", _written(template, _known_answer(problem), None)
    yield "empty answer", _written(template, "Let me think.", " ")
    yield "template as thinking", _written(template, template.opening or problem.prompt, problem.prompt)
    if example := template.example:
        yield "example of the form", _written(template, *example)
    if isinstance(problem.gold, InstructionGold):
        return  # any text may follow some instructions
    if isinstance(problem.gold, RepositoryGold):
        yield _UNCHANGED, _written(template, "Let me think.", _NO_CHANGE)
    yield "copied prompt", problem.prompt
    yield "copied prompt as answer", _written(template, problem.prompt, problem.prompt)
    yield "template text", template.render((Message(role="user", content=problem.prompt),))
    by_rule = isinstance(problem.gold, ChoiceGold) and problem.route == "reasoning"
    options = problem.gold.options if by_rule and isinstance(problem.gold, ChoiceGold) else ()
    letters = _LETTERS[: len(options) or 4]
    for joined in (" or ".join(letters), ", ".join(letters), *([" or ".join(options)] if len(options) > 1 else [])):
        yield "all options", _written(template, "One of them.", joined)


def _written(template: Template, thinking: str, answer: str | None) -> str:
    """A completion in the template's form, from behind its prefill; without answer it stops after the thinking."""
    opening = "" if template.prefill else " <think>"
    if answer is None:
        return f"{opening}{thinking}</think>"
    return f"{opening}{thinking}</think> " + (f"<answer>{answer}</answer>" if template.answer_tags else answer)


def _known_answer(problem: Problem) -> str:
    """The gold, written where it does not count."""
    answer = _answer_of(problem)
    return f"So it is {problem.prompt if answer is None else answer}"


def _answer_of(problem: Problem) -> str | None:
    """The answer that the gold is, where it is one text."""
    gold = problem.gold
    if isinstance(gold, MathGold | ChoiceGold | RuleGold | SafetyGold):
        return gold.answer
    return str(gold.answer) if isinstance(gold, OwnGold) and isinstance(gold.answer, str | int | float) else None


def _written_down(template: Template, problem: Problem, completion: str) -> Judged:
    return Judged(
        problem=problem,
        response=template.split(completion),
        verdict=UNCHECKED,
        completion_tokens=1,
        finish_reason="stop",
        max_tokens=2,
    )
