"""RL that follows the model: solve rates in the checkpoint, sources that leave, temperatures by step, an early end."""

import json
import time
from pathlib import Path
from typing import Any

import yaml

from tests import command
from tests.command import Command

STAGE: dict[str, Any] = {
    "kind": "rl",
    "model": "micro",
    "template": "r1-zero",
    "problems": [{"source": "micro", "tasks": ["equation", "science"], "count": 24}],
    "steps": 5,
    "problems_per_step": 4,
    "group_size": 4,
    "sampling": {"max_tokens": 48, "temperature_schedule": [{"from_step": 2, "temperature": 0.7}]},
    "optimizer": {"lr": 1e-3},
    "sampler": {"keep": [0.2, 0.8], "domain_share": [0.2, 0.8]},
    "checkpoint_every": 2,
}


def start(folder: Path, **changes: Any) -> Command:
    folder.mkdir(exist_ok=True)
    file = folder / "following.yaml"
    file.write_text(yaml.safe_dump({"name": "following", "stages": {"zero": STAGE | changes}}))
    return command.start("run", file, "--out", folder / "run", environment={"COLUMNS": "300"}, session=True)


def end(process: Command) -> str:
    said = "".join(process.communicate())
    assert process.returncode == 0, said
    return said


def bytes_of(folder: Path) -> list[bytes]:
    stage = folder / "run" / "stages" / "zero"
    files = [stage / "model" / "model.safetensors", *sorted((stage / "rollouts").glob("rollouts-*.jsonl"))]
    return [file.read_bytes() for file in files]


def rows(folder: Path) -> int:
    file = folder / "run" / "stages" / "zero" / "metrics.jsonl"
    return len(file.read_text().splitlines()) if file.exists() else 0


def test_killed_between_checkpoints_the_rates_go_on_where_they_were(tmp_path: Path) -> None:
    end(start(tmp_path / "whole"))
    process = start(tmp_path / "killed")
    while rows(tmp_path / "killed") < 3 and process.poll() is None:
        time.sleep(0.01)
    process.kill_all()
    end(start(tmp_path / "killed"))
    assert bytes_of(tmp_path / "killed") == bytes_of(tmp_path / "whole")
    states = sorted((tmp_path / "whole" / "run" / "stages" / "zero" / "checkpoints").glob("*/state.json"))
    lines = (tmp_path / "whole" / "run" / "stages" / "zero" / "metrics.jsonl").read_text().splitlines()
    mismatches = [row["policy/mismatch"] for row in map(json.loads, lines) if "policy/mismatch" in row]
    assert len(mismatches) > 2 and max(mismatches) < 0.01, "log-probs are those of the temperature of each rollout"
    rates = json.loads(states[-1].read_text())["state"]["sampler"]
    assert len(rates["problems"]) > 10 and set(rates["domains"]) == {"equation", "science"}


def test_there_is_nothing_to_stop_by_where_the_users_own_problems_have_no_answers(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mine.py").write_text(
        "from ponder.records import Message, Problem\n\n\n"
        "def problems():\n"
        "    asked = (Message(role='user', content='Say something kind.'),)\n"
        "    return [Problem(id='0', messages=asked, gold=None, domain='d', route='helpful')]\n"
    )
    held_out = {"problems": [{"source": "python", "file": "mine.py"}], "every": 1}
    process = start(tmp_path / "mine", held_out=held_out, stop={"patience": 2})
    said = "".join(process.communicate())
    assert process.returncode == 1 and "none of its 1 held-out problems has an answer to check" in said, said


def test_training_ends_where_held_out_accuracy_rises_no_more_and_stays_ended(tmp_path: Path) -> None:
    """Nothing is learnt at a learning rate of nearly 0, so that two measurements bring no gain of a half."""
    held_out = {"problems": [{"source": "micro", "split": "test", "count": 4}], "every": 1, "samples": 2}
    fields = {"held_out": held_out | {"samples_during": 2}, "stop": {"patience": 2, "least_gain": 0.5}}
    said = end(start(tmp_path / "stopped", optimizer={"lr": 1e-9}, **fields))
    assert "training ends at step 2 of 5: held-out pass@1 has not risen by more than 0.5" in said
    stage = tmp_path / "stopped" / "run" / "stages" / "zero"
    steps = [json.loads(line)["step"] for line in (stage / "metrics.jsonl").read_text().splitlines()]
    assert steps == [0, 1, 2]
    manifest = json.loads((stage / "manifest.json").read_text())
    assert manifest["results"].keys() == {"start", "end"}
    assert "done before, skipped" in end(start(tmp_path / "stopped", optimizer={"lr": 1e-9}, **fields))
