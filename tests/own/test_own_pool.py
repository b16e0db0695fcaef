"""Own functions in the verifier's workers: whatever they do, the next call is answered, and no failure is a value."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ponder.errors import VerifierError
from ponder.own import read_own
from ponder.records import MathGold, OwnGold
from ponder.verify.pool import VerifierPool

FILE = """
import os, sys, time
import numpy
from fractions import Fraction
from ponder.records import Verdict

def fine(x): return 0.5
def whole(x): return 3
def true(x): return True
def fraction(x): return Fraction(1, 4)
def numpy_true(x): return numpy.True_
def nothing(x): return None
def prints(x):
    for _ in range(20):
        print("x" * 1_000_000)
        print("y" * 1_000_000, file=sys.stderr)
    return 1
def reads(x): return len(sys.stdin.read()) + len(os.read(0, 10))
def forks(x):
    os.fork()
    return 1.0
def leaves(x):
    if os.fork() == 0:
        time.sleep(600)
    return 2.0

def forks_badly(x):
    if os.fork() == 0: raise MemoryError
    return 2.0
def nan(x): return float("nan")
def infinite(x): return float("inf")
def several(x): return [1.0, 2.0]
def text(x): return "1.0"
def big(x): return -10**400
def huge(x): return Fraction(10**5000)
def error(x): return {}["a"]
def badly(x):
    class Bad(Exception):
        def __str__(self): raise ValueError
    raise Bad
def exits(x): sys.exit(0)
def stops(x): raise KeyboardInterrupt
def recurses(x): return recurses(x)
def swells(x): return len(bytearray(1 << 40))
def dies(x): os._exit(0)
def hangs(x): time.sleep(600)

def same(answer, gold): return answer.strip() == gold.answer
def numpy_same(answer, gold): return numpy.bool_(answer == gold.answer)
def says(answer, gold): return Verdict(outcome="wrong", reason=f"{answer} is not {gold.given['mover']}", answer="A")
def doubts(answer, gold): return Verdict(outcome="cannot_tell", reason="who knows")
def number(answer, gold): return int(answer) == gold.answer
def word(answer, gold): return "right"
def outcome(answer, gold): return Verdict(outcome="correct", reason="")
def points(answer, gold): return Verdict(outcome="wrong", reason="7 of 10", score=7)
def rule(judged): return 1.0
"""


def line_of(name: str) -> int:
    """Where the function's last line stands."""
    start = FILE.index(f"def {name}(")
    return FILE[: FILE.find("\n", start)].count("\n") + 1


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VerifierPool]:
    folder = tmp_path_factory.mktemp("own")
    (folder / "mine.py").write_text(FILE)
    with VerifierPool(workers=2, deadline_seconds=2.0, own=read_own(["mine.py"], folder)) as one:
        yield one


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fine", 0.5),
        ("whole", 3.0),
        ("true", 1.0),
        ("fraction", 0.25),
        ("numpy_true", 1.0),
        ("nothing", None),
        ("prints", 1.0),
        ("reads", 0.0),
        ("forks", 1.0),
        ("leaves", 2.0),
        ("forks_badly", 2.0),
    ],
)
def test_a_value_is_a_number_or_none(pool: VerifierPool, name: str, value: float | None) -> None:
    for call in [pool.call("reward", f"mine.py:{name}", None) for _ in range(3)]:
        assert (call.result().value, call.result().failure) == (value, None)


@pytest.mark.parametrize(
    ("name", "cause", "reason"),
    [
        ("nan", "value", "mine.py:nan returned nan; expected a finite number"),
        ("infinite", "value", "mine.py:infinite returned inf"),
        ("several", "value", "returned a list [1.0, 2.0]; expected one number for this one response"),
        ("text", "value", "returned a str '1.0'"),
        ("big", "value", "mine.py:<line>: mine.py:big returned a int that is too large for a float; expected a fin"),
        ("huge", "value", "mine.py:<line>: mine.py:huge returned a Fraction that is too large for a float"),
        ("error", "exception", "mine.py:<line>: mine.py:error raises KeyError: 'a'"),
        ("badly", "exception", "mine.py:badly raises"),
        ("exits", "exception", "mine.py:exits raises SystemExit: 0"),
        ("stops", "exception", "mine.py:stops raises KeyboardInterrupt"),
        ("recurses", "exception", "mine.py:<line>: mine.py:recurses raises RecursionError"),
        ("swells", "memory", "mine.py:<line>: mine.py:swells raises MemoryError"),
        ("hangs", "timeout", "mine.py:hangs gave nothing within 2 seconds"),
        ("dies", "crash", "mine.py:dies ended the worker it ran in"),
        ("missing", "exception", "mine.py:missing raises LookupError"),
    ],
)
def test_a_failure_has_a_reason_and_no_value(pool: VerifierPool, name: str, cause: str, reason: str) -> None:
    called = pool.call("reward", f"mine.py:{name}", None).result()
    assert called.value is None and called.failure is not None
    assert called.failure.cause == cause
    assert reason.replace("<line>", str(line_of(name)) if "<line>" in reason else "") in called.failure.reason
    if cause == "exception" and name != "missing":
        assert "Traceback" in called.failure.traceback and "ponder" not in called.failure.traceback
    assert pool.call("reward", "mine.py:fine", None).result().value == 0.5
    assert pool.submit("42", MathGold(answer="42")).result().outcome == "right"


@pytest.mark.parametrize(
    ("name", "answer", "gold", "outcome", "reason"),
    [
        ("same", " e2e4", "e2e4", "right", "your verifier says True"),
        ("same", "e2e5", "e2e4", "wrong", "your verifier says False"),
        ("numpy_same", "e2e4", "e2e4", "right", "your verifier says True"),
        ("numpy_same", "e2e5", "e2e4", "wrong", "your verifier says False"),
        ("says", "x", None, "wrong", "x is not black"),
        ("doubts", "x", None, "cannot_tell", "who knows"),
        ("number", "7", 7, "right", "says True"),
        ("number", "seven", 7, "cannot_tell", "mine.py:<line>: mine.py:number raises ValueError"),
        ("word", "x", None, "cannot_tell", "returned a str 'right'; expected a ponder.records.Verdict, or True"),
        (
            "outcome",
            "x",
            None,
            "cannot_tell",
            "a Verdict with the outcome 'correct'; expected right, wrong, cannot_tell",
        ),
        ("points", "x", None, "cannot_tell", "a Verdict with the score 7; expected a number from 0 to 1"),
        ("same", None, "e2e4", "wrong", "no answer"),
    ],
)
def test_own_verifiers_give_verdicts(
    pool: VerifierPool, name: str, answer: str | None, gold: object, outcome: str, reason: str
) -> None:
    found = pool.submit(answer, OwnGold(function=f"mine.py:{name}", answer=gold, given={"mover": "black"})).result()
    assert found.outcome == outcome and reason.replace("<line>", str(line_of(name))) in found.reason
    if outcome == "right":
        assert answer is not None and (found.answer, found.score) == (answer.strip(), 1.0)
    assert name != "says" or found.answer == "A"


def test_a_rule_says_yes_or_no(pool: VerifierPool) -> None:
    assert pool.call("rule", "mine.py:true", None).result().value is True
    assert pool.call("rule", "mine.py:numpy_true", None).result().value is True
    failure = pool.call("rule", "mine.py:rule", None).result().failure
    assert failure is not None and "returned a float 1.0; expected True for a response that is kept" in failure.reason


def test_a_file_that_was_not_loaded_is_said(pool: VerifierPool) -> None:
    with pytest.raises(VerifierError, match=r"'other.py:f' of your own .* not loaded here; loaded are: mine.py"):
        pool.call("reward", "other.py:f", None)
    with VerifierPool(workers=1) as bare, pytest.raises(VerifierError, match=r"loaded are: none"):
        bare.submit("x", OwnGold(function="mine.py:same"))


def test_workers_that_cannot_import_say_why(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("raise RuntimeError('not today')")
    own = read_own(["mine.py"], tmp_path)
    with VerifierPool(workers=1, own=own) as pool, pytest.raises(VerifierError, match=r"RuntimeError: not today"):
        pool.call("reward", "mine.py:f", None).result()
