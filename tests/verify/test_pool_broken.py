"""A pool whose workers cannot be started says so to everyone who waits: for a verdict, or for a place in its queue."""

import os
import signal
import sys
import threading
import time
from concurrent.futures import Future, wait

import pytest

from ponder.errors import VerifierError
from ponder.records import CodeGold, MathGold, Verdict
from ponder.verify.pool import VerifierPool

THREE = MathGold(answer="3")
SLEEPS = CodeGold(tests=("import time\nwhile True: time.sleep(1)\nassert x == 1",))
LONG = 60.0
"""Seconds after which a wait counts as one for ever."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("python", ["/bin/false", "/no/such/python"], ids=["dies at once", "cannot be run"])
def test_all_who_wait_for_a_place_are_told(python: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", python)
    told: list[str] = []

    def submit(pool: VerifierPool) -> None:
        try:
            pool.submit(r"\boxed{3}", THREE).result(LONG)
        except VerifierError as error:
            told.append(str(error))

    with VerifierPool(workers=2, max_queue=2) as pool:
        callers = [threading.Thread(target=submit, args=(pool,), daemon=True) for _ in range(12)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(LONG)
        assert not any(caller.is_alive() for caller in callers), "a caller waits for ever"
        assert len(told) == 12 and all("cannot be kept running" in words for words in told)
        with pytest.raises(VerifierError, match="cannot be kept running"):
            pool.submit(r"\boxed{3}", THREE)


def test_who_waits_for_a_place_when_the_pool_is_closed_is_told() -> None:
    told: list[str] = []
    pool = VerifierPool(workers=1, max_queue=1, deadline_seconds=LONG)

    def submit() -> None:
        try:
            for _ in range(40):
                pool.submit("x = 1", SLEEPS)
        except VerifierError as error:
            told.append(str(error))

    caller = threading.Thread(target=submit, daemon=True)
    caller.start()
    time.sleep(1.0)
    pool.close()
    caller.join(LONG)
    assert not caller.is_alive() and len(told) == 1 and "closed" in told[0]


def test_what_the_last_worker_gives_back_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    with VerifierPool(workers=2, deadline_seconds=LONG) as pool:
        while not (len(pool._links) == 2 and all(link.ready for link in pool._links)):
            time.sleep(0.01)
        first, last = (link.process.pid for link in pool._links)
        monkeypatch.setattr(sys, "executable", "/bin/false")  # from here on none can be started
        futures: list[Future[Verdict]] = [pool.submit("x = 1", SLEEPS) for _ in range(2)]
        futures += [pool.submit(rf"\boxed{{{n}}}", THREE) for n in range(8)]
        while sum(len(link.jobs) for link in pool._links) < len(futures):  # all are handed out
            time.sleep(0.01)
        os.kill(first, signal.SIGKILL)
        while "replaced" not in pool.counters() or pool.counters()["replaced"] < 4:  # itself and three failed starts
            time.sleep(0.01)
        os.kill(last, signal.SIGKILL)
        done, waiting = wait(futures, LONG)
        assert not waiting, "a verdict that nobody will give is waited for"
        outcomes = ["error" if one.exception() else one.result().outcome for one in done]
        assert outcomes.count("cannot_tell") == 2 and outcomes.count("error") == 8
