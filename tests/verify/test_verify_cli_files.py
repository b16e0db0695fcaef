"""`ponder verify`: rows in, rows out, in order, with verdicts, faults and totals."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ponder.errors import DataError, VerifierError
from ponder.evaluation.verify_command import Totals, verify_command, verify_rows
from ponder.records import CodeGold, Completion, MathGold, Message, Problem, Rollout, Verdict, from_json, to_json
from ponder.task.table import Row
from ponder.text.template import TEMPLATES
from ponder.verify.pool import VerifierPool
from ponder.watch.rollouts import RolloutLog


@pytest.fixture(scope="module")
def pool() -> Iterator[VerifierPool]:
    with VerifierPool(workers=1) as shared:
        yield shared


def run(folder: Path, lines: list[Any], **options: Any) -> tuple[list[dict[str, Any]], Totals]:
    source, out = folder / "rows.jsonl", folder / "deep" / "out.jsonl"
    source.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    totals = verify_command(source, out=out, workers=1, **options)
    return [json.loads(line) for line in out.read_text().splitlines()], totals


def test_math_rows_keep_their_order_and_fields(tmp_path: Path) -> None:
    lines = [{"id": n, "gold": n, "said": rf"\boxed{{{n if n % 3 else n + 1}}}"} for n in range(30)]
    rows, totals = run(tmp_path, lines, kind="math", gold="gold", answer="said")
    assert [row["id"] for row in rows] == list(range(30))
    assert [row["verdict"] for row in rows] == ["right" if n % 3 else "wrong" for n in range(30)]
    assert all(row["reason"] and row["said"] for row in rows)
    assert totals.outcomes == {"right": 20, "wrong": 10}


def test_faulty_rows_are_listed_and_the_rest_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines: list[Any] = [
        {"g": "3", "a": r"\boxed{3}"},
        {"g": "3", "b": "no answer field"},
        "this is not JSON",
        {"g": "", "a": "3"},
        [1, 2],
        {"g": "4", "a": None},
        {"g": "#### 4", "a": "<think>4</think>4"},
        {"g": "4", "a": "<think>\\boxed{4}"},
    ]
    rows, totals = run(tmp_path, lines, kind="math", gold="g", answer="a")
    expected = ["right", *["cannot_tell"] * 4, "wrong", "right", "wrong"]
    assert [row["verdict"] for row in rows] == expected
    assert [n for n, row in enumerate(rows, 1) if row.get("fault")] == [2, 3, 4, 5]
    assert [fault.split(":")[0] for fault in totals.faults] == ["row 2", "row 3", "row 4", "row 5"]
    assert "there is no field 'a'" in totals.faults[0] and "Did you mean" not in totals.faults[0]
    said = capsys.readouterr().out
    assert "8 rows: 2 right (25.00%), 2 wrong (25.00%), 4 cannot_tell (50.00%)" in said
    assert "4 rows could not be judged" in said and "row 3: not JSON" in said


@pytest.mark.parametrize(
    ("kind", "row", "verdict"),
    [
        ("choice", {"g": "B", "a": "ANSWER: B"}, "right"),
        ("choice", {"g": "six", "options": ["five", "six"], "a": "B"}, "right"),
        ("expression", {"g": 9, "nums": [1, 2, 3], "a": "<answer>(1+2)*3</answer>"}, "right"),
        ("expression", {"g": {"numbers": [1, 2, 3], "target": 9}, "a": "<answer>1+2*3</answer>"}, "wrong"),
        ("expression", {"g": {"kind": "expression", "numbers": [1, 2], "target": 3}, "a": "1+2"}, "right"),
        ("assignment", {"g": {"Ann": "knight"}, "a": "Ann is a knight."}, "right"),
        ("code", {"g": ["assert f(1) == 2"], "a": "```python\ndef f(x): return x + 1\n```"}, "right"),
        ("code", {"g": {"inputs": ["1"], "outputs": ["2"]}, "a": "print(int(input()) + 1)"}, "right"),
        (
            "code",
            {
                "prompt": "def f(x):\n",
                "g": "def check(c):\n    assert c(1) == 2",
                "entry_point": "f",
                "a": "    return x + 1",
            },
            "right",
        ),
        ("code", {"g": ["assert f(1) == 2"], "answer": "def f(x): return 2", "a": "def f(x): return 3"}, "wrong"),
        ("format", {"a": "<think>so</think>\n<answer>4</answer>"}, "right"),
        ("format", {"a": "<think>so</think>\n<answer></answer>"}, "wrong"),
        ("format", {"a": "4"}, "wrong"),
        ("format", {"a": "<think>so</think>\n<answer>?</answer>"}, "wrong"),
        ("format", {"g": "4", "a": "<think>so</think>\n<answer>5</answer>"}, "right"),
        ("format", {"g": "4", "a": "<think>so</think>\n<answer>I refuse</answer>"}, "wrong"),
        ("format", {"g": "4", "a": "<think>so</think>\n<answer>3 or 4</answer>"}, "wrong"),
        ("format", {"g": "4", "a": "<think>so</think>\n<answer>9^{9^{9^9}}</answer>"}, "wrong"),
        ("format", {"g": "4", "a": "4"}, "wrong"),
        ("format", {"g": {"kind": "choice", "answer": "B"}, "a": "<think>so</think> <answer>C</answer>"}, "right"),
        ("format", {"g": {"kind": "choice", "answer": "B"}, "a": "<think>so</think> <answer>4</answer>"}, "wrong"),
    ],
)
def test_every_kind(pool: VerifierPool, kind: str, row: dict[str, Any], verdict: str) -> None:
    gold = None if kind == "format" and "g" not in row else "g"
    rows = iter([Row(number=1, values=row)])
    (result,) = verify_rows(rows, pool, Totals(), kind=kind, gold=gold, answer="a", form=TEMPLATES["r1-zero"])
    assert result["verdict"] == verdict, result


def rollout(answer: str, outcome: str, finish: str = "stop") -> dict[str, Any]:
    problem = Problem(id="p", messages=(Message(role="user", content="?"),), gold=MathGold(answer="4"), domain="math")
    completion = Completion(
        token_ids=(1,), logprobs=(-0.5,), text=answer, finish_reason=finish, weight_version=3, seed=1  # type: ignore[arg-type]
    )  # fmt: skip
    verdict = Verdict(outcome=outcome, reason="then")  # type: ignore[arg-type]
    return to_json(
        Rollout(problem=problem, prompt_ids=(1,), completion=completion, verdict=verdict, rewards={}, reward=0.0)
    )


def test_rollouts_are_judged_again(tmp_path: Path) -> None:
    lines = [
        rollout("so</think> <answer>4</answer>", "right"),
        rollout("so</think> <answer>4</answer>", "wrong"),
        rollout("so</think> <answer>5</answer>", "wrong"),
        rollout("so 4", "wrong", "length"),
        {"problem": {"id": "broken"}, "text": "x"},
    ]
    rows, totals = run(tmp_path, lines, template="r1-zero")
    assert [row["verdict"] for row in rows] == ["right", "right", "wrong", "wrong", "cannot_tell"]
    assert (totals.rescored, totals.changed, len(totals.faults)) == (4, 1, 1)


def test_the_rollouts_of_a_stage_folder_are_found(tmp_path: Path) -> None:
    log = RolloutLog(tmp_path / "stages" / "zero")
    for answer in ("4", "5"):
        log.write(1, from_json(Rollout, rollout(f"so</think> <answer>{answer}</answer>", "right")))
    totals = verify_command(tmp_path, out=tmp_path / "again.jsonl", workers=1)
    assert totals.outcomes == {"right": 1, "wrong": 1} and totals.changed == 1


def test_bad_commands_and_files_are_errors(tmp_path: Path) -> None:
    (tmp_path / "binary.jsonl").write_bytes(b"\x00\xff\xfe\x80")
    (tmp_path / "bad.jsonl.gz").write_bytes(gzip.compress(b"{}")[:-6])
    (tmp_path / "folder").mkdir()
    with pytest.raises(VerifierError, match=r"no kind 'mth'\. Did you mean 'math'"):
        verify_command(tmp_path / "x.jsonl", kind="mth")
    for name in ("binary.jsonl", "bad.jsonl.gz", "missing.jsonl", "folder", "rows.exe"):
        with pytest.raises(DataError, match=name):
            verify_command(tmp_path / name, kind="math", gold="g", answer="a")


def test_what_is_there_is_not_lost(tmp_path: Path) -> None:
    source, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"g": "1", "a": "1"}')
    with pytest.raises(VerifierError, match="the very file to judge"):
        verify_command(source, kind="math", gold="g", answer="a", out=source)
    assert source.read_text() == '{"g": "1", "a": "1"}'
    out.write_text("from before")
    source.write_bytes(b"\x00\xff")
    with pytest.raises(DataError, match="not UTF-8"):
        verify_command(source, kind="math", gold="g", answer="a", out=out)
    assert out.read_text() == "from before"


def test_missing_options_are_said(tmp_path: Path) -> None:
    with pytest.raises(VerifierError, match="--kind math was given without --answer"):
        run(tmp_path, [{"g": "1", "a": "1"}], kind="math", gold="g")
    _, totals = run(tmp_path, [{"g": "1", "a": "1"}])
    assert totals.faults == ["row 1: not a stored rollout, so the command must give --kind, --gold and --answer"]


def test_no_compiler_is_a_fault_of_the_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    gold = to_json(CodeGold(tests=("1",), outputs=("1",), form="stdio", program_language="cpp"))
    _, totals = run(tmp_path, [{"g": gold, "a": "int main() {}"}], kind="code", gold="g", answer="a")
    assert totals.faults == ["row 1: there is no C++ compiler on this machine: install g++"]


def test_what_is_no_unicode_is_written_as_an_escape(tmp_path: Path) -> None:
    rows, _ = run(tmp_path, ['{"g": "3", "a": "\\ud800 \\u00e9 \\\\boxed{3}"}'], kind="math", gold="g", answer="a")
    assert rows[0]["a"] == "\ud800 \u00e9 \\boxed{3}" and rows[0]["verdict"] == "right"
    assert b"\\ud800 \xc3\xa9" in (tmp_path / "deep" / "out.jsonl").read_bytes()
