"""What bad input gets, as a user meets it: one paragraph, status 1, no traceback, and nothing lost."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ponder import cli
from ponder.files import EMBEDDED_BASE, read_json, write_json

RECIPE = """\
name: bad
stages:
  zero:
    kind: rl
    model: micro
    template: r1-zero
    problems: [{source: file, path: problems.jsonl}]
    steps: 2
    problems_per_step: 2
    group_size: 2
    checkpoint_every: 1
    sampling: {max_tokens: 16}
"""
GOOD = [{"prompt": f"{i}+{i}=?", "answer": str(2 * i)} for i in range(6)]

Ponder = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a recipe and its problems."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    _write_rows(tmp_path, GOOD)
    return tmp_path


@pytest.fixture
def ponder(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Ponder:
    """Runs a command line in this process: status, what it printed, what it complained of."""

    def run(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        monkeypatch.setattr("sys.argv", ["ponder", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capfd.readouterr()
        code = ended.value.code
        return code if isinstance(code, int) else int(bool(code)), printed.out, printed.err

    return run


def _write_rows(folder: Path, rows: list[dict[str, object]]) -> None:
    (folder / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _model(folder: Path, **changes: dict[str, object]) -> str:
    """A copy of the embedded base in which keys of its JSON files are changed, or removed where None."""
    shutil.copytree(EMBEDDED_BASE, folder / "model")
    for name, fields in changes.items():
        file = folder / "model" / f"{name}.json"
        kept = {key: value for key, value in (read_json(file) | fields).items() if value is not None}
        write_json(file, kept)
    return "stages.zero.model=./model"


def _refused(result: tuple[int, str, str], *words: str) -> None:
    status, _, said = result
    assert status == 1, said
    complaint = said.splitlines()[-1]
    assert complaint.startswith("ponder: ") and "Traceback" not in said
    for word in words:
        assert word in complaint, complaint


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("stages.zero.stpes=5", "unknown key 'stpes' in stages.zero (rl); did you mean 'steps'?"),
        ("stages.zero.steps=many", "got the text 'many', expected a whole number"),
        ("stages.zero.steps=-2", "got -2, expected greater than or equal to 1"),
        ("stages.zero.group_size=1", "got 1, expected greater than or equal to 2"),
        ("stages.zero.optimizer.lr=.nan", "got .nan, expected a finite number"),
        ("stages.zreo.steps=5", "has no stage 'zreo', only zero; did you mean 'zero'?"),
        ("stages.zero.model=base", "stage 'zero' refers to 'base', which is not a stage, a path"),
        ("stages.zero.model=zero", "the stages wait for each other in a circle"),
        ("stages.zero.model=./nowhere", "the model folder './nowhere' does not exist: give"),
        ("stages.zero.problems.0.path=nowhere.jsonl", "the data file 'nowhere.jsonl' does not exist"),
        ("stages.zero.rewards={acuracy: 1}", "did you mean 'accuracy'?"),
        ("stages.zero.sampling.max_tokens=5000", "window of 'micro', prompt included, is 2,048"),
    ],
)
def test_what_a_recipe_says_wrong(folder: Path, ponder: Ponder, override: str, words: str) -> None:
    _refused(ponder("run", "recipe.yaml", override), words)
    assert not (folder / "runs").exists()


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], ("has no usable problem", "it is empty")),
        ([{"prompt": "1+1=?", "answer": ""}, {"prompt": "2", "answer": "\\frac{"}], ("row 1", "row 2", "`gold`")),
        ([{"question": "1+1=?", "answer": "2"}], ("no column 'prompt'", "There are: answer, question")),
        ([*GOOD, {"prompt": "word " * 3000, "answer": "4"}], ("'problems/7'", "window is 2048", "never cut")),
    ],
    ids=["empty", "unreadable gold", "no such column", "longer than the window"],
)
def test_problems_that_cannot_be_used(
    folder: Path, ponder: Ponder, rows: list[dict[str, object]], words: tuple[str, ...]
) -> None:
    _write_rows(folder, rows)
    _refused(ponder("run", "recipe.yaml"), *words)


def test_a_bad_row_is_listed_and_left_out(folder: Path, ponder: Ponder) -> None:
    _write_rows(folder, [])
    assert ponder("run", "recipe.yaml")[0] == 1
    _write_rows(folder, GOOD)  # mended: the same command must not hold the failure against it
    with (folder / "problems.jsonl").open("a") as file:
        file.write('{"prompt": "broken\n')
    status, printed, said = ponder("run", "recipe.yaml")
    assert status == 0, said
    assert "zero: problems 6\n" in printed and "1 rows left out" in printed
    assert "left out: problems row 7: not JSON" in printed


def test_a_tokenizer_without_end(folder: Path, ponder: Ponder) -> None:
    model = _model(folder, tokenizer_config={"eos_token": None}, generation_config={"eos_token_id": None})
    _refused(ponder("run", "recipe.yaml", model), "tokenizer without end token", "Set `eos_token`")


def test_a_configuration_that_is_none(folder: Path, ponder: Ponder) -> None:
    model = _model(folder)
    (folder / "model" / "config.json").write_text("[]")
    _refused(ponder("run", "recipe.yaml", model), "model")


@pytest.mark.parametrize(
    "command", [("run", "recipe.yaml", "--out"), ("eval", "micro", "-b", "problems.jsonl", "--out")]
)
def test_a_folder_that_cannot_be(folder: Path, ponder: Ponder, command: tuple[str, ...]) -> None:
    (folder / "file").write_text("")
    _refused(ponder(*command, "file/out"), "'file/out", "Not a directory", "Check that the path is right")


def test_run_folders_of_others_and_damaged_checkpoints(folder: Path, ponder: Ponder) -> None:
    """One run, whose folder is then met in every wrong way; in the end it still goes on."""
    assert ponder("run", "recipe.yaml")[0] == 0
    stage, resolved = folder / "runs" / "bad" / "stages" / "zero", folder / "runs" / "bad" / "recipe.resolved.json"
    weights = (stage / "model" / "model.safetensors").read_bytes()
    _refused(ponder("run", "recipe.yaml", "name=other", "--out", "runs/bad"), "made by the recipe 'bad'", "--out")
    _refused(ponder("run", "recipe.yaml", "stages.zero.objective.clip_low=0.3"), "clip_low: ", "--redo zero")
    made = read_json(resolved)
    write_json(resolved, made | {"format": 99})
    _refused(ponder("run", "recipe.yaml"), "newer ponder", "upgrade ponder")
    write_json(resolved, made)

    for name in ("done", "model"):  # as if killed after its last checkpoint
        path = stage / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    first, last = sorted((stage / "checkpoints").glob("step-*"))
    _flip(last / "optimizer.safetensors")
    status, printed, said = ponder("run", "recipe.yaml")
    assert status == 0, said
    assert "ponder: warning: Checkpoint" in said and "'optimizer.safetensors' is not what was written" in said
    assert "going on after step 1" in printed
    assert (stage / "model" / "model.safetensors").read_bytes() == weights

    (stage / "done").unlink()
    for checkpoint in (first, last):
        _flip(checkpoint / "model" / "model.safetensors")
    _refused(ponder("run", "recipe.yaml"), "no undamaged checkpoint to go back to", "remove")


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def test_files_that_are_not_there(folder: Path, ponder: Ponder) -> None:
    _refused(ponder("verify", "nope"), "There is no file", "nope")
    _refused(ponder("decontaminate", "nope.jsonl", "-b", "no-such-benchmark"), "There is no file", "nope.jsonl")


def test_a_plan_that_would_not_start_says_so_in_its_status(folder: Path, ponder: Ponder) -> None:
    assert ponder("plan", "recipe.yaml")[0] == 0
    (folder / "problems.jsonl").unlink()
    status, printed, _ = ponder("plan", "recipe.yaml")
    assert status == 1 and "would not start" in printed


def test_a_bug_keeps_its_traceback(folder: Path, ponder: Ponder, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object, **named: object) -> None:
        raise OSError("neither number nor file")

    monkeypatch.setattr("ponder.recipe.load.load_recipe", broken)
    with pytest.raises(OSError, match="neither"):
        ponder("plan", "recipe.yaml")


@pytest.mark.parametrize(("option", "value"), [("--temperature", "inf"), ("--temperature", "nan"), ("--top-p", "0")])
def test_numbers_that_are_none(ponder: Ponder, option: str, value: str) -> None:
    status, _, said = ponder("eval", "micro", "-b", "micro-test", option, value)
    assert status == 2 and "Traceback" not in said and f"'{option}'" in said


def _in_a_process(*arguments: str, output: object = subprocess.PIPE, **environment: str) -> tuple[int, bytes, str]:
    run = subprocess.run(
        [sys.executable, "-m", "ponder.cli", *arguments],
        stdout=output,  # type: ignore[call-overload]
        stderr=subprocess.PIPE,
        env=os.environ | environment,
        timeout=120,
    )
    return run.returncode, run.stdout or b"", run.stderr.decode()


def test_output_that_cannot_be_written() -> None:
    with open("/dev/full", "wb") as full:
        status, _, said = _in_a_process("recipes", output=full)
    assert status == 1 and said.startswith("ponder: the output, or a file of the run, cannot be written: No space")
    assert "Traceback" not in said and "Exception" not in said


def test_output_that_is_no_unicode(folder: Path) -> None:
    (folder / "mine.yaml").write_text(f"# \u7b97\u672f\n{RECIPE}")
    status, _, said = _in_a_process("show", "\u7b97\u672f", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert status == 1 and "\\u7b97\\u672f" in said and "Traceback" not in said


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
            f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
        ), "100,000 values"),
        ("a: " + "[" * 60 + "]" * 60, "50 deep"),
        ("a: " + "[" * 5000 + "]" * 5000, "deep"),
        ("name: x\nseed: " + "9" * 5000, "a number of 5,000 digits"),
    ],
    ids=["aliases", "nested", "nested too deep for any parser", "digits"],
)  # fmt: skip
def test_recipes_that_no_recipe_is(folder: Path, ponder: Ponder, text: str, word: str) -> None:
    (folder / "odd.yaml").write_text(text)
    _refused(ponder("plan", "odd.yaml"), word)
