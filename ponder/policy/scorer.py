"""Reward models: a causal model's body with one linear row on the hidden state of the last token.

    prompt, text -> ids (prompt + text + end token) -> packed row -> hidden state of each last token -> score

The folder is a plain `...ForSequenceClassification` with one label, whose own forward pass gives the same number, and
`ponder_scorer.json` beside it. The texts of one prompt share its computation, as completions do in training.
"""

import contextlib
import dataclasses
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ponder.policy.memory import TokenBudget
from ponder.policy.packed import PackedLayout, round_up
from ponder.policy.scorer_file import ScorerFile
from ponder.policy.window import check_length
from ponder.records import Message
from ponder.text.template import Template
from ponder.text.think import ThinkParser

__all__ = ["ScoreModel", "Scored", "Scorer", "cut_scored", "pack_scored"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Texts to be scored after one prompt, as ids, the end token included. Example: the two answers of a pair."""

    prompt_ids: tuple[int, ...]
    response_ids: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        if not self.prompt_ids or not all(self.response_ids):
            raise AssertionError(f"a score needs a prompt and a text, got {self.prompt_ids} and {self.response_ids}")

    @property
    def tokens(self) -> int:
        """Tokens in a packed row."""
        return len(self.prompt_ids) + sum(map(len, self.response_ids))

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return len(self.prompt_ids) + max(map(len, self.response_ids))


def pack_scored(items: Sequence[Scored], token_budget: int) -> list[list[int]]:
    """Passes of at most `token_budget` tokens as indices into `items`; an item beyond that gets one of its own."""
    passes: list[list[int]] = []
    used = token_budget
    for i in sorted(range(len(items)), key=lambda i: (-items[i].tokens, i)):
        if not passes or used + items[i].tokens > token_budget:
            passes.append([])
            used = 0
        passes[-1].append(i)
        used += items[i].tokens
    return passes


def cut_scored(item: Scored, token_budget: int) -> list[Scored]:
    """The item whole if it fits into `token_budget` tokens, else cut between its texts into items that do, each with
    the prompt; a text that alone is beyond that gets an item of its own."""
    pieces: list[list[tuple[int, ...]]] = []
    used = token_budget
    for ids in item.response_ids:
        if not pieces or used + len(ids) > token_budget:
            pieces.append([])
            used = len(item.prompt_ids)
        pieces[-1].append(ids)
        used += len(ids)
    return [dataclasses.replace(item, response_ids=tuple(texts)) for texts in pieces]


def _passes(items: Sequence[Scored], token_budget: int) -> tuple[list[tuple[int, Scored]], list[list[int]]]:
    """The items cut where they must be, each with the number of its item, and the passes as indices into these."""
    pieces = [(i, piece) for i, item in enumerate(items) for piece in cut_scored(item, token_budget)]
    return pieces, pack_scored([piece for _, piece in pieces], token_budget)


class ScoreModel(torch.nn.Module):
    """A scorer as a module: everything from ids to scores in one forward pass, so that it can be sharded. Its
    parameters are the scorer's own."""

    def __init__(self, scorer: "Scorer") -> None:
        super().__init__()
        self.model = scorer.model
        self.scorer = scorer

    def forward(self, items: Sequence[Scored]) -> torch.Tensor:
        """See `Scorer.forward`."""
        return self.scorer.forward(items).clone()  # no view: hooks of the backward pass hang on it


@dataclass(slots=True, kw_only=True)
class Scorer:
    """A reward model with all that its scores depend on. `file.mean` and `file.deviation` are those of the held-out
    scores, once they are known. `window` is the most tokens a sequence may have, `limit`
    why they are fewer than the model's configuration says, `fitting` the most tokens of a pass
    since memory ran out."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    template: Template
    file: ScorerFile
    window: int
    device: torch.device
    autocast_dtype: torch.dtype | None
    limit: str | None = None
    fitting: int = sys.maxsize

    def prompt_ids(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """The ids of a conversation up to where the reply begins, without the template's prefill, which is part of the
        reply. Raises DataError unless the last message is a user's."""
        return self.template.encode(self.tokenizer, messages, prefill=False)

    def text_ids(self, text: str) -> tuple[int, ...]:
        """The ids of a reply without blanks around it, then the end token."""
        ids = self.template.encode_reply(self.tokenizer, text.strip())
        if self.file.end is None:
            return tuple(ids)
        end = self.tokenizer.convert_tokens_to_ids(self.file.end)
        assert isinstance(end, int), f"{self.file.end!r} is no token"
        return (*ids, end)

    def seen(self, response: str) -> str | None:
        """What of a whole response, prefill included, is scored: all of it, or under the scope `answer` what follows
        its thinking. None where that is nothing.

        A well-formed response is written in one way, whatever tags and blanks its template asks for, so that a scorer
        judges other templates' responses like its own; any other is left as it is.
        """
        text: str | None = response
        if "<think>" in response or "</think>" in response:
            parser = ThinkParser(answer_tags="<answer>" in response)
            parser.feed(response)
            parts = parser.close()
            if self.file.scope == "answer":
                text = parts.answer
            elif parts.well_formed:
                text = f"<think>\n{parts.thinking or ''}\n</think>\n\n{parts.answer}"
        return text if text is not None and text.strip() else None

    def forward(self, items: Sequence[Scored]) -> torch.Tensor:
        """The scores (M,) of all texts in order, in float32, with gradient; one pass for all of them."""
        model: Any = self.model
        texts = [(i, ids) for i, item in enumerate(items) for ids in item.response_ids]
        prompts = [item.prompt_ids for item in items]
        padding = round_up(tokens := sum(item.tokens for item in items)) - tokens
        lengths = [len(ids) for _, ids in texts]
        layout = PackedLayout([len(ids) for ids in prompts], lengths, [i for i, _ in texts], self.device, padding)
        check_length(layout.longest, self.window, self.limit)
        row = [token for ids in (*prompts, (0,) * padding, *(ids for _, ids in texts)) for token in ids]
        ids_1T = torch.tensor([row], device=self.device)
        with self.autocast():
            output = model.base_model(
                input_ids=ids_1T, position_ids=layout.position_ids_T[None], use_cache=False, layout=layout
            )
        last_M = (
            torch.from_numpy(layout.response_starts).to(self.device) + torch.tensor(lengths, device=self.device) - 1
        )
        hidden_MD = output.last_hidden_state[0].index_select(0, last_M)
        scores: torch.Tensor = (hidden_MD.float() @ model.score.weight.float().T)[:, 0]
        return scores

    def scores(self, items: Sequence[Scored], token_budget: int) -> list[tuple[float, ...]]:
        """The scores of each item's texts, without gradient, in passes of at most `token_budget` tokens, or of fewer
        once memory ran out: the texts of one prompt need not be in one pass. Raises ModelError when single texts do
        not fit."""
        budget = TokenBudget(min(token_budget, self.fitting))

        def alone() -> int | None:
            pieces, passes = _passes(items, budget.tokens)
            single = all(len(members) == 1 for members in passes) and all(len(p.response_ids) == 1 for _, p in pieces)
            return max(piece.tokens for _, piece in pieces) if single else None

        found = budget.run(lambda: self._scores(items, budget.tokens), alone, "Use a smaller reward model.")
        if budget.halvings:
            self.fitting = budget.tokens
        return found

    def score_reply(self, messages: Sequence[Message], thinking: str | None, answer: str | None) -> float | None:
        """The score of one reply; None for one without an answer, or too long for the window with its prompt."""
        if answer is None or not answer.strip():
            return None
        text = self.seen(answer if thinking is None else f"<think>\n{thinking}\n</think>\n\n{answer}")
        if text is None:
            return None
        item = Scored(prompt_ids=self.prompt_ids(messages), response_ids=(self.text_ids(text),))
        return None if item.tokens > self.window else self.scores([item], self.window)[0][0]

    @torch.no_grad()
    def _scores(self, items: Sequence[Scored], token_budget: int) -> list[tuple[float, ...]]:
        pieces, passes = _passes(items, token_budget)
        found: dict[int, list[float]] = {}
        for members in passes:
            flat = iter(self.forward([pieces[member][1] for member in members]).tolist())
            for member in members:
                found[member] = [next(flat) for _ in pieces[member][1].response_ids]
        scores: list[list[float]] = [[] for _ in items]
        for member, (i, _) in enumerate(pieces):
            scores[i] += found[member]
        return [tuple(one) for one in scores]

    @contextlib.contextmanager
    def autocast(self) -> Iterator[None]:
        """The arithmetic of every forward pass."""
        with torch.autocast(self.device.type, dtype=self.autocast_dtype, enabled=self.autocast_dtype is not None):
            yield

    def with_file(self, **changes: Any) -> "Scorer":
        """The same tensors under a changed description."""
        return dataclasses.replace(self, file=dataclasses.replace(self.file, **changes))
