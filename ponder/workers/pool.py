"""Engines in processes of their own behind the one verb `generate`.

    weights -> file -> each engine loads and shows that it has them -> tasks, one call each -> completions

Engines are polled, never waited for. The tasks of one that is lost go to others and it is started anew, while the
others go on; since a task says all that decides its completions, nothing of that shows in the result. What draws ahead
calls from a thread of its own (`pinned.py`), and nothing here then looks at the policy, which is being trained.
"""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ponder.errors import ModelError, PonderError, RankError, WorkerLost
from ponder.policy import Policy
from ponder.ranks.answer import Answer
from ponder.ranks.block import without_weights
from ponder.recipe.rollout import EngineConfig, Sampling
from ponder.records import Completion
from ponder.rollout.engine import GenerationState, OnFinish, OnProgress, Request, check_fits, refuse_guides
from ponder.watch.losses import LossLog
from ponder.workers.engine import EngineSetup
from ponder.workers.home import Home
from ponder.workers.seat import Seat
from ponder.workers.tasks import TaskQueue, deal, part
from ponder.workers.weights import Published, Publisher
from ponder.workers.worker import Worker, last_lines, limit_after

__all__ = ["EnginePool"]

TASK_COMPLETIONS = 128
"""Completions of a task. Fewer keep more engines busy to the end, more fill one better."""
_LOSSES = 6
"""Losses of one engine within an hour that are too many."""
_TASK_LOSSES = 3
"""Engines lost over one task that are too many: it is the task that ends them."""
_ROOM_SECONDS = 1800.0
"""How long a run without any engine waits for a node."""
_LOOK = 0.2
_LOAD_SECONDS, _LOAD_RATE = 60.0, 100e6
"""What loading may take: so many seconds, and one more for so many bytes."""
_REPORT_SECONDS = 0.25


class EnginePool:
    """`count` engines as `config` says, at `home`; files go to `folder`. They start with the first call and stay until
    `close`, whatever becomes of the trainer."""

    def __init__(
        self,
        home: Home,
        policy: Policy,
        config: EngineConfig,
        count: int,
        folder: Path,
        losses: LossLog,
        say: Callable[[str], None],
        threads: int = 1,
    ) -> None:
        self._home, self._config, self._threads = home, config, threads
        self._folder, self._losses, self._say = folder.absolute(), losses, say
        (folder / "workers").mkdir(parents=True, exist_ok=True)
        self._publisher = Publisher(self._folder / "weights", config.parity_tolerance * 5)
        self._seats = [Seat(name=f"engine-{number}") for number in range(count)]
        self._slowest = 0.0  # seconds of a task for each token that it might have had
        self._newest: _Newest | None = None
        self._lock = threading.Lock()
        self.use(policy)

    def use(self, policy: Policy) -> None:
        """Go on with another object of the same model: the trainer began anew, and what `renew` gave is given up."""
        self._policy = policy
        if self._newest is not None:
            self._publisher.release(self._newest.published)
            self._newest = None
        self._setup = EngineSetup(policy=without_weights(policy, policy.model), config=self._config)
        for buffer in self._setup.policy.model.buffers():
            buffer.data = buffer.data.cpu()

    @property
    def count(self) -> int:
        """How many there are, or would be if there were room."""
        return len(self._seats)

    @property
    def workers(self) -> list[Worker]:
        """Those that there are."""
        return [seat.worker for seat in self._seats if seat.worker is not None]

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        max_tokens: int,
        weight_version: int,
        on_finish: OnFinish | None = None,
        on_progress: OnProgress | None = None,
    ) -> list[tuple[Completion, ...]]:
        """See `Engine.generate`. Callbacks run in this thread, completions come by the task."""
        self._check(requests, max_tokens)
        call = _Call(requests, (sampling, max_tokens, weight_version), on_finish, on_progress)
        if call.queue.done:
            return call.completions()
        with self._lock:
            published = self._publisher.publish(self._policy)
            return self._draw(call, published, lambda: self._publisher.publish(self._policy, again=True))

    def hold(self) -> Published:
        """The weights as they are now, for `draw_from`, until `release`."""
        return self._publisher.hold(self._policy)

    def renew(self, version: int) -> None:
        """What is drawn from weights before, and is to follow, goes on by those that the policy has now."""
        before, published = self._newest, self._publisher.hold(self._policy)
        self._newest = _Newest(published, version, self._publisher.announce(published, version))
        if before is not None:
            self._publisher.release(before.published)

    def release(self, published: Published, *, damaged: bool = False) -> None:
        """Nobody draws from these weights any more, or they are not what they should be."""
        self._publisher.release(published, damaged=damaged)

    def draw_from(
        self,
        published: Published,
        ended: threading.Event,
        requests: Sequence[Request],
        limits: tuple[Sampling, int, int],
        on_finish: OnFinish | None,
        on_progress: OnProgress | None,
        *,
        follow: bool = False,
    ) -> list[tuple[Completion, ...]]:
        """As `generate`, from weights that are held, whatever the policy is by now, or, to `follow`, from the newest
        that there are at any moment (`renew`). RankError soon after `ended` is set: what engines do then they bring to
        its end, for nobody."""
        self._check(requests, limits[1])
        call = _Call(requests, limits, on_finish, on_progress, ended, follow)
        with self._lock:
            return self._draw(call, published, None)

    def close(self) -> None:
        """End all engines."""
        for seat in self._seats:
            seat.end()
        self._losses.close()
        self._publisher.close()

    def _check(self, requests: Sequence[Request], max_tokens: int) -> None:
        check_fits(requests, max_tokens, self._setup.policy.window)
        refuse_guides(requests)

    def _draw(
        self, call: "_Call", published: Published, renew: Callable[[], Published] | None
    ) -> list[tuple[Completion, ...]]:
        """`renew` writes the weights once more, where they are still at hand."""
        try:
            self._work(call, published, renew)
        except BaseException:
            for seat in self._seats:
                if seat.busy and call.is_ended():
                    seat.task = None
                elif seat.busy:
                    seat.end()
            raise
        return call.completions()

    def _work(self, call: "_Call", published: Published, renew: Callable[[], Published] | None) -> None:
        waiting_since = time.monotonic()
        while not call.queue.done:
            if call.is_ended():
                raise RankError("Drawing ahead was ended.", "gone")
            newest = self._newest if call.follows else None  # once: another thread renews it
            if newest is not None:
                published = newest.published
            for seat in self._seats:
                if seat.may_start:
                    self._start(seat)
                if seat.worker is not None and not seat.busy:
                    self._next(seat, call, published, newest)
            busy = [seat for seat in self._seats if seat.busy]
            if busy:
                waiting_since = time.monotonic()
            elif time.monotonic() - waiting_since > _ROOM_SECONDS:
                raise PonderError(
                    f"No node has had room for an engine for {_ROOM_SECONDS / 60:.0f} minutes. The same command goes "
                    f"on from the last checkpoint once there is one."
                )
            else:
                time.sleep(_LOOK)
            for seat in busy:
                published = self._look(seat, call, published, renew, _LOOK / len(busy))
            call.report()

    def _start(self, seat: Seat) -> None:
        seat.tried = time.monotonic()
        log = self._folder / "workers" / f"{seat.name}.log"
        try:
            place = self._home.start(seat.name, "ponder.workers.engine:EngineProgram", self._threads, log)
            seat.worker, seat.busy, seat.waiting = Worker(seat.name, place, (self._setup,)), True, False
        except WorkerLost as lost:  # there is no room now, or its node has just gone
            seat.worker = None
            if not seat.waiting:
                self._say(f"{lost} It is started once it can be.")
            seat.waiting = True

    def _next(self, seat: Seat, call: "_Call", published: Published, newest: "_Newest | None") -> None:
        assert seat.worker is not None
        if seat.loaded != published.digest:
            seat.loading, seat.loaded = published.digest, ""
            seat.worker.begin("load", published, limit=_load_limit(published))
        elif call.queue.waiting:
            seat.task = call.queue.take()
            limit = limit_after(self._slowest * call.most_tokens(seat.task))
            sampling, max_tokens, version = call.limits
            path = None
            if newest is not None:
                version, path = newest.version, newest.path
            requests = part(call.requests, call.tasks[seat.task])
            seat.worker.begin("draw", requests, sampling, max_tokens, version, path, limit=limit)
        else:
            return
        seat.busy = True

    def _look(
        self, seat: Seat, call: "_Call", published: Published, renew: Callable[[], Published] | None, seconds: float
    ) -> Published:
        """See whether the engine has answered; the weights, which may have been written once more."""
        assert seat.worker is not None
        try:
            answer = seat.worker.answer(seconds)
        except WorkerLost as lost:
            self._lose(seat, call, lost)
            return published
        if answer is None:
            return published
        worker, task = seat.worker, seat.task
        seat.busy, seat.task = False, None
        if worker.verb == "draw" and (task is None or answer.failed):
            seat.loaded = ""  # it may have taken up others on its way
        if worker.verb == "draw" and task is None:  # of a call that was ended
            return published
        if worker.verb == "load" and seat.loading != published.digest:  # the same: it is given others now
            return published
        if worker.verb == "load" and answer.error is not None and not seat.reloaded:
            self._say(f"WARNING: {worker.name}: {answer.error}")  # damaged on its way, or for good: seen the next time
            published = published if renew is None else renew()
            worker.begin("load", published, limit=_load_limit(published))
            seat.busy = seat.reloaded = True
            return published
        if worker.verb == "load" and answer.error is not None and renew is None:
            raise RankError(
                f"{answer.error} They are those of an earlier moment, which are not at hand any more.", "gone"
            ) from answer.error
        _refuse(worker, answer)
        if worker.verb == "load":
            seat.loaded, seat.reloaded = published.digest, False
            self._losses.back(seat.name)
        elif worker.verb == "draw":
            assert task is not None
            self._slowest = max(self._slowest, worker.spent / call.most_tokens(task))
            drawn, digest = answer.value
            seat.loaded = digest or seat.loaded
            call.take(task, drawn)
        return published

    def _lose(self, seat: Seat, call: "_Call", lost: WorkerLost) -> None:
        self._losses.lost(seat.name, lost.where, lost.why)
        self._say(f"WARNING: {lost} Its task goes to another engine, and it is started again.")
        task = seat.lost()
        tail = last_lines(self._folder / "workers" / f"{seat.name}.log")
        if seat.lost_in_an_hour >= _LOSSES:
            raise WorkerLost(
                what=lost.what, where=lost.where, why=f"{lost.why}, the {_LOSSES}th time in an hour.{tail}"
            ) from lost
        if task is not None:
            call.queue.give_back(task)
            if call.queue.lost[task] >= _TASK_LOSSES:
                raise WorkerLost(
                    what=lost.what,
                    where=lost.where,
                    why=f"{lost.why}; with it {_TASK_LOSSES} engines were lost over the same prompts. If memory ran "
                    f"out, lower `sampling.max_tokens` or `engine.max_slots`.{tail}",
                ) from lost


def _refuse(worker: Worker, answer: Answer) -> None:
    """Raise what an engine says has gone wrong."""
    if answer.error is not None:
        raise answer.error
    if answer.out_of_memory:
        raise ModelError(
            f"Memory ran out in {worker.name} on {worker.where} ({answer.out_of_memory}). Lower "
            f"`engine.max_slots`, or use a smaller model."
        )
    if answer.trace:
        raise PonderError(f"{worker.name} on {worker.where} failed during {worker.verb or 'start'}:\n{answer.trace}")


def _load_limit(published: Published) -> float:
    return _LOAD_SECONDS + published.size_bytes / _LOAD_RATE


class _Newest(NamedTuple):
    """The newest weights, and the file that says so."""

    published: Published
    version: int
    path: Path


class _Call:
    """What one call to `generate` asks for, and what is there of it."""

    def __init__(
        self,
        requests: Sequence[Request],
        limits: tuple[Sampling, int, int],
        on_finish: OnFinish | None,
        on_progress: OnProgress | None,
        ended: threading.Event | None = None,
        follows: bool = False,
    ) -> None:
        """`limits` are the distribution, the most tokens and the weights' version."""
        self.follows = follows
        self.requests, self.limits, self._on_finish, self._on_progress = requests, limits, on_finish, on_progress
        self._ended = ended
        self.tasks = deal([len(request.seeds) for request in requests], TASK_COMPLETIONS)
        self.queue = TaskQueue(len(self.tasks))
        self._done: dict[tuple[int, int], Completion] = {}
        self._total = sum(len(request.seeds) for request in requests)
        self._tokens = 0
        self._began = self._reported = time.monotonic()

    def is_ended(self) -> bool:
        """Whether nobody wants it any more."""
        return self._ended is not None and self._ended.is_set()

    def most_tokens(self, task: int) -> int:
        """How many a task may draw."""
        return sum(stop - first for _, first, stop in self.tasks[task]) * self.limits[1]

    def take(self, task: int, drawn: Any) -> None:
        """The completions of a task."""
        for (i, first, _), completions in zip(self.tasks[task], drawn, strict=True):
            for j, completion in enumerate(completions, first):
                self._done[i, j] = completion
                self._tokens += len(completion.token_ids)
                if self._on_finish is not None:
                    self._on_finish(self.requests[i].key, j, completion)
        self.queue.finish(task)

    def report(self) -> None:
        """Say how far it is, now and then."""
        now = time.monotonic()
        if self._on_progress is not None and now - self._reported >= _REPORT_SECONDS:
            self._reported = now
            self._on_progress(
                GenerationState(
                    tokens=self._tokens, finished=len(self._done), total=self._total, seconds=now - self._began
                )
            )

    def completions(self) -> list[tuple[Completion, ...]]:
        """All, in the order of the requests."""
        return [tuple(self._done[i, j] for j in range(len(one.seeds))) for i, one in enumerate(self.requests)]
