"""`ponder try file.py:function` with what fits nothing that ponder calls: one short paragraph of what to do."""

from pathlib import Path

import pytest

from ponder.errors import RecipeError
from ponder.evaluation.try_command import try_command

FILE = """
async def later(judged): return 1.0
def batch(prompts, completions, answer, **kwargs): return [1.0]
def yields(judged): yield 0.5
def scored(answer, gold, strict): return True
"""
NEITHER = (
    r".*It is no verifier \(.*\) -> .* either, and makes no problems \(\) -> .*docs/own-code\.md shows files to copy$"
)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "later",
            r"^mine\.py:2: mine\.py:later is an async function; expected a plain one: .* docs/own-code\.md shows",
        ),
        ("batch", r"^mine\.py:3: .* as rewards of TRL have, .* write a function \(judged: Judged\) -> float" + NEITHER),
        ("yields", r"^mine\.py:4: mine\.py:yields yields; " + NEITHER),
        ("scored", r"^mine\.py:5: .* called with \(judged: Judged\): missing " + NEITHER),
    ],
)
def test_what_fits_no_role_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str) -> None:
    (tmp_path / "mine.py").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match=said) as caught:
        try_command(f"mine.py:{name}", None, limit=4, deadline_seconds=5.0, template=None)
    assert len(str(caught.value)) < 480
