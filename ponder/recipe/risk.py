"""How a service controls risk: keywords select, a judge decides."""

from typing import Literal, Self

from pydantic import Field, model_validator

from ponder.recipe.base import Component
from ponder.recipe.endpoint import Endpoint

__all__ = ["RiskAction", "RiskConfig"]

RiskAction = Literal["pass", "note", "withhold"]


class RiskConfig(Component):
    """What is done about risky requests and replies, as R1's service does it: keywords select turns, and only these are
    judged, by the served model itself or by what one of `model`, `endpoint` and `scorer` names."""

    rules: str
    """YAML file of rules: a list of `{id: ..., words: [...]}`, where `examples` are texts that a rule must select.
    Words are found whatever their case, accents and width, also within other words."""
    model: str | None = None
    """Folder or hub id of a model that judges, in a process of its own."""
    endpoint: Endpoint | None = None
    """Server of a model that judges."""
    scorer: str | None = None
    """Folder of a reward model trained on safety labels. It judges replies only, so that `prompt` passes."""
    prompt: RiskAction | None = None
    """What is done about a conversation judged unsafe: nothing (it is not looked at), a note beside the reply, or no
    reply. Null withholds, and passes with a `scorer`."""
    reply: RiskAction = "withhold"
    """The same of a reply, its thinking included, while it is written and as a whole."""
    hold: Literal["turn", "match"] = "turn"
    """What a stream holds back: the whole reply until it has passed, so that nothing of a withheld one is ever sent; or
    no more than what may be a keyword, and from the first one on all of the rest. Both are judged at every new rule, so
    that what is unsafe is not computed to its end, and as a whole."""
    on_failure: Literal["withhold", "pass"] = "withhold"
    """What becomes of a selected turn where the judge gives no verdict."""
    seconds: float = Field(30.0, gt=0)
    """Longest time for one verdict; without one by then the judge has failed."""
    max_tokens: int = Field(1024, ge=64)
    """Longest verdict of a judging model."""
    refusal: str = Field("I cannot help with that.", min_length=1)
    """What is said in place of a withheld reply."""

    @model_validator(mode="after")
    def _one_judge(self) -> Self:
        given = [name for name in ("model", "endpoint", "scorer") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are set, and one judge decides: leave all but one out")
        if self.scorer is not None and self.prompt not in (None, "pass"):
            raise ValueError("a scorer judges replies, not prompts: set prompt to pass, or take another judge")
        return self

    @property
    def prompt_action(self) -> RiskAction:
        """What holds of prompts."""
        if self.prompt is not None:
            return self.prompt
        return "pass" if self.scorer is not None else "withhold"
