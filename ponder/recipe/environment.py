"""Conversations of several turns: what a model may call, and who answers it."""

from difflib import get_close_matches
from typing import Any, Literal, Self, get_args

from pydantic import Field, model_validator

from ponder.recipe.base import Component
from ponder.recipe.own import OWN_FORM, OwnName, OwnUse, is_own

__all__ = ["BuiltInTool", "Environment"]

BuiltInTool = Literal["calculator", "python", "search"]


class Environment(Component):
    """What answers the model's turns (docs/tools.md). A turn that calls tools is answered with what they give; any
    other ends the conversation, unless a class of your own has something to say to it."""

    tools: tuple[str, ...] = ()
    """What the model may call: `calculator`, `python` (programs in the sandbox), `search` (in the texts of `folder`),
    or functions of your own as `tools.py:weather`."""
    folder: str | None = None
    """The folder whose `.txt` and `.md` files `search` looks through; each paragraph is found by itself."""
    results: int = Field(3, ge=1)
    """Paragraphs that one search gives."""
    own: str | None = None
    """A class of your own, as `game.py:Guess`, that says how a conversation begins and what each turn without a call is
    answered with."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """What the class is made with, by name, beside the problem."""
    turns: int = Field(8, ge=1)
    """Most turns of the model; what it says after that is not answered. Tokens of the whole conversation, answers
    included, are limited by `sampling.max_tokens`."""
    call_seconds: float = Field(5.0, gt=0, le=600)
    """Longest time of one call of a tool, and of one answer of your class."""
    seconds: float = Field(60.0, gt=0)
    """Longest time of all calls and answers of a conversation together."""
    result_characters: int = Field(2000, ge=80)
    """Longest result of a call that the model is shown; of a longer one its beginning and its end."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if not self.tools and self.own is None:
            raise ValueError("environment has neither tools nor a class of your own: name one, or leave it out")
        known = get_args(BuiltInTool)
        for name in self.tools:
            if is_own(name):
                OwnName.read(name)
            elif name not in known:
                near = get_close_matches(name, known, 1)
                raise ValueError(
                    f"there is no tool {name!r}; expected {', '.join(known)} or a function of your own ({OWN_FORM})"
                    + (f"; did you mean {near[0]!r}?" if near else "")
                )
        if len(set(self.tools)) < len(self.tools):
            raise ValueError(f"tools names one of {', '.join(self.tools)} twice")
        if self.own is not None:
            OwnName.read(self.own)
        if ("search" in self.tools) != (self.folder is not None):
            raise ValueError("the tool 'search' and `folder`, the texts that it looks through, come together")
        if self.arguments and self.own is None:
            raise ValueError("`arguments` are for a class of your own: name it in `own`")
        if self.turns == 1 and self.tools:
            raise ValueError("with `turns: 1` no call would ever be answered: set 2 or more")
        return self

    def own_uses(self) -> tuple[OwnUse, ...]:
        """The functions and the class of the user's own."""
        tools = (OwnUse(role="tool", function=name) for name in self.tools if is_own(name))
        own = (OwnUse(role="environment", function=self.own, arguments=self.arguments),) if self.own is not None else ()
        return (*tools, *own)
