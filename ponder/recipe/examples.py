"""Where examples to learn from come from: what `sample` stages kept, files, the hub, the embedded world."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ponder.recipe.base import Component
from ponder.recipe.context import ContextColumns

__all__ = [
    "ExampleColumns",
    "ExampleSource",
    "FileExamples",
    "HubExamples",
    "MicroExamples",
    "StageExamples",
    "source_name",
]


class ExampleColumns(ContextColumns):
    """Which column holds what."""

    prompt: str = "prompt"
    """Question text; ignored where `messages` is given."""
    response: str = "response"
    """What is learnt; thinking between `<think>` and `</think>` is taken apart from the answer. Ignored where
    `messages` is given."""
    messages: str | None = None
    """Column with a conversation, a list of {role, content} or {from, value} that ends with the assistant's response.
    Turns with `weight: 0` or `train: false` are not learnt."""
    tools: str | None = Field(None, exclude_if=lambda value: value is None)
    """Column with the tools that could be called, beside `messages`: a list of {name, description, parameters}, or of
    OpenAI's `{type: function, function: ...}`, or JSON text. With it turns may hold `tool_calls` and be results of the
    role `tool`; calls on the way to a response are learnt with it, results are read (docs/tools.md)."""
    thinking: str | None = None
    """Column with the thinking where the response holds the answer alone; with `messages`, the key of the assistant's
    turns that holds it, such as `reasoning_content`."""
    id: str | None = None
    """Column with a stable id; otherwise the row number."""
    language: str | None = None
    """Column with `en` or `zh`; otherwise the source's `language`."""
    domain: str | None = None
    """Column with a domain name; otherwise the source's `domain`."""

    @model_validator(mode="after")
    def _tools_of_turns(self) -> Self:
        if self.tools is not None and self.messages is None:
            raise ValueError(
                f"`tools` names the column {self.tools!r}, and tools are called in a conversation: name its column in "
                "`messages`, or remove `tools`"
            )
        return self


class _Source(Component):
    name: str | None = None
    """Name in logs and tables; otherwise made from the source."""
    limit: int | None = Field(None, ge=1)
    """Take this many examples after shuffling."""
    shuffle_seed: int | None = None
    """Shuffle the source with this seed before `limit`; null keeps its order."""
    weight: float = Field(1.0, gt=0)
    """How often each example of this source comes in one epoch: 1 for all sources is their plain union, 2 shows a
    source twice, 0.5 half of it in one epoch and the other half in the next. Sources are mixed evenly throughout."""


class StageExamples(_Source):
    """What a finished `sample` stage kept: the `examples.jsonl` in its folder."""

    source: Literal["stage"] = "stage"
    """Tag of this alternative."""
    stage: str
    """The stage's name."""


class _Table(_Source):
    columns: ExampleColumns = ExampleColumns()
    """Mapping from columns to the fields of an example."""
    answer_tags: bool = False
    """Whether the answer stands in `<answer>` tags after the thinking, as R1-Zero writes it."""
    turns: Literal["last", "every"] = "last"
    """Which of the assistant's turns in `messages` are learnt: the last one, those before it being context without
    their thinking, or every one as an example of its own."""
    domain: str = "general"
    """Domain of examples without a column for it."""
    language: Literal["en", "zh"] = "en"
    """Language of examples without a column for it."""


class FileExamples(_Table):
    """A JSONL, JSON, CSV or Parquet file (`.gz` accepted), told by its ending."""

    source: Literal["file"] = "file"
    """Tag of this alternative."""
    path: str
    """Path, relative to the working directory; `~` and `$VARIABLES` are expanded."""
    form: Literal["columns", "examples"] = "columns"
    """`columns`: a table, read as `columns` says; `examples`: JSONL as `sample` stages write it, one whole example per
    line, for which the settings of tables do not count and are refused."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        ignored = self.model_fields_set & _Table.model_fields.keys() - _Source.model_fields.keys()
        if self.form == "examples" and ignored:
            raise ValueError(
                f"form 'examples' reads whole examples, so {', '.join(sorted(ignored))} would count for nothing: "
                f"remove it, or set form to 'columns'"
            )
        return self


class HubExamples(_Table):
    """A data set of the Hugging Face hub, read through `datasets`."""

    source: Literal["hub"] = "hub"
    """Tag of this alternative."""
    id: str
    """Data set id such as `open-r1/OpenR1-Math-220k`, with `@revision` for another than the newest."""
    subset: str | None = None
    """Configuration name."""
    split: str = "train"
    """Split name."""


class MicroExamples(_Source):
    """Examples of the embedded world: right answers, each with a careful thought."""

    source: Literal["micro"] = "micro"
    """Tag of this alternative."""
    tasks: tuple[str, ...] = Field(
        ("arithmetic", "countdown", "equation", "ordering", "function", "science"), min_length=1
    )
    """Task names of the embedded world, as for problems: the six of reasoning, `calculator` and the general ones."""
    languages: tuple[Literal["en", "zh"], ...] = Field(("en", "zh"), min_length=1)
    """Languages, in equal parts."""
    count: int = Field(512, ge=1)
    """Examples to generate, over all tasks."""
    split: Literal["train", "test"] = "train"
    """The two splits never share a question."""
    seed: int = 0
    """Generator seed."""
    clean: bool = True
    """Whether thoughts keep to the language of the question; otherwise some mix the two, as the world's corpus does."""
    careful: float = Field(1.0, ge=0, le=1)
    """Share of the answers to questions of reasoning that are thought through and right; the others are as the world's
    corpus has them, mostly guesses. Below 1 for a model that is to meet a task before RL improves on it. Careful with
    `calculator` is who calls the tool."""
    rambling: float = Field(0.0, ge=0, le=1, exclude_if=lambda value: value == 0)
    """Share of the answers to general questions that say the same thing three times, which the world's rule holds for
    wrong: what people write is seldom all as it should be."""


ExampleSource = Annotated[StageExamples | FileExamples | HubExamples | MicroExamples, Field(discriminator="source")]
"""Any source of examples, told apart by `source`."""


def source_name(source: ExampleSource) -> str:
    """The name given to a source, or one made from what it reads."""
    if source.name is not None:
        return source.name
    match source:
        case StageExamples():
            return source.stage
        case FileExamples():
            path = Path(source.path)
            stem = path.name.removesuffix(".gz").rpartition(".")[0] or path.name
            return f"{path.parent.name}/{stem}" if path.parent.name else stem
        case HubExamples():
            return source.id + (f"/{source.subset}" if source.subset else "") + f"/{source.split}"
        case MicroExamples():
            return f"micro/{source.split}"
