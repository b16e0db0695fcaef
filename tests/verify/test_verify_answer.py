"""Answer extraction: the rule that finds each answer, by name."""

import pytest

from ponder.verify.answer import MAX_ANSWER_CHARS, find_answer

FOUND = [
    ("28", "28", "whole text"),
    ("x=5", "x=5", "whole text"),
    ("  B \n", "B", "whole text"),
    ("She has\n3 + 4\n= 7", "= 7", "last line"),
    (r"so \boxed{7}", "7", "boxed"),
    (r"so \boxed{\frac{1}{2}}.", r"\frac{1}{2}", "boxed"),
    (r"\boxed{\{1,2\}}", r"\{1,2\}", "boxed"),
    (r"\boxed{1} wait, \boxed{2}", "2", "boxed"),
    (r"\boxed{1}, \boxed{2} and \boxed{3}", "1, 2, 3", "boxed"),
    (r"\boxed{3} or \boxed{4}", "3, 4", "boxed"),
    (r"\fbox{7}", "7", "boxed"),
    (r"\boxed 7", "7", "boxed"),
    ("\x08oxed{7}", "7", "boxed"),
    ("2+2=4\n#### 4", "4", "hash mark"),
    ("#### 4\n#### 5", "5", "hash mark"),
    ("Answer: 12", "12", "answer phrase"),
    ("**Answer:** 12", "12", "answer phrase"),
    ("**Final Answer**\nAnswer: 12", "12", "answer phrase"),
    ("The answer is 12", "12", "answer phrase"),
    ("the answer is: 12", "12", "answer phrase"),
    ("Answer:\n12", "12", "answer phrase"),
    ("ANSWER: C", "C", "answer phrase"),
    ("答案是12", "12", "answer phrase"),
    ("答案：12", "12", "answer phrase"),
    ("最终答案为：12", "12", "answer phrase"),
    ("A: 12", "12", "answer phrase"),
    ("The answer is 3. No, the answer is 4", "4", "answer phrase"),
    ("<answer>12</answer>", "12", "answer tag"),
    ("<answer>11</answer> <answer>12</answer>", "12", "answer tag"),
    (r"<answer>it is \boxed{12}</answer>", "12", "boxed"),
    ("<answer>12", "12", "whole text"),
    (r"<think>\boxed{1}</think>2", "2", "whole text"),
    (r"\boxed{1} Answer: 2", "2", "answer phrase"),
    (r"\boxed{86} glasses and \boxed{42} plates", "86, 42", "boxed"),
    (r"\boxed{86} at first, then \boxed{42}", "42", "boxed"),
    (r"\framebox{7}", "7", "boxed"),
    ("boxed{7}", "7", "boxed"),
    ("A：12", "12", "answer phrase"),
    ("The answer is:\n\\[\n12\n\\]", "12", "answer phrase"),
    ("12</answer> and 13", "12", "whole text"),
]


@pytest.mark.parametrize(("text", "answer", "rule"), FOUND)
def test_rule_and_answer(text: str, answer: str, rule: str) -> None:
    found = find_answer(text)
    assert (found.text, found.rule) == (answer, rule)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "nothing stands after the thinking"),
        ("\n \t", "nothing stands after the thinking"),
        (r"<think>it is \boxed{5}", "the thinking never ends"),
        (r"<think>\boxed{5}</think>", "nothing stands after the thinking"),
        ("<answer> </answer>", "is empty"),
        (r"\boxed{}", "is empty"),
        ("<answer>" + "7" * (MAX_ANSWER_CHARS + 1) + "</answer>", "more than"),
    ],
)
def test_no_answer(text: str, why: str) -> None:
    found = find_answer(text)
    assert found.text is None
    assert why in found.rule


def test_the_answer_of_a_long_text_stands_at_its_end() -> None:
    assert find_answer("thinking aloud " * 100_000 + r"\boxed{7}").text == "7"
