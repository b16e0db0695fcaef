"""What of a model concerns those who only talk with it: how messages become ids, and what ends an answer.

Everything that problems, prompts and completions need; no weights, no arithmetic. So rollouts and evaluation work with
whatever samples: a policy in this process, an engine in another.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from ponder.records import Message, Tool
from ponder.text.template import Template

__all__ = ["Voice"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """As of a `Policy`: `stop_ids` end a completion, `pad_id` may be one of them, `window` is the most tokens of a
    sequence. `parameters`, `device` and `dtype` of its products say in a file what has spoken."""

    tokenizer: PreTrainedTokenizerBase
    template: Template
    stop_ids: frozenset[int]
    pad_id: int
    window: int
    parameters: int
    device: str
    dtype: str
    tools: tuple[Tool, ...] = ()
    """What it may call, which every prompt says."""

    def prompt(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """The ids of a conversation's prompt."""
        return self.template.encode(self.tokenizer, messages, tools=self.tools)

    def silent_ids(self) -> frozenset[int]:
        """Tokens that end, fill or begin a text and are no part of it. Not all special tokens: tags such as <think> are
        special tokens of some tokenizers."""
        begin = self.tokenizer.bos_token_id
        assert begin is None or isinstance(begin, int)
        return self.stop_ids | {self.pad_id} | (frozenset() if begin is None else {begin})
