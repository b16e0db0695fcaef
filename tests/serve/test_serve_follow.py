"""`ponder serve RUN/STAGE --follow`: every newer checkpoint is in use as soon as it is there."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ponder.files import model_path
from ponder.manifest import MANIFEST
from tests.serve.conftest import Running

TEXT = "User: What is 17 + 25?\n\nAssistant: <think>\n"


def checkpoint(stage: Path, step: int) -> list[float]:
    """Weights of their own in the place of a checkpoint; the log-probs that they give TEXT, by transformers."""
    folder = stage / "checkpoints" / f"step-{step:08d}"
    shutil.copytree(model_path("micro"), folder / "model")
    model = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    torch.manual_seed(step)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.01 * torch.randn_like(parameter)
    model.save_pretrained(folder / "model")
    ids = tokenizer(TEXT).input_ids
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    (stage / "checkpoints" / "latest").write_text(folder.name)
    return [float(logits[i, token]) for i, token in enumerate(ids[1:])]


def scores(server: Running) -> list[float]:
    body = {"prompt": TEXT, "max_tokens": 0, "echo": True, "logprobs": 1}
    found: list[float] = server.post("/v1/completions", body).json()["choices"][0]["logprobs"]["token_logprobs"][1:]
    return found


def version(server: Running) -> Any:
    return server.get("/v1/models").json()["data"][0]["ponder"]["version"]


def test_newer_weights_are_in_use_and_an_older_prefix_is_not(start: Any, tmp_path: Path) -> None:
    stage = tmp_path / "run" / "stages" / "zero"
    (stage / "checkpoints").mkdir(parents=True)
    (stage / MANIFEST).write_text(json.dumps({"kind": "rl"}))
    first = checkpoint(stage, 3)
    arguments = ("--follow", "precision=fp32", "threads=1", "follow_seconds=0.1", "drain_seconds=1")
    with start(*arguments, model=str(tmp_path / "run" / "zero")) as server:
        assert version(server) == 3 and scores(server) == pytest.approx(first, abs=1e-4)
        shutil.copytree(stage / "checkpoints" / "step-00000003", stage / "checkpoints" / "step-00000004")
        (stage / "checkpoints" / "step-00000004" / "model" / "model.safetensors").write_bytes(b"broken")
        (stage / "checkpoints" / "latest").write_text("step-00000004")
        time.sleep(0.5)
        assert version(server) == 3 and scores(server) == pytest.approx(first, abs=1e-4), "it goes on with what it has"
        second = checkpoint(stage, 7)
        for _ in range(600):
            if version(server) == 7:
                break
            time.sleep(0.1)
        assert scores(server) == pytest.approx(second, abs=1e-4) != pytest.approx(first, abs=1e-2)
        shutil.rmtree(stage / "checkpoints" / "step-00000003")  # as a run that keeps few checkpoints does
        [lane] = psutil.Process(server.process.pid).children()
        lane.kill()
        lane.wait()
        for _ in range(600):
            if server.get("/ready").status_code == 200:
                break
            time.sleep(0.1)
        assert version(server) == 7 and scores(server) == pytest.approx(second, abs=1e-4), "not the first ones"
    assert "weights of step 7 are in use\n" in server.said and "weights of step 4 are in use\n" not in server.said
