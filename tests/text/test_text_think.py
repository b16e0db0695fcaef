"""The think parser: a table of responses, and the same result for every way of cutting the text."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.text.think import Response, ThinkParser

# text, thinking, answer, well formed
TAGGED = [
    ("<think>2+3</think><answer>5</answer>", "2+3", "5", True),
    (" \n<think>\n2+3\n</think>\n\n<answer>\n5\n</answer>\n ", "2+3", "5", True),
    ("<think></think><answer>5</answer>", "", "5", True),
    ("<think>a < b <thin</think><answer>x < 5</answer>", "a < b <thin", "x < 5", True),
    ("<think>a\n\n b</think> <answer>def f():\n    return 1</answer>", "a\n\n b", "def f():\n    return 1", True),
    ("", None, None, False),
    ("   ", None, None, False),
    ("5", None, "5", False),
    ("The answer is <answ", None, "The answer is <answ", False),
    ("<think>never ends", "never ends", None, False),
    ("<think>", "", None, False),
    ("<think>a</think>", "a", None, False),
    ("<think>a</think><answer>5", "a", None, False),
    ("<think>a</think><answer>5</answe", "a", None, False),
    ("<think>a</think><answer></answer>", "a", None, False),
    ("<think>a</think><answer> \n </answer>", "a", None, False),
    ("<think></think><answer></answer>", "", None, False),
    ("<think>a</think>5", "a", "5", False),
    ("<think>a</think>so <answer>5</answer>", "a", "5", False),
    ("<think>a</think><answer>5</answer> or 6", "a", "5", False),
    ("<think>a</think><answer>5</answer><answer>6</answer>", "a", "6", False),
    ("<think>a</think><answer>5</answer><answer>6", "a", None, False),
    ("<think>a</think><answer>5</answer><answer></answer>", "a", None, False),
    ("<think>a</think><answer>5<answer>6</answer>", "a", "6", False),
    ("<think>a</think><answer>5</answer></answer>", "a", "5", False),
    ("<think>a <answer>5</answer></think>", "a <answer>5</answer>", None, False),
    ("<think>a <answer>5</answer>", "a <answer>5</answer>", None, False),
    ("<think>a <answer>4</answer></think><answer>5</answer>", "a <answer>4</answer>", "5", False),
    ("<think><think>a</think><answer>5</answer>", "a", "5", False),
    ("<think>a</think><think>b</think><answer>5</answer>", "a\n\nb", "5", False),
    ("<think>a</think><answer>5</answer><think>b</think>", "a\n\nb", None, False),
    ("<think>a</think><answer>5</answer><think>b", "a\n\nb", None, False),
    ("<think>a</think>b</think><answer>5</answer>", "a", "5", False),
    ("<think>a</think><answer>5</think></answer>", "a", None, False),
    ("a</think><answer>5</answer>", "a", "5", False),
    ("</think>", "", None, False),
    ("</think><answer>5</answer>", "", "5", False),
    ("<answer>5</answer>", None, "5", False),
    ("so <answer>5</answer>", None, "5", False),
    ("</answer>5", None, "5", False),
    ("Sure! <think>a</think><answer>5</answer>", "a", "5", False),
    ("<THINK>a</THINK><answer>5</answer>", None, "5", False),
    ("<think >a</think ><answer>5</answer>", None, "5", False),
]
CHAT = [
    ("<think>\na\n</think>\n\nThe answer is 5.", "a", "The answer is 5.", True),
    ("<think>\n\n</think>\n\nHello", "", "Hello", True),
    ("<think>a</think><answer>5</answer>", "a", "<answer>5</answer>", True),
    ("<think>a <answer>5</answer></think>", "a <answer>5</answer>", None, False),
    ("<think>\n<think>\na</think>5", "a", "5", False),
    ("<think>a</think>b</think>5", "a", "5", False),
    ("<think></think>b</think>", "", None, False),
    ("<think>a", "a", None, False),
    ("a</think>5", "a", "5", False),
    ("5", None, "5", False),
    ("x <think>a</think>5", "a", "5", False),
]


# as above, where think tags after the first thought are text
READ = [
    ("<think>a</think>It opens <think> and closes </think> tags.", "a", "It opens <think> and closes </think> tags."),
    ("<think>a<think>b</think>5</think>", "ab", "5</think>"),
    ("x <think>a</think>5", "a", "5"),
    ("5", None, "5"),
]
# and where there need be none, so that one counts at the beginning only
UNTHINKING = [
    ("It opens <think> and closes </think> tags.", None, "It opens <think> and closes </think> tags."),
    (" \n<think>a</think>It <think> is 5", "a", "It <think> is 5"),
    ("</think>5", "", "5"),
    ("a</think>5", None, "a</think>5"),
    (" 5 <thi", None, "5 <thi"),
    (" ", None, None),
]


def parse(
    text: str, cuts: list[int], answer_tags: bool, **options: bool
) -> tuple[Response, list[tuple[str, int, str]]]:
    """The response and the text of each block, for `text` cut at `cuts`."""
    parser = ThinkParser(answer_tags=answer_tags, **options)
    events = []
    edges = [0, *sorted(cuts), len(text)]
    for start, end in pairwise(edges):
        events += parser.feed(text[start:end])
    events += parser.flush()
    assert all(event.text for event in events)
    blocks: dict[tuple[str, int], str] = {}
    for event in events:
        key = (event.kind, event.block)
        blocks[key] = blocks.get(key, "") + event.text
    return parser.close(), [(kind, block, content) for (kind, block), content in blocks.items()]


@pytest.mark.parametrize(
    ("text", "thinking", "answer", "well_formed", "answer_tags"),
    [(*row, True) for row in TAGGED] + [(*row, False) for row in CHAT],
)
def test_table_for_every_single_cut(
    text: str, thinking: str | None, answer: str | None, well_formed: bool, answer_tags: bool
) -> None:
    response, blocks = parse(text, [], answer_tags)
    assert (response.thinking, response.answer, response.well_formed) == (thinking, answer, well_formed)
    assert (response.problem == "") == well_formed
    for cut in range(len(text) + 1):
        assert parse(text, [cut], answer_tags) == (response, blocks)
    assert parse(text, list(range(len(text))), answer_tags) == (response, blocks)
    assert ThinkParser(answer_tags=answer_tags).feed("") == []


@pytest.mark.parametrize(
    ("text", "thinking", "answer", "option"),
    [(*row, "strict") for row in READ] + [(*row, "think_tags") for row in UNTHINKING],
)
def test_tags_that_an_answer_mentions_for_every_single_cut(
    text: str, thinking: str | None, answer: str | None, option: str
) -> None:
    response, blocks = parse(text, [], False, **{option: False})
    assert (response.thinking, response.answer) == (thinking, answer)
    for cut in range(len(text) + 1):
        assert parse(text, [cut], False, **{option: False}) == (response, blocks)


pieces = st.sampled_from(
    [
        "<think>",
        "</think>",
        "<answer>",
        "</answer>",
        "<",
        "<thi",
        "</",
        "er>",
        ">",
        " ",
        "\n",
        "a",
        "b c",
        "等等",
        "\u3000",
    ]
)
texts = st.lists(pieces, max_size=12).map("".join)


@given(
    text=texts,
    cuts=st.lists(st.integers(0, 60), max_size=6),
    answer_tags=st.booleans(),
    think_tags=st.booleans(),
    strict=st.booleans(),
)
def test_any_cutting_gives_the_same(
    text: str, cuts: list[int], answer_tags: bool, think_tags: bool, strict: bool
) -> None:
    whole = parse(text, [], answer_tags, think_tags=think_tags, strict=strict)
    edges = [min(cut, len(text)) for cut in cuts]
    assert parse(text, edges, answer_tags, think_tags=think_tags, strict=strict) == whole
    response, blocks = whole
    if response.answer is not None:
        assert response.answer in [content for kind, _, content in blocks if kind == "answer"]
    seen = [content for kind, _, content in blocks if kind == "thinking"]
    assert (response.thinking or "") == "\n\n".join(seen)


@given(text=texts)
def test_well_formed_means_each_tag_once_in_order(text: str) -> None:
    response, _ = parse(text, [], True)
    tags = ["<think>", "</think>", "<answer>", "</answer>"]
    places = [text.find(tag) for tag in tags]
    expected = all(text.count(tag) == 1 for tag in tags) and places == sorted(places)
    if expected:
        before, between, after = text[: places[0]], text[places[1] + 8 : places[2]], text[places[3] + 9 :]
        inside = text[places[2] + 8 : places[3]]
        expected = not (before + between + after).strip() and bool(inside.strip())
    assert response.well_formed == expected


@given(thinking=st.text(max_size=30), answer=st.text(min_size=1, max_size=30))
def test_round_trip(thinking: str, answer: str) -> None:
    clean = not any(mark in thinking + answer for mark in "<>") and answer.strip()
    if clean:
        response, _ = parse(f"<think>{thinking}</think><answer>{answer}</answer>", [], True)
        assert (response.thinking, response.answer) == (thinking.strip(), answer.strip())
        assert response.well_formed


def test_cut_text_has_only_a_tagged_answer() -> None:
    def cut(text: str, answer_tags: bool) -> Response:
        parser = ThinkParser(answer_tags=answer_tags)
        parser.feed(text)
        return parser.close(finished=False)

    assert cut("<think>a</think>It is 5", False).answer is None
    assert cut("<think>a</think>It is 5", False).problem == "cut at the length limit"
    assert cut("<think>a</think><answer>5</answer>", True).answer == "5"
    assert cut("<think>a</think><answer>5", True).answer is None
    assert cut("It is 5", True).answer is None


def test_feeding_after_the_end_is_a_bug() -> None:
    parser = ThinkParser(answer_tags=True)
    parser.close()
    with pytest.raises(AssertionError, match="after flush"):
        parser.feed("x")
