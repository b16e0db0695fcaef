"""Stages that train leave out what a benchmark asks, and their folders say which."""

import json
from pathlib import Path

import pytest

from ponder.errors import DataError
from ponder.pipeline.fingerprint import data_files
from ponder.pipeline.run import run
from ponder.recipe.examples import FileExamples
from ponder.recipe.problems import MicroProblems
from ponder.recipe.recipe import Recipe
from ponder.recipe.rollout import Sampling
from ponder.recipe.stages import RlStage, SftStage
from ponder.task import load_problems

ROBE = "A robe takes 2 bolts of blue fiber and half that much white fiber. How many bolts does it take?"
ROWS = {
    "asked": ("Please tell me: a robe takes 2 bolts of blue fiber and half that much?", "3"),  # twelve words in a row
    "thought": ("How long?", "<think>a robe takes 2 bolts of blue fiber and half</think>4"),  # ten
    "nine": ("robe takes 2 bolts of blue fiber and half", "Is that so?"),
    "clean": ("What is 2+3?", "5"),
}


def write_lines(path: Path, rows: list[dict[str, str]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def sft(folder: Path, names: list[str]) -> SftStage:
    """A stage on these rows that must not have seen the robe."""
    rows = [{"prompt": ROWS[name][0], "response": ROWS[name][1], "id": name} for name in names]
    source = FileExamples.model_validate(
        {"path": write_lines(folder / "rows.jsonl", rows), "name": "rows", "columns": {"id": "id"}}
    )
    benchmark = write_lines(folder / "robes.jsonl", [{"prompt": ROBE, "answer": "3"}])
    return SftStage(
        model="micro", template="r1", examples=(source,), decontaminate=(benchmark,), steps=1, batch_size=2,
        validation_share=0, max_tokens=128,
    )  # fmt: skip


def test_sft_learns_what_no_benchmark_asks(tmp_path: Path) -> None:
    said: list[str] = []
    stage = sft(tmp_path, list(ROWS))
    assert data_files(stage) == (str(tmp_path / "rows.jsonl"), str(tmp_path / "robes.jsonl"))
    run(Recipe(name="clean", stages={"cold": stage}), tmp_path / "run", text="", say=said.append)
    folder = tmp_path / "run" / "stages" / "cold"
    made = json.loads((folder / "decontamination.json").read_text())
    assert (made["texts"], made["kept"]) == (4, 2)
    assert [(one["text"], one["benchmark"], one["ngram"]) for one in made["left_out"]] == [
        ("rows/asked", "robes", "a robe takes 2 bolts of blue fiber and half"),
        ("rows/thought", "robes", "a robe takes 2 bolts of blue fiber and half"),
    ]
    assert all(one["id"].endswith("robes/1") for one in made["left_out"])
    assert any("2 of 4 texts left out" in line for line in said)
    assert any("left out: rows/thought: 'a robe takes" in line for line in said)
    assert json.loads((folder / "manifest.json").read_text())["results"]["data"]["sources"] == {"rows": 2}
    assert any("examples 2: 2 rows" in line for line in said)


def test_sft_on_nothing_but_a_benchmark_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"All 2 texts share 10 words .* lists every overlap"):
        run(Recipe(name="foul", stages={"cold": sft(tmp_path, ["asked", "thought"])}), tmp_path / "run", text="")
    listed = json.loads((tmp_path / "run" / "stages" / "cold" / "decontamination.json").read_text())
    assert listed["kept"] == 0 and len(listed["left_out"]) == 2


def test_rl_trains_on_what_no_benchmark_asks(tmp_path: Path) -> None:
    source = MicroProblems(tasks=("science",), languages=("en",), count=8)
    asked = load_problems([source]).problems[3]
    benchmark = tmp_path / "held.jsonl"
    benchmark.write_text(json.dumps({"prompt": asked.prompt, "answer": "1"}) + "\n")
    stage = RlStage(
        model="micro",
        problems=(source,),
        decontaminate=(str(benchmark),),
        steps=1,
        problems_per_step=2,
        group_size=2,
        sampling=Sampling(max_tokens=8),
    )
    assert data_files(stage) == (str(benchmark),)
    said: list[str] = []
    run(Recipe(name="clean", stages={"zero": stage}), tmp_path / "run", text="", say=said.append)
    made = json.loads((tmp_path / "run" / "stages" / "zero" / "decontamination.json").read_text())
    assert made["texts"] == 8 and asked.id in {one["text"] for one in made["left_out"]}
    assert made["kept"] == 8 - len(made["left_out"]) > 0
    assert any(f"{len(made['left_out'])} of 8 texts left out" in line for line in said)
    assert any(f"problems {made['kept']}" in line for line in said)


def test_a_smoke_run_downloads_no_benchmark(tmp_path: Path) -> None:
    stage = RlStage(model="micro", problems=(MicroProblems(count=8),), decontaminate=("gsm8k",), steps=5)
    said: list[str] = []
    run(Recipe(name="smoke", stages={"zero": stage}), tmp_path / "run", text="", smoke=True, say=said.append)
    assert not (tmp_path / "run" / "stages" / "zero" / "decontamination.json").exists()
    assert any("not decontaminated" in line for line in said)
