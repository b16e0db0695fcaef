"""What a `reward_model` stage learns from: preference pairs or labelled responses, and where they come from."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ponder.recipe.base import Component
from ponder.recipe.context import ContextColumns

__all__ = [
    "FilePreferences",
    "HubPreferences",
    "MicroPreferences",
    "PreferenceColumns",
    "PreferenceSource",
    "StagePreferences",
    "preference_name",
]


class PreferenceColumns(ContextColumns):
    """Which column holds what. `chosen` and `rejected` are read for pairs, `response` and `safe` for labels."""

    prompt: str = "prompt"
    """Question text; ignored where `messages` is given, and for dialogues."""
    messages: str | None = None
    """Column with a list of {role, content} or {from, value}."""
    chosen: str = "chosen"
    """The better answer, or the dialogue that ends with it."""
    rejected: str = "rejected"
    """The worse answer, or the dialogue that ends with it."""
    response: str = "response"
    """A whole response, thinking included, or the dialogue that ends with it."""
    safe: str = "safe"
    """Label of the response: true or false, 1 or 0, `safe` or `unsafe`."""
    id: str | None = None
    """Column with a stable id; otherwise the row number."""
    language: str | None = None
    """Column with `en` or `zh`; otherwise the source's `language`."""
    domain: str | None = None
    """Column with a domain name; otherwise the source's `domain`."""


class _Preferences(Component):
    name: str | None = None
    """Name in tables and messages; otherwise made from the source."""
    limit: int | None = Field(None, ge=1)
    """Take this many rows after shuffling."""
    shuffle_seed: int | None = None
    """Shuffle the source with this seed before `limit`; null keeps its order."""


class StagePreferences(_Preferences):
    """What a `sample` stage of this recipe wrote: its `pairs.jsonl` or `labels.jsonl`."""

    source: Literal["stage"] = "stage"
    """Tag of this alternative."""
    stage: str
    """Name of the stage."""


class _Table(_Preferences):
    form: Literal["answers", "dialogues"] = "answers"
    """`answers`: a prompt in a column of its own. `dialogues`: whole texts of turns that begin with `Human:` and
    `Assistant:`, of which all but the last turn is the prompt (hh-rlhf)."""
    columns: PreferenceColumns = PreferenceColumns()
    """Mapping from columns to the fields of a pair or label."""
    domain: str | None = None
    """Domain of every row without one of its own."""
    language: Literal["en", "zh"] = "en"
    """Language of rows without a column for it."""


class FilePreferences(_Table):
    """A JSONL, JSON, CSV or Parquet file (`.gz` accepted), told by its ending."""

    source: Literal["file"] = "file"
    """Tag of this alternative."""
    path: str
    """Path, relative to the working directory; `~` and `$VARIABLES` are expanded."""


class HubPreferences(_Table):
    """A data set of the Hugging Face hub, read through `datasets`."""

    source: Literal["hub"] = "hub"
    """Tag of this alternative."""
    id: str
    """Data set id such as `Anthropic/hh-rlhf`, with `@revision` for another than the newest."""
    subset: str | None = None
    """Configuration name."""
    split: str = "train"
    """Split name."""


class MicroPreferences(_Preferences):
    """Graded replies of the embedded world to its general questions, paired or labelled by the world's own rule."""

    source: Literal["micro"] = "micro"
    """Tag of this alternative."""
    tasks: tuple[str, ...] = Field(
        ("greeting", "identity", "translation", "writing", "fact", "unsafe", "near_miss"), min_length=1
    )
    """General tasks of the embedded world; the last two are about safety."""
    languages: tuple[Literal["en", "zh"], ...] = Field(("en", "zh"), min_length=1)
    """Languages, in equal parts."""
    count: int = Field(2048, ge=1)
    """Pairs or labels to generate, over all tasks."""
    split: Literal["train", "test"] = "train"
    """The two splits never share a question."""
    seed: int = 0
    """Generator seed."""
    long_winded: float = Field(0.0, ge=0, le=1, exclude_if=lambda value: value == 0)
    """Share of pairs in which the better answer is one that says the same thing three times, beside one that says it
    once: the liking of people, and of judges, for what is long. What learns from them is right on pairs like these and
    can be hacked. Pairs only."""


PreferenceSource = Annotated[
    StagePreferences | FilePreferences | HubPreferences | MicroPreferences, Field(discriminator="source")
]
"""Any source of pairs or labels, told apart by `source`."""


def preference_name(source: PreferenceSource) -> str:
    """The name given to a source, or one made from what it reads."""
    if source.name is not None:
        return source.name
    match source:
        case StagePreferences():
            return source.stage
        case FilePreferences():
            path = Path(source.path)
            return path.name.removesuffix(".gz").rpartition(".")[0] or path.name
        case HubPreferences():
            return f"{source.id}/{source.split}"
        case MicroPreferences():
            return f"micro/{source.split}"
