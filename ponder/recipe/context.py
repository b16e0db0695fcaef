"""Columns beside a question that belong to what is asked, for sources of every kind."""

from typing import Self

from pydantic import model_validator

from ponder.recipe.base import Component

__all__ = ["ContextColumns"]


class ContextColumns(Component):
    """What tables of problems, examples and preferences may hold beside the question."""

    context: tuple[str, ...] = ()
    """Columns with more of the question, such as Alpaca's `input`: where they hold something it is put after the
    prompt, a blank line between."""
    system: str | None = None
    """Column with the system's turn, which is put first where it holds something."""
    ignored: tuple[str, ...] = ()
    """Columns that are left aside although a row may be another without them, such as `system` or `tools`. Rows with
    something in such a column are left out unless it is named here or read."""

    @model_validator(mode="after")
    def _context_of_a_prompt(self) -> Self:
        if self.context and self.model_dump()["messages"] is not None:
            raise ValueError("`context` belongs to a `prompt`; with `messages` the conversation is whole: remove it")
        return self
