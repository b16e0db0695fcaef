"""The clock of a run: one for all its stages and sessions, in every manifest."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pair_run import Stages, folder

from ponder.manifest import MANIFEST, read_manifest
from ponder.stages import STAGES, Context
from ponder.text.clock import moment


def clock(tmp_path: Path, stage: str) -> str | None:
    manifest = read_manifest(folder(tmp_path, stage))
    return None if manifest is None else manifest.clock


def put_back(tmp_path: Path, stage: str, change: Callable[[dict[str, Any]], None]) -> None:
    """As if the stage had begun on another day."""
    path = folder(tmp_path, stage) / MANIFEST
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def test_resumed_on_another_day(
    stages: Stages, start: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, str] = {}

    def watched(context: Context[Any]) -> Mapping[str, Any]:
        seen[context.name] = moment().isoformat(timespec="milliseconds")
        return stages(context)

    for kind in STAGES:
        monkeypatch.setitem(STAGES, kind, watched)
    stages.trouble["zero"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        start()
    began = clock(tmp_path, "base")
    assert began is not None and began == clock(tmp_path, "zero") and seen["base"] == seen["zero"] == began
    for stage in ("base", "zero"):
        put_back(tmp_path, stage, lambda value: value.update(clock="2020-03-04T05:06:07.000+00:00"))
    assert start() == ["zero", "scores"]
    assert clock(tmp_path, "scores") == clock(tmp_path, "zero") == "2020-03-04T05:06:07.000+00:00"
    assert seen["scores"] == seen["zero"] == "2020-03-04T05:06:07.000+00:00"
    assert moment().year != 2020


def test_a_run_begun_before_manifests_had_a_clock(
    stages: Stages, start: Callable[..., list[str]], tmp_path: Path
) -> None:
    """Its prompts had the date of the day on which it began."""
    stages.trouble["zero"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        start()
    manifest = read_manifest(folder(tmp_path, "base"))
    assert manifest is not None
    for stage in ("base", "zero"):
        put_back(tmp_path, stage, lambda value: value.pop("clock"))
    start()
    assert clock(tmp_path, "scores") == manifest.sessions[0].started
