"""Every stage of R1 with two ranks and a vLLM engine, in processes of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ponder.recipe import load_recipe
from ponder.recipe.rollout import has_vllm
from ponder.recipe.shipped import find_recipe
from ponder.recipe.stages import EvaluateStage, PretrainStage, RewardModelStage, RlStage, SampleStage, SftStage

pytestmark = [
    pytest.mark.scale,
    pytest.mark.slow,
    pytest.mark.timeout(3000),  # every stage that draws loads vLLM first
    pytest.mark.skipif(not has_vllm(), reason="vLLM is not installed: `make test-scale` installs it"),
]


def test_r1_passes_every_stage(tmp_path: Path) -> None:
    overrides = []
    for name, stage in load_recipe(find_recipe("r1-micro")).stages.items():
        if isinstance(stage, PretrainStage | RewardModelStage | RlStage | SftStage):
            overrides.append(f"stages.{name}.batch.ranks=2")
        if isinstance(stage, EvaluateStage | RlStage | SampleStage):
            overrides.append(f"stages.{name}.engine={{kind: vllm, workers: 1}}")
    done = subprocess.run(
        [sys.executable, "-m", "ponder.cli", "run", "r1-micro", "--smoke", "--on", "local", "--out", "run", *overrides],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    manifests = [json.loads(file.read_text()) for file in (tmp_path / "run").rglob("manifest.json")]
    assert len(manifests) == len(load_recipe(find_recipe("r1-micro")).stages)
    assert all(one["status"] == "done" for one in manifests)
    assert "engine of kind vllm in processes of their own" in done.stdout
