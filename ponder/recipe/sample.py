"""What a `sample` stage keeps, how it rewrites, and how pairs are made."""

from typing import Self

from pydantic import Field, model_validator

from ponder.recipe.base import Component
from ponder.recipe.endpoint import Helper
from ponder.recipe.judges import JUDGES
from ponder.recipe.own import OwnNames

__all__ = ["Keep", "PairRules", "Readable", "Rewrite"]


_REWARDS = {"accuracy": 1.0, "format": 1.0, "language": 1.0}


class Readable(Component):
    """When a response is pleasant to read. The paper names the kinds of fault (repetition, long paragraphs, code blocks
    in the thinking) and no limits; these are ours."""

    max_repetition: float = Field(0.2, ge=0, le=1)
    """Largest share of runs of ten words (Chinese: characters) that occurred before."""
    max_paragraph_words: int = Field(300, ge=1)
    """Longest paragraph of the thinking, in words (Chinese: characters); an empty line ends a paragraph."""
    code_blocks: bool = False
    """Whether the thinking may hold fenced code."""


class Keep(Component):
    """Which responses are kept: all rules that are set must hold. A response that failed or is without an answer is
    never kept, and one that is cut at the length limit or not well formed only where `unfinished` says so."""

    unfinished: bool = False
    """Keep also what is cut at the length limit or not well formed; what was written then stands for the thought and
    the answer that are missing. For models that have learnt no form yet: later stages learn the same faults."""

    correct: bool = False
    """The verifier finds the answer right; an answer it cannot tell is not kept."""
    judged: bool = False
    """The stage's `judge` finds that the answer agrees with the reference (for answers no rule can check)."""
    readable: Readable | None = None
    """Limits on repetition, paragraphs and code; `{}` takes the defaults."""
    one_language: float | None = Field(None, ge=0, le=1)
    """Least share of the thinking's words in the language of the question; thinking without words passes. The paper
    drops mixed thinking without a number; 0.95 leaves room for a name."""
    min_tokens: int | None = Field(None, ge=1)
    """Fewest tokens of a completion, as sampled."""
    max_tokens: int | None = Field(None, ge=1)
    """Most tokens of a completion, as sampled; `sampling.max_tokens` is where sampling stops."""
    pass_rate: tuple[float, float] | None = None
    """Least and greatest share of a problem's samples that are right, both included; other problems are left out whole.
    `[0.1, 0.9]` leaves out what is hopeless or too easy."""
    distinct: int | None = Field(None, ge=1)
    """Most different solutions per problem, in the order they were sampled; of solutions that differ only in blanks,
    case and punctuation the first counts. Null keeps repeated ones, too."""
    own: OwnNames = ()
    """Functions of your own, as `rules.py:tidy`, each of which says of a response whether it is kept
    (docs/own-code.md); one that fails on a response does not keep it."""
    best_of: int | None = Field(None, ge=1)
    """Per problem keep so many with the highest reward, of equal ones those sampled first. Problems on which none of
    the rewards applies are left out."""
    rewards: dict[str, float] = Field(default_factory=_REWARDS.copy)
    """Weight of each named reward in `best_of`; `preference` is not among them, since no reward model is asked."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.pass_rate is not None and not 0 <= self.pass_rate[0] <= self.pass_rate[1] <= 1:
            raise ValueError(f"pass_rate must be two shares, the least first, got {list(self.pass_rate)}")
        if self.min_tokens is not None and self.max_tokens is not None and self.min_tokens > self.max_tokens:
            raise ValueError(f"min_tokens {self.min_tokens} is above max_tokens {self.max_tokens}")
        return self

    @model_validator(mode="after")
    def _ranked(self) -> Self:
        if "preference" in self.rewards:
            raise ValueError(
                "rewards names 'preference', which a reward model pays, and a sample stage asks none, so it would rank "
                "nothing: rank by rules, such as accuracy and language, or let the stage's judge compare responses "
                "(output: pairs)"
            )
        if judged := [name for name in JUDGES if name in self.rewards]:
            raise ValueError(
                f"rewards names {judged[0]!r}, which only a judge of an rl stage gives: rank by rules, or let the "
                "stage's judge read the answers (keep.judged)"
            )
        if self.best_of is not None and not any(self.rewards.values()):
            raise ValueError(f"best_of {self.best_of} ranks by rewards, and none has a weight: give one in rewards")
        if self.best_of is None and self.rewards != _REWARDS:
            raise ValueError("rewards rank responses for best_of, which is not set: set best_of, or remove rewards")
        return self


class Rewrite(Component):
    """Who puts kept responses into better form, and how; the keep rules are applied to the result again. The steps come
    in the order of these fields."""

    by: Helper
    """The writer. `{kind: rule}` knows the embedded world's phrases only."""
    language: bool = False
    """Translate thinking that mixes languages into the language of the question (R1 v2, B.3.2)."""
    solution: bool = False
    """Write what follows the thinking anew from question and thinking: a faithful, clean solution with a boxed answer
    (R1 v2, Listing 1)."""
    summary: bool = False
    """Put a short summary after the thinking in place of a bare answer (R1 v1, 2.3.1)."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not (self.language or self.solution or self.summary):
            raise ValueError("nothing is rewritten: set language, solution or summary to true")
        if self.solution and self.summary:
            raise ValueError("solution and summary both write the text after the thinking: set one of them")
        if self.solution and self.by.kind == "rule":
            raise ValueError("the rule cannot write solutions: set summary instead, or `by` to a model or endpoint")
        return self


class PairRules(Component):
    """How preference pairs are chosen (Nature, Methods; R1 v2, 3.1)."""

    per_problem: int = Field(1, ge=1)
    """Most pairs kept per problem."""
    compared: int = Field(2, ge=1)
    """Pairs per problem that are put before the judge; of those that differ enough the best matched in length are
    kept."""
    votes: int = Field(4, ge=1)
    """Times a judging model is asked about each pair, the order of the two answers drawn at random (4 in the paper). A
    rule is asked once."""
    min_difference: float = Field(1.0, ge=0, lt=2)
    """Pairs whose mean difference is not above this are left out (1 in the paper). A verdict counts 2, 1, 0, -1 or -2
    from A>>B to B>>A, a mapping the paper does not state; a rule's scores from 0 to 1 count twice their difference."""
    length_tolerance: float | None = Field(0.1, gt=0)
    """Largest difference between the mean lengths of chosen and rejected answers, as a share of the mean of both; pairs
    that pull the most are left out until it holds. The paper matches lengths without saying how. Null leaves them."""
