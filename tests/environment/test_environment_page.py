"""docs/tools.md: every file on the page works as it stands."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ponder.cli import app
from ponder.own import read_own
from ponder.own.apart import declared_tools
from ponder.watch.metrics import read_metrics

PAGE = Path(__file__).parents[2] / "docs" / "tools.md"
BLOCK = re.compile(r"^`([\w-]+\.\w+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILES = dict(BLOCK.findall(PAGE.read_text(encoding="utf-8")))


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return folder


def test_the_tool_is_told_of(page: Path) -> None:
    assert set(FILES) == {"tools.py", "game.py", "numbers.py", "guess.yaml"}
    (weather,) = declared_tools(read_own(["tools.py"], page), ["tools.py:weather"])
    assert weather.description.startswith("What the weather") and list(weather.parameters["properties"]) == [
        "city",
        "days",
    ]


def test_the_game_trains(page: Path) -> None:
    result = CliRunner().invoke(app, ["run", str(page / "guess.yaml"), "--out", "out"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    stage = Path("out") / "stages" / "guess"
    rows = [row for row in read_metrics(stage) if row["step"] > 0]
    assert len(rows) == 2 and all(row["environment/answered"] == 1 for row in rows)
    lines = [json.loads(line) for line in (stage / "rollouts" / "rollouts-000000.jsonl").read_text().splitlines()]
    assert all(line["problem"]["messages"][0]["content"].startswith("Guess my number") for line in lines)
    said = {one["content"] for line in lines for one in line["talk"]["messages"] if one["role"] == "user"}
    assert said <= {"Higher.", "Lower.", "That is no number."} and said
