"""Stages run once, in order, and go on after whatever stopped them; other settings are refused."""

import errno
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pair_run import TEXT, Stages, folder

from ponder.errors import DataError, ModelError, PonderError, RunFolderError
from ponder.files import read_json, write_json
from ponder.manifest import is_done, read_manifest
from ponder.stages import STAGES, Context


def test_stages_run_in_order_once(start: Callable[..., list[str]], stages: Stages, tmp_path: Path) -> None:
    assert start() == ["base", "zero", "scores"]
    assert start() == []
    assert "zero: done before, skipped" in stages.said
    manifest = read_manifest(folder(tmp_path, "zero"))
    assert manifest is not None and manifest.status == "done" and manifest.results == {"pass@1": 0.5}
    assert (folder(tmp_path, "zero") / "done").read_text().strip() == manifest.fingerprint
    assert manifest.identity["inputs"]["base"] == read_json(folder(tmp_path, "base") / "manifest.json")["fingerprint"]
    assert {"torch", "transformers", "ponder", "python"} <= manifest.versions.keys()
    assert (tmp_path / "out" / "recipe.yaml").read_text() == TEXT
    resolved = read_json(tmp_path / "out" / "recipe.resolved.json")
    assert resolved["recipe"]["stages"]["zero"]["group_size"] == 16


def test_context(start: Callable[..., list[str]], stages: Stages, tmp_path: Path) -> None:
    start()
    context = stages.contexts["zero"]
    assert context.inputs == {"base": folder(tmp_path, "base")}
    assert context.model_source("base") == str(folder(tmp_path, "base") / "model")
    assert context.model_source("micro") == "micro"
    assert context.model_source("Qwen/Qwen2.5-1.5B") == "Qwen/Qwen2.5-1.5B"
    assert context.model_source("./there") == "there"
    assert context.seed != stages.contexts["base"].seed


@pytest.mark.parametrize(
    ("trouble", "status"),
    [
        (ModelError("no tokenizer"), "failed"),
        (KeyboardInterrupt(), "interrupted"),
        (ZeroDivisionError("bug"), "failed"),
    ],
)
def test_a_stopped_stage_is_continued(
    start: Callable[..., list[str]], stages: Stages, tmp_path: Path, trouble: BaseException, status: str
) -> None:
    stages.trouble["zero"] = trouble
    with pytest.raises(type(trouble)):
        start()
    stopped = read_manifest(folder(tmp_path, "zero"))
    assert stopped is not None and stopped.status == status and not is_done(folder(tmp_path, "zero"))
    assert start() == ["zero", "scores"]
    assert (folder(tmp_path, "zero") / "steps").read_text() == "xx"  # what the first session left was still there
    done = read_manifest(folder(tmp_path, "zero"))
    assert done is not None and [s.outcome for s in done.sessions] == [status, "done"]


def test_a_stage_goes_on_with_the_precision_in_which_it_began(
    start: Callable[..., list[str]], stages: Stages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever `auto` is on the machine where it is resumed; where nothing is known of that, as on this one."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("ponder.policy.load._cpu_has_bf16", lambda: False)
    stages.trouble["zero"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        start()
    assert stages.contexts["zero"].config.precision == "fp32"
    monkeypatch.setattr("ponder.policy.load._cpu_has_bf16", lambda: True)
    stages.trouble["zero"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        start()
    assert stages.contexts["zero"].config.precision == "fp32"
    assert "zero: goes on with precision fp32, as it began; on this machine `auto` is bf16" in stages.said
    path = folder(tmp_path, "zero") / "manifest.json"
    manifest = read_json(path)
    assert manifest["config"]["precision"] == "auto" and manifest.pop("precision") == "fp32"
    write_json(path, manifest)  # as an older ponder wrote it
    assert start() == ["zero", "scores"]
    assert stages.contexts["zero"].config.precision == "bf16"
    assert start("stages.scores.precision=fp32", redo=["scores"]) == ["scores"]
    done = read_manifest(folder(tmp_path, "scores"))
    assert done is not None and done.precision is None


def test_a_killed_session_is_counted_as_such(start: Callable[..., list[str]], stages: Stages, tmp_path: Path) -> None:
    stages.trouble["zero"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        start()
    path = folder(tmp_path, "zero") / "manifest.json"
    manifest = read_json(path)
    manifest["sessions"][0] |= {"finished": None, "outcome": "running", "error": None}  # as kill -9 leaves it
    write_json(path, manifest)
    (folder(tmp_path, "zero") / ".tmp-left").mkdir()
    start()
    done = read_manifest(folder(tmp_path, "zero"))
    assert done is not None and [s.outcome for s in done.sessions] == ["killed", "done"]
    assert done.sessions[0].finished is not None
    assert not (folder(tmp_path, "zero") / ".tmp-left").exists()


def test_changed_settings_are_refused_key_by_key(
    start: Callable[..., list[str]], stages: Stages, tmp_path: Path
) -> None:
    start()
    before = sorted((p, p.stat().st_mtime_ns) for p in (tmp_path / "out").rglob("*") if p.name != "lock")
    with pytest.raises(RunFolderError) as caught:
        start("stages.zero.steps=8", "stages.zero.objective=dr_grpo")
    message = str(caught.value)
    for part in ("steps: 5 -> 8", 'objective.preset: "grpo" -> "dr_grpo"', "--redo zero", "--out", "zero ("):
        assert part in message
    assert "scores" not in message  # changed only because zero did
    after = sorted((p, p.stat().st_mtime_ns) for p in (tmp_path / "out").rglob("*") if p.name != "lock")
    assert stages.ran == [] and after == before


def test_settings_without_effect_may_change(start: Callable[..., list[str]], stages: Stages) -> None:
    stages.trouble["zero"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        start()
    changed = ["batch.tokens_per_micro_batch=64", "keep_checkpoints=1", "checkpoint_every=3", "engine.max_slots=8"]
    assert start(*(f"stages.zero.{one}" for one in changed)) == ["zero", "scores"]
    assert stages.contexts["zero"].config.checkpoint_every == 3


def test_the_recipe_seed_counts_and_a_stage_seed_overrides_it(start: Callable[..., list[str]], stages: Stages) -> None:
    start("stages.base.seed=1", "stages.scores.seed=3")
    assert (stages.contexts["base"].seed, stages.contexts["scores"].seed) == (1, 3)
    with pytest.raises(RunFolderError, match="zero \\(seed"):
        start("stages.base.seed=1", "stages.scores.seed=3", "seed=5")


def test_a_stage_that_made_nothing_begins_anew_with_other_settings(
    start: Callable[..., list[str]], stages: Stages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(context: Context[Any]) -> Mapping[str, Any]:
        raise DataError("no usable problem")

    with monkeypatch.context() as patch:
        patch.setitem(STAGES, "rl", fail)
        with pytest.raises(DataError):
            start()
    assert start("stages.zero.steps=8") == ["zero", "scores"]
    done = read_manifest(folder(tmp_path, "zero"))
    assert done is not None and [s.outcome for s in done.sessions] == ["done"] and done.config["steps"] == 8


def test_a_full_disk_says_so(start: Callable[..., list[str]], stages: Stages, tmp_path: Path) -> None:
    stages.trouble["zero"] = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(RunFolderError, match=r"the disk is full.*same command again"):
        start()
    assert is_done(folder(tmp_path, "base"))
    assert start() == ["zero", "scores"]


def test_smoke_needs_no_inputs(start: Callable[..., list[str]], stages: Stages) -> None:
    start("stages.zero.problems=[{source: hub, id: nobody/nothing}]", smoke=True)
    config = stages.contexts["zero"].config
    assert config.steps == 2 and config.problems[0].source == "micro"


def test_errors_are_one_paragraph(start: Callable[..., list[str]]) -> None:
    start()
    with pytest.raises(PonderError) as caught:
        start("stages.zero.steps=8")
    assert "\n" not in str(caught.value)


def test_manifest_is_json_for_other_programs(start: Callable[..., list[str]], tmp_path: Path) -> None:
    start()
    manifest = json.loads((folder(tmp_path, "zero") / "manifest.json").read_text())
    assert manifest["status"] == "done" and manifest["seconds"] >= 0 and manifest["config"]["steps"] == 5
