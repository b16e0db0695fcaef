"""What a rewriting model is asked. Only the request to translate is the paper's own sentence (R1 v2, B.3.2)."""

from ponder.curate.candidate import Candidate
from ponder.records import Message

__all__ = ["solution_prompt", "summary_prompt", "translation_prompt"]

_TRANSLATION = """\
<question>
{question}
</question>

<thinking_process>
{thinking}
</thinking_process>

Translate the thinking process to the same language as the question. Write the translated thinking process and nothing \
else; change neither its steps nor its formulas."""

_SOLUTION = """\
<question>
{question}
</question>

<thinking_process>
{thinking}
</thinking_process>

Write the solution that this thinking process arrives at, for a reader who has not seen it.
- Be faithful: use only its reasoning, keep its result, mend nothing and add nothing.
- Be clean: leave out detours, doubts and repetitions; write mathematics in LaTeX.
- Use the language of the question.
- End with the result in \\boxed{{}}."""

_SUMMARY = """\
<question>
{question}
</question>

<thinking_process>
{thinking}
</thinking_process>

<answer>
{answer}
</answer>

Summarise for the one who asked: in at most five sentences, in the language of the question, the decisive steps of the \
thinking process and then the answer, unchanged. Write the summary and nothing else."""


def translation_prompt(candidate: Candidate) -> tuple[Message, ...]:
    """Asks for the thinking in the question's language."""
    return _message(_TRANSLATION, candidate)


def solution_prompt(candidate: Candidate) -> tuple[Message, ...]:
    """Asks for the solution that follows from the thinking."""
    return _message(_SOLUTION, candidate)


def summary_prompt(candidate: Candidate) -> tuple[Message, ...]:
    """Asks for a summary to stand after the thinking."""
    return _message(_SUMMARY, candidate)


def _message(form: str, candidate: Candidate) -> tuple[Message, ...]:
    response = candidate.response
    text = form.format(
        question=candidate.problem.conversation, thinking=response.thinking or "", answer=response.answer or ""
    )
    return (Message(role="user", content=text),)
