"""What cards say is what the run folder holds, and what it does not hold is said to be unknown."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from ponder.export.card import card_text, rows_text
from ponder.export.command import export_command
from ponder.export.licence import base_licence, folder_licence
from ponder.export.lineage import Base, Link, read_lineage
from ponder.export.source import ModelSource, find_source
from ponder.export.sources import source_lines
from ponder.files import EMBEDDED, folder_digest, read_json, write_json
from ponder.manifest import Manifest, Session
from ponder.recipe.problems import PythonProblems
from ponder.recipe.stages import SftStage
from ponder.report.run import StageRecord


@pytest.fixture(scope="session")
def card(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    to = tmp_path_factory.mktemp("card") / "pupil"
    export_command(str(small_run / "pupil"), to, None)
    return (to / "README.md").read_text()


def manifest_of(run: Path, stage: str) -> dict[str, Any]:
    found: dict[str, Any] = read_json(run / "stages" / stage / "manifest.json")
    return found


def section(card: str, heading: str) -> str:
    return card.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def test_front_matter(card: str) -> None:
    data = ModelCard(card).data.to_dict()
    assert data == {
        "license": "apache-2.0",
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["ponder", "sft", "reasoning", "qwen3"],
    }


def test_stages_with_their_fingerprints(small_run: Path, card: str) -> None:
    found = section(card, "Base and stages")
    for name in ("cold", "data", "pupil"):
        assert manifest_of(small_run, name)["fingerprint"][:12] in found
    assert "**cold**" in found and "**pupil**" in found and "**data**" not in found
    assert str(small_run.parent) not in card


def test_data_with_its_digests(small_run: Path, card: str) -> None:
    found = section(card, "Data")
    assert "| cold | examples | embedded world, " in found
    assert (
        f"| pupil | examples | what stage `data` made | stage `{manifest_of(small_run, 'data')['fingerprint'][:12]}`"
        in found
    )
    composition = read_json(small_run / "stages/data/composition.json")
    assert len(composition) > 1
    for part in composition:
        row = [part["domain"], part["language"], str(part["count"]), f"{part['average_tokens']:.1f}"]
        assert f"| {' | '.join(row)} |" in found
    for name, one in manifest_of(small_run, "pupil")["results"]["data"]["domains"].items():
        assert f"| {name} | {one['examples']} |" in found


def test_decontamination(small_run: Path, card: str) -> None:
    found = section(card, "Decontamination")
    report = read_json(small_run / "stages/cold/decontamination.json")
    (name,) = report["benchmarks"]
    row = ["cold", name, "10", str(report["texts"]), str(report["benchmarks"][name]["left_out"])]
    assert f"| {' | '.join(row)} |" in found
    assert "The data of `data`, `pupil` was not compared with any benchmark." in found


def test_scores_with_intervals(small_run: Path, card: str) -> None:
    found = section(card, "Scores")
    (own,) = (small_run / "stages/scores/evaluation").glob("pupil--*.json")
    scores = read_json(own)["scores"]
    low, high = (f"{100 * one:.1f}" for one in scores["pass@1_interval"])
    (line,) = [line for line in found.splitlines() if line.startswith("| bench (`scores`)") and "| pupil |" in line]
    assert f"{100 * scores['pass@1']:.1f} % ({low} to {high})" in line
    assert f"{scores['problems']} x {scores['samples']}" in line
    assert [line for line in found.splitlines() if "| micro |" in line], "the base stands beside it"
    assert "held out, step 0" in found and "held out, step 2" in found
    assert ("NO |" in line) == ("invalid" in found)


def test_scores_of_another_model_of_that_name_do_not_count(small_run: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(small_run, tmp_path / "copied"))
    other = manifest_of(copied, "scores")
    other["identity"]["inputs"]["pupil"] = "0" * 64
    write_json(copied / "stages/scores/manifest.json", other)
    export_command(str(copied / "pupil"), tmp_path / "to", None)
    assert "bench" not in section((tmp_path / "to/README.md").read_text(), "Scores")


def test_what_was_run_anew_since_is_unknown(small_run: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(small_run, tmp_path / "copied"))
    write_json(copied / "stages/data/manifest.json", manifest_of(copied, "data") | {"fingerprint": "1" * 64})
    shutil.rmtree(copied / "stages/cold")
    lineage = read_lineage(copied / "stages/pupil")
    assert [link.name for link in lineage.links] == ["pupil"]
    assert set(lineage.unknown) == {"cold", "data"}
    assert lineage.base is None
    export_command(str(copied / "pupil"), tmp_path / "to", None)
    found = section((tmp_path / "to/README.md").read_text(), "Base and stages")
    assert "The weights began as unknown." in found
    assert "What they did is unknown." in found


def test_a_model_without_a_run_says_that_nothing_is_known(tmp_path: Path) -> None:
    export_command("micro", tmp_path / "to", None)
    card = (tmp_path / "to/README.md").read_text()
    assert ModelCard(card).data.license == "apache-2.0"
    assert "is unknown here" in card
    assert "## Scores" not in card and "## Base and stages" not in card


@pytest.mark.parametrize("reference", ["maker/tiny", "maker/tiny@main", "tiny"])
def test_a_model_of_the_hub_goes_by_its_repository(
    reference: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = tmp_path / "snapshots" / ("1" * 40)
    shutil.copytree(EMBEDDED["micro"], snapshot)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *names, **options: str(snapshot))
    source = find_source(reference)
    assert isinstance(source, ModelSource)
    assert (source.folder, source.name) == (snapshot, reference.removesuffix("@main"))


def test_a_model_of_a_folder_goes_by_that_folder(tmp_path: Path) -> None:
    shutil.copytree(EMBEDDED["micro"], tmp_path / "mine")
    assert find_source(str(tmp_path / "mine")).name == "mine"
    assert find_source("micro").name == "micro"


CARD = """\
---
license: other
license_name: gemma
license_link: https://example.org/terms
---
# A model
"""


def test_licence_of_a_folder(tmp_path: Path) -> None:
    assert folder_licence(tmp_path, "base").id is None
    (tmp_path / "README.md").write_text("no front matter\n---\nlicense: mit\n---\n")
    assert folder_licence(tmp_path, "base").id is None
    (tmp_path / "README.md").write_text("---\nlicense: [unclosed\n---\n")
    assert folder_licence(tmp_path, "base").id is None
    (tmp_path / "README.md").write_text(CARD)
    (tmp_path / "LICENSE.txt").write_text("terms")
    found = folder_licence(tmp_path, "base")
    assert (found.id, dict(found.fields)) == (
        "other",
        {"license_name": "gemma", "license_link": "https://example.org/terms"},
    )
    assert [path.name for path in found.texts] == ["LICENSE.txt"]


def test_licence_of_a_base_that_has_changed_since(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(CARD)
    same = Base(reference=str(tmp_path), digest=folder_digest(tmp_path))
    assert base_licence(same).id == "other"
    assert "has changed since" in base_licence(Base(reference=str(tmp_path), digest="sha256:0")).said
    assert "is gone" in base_licence(Base(reference=str(tmp_path / "x"), digest="sha256:0")).said
    assert base_licence(Base(reference="micro", digest=None)).id == "apache-2.0"


@pytest.mark.parametrize(
    ("reference", "digest", "repository"),
    [
        ("Qwen/Qwen2.5-0.5B", "hub:Qwen/Qwen2.5-0.5B@" + "a" * 40, "Qwen/Qwen2.5-0.5B"),
        ("Qwen/Qwen2.5-0.5B", None, "Qwen/Qwen2.5-0.5B"),
        ("models/mine", "sha256:12", None),
        ("/models/mine", None, None),
        ("micro", None, None),
    ],
)
def test_only_names_of_the_hub_are_names_of_the_hub(reference: str, digest: str | None, repository: str | None) -> None:
    found = Base(reference=reference, digest=digest).hub
    assert (found.repository if found is not None else None) == repository


def link(folder: Path, examples: list[dict[str, Any]], identity: dict[str, Any]) -> Link:
    config = SftStage.model_validate({"kind": "sft", "model": "micro", "examples": examples}).model_dump(mode="json")
    record = StageRecord(
        name="sft", kind="sft", status="done", seconds=1.0, folder=folder, config=config, error=None, versions={},
        results={}, rows=(), scores={}, benchmarks={},
    )  # fmt: skip
    session = Session(started="2026-01-01T00:00:00+00:00", host="h", pid=1)
    manifest = Manifest(
        recipe="r", stage="sft", kind="sft", config={}, identity=identity, fingerprint="f", seed=0, smoke=False,
        versions={}, sessions=(session,),
    )  # fmt: skip
    return Link(record=record, manifest=manifest)


def test_every_source_is_one_line(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"rows").hexdigest()
    write_json(tmp_path / "hub_rows.json", {"a/b@main, subset 'x', split 'train'": [1234, digest]})
    sources = [
        {"source": "hub", "id": "a/b@main", "subset": "x"},
        {"source": "hub", "id": "c/d", "limit": 5, "weight": 2},
        {"source": "file", "path": "/home/somebody/secret/train.jsonl"},
        {"source": "micro", "count": 7, "seed": 3, "tasks": ["science"], "languages": ["zh"]},
        {"source": "stage", "stage": "made"},
    ]
    identity = {"outside": {"/home/somebody/secret/train.jsonl": "sha256:" + "ab" * 32}, "inputs": {"made": "cd" * 32}}
    lines = list(source_lines(link(tmp_path, sources, identity)))
    assert [(line.what, line.digest, line.hub) for line in lines] == [
        ("`a/b@main`, split `train`, subset `x`", f"1,234 rows, `{digest[:12]}`", "a/b"),
        ("`c/d`, split `train`; limit 5; weight 2", "unknown", "c/d"),
        ("file `train.jsonl`", "`abababababab`", None),
        (
            "embedded world, 7 of its split `train`, seed 3; tasks science; languages zh",
            "generated from its seed",
            None,
        ),
        ("what stage `made` made", "stage `cdcdcdcdcdcd`", None),
    ]


def test_arguments_of_own_functions_may_be_secret(tmp_path: Path) -> None:
    arguments = {"count": 20, "share": 0.5, "key": "sk-12345", "folder": "/home/somebody", "of": ["/home/else"]}
    source = PythonProblems(file="/home/somebody/tasks.py", arguments=arguments)
    made = link(tmp_path, [{"source": "micro"}], {})
    made = replace(made, record=replace(made.record, config={"problems": [source.model_dump(mode="json")]}))
    (line,) = source_lines(made)
    assert line.what == "function `problems` of `tasks.py`, called with `count=20, share=0.5, key, folder, of`"


def test_rules_of_ones_own_are_named_without_their_folders(small_run: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(small_run, tmp_path / "copied"))
    manifest = manifest_of(copied, "data")
    own = {"own": ["/home/somebody/rules.py:tidy"], "rewards": {"/home/somebody/rules.py:brief": 1.0}}
    manifest["config"]["keep"] |= own
    write_json(copied / "stages/data/manifest.json", manifest)
    export_command(str(copied / "data"), tmp_path / "to", None)
    found = section((tmp_path / "to/README.md").read_text(), "How it was made")
    assert "- rules.py:tidy" in found and "rules.py:brief: 1.0" in found and "somebody" not in found


def test_cells_cannot_break_a_table_nor_titles_the_front_matter() -> None:
    assert rows_text(["a"], [["x | y\nz"]]) == "| a |\n| --- |\n| x \\| y z |"
    text = card_text({"license": "mit", "tags": ["a: b", "---"], "datasets": []}, "T", [("", ["p"]), ("Empty", [])])
    assert ModelCard(text).data.to_dict() == {"license": "mit", "tags": ["a: b", "---"]}
    assert text.endswith("---\n\n# T\n\np\n")
    assert json.dumps(text)
