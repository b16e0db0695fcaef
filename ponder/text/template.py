"""The template: how messages become a prompt and a completion becomes a response.

One object holds everything about the form of the text (the words around each turn, the prefill, the tags, the ends),
is saved beside the model as `ponder_template.json`, and is used alike by sampling, rewards, evaluation and training
on examples, so that they cannot disagree.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from ponder.errors import DataError, ModelError
from ponder.files import write_json
from ponder.records import Message
from ponder.text.chat import chat_end, chat_prompt
from ponder.text.clock import moment
from ponder.text.control import Control, chat_source, control_of
from ponder.text.think import Response, ThinkParser

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedTokenizerBase

__all__ = ["TEMPLATES", "TEMPLATE_FILE", "Template", "template_for"]

TEMPLATE_FILE = "ponder_template.json"
_VERSION = 1
_HALF = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True)
class Template:
    """The form of prompts and completions. Example: TEMPLATES["r1-zero"].

    A prompt is `opening`, then per turn its content between the texts declared for its role, then `prefill`: the
    beginning of what the model would write, which it is given for free and which rewards see as if it had written it.
    """

    name: str
    opening: str = ""
    before_user: str = "User: "
    after_user: str
    before_assistant: str = ""
    after_assistant: str
    prefill: str = ""
    end: tuple[str, ...] = ()
    """Tokens that end a turn, where the tokenizer knows them."""
    answer_tags: bool
    """Whether the answer stands in `<answer>` tags after the thinking."""
    chat: bool
    """Whether the tokenizer's own chat template, if it has one, takes the place of the words around the turns, and
    whether earlier assistant turns lose their thinking."""

    thinking: bool = True
    """Whether a response begins with a thought between think tags; without, all of it is the answer."""
    clock: str | None = None
    """The time that a chat template which writes the date is told, in ISO 8601; None where it writes none."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    def render(self, messages: Sequence[Message]) -> str:
        """The prompt in the template's own words, prefill included. A system message stands before the user turn that
        follows it, and user turns without a reply between them are one. Raises DataError unless the first message of
        user and assistant is a user's, and the last."""
        return self._rendered(self._history(messages)) + self.prefill

    def encode(
        self, tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], *, prefill: bool = True
    ) -> tuple[int, ...]:
        """The ids of the prompt, up to where the model goes on, or without `prefill` to where the reply begins. A begin
        token stands first where the tokenizer puts one, an end token never last.

        What the messages say is ordinary text, whatever it spells; the template's own words alone are control tokens.
        Raises DataError or ModelError for what the tokenizer's chat template refuses or does not render as it should.
        """
        turns = self._history(messages)
        control = self._control(tokenizer)
        guarded = control.guard([turn.content for turn in turns], [self._keeps_tags(turn) for turn in turns])
        turns = [replace(turn, content=text) for turn, text in zip(turns, guarded.texts, strict=True)]
        opening = self.prefill if prefill else ""
        if self._uses_chat_template(tokenizer):
            stands = moment() if self.clock is None else datetime.fromisoformat(self.clock)
            text = chat_prompt(tokenizer, turns, prefill=self.prefill, thinking=self.thinking, clock=stands)
            return tuple(control.encode(text + opening, guarded))
        ids = control.encode(self._rendered(turns) + opening, guarded)
        begin = tokenizer.bos_token_id
        if begin is not None and tokenizer.encode("", add_special_tokens=True)[:1] == [begin] != ids[:1]:
            ids = [begin, *ids]
        return tuple(ids)

    def encode_responses(
        self, tokenizer: PreTrainedTokenizerBase, responses: Sequence[tuple[str | None, str]]
    ) -> list[list[int] | str]:
        """The ids of what `compose` makes of each thinking and answer, or why it makes nothing of it: those a model
        samples when it writes the same. Tokens that stand between turns are ordinary text in it, as in prompts."""
        control = self._control(tokenizer)
        found: list[list[int] | str] = []
        ordinary: dict[int, str] = {}
        for number, (thinking, answer) in enumerate(responses):
            try:
                text = self.compose(thinking, answer)
                guarded = control.guard([thinking or "", answer], [True, True])
                if guarded.typed or guarded.edges:
                    thinking, answer = (one.strip() for one in guarded.texts)
                    found.append(control.encode(self._written(thinking, answer).removeprefix(self.prefill), guarded))
                else:
                    ordinary[number] = text
                    found.append("")
            except DataError as error:
                found.append(str(error))
        if ordinary:  # all at once, which is many times faster
            encoded = tokenizer(list(ordinary.values()), add_special_tokens=False).input_ids
            for number, ids in zip(ordinary, encoded, strict=True):
                found[number] = ids
        return found

    def encode_reply(self, tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
        """The ids of a whole reply as somebody wrote it: what models write themselves are tokens, any other control
        token in it is text."""
        control = self._control(tokenizer)
        guarded = control.guard([text], [True])
        return control.encode(guarded.texts[0], guarded)

    def dated(self, tokenizer: PreTrainedTokenizerBase) -> Template:
        """This template, with the clock as it stands where the tokenizer's chat template writes the date: whoever uses
        the model later reads the prompts it was trained on."""
        asks = self._uses_chat_template(tokenizer) and "strftime_now" in chat_source(tokenizer)
        return replace(self, clock=moment().isoformat(timespec="seconds")) if asks and self.clock is None else self

    def compose(self, thinking: str | None, answer: str) -> str:
        """What an assistant that had this thinking and answer would have written after the prompt, its prefill left
        out and no end token put after it; without thinking the block of thinking is empty. `split` gives both back,
        without the blanks around them. Raises DataError for texts it would not: an empty answer, or tags inside."""
        thinking, answer = (thinking or "").strip(), answer.strip()
        if thinking and not self.thinking:
            raise DataError(
                f"A response cannot be written in template {self.name!r}, which has no place for its thinking "
                f"{thinking[:80]!r}. Set `template: r1`, or leave the thinking out of the data."
            )
        text = self._written(thinking, answer)
        if not text.startswith(self.prefill):
            raise ModelError(
                f"Template {self.name!r} puts {self.prefill!r} before what the model writes, but a response begins "
                f"with {text[: len(self.prefill)]!r}. Set `prefill` in {TEMPLATE_FILE} to a beginning of it, or name "
                f"one of {_names()} in the recipe."
            )
        completion = text.removeprefix(self.prefill)
        found = self.split(completion)
        if not found.well_formed or (found.thinking or "", found.answer) != (thinking, answer):
            reason = found.problem or "its tags end it early"
            raise DataError(
                f"A response cannot be written in template {self.name!r}: {reason}. Expected an answer, and neither in "
                f"it nor in the thinking any of the template's own tags."
            )
        return completion

    def parser(self) -> ThinkParser:
        """A parser for one completion that has seen the prefill; feed it what the model writes."""
        parser = ThinkParser(answer_tags=self.answer_tags, think_tags=self.thinking)
        parser.feed(self.prefill)
        return parser

    def split(self, completion: str, *, finished: bool = True) -> Response:
        """The completion, prefill put before it, taken apart. `finished=False`: it was cut at the length limit, so that
        an answer without closing tag counts as none."""
        parser = self.parser()
        parser.feed(completion)
        return parser.close(finished=finished)

    def stop_ids(
        self, tokenizer: PreTrainedTokenizerBase, generation_config: GenerationConfig | None = None
    ) -> frozenset[int]:
        """Every id that ends a completion: the ends that the generation configuration, the tokenizer and this template
        declare, and the one that the tokenizer's chat template writes. Raises ModelError where there is none.

        The pad id is not among them, even if the configuration lists it, with one exception: a tokenizer whose only
        end, or whose own end token, is also its pad token keeps it as an end. Padding must therefore be told from
        ends by length, never by id.
        """
        vocabulary = tokenizer.get_vocab()
        stops = {vocabulary[token] for token in self.end if token in vocabulary}
        stops.update(_ids(tokenizer.eos_token_id), _ids(self._written_end(tokenizer)))
        if generation_config is not None:
            stops.update(_ids(generation_config.eos_token_id))
        pad = tokenizer.pad_token_id
        if pad in stops and pad != tokenizer.eos_token_id and len(stops) > 1:
            stops.remove(pad)
        if not stops:
            own = f"knows none of those of template {self.name!r} ({', '.join(self.end)})"
            raise ModelError(
                f"The model has a tokenizer without end token: neither the tokenizer nor the generation configuration "
                f"declares one, and {f'the tokenizer {own}' if self.end else f'template {self.name!r} has none'}. "
                f"Nothing could end a completion. Set `eos_token` in the model's tokenizer_config.json, or "
                f"`eos_token_id` in its generation_config.json."
            )
        return frozenset(stops)

    def end_id(self, tokenizer: PreTrainedTokenizerBase, generation_config: GenerationConfig | None = None) -> int:
        """The stop id to put after a response that is learnt from: the one that the tokenizer's chat template writes
        there, else the tokenizer's own end token where the template declares it too, else the first that the template
        declares and the tokenizer knows (a base model's own ends a document, the declared one a turn), else the
        tokenizer's own. Raises ModelError as `stop_ids` does."""
        stops, vocabulary = self.stop_ids(tokenizer, generation_config), tokenizer.get_vocab()
        declared = [vocabulary[token] for token in self.end if vocabulary.get(token) in stops]
        own = _ids(tokenizer.eos_token_id)
        written = [one for one in _ids(self._written_end(tokenizer)) if one in stops]
        return [*written, *(one for one in own if one in declared), *declared, *own, *sorted(stops)][0]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values with the version of this form."""
        fields = asdict(self)
        usual = {"thinking": True, "clock": None}  # fields that came later are written where they say something
        return {"version": _VERSION} | {k: v for k, v in fields.items() if k not in usual or v != usual[k]}

    @classmethod
    def from_json(cls, value: object, where: str = "template") -> Template:
        """The template that `to_json` turned into `value`; ModelError naming `where` for anything else."""
        if not isinstance(value, dict):
            raise ModelError(f"{where} is not a template: expected a JSON object, got {type(value).__name__}.")
        version = value.get("version")
        if type(version) is not int or version < 1:
            raise ModelError(f"{where} has version {version!r}; expected a whole number from 1 to {_VERSION}.")
        if version > _VERSION:
            raise ModelError(
                f"{where} has version {version}, but this ponder reads templates up to version {_VERSION}. Update "
                f"ponder, or name a template in the recipe."
            )
        fields = {name: content for name, content in value.items() if name != "version"}
        try:
            return TypeAdapter(cls).validate_json(json.dumps(fields))
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise ModelError(
                f"{where} is not a template of version {version}: {faults}. Save the model again with this ponder, or "
                f"name a template in the recipe."
            ) from error

    def save(self, folder: str | Path) -> Path:
        """Write `ponder_template.json` into the model's folder and return its path."""
        path = Path(folder) / TEMPLATE_FILE
        write_json(path, self.to_json())
        return path

    @classmethod
    def load(cls, folder: str | Path) -> Template:
        """The template saved in a model's folder; ModelError where there is none or it is damaged."""
        path = Path(folder) / TEMPLATE_FILE
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ModelError(
                f"Model {str(folder)!r} has no {TEMPLATE_FILE}, so its prompt form is not known. Name one: "
                f"`template` in a recipe, --template at the command line, of {_names()}."
            ) from error
        except (OSError, ValueError) as error:
            raise ModelError(f"{path} cannot be read as JSON ({error}). Save the model again.") from error
        return cls.from_json(value, where=str(path))

    def _history(self, messages: Sequence[Message]) -> list[Message]:
        """The messages to render: in a chat, earlier assistant turns without their thinking."""
        if not messages or messages[-1].role != "user":
            got = messages[-1].role if messages else "no message at all"
            raise DataError(f"A prompt must end with a user's message so that the model can reply, got {got!r}.")
        for message in messages:
            if _HALF.search(message.content):
                raise DataError(
                    f"The {message.role}'s message holds half of a surrogate pair, which is no text: "
                    f"{message.content[:80]!r}. Expected Unicode text: give it in UTF-8."
                )
        return [_without_thinking(m) if self.chat and m.role == "assistant" else m for m in messages]

    def _rendered(self, turns: Sequence[Message]) -> str:
        if next(turn.role for turn in turns if turn.role != "system") == "assistant":
            raise DataError(
                f"A conversation begins with an assistant's turn, and template {self.name!r} writes only replies to a "
                f"user. Begin with a user's turn, or leave such conversations out of the data."
            )
        text = self.opening
        said: list[str] = []
        for place, turn in enumerate(turns):
            if turn.role == "assistant":
                text += self.before_assistant + turn.content + self.after_assistant
                continue
            said.append(turn.content)
            following = (later.role for later in turns[place + 1 :] if later.role != "system")
            if turn.role == "user" and next(following, None) != "user":
                text += self.before_user + "\n\n".join(said) + self.after_user
                said = []
        return text

    def _written(self, thinking: str, answer: str) -> str:
        """A whole response, whatever the prompt gives for free."""
        if not self.thinking:
            body = answer
        elif self.answer_tags:
            body = f"<think>{thinking}</think> <answer>{answer}</answer>"
        else:
            body = f"<think>\n{thinking}\n</think>\n\n{answer}"
        return self.before_assistant + body

    def _keeps_tags(self, turn: Message) -> bool:
        """Whether the tags in a turn are the template's: those of a whole response of the assistant, in its form."""
        if self.chat or turn.role != "assistant":
            return False
        parser = ThinkParser(answer_tags=self.answer_tags)
        parser.feed(turn.content)
        return parser.close().well_formed

    def _uses_chat_template(self, tokenizer: PreTrainedTokenizerBase) -> bool:
        return self.chat and bool(chat_source(tokenizer))

    def _written_end(self, tokenizer: PreTrainedTokenizerBase) -> int | None:
        """The token that the tokenizer's chat template puts right after a reply, if it does."""
        if not self._uses_chat_template(tokenizer):
            return None
        return self._control(tokenizer).first(chat_end(tokenizer, thinking=self.thinking, clock=moment()))

    def _control(self, tokenizer: PreTrainedTokenizerBase) -> Control:
        return control_of(tokenizer, self.end)


def _without_thinking(message: Message) -> Message:
    """What stands after the last closing tag; thinking that never ended is dropped whole."""
    spoken = message.content.rpartition("</think>")[2].partition("<think>")[0]
    return Message(role="assistant", content=spoken.strip())


def _ids(value: int | Iterable[int] | None) -> list[int]:
    if value is None:
        return []
    return [value] if isinstance(value, int) else list(value)


_ZERO = Template(
    name="r1-zero",
    opening=(
        "A conversation between User and Assistant. The user asks a question, and the Assistant solves it. The "
        "assistant first thinks about the reasoning process in the mind and then provides the user with the answer. "
        "The reasoning process and answer are enclosed within <think> </think> and <answer> </answer> tags, "
        "respectively, i.e., <think> reasoning process here </think> <answer> answer here </answer>. "
    ),
    after_user=". Assistant:",
    before_assistant=" ",
    after_assistant=" ",
    answer_tags=True,
    chat=False,
)
_R1 = Template(
    name="r1",
    after_user="\n\nAssistant: ",
    after_assistant="\n\n",
    prefill="<think>\n",
    end=("<｜end▁of▁sentence｜>", "<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<end_of_turn>"),
    answer_tags=False,
    chat=True,
)
_PLAIN = replace(_R1, name="plain", prefill="", thinking=False)
TEMPLATES: dict[str, Template] = {template.name: template for template in (_ZERO, _R1, _PLAIN)}
"""The templates that ship: the paper's R1-Zero text word for word (table 1), R1's chat form, and a chat without tags,
for models that answer without thinking."""


def _names() -> str:
    return ", ".join(TEMPLATES)


def template_for(folder: str | Path, override: str | None = None) -> Template:
    """The template named `override`, or the one saved in the model's folder where it is None. ModelError if there is
    no such template."""
    if override is None:
        return Template.load(folder)
    if override not in TEMPLATES:
        near = difflib.get_close_matches(override, TEMPLATES, n=1, cutoff=0.0)
        raise ModelError(f"There is no template {override!r}; did you mean {near[0]!r}? Known: {_names()}.")
    return TEMPLATES[override]
