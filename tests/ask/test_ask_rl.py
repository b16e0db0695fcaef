"""RL with a judge at a server: overlapped, counted, resumed to the same bytes; and what is refused before it starts."""

import json
import os
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from chat_server import Action, ChatServer, said

from ponder.errors import EndpointError, RecipeError
from ponder.pipeline.plan import describe_plan
from ponder.pipeline.run import run
from ponder.pipeline.smoke import smoke_recipe
from ponder.recipe import load_recipe
from tests import command
from tests.command import Command

RECIPE: dict[str, Any] = {
    "name": "judged",
    "stages": {
        "zero": {
            "kind": "rl",
            "model": "micro",
            "template": "r1-zero",
            "problems": [{"source": "micro", "tasks": ["science"], "count": 60}],
            "steps": 2,
            "problems_per_step": 4,
            "group_size": 4,
            "sampling": {"max_tokens": 64},
            "optimizer": {"lr": 1e-3},
            "rewards": {"format": 1, "judged": 1},
            "checkpoint_every": 1,
        }
    },
}


def recipe(folder: Path, server: ChatServer | None = None, url: str = "", **changes: Any) -> Path:
    stage = {**RECIPE["stages"]["zero"]}
    address = server.url if server is not None else url
    stage["judged"] = {
        "by": {
            "kind": "endpoint",
            "endpoint": {
                "base_url": address,
                "model": "teacher",
                "max_wait_seconds": 0.05,
                "price_per_million_input": 1.0,
                "price_per_million_output": 2.0,
            },
        }
    }
    file = folder / "judged.yaml"
    file.write_text(yaml.safe_dump({**RECIPE, "stages": {"zero": stage | changes}}))
    return file


def prompt(body: Mapping[str, Any]) -> str:
    text: str = body["messages"][-1]["content"]
    return text


def honest(body: Mapping[str, Any], tries: int) -> Action:
    """A letter as the reference has it is correct; one question in ten is refused at first."""
    text = prompt(body)
    if tries == 0 and sum(text.encode()) % 10 == 0:
        return Action(status=500, body="no")
    gold = json.loads(text.partition("<reference>\n")[2].partition("\n")[0])
    lines = text.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("===== "))
    right = lines[first + 1].strip() == gold["answer"]
    return said(json.dumps({"analysis": "so", "correctness": "correct" if right else "incorrect"}))


def start(file: Path, out: Path) -> Command:
    return command.start("run", file, "--out", out, environment={"COLUMNS": "400"}, session=True)


def end(process: Command) -> str:
    said_all = "".join(process.communicate())
    assert process.returncode == 0, said_all
    return said_all


def bytes_of(out: Path) -> list[bytes]:
    stage = out / "stages" / "zero"
    files = [stage / "model" / "model.safetensors", *sorted((stage / "rollouts").glob("rollouts-*.jsonl"))]
    return [file.read_bytes() for file in files]


def metrics(out: Path) -> list[dict[str, Any]]:
    lines = (out / "stages" / "zero" / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@contextmanager
def serving() -> Iterator[ChatServer]:
    server = ChatServer()
    try:
        yield server
    finally:
        server.close()


def test_killed_in_the_middle_and_resumed_it_asks_nothing_twice_and_learns_the_same(tmp_path: Path) -> None:
    runs = {}
    for name, kill_at in (("whole", None), ("killed", 36)):
        with serving() as server:
            (tmp_path / name).mkdir()
            file, out = recipe(tmp_path / name, server), tmp_path / name / "run"
            process = start(file, out)
            killed = threading.Event()

            def play(
                body: Mapping[str, Any],
                tries: int,
                server: ChatServer = server,
                process: subprocess.Popen[str] = process,
                kill_at: int | None = kill_at,
                killed: threading.Event = killed,
            ) -> Action:
                if kill_at is not None and len(server.requests) >= kill_at and not killed.is_set():
                    killed.set()
                    os.killpg(process.pid, signal.SIGKILL)
                return honest(body, tries)

            server.play = play
            if kill_at is None:
                said_all = end(process)
                assert "the reward 'judged' is given by teacher" in said_all
                assert "pays none of" in said_all
            else:
                process.communicate(timeout=250)
                assert killed.is_set()
                end(start(file, out))
            asked = Counter(prompt(body) for body in server.requests)
            failed_first = {text for text in asked if sum(text.encode()) % 10 == 0}
            again = sum(count - 1 - (text in failed_first) for text, count in asked.items())
            runs[name] = (set(asked), again, bytes_of(out), metrics(out))
    whole, resumed = runs["whole"], runs["killed"]
    assert whole[1] == 0
    assert resumed[1] <= 16  # what was under way when it was killed: no reply had come
    assert resumed[0] == whole[0]
    assert resumed[2] == whole[2]
    keys = [key for key in whole[3][-1] if key.startswith(("judge/", "failed/judged", "reward/"))]
    assert {"judge/judged_asked", "judge/judged_cost", "failed/judged", "reward/judged"} <= set(keys)
    assert [[row.get(key) for key in keys] for row in resumed[3]] == [
        [row.get(key) for key in keys] for row in whole[3]
    ]
    assert any(0 < row["reward/judged"] < 1 for row in whole[3] if "reward/judged" in row)


def test_a_deadline_is_no_reward(tmp_path: Path, server: ChatServer) -> None:
    """Verdicts on A and B come too late; they are missing, not 0."""

    def play(body: Mapping[str, Any], tries: int) -> Action:
        lines = prompt(body).splitlines()
        first = next(i for i, line in enumerate(lines) if line.startswith("===== "))
        return Action(wait=1.5) if lines[first + 1].strip() in tuple("AB") else honest(body, 1)

    server.play = play
    file = recipe(tmp_path, server, steps=1)
    text = yaml.safe_load(file.read_text())
    text["stages"]["zero"]["judged"] |= {"deadline_seconds": 0.5}
    text["stages"]["zero"]["judged"]["by"]["endpoint"] |= {"max_failures": 1.0, "retries": 0}
    file.write_text(yaml.safe_dump(text))
    end(start(file, tmp_path / "run"))
    rollouts = [
        json.loads(line)
        for one in (tmp_path / "run" / "stages" / "zero" / "rollouts").glob("rollouts-*.jsonl")
        for line in one.read_text().splitlines()
    ]
    late = [line["rewards"]["judged"] for line in rollouts if line["answer"] in tuple("AB")]
    others = [line["rewards"]["judged"] for line in rollouts if line["answer"] in tuple("CD")]
    assert set(late) == {None} and others and None not in others
    (row,) = [row for row in metrics(tmp_path / "run") if row["step"] == 1]
    assert row["failed/judged"] == len(late)
    failures = (tmp_path / "run" / "stages" / "zero" / "own_failures.jsonl").read_text().splitlines()
    assert len(failures) == len(late) and json.loads(failures[0])["cause"] == "timeout"


def test_a_server_that_is_not_there_is_said_before_anything_starts(tmp_path: Path) -> None:
    with serving() as server:
        url = server.url
    file, out = recipe(tmp_path, url=url), tmp_path / "run"
    with pytest.raises(EndpointError, match="stage 'zero': nothing answers at the endpoint"):
        run(load_recipe(file), out, text=file.read_text())
    assert not (out / "stages").exists()


BOTH = {"judged": 1, "rubric": 1}
RUBRIC = {"by": {"kind": "model", "model": "micro"}}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rewards": {"format": 1}}, "never paid"),
        ({"rewards": {"format": 1, "judged": 0}}, "never paid"),
        ({"rewards": {"format": 1, "judged": -0.5}}, "above 0"),
        ({"rewards": {"format": 1, "judged": float("nan")}}, "rewards.judged"),
        ({"rewards": {"format": 1, "judged": 1, "rubric": 1}}, "nobody judges"),
        ({"judged": None}, "nobody judges"),
        ({"rubric": RUBRIC | {"criteria": ["names the unit"]}}, "never paid"),
        ({"rewards": BOTH, "rubric": RUBRIC | {"criteria": []}}, "rubric.criteria"),
        ({"rewards": BOTH, "rubric": RUBRIC}, "rubric needs 'criteria'"),
        ({"rewards": BOTH, "rubric": RUBRIC | {"criteria": ["  "]}}, "criteria.0"),
        ({"rewards": BOTH, "rubric": RUBRIC | {"criteria": [{"text": "a", "weight": 0}]}}, "weight"),
        ({"rewards": BOTH, "rubric": RUBRIC | {"criteria": [{"text": "a", "weight": -2}]}}, "weight"),
        ({"judged": {"by": {"kind": "rule"}}}, "judged.by"),
        ({"judged": {"by": {"kind": "endpoint", "endpoint": {"base_url": "here", "model": "m"}}}}, "no address"),
        ({"judged": {"by": {"kind": "model", "model": "micro"}, "deadline_seconds": 0}}, "deadline_seconds"),
        ({"judged": {"by": {"kind": "model", "model": "micro"}, "deadline_seconds": 9}}, "is waited for"),
        ({"problems": [{"source": "file", "path": "a.jsonl", "gold": None, "route": "helpful"}]}, "compares answers"),
    ],
)  # fmt: skip
def test_judges_that_make_no_sense_are_refused_with_the_recipe(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe(tmp_path, url="http://localhost:9/v1", **changes))
    assert words in str(caught.value)


def test_plans_say_what_judges_cost_and_ask_nobody(tmp_path: Path, server: ChatServer) -> None:
    plan = describe_plan(load_recipe(recipe(tmp_path, server, steps=1000)), tmp_path / "run")
    assert "judged: at most 16 answers an update, by teacher beside sampling" in plan
    charged = 16 * 1000 * (1.0 * 700 + 2.0 * 120) / 1e6
    assert f"about {charged:,.2f} for 1,000 updates" in plan and f"{charged:,.2f} to endpoints" in plan
    assert server.requests == []


def test_a_smoke_run_asks_no_judge(tmp_path: Path) -> None:
    small = smoke_recipe(load_recipe(recipe(tmp_path, url="http://localhost:9/v1")), tmp_path)
    stage = small.stages["zero"]
    assert stage.endpoints() == () and "judged" not in stage.reward_names()


def test_a_local_judge_that_does_not_follow_the_form_is_refused_before_training(tmp_path: Path) -> None:
    judged = {"by": {"kind": "model", "model": "micro", "max_tokens": 8}}
    out = tmp_path / "run"
    process = start(recipe(tmp_path, url="http://localhost:9/v1", judged=judged), out)
    text = "".join(process.communicate())
    assert process.returncode == 1 and "Traceback" not in text, text
    assert "the judge of the reward 'judged' gave nothing for any of" in text
    assert not list((out / "stages" / "zero").glob("rollouts/*.jsonl"))
