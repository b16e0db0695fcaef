"""The records that flow through ponder, in the order in which they come to be.

    Problem -> (prompt ids) -> Completion -> Verdict -> Rollout -> Group -> (train.Batch)

All are frozen values without torch. `to_json`/`from_json` turn any of them into plain JSON and back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, TypeAdapter

from ponder.compact import Numbers

__all__ = [
    "AssignmentGold",
    "ChoiceGold",
    "CodeGold",
    "Completion",
    "Example",
    "ExpressionGold",
    "FinishReason",
    "Gold",
    "Group",
    "InstructionGold",
    "JsonGold",
    "LabelledResponse",
    "Language",
    "MathGold",
    "MeasuredProblem",
    "Message",
    "Outcome",
    "OwnGold",
    "PreferencePair",
    "Problem",
    "RepositoryGold",
    "Rollout",
    "Route",
    "RuleGold",
    "SafetyGold",
    "Span",
    "Step",
    "Talk",
    "Tool",
    "ToolCall",
    "Unwritten",
    "Verdict",
    "WeightSpan",
    "from_json",
    "to_json",
]

Language = Literal["en", "zh"]
Outcome = Literal["right", "wrong", "cannot_tell"]
FinishReason = Literal["stop", "length"]
Route = Literal["reasoning", "helpful", "safety"]
"""Which rewards a prompt gets (Nature eq. 8-10): rules for reasoning, one of two reward models for the rest."""


Unwritten = Field(exclude_if=lambda value: not value)
"""Of a field that is written where it says something: records without tools stay the bytes they were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """What a model may call. `parameters` is the JSON schema of the object of its arguments.

    Example: Tool(name="calculator", description="Computes.", parameters={"type": "object",
    "properties": {"expression": {"type": "string"}}, "required": ["expression"]}).
    """

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call that an assistant makes. `arguments` is the JSON text of one object, as it was written; `id` is what the
    answer refers to, where there is such a name. Example: ToolCall(name="calculator",
    arguments='{"expression": "2*3"}')."""

    name: str
    arguments: str
    id: Annotated[str, Unwritten] = ""

    @property
    def values(self) -> dict[str, Any]:
        """The arguments by name."""
        found = json.loads(self.arguments)
        assert isinstance(found, dict), f"the arguments of a call are an object, got {self.arguments!r}"
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a conversation. Example: Message(role="user", content="What is 2+3?").

    An assistant's turn may hold `tool_calls`; each is answered by a turn of the role `tool`, in which `name` is the
    tool's and `tool_call_id` the call's, where it has one.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: Annotated[tuple[ToolCall, ...], Unwritten] = ()
    tool_call_id: Annotated[str, Unwritten] = ""
    name: Annotated[str, Unwritten] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MathGold:
    """A mathematical answer: number, expression, relation, set, ... Example: MathGold(answer="\\\\frac{1}{2}").

    `strictness`: a "strict" gold refuses where an answer is in doubt, as rewards must; a "lenient" one also accepts
    calculations ("9 + 1" for 10), values that agree to six places and the last of several values of a sentence.
    """

    answer: str
    strictness: Literal["strict", "lenient"] = "strict"
    kind: Literal["math"] = "math"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceGold:
    """One letter among options. Example: ChoiceGold(answer="B", options=("17", "60", "50"))."""

    answer: str
    options: tuple[str, ...] = ()
    kind: Literal["choice"] = "choice"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpressionGold:
    """An expression that uses each number exactly once and equals the target (countdown, game of 24)."""

    numbers: tuple[int, ...]
    target: int
    operators: str = "+-*/"
    kind: Literal["expression"] = "expression"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignmentGold:
    """Names to values (knights and knaves), or an order as position -> name. Example: {"Ann": "knight"}."""

    values: Mapping[str, str]
    kind: Literal["assignment"] = "assignment"


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeGold:
    """Tests a program must pass.

    `form` is "asserts": `tests` are assert statements run after the program; "stdio": `tests` are the inputs and
    `outputs` the expected outputs, one each; "unittest": `tests` is one whole test file that imports `solution`;
    "appended": `tests` is one text that follows the program in its own language (MultiPL-E).
    `prefix` is put before the program (HumanEval's prompt). `answer`, where known, is a program that passes.
    `comparison` says when printed output is the expected one: byte for byte, word by word, or numbers by value.
    `seconds` is the problem's own limit of processor time, for one input (`stdio`) or for all its tests.
    """

    tests: tuple[str, ...]
    outputs: tuple[str, ...] = ()
    form: Literal["asserts", "stdio", "unittest", "appended"] = "asserts"
    program_language: Literal["python", "cpp", "javascript"] = "python"
    comparison: Literal["exact", "tokens", "numeric"] = "tokens"
    prefix: str = ""
    entry_point: str | None = None
    answer: str | None = None
    seconds: float | None = None
    kind: Literal["code"] = "code"


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryGold:
    """A small package with a fault, and the tests that a patch must turn green or leave green.

    `files` are its Python files by path, `tests` the test files, which no patch may touch. `must_pass` names tests as
    `tests/test_cart.py::test_total` or `tests/test_cart.py::TestCart::test_total`; empty for all of them. `seconds` is
    the processor time for one test file. `answer`, where known, is a patch that passes.

    Example: RepositoryGold(files={"shop/cart.py": "def total(prices): return max(prices)\n"},
    tests={"tests/test_cart.py": "from shop.cart import total\ndef test_total(): assert total([1, 2]) == 3\n"}).
    """

    files: Mapping[str, str]
    tests: Mapping[str, str]
    must_pass: tuple[str, ...] = ()
    seconds: float = 60.0
    answer: str | None = None
    kind: Literal["repository"] = "repository"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstructionGold:
    """IFEval constraints: the identifiers and their keyword arguments, one mapping each."""

    instruction_ids: tuple[str, ...]
    arguments: tuple[Mapping[str, Any], ...]
    prompt: str = ""
    kind: Literal["instructions"] = "instructions"


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonGold:
    """A JSON value that a schema describes. `values` is what is known of it, None for nothing: of objects any part.

    Example: JsonGold(schema={"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]},
    values={"age": 34}).
    """

    schema: Mapping[str, Any]
    values: Any = None
    kind: Literal["json"] = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleGold:
    """Rules for free text. `answer` is one text that keeps them all.

    Of each of `groups` one word must occur, none of `forbidden` may, and exactly `listed_count` different ones of
    `listed`, where there are any. Words count as in `language_share` (a Chinese character is one). `wanted` groups are
    not required: they make a right answer better. `language` is that of the answer; None leaves it open.

    Example: RuleGold(answer="The capital of France is Paris.", groups=(("Paris",),), forbidden=("Rome", "Cairo"),
    wanted=(("France",),), max_words=20, language="en").
    """

    answer: str
    groups: tuple[tuple[str, ...], ...] = ()
    wanted: tuple[tuple[str, ...], ...] = ()
    forbidden: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()
    listed_count: int = 0
    min_words: int = 1
    max_words: int = 60
    language: Language | None = None
    kind: Literal["rule"] = "rule"


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyGold:
    """Whether a request is to be refused. An unsafe one is answered right by a refusal that does not comply, a safe one
    that only sounds alike by an answer that is none; both keep the `rule`."""

    unsafe: bool
    rule: RuleGold
    kind: Literal["safety"] = "safety"

    @property
    def answer(self) -> str:
        return self.rule.answer


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnGold:
    """What a verifier of the user's own compares with. `function` names it as `file.py:function`; `answer` is the
    value of the answer column as the file holds it, `given` the values of further columns, `prompt` the question.

    Example: OwnGold(function="check.py:legal", answer="e2e4", given={"board": "..."}, prompt="White to move.").
    """

    function: str
    answer: Any = None
    given: Mapping[str, Any] = field(default_factory=dict)
    prompt: str = ""
    kind: Literal["own"] = "own"


Gold = Annotated[
    MathGold
    | ChoiceGold
    | ExpressionGold
    | AssignmentGold
    | CodeGold
    | RepositoryGold
    | InstructionGold
    | JsonGold
    | RuleGold
    | SafetyGold
    | OwnGold,
    Field(discriminator="kind"),
]
"""What a verifier compares an answer with; `gold.kind` names the verifier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A question whose answer can be checked.

    Example: Problem(id="gsm8k/17", messages=(Message(role="user", content="..."),), gold=MathGold(answer="42"),
    domain="math", language="en", difficulty=3). `gold` is None only for prompts without a checkable answer, which only
    the routes `helpful` and `safety` can train on.
    """

    id: str
    messages: tuple[Message, ...]
    gold: Gold | None
    domain: str
    language: Language = "en"
    difficulty: int | None = None
    route: Route = "reasoning"

    @property
    def prompt(self) -> str:
        """The text of the last user turn."""
        return next(m.content for m in reversed(self.messages) if m.role == "user")

    @property
    def conversation(self) -> str:
        """What was asked, for a reader: the prompt, or all turns with who says them where there are several."""
        turns = [f"{one.role}: {one.content}" for one in self.messages] if len(self.messages) > 1 else []
        return "\n\n".join(turns) or self.prompt


Span = tuple[int, int]
"""From which place to before which, among ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """How a conversation of several turns went on after its first prompt.

    `messages` are its turns in order; of its ids the model wrote those in `spans`, all others were said to it. `cut` is
    the limit that ended it, `failure` why `failed_by`, which was to answer, gave nothing. `calls` counts the calls of
    tools, `failed` those of them that gave an error, `malformed` what began as a call and was none.
    """

    messages: tuple[Message, ...]
    spans: tuple[Span, ...]
    cut: Literal["turns", "tokens", "seconds"] | None = None
    failure: str = ""
    failed_by: str = ""
    calls: int = 0
    failed: int = 0
    malformed: int = 0

    @property
    def turns(self) -> int:
        """How often the model spoke."""
        return len(self.spans)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightSpan:
    """The ids of a completion before `stop`, and after the span before, were sampled by weights of `version`."""

    version: int
    stop: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What the model wrote: the sampled ids (stop id included), each with its log-prob under the distribution that
    sampled it. `text` is the ids decoded without special tokens; it is for people and rewards and is never tokenised
    again for training. `weight_version` counts optimizer steps of the weights that sampled it, or its first ids where
    later ones took over meanwhile: `spans` says which, and is empty otherwise. Ids and log-probs are kept as
    `compact.Numbers`, whatever sequence they are given as.

    With a `talk` the ids are those of the whole conversation after its first prompt, up to the last that the model
    wrote; `logprobs` are of the model's own ids alone, and `text` is its last turn.

    A `guided` one had tokens taken from it while it was sampled: its log-probs are those of what was left, and a model
    never learns from it by them.
    """

    token_ids: Sequence[int]
    logprobs: Sequence[float]
    text: str
    finish_reason: FinishReason
    weight_version: int
    seed: int
    talk: Annotated[Talk | None, Unwritten] = None
    guided: Annotated[bool, Unwritten] = False
    spans: Annotated[tuple[WeightSpan, ...], Unwritten] = ()

    def __post_init__(self) -> None:
        if self.spans:
            stops = [0, *(span.stop for span in self.spans)]
            rising = all(one < other for one, other in pairwise(stops))
            if not rising or stops[-1] != len(self.token_ids) or self.spans[0].version != self.weight_version:
                raise AssertionError(f"spans {self.spans} of {len(self.token_ids)} ids from {self.weight_version} on")
        own = len(self.token_ids) if self.talk is None else sum(end - start for start, end in self.talk.spans)
        if own != len(self.logprobs):
            raise AssertionError(f"{own} token ids of the model's but {len(self.logprobs)} log-probs")
        object.__setattr__(self, "token_ids", Numbers("i", self.token_ids))
        object.__setattr__(self, "logprobs", Numbers("f", self.logprobs))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A verifier's judgement. `answer` is what was read from the text, `reason` says which rule decided and why,
    `score` is the fraction of tests passed for code, how good a text is for rules on text (above 0.5 when right), and
    otherwise 1.0 for right, 0.0 for the rest."""

    outcome: Outcome
    reason: str
    answer: str | None = None
    score: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One completion of one problem with its rewards by name. A reward of None does not apply to this problem and is
    left out of the sum. `reward` is the weighted sum the advantage is made of. `failed` names the rewards that a
    function of the user's own was to give and did not: nothing is learnt from such a rollout."""

    problem: Problem
    prompt_ids: tuple[int, ...]
    completion: Completion
    verdict: Verdict
    rewards: Mapping[str, float | None]
    reward: float
    failed: tuple[str, ...] = ()


_SAME_REWARD = 1e-9
"""Rewards closer than this are equal: weighted sums of the same parts differ by rounding only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The rollouts of one problem, all sampled with one version of the weights from one prompt."""

    rollouts: tuple[Rollout, ...] = field()

    def __post_init__(self) -> None:
        if len({r.problem.id for r in self.rollouts}) != 1 or len({r.prompt_ids for r in self.rollouts}) != 1:
            raise AssertionError(f"a group holds rollouts of one problem, got {[r.problem.id for r in self.rollouts]}")

    @property
    def problem(self) -> Problem:
        return self.rollouts[0].problem

    @property
    def rewards(self) -> tuple[float, ...]:
        return tuple(r.reward for r in self.rollouts)

    @property
    def told(self) -> tuple[Rollout, ...]:
        """The rollouts whose reward is known; a group of which fewer than two are says nothing."""
        return tuple(r for r in self.rollouts if not r.failed)

    @property
    def useful(self) -> bool:
        """Whether the rewards differ, so that the group says which of its outputs to prefer and is trained on."""
        known = [r.reward for r in self.told]
        return bool(known) and max(known) - min(known) > _SAME_REWARD


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A turn on the way to a response, and what it was answered with: the results of the tools it calls, or, where it
    calls none, what a user said to it. `learnt` is False where the data says so.
    Example: Step(thinking="too large for my head", content="", tool_calls=(ToolCall(...),),
    results=(Message(role="tool", content="6"),))."""

    thinking: str | None
    content: str
    tool_calls: tuple[ToolCall, ...]
    results: tuple[Message, ...]
    learnt: Annotated[bool, Field(exclude_if=lambda value: value)] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One response to learn from. `thinking` is None where there is none; the template of the student, not of whoever
    wrote the example, puts thinking and answer into words (`Template.compose`). Where `tools` could be called, `steps`
    are the turns after the prompt that did, and the response itself may hold `tool_calls`.

    Example: Example(id="micro/arithmetic/3", messages=(Message(role="user", content="What is 2+3?"),),
    thinking="2+3=5", answer="5", domain="arithmetic", language="en", origin="rejection").
    """

    id: str
    messages: tuple[Message, ...]
    thinking: str | None
    answer: str
    domain: str
    language: Language = "en"
    origin: str = ""
    tools: Annotated[tuple[Tool, ...], Unwritten] = ()
    steps: Annotated[tuple[Step, ...], Unwritten] = ()
    tool_calls: Annotated[tuple[ToolCall, ...], Unwritten] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferencePair:
    """Two answers to one prompt, thinking left out, of which `chosen` is the better (helpfulness, Nature eq. 5)."""

    id: str
    messages: tuple[Message, ...]
    chosen: str
    rejected: str
    domain: str = "general"
    language: Language = "en"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledResponse:
    """One whole response, thinking included, with the label of the safety guidelines."""

    id: str
    messages: tuple[Message, ...]
    response: str
    safe: bool
    domain: str = "safety"
    language: Language = "en"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredProblem:
    """A problem with how often a model solved it: `right` of `judged` completions."""

    problem: Problem
    right: int
    judged: int

    @property
    def domain(self) -> str:
        return self.problem.domain

    @property
    def language(self) -> Language:
        return self.problem.language


Record = TypeVar("Record")


_ADAPTERS: dict[object, TypeAdapter[Any]] = {}  # milliseconds to build, microseconds to use


def _adapter(kind: Any) -> TypeAdapter[Any]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def to_json(record: object) -> dict[str, Any]:
    """The record as plain JSON values."""
    value = _adapter(type(record)).dump_python(record, mode="json", fallback=_plain)
    assert isinstance(value, dict)
    return value


def _plain(value: object) -> list[float]:
    """What pydantic does not know by itself."""
    assert isinstance(value, Numbers), f"no record holds a {type(value).__name__}"
    return list(value)


def from_json(kind: type[Record], value: Mapping[str, Any]) -> Record:
    """The record of type `kind` that `to_json` turned into `value`; raises pydantic.ValidationError if it is none."""
    record: Record = _adapter(kind).validate_python(value)
    return record
