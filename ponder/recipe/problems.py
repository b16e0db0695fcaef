"""Where problems come from."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, Field, model_validator

from ponder.recipe.base import Component
from ponder.recipe.context import ContextColumns
from ponder.recipe.own import OWN_FORM, OwnName, OwnNames, OwnUse, is_own

__all__ = [
    "ChoiceNumbers",
    "FileProblems",
    "GymProblems",
    "HubProblems",
    "MicroProblems",
    "ProblemColumns",
    "ProblemSource",
    "PythonProblems",
    "StageProblems",
]

GoldKind = Literal[
    "math", "choice", "expression", "assignment", "code", "repository", "instructions", "json", "rule", "safety"
]
ChoiceNumbers = Literal["text", "from_zero", "from_one"]
"""What a number in the answer column of `choice` problems means."""


def _kind_of_gold(name: str) -> str:
    if is_own(name):
        OwnName.read(name)
    elif name not in get_args(GoldKind):
        kinds = get_args(GoldKind)
        near = get_close_matches(name, kinds, 1)
        raise ValueError(
            f"got {name!r}, expected {', '.join(map(repr, kinds))} or a verifier of your own ({OWN_FORM})"
            + (f"; did you mean {near[0]!r}?" if near else "")
        )
    return name


AnyGold = Annotated[str, AfterValidator(_kind_of_gold)]
ProgramLanguage = Literal["python", "cpp", "javascript"]


class ProblemColumns(ContextColumns):
    """Which column holds what."""

    prompt: str = "prompt"
    """Question text; ignored where `messages` is given."""
    messages: str | None = None
    """Column with a list of {role, content} or {from, value}."""
    answer: str = "answer"
    """Gold answer; its form depends on `gold`."""
    id: str | None = None
    """Column with a stable id; otherwise the row number."""
    language: str | None = None
    """Column with `en` or `zh`; otherwise the source's `language`."""
    difficulty: str | None = None
    """Column with a whole number."""
    domain: str | None = None
    """Column with a domain name; otherwise the source's `domain`."""
    options: str | tuple[str, ...] | None = None
    """Column with the options of a multiple-choice question, or the columns that hold one option each (C-Eval)."""
    wrong_options: tuple[str, ...] = ()
    """Columns with one wrong option each: they and the answer become the options, in an order drawn from the question's
    text, so that it is the same for every model (GPQA)."""
    numbers: str = "numbers"
    """Column with the numbers of an `expression` problem."""
    target: str = "target"
    """Column with the target of an `expression` problem."""
    tests: str | tuple[str, ...] = "tests"
    """Column with the tests of a `code` problem (a list, or one string); several are taken together (LiveCodeBench has
    public and private ones)."""
    files: str = "files"
    """Column with the files of a `repository` problem: an object with each text by its path, or its JSON. `tests` holds
    the test files in the same form."""
    must_pass: str | None = None
    """Column with the tests of a `repository` problem that a patch must turn green or leave green, each as
    `tests/test_cart.py::test_total`; null for all that its test files have."""
    entry_point: str | None = None
    """Column with the name of the function a `code` problem is about: `check(name)` is called after the tests, and a
    question that begins to define it is put before the program (HumanEval)."""
    starter: str | None = None
    """Column with the beginning of the program that a `code` problem gives: it is put after the question, and says
    whether the function is a method of `Solution` (LiveCodeBench). A list is shown as its lines: with the column of the
    tests, where nothing else says what the function is called (MBPP)."""
    time_limit: str | None = None
    """Column with the time limit of a `code` problem, in seconds; otherwise the source's `time_limit`."""
    arguments: str = "kwargs"
    """Column with the arguments of an `instructions` problem, one mapping per instruction (IFEval)."""
    json_schema: str = "schema"
    """Column with the schema of a `json` problem: an object, or its text."""
    values: str | None = None
    """Column with the known values of a `json` problem: part of the wanted value, a text being JSON; an empty cell
    knows none. Null: an answer is right as soon as the schema takes it."""
    route: str | None = None
    """Column with `reasoning`, `helpful` or `safety`; otherwise the source's `route`."""
    given: tuple[str, ...] = ()
    """Columns that a verifier of your own is given beside the answer, as `gold.given`."""


class _Source(Component):
    name: str | None = None
    """Name in metrics and tables; otherwise made from the source."""
    domain: str | None = None
    """Domain of every problem without one of its own."""
    limit: int | None = Field(None, ge=1)
    """Take this many problems after shuffling."""
    shuffle_seed: int | None = None
    """Shuffle the source with this seed before `limit`; null keeps the file's order."""
    weight: float = Field(1.0, gt=0)
    """Share of this source among the sources of a stage: a batch draws sources in proportion to weight."""
    from_step: int = Field(0, ge=0)
    """In `rl`, draw from this source only after so many updates, rounded up to the beginning of a rollout (R1's general
    problems enter for the last 400 of 1,700 steps). Without effect elsewhere."""
    until_step: int | None = Field(None, ge=1)
    """In `rl`, draw from this source only until so many updates are made, rounded up in the same way; null until the
    end. Without effect elsewhere."""


class _Table(_Source):
    columns: ProblemColumns = ProblemColumns()
    """Mapping from columns to the fields of a problem."""
    gold: AnyGold | None = "math"
    """What the answers are, and so which verifier judges: `math`, `choice`, `expression`, `assignment`, `code`,
    `repository` (docs/repository.md), `instructions`, `json`, `rule`, `safety`, or a function of your own as
    `check.py:legal` (docs/own-code.md); null for prompts without an answer to check, which only a reward model can
    score."""
    strictness: Literal["strict", "lenient"] = "strict"
    """How mathematical answers are judged. "strict" refuses where an answer is in doubt: what training pays for must be
    right. "lenient" counts for evaluation also calculations, values that agree to six places, limits ("at least 9") and
    the last of several values of a sentence. `docs/verifiers.md` has both measured."""
    route: Literal["reasoning", "helpful", "safety"] = "reasoning"
    """Which rewards the problems get: rules, or the reward model for helpfulness or for safety. Generated problems know
    their own."""
    answer_after: str | None = None
    """Take only what follows the last occurrence of this mark in the answer column (GSM8K: `####`)."""
    choice_numbers: ChoiceNumbers | None = None
    """What numbers in the answer column of `choice` problems are: an option's own text, or its place counted from 0 or
    from 1. Null takes the one meaning that fits every row; where several fit, rows in doubt are left out."""
    program_language: ProgramLanguage = "python"
    """What the programs of `code` problems are written in."""
    comparison: Literal["exact", "tokens", "numeric"] = "tokens"
    """When printed output is the expected one: byte for byte but for a last line break, word by word, or as words with
    numbers by value (decimals within 1e-6 of their size)."""
    time_limit: float | None = Field(None, gt=0, le=60)
    """Seconds of processor time that a program of a `code` problem may take for one input, or for all its tests where
    they are code; null leaves it at half of the verifier's wall time. Of a `repository` problem for each test file;
    null leaves it at 60."""
    prompt_suffix: str = ""
    """Text put after every question, such as the boxed directive."""
    where: dict[str, str] = Field(default_factory=dict)
    """Take only rows in which these columns hold these texts; the others are left out, listed and counted."""
    language: Literal["en", "zh"] = "en"
    """Language of problems without a column for it."""


class FileProblems(_Table):
    """A JSONL, JSON, CSV or Parquet file (`.gz` accepted), told by its ending."""

    source: Literal["file"] = "file"
    """Tag of this alternative."""
    path: str
    """Path, relative to the working directory; `~` and `$VARIABLES` are expanded."""


class HubProblems(_Table):
    """A data set of the Hugging Face hub, read through `datasets`."""

    source: Literal["hub"] = "hub"
    """Tag of this alternative."""
    id: str
    """Data set id such as `openai/gsm8k`, with `@revision` for another than the newest."""
    subset: str | tuple[str, ...] | None = None
    """Configuration name. Several are read one after the other, and each row gets its own as the column `subset`."""
    split: str = "train"
    """Split name."""


class GymProblems(_Source):
    """Generated problems of the reasoning-gym library, which `pip install 'ponder[gym]'` brings."""

    source: Literal["gym"] = "gym"
    """Tag of this alternative."""
    task: str
    """Task name of reasoning-gym, such as `countdown` or `chain_sum`."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Settings of the task by their names in reasoning-gym, such as `{max_terms: 3, max_digits: 2}` of `chain_sum`;
    those left out are the library's."""
    count: int = Field(1000, ge=1, le=1_000_000)
    """Problems to generate."""
    split: Literal["train", "test"] = "train"
    """The two splits never share a problem, whatever the seeds: a question's text says which it belongs to."""
    seed: int = Field(0, ge=0, le=500)
    """Generator seed. No two seeds draw from the same numbers, so they share problems only where a task has few."""
    prompt_suffix: str = Field("", exclude_if=lambda value: not value)
    """Text put after every question, such as how to write the answer, or worked examples."""


class MicroProblems(_Source):
    """Generated problems of the embedded world."""

    source: Literal["micro"] = "micro"
    """Tag of this alternative."""
    tasks: tuple[str, ...] = Field(
        ("arithmetic", "countdown", "equation", "ordering", "function", "science"), min_length=1
    )
    """Task names of the embedded world. Beside the six of reasoning there are `calculator` (docs/tools.md), `greeting`,
    `identity`, `translation`, `writing`, `fact` (route `helpful`), `unsafe` and `near_miss` (route `safety`)."""
    languages: tuple[Literal["en", "zh"], ...] = Field(("en", "zh"), min_length=1)
    """Languages, in equal parts."""
    count: int = Field(4096, ge=1)
    """Problems to generate, over all tasks."""
    split: Literal["train", "test"] = "train"
    """The two splits never share a problem."""
    seed: int = 0
    """Generator seed."""
    route: Literal["helpful", "safety"] | None = None
    """In place of the route of the general tasks: where a harmless request that sounds unsafe (`near_miss`) is judged
    by helpfulness, refusing it does not pay. The papers put each general prompt into one of two sets (N, v2 3.1)."""


class PythonProblems(_Source):
    """Problems made by a function of your own: `problems(**arguments) -> Iterable[Problem]` (docs/own-code.md)."""

    source: Literal["python"] = "python"
    """Tag of this alternative."""
    file: str
    """Your Python file, from the folder of the recipe."""
    function: str = Field("problems", pattern=r"^[^\W\d]\w*$")
    """The function in it. It is asked for no more problems than `limit`, unless they are shuffled."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """What it is called with, by name, such as `{split: train, count: 2000}`."""

    @property
    def own(self) -> str:
        """The function by its name as one's own."""
        return f"{self.file}:{self.function}"


class StageProblems(_Source):
    """Problems that a `sample` stage measured: the `problems.jsonl` in its folder (`output: problems`). Their solve
    rates are known to a `sampler` from the beginning."""

    source: Literal["stage"] = "stage"
    """Tag of this alternative."""
    stage: str
    """The stage's name."""
    pass_rate: tuple[float, float] | None = None
    """Least and greatest share of right completions of the problems that are taken, both included; null takes all."""

    @model_validator(mode="after")
    def _shares(self) -> Self:
        if self.pass_rate is not None and not 0 <= self.pass_rate[0] <= self.pass_rate[1] <= 1:
            raise ValueError(f"pass_rate must be two shares, the least first, got {list(self.pass_rate)}")
        return self


ProblemSource = Annotated[
    FileProblems | HubProblems | GymProblems | MicroProblems | PythonProblems | StageProblems,
    Field(discriminator="source"),
]
"""Any source of problems, told apart by `source`."""


def own_problems(sources: Iterable[ProblemSource]) -> tuple[OwnUse, ...]:
    """The functions of the user's own that make or judge the problems of these sources."""
    found = []
    for source in sources:
        if isinstance(source, PythonProblems):
            found.append(OwnUse(role="problems", function=source.own, arguments=source.arguments))
        elif isinstance(source, FileProblems | HubProblems) and source.gold is not None and is_own(source.gold):
            found.append(OwnUse(role="verifier", function=source.gold))
    return tuple(found)


def without_gold(source: ProblemSource) -> bool:
    """Whether a source has prompts alone, with no answer that could be checked."""
    return isinstance(source, FileProblems | HubProblems) and source.gold is None


class HeldOut(Component):
    """Problems never trained on, and how they are sampled during and after training."""

    problems: tuple[ProblemSource, ...]
    """Sources of the held-out problems."""
    samples: int = Field(16, ge=1)
    """Completions per problem at the start and at the end (at least 16 gives cons@16)."""
    every: int | None = Field(None, ge=1)
    """Also evaluate every so many steps; null only at the start and at the end."""
    samples_during: int = Field(4, ge=1)
    """Completions per problem in those evaluations in between."""
    temperature: float = Field(0.6, gt=0)
    """Sampling temperature (0.6 in the paper's evaluations)."""
    top_p: float = Field(0.95, gt=0, le=1)
    """Nucleus mass (0.95 in the paper's evaluations)."""
    max_tokens: int | None = Field(None, ge=1)
    """Longest completion; null uses the stage's limit."""

    metrics: OwnNames = ()
    """Functions of your own, as `rewards.py:brevity`, whose means over the held-out completions are measured, too
    (docs/own-code.md)."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.problems:
            raise ValueError("held_out.problems is empty: name at least one source")
        return self


__all__ += ["HeldOut", "own_problems", "without_gold"]
