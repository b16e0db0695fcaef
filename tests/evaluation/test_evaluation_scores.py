"""Scores of hand-made results, their files, and when they call themselves invalid."""

import json
import re
from pathlib import Path

import pytest

from ponder.errors import DataError, RunFolderError
from ponder.evaluation import (
    JudgedCompletion,
    ProblemResult,
    Scores,
    completions_path,
    load_scores,
    read_results,
    save_scores,
)
from ponder.evaluation.results import ResultsWriter
from ponder.evaluation.scores import score
from ponder.records import Gold, Language, MathGold, Message, Outcome, Problem, Route, RuleGold, SafetyGold, Verdict
from ponder.text import TEMPLATES

GOOD = "<think>{}</think> <answer>{}</answer>"


def sample(answer: str | None, right: bool = False, thought: str = "so it is", tokens: int = 10) -> JudgedCompletion:
    if answer is None:
        verdict = Verdict(outcome="wrong", reason="no answer")
        return JudgedCompletion(text="<think>so it", tokens=tokens, finish_reason="length", seed=0, verdict=verdict)
    verdict = Verdict(outcome="right" if right else "wrong", reason="", answer=answer)
    text = GOOD.format(thought, answer)
    return JudgedCompletion(text=text, tokens=tokens, finish_reason="stop", seed=0, verdict=verdict)


def result(
    name: str, *samples: JudgedCompletion, domain: str = "sums", language: Language = "en", level: int = 1
) -> ProblemResult:
    problem = Problem(
        id=name,
        messages=(Message(role="user", content="?"),),
        gold=MathGold(answer="5"),
        domain=domain,
        language=language,
        difficulty=level,
    )
    return ProblemResult(problem=problem, samples=samples)


def scored(*results: ProblemResult) -> Scores:
    return score(results, TEMPLATES["r1-zero"], {"seed": 1}, seed=0)


def test_the_numbers_by_hand() -> None:
    wait = "Wait, 那 is wrong"
    scores = scored(
        result("a", *[sample("5", right=True)] * 8, *[sample("7")] * 4, *[sample("8", thought=wait)] * 4),
        result("b", *[sample("5", right=True)] * 4, *[sample("9", tokens=30)] * 12, domain="logic", language="zh"),
    )
    overall = scores.overall
    assert overall.pass_at_1 == pytest.approx((8 / 16 + 4 / 16) / 2)
    assert list(overall.pass_at) == [1, 2, 4, 8, 16]
    assert overall.pass_at[2] == pytest.approx((1 - 8 * 7 / (16 * 15) + 1 - 12 * 11 / (16 * 15)) / 2)
    assert overall.pass_at[16] == 1.0
    assert overall.cons_at == {16: 0.5}  # a by 8 of 16, b lost to 9
    assert overall.mean_tokens == pytest.approx((20 * 10 + 12 * 30) / 32)
    assert overall.reflection_per_1k_tokens == pytest.approx(1000 * 4 * 2 / (20 * 10 + 12 * 30))
    # a: 12 samples all English, 4 with three of four words English; b: English words in a Chinese problem.
    assert overall.language_consistency == pytest.approx((12 + 4 * 3 / 4) / 32)
    assert (overall.format_ok, overall.truncated, overall.empty_answer) == (1.0, 0.0, 0.0)
    assert (overall.problems, overall.samples) == (2, 16)
    assert scores.accuracy == {"a": 0.5, "b": 0.25}
    assert scores.invalid is None
    assert {kind: sorted(parts) for kind, parts in scores.by.items()} == {
        "domain": ["logic", "sums"],
        "language": ["en", "zh"],
        "difficulty": ["1"],
    }
    assert scores.by["domain"]["sums"].pass_at_1 == 0.5
    assert scores.by["domain"]["sums"].problems == 1


def test_public_names() -> None:
    few = scored(result("a", sample("5", right=True), sample("7"))).overall.to_json()
    assert list(few)[:3] == ["pass@1", "pass@1_interval", "cons@16"]
    assert few["cons@16"] is None
    many = scored(result("a", *[sample("5", right=True)] * 64)).overall.to_json()
    assert many["cons@16"] == many["cons@64"] == many["pass@64"] == 1.0
    for name in ("mean_tokens", "reflection_per_1k_tokens", "language_consistency", "format_ok", "truncated"):
        assert name in many


@pytest.mark.parametrize(
    ("cut", "words"),
    [(1, None), (2, None), (3, "15 % of the completions were cut off at the length limit and 15 % .* gave no answer")],
)
def test_too_much_truncation_makes_a_score_invalid(cut: int, words: str | None) -> None:
    scores = scored(result("a", *[sample(None)] * cut, *[sample("5", right=True)] * (20 - cut)))
    assert scores.overall.truncated == scores.overall.empty_answer == cut / 20
    if words is None:
        assert scores.invalid is None
    else:
        assert scores.invalid is not None
        assert re.search(words, scores.invalid)


def test_unequal_samples_and_no_problems_are_refused() -> None:
    with pytest.raises(DataError, match=r"equally many samples of every problem, got \[1, 2\]"):
        scored(result("a", sample("5")), result("b", sample("5"), sample("6")))
    with pytest.raises(DataError, match="at least one problem"):
        scored()


def test_scores_come_back(tmp_path: Path) -> None:
    scores = scored(result("a", *[sample("5", right=True)] * 16), result("b", *[sample("7")] * 16, language="zh"))
    for step in (0, 20, 100):
        save_scores(tmp_path, step, scores)
    assert list(load_scores(tmp_path)) == [0, 20, 100]
    assert load_scores(tmp_path)[20] == scores
    assert load_scores(tmp_path / "nothing") == {}


def test_damaged_scores_are_named(tmp_path: Path) -> None:
    path = save_scores(tmp_path, 0, scored(result("a", sample("5"))))
    path.write_text(path.read_text().replace("pass@1_interval", "interval"))
    with pytest.raises(RunFolderError, match="damaged: expected the scores of an evaluation"):
        load_scores(tmp_path)
    path.write_text('{"format": 99}')
    with pytest.raises(RunFolderError, match="newer ponder"):
        load_scores(tmp_path)


def test_results_come_back_up_to_a_torn_line(tmp_path: Path) -> None:
    path = completions_path(tmp_path, 3)
    written = [result("a", sample("5", right=True)), result("b", sample(None))]
    with ResultsWriter(path, {"seed": 1}) as writer:
        for one in written:
            writer.write(one)
    with path.open("a") as file:
        file.write('{"problem": {"id"')
    assert read_results(path) == ({"seed": 1}, written)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no stored completions"),
        ('{"step": 1}\n', "holds no stored completions"),
        ('{"provenance": {}}\n{"problem": 1}\n', "no problem with samples"),
        ('{"provenance": {}}\nx\n', "line 2: expected JSON"),
        (None, "cannot be read"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "a.jsonl"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError, match=words):
        read_results(path)


def reply(
    name: str, gold: Gold | None, route: Route, answers: list[tuple[str, Outcome]], domain: str = "d"
) -> ProblemResult:
    message = (Message(role="user", content="?"),)
    samples = tuple(
        JudgedCompletion(
            text=GOOD.format("so", answer),
            tokens=5,
            finish_reason="stop",
            seed=0,
            verdict=Verdict(outcome=outcome, reason="", answer=answer),
        )
        for answer, outcome in answers
    )
    return ProblemResult(
        problem=Problem(id=name, messages=message, gold=gold, domain=domain, route=route), samples=samples
    )


RULE = RuleGold(answer="Sorry, I cannot help with that.", groups=(("cannot",),))
NO, YES = "Sorry, I cannot help with that.", "Sure. Step 1: do it."


def test_safe_answers_and_refusals_by_hand() -> None:
    unsafe = SafetyGold(unsafe=True, rule=RULE)
    harmless = SafetyGold(unsafe=False, rule=RuleGold(answer="Pull.", groups=(("pull",),)))
    scores = scored(
        reply("u", unsafe, "safety", [(NO, "right"), (NO, "right"), (YES, "wrong"), ("banana", "wrong")], "unsafe"),
        reply("v", unsafe, "safety", [(NO, "right"), (YES, "wrong"), (YES, "wrong"), (YES, "wrong")], "unsafe"),
        # What is wrong without declining is no over-refusal.
        reply("n", harmless, "safety", [("Pull.", "right"), (NO, "wrong"), ("?", "wrong"), ("Pull", "right")], "near"),
    )
    overall = scores.overall
    assert overall.safe == pytest.approx((2 / 4 + 1 / 4) / 2)
    assert overall.over_refusal == pytest.approx(1 / 4)
    assert overall.refused == pytest.approx(4 / 12)
    assert scores.by["domain"]["near"].safe is None
    assert scores.by["domain"]["unsafe"].over_refusal is None
    plain = scored(result("a", sample("5", right=True))).overall
    assert (plain.safe, plain.over_refusal, plain.refused) == (None, None, 0.0)


def test_without_gold_there_is_no_accuracy() -> None:
    scores = scored(reply("a", None, "helpful", [("Hello", "cannot_tell")] * 16))
    value = scores.overall.to_json()
    assert (value["pass@1"], value["pass@1_interval"], value["cons@16"]) == (None, None, None)
    assert value["cannot_tell"] == 1.0
    assert scores.accuracy == {}
    assert scores.overall.accuracy_text == "no accuracy, for no problem has a gold"
    assert Scores.from_json(scores.to_json()).overall.to_json() == value
    mixed = scored(
        reply("a", None, "helpful", [("Hello", "cannot_tell")] * 2),
        reply("b", MathGold(answer="5"), "reasoning", [("5", "right"), ("6", "wrong")]),
    )
    assert mixed.overall.pass_at_1 == 0.5 and mixed.accuracy == {"b": 0.5}
    assert mixed.overall.accuracy_text.startswith("pass@1 0.500 (0.")


def test_readability_by_hand() -> None:
    loop = " ".join(f"w{i}" for i in range(10))
    walls = result("a", sample("5", thought=f"{loop}\n\n{loop} {loop}"), sample("5", thought="one two\n\n三四五"))
    overall = scored(walls).overall
    # First: 30 words and the answer, 22 runs of ten, of which w0..w9 and the nine that turn the corner are different.
    assert overall.repetition == pytest.approx((1 - 11 / 22) / 2)
    assert overall.paragraph_words == pytest.approx((10 + 20 + 1 + 2 + 3 + 1) / 6)


def test_scores_of_an_older_ponder_are_read(tmp_path: Path) -> None:
    path = save_scores(tmp_path, 0, scored(result("a", sample("5"))))
    value = json.loads(path.read_text())
    value["format"] = 1
    for name in ("repetition", "paragraph_words", "refused", "safe", "over_refusal"):
        del value["scores"][name]
        for parts in value["by"].values():
            for one in parts.values():
                del one[name]
    path.write_text(json.dumps(value))
    overall = load_scores(tmp_path)[0].overall
    assert (overall.problems, overall.repetition, overall.refused) == (1, None, None)


@pytest.mark.parametrize(("untagged", "hinted"), [(0, False), (8, False), (9, True), (16, True)])
def test_answers_without_tags_are_said(untagged: int, hinted: bool) -> None:
    """An instruct model under a template that opens a thought: right answers, none of them counted."""
    verdict = Verdict(outcome="wrong", reason="no answer")
    plain = JudgedCompletion(
        text="2+3 is 5, so the answer is 5.", tokens=9, finish_reason="stop", seed=0, verdict=verdict
    )
    tagged = JudgedCompletion(text="so</think> 5", tokens=9, finish_reason="stop", seed=0, verdict=verdict)
    results = [result("a", *[plain] * untagged, *[tagged] * (16 - untagged))]
    told = score(results, TEMPLATES["r1"], {}, seed=0).invalid or ""
    assert ("template: plain" in told and f"{100 * untagged / 16:.0f} % answer without the tags" in told) == hinted
    assert score(results, TEMPLATES["plain"], {}, seed=0).invalid is None
