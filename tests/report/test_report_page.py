"""The page and `ponder show` about a run folder that was written by the code real runs use."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from random import Random

import pytest
from report_run_builder import PROVENANCE, build_run, problem, sample

from ponder.errors import RunFolderError
from ponder.evaluation import ProblemResult, completions_path, save_scores, write_scores
from ponder.evaluation.results import ResultsWriter
from ponder.evaluation.scores import score
from ponder.manifest import read_manifest
from ponder.report import show_run, try_report, write_report
from ponder.report.figures import _phases
from ponder.report.page import _highlight
from ponder.report.run import read_run
from ponder.text import TEMPLATES

NAMES = (
    "pass@1", "pass@1_interval", "cons@16", "mean_tokens", "reflection_per_1k_tokens", "language_consistency",
    "format_ok", "truncated",
)  # fmt: skip


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_run(tmp_path_factory.mktemp("run"), steps=24, every=12, problems=12)


class Page(HTMLParser):
    """Counts elements, collects text, and insists that every element is closed."""

    VOID = ("meta", "br", "link", "line", "circle", "path")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_page_holds_everything_and_needs_nothing(run_folder: Path) -> None:
    path = write_report(run_folder)
    assert path == run_folder / "report.html"
    text = path.read_text()
    page = Page(text)
    assert page.open == []
    assert all(link.startswith("#") for link in page.links)
    assert "@import" not in text and "url(" not in text
    words = " ".join(" ".join(page.texts).split())
    for title in (
        "Accuracy", "Held-out accuracy by task", "Response length", "Reflection words", "Rewards", "Groups", "Entropy",
        "Divergence from the reference", "Language consistency", "What goes wrong", "Where the time goes", "Loss",
        "Start and end on the same held-out problems", "By task", "The same problem as training went on", "Benchmarks",
        "clip_high: 10.0", "torch 2.13.0", "Early", "Middle", "End",
    ):  # fmt: skip
        assert title in words, title
    assert "prefers-color-scheme: dark" in text


def test_what_a_completion_says_is_text_not_markup(run_folder: Path) -> None:
    text = write_report(run_folder).read_text()
    assert "<现在有几个>" not in text
    assert "&lt;现在有几个&gt;" in text
    assert '<span class="tag">&lt;think&gt;</span>' in text
    assert '<span class="reflection">Wait</span>' in text or '<span class="reflection">等等</span>' in text


def test_marked_words_are_those_that_are_counted() -> None:
    text = "<think>Wait, 没错, 不但 a<b 苹果等等"
    assert _highlight(text) == (
        '<span class="tag">&lt;think&gt;</span><span class="reflection">Wait</span>, 没错, 不但 a&lt;b 苹果等等'
    )


def test_time_is_told_by_phases_that_follow_each_other() -> None:
    row = {"seconds/generate": 5.0, "seconds/score": 1.0, "seconds/critic": 1.0, "seconds/update": 2.0,
           "seconds/proximal": 0.0, "seconds/step": 10.0}  # fmt: skip
    for waited, labels in (
        ({}, ["generate", "score", "critic", "update", "other"]),
        ({"seconds/wait": 3.0}, ["wait", "critic", "update", "other"]),
    ):
        chart = _phases([{"step": step, **row, **waited} for step in (1, 2)])
        assert chart is not None and [one.label for one in chart.series] == labels
        assert [sum(y) for y in zip(*([y for _, y in one.points] for one in chart.series), strict=True)] == [10, 10]


def test_only_the_named_stages(run_folder: Path) -> None:
    text = write_report(run_folder, only=("zero",)).read_text()
    assert 'id="zero"' in text and 'id="base"' not in text


def test_show_as_json(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_run(run_folder, as_json=True)
    value = json.loads(capsys.readouterr().out)
    assert list(value["stages"]) == ["base", "zero", "scores", "report"]
    zero = value["stages"]["zero"]
    assert (zero["kind"], zero["status"], zero["seconds"], zero["step"]) == ("rl", "done", 402.0, 24)
    for point in ("start", "end"):
        assert all(name in zero[point] for name in NAMES)
        assert zero[point]["cons@16"] is not None
    assert zero["end"]["pass@1"] > zero["start"]["pass@1"] + 0.3
    low, high = zero["change"]["pass@1_interval"]
    assert low < zero["change"]["pass@1"] < high
    assert zero["change"]["pass@1"] == pytest.approx(zero["end"]["pass@1"] - zero["start"]["pass@1"])
    assert value["stages"]["base"]["start"] == {}
    assert value["stages"]["report"] == {
        "kind": "report", "status": "waiting", "seconds": 0.0, "step": None, "start": {}, "end": {},
    }  # fmt: skip
    benchmarks = value["stages"]["scores"]["benchmarks"]
    assert {model: list(found) for model, found in benchmarks.items()} == {"base": ["micro"], "zero": ["micro"]}
    assert benchmarks["zero"]["micro"]["file"] == "zero--micro.json"
    assert value["stages"]["scores"]["paired"] == []


def test_show_for_people(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_run(run_folder)
    shown = capsys.readouterr().out
    for words in ("zero-micro", "waiting", "6m 42s", "start (step 0)", "end (step 24)", "paired", "base on micro"):
        assert words in shown
    assert "equals the gold answer" in shown  # a sample with the verdict's reason
    assert "accuracy 1, format 1" in shown


def test_show_takes_names_and_texts_for_what_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = build_run(tmp_path / "[/red]", steps=20, problems=2, samples=2)
    for log in (run / "stages" / "zero" / "rollouts").iterdir():
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        for line in lines:
            line["problem"]["id"] = f"[/bold]/{line['problem']['id']}"
            line["problem"]["messages"] = [{"role": "user", "content": "[/b] \x1b[31m :smile:"}]
        log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    show_run(run)
    printed = capsys.readouterr().out
    assert "[/bold]/" in printed and "[/b] \\x1b[31m :smile:" in printed and "\x1b" not in printed


def test_what_was_not_measured_has_no_row(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_run(run_folder)
    shown = capsys.readouterr().out
    assert "phenomena of R1" in shown
    assert "not measured" not in shown
    page = write_report(run_folder).read_text()
    assert '<td class="n">-</td>' not in page
    assert 'id="phenomena"' in page and "not measured" not in page.lower()
    show_run(run_folder, as_json=True)
    assert "not measured" not in {one["verdict"] for one in json.loads(capsys.readouterr().out)["phenomena"]}


def test_a_run_of_one_stage_that_measured_nothing_speaks_of_no_phenomena(tmp_path: Path) -> None:
    run_folder = build_run(tmp_path)
    shutil.rmtree(run_folder / "stages")
    page = write_report(run_folder).read_text()
    assert 'id="phenomena"' not in page and "not measured" not in page.lower()


def test_a_run_that_is_still_going_on(tmp_path: Path) -> None:
    folder = build_run(tmp_path, steps=24, every=12, problems=4)
    zero = folder / "stages" / "zero"
    (zero / "done").unlink()
    for left in (zero / "evaluation").glob("step-0000[12]*"):
        left.unlink()
    found = read_manifest(zero)
    assert found is not None
    session = replace(found.sessions[0], finished=None, outcome="running", host=socket.gethostname(), pid=os.getpid())
    replace(found, sessions=(session,)).write(zero)
    with (zero / "metrics.jsonl").open("a") as file:
        file.write('{"step":25,"pol')
    stage = read_run(folder).stages[1]
    assert (stage.status, stage.end, len(stage.rows)) == ("running", None, 24)
    assert 'class="status running"' in write_report(folder).read_text()

    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    replace(found, sessions=(replace(session, pid=gone.pid),)).write(zero)
    assert read_run(folder).stages[1].status == "killed"


def test_a_run_with_nothing_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = build_run(tmp_path, steps=24, every=24, problems=2)
    for name in ("base", "zero", "scores"):
        (folder / "stages" / name / "manifest.json").unlink()
        for path in [*(folder / "stages" / name).rglob("*.json*"), *(folder / "stages" / name).glob("done")]:
            path.unlink()
    show_run(folder, as_json=True)
    assert {stage["status"] for stage in json.loads(capsys.readouterr().out)["stages"].values()} == {"waiting"}
    show_run(folder)
    assert write_report(folder).exists()


def seconds_written(stage: Path, seconds: float) -> None:
    """As if nothing in the stage's folder had been written later than so long after its session began."""
    began = datetime.fromisoformat("2026-03-01T12:00:00+00:00").timestamp()
    for path in stage.rglob("*"):
        os.utime(path, (began + seconds, began + seconds))


@pytest.mark.parametrize("host", ["here", "elsewhere"])
def test_the_time_of_a_stage_that_was_killed_ends_with_its_last_file(tmp_path: Path, host: str) -> None:
    folder = build_run(tmp_path, steps=4, every=4, problems=2, samples=2)
    zero = folder / "stages" / "zero"
    (zero / "done").unlink()
    found = read_manifest(zero)
    assert found is not None
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    name = socket.gethostname() if host == "here" else host
    session = replace(found.sessions[0], finished=None, outcome="running", host=name, pid=gone.pid)
    replace(found, sessions=(session,)).write(zero)
    seconds_written(zero, 600)
    assert read_run(folder).stages[1].seconds == 600

    alive = replace(session, host=socket.gethostname(), pid=os.getpid())
    replace(found, sessions=(alive,)).write(zero)
    seconds_written(zero, 600)
    now = (datetime.now(UTC) - datetime.fromisoformat(session.started)).total_seconds()
    assert read_run(folder).stages[1].seconds == pytest.approx(now, abs=60)


def test_held_out_problems_without_gold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Prompts that only a reward model can score: the stage is measured, and has no accuracy."""
    folder = build_run(tmp_path, steps=24, every=12, problems=4, samples=16)
    zero = folder / "stages" / "zero"
    for step in (0, 12, 24):
        blind = [replace(problem(i), gold=None, route="helpful") for i in range(4)]
        found = [ProblemResult(problem=p, samples=(sample(p, 0.5, Random(step)),) * 16) for p in blind]
        with ResultsWriter(completions_path(zero, step), PROVENANCE) as writer:
            for one in found:
                writer.write(one)
        scores = score(found, TEMPLATES["r1-zero"], PROVENANCE, seed=0)
        save_scores(zero, step, scores)
    benchmark = replace(scores, provenance=PROVENANCE | {"model": "zero", "benchmark": {"name": "micro"}})
    write_scores(folder / "stages" / "scores" / "evaluation" / "zero--micro.json", benchmark)
    text = try_report(folder, lambda line: pytest.fail(line))
    assert text is not None
    words = " ".join(" ".join(Page(text.read_text()).texts).split())
    assert ", no gold" in words and "right in 0 % of samples" not in words
    assert "no held-out problem has a gold" in words and "Response length" in words
    assert "Held-out accuracy by task" not in words
    show_run(folder)
    assert not re.search(r"\bnan\b", words + capsys.readouterr().out)


def test_a_fault_of_the_page_stops_no_run(tmp_path: Path) -> None:
    run = build_run(tmp_path, steps=20, problems=2, samples=2)
    path = run / "stages" / "zero" / "evaluation" / "step-000020.jsonl"
    first, *rest = path.read_text().splitlines(keepends=True)
    made = json.loads(first)
    made["provenance"]["seed"] = "seven"
    path.write_text("".join([json.dumps(made) + "\n", *rest]))
    said: list[str] = []
    assert try_report(run, said.append) is None
    assert "the report is not written" in said[0] and "ValueError: invalid literal" in said[0]


def test_findings_are_told_with_their_steps(tmp_path: Path) -> None:
    folder = build_run(tmp_path, steps=24, every=24, problems=2)
    path = folder / "stages" / "zero" / "metrics.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows[:14]:
        row["rollout/truncated"] = 0.9
    for row in rows[10:]:
        row |= {"groups/useful": 0.0, "groups/all_wrong": 1.0, "groups/all_right": 0.0}
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = write_report(folder).read_text()
    assert "no signal: 100 % of groups all wrong" in text
    assert "since step 20" in text
    assert "from step 10 to 14" in text


@pytest.mark.parametrize("content", [None, "{}", '{"recipe": {"name": "x", "stages": []}, "smoke": false}', "x"])
def test_other_folders_are_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "recipe.resolved.json").write_text(content)
    for act in (write_report, show_run):
        with pytest.raises(RunFolderError, match=r"no run folder|damaged"):
            act(tmp_path)


def test_a_report_needs_no_torch(run_folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from ponder.report import write_report; "
        f"write_report(Path({str(run_folder)!r})); assert 'torch' not in sys.modules, 'torch was imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


@pytest.mark.parametrize(
    ("damaged", "content"),
    [
        ("evaluation/step-000010.jsonl", b"\xff\xff"),
        ("evaluation/step-000010.jsonl", b""),
        ("evaluation/step-000010.jsonl", b"[1, 2]\n"),
        ("evaluation/step-000010.jsonl", b'{"provenance": 3}\n{"id": 1}\n'),
        ("evaluation/step-000000.json", b'{"a"'),
        ("evaluation/step-000000.json", b'{"format": "x"}'),
        ("evaluation/step-000000.json", b"[]"),
        ("metrics.jsonl", b"\x00garbage\n{}\n"),
        ("rollouts/rollouts-000000.jsonl", b"\xff\n{}\n"),
        ("model/model.safetensors", b"zero"),
        ("model/model.safetensors", b"\xff" * 64),
        ("manifest.json", b"[]"),
        ("alarms.jsonl", b"{}\n"),
    ],
)
def test_damage_is_said_and_the_run_goes_on(tmp_path: Path, damaged: str, content: bytes) -> None:
    run = build_run(tmp_path / "run", steps=20, problems=2, samples=2)
    path = run / "stages" / "zero" / damaged
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    said: list[str] = []
    written = try_report(run, said.append)
    assert (written is None) == bool(said) and all("the report is not written" in line for line in said)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    (run / "report.html").unlink(missing_ok=True)
    (run / "report.html").mkdir()
    assert try_report(run, said.append) is None and "the report is not written" in said[-1]


def test_copies_beside_evaluations_and_rollouts_are_passed_over(tmp_path: Path) -> None:
    run = build_run(tmp_path / "run", steps=20, problems=2, samples=2)
    stage = run / "stages" / "zero"
    for path in (stage / "evaluation" / "step-000010.json", stage / "rollouts" / "rollouts-000000.jsonl"):
        path.with_name(f"{path.stem} (copy){path.suffix}").write_text("{}")
    assert try_report(run, lambda line: pytest.fail(line)) is not None
