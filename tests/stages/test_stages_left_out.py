"""The list of rows that are not used."""

import json
from pathlib import Path

from ponder.stages.context import Context
from ponder.stages.left_out import LEFT_OUT_FILE, list_left_out
from ponder.task.fault import LeftOut


def test_all_are_listed_whatever_they_hold(tmp_path: Path) -> None:
    said: list[str] = []
    context = Context(config=None, name="cold", folder=tmp_path, seed=0, inputs={}, say=said.append)
    rows = [LeftOut(source="a", row=i, reason="half a character: \ud83d") for i in range(1, 13)]
    list_left_out(context, rows)
    lines = (tmp_path / LEFT_OUT_FILE).read_bytes().decode("utf-8", "surrogatepass").splitlines()
    assert [json.loads(line)["row"] for line in lines] == list(range(1, 13))
    assert "12 rows left out" in said[0] and len(said) == 11
    list_left_out(context, [])
    assert not (tmp_path / LEFT_OUT_FILE).exists()
