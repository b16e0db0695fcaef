"""Golds that stand for no answer: left out of a source, counted and listed, and never paid when repeated."""

import json
from pathlib import Path

import pytest

from ponder.recipe.problems import FileProblems, ProblemColumns
from ponder.records import MathGold
from ponder.task import load_problems
from ponder.verify import check_gold, verify

PLACEHOLDERS = """proof|Proof.|PROOF|\\text{proof}|$\\text{Proof}$|\\boxed{\\text{N/A}}|notfound|not found|Not_Found|
see solution|See the solution.|see above|See solution below|refer to the solution|see attached figure|
Please see the explanation|
n/a|N/A|N / A|n.a.|#N/A|NA|None|nan|NaN|null|tbd|TBD|TODO|
-|--|---|\u2014|\u2013|\u2212|...|\u2026|?|???|_|____|*|.|/|$-$|(-)|[?]|
Q.E.D.|\\blacksquare|unknown|omitted|No answer|no answer provided|answers may vary|Answers vary.|proof omitted|
\u7565|\u8bc1\u660e\u7565|\u89c1\u89e3\u6790|\u65e0\u7b54\u6848|\u4e0d\u8be6\u3002|\uff1f|unavailable|\\ldots|"n/a"|`proof`|
Prove it.|missing|xxx|\u8a3c\u660e|\uc99d\uba85|Beweis|d\u00e9monstration|
\u0434\u043e\u043a\u0430\u0437\u0430\u0442\u0435\u043b\u044c\u0441\u0442\u0432\u043e|
answer|voir solution|Hence proved.|to be determined|ans|image|Figure|varies"""
ANSWERS = """0|-1|no|none|\\text{None}|no solution|No real solutions|does not exist|DNE|
undefined|\\varnothing|\\emptyset|\\{\\}|{}|\\infty|
-\\infty|x-1|\\text{Evelyn}|east|impossible|cannot be determined|neither|(A)|\\sqrt{2}|y = -x|\\frac{n}{a}|
n|a|na^2|n/2|\u65e0\u89e3|\u4e0d\u5b58\u5728|
yes|true|infinitely many|3|Nan's house|prime|all real numbers|1/2|\\pi|[-1, 1]|(-\\infty, 0)"""


def listed(text: str) -> list[str]:
    return [one.strip("\n") for one in text.split("|")]


@pytest.mark.parametrize("answer", listed(PLACEHOLDERS))
def test_no_gold(answer: str) -> None:
    gold = MathGold(answer=answer)
    assert "placeholder" in str(check_gold(gold))
    assert verify(answer, gold).score == verify(f"\\boxed{{{answer}}}", gold).score == 0.0


@pytest.mark.parametrize("answer", listed(ANSWERS))
def test_answers_that_say_no(answer: str) -> None:
    assert "placeholder" not in (check_gold(MathGold(answer=answer)) or "")


def test_left_out_counted_and_listed(tmp_path: Path) -> None:
    golds = ["12", "proof", "notfound", "7", "The proof is done. Answer: \\boxed{\\text{N/A}}"]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"question": f"q{i}", "answer": gold}) + "\n" for i, gold in enumerate(golds)))
    loaded = load_problems([FileProblems(path=str(path), gold="math", columns=ProblemColumns(prompt="question"))])
    assert [problem.gold for problem in loaded.problems] == [MathGold(answer="12"), MathGold(answer="7")]
    assert [entry.row for entry in loaded.left_out] == [2, 3, 5]
    assert "3 rows left out" in loaded.summary() and "'proof' is a placeholder" in loaded.summary()
