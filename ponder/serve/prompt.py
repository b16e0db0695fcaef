"""Requests become jobs: messages to ids by the model's own template, defaults filled in, limits checked."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from ponder.errors import DataError, PonderError
from ponder.files import read_json
from ponder.policy.voice import Voice
from ponder.recipe.serve import ServeConfig
from ponder.records import Tool
from ponder.rollout.drawing import Drawing
from ponder.rollout.engine import Job
from ponder.rollout.guide import Bias, GuideMaker
from ponder.seeds import derive_seed
from ponder.serve.fault import Fault, fault_of
from ponder.serve.history import messages_of
from ponder.serve.wire import ChatRequest, Sampled, Turn

__all__ = ["Defaults", "Prompt", "chat_prompt", "job_of", "model_defaults"]

_TEMPERATURE, _TOP_P = 0.6, 0.95  # R1 v2, section 3
_EMPTY = "\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What holds where a request says nothing."""

    temperature: float
    top_p: float
    top_k: int = 0
    min_p: float = 0.0


def model_defaults(config: ServeConfig, folder: Path) -> Defaults:
    """As the configuration says, else the model's own generation config, else as R1 is sampled."""
    file = folder / "generation_config.json"
    said = read_json(file) if file.is_file() else {}

    def of(name: str, usual: float) -> float:
        value = said.get(name)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else usual

    return Defaults(
        temperature=config.temperature if config.temperature is not None else of("temperature", _TEMPERATURE),
        top_p=config.top_p if config.top_p is not None else of("top_p", _TOP_P),
        top_k=max(int(of("top_k", 0)), 0),
        min_p=of("min_p", 0.0),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A prompt in ids. `opening` is text of the reply that the prompt holds already, beyond the template's prefill: the
    end of an empty thought. The first `public_tokens` are the same for all who ask."""

    ids: tuple[int, ...]
    opening: str
    public_tokens: int


def chat_prompt(voice: Voice, turns: Sequence[Turn], *, thinks: bool, tools: Sequence[Tool] = ()) -> Prompt:
    """The prompt of a conversation. Without thinking it ends with an empty thought, so that the answer comes next.

    Raises Fault for a conversation that the template does not take.
    """
    messages = messages_of(turns)
    try:
        ids = voice.template.encode(voice.tokenizer, messages, tools=tools)
        opening = "" if thinks else _empty_thought(voice)
        return Prompt(
            ids=(*ids, *voice.template.encode_reply(voice.tokenizer, opening)) if opening else ids,
            opening=opening,
            public_tokens=_public_tokens(voice, ids),
        )
    except DataError as error:
        raise Fault(400, str(error), param="messages") from None
    except PonderError as error:
        raise fault_of(error) from None


def _empty_thought(voice: Voice) -> str:
    """What a reply without thinking begins with, after the prefill."""
    if not voice.template.thinking:
        return ""
    return voice.template.compose(None, _EMPTY).partition(_EMPTY)[0]


def _public_tokens(voice: Voice, ids: Sequence[int]) -> int:
    """How many of the first tokens are the template's own."""
    opening = voice.template.opening
    if not opening:
        return 0
    own = _ids_of(voice.tokenizer, opening)
    shared = [a == b for a, b in zip(own, ids, strict=False)]
    return shared.index(False) if False in shared else len(shared)


@lru_cache(maxsize=4)
def _ids_of(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    return tuple(tokenizer(text, add_special_tokens=False).input_ids)


def job_of(
    request: Sampled,
    prompt: Prompt,
    voice: Voice,
    defaults: Defaults,
    config: ServeConfig,
    *,
    key: str,
    salt: str | None,
    owner: str,
    limit: int | None,
    guide: GuideMaker | None = None,
    thinking_tokens: int | None = None,
    samples: range | None = None,
) -> Job:
    """The job of a request. `limit` is what it says of the number of tokens, `thinking_tokens` of those of thinking;
    `samples` are the numbers of the completions that are wanted now, of all where it is None.

    A choice's random numbers depend on the seed, the prompt and its number, so that one seed sent with many prompts
    does not give correlated answers.
    """
    _refuse_impossible(request)
    choices = request.n or 1
    if choices > config.most_choices:
        raise Fault(400, f"n is {choices}, and at most {config.most_choices} completions may be asked for.", param="n")
    room = voice.window - len(prompt.ids)
    wanted = limit or config.max_tokens
    if room < 1 or (limit is not None and limit > room):
        tokens = f"{len(prompt.ids)} tokens" + (f" and asks for {limit} more" if limit is not None else "")
        raise Fault(
            400,
            f"The model's window is {voice.window} tokens, and the request has a prompt of {tokens}: shorten the "
            f"prompt{' or ask for fewer' if limit is not None else ''}.",
            param=request.said_in,
            code="context_length_exceeded",
        )
    numbers = range(choices) if samples is None else samples
    seed = request.seed if request.seed is not None else int.from_bytes(os.urandom(8), "big")
    return Job(
        prompt_ids=prompt.ids,
        seeds=tuple(derive_seed(seed, "serve", *prompt.ids, choice) for choice in numbers),
        max_tokens=min(wanted or room, room),
        key=key,
        drawing=Drawing(
            temperature=request.temperature if request.temperature is not None else defaults.temperature,
            top_p=request.top_p if request.top_p is not None else defaults.top_p,
            top_k=max(request.top_k if request.top_k is not None else defaults.top_k, 0),
            min_p=request.min_p if request.min_p is not None else defaults.min_p,
        ),
        stop_ids=frozenset() if request.ignore_eos else None,
        salt=salt,
        owner=owner,
        public_tokens=prompt.public_tokens if config.shared_preamble else 0,
        bias=_bias(request, voice),
        guide=guide,
        thinking_tokens=thinking_tokens,
        top=request.top,
    )


def _bias(request: Sampled, voice: Voice) -> Bias:
    """What it adds to the logits of which tokens; Fault for a name that is no token's id."""
    bias = []
    for name, value in (request.logit_bias or {}).items():
        digits = name.lstrip("0") or "0"
        many = len(digits) > len(str(len(voice.tokenizer)))  # which Python does not read where they are thousands
        if not (name.isascii() and name.isdigit()) or many or int(digits) >= len(voice.tokenizer):
            raise Fault(
                400,
                f"logit_bias names {name[:40]!r}; expected the ids of tokens, from 0 to {len(voice.tokenizer) - 1}.",
                param="logit_bias",
            )
        bias.append((int(digits), value))
    return tuple(bias)


def _refuse_impossible(request: Sampled) -> None:
    """Fault for a field that is known and cannot be done; values that ask for nothing are fine."""
    for name, nothing in (("frequency_penalty", 0), ("presence_penalty", 0), ("repetition_penalty", 1), ("best_of", 1)):
        value = getattr(request, name)
        if value not in (None, nothing):
            raise Fault(
                400, f"{name} {value} cannot be done here: leave it out.", param=name, code="unsupported_parameter"
            )
    if isinstance(request, ChatRequest) and request.top_logprobs and not request.logprobs:
        raise Fault(400, "top_logprobs stand beside the log-probs: ask for logprobs, too.", param="top_logprobs")
