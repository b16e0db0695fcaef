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
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from ponder.errors import DataError, ModelError
from ponder.files import write_json
from ponder.records import Message, Tool
from ponder.text.calls import FORMS, CallForm, Reading
from ponder.text.chat import chat_end, chat_prompt
from ponder.text.chat_tools import chat_answer, chat_calls, chat_reply
from ponder.text.clock import moment
from ponder.text.control import Control, Guarded, chat_source, control_of
from ponder.text.copied import examples_in, is_copy, words_of
from ponder.text.think import Response, ThinkParser
from ponder.text.tools import check_calls, plain, texts_of, with_texts

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedTokenizerBase

__all__ = ["TEMPLATES", "TEMPLATE_FILE", "Template", "begin_id", "template_for"]

TEMPLATE_FILE = "ponder_template.json"
_VERSION = 1
_WITH_ANSWER_TAGS = ("<think>", "</think> <answer>", "</answer>")
_WITHOUT = ("<think>\n", "\n</think>\n\n", "")
_FIRST_THOUGHT = re.compile(r"\A\s*(<think>.*?(</think>|\Z)|</think>)", re.DOTALL)
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
        self,
        tokenizer: PreTrainedTokenizerBase,
        messages: Sequence[Message],
        *,
        prefill: bool = True,
        tools: Sequence[Tool] = (),
    ) -> tuple[int, ...]:
        """The ids of the prompt, up to where the model goes on, or without `prefill` to where the reply begins. A begin
        token stands first where the tokenizer puts one, an end token never last.

        What the messages say is ordinary text, whatever it spells; the template's own words alone are control tokens.
        `tools`, calls and results stand in the form of the tokenizer's chat template where it has one, else in
        ponder's. Raises DataError or ModelError for what the tokenizer's chat template refuses or does not render as it
        should.
        """
        control, guarded, turns, known = self._guarded(tokenizer, self._history(messages), tools)
        opening = self.prefill if prefill else ""
        if self.uses_chat_template(tokenizer):
            text = chat_prompt(
                tokenizer, turns, prefill=self.prefill, thinking=self.thinking, clock=self._stands(), tools=known
            )
            return tuple(control.encode(text + opening, guarded))
        ids = control.encode(self._rendered(turns) + opening, guarded)
        begin = begin_id(tokenizer)
        return tuple(ids if begin is None or ids[:1] == [begin] else [begin, *ids])

    def encode_answer(
        self,
        tokenizer: PreTrainedTokenizerBase,
        answers: Sequence[Message],
        *,
        tools: Sequence[Tool] = (),
        stop: int | None = None,
    ) -> tuple[int, ...]:
        """The ids between a reply and the next one, where `answers` are what the first is answered with: a result for
        each of its calls, or turns of a user. Ids of the prompt, of the reply with its stop id, and these are the next
        prompt, so that nothing that was sampled is ever read from text again. `stop` is the stop id that the reply
        ended with, in place of the one that the template would write."""
        if not answers or any(answer.role not in ("tool", "user") for answer in answers):
            raise DataError(
                f"A reply is answered with {[answer.role for answer in answers]}; expected messages of the roles "
                f"'tool' and 'user', at least one."
            )
        for answer in answers:
            _check_text(answer)
        control, guarded, turns, known = self._guarded(tokenizer, answers, tools, declares=False)
        if self.uses_chat_template(tokenizer):
            text = chat_answer(
                tokenizer, turns, prefill=self.prefill, thinking=self.thinking, clock=self._stands(), tools=known
            )
        else:
            words = "\n\n".join(turn.content for turn in turns)
            text = self.after_assistant + self.before_user + words + self.after_user
        ids = control.encode(text + self.prefill, guarded)
        return tuple(ids[1:] if stop is not None and ids[:1] == [self._written_end(tokenizer)] else ids)

    def call_form(self, tokenizer: PreTrainedTokenizerBase) -> CallForm:
        """The form in which this model writes calls: its chat template's, else ponder's."""
        return self._own_calls(tokenizer) or FORMS["tags"]

    def read_calls(self, tokenizer: PreTrainedTokenizerBase, spoken: str, tools: Sequence[Tool] = ()) -> Reading:
        """The calls in what a reply says after its thinking (`spoken`), well formed or not."""
        return self.call_form(tokenizer).read(spoken, tools)

    def spoken(self, completion: str) -> str:
        """What stands after the thinking, the template's own tags included; "" where the thinking never ends."""
        text = self.prefill + completion
        return _spoken(text) if self.thinking else _FIRST_THOUGHT.sub("", text)

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

    def encode_calls(
        self, tokenizer: PreTrainedTokenizerBase, thinking: str | None, reply: Message, tools: Sequence[Tool] = ()
    ) -> list[int]:
        """The ids of a reply that calls tools, as `encode_responses` makes those of one that answers. DataError where
        its calls could not be read back."""
        thinking = (thinking or "").strip()
        if thinking and not self.thinking:
            raise DataError(
                f"A reply cannot be written in template {self.name!r}, which has no place for its thinking."
            )
        control = self._control(tokenizer)
        texts = texts_of([reply], tools)
        guarded = control.guard([thinking, *texts], [True, True, *[False] * (len(texts) - 1)])
        (turn,), known = with_texts([reply], tools, guarded.texts[1:])
        if self._own_calls(tokenizer) is None:
            body = plain([turn], ())[0].content
        else:
            body = chat_reply(tokenizer, turn, thinking=self.thinking, clock=self._stands(), tools=known)
        text = self.before_assistant + self._thought(guarded.texts[0]) + body
        completion = guarded.restore(text).removeprefix(self.prefill)
        reading = self.read_calls(tokenizer, self.spoken(completion), tools)
        found = [(call.name, call.values) for call in reading.calls]
        if reading.faults or found != [(call.name, call.values) for call in reply.tool_calls]:
            raise DataError(
                f"A reply with the calls {[call.name for call in reply.tool_calls]} cannot be written in template "
                f"{self.name!r}: what is read back of it is {found}. Expected calls that the text beside them does not "
                f"change."
            )
        return control.encode(text.removeprefix(self.prefill), guarded)

    def encode_reply(self, tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
        """The ids of a whole reply as somebody wrote it: what models write themselves are tokens, any other control
        token in it is text."""
        control = self._control(tokenizer)
        guarded = control.guard([text], [True])
        return control.encode(guarded.texts[0], guarded)

    def dated(self, tokenizer: PreTrainedTokenizerBase) -> Template:
        """This template, with the clock as it stands where the tokenizer's chat template writes the date: whoever uses
        the model later reads the prompts it was trained on."""
        asks = self.uses_chat_template(tokenizer) and "strftime_now" in chat_source(tokenizer)
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

    def parser(self, *, strict: bool = True) -> ThinkParser:
        """A parser for one completion that has seen the prefill; feed it what the model writes. One that is not
        `strict` takes all that follows the first thought for the answer."""
        parser = ThinkParser(answer_tags=self.answer_tags, think_tags=self.thinking, strict=strict)
        parser.feed(self.prefill)
        return parser

    def split(self, completion: str, *, finished: bool = True) -> Response:
        """The completion, prefill put before it, taken apart. `finished=False`: it was cut at the length limit, so that
        an answer without closing tag counts as none. Thinking or an answer that only repeats the template's own words
        is not well formed."""
        parser = self.parser()
        parser.feed(completion)
        response = parser.close(finished=finished)
        own, examples = self._own_words
        copied: list[Literal["thinking", "answer"]] = []
        if response.thinking and is_copy(response.thinking, examples.get("think"), own):
            copied.append("thinking")
        if response.answer and is_copy(response.answer, examples.get("answer")):
            copied.append("answer")
        if not copied:
            return response
        problem = response.problem or f"the template's own words stand as the {' and the '.join(copied)}"
        return replace(response, well_formed=False, problem=problem, copied=tuple(copied))

    @property
    def example(self) -> tuple[str, str] | None:
        """Thinking and answer by which the template shows the form, where it does."""
        _, found = self._own_words
        return (" ".join(found["think"]), " ".join(found["answer"])) if found.keys() >= {"think", "answer"} else None

    @cached_property
    def _own_words(self) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
        """What the template says by itself before the question, and the examples of the form in it."""
        return words_of(self.opening), examples_in(self.opening)

    def stop_ids(
        self, tokenizer: PreTrainedTokenizerBase, generation_config: GenerationConfig | None = None
    ) -> frozenset[int]:
        """Every id that ends a completion: the ends that the generation configuration, the tokenizer and this template
        declare, and the one that the tokenizer's chat template writes. Raises ModelError where there is none.

        The pad id is among them where the configuration lists it, as of Qwen's instruct models, where it is the
        tokenizer's own end token, and where there is no other end. Padding must therefore be told from ends by length,
        never by id.
        """
        vocabulary = tokenizer.get_vocab()
        stops = {vocabulary[token] for token in self.end if token in vocabulary}
        stops.update(_ids(tokenizer.eos_token_id), _ids(self._written_end(tokenizer)))
        listed = _ids(generation_config.eos_token_id) if generation_config is not None else []
        pad = tokenizer.pad_token_id
        if pad in stops and pad != tokenizer.eos_token_id and len(stops.union(listed)) > 1:
            stops.remove(pad)
        stops.update(listed)
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
        others = sorted(stops, key=lambda one: (one == tokenizer.pad_token_id, one))
        return [*written, *(one for one in own if one in declared), *declared, *own, *others][0]

    def uses_chat_template(self, tokenizer: PreTrainedTokenizerBase) -> bool:
        """Whether the tokenizer's chat template writes the words around the turns."""
        return self.chat and bool(chat_source(tokenizer))

    @property
    def marks(self) -> tuple[str, str, str] | None:
        """What stands before a thought, between it and the answer, and behind; None where replies do not think."""
        if not self.thinking:
            return None
        return (
            ("<think>", "</think> <answer>", "</answer>") if self.answer_tags else ("<think>\n", "\n</think>\n\n", "")
        )

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
        if not messages or messages[-1].role not in ("user", "tool"):
            got = messages[-1].role if messages else "no message at all"
            raise DataError(
                f"A prompt must end with a user's message, or the result of a tool, so that the model can reply, got "
                f"{got!r}."
            )
        for message in messages:
            _check_text(message)
        check_calls(messages)
        return [_without_thinking(m) if self.chat and m.role == "assistant" else m for m in messages]

    def _guarded(
        self,
        tokenizer: PreTrainedTokenizerBase,
        messages: Sequence[Message],
        tools: Sequence[Tool],
        declares: bool = True,
    ) -> tuple[Control, Guarded, list[Message], list[Tool]]:
        """The conversation with its words guarded, in ponder's form where the tokenizer's chat template has none for
        tools: then `declares` says whether the first turn tells what they are."""
        control = self._control(tokenizer)
        replies = [self.keeps_tags(message) for message in messages]
        if not tools and not any(message.tool_calls or message.role == "tool" for message in messages):
            guarded = control.guard([message.content for message in messages], replies)
            return control, guarded, *with_texts(messages, (), guarded.texts)
        texts = texts_of(messages, tools)
        spoken = [
            keeps and place == 0
            for message, keeps in zip(messages, replies, strict=True)
            for place in range(len(texts_of([message], ())))
        ]
        guarded = control.guard(texts, [*spoken, *[False] * (len(texts) - len(spoken))])
        turns, known = with_texts(messages, tools, guarded.texts)
        if self._own_calls(tokenizer) is not None:
            return control, guarded, turns, known
        return control, guarded, plain(turns, known if declares else ()), []

    def _own_calls(self, tokenizer: PreTrainedTokenizerBase) -> CallForm | None:
        if not self.uses_chat_template(tokenizer):
            return None
        return chat_calls(tokenizer, chat_source(tokenizer), self.thinking, self._stands())

    def _stands(self) -> datetime:
        return moment() if self.clock is None else datetime.fromisoformat(self.clock)

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
        before, between, behind = self.marks or ("", "", "")
        return self.before_assistant + before + (thinking if self.marks else "") + between + answer + behind

    def _thought(self, thinking: str) -> str:
        """What stands before a call that follows this thinking, in place of an answer."""
        before, between, _ = self.marks or ("", "", "")
        return before + (thinking if self.marks else "") + between.removesuffix("<answer>")

    def keeps_tags(self, turn: Message) -> bool:
        """Whether the tags in a turn are the template's: those of a whole response of the assistant, in its form."""
        if self.chat or turn.role != "assistant":
            return False
        parser = ThinkParser(answer_tags=self.answer_tags)
        parser.feed(turn.content + ("<answer>...</answer>" if turn.tool_calls else ""))  # calls stand where it would
        return parser.close().well_formed

    def _written_end(self, tokenizer: PreTrainedTokenizerBase) -> int | None:
        """The token that the tokenizer's chat template puts right after a reply, if it does."""
        if not self.uses_chat_template(tokenizer):
            return None
        return self._control(tokenizer).first(chat_end(tokenizer, thinking=self.thinking, clock=moment()))

    def _control(self, tokenizer: PreTrainedTokenizerBase) -> Control:
        return control_of(tokenizer, self.end)


def _check_text(message: Message) -> None:
    for text in texts_of([message], ()):
        if _HALF.search(text):
            raise DataError(
                f"The {message.role}'s message holds half of a surrogate pair, which is no text: {text[:80]!r}. "
                f"Expected Unicode text: give it in UTF-8."
            )


def begin_id(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The token that the tokenizer itself puts before a text, if it does."""
    begin = tokenizer.bos_token_id
    assert begin is None or isinstance(begin, int)
    return begin if begin is not None and tokenizer.encode("", add_special_tokens=True)[:1] == [begin] else None


def _without_thinking(message: Message) -> Message:
    return replace(message, content=_spoken(message.content).strip())


def _spoken(text: str) -> str:
    """What stands after the last closing tag; thinking that never ended is dropped whole."""
    return text.rpartition("</think>")[2].partition("<think>")[0]


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
