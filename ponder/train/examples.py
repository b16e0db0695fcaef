"""Examples become token ids: the prompt, and the response that is learnt, as the template renders them.

    Example -> prompt ids | response ids, end token last        the mask is the border between the two

Prompt and response are tokenised apart, as in sampling, where the model continues the ids of the prompt; so no text is
ever searched for in ids. An example that is too long or cannot be rendered is left out with its reason, never cut.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from ponder.errors import DataError
from ponder.policy import Policy
from ponder.records import Example, Message, Span, Step, Tool
from ponder.seeds import derive_seed
from ponder.task.examples import LoadedExamples, SourcedExample
from ponder.task.fault import LeftOut
from ponder.task.order import place_at
from ponder.train.sample import Sample

__all__ = ["EncodedExample", "EncodedExamples", "encode_examples", "hold_back", "show_mask"]

_TOKENISED_AT_ONCE = 512
_SHOWN = 5
_SHOWN_TOKENS = 200
"""Of a prompt and of a response, in `show_mask`: half from its beginning and half from its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedExample:
    """Token ids of one example, int32 to keep hundreds of thousands of them in memory. Where the response is a
    conversation with tools, `spans` are the model's own tokens in it."""

    id: str
    source: str
    domain: str
    prompt: NDArray[np.int32]
    response: NDArray[np.int32]
    spans: tuple[Span, ...] = ()

    @property
    def learnt_tokens(self) -> int:
        """Tokens that are learnt."""
        return sum(end - start for start, end in self.spans) if self.spans else len(self.response)

    @property
    def tokens(self) -> int:
        """Prompt and response together."""
        return len(self.prompt) + len(self.response)

    def sample(self, group: str, weight: float) -> Sample:
        """What the trainer takes; each response token weighs `weight`."""
        prompt, response = tuple(self.prompt.tolist()), tuple(self.response.tolist())
        return Sample(prompt_ids=prompt, response_ids=response, group=group, weight=weight, spans=self.spans)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedExamples:
    """Examples, source after source. `sizes` counts them and `weights` says how often each comes in one epoch, by the
    source's name."""

    examples: tuple[EncodedExample, ...]
    left_out: tuple[LeftOut, ...]
    weights: Mapping[str, float]
    sizes: Mapping[str, int]

    @property
    def per_epoch(self) -> float:
        """Examples in one epoch."""
        return sum(self.weights[name] * size for name, size in self.sizes.items())

    def at(self, seed: int, index: int) -> EncodedExample:
        """The example at place `index`, from 0, of the endless stream that `seed` makes: a pure function, so that the
        index is all that resuming needs. See `task.order`."""
        shares = {name: self.weights[name] * size for name, size in self.sizes.items()}
        source, place = place_at(shares, self.sizes, seed, index)
        ends = dict(zip(self.sizes, accumulate(self.sizes.values()), strict=True))
        return self.examples[ends[source] - self.sizes[source] + place]


def encode_examples(loaded: LoadedExamples, policy: Policy, max_tokens: int) -> EncodedExamples:
    """Render and tokenise every example for this policy. DataError when a source has none of at most `max_tokens`
    tokens, prompt and end token included."""
    kept: list[EncodedExample] = []
    left_out = list(loaded.left_out)
    for entry, found in _encoded(loaded.examples, policy, max_tokens):
        if isinstance(found, str):
            left_out.append(LeftOut(source=entry.source, row=entry.row, reason=found))
        else:
            kept.append(found)
    sizes = {name: sum(one.source == name for one in kept) for name in loaded.weights}
    for name, size in sizes.items():
        if size == 0:
            reasons = [f"row {one.row}: {one.reason.rstrip('.')}" for one in left_out if one.source == name]
            raise DataError(
                f"Source {name!r} has no example that can be learnt: {'; '.join(reasons[:_SHOWN])}"
                + (f"; and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else "")
                + ". Change what these reasons name, or mend the source."
            )
    return EncodedExamples(examples=tuple(kept), left_out=tuple(left_out), weights=loaded.weights, sizes=sizes)


def _encoded(
    entries: Sequence[SourcedExample], policy: Policy, max_tokens: int
) -> Iterator[tuple[SourcedExample, EncodedExample | str]]:
    """Each example's tokens, or why it is left out."""
    template, tokenizer = policy.template, policy.tokenizer
    end = template.end_id(tokenizer, policy.model.generation_config)
    for start in range(0, len(entries), _TOKENISED_AT_ONCE):
        part = entries[start : start + _TOKENISED_AT_ONCE]
        prompts = [_prompt(entry, policy) for entry in part]
        responses = template.encode_responses(
            tokenizer, [(entry.example.thinking, entry.example.answer) for entry in part]
        )
        for entry, prompt, response in zip(part, prompts, responses, strict=True):
            if isinstance(prompt, str):
                yield entry, prompt
                continue
            spans: tuple[Span, ...] = ()
            if entry.example.steps or entry.example.tool_calls:
                found = _conversation(entry.example, response, policy, end)
                if isinstance(found, str):
                    yield entry, found
                    continue
                ids, spans = found
                replies = [ids[start:stop] for start, stop in spans]
            elif isinstance(response, str):
                yield entry, response
                continue
            else:
                ids = [*response, end]
                replies = [ids]
            reason = _unlearnable(prompt, replies, len(ids), policy, max_tokens)
            yield (
                entry,
                reason
                or EncodedExample(
                    id=entry.example.id,
                    source=entry.source,
                    domain=entry.example.domain,
                    prompt=np.array(prompt, np.int32),
                    response=np.array(ids, np.int32),
                    spans=spans,
                ),
            )


def _conversation(
    example: Example, last: list[int] | str, policy: Policy, end: int
) -> tuple[list[int], tuple[Span, ...]] | str:
    """The ids of all turns after the prompt, as a rollout with these calls and results has them, and where the learnt
    ones stand; `last` are those of the answer. A text where there are none."""
    template, tokenizer, tools = policy.template, policy.tokenizer, example.tools
    ids: list[int] = []
    spans: list[Span] = []
    try:
        for step in example.steps:
            turn = [*_turn(step, policy, tools), end]
            if step.learnt:
                spans.append((len(ids), len(ids) + len(turn)))
            ids += [*turn, *template.encode_answer(tokenizer, step.results, tools=tools, stop=end)]
        if example.tool_calls:
            reply = Message(role="assistant", content=example.answer, tool_calls=example.tool_calls)
            last = template.encode_calls(tokenizer, example.thinking, reply, tools)
    except DataError as error:
        return str(error)
    if isinstance(last, str):
        return last
    spans.append((len(ids), len(ids) + len(last) + 1))
    return [*ids, *last, end], tuple(spans)


def _turn(step: Step, policy: Policy, tools: Sequence[Tool]) -> list[int]:
    """The ids of a turn on the way; DataError where it cannot be written."""
    if step.tool_calls:
        reply = Message(role="assistant", content=step.content, tool_calls=step.tool_calls)
        return policy.template.encode_calls(policy.tokenizer, step.thinking, reply, tools)
    (found,) = policy.template.encode_responses(policy.tokenizer, [(step.thinking, step.content)])
    if isinstance(found, str):
        raise DataError(found)
    return found


def _prompt(entry: SourcedExample, policy: Policy) -> tuple[int, ...] | str:
    """The ids of the prompt, or why there are none."""
    try:
        return policy.template.encode(policy.tokenizer, entry.example.messages, tools=entry.example.tools)
    except DataError as error:  # the tokenizer's chat template refuses the conversation, too
        return str(error)


def _unlearnable(
    prompt: Sequence[int], replies: Sequence[Sequence[int]], tokens: int, policy: Policy, max_tokens: int
) -> str:
    """Why replies, each with its end token, that stand among `tokens` after the prompt cannot be learnt; or nothing."""
    tokenizer = policy.tokenizer
    for reply in replies:
        if early := policy.stop_ids.intersection(reply[:-1]):
            return f"its response holds the end token {tokenizer.decode(min(early))!r}, so it would end early"
        if tokenizer.unk_token_id is not None and tokenizer.unk_token_id in reply[:-1]:
            return f"its response holds what the tokenizer has no token for ({tokenizer.unk_token!r})"
    length = len(prompt) + tokens
    return f"{length:,} tokens, more than max_tokens {max_tokens:,}" if length > max_tokens else ""


def hold_back(
    encoded: EncodedExamples, share: float, limit: int, seed: int
) -> tuple[EncodedExamples, tuple[EncodedExample, ...]]:
    """Examples to train on, and about `share` of them, at most `limit`, held back for the validation loss.

    Whole prompts are held back, so that no other response to them is trained on, in an order drawn from `seed` and the
    prompt alone. A source keeps at least one example; where that leaves none to hold back, there are none.
    """
    wanted = min(limit, max(1, round(share * len(encoded.examples)))) if share > 0 else 0
    prompts: dict[bytes, list[int]] = {}
    for place, example in enumerate(encoded.examples):
        prompts.setdefault(example.prompt.tobytes(), []).append(place)
    left, held = dict(encoded.sizes), set[int]()
    for prompt in sorted(prompts, key=lambda prompt: derive_seed("held back", seed, prompt.hex())):
        places = prompts[prompt]
        taken = {name: sum(encoded.examples[i].source == name for i in places) for name in left}
        if len(held) + len(places) <= wanted and all(left[name] > count for name, count in taken.items()):
            held.update(places)
            left = {name: left[name] - count for name, count in taken.items()}
    kept = tuple(example for place, example in enumerate(encoded.examples) if place not in held)
    return replace(encoded, examples=kept, sizes=left), tuple(encoded.examples[place] for place in sorted(held))


def show_mask(sample: Sample, tokenizer: PreTrainedTokenizerBase) -> tuple[str, ...]:
    """What is read and what is learnt of a sample, decoded from the very ids the trainer gets."""
    *body, end = sample.learnt_ids
    return (
        f"read, {len(sample.prompt_ids):,} tokens: {_decoded(sample.prompt_ids, tokenizer)!r}",
        f"learnt, {len(body):,} tokens: {_decoded(body, tokenizer)!r}",
        f"learnt, the end token: {tokenizer.decode([end])!r} ({end})",
    )


def _decoded(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> str:
    if len(ids) <= _SHOWN_TOKENS:
        return str(tokenizer.decode(list(ids)))
    half = _SHOWN_TOKENS // 2
    head, tail = (str(tokenizer.decode(list(part))) for part in (ids[:half], ids[-half:]))
    return f"{head} [... {len(ids) - 2 * half:,} tokens ...] {tail}"
