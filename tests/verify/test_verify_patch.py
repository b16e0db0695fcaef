"""Patches read out of answers and applied in memory; what does not fit exactly is refused by name."""

import contextlib
import difflib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.verify.patch import Edit, PatchError, apply, find_patch

FILES = {"shop/cart.py": "a = 1\nb = 2\nc = 3\nb = 2\nd = 4\n", "shop/empty.py": ""}
BLOCK = "shop/cart.py\n<<<<<<< SEARCH\na = 1\n=======\na = 5\n>>>>>>> REPLACE\n"
DIFF = "--- a/shop/cart.py\n+++ b/shop/cart.py\n@@ -1,2 +1,2 @@\n-a = 1\n+a = 5\n b = 2\n"
DONE = FILES["shop/cart.py"].replace("a = 1", "a = 5")


@pytest.mark.parametrize(
    "text",
    [
        BLOCK,
        f"The first line is wrong.\n\n{BLOCK}\nThat is all.",
        f"<think>{BLOCK.replace('5', '6')}</think> <answer>{BLOCK}</answer>",
        f"```\n{BLOCK}```",
        "**shop/cart.py**\n```python\n<<<<<<< SEARCH\na = 1\n=======\na = 5\n>>>>>>> REPLACE\n```",
        "File: `shop/cart.py`\n<<<<<<< SEARCH\na = 1\n=======\na = 5\n>>>>>>> REPLACE".replace("File: ", ""),
        "### shop/cart.py\n<<<<<<<SEARCH\na = 1\n=======\na = 5\n>>>>>>>REPLACE",
        BLOCK.replace("\n", "\r\n"),
        DIFF,
        f"```diff\n{DIFF}```",
        f"diff --git a/shop/cart.py b/shop/cart.py\nindex 83db48f..bf269f4 100644\n{DIFF}",
        DIFF.replace("-1,2 +1,2", "-40,2 +40,2"),
        DIFF.replace("-1,2 +1,2", "-1,9 +1,9"),
        DIFF.replace("a/shop", "shop").replace("b/shop", "shop"),
    ],
)
def test_forms(text: str) -> None:
    assert apply(find_patch(text), FILES) == FILES | {"shop/cart.py": DONE}


def test_the_nearest_of_equal_lines_is_meant() -> None:
    diff = "--- a/shop/cart.py\n+++ b/shop/cart.py\n@@ -{0},1 +{0},1 @@\n-b = 2\n+b = 7\n"
    lines = FILES["shop/cart.py"].splitlines()
    for number, place in ((1, 1), (2, 1), (4, 3), (9, 3)):
        wanted = [*lines[:place], "b = 7", *lines[place + 1 :]]
        assert apply(find_patch(diff.format(number)), FILES)["shop/cart.py"].splitlines() == wanted


def test_files_come_and_go() -> None:
    made = "--- /dev/null\n+++ b/shop/new.py\n@@ -0,0 +1,2 @@\n+x = 1\n+y = 2\n"
    gone = "--- a/shop/cart.py\n+++ /dev/null\n@@ -1,5 +0,0 @@\n-a = 1\n-b = 2\n-c = 3\n-b = 2\n-d = 4\n"
    assert apply(find_patch(made + gone), FILES) == {"shop/empty.py": "", "shop/new.py": "x = 1\ny = 2\n"}
    block = "shop/new.py\n<<<<<<< SEARCH\n=======\nx = 1\n>>>>>>> REPLACE"
    assert apply(find_patch(block), FILES)["shop/new.py"] == "x = 1\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "there is no patch"),
        ("def total(): return 3", "there is no patch"),
        (BLOCK.removeprefix("shop/cart.py\n"), "names no file"),
        (BLOCK.replace("a = 1", "a = 9"), "has no lines 'a = 9"),
        (BLOCK.replace("a = 1", "b = 2"), "2 times"),
        (BLOCK.replace("cart", "card"), "there is no file shop/card.py: it has shop/cart.py, shop/empty.py"),
        (BLOCK.replace("a = 1\n", ""), "is there already"),
        (BLOCK.replace("shop/cart.py", "../cart.py"), "leads out"),
        (BLOCK.replace("shop/cart.py", "/etc/cart.py"), "leads out"),
        (BLOCK.replace("shop/cart.py", "shop/../../cart.py"), "leads out"),
        (DIFF.replace("b/shop/cart.py", "b/shop/card.py"), "renames nothing"),
        ("diff --git a/x b/y\nrename from x.py\nrename to y.py\n", "texts only"),
        (
            "diff --git a/x b/x\nnew file mode 120000\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+/etc/passwd\n",
            "texts only",
        ),
        ("diff --git a/x b/x\nGIT binary patch\n", "texts only"),
        ("x" * 200_001, "at most 200,000"),
        (BLOCK * 201, "the most is 200"),
    ],
)
def test_what_is_no_patch(text: str, words: str) -> None:
    with pytest.raises(PatchError, match=words):
        apply(find_patch(text), FILES)


LINES = st.lists(st.sampled_from(["a", "b", "c = 1", "", "    d", "--- x", "+ y", "@@"]), max_size=12)


@given(LINES, LINES)
def test_a_diff_leads_to_what_it_was_made_from(before: list[str], after: list[str]) -> None:
    old, new = ("".join(f"{line}\n" for line in lines) for lines in (before, after))
    diff = "".join(difflib.unified_diff(old.splitlines(True), new.splitlines(True), "a/f.py", "b/f.py"))
    if not diff or not before:
        return
    try:
        found = apply(find_patch(diff), {"f.py": old})
    except PatchError as error:
        assert "has no lines" not in str(error), (diff, str(error))
        return
    assert found["f.py"] == new


@given(st.text(alphabet="<>= SEARCHREPLACE\n-+@/ab.py,1", max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(PatchError):
        assert all(isinstance(edit, Edit) for edit in find_patch(text))
