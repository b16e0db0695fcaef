"""Putting kept responses into better form: one language, a solution or a summary after the thinking.

Facts of a response never change here on purpose; that they did not is for the keep rules, which are asked again.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from ponder.ask import Ask, Asker, Reply, ask_all
from ponder.curate.candidate import Candidate, Rejected
from ponder.curate.prompts import solution_prompt, summary_prompt, translation_prompt
from ponder.micro.phrases import translate
from ponder.recipe.sample import Rewrite
from ponder.records import CodeGold, Language, Message
from ponder.text.language import language_share

__all__ = ["ModelRewriter", "Rewriter", "RuleRewriter"]


class Rewriter(Protocol):
    """Anything that rewrites."""

    def rewrite(self, candidates: Sequence[Candidate]) -> list[Candidate | Rejected]:
        """Each candidate in new words, or why there are none. Verdicts are still those of the old words."""
        ...


_SUMMARY = "<answer>{}</answer>"
"""As the embedded base has read answers marked. Hundreds of examples of another mark, or of words before this one,
teach it to write them, but not to copy the result of the thinking behind them."""


class RuleRewriter:
    """Knows the phrases of the embedded world, which are the same in both languages, and no other words.

    Lines of the thinking that are such a phrase are said in the question's language; a line of other words in another
    language is left out. The summary marks the answer; programs and answers to general prompts stay bare.
    """

    def __init__(self, config: Rewrite) -> None:
        self._config = config

    def rewrite(self, candidates: Sequence[Candidate]) -> list[Candidate | Rejected]:
        """See `Rewriter`."""
        return [self._one(candidate) for candidate in candidates]

    def _one(self, candidate: Candidate) -> Candidate:
        response, problem = candidate.response, candidate.problem
        thinking, answer = response.thinking, response.answer
        if self._config.language and thinking is not None:
            thinking = _in_one_language(thinking, problem.language)
        summarized = problem.route == "reasoning" and not isinstance(problem.gold, CodeGold)
        if self._config.summary and answer is not None and summarized:
            answer = _SUMMARY.format(answer)
        return replace(candidate, response=replace(response, thinking=thinking, answer=answer))


def _in_one_language(thinking: str, language: Language) -> str:
    lines = []
    for line in thinking.split("\n"):
        said = translate(line.strip(), language)
        if said is not None:
            lines.append(said)
        elif language_share(line, language) in (None, 1.0):
            lines.append(line)
    return "\n".join(lines)


class ModelRewriter:
    """Asks a model, one step after the other, each step for all candidates at once."""

    def __init__(self, config: Rewrite, asker: Asker) -> None:
        self._config, self._asker = config, asker

    def rewrite(self, candidates: Sequence[Candidate]) -> list[Candidate | Rejected]:
        """See `Rewriter`; a reply that failed, was cut or is empty leaves its candidate out."""
        found: list[Candidate | Rejected] = list(candidates)
        if self._config.language:
            found = self._step(found, "translation", translation_prompt, _mixed, _with_thinking)
        if self._config.solution:
            found = self._step(found, "solution", solution_prompt, _always, _with_answer)
        if self._config.summary:
            found = self._step(found, "summary", summary_prompt, _always, _with_answer)
        return found

    def _step(
        self,
        found: Sequence[Candidate | Rejected],
        name: str,
        prompt: Callable[[Candidate], tuple[Message, ...]],
        wanted: Callable[[Candidate], bool],
        put: Callable[[Candidate, str], Candidate],
    ) -> list[Candidate | Rejected]:
        todo = {i: one for i, one in enumerate(found) if isinstance(one, Candidate) and wanted(one)}
        asks = [Ask(id=f"{one.id} {name}", messages=prompt(one)) for one in todo.values()]
        result = list(found)
        for (i, candidate), reply in zip(todo.items(), ask_all(self._asker, asks) if asks else [], strict=True):
            text, fault = self._text(reply)
            if text is None:
                result[i] = Rejected(id=candidate.id, reason="not_rewritten", detail=f"{name}: {fault}")
            else:
                result[i] = put(candidate, text)
        return result

    def _text(self, reply: Reply) -> tuple[str | None, str]:
        if reply.failure:
            return None, reply.failure
        if reply.finish_reason == "length":
            return None, "cut at the length limit"
        response = self._asker.split(reply)
        return response.answer, response.problem


def _always(candidate: Candidate) -> bool:
    return True


def _mixed(candidate: Candidate) -> bool:
    thinking = candidate.response.thinking
    return thinking is not None and language_share(thinking, candidate.problem.language) not in (None, 1.0)


def _with_thinking(candidate: Candidate, text: str) -> Candidate:
    return replace(candidate, response=replace(candidate.response, thinking=text))


def _with_answer(candidate: Candidate, text: str) -> Candidate:
    return replace(candidate, response=replace(candidate.response, answer=text))
