"""The command line: its commands and options are frozen here, and errors are one paragraph with a status."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ponder.cli import app
from ponder.doctor import _hub, _room, examine
from ponder.manifest import is_done
from tests import command

RECIPE = """\
name: small
stages:
  base: {kind: pretrain, architecture: {model_type: qwen2}, tokens: 100}
  zero: {kind: rl, model: base, steps: 5, problems: [{source: micro}]}
"""

OPTIONS = {
    "recipes": ["name"],
    "plan": ["recipe", "overrides", "--out", "--machine", "--context"],
    "run": ["recipe", "overrides", "--out", "--redo", "--smoke", "--on"],
    "show": ["run", "--json"],
    "eval": [
        "model", "--benchmark", "-b", "--problems", "--kind", "--prompt", "--gold", "--answer-after", "--limit",
        "--max-tokens", "--samples", "-k", "--temperature", "--top-p", "--template", "--seed", "--out", "--replay",
        "--endpoint", "--key-env", "--vote", "--abstain-below", "--best-of", "--scorer", "--retries", "--audit",
        "--thinking-tokens", "--json",
    ],
    "sample": [
        "model", "prompts", "--samples", "-k", "--temperature", "--max-tokens", "--template", "--seed", "--vote",
        "--abstain-below", "--best-of", "--scorer", "--check", "--retries", "--audit", "--thinking-tokens",
    ],
    "serve": ["model", "settings", "--config", "--follow", "--new-key"],
    "chat": ["model", "--url", "--key-env"],
    "export": ["model", "--to", "--gguf", "--type", "--ids-only", "--license", "--template"],
    "verify": [
        "file", "--kind", "--gold", "--answer", "--out", "-o", "--template", "--deadline", "--workers",
        "--isolation",
    ],
    "sweep": ["recipe", "overrides", "--seeds", "--out", "--smoke"],
    "try": [
        "what", "arguments", "--problems", "--kind", "--prompt", "--gold", "--answer-after", "--max-tokens",
        "--seconds", "--seed", "--out", "--rollouts", "--limit", "--template", "--deadline",
    ],
    "decontaminate": ["file", "--benchmark", "-b", "--text", "--out", "-o", "--json"],
    "doctor": [],
}  # fmt: skip
"""A new option is a promise to every user: prefer a key of the recipe."""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(RECIPE)
    return path


def ponder(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return command.run(*arguments, environment=environment)


def test_commands_and_options() -> None:
    group = typer.main.get_command(app)
    commands = group.commands  # type: ignore[attr-defined]
    options = {
        name: [o for p in c.params for o in (p.opts if p.opts[0][0] == "-" else [p.name])]
        for name, c in commands.items()
    }
    assert options == OPTIONS
    assert [p.opts for p in group.params] == [["--traceback"]]


@pytest.mark.parametrize("name", [[], *([name] for name in OPTIONS)])
def test_help_says_something_about_every_option(name: list[str]) -> None:
    result = CliRunner().invoke(app, [*name, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.stdout


def test_plan(recipe: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["plan", str(recipe), "stages.zero.group_size=8", "--out", str(tmp_path / "out")])
    assert result.exit_code == 0
    assert "32 problems x 8 completions, 5 updates" in result.stdout
    assert not (tmp_path / "out").exists()


def test_a_mistake_is_one_paragraph_and_status_1(recipe: Path) -> None:
    result = ponder("plan", recipe, "stages.zero.stpes=5")
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("ponder: override 'stages.zero.stpes=5': unknown key 'stpes'")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(("arguments", "environment"), [(["--traceback"], {}), ([], {"PONDER_TRACEBACK": "1"})])
def test_traceback_on_demand(recipe: Path, arguments: list[str], environment: dict[str, str]) -> None:
    result = ponder(*arguments, "plan", recipe, "x=1", **environment)
    assert result.returncode == 1
    assert "Traceback" in result.stderr and "RecipeError" in result.stderr


def test_a_missing_argument_is_a_usage_error() -> None:
    """In an interpreter of its own, as users start it."""
    assert subprocess.run([sys.executable, "-m", "ponder.cli", "run"], capture_output=True).returncode == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_a_run_keeps_it(recipe: Path, tmp_path: Path, number: signal.Signals) -> None:
    program = """
import os, time
from ponder.cli import main
from ponder.stages import STAGES
STAGES["pretrain"] = lambda context: {}
STAGES["rl"] = lambda context: time.sleep(float(os.environ["SECONDS"])) or {}
main()
"""
    out = tmp_path / "out"

    def start(seconds: int) -> command.Command:
        environment = {"SECONDS": str(seconds)}
        return command.start("run", recipe, "--out", out, program=program, environment=environment)

    process = start(60)
    deadline = time.monotonic() + 30
    while not (out / "stages" / "zero" / "manifest.json").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.1)
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert (
        said == f"stopped: {out} keeps all finished stages and the last checkpoint; the same command goes on from it\n"
    )
    assert is_done(out / "stages" / "base") and not is_done(out / "stages" / "zero")
    process = start(0)
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "base: done before, skipped" in printed and "zero: going on" in printed
    assert is_done(out / "stages" / "zero")


def test_doctor_says_which_languages_can_be_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ponder.sandbox.javascript.NODE", "/nonexistent/node")
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/clang++" if name == "clang++" else None)
    findings = {finding.name: finding for finding in examine()}
    for name, language in (("compiler", "C++"), ("node", "JavaScript")):
        assert findings[name].state == "limited" and language in findings[name].found


@pytest.mark.parametrize(
    ("variable", "value", "found"),
    [
        ("HF_HUB_OFFLINE", "true", "HF_HUB_OFFLINE=true: only what is cached"),
        ("HF_HUB_OFFLINE", "YES", "HF_HUB_OFFLINE=YES: only what is cached"),
        ("HF_ENDPOINT", "hub.example.org", "HF_ENDPOINT=hub.example.org is no address of a hub"),
        ("HF_ENDPOINT", "http://hub.example.org:port", "HF_ENDPOINT=http://hub.example.org:port is no address"),
    ],
)
def test_doctor_reads_how_the_hub_is_reached(
    variable: str, value: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv(variable, value)
    (finding,) = _hub()
    assert finding.state == "limited" and finding.found.startswith(found) and finding.mend == f"unset {variable}"


@pytest.mark.parametrize("version", [1, 2])
def test_doctor_tells_the_memory_of_a_container(version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ponder.doctor._CGROUPS", tmp_path)
    folder = tmp_path if version == 2 else tmp_path / "memory"
    folder.mkdir(exist_ok=True)
    limit, used, stat = (
        ("memory.max", "memory.current", "inactive_file")
        if version == 2
        else ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    )
    (folder / limit).write_text(f"{2**29}\n")
    (folder / used).write_text(f"{2**28}\n")
    (folder / "memory.stat").write_text(f"anon 5\n{stat} {2**27}\n")
    memory = next(_room())
    assert (memory.found, memory.state) == ("0.4 GiB free of 0.5 GiB", "limited")
    (folder / limit).write_text("max\n" if version == 2 else f"{2**63 - 4096}\n")
    assert "of 0.5 GiB" not in next(_room()).found


def test_doctor_looks_at_everything_and_mends_what_is_not_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    findings = {finding.name: finding for finding in examine()}
    assert {
        "python",
        "ponder",
        "torch",
        "threads",
        "cpu",
        "gpu",
        "memory",
        "disk",
        "compiler",
        "node",
        "model micro",
        "model micro-student",
        "hub",
    } <= findings.keys()
    assert findings["python"].state == findings["torch"].state == "ok"
    assert findings["hub"].mend == "unset HF_HUB_OFFLINE"
