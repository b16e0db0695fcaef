"""The sample stage with a teacher at an endpoint, as a command: killed and continued, rewritten and judged."""

import json
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from chat_server import Action, ChatServer, said

from ponder.errors import DataError, EndpointError, RunFolderError
from ponder.pipeline.run import run
from ponder.recipe import load_recipe
from tests import command

ROWS = [{"prompt": f"What is {i}+3?", "answer": str(i + 3)} for i in range(12)]


def recipe(tmp_path: Path, server: ChatServer, **stage: Any) -> Path:
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    settings = {
        "kind": "sample",
        "endpoint": server.endpoint().model_dump() | {"api_key_env": "TEACHER_KEY"},
        "problems": [{"source": "file", "path": str(tmp_path / "sums.jsonl")}],
        "samples": 2,
        "keep": {"correct": True},
    } | stage
    path = tmp_path / "teach.yaml"
    path.write_text(yaml.safe_dump({"name": "teach", "stages": {"data": settings}}))
    return path


def go(path: Path, out: Path, *redo: str) -> dict[str, Any]:
    run(load_recipe(path, ()), out, text=path.read_text(), redo_stages=redo, say=lambda line: None)
    results = json.loads((out / "stages" / "data" / "manifest.json").read_text())["results"]
    assert isinstance(results, dict)
    return results


def lines(out: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "stages" / "data" / name).read_text().splitlines()]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEACHER_KEY", "sk-secret")


def teacher(body: Mapping[str, Any], tries: int) -> Action:
    """Right the first time a question is asked, wrong after that."""
    number = int(body["messages"][-1]["content"].split()[2].split("+")[0])
    return said(str(number + (3 if tries == 0 else 4)), reasoning_content=f"{number} and three more")


def test_distillation_data(server: ChatServer, tmp_path: Path) -> None:
    server.play = teacher
    results = go(recipe(tmp_path, server), tmp_path / "out")
    assert (results["kept"], results["asked"], results["rejected"]) == (12, 24, {"wrong": 12})
    assert results["requests"]["samples"] == {
        "asked": 24, "failed": 0, "prompt_tokens": 168, "completion_tokens": 120, "uncounted": 0, "cost": None,
    }  # fmt: skip
    assert results["composition"] == [{"domain": "math", "language": "en", "count": 12, "average_tokens": 5.0}]
    first = lines(tmp_path / "out", "examples.jsonl")[0]
    assert (first["thinking"], first["answer"], first["origin"]) == ("0 and three more", "3", "data")
    assert first["messages"] == [{"role": "user", "content": "What is 0+3?"}]
    everything = "".join(path.read_text() for path in (tmp_path / "out").rglob("*.json*"))
    assert "sk-secret" not in everything and "TEACHER_KEY" in everything


def test_what_a_benchmark_asks_is_not_asked_for(server: ChatServer, tmp_path: Path) -> None:
    robe = "A robe takes 2 bolts of blue fiber and half that much white fiber"
    prompts = [f"What is 0+3? {robe}?", "robe takes 2 bolts of blue fiber and half", "What is 2+3?"]  # 14, 9, 0 words
    (tmp_path / "robes.jsonl").write_text(json.dumps({"prompt": f"{robe}. How many?", "answer": "3"}) + "\n")
    path = recipe(tmp_path, server, decontaminate=[str(tmp_path / "robes.jsonl")], samples=1, keep={})
    rows = [{"prompt": prompt, "answer": "5"} for prompt in prompts]
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    results = go(path, tmp_path / "out")
    assert sorted(body["messages"][0]["content"] for body in server.requests) == sorted(prompts[1:])
    assert (results["problems"], results["asked"], results["kept"]) == (2, 2, 2)
    made = json.loads((tmp_path / "out" / "stages" / "data" / "decontamination.json").read_text())
    assert (made["texts"], made["kept"]) == (3, 2)
    (one,) = made["left_out"]
    assert (one["text"].rpartition("/")[2], one["benchmark"]) == ("1", "robes") and one["id"].endswith("robes/1")


def test_a_key_that_is_missing_is_found_before_anything_runs(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEACHER_KEY")
    with pytest.raises(EndpointError, match="TEACHER_KEY"):
        go(recipe(tmp_path, server), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_killed_and_continued_asks_only_what_is_missing(server: ChatServer, tmp_path: Path) -> None:
    def play(body: Mapping[str, Any], tries: int) -> Action:
        action = said("<think>hm</think>" + str(int(body["messages"][-1]["content"].split()[2].split("+")[0]) + 3))
        return Action(body=action.body, wait=0.1)

    server.play = play
    path = recipe(tmp_path, server)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    go(path, whole)
    assert len(server.requests) == 24
    server.requests.clear()
    text = path.read_text().replace("max_concurrency: 16", "max_concurrency: 2")  # without effect on the result
    path.write_text(text)
    process = command.start("run", path, "--out", broken, session=True)
    log = broken / "stages" / "data" / "requests" / "samples.jsonl"
    deadline = time.monotonic() + 60
    while not log.exists() or log.read_bytes().count(b"\n") < 5:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.kill_all()
    time.sleep(0.2)  # what was under way when it died
    received, asked = log.read_bytes().count(b"\n"), len(server.requests)
    assert received < 24 and asked <= received + 2
    go(path, broken)
    assert len(server.requests) == asked + 24 - received
    for name in ("examples.jsonl", "rejected.jsonl", "composition.json"):
        assert (broken / "stages" / "data" / name).read_bytes() == (whole / "stages" / "data" / name).read_bytes()
    assert log.read_bytes().count(b"\n") == 24


def test_interrupted_by_the_keyboard_keeps_everything(server: ChatServer, tmp_path: Path) -> None:
    server.play = lambda body, tries: Action(body=said("4").body, wait=0.1)
    path = recipe(tmp_path, server)
    process = command.start("run", path, "--out", tmp_path / "out")
    log = tmp_path / "out" / "stages" / "data" / "requests" / "samples.jsonl"
    while not log.exists() or not log.read_bytes():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    output = "".join(process.communicate())
    assert process.returncode != 0 and "Traceback" not in output
    manifest = json.loads((tmp_path / "out" / "stages" / "data" / "manifest.json").read_text())
    assert manifest["status"] == "interrupted" and log.read_bytes().endswith(b"\n")


def test_failures_are_counted_and_listed(server: ChatServer, tmp_path: Path) -> None:
    def play(body: Mapping[str, Any], tries: int) -> Action:
        return Action(status=500) if "5+3" in body["messages"][-1]["content"] else teacher(body, 0)

    server.play = play
    results = go(recipe(tmp_path, server), tmp_path / "out")
    assert results["rejected"] == {"failed": 2} and results["requests"]["samples"]["failed"] == 2
    (one, other) = lines(tmp_path / "out", "rejected.jsonl")
    assert (one["id"].rpartition("#")[2], other["id"].rpartition("#")[2]) == ("0", "1")
    assert "status 500" in one["detail"] and "after 3 tries" in one["detail"]


def test_nothing_kept(server: ChatServer, tmp_path: Path) -> None:
    server.play = lambda body, tries: said("<think>hm</think>1000")
    path = recipe(tmp_path, server)
    with pytest.raises(DataError, match=r"kept nothing: of 24 responses to 12 problems, 24 wrong\."):
        go(path, tmp_path / "out")
    assert len(lines(tmp_path / "out", "rejected.jsonl")) == 24
    assert not (tmp_path / "out" / "stages" / "data" / "done").exists()


def test_a_redo_with_another_rule_pays_for_nothing_twice(server: ChatServer, tmp_path: Path) -> None:
    server.play = lambda body, tries: said("<think>hm</think>1000")
    path, out = recipe(tmp_path, server), tmp_path / "out"
    with pytest.raises(DataError, match="run with --redo data: replies of an endpoint are kept"):
        go(path, out)
    server.requests.clear()
    path = recipe(tmp_path, server, keep={"distinct": 1}, samples=3)  # a looser rule, and one sample more
    with pytest.raises(RunFolderError, match="--redo data"):
        go(path, out)
    results = go(path, out, "data")
    assert len(server.requests) == 12 and results["requests"]["samples"]["asked"] == 36
    assert results["kept"] == 12
    server.requests.clear()
    go(path, out, "data")  # nothing has changed: asked anew
    assert len(server.requests) == 36
    path = recipe(tmp_path, server, keep={"distinct": 1}, sampling={"temperature": 0.5})
    server.requests.clear()
    assert go(path, out, "data")["requests"]["samples"]["asked"] == 24 == len(server.requests)


def test_rewritten_by_a_model_and_checked_again(server: ChatServer, tmp_path: Path) -> None:
    asked: list[str] = []

    def play(body: Mapping[str, Any], tries: int) -> Action:
        prompt = body["messages"][-1]["content"]
        if "<thinking_process>" not in prompt:
            number = int(prompt.split()[2].split("+")[0])
            return said(str(number + 3), reasoning_content="先想 and then add" if number < 6 else "just add them")
        asked.append("translate" if "Translate" in prompt else "summary")
        if asked[-1] == "translate":
            return said("first think and then add")
        if "What is 9+3?" in prompt:
            return said("It is \\boxed{1000}.")
        if "What is 8+3?" in prompt:
            return said("It is", finish="length")
        return said(f"Adding gives \\boxed{{{prompt.split('<answer>')[1].split()[0]}}}.")

    server.play = play
    by = {"kind": "endpoint", "endpoint": server.endpoint().model_dump()}
    path = recipe(
        tmp_path, server, samples=1, keep={"correct": True, "one_language": 0.9},
        rewrite={"by": by, "language": True, "summary": True},
    )  # fmt: skip
    results = go(path, tmp_path / "out")
    assert (asked.count("translate"), asked.count("summary")) == (6, 12)
    assert results["kept"] == 10 and results["rejected"] == {"not_rewritten": 1, "wrong": 1}
    examples = lines(tmp_path / "out", "examples.jsonl")
    assert {one["thinking"] for one in examples} == {"first think and then add", "just add them"}
    assert examples[0]["answer"] == "Adding gives \\boxed{3}."
    assert results["requests"]["rewrite"]["asked"] == 18


def test_judged_by_a_model(server: ChatServer, tmp_path: Path) -> None:
    def play(body: Mapping[str, Any], tries: int) -> Action:
        prompt = body["messages"][-1]["content"]
        if "<reference>" not in prompt:
            return said("<think>hm</think>about " + prompt.split()[2].split("+")[0])
        if "What is 4+3?" in prompt:
            return said("no JSON at all")
        even = int(prompt.split("<answer>\nabout ")[1].split()[0]) % 2 == 0
        return said(json.dumps({"analysis": "fine", "correctness": "correct" if even else "incorrect"}))

    server.play = play
    judge = {"kind": "endpoint", "endpoint": server.endpoint().model_dump()}
    results = go(recipe(tmp_path, server, samples=1, keep={"judged": True}, judge=judge), tmp_path / "out")
    assert results["kept"] == 5
    assert results["rejected"] == {"judged_wrong": 6, "judged_cannot_tell": 1}
    assert results["judge"] == {"asked": 13, "failed": 0, "off_format": 2, "cannot_tell": 1}


def test_a_judge_that_never_follows_its_form_is_named(server: ChatServer, tmp_path: Path) -> None:
    server.play = lambda body, tries: said("<think>hm</think>I would rather not say")
    judge = {"kind": "endpoint", "endpoint": server.endpoint().model_dump()}
    with pytest.raises(DataError, match=r"12 judged_cannot_tell \(24 replies of the judge did not follow its form\)"):
        go(recipe(tmp_path, server, samples=1, keep={"judged": True}, judge=judge), tmp_path / "out")
    listed = lines(tmp_path / "out", "rejected.jsonl")
    assert len(listed) == 12 and all("do not follow the form" in one["detail"] for one in listed)


def test_pairs_and_labels(server: ChatServer, tmp_path: Path) -> None:
    def play(body: Mapping[str, Any], tries: int) -> Action:
        prompt = body["messages"][-1]["content"]
        if "<answer_A>" in prompt:
            good_first = prompt.index("fine") < prompt.index("rude")
            return said("[[A>>B]]" if good_first else "[[B>>A]]")
        if "<response>" in prompt:
            return said('{"safety": "unsafe"}' if "rude" in prompt else '{"safety": "safe"}')
        return said("<think>hm</think>" + ("fine" if tries == 0 else "rude"))

    server.play = play
    judge = {"kind": "endpoint", "endpoint": server.endpoint().model_dump()}
    results = go(recipe(tmp_path, server, output="pairs", keep={}, judge=judge), tmp_path / "pairs")
    assert results["kept"] == 12 and results["judge"]["asked"] == 48
    pairs = lines(tmp_path / "pairs", "pairs.jsonl")
    assert {(one["chosen"], one["rejected"]) for one in pairs} == {("fine", "rude")}
    path = recipe(tmp_path, server, output="labels", keep={}, judge=judge, seed=9)
    server._tries.clear()
    results = go(path, tmp_path / "labels")
    labels = lines(tmp_path / "labels", "labels.jsonl")
    assert [one["safe"] for one in labels].count(True) == 12 and len(labels) == 24
    assert all(one["safe"] == ("fine" in one["response"]) for one in labels)
    assert labels[0]["response"].startswith("<think>hm</think>")
