"""What a plan came to, for people: the reply, the votes, what the verifier says, the equations of the thinking."""

from dataclasses import asdict

from rich.console import Console
from rich.text import Text

from ponder.compute.audit import audit_note
from ponder.compute.course import abstention
from ponder.recipe.compute import ComputePlan
from ponder.rollout.planned import Made
from ponder.terminal import shown
from ponder.text.template import Template
from ponder.verify.claims import find_claims

__all__ = ["show_reply"]

_MOST_ANSWERS = 8
"""Answers of a vote that are listed."""
_BADGES = {"right": ("checked: right", "green"), "wrong": ("checked: wrong", "red")}


def show_reply(console: Console, prompt: str, plan: ComputePlan, made: Made, template: Template) -> None:
    """Print the reply of a plan and why it is the one."""
    choice, completion, ended = made.choice, made.completions[made.choice.sample], made.ended[made.choice.sample]
    assert completion is not None and ended is not None
    response = template.split(completion.text, finished=completion.finish_reason == "stop")
    console.print(Text(shown(prompt), "bold"))
    if response.thinking:
        console.print(Text(shown(response.thinking.strip()), "dim"))
    answer = response.answer if response.answer is not None else completion.text
    if choice.abstains and choice.vote is not None and plan.abstain_below is not None:
        answer = abstention(choice.vote, plan.abstain_below)
    console.print(Text(shown(answer.strip())))
    if (vote := choice.vote) is not None:
        for one, votes in list(vote.counts.items())[:_MOST_ANSWERS]:
            console.print(Text(f"{votes:4} of {vote.of} votes  {shown(one)}", "dim"))
        if (more := len(vote.counts) - _MOST_ANSWERS) > 0:
            console.print(Text(f"     and {more} answers more", "dim"))
    if (verdict := ended.read.verdict) is not None and not choice.abstains:
        words, style = _BADGES.get(verdict.outcome, ("could not be checked", "dim"))
        console.print(Text(f"{words}: {shown(verdict.reason)}", style))
    if ended.score is not None:
        console.print(Text(f"score {ended.score:.3f}, the highest of {plan.best_of}", "dim"))
    if choice.note is not None:
        console.print(Text(choice.note, "dim"))
    if plan.audit:
        claims = [asdict(claim) for claim in find_claims(response.thinking or "")]
        right = sum(claim["outcome"] == "right" for claim in claims)
        note = audit_note(claims) or f"{right} of {len(claims)} equations in the thinking are right, none is wrong"
        console.print(Text(shown(note), "dim"))
    tokens = sum(one.tokens for one in made.ended if one is not None)
    done = sum(one is not None for one in made.ended)
    console.print(Text(f"({tokens} tokens in {done} {'sample' if done == 1 else 'samples'} that ended)\n", "dim"))
