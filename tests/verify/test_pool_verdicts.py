"""The worker pool judges, times out, survives and counts."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ponder.errors import VerifierError
from ponder.records import ChoiceGold, CodeGold, ExpressionGold, Gold, MathGold
from ponder.verify.pool import VerifierPool

ROOT = Path(__file__).resolve().parents[2]
ADD = CodeGold(tests=("assert add(1, 2) == 3", "assert add(0, 0) == 0"))
THREE = MathGold(answer="3")
SLEEPS = CodeGold(tests=("import time\nwhile True: time.sleep(1)\nassert x == 1",))
"""Tests that never end: what a verifier that hangs looks like from outside."""


@pytest.fixture(scope="module")
def pool() -> Iterator[VerifierPool]:
    with VerifierPool(workers=1) as shared:
        yield shared


@pytest.mark.parametrize(
    ("text", "gold", "outcome"),
    [
        (r"so \boxed{3}", THREE, "right"),
        (r"so \boxed{4}", THREE, "wrong"),
        ("ANSWER: B", ChoiceGold(answer="B"), "right"),
        ("<answer>(1+2)*3</answer>", ExpressionGold(numbers=(1, 2, 3), target=9), "right"),
        ("```python\ndef add(a, b):\n    return a + b\n```", ADD, "right"),
        ("```python\ndef add(a, b):\n    return 3\n```", ADD, "wrong"),
        (None, THREE, "wrong"),
        ("x" * 200_000, THREE, "cannot_tell"),
        ("broken \ud800 unicode \\boxed{3}", THREE, "right"),
    ],
)
def test_every_kind_is_judged(pool: VerifierPool, text: str | None, gold: Gold, outcome: str) -> None:
    verdict = pool.submit(text, gold).result(timeout=60)
    assert verdict.outcome == outcome, verdict


def test_many_answers_keep_their_futures(pool: VerifierPool) -> None:
    futures = [pool.submit(rf"\boxed{{{n}}}", MathGold(answer=str(n - n % 2))) for n in range(500)]
    assert [f.result(60).outcome for f in futures] == ["wrong" if n % 2 else "right" for n in range(500)]


def test_any_thread_may_submit(pool: VerifierPool) -> None:
    outcomes: list[str] = []

    def work() -> None:
        outcomes.extend(pool.submit(r"\boxed{3}", THREE).result(60).outcome for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == ["right"] * 80


def test_equal_programs_are_run_once(pool: VerifierPool) -> None:
    program = "def add(a, b):\n    return a + b  # seen before"
    first = pool.submit(program, ADD).result(60)
    before = pool.counters().get("cached", 0)
    assert pool.submit(program, ADD).result(60) == first
    assert pool.submit(program, CodeGold(tests=("assert add(1, 2) == 4",))).result(60).outcome == "wrong"
    assert pool.counters()["cached"] == before + 1


def worker_pids(pool: VerifierPool) -> list[int]:
    return [link.process.pid for link in pool._links]


def test_a_dead_worker_takes_only_its_own_answer_with_it() -> None:
    with VerifierPool(workers=1) as pool:
        assert pool.submit(r"\boxed{3}", THREE).result(60).outcome == "right"
        (pid,) = worker_pids(pool)
        os.kill(pid, signal.SIGSTOP)
        futures = [pool.submit(r"\boxed{3}", THREE) for _ in range(20)]
        while not any(future.running() for future in futures):
            time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        verdicts = [future.result(60) for future in futures]
        assert [v.outcome for v in verdicts].count("cannot_tell") == 1
        assert [v.outcome for v in verdicts].count("right") == 19
        assert pool.counters()["crash"] == 1 and pool.counters()["replaced"] == 1
        assert worker_pids(pool) != [pid]


def test_a_late_worker_is_killed_and_replaced() -> None:
    with VerifierPool(workers=1, deadline_seconds=1.0) as pool:
        assert pool.submit(r"\boxed{3}", THREE).result(60).outcome == "right"
        (pid,) = worker_pids(pool)
        os.kill(pid, signal.SIGSTOP)
        late, behind = pool.submit(r"\boxed{3}", THREE), pool.submit(r"\boxed{3}", THREE)
        verdict = late.result(60)
        assert (verdict.outcome, "no verdict within 1 seconds" in verdict.reason) == ("cannot_tell", True)
        assert behind.result(60).outcome == "right"
        assert pool.counters()["timeout"] == 1
        assert not psutil.pid_exists(pid)


def test_waiting_in_the_queue_is_not_counted() -> None:
    program = "import time\ndef add(a, b):\n    time.sleep(0.15)\n    return a + b  # {}"
    with VerifierPool(workers=1, deadline_seconds=3.0) as pool:
        futures = [pool.submit(program.format(n), ADD) for n in range(14)]  # more than 4 s of work for one worker
        assert {future.result(60).outcome for future in futures} == {"right"}


def test_workers_are_recycled_without_losing_an_answer() -> None:
    with VerifierPool(workers=1, jobs_per_worker=10) as pool:
        futures = [pool.submit(r"\boxed{3}", THREE) for _ in range(35)]
        assert {future.result(60).outcome for future in futures} == {"right"}
        assert pool.counters()["recycled"] == 3


def test_memory_is_capped() -> None:
    with VerifierPool(workers=1, memory_bytes=1 << 30) as pool:
        assert pool.submit(r"\boxed{3}", THREE).result(60).outcome == "right"
        (pid,) = worker_pids(pool)
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert f"Max address space         {1 << 30}" in limits


def test_a_parent_with_much_memory_keeps_its_workers() -> None:
    """A child's peak memory, as the system counts it, begins with that of its parent."""
    ballast = bytearray(b"x" * (700 << 20))
    with VerifierPool(workers=1, memory_bytes=1 << 30) as pool:
        for _ in range(3):
            assert pool.submit(r"\boxed{3}", THREE).result(60).outcome == "right"
        assert pool.counters().get("recycled", 0) == 0 and len(ballast) == 700 << 20


def test_a_full_queue_makes_submit_wait() -> None:
    with VerifierPool(workers=1, max_queue=5) as pool:
        futures = [pool.submit(rf"\boxed{{{n}}}", THREE) for n in range(200)]
        assert [f.result(60).outcome for f in futures].count("right") == 1


def test_programs_and_their_sandbox_end_with_the_pool() -> None:
    with VerifierPool(workers=1, deadline_seconds=4.0) as pool:
        assert pool.submit("def add(a, b): return a + b", ADD).result(60).outcome == "right"
        family = psutil.Process(worker_pids(pool)[0]).children(recursive=True)
        assert family, "the zygote"
        hanging = pool.submit("x = 1", SLEEPS)
        time.sleep(0.3)
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
    with pytest.raises(VerifierError, match="closed"):
        hanging.result(60)
    with pytest.raises(VerifierError, match="closed"):
        pool.submit(r"\boxed{3}", THREE)


def test_hanging_tests_cannot_tell_in_bounded_time() -> None:
    with VerifierPool(workers=1, deadline_seconds=1.0) as pool:
        assert pool.submit("x = 1", SLEEPS).result(60).outcome == "cannot_tell"
        assert pool.submit(r"\boxed{3}", THREE).result(60).outcome == "right"


@pytest.mark.parametrize(("workers", "deadline"), [(0, 5.0), (1, 0.0), (1, float("nan")), (1, float("inf"))])
def test_impossible_settings_are_refused(workers: int, deadline: float) -> None:
    with pytest.raises(VerifierError, match="at least 1 worker"):
        VerifierPool(workers=workers, deadline_seconds=deadline)


def test_workers_that_cannot_start_are_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit('no interpreter today')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with VerifierPool(workers=1) as pool, pytest.raises(VerifierError, match="no interpreter today"):
        pool.submit(r"\boxed{3}", THREE).result(60)


@pytest.mark.slow
def test_a_parent_with_torch_and_threads() -> None:
    """The parent forks nothing, so neither its threads nor its libraries matter to the workers."""
    script = (
        "import torch\n"
        "from ponder.records import MathGold\n"
        "from ponder.verify.pool import VerifierPool\n"
        "torch.ones(300, 300) @ torch.ones(300, 300)\n"
        "with VerifierPool(workers=1) as pool:\n"
        "    print(pool.submit('\\\\boxed{3}', MathGold(answer='3')).result(60).outcome)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout == "right\n", done.stderr
