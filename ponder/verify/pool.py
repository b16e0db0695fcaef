"""Verification outside the training process: worker processes that can hang, swell or die without harm.

    submit(answer text, gold)           -> Future[Verdict]
    call(role, file.py:function, ...)   -> Future[Called]     of the user's own code
    run(program)                        -> Future[Called]     what a Python program prints in the sandbox
    same(answer, others, gold)          -> Future[Called]     which answers mean the same
    claims(text)                        -> Future[Called]     the equations of a thought

One dispatcher thread owns the workers. It hands each a few jobs ahead (so that a busy interpreter does not starve
them), counts a job's time from the moment the worker could begin it, kills a worker whose job passes the deadline,
replaces it, and gives the other jobs of that worker to the rest. Workers are fresh interpreters, never forks: the
parent may have torch and threads.
"""

import contextlib
import hashlib
import logging
import math
import os
import pickle
import selectors
import socket
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self

from ponder.errors import VerifierError
from ponder.own import Called, Cause, Failure, OwnCode
from ponder.recipe.own import OwnRole
from ponder.records import CodeGold, Gold, OwnGold, RepositoryGold, Verdict
from ponder.sandbox.isolation import Least, accepted_isolation, find_isolation
from ponder.sandbox.sandbox import SandboxError
from ponder.verify import code
from ponder.verify.link import Job, OwnCall, ProgramRun, Question, WorkerLink
from ponder.verify.patch import PatchError
from ponder.verify.repository import patched_files, repository_seconds

__all__ = ["VerifierPool"]

_LOG = logging.getLogger("ponder.verify")
_AHEAD = 8
"""Jobs a worker is handed before it has answered the first."""
_START_SECONDS = 120.0
_MARGIN_SECONDS = 1.0
"""What a worker gets on top of a problem's own time limit."""
_MAX_FAILED_STARTS = 3
_CACHED, _CACHED_CHARS = 10_000, 10_000
"""Verdicts remembered, each of an answer of at most so many characters."""
_MOST_LOGGED = 50
"""Failures of own functions whose tracebacks are logged, one for each place and cause."""
_CAUSES: Mapping[str, tuple[str, str, Cause]] = {
    "timeout": ("no verdict within {seconds:g} seconds", "gave nothing within {seconds:g} seconds", "timeout"),
    "crash": ("the verifier worker died on this answer", "ended the worker it ran in", "crash"),
}
"""Why a worker was dropped: what a verdict says, what the failure of a call says, and its cause."""


class VerifierPool:
    """A pool of verifier workers; use it in a `with` statement, from any thread.

    `deadline_seconds` is wall time per job, queueing not counted; `max_chars` the longest answer that is read at all;
    `max_queue` the number of waiting jobs at which `submit` starts to wait; `memory_bytes` the address space of one
    worker; `jobs_per_worker` the age at which a worker is replaced. `own` are the user's own files, which every worker
    imports before its first job. Patches of repositories are judged in workers apart from these (`for_patches`).
    `isolation` is the least isolation of programs, by default what this process accepts: on a machine that has less,
    `full` is refused here and the others with the first program, by a VerifierError. Where programs have no
    namespaces, a warning is logged.
    """

    def __init__(
        self,
        workers: int | None = None,
        deadline_seconds: float = 5.0,
        max_chars: int = 100_000,
        *,
        max_queue: int = 10_000,
        memory_bytes: int = 4 << 30,
        jobs_per_worker: int = 5_000,
        isolation: Least | None = None,
        own: OwnCode | None = None,
        for_patches: bool = False,
    ) -> None:
        if workers is None:
            workers = max(1, min(4, len(os.sched_getaffinity(0))))
        if workers < 1 or not 0 < deadline_seconds < math.inf:
            raise VerifierError(
                f"A verifier pool needs at least 1 worker and a finite deadline above 0 seconds, got workers {workers} "
                f"and deadline_seconds {deadline_seconds}."
            )
        self._isolation: Least = accepted_isolation() if isolation is None else isolation
        self._isolated = False
        if self._isolation == "full":
            self._demand_isolation()
        self._target = workers
        self._own = OwnCode() if own is None else own
        self._for_patches = for_patches
        self._slow: VerifierPool | None = None
        self._logged: set[tuple[str, str, str]] = set()
        cores = sorted(os.sched_getaffinity(0))
        first = os.getpid() % len(cores)  # pools of several runs begin elsewhere
        self._cores = cores[first:] + cores[:first]
        self._deadline_seconds = deadline_seconds
        self._max_chars = max_chars
        self._memory_bytes = memory_bytes
        self._jobs_per_worker = jobs_per_worker
        self._max_queue = max_queue
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._queue: deque[Job] = deque()
        self._counters: Counter[str] = Counter()
        self._cache: OrderedDict[bytes, Verdict] = OrderedDict()
        self._closing = False
        self._broken: VerifierError | None = None
        self._failed_starts = 0
        self._links: list[WorkerLink] = []
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._dispatch, name="ponder-verifier-pool", daemon=True)
        self._thread.start()

    def submit(self, answer_text: str | None, gold: Gold) -> Future[Verdict]:
        """Judge an answer in a worker; None (nothing stood after the thinking) is wrong at once.

        Waits only when `max_queue` jobs are waiting. The future never raises because of what the answer says; it
        raises VerifierError when workers cannot be started at all.
        """
        future: Future[Verdict] = Future()
        if answer_text is None:
            self._count(
                future, Verdict(outcome="wrong", reason="no answer: nothing stands after the thinking"), "no_answer"
            )
            return future
        if len(answer_text) > self._max_chars:
            reason = f"the answer has {len(answer_text)} characters, more than {self._max_chars} are not read"
            self._count(future, Verdict(outcome="cannot_tell", reason=reason), "too_long")
            return future
        if isinstance(gold, RepositoryGold) and not self._for_patches:
            return self._patches().submit(answer_text, gold)
        remembered = isinstance(gold, RepositoryGold) or (
            isinstance(gold, CodeGold) and len(answer_text) <= _CACHED_CHARS
        )
        key = _key(answer_text, gold) if remembered else None
        with self._lock:
            known = self._cache.get(key) if key is not None else None
        if known is not None:
            self._count(future, known, "cached")
            return future
        if isinstance(gold, OwnGold):
            self._wait_for_room()
            return self._judged_by_own(answer_text, gold)
        if isinstance(gold, CodeGold | RepositoryGold):
            self._demand_isolation()
        self._wait_for_room()
        self._append(Job(work=(answer_text, gold), future=future, key=key))
        return future

    def _patches(self) -> "VerifierPool":
        """The pool for patches, which may take minutes each: workers of its own, so that nothing waits for them."""
        with self._lock:
            if self._over:
                raise self._broken or VerifierError("This verifier pool is closed: submit before leaving its `with`.")
            if self._slow is None:
                self._slow = VerifierPool(
                    self._target,
                    self._deadline_seconds,
                    self._max_chars,
                    memory_bytes=self._memory_bytes,
                    isolation=self._isolation,
                    for_patches=True,
                )
            return self._slow

    def call(self, role: OwnRole, function: str, *arguments: Any, seconds: float | None = None) -> Future[Called]:
        """Call a function of the user's own, `file.py:name`, in a worker under the deadline and the cap of memory.

        Never waits for a place, so that it may be called when another job is done. The future never raises because of
        what the function does, and says why where that gave no value.
        """
        file = function.rpartition(":")[0]
        if file not in self._own.files:
            raise VerifierError(
                f"The function {function!r} of your own is asked for, but its file is not loaded here; loaded are: "
                f"{', '.join(self._own.files) or 'none'}. Name it in the recipe, where it is used."
            )
        future: Future[Called] = Future()
        work = OwnCall(role=role, function=function, arguments=arguments, seconds=seconds)
        self._append(Job(work=work, future=future))
        return future

    def run(self, program: str, seconds: float) -> Future[Called]:
        """Run a Python program in the sandbox: {"text": what it printed, "failed": whether it ended badly}. Raises
        VerifierError where programs would be less isolated than they have to be."""
        self._demand_isolation()
        future: Future[Called] = Future()
        self._append(Job(work=ProgramRun(program=program, seconds=seconds), future=future))
        return future

    def same(self, answer: str, others: Sequence[str], gold: Gold) -> Future[Called]:
        """Whether each of `others` means the same as an answer (`same_answer`), a list of bool."""
        return self._ask(Question(function="same", arguments=(answer, tuple(others), gold)))

    def claims(self, text: str) -> Future[Called]:
        """The equations of a thought (`claims.find_claims`), each as a mapping."""
        return self._ask(Question(function="claims", arguments=(text,)))

    def _ask(self, question: Question) -> Future[Called]:
        future: Future[Called] = Future()
        self._append(Job(work=question, future=future))
        return future

    def _judged_by_own(self, answer_text: str, gold: OwnGold) -> Future[Verdict]:
        """What the user's own verifier says of the answer; `cannot_tell` where it fails."""
        future: Future[Verdict] = Future()

        def settle(done: Future[Called]) -> None:
            if done.cancelled():
                future.cancel()
            elif (error := done.exception()) is not None:
                future.set_exception(error)
            elif (failure := done.result().failure) is not None:
                self._count(future, Verdict(outcome="cannot_tell", reason=failure.reason), None)
            else:
                self._count(future, Verdict(**done.result().value), None)

        self.call("verifier", gold.function, answer_text, gold).add_done_callback(settle)
        return future

    def _wait_for_room(self) -> None:
        with self._room:
            self._room.wait_for(lambda: self._over or len(self._queue) < self._max_queue)

    def _append(self, job: Job) -> None:
        with self._lock:
            if self._over:
                raise self._broken or VerifierError("This verifier pool is closed: submit before leaving its `with`.")
            self._queue.append(job)
        self._wake()

    @property
    def _over(self) -> bool:
        """Whether no job is taken any more; callers that wait for a place are woken when that happens."""
        return self._closing or self._broken is not None

    def _demand_isolation(self) -> None:
        """VerifierError where programs would be less isolated than they have to be; looked at once."""
        if self._isolated:
            return
        try:
            find_isolation(self._isolation)
        except SandboxError as error:
            raise VerifierError(
                f"{error}. Install bubblewrap, allow unprivileged user namespaces, or judge problems without code."
            ) from None
        self._isolated = True

    def counters(self) -> Mapping[str, int]:
        """Verdicts by outcome (`right`, `wrong`, `cannot_tell`) and by cause: `timeout`, `crash`, `memory`,
        `verifier_error`, `too_long`, `no_answer`, `cached`, `not_isolated`; calls of own functions that failed as
        `own_<cause>`; and workers `recycled` or `replaced`."""
        with self._lock:
            counted, slow = Counter(self._counters), self._slow
        return dict(counted + Counter(slow.counters()) if slow is not None else counted)

    def close(self) -> None:
        """End all workers. Jobs without a verdict are cancelled or, if already begun, raise VerifierError."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
            self._room.notify_all()
        self._wake()
        self._thread.join()
        if self._slow is not None:
            self._slow.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # Everything below runs in the dispatcher thread, except _count, _wake and _key.

    def _dispatch(self) -> None:
        try:
            self._loop()
        except BaseException as error:
            self._give_up(f"{type(error).__name__}: {error}")  # nobody may wait for ever on a thread that ended
            raise
        finally:
            self._end()

    def _loop(self) -> None:
        while not self._closing:
            if self._broken is None:
                while len(self._links) < self._target:
                    self._start()
            else:
                self._abandon(self._broken)
            self._hand_out()
            if self._broken is None and len(self._links) < self._target:
                continue  # one had died already: nothing will be heard of it
            for ready, _ in self._selector.select(self._seconds_to_next_deadline()):
                if ready.data is None:
                    with contextlib.suppress(BlockingIOError):
                        self._wake_read.recv(4096)
                else:
                    self._read(ready.data)
            self._kill_late()

    def _start(self) -> None:
        used = Counter(link.core for link in self._links)
        core = min(self._cores, key=lambda core: used[core])
        link = WorkerLink(
            deadline_seconds=self._deadline_seconds,
            memory_bytes=self._memory_bytes,
            core=core,
            isolation=self._isolation,
            own=self._own,
        )
        self._links.append(link)
        self._selector.register(link.socket, selectors.EVENT_READ, link)

    def _hand_out(self) -> None:
        """Deal waiting jobs round, so that no worker sits idle while another holds several."""
        for depth in range(1, _AHEAD + 1):
            for link in self._links:
                if not link.ready or link.retiring or len(link.jobs) >= depth:
                    continue
                with self._lock:
                    job = self._queue.popleft() if self._queue else None
                    self._room.notify()
                if job is None:
                    break
                # It is running already when its first worker died.
                if not job.future.running() and not job.future.set_running_or_notify_cancel():
                    continue
                link.hand(job)
                link.retiring = link.handed >= self._jobs_per_worker
        for link in list(self._links):
            try:
                unsent = link.flush()
            except OSError:
                self._replace(link, "crash")
                continue
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if unsent else 0)
            self._selector.modify(link.socket, events, link)

    def _seconds_to_next_deadline(self) -> float | None:
        deadlines = [d for link in self._links if (d := self._deadline(link)) is not None]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def _deadline(self, link: WorkerLink) -> float | None:
        if not link.ready:
            return link.started + _START_SECONDS
        if not link.jobs:
            return None
        work = link.jobs[0].work
        if isinstance(work, OwnCall | Question):
            return link.started + (work.seconds or self._deadline_seconds)
        if isinstance(work, ProgramRun):
            return link.started + work.seconds + _MARGIN_SECONDS
        gold = work[1]
        if isinstance(gold, RepositoryGold):
            return link.started + repository_seconds(gold) + _MARGIN_SECONDS
        if not isinstance(gold, CodeGold):
            return link.started + self._deadline_seconds
        compiling = code.COMPILE_SECONDS if gold.program_language == "cpp" else 0.0
        own = 0.0 if gold.seconds is None else code.allowed_seconds(gold, 0.0) + _MARGIN_SECONDS
        return link.started + max(self._deadline_seconds, own) + compiling

    def _read(self, link: WorkerLink) -> None:
        if link not in self._links:
            return
        messages = link.receive()
        if messages is None:
            self._replace(link, "crash")
            return
        for message in messages:
            if "ready" in message:
                link.ready = True
                self._failed_starts = 0
                continue
            job = link.jobs.popleft()
            link.started = time.monotonic()
            link.retiring = link.retiring or message["retire"]
            if isinstance(job.work, OwnCall | ProgramRun | Question):
                if message.get("notice"):
                    self._warn(message["notice"])
                failure = message["failure"] and Failure(**message["failure"])
                self._settle_call(job, Called(value=message["value"], failure=failure, seconds=message["seconds"]))
                continue
            verdict = Verdict(
                outcome=message["outcome"],
                reason=message["reason"],
                answer=message["answer"],
                score=message["score"],
            )
            if job.key is not None and verdict.outcome != "cannot_tell":
                self._remember(job.key, verdict)
            if message["notice"]:
                self._warn(message["notice"])
            self._count(job.future, verdict, message["cause"])
        if link.retiring and not link.jobs:
            self._remove(link, "recycled")

    def _kill_late(self) -> None:
        now = time.monotonic()
        for link in list(self._links):
            deadline = self._deadline(link)
            if deadline is not None and now >= deadline:
                self._replace(link, "timeout")

    def _replace(self, link: WorkerLink, cause: str) -> None:
        """Drop a worker that hangs or died: its first job is judged cannot_tell, the others start again elsewhere."""
        if link.ready and link.jobs:
            job = link.jobs.popleft()
            verdict_says, call_says, own_cause = _CAUSES[cause]
            if isinstance(job.work, OwnCall | ProgramRun | Question):
                seconds = job.work.seconds or self._deadline_seconds
                reason = f"{self._own.place(job.work.function)}{job.work.function} {call_says.format(seconds=seconds)}"
                failure = Failure(function=job.work.function, cause=own_cause, reason=reason)
                self._settle_call(job, Called(failure=failure))
            else:
                reason = verdict_says.format(seconds=self._deadline_seconds)
                self._count(job.future, Verdict(outcome="cannot_tell", reason=reason), cause)
        self._remove(link, "replaced")
        if not link.ready:
            self._failed_starts += 1
            if self._failed_starts >= _MAX_FAILED_STARTS:
                self._give_up(link.last_words())

    def _remove(self, link: WorkerLink, cause: str) -> None:
        self._links.remove(link)
        self._selector.unregister(link.socket)
        link.kill()
        with self._lock:
            self._counters[cause] += 1
            self._queue.extendleft(reversed(link.jobs))

    def _warn(self, notice: str) -> None:
        """Say once per pool, and count for every program, that isolation is not full."""
        with self._lock:
            self._counters["not_isolated"] += 1
            first = self._counters["not_isolated"] == 1
        if first:
            _LOG.warning("%s", notice)

    def _give_up(self, words: str) -> None:
        error = VerifierError(
            "Verifier workers cannot be kept running, so no answer can be judged. The last words of the last one were: "
            f"{words or 'none'}. Check that `python -m ponder.verify.worker` can import ponder."
        )
        with self._lock:
            self._broken = error
            self._room.notify_all()
        self._abandon(error)

    def _abandon(self, error: VerifierError) -> None:
        """Fail the jobs that wait for a worker, those that a dying worker gave back included."""
        with self._lock:
            waiting, self._queue = self._queue, deque()
        for job in waiting:
            if job.future.running() or job.future.set_running_or_notify_cancel():
                job.future.set_exception(error)

    def _remember(self, key: bytes, verdict: Verdict) -> None:
        with self._lock:
            self._cache[key] = verdict
            if len(self._cache) > _CACHED:
                self._cache.popitem(last=False)

    def _end(self) -> None:
        for link in self._links:
            link.kill()
            for job in link.jobs:
                job.future.set_exception(VerifierError("The verifier pool was closed before this verdict was reached."))
        for job in self._queue:
            job.future.cancel()
        self._selector.close()
        self._wake_read.close()
        self._wake_write.close()

    def _count(self, future: Future[Verdict], verdict: Verdict, cause: str | None) -> None:
        with self._lock:
            self._counters[verdict.outcome] += 1
            if cause is not None:
                self._counters[cause] += 1
        future.set_result(verdict)

    def _settle_call(self, job: Job, called: Called) -> None:
        failure = called.failure
        if failure is not None:
            place = (failure.function, failure.cause, failure.reason.partition(" raises ")[0])
            with self._lock:
                self._counters[f"own_{failure.cause}"] += 1  # or of a question, which fails as a call does
                first = place not in self._logged and len(self._logged) < _MOST_LOGGED
                self._logged.add(place)
            if first:
                _LOG.warning("%s\n%s", failure.reason, failure.traceback)
        job.future.set_result(called)

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full: it is awake already; closed: it needs no waking
            self._wake_write.send(b"w")


def _key(text: str, gold: Any) -> bytes:
    """Digest of a program, or of patched files, and their tests: the same content has the same verdict."""
    if isinstance(gold, RepositoryGold):
        try:
            text = repr(sorted(patched_files(text, gold).items()))
        except PatchError as error:
            text = f"no patch: {error}"
    return hashlib.sha256(pickle.dumps((text, gold))).digest()
