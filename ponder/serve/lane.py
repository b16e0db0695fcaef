"""A lane as the server sees it: started, talked to, and started again where it dies.

The event loop never touches the pipe: one thread reads it and one writes it, so that neither end can wait for the other
while the other waits for it. Pieces of one completion that nobody has taken yet are merged into one, so a slow reader
holds up no lane and costs at most what its completions may be long.
"""

import asyncio
import queue
import signal
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from multiprocessing.connection import Connection

from ponder.errors import BusyError, ModelError
from ponder.policy.voice import Voice
from ponder.rollout.engine import Job, Load, Piece
from ponder.serve.messages import (
    Accepted,
    Begin,
    Cancel,
    Force,
    News,
    Ready,
    Refused,
    Reload,
    Reloaded,
    Submit,
    merge,
)
from ponder.serve.spawn import Spawned, spawn

__all__ = ["IDLE", "Lane", "Ticket"]

IDLE = Load(
    jobs=0,
    rows=0,
    waiting_tokens=0,
    reserved_bytes=0,
    held_bytes=0,
    cached_bytes=0,
    hit_tokens=0,
    miss_tokens=0,
    weight_version=0,
)

_AGAIN_SECONDS = 60.0
"""A lane that dies twice within this time is not started again."""


class Ticket:
    """A job under way. Iterate over it for its pieces, of all choices as they come; ends when all choices have ended.

    Raises BusyError where the lane dies: what it had computed is lost, and asking again may work.
    """

    def __init__(self, job: Job, number: int, send: Callable[[Cancel | Force], None]) -> None:
        self.job = job
        self.number = number
        self._send = send
        self._open = set(range(len(job.seeds)))
        self._new: dict[int, Piece] = {}
        self._error: BaseException | None = None
        self._awake = asyncio.Event()
        self.accepted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def __aiter__(self) -> AsyncIterator[Piece]:
        while self._open or self._new:
            if self._error is not None:
                raise self._error
            if not self._new:
                self._awake.clear()
                await self._awake.wait()
                continue
            yield self._new.pop(next(iter(self._new)))

    def cancel(self, choice: int | None = None) -> None:
        """Nothing more is computed for the job, or for one of its choices, nor said of it."""
        doomed = self._open & {choice} if choice is not None else set(self._open)
        for one in doomed if choice is None else {choice}:
            self._new.pop(one, None)
        self._open -= doomed
        if doomed:
            self._send(Cancel(self.number, choice))
        self._awake.set()

    def force(self, choice: int, token_ids: tuple[int, ...]) -> None:
        """The next tokens of a choice are these; of one that has ended this says nothing."""
        if choice in self._open:
            self._send(Force(self.number, choice, token_ids))

    @property
    def done(self) -> bool:
        """Whether nothing is computed for the job any more."""
        return not self._open

    def take(self, piece: Piece) -> None:
        """What the lane says of the job."""
        if piece.choice not in self._open:
            return
        before = self._new.get(piece.choice)
        self._new[piece.choice] = merge(before, piece) if before is not None else piece
        if piece.reason is not None:
            self._open.discard(piece.choice)
        self._awake.set()

    def fail(self, error: BaseException) -> None:
        """The lane is gone."""
        if not self.accepted.done():
            self.accepted.set_exception(error)
        self._error = error
        self._awake.set()


class Lane:
    """One lane. `start` before anything else; `changed` is called when it goes down or comes back."""

    def __init__(self, begin: Begin, say: Callable[[str], None], ahead: Spawned | None = None) -> None:
        """The first process may have been started `ahead`."""
        self._begin, self._say, self._ahead = begin, say, ahead
        self._process: subprocess.Popen[bytes] | None = None
        self._out: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._tickets: dict[int, Ticket] = {}
        self._next = 0
        self._died_at = -_AGAIN_SECONDS
        self._ready: asyncio.Future[Voice] | None = None
        self._reloading: dict[int, asyncio.Future[None]] = {}
        self._closing = False
        self.load = IDLE
        self.up = False
        self.broken = False

    @property
    def jobs(self) -> int:
        """Jobs that have been given to it and have not ended."""
        return len(self._tickets)

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> Voice:
        """Start the process and load the model; raises what that raised."""
        loop = asyncio.get_running_loop()
        spawned, self._ahead = self._ahead or spawn(self._begin.threads), None
        self._process, pipe = spawned.process, spawned.pipe
        self._ready = loop.create_future()
        self._out = queue.SimpleQueue()
        threading.Thread(target=_read, args=(pipe, loop, self._take, self._died), daemon=True).start()
        threading.Thread(target=_write, args=(pipe, self._out), daemon=True).start()
        self._out.put(self._begin)
        voice = await self._ready
        self.up = True
        return voice

    async def submit(self, job: Job) -> Ticket:
        """A ticket once the job has been taken; raises what `OpenEngine.submit` raises."""
        if not self.up:
            raise BusyError("The model is being loaded anew after a fault. Try again in a few seconds.")
        number = self._next
        self._next += 1
        out = self._out
        ticket = Ticket(job, number, lambda command: self._tell(number, command, out))
        self._tickets[number] = ticket
        out.put(Submit(number, job))
        try:
            await ticket.accepted
        except asyncio.CancelledError:
            ticket.cancel()
            raise
        return ticket

    async def reload(self, version: int, folder: str) -> None:
        """Take the weights of a folder, once all that has begun has ended; raises ModelError for what does not fit."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reloading[version] = done
        self._out.put(Reload(version, folder))
        await done
        self.begin_with(version, folder)

    def begin_with(self, version: int, folder: str) -> None:
        """A process that is started anew has the weights of this folder."""
        self._begin = replace(self._begin, model=folder, version=version)

    def close(self) -> None:
        """End the process; jobs under way are lost."""
        self._closing, self.up = True, False
        self._out.put(None)
        if self._process is not None:
            try:
                self._process.wait(1)
            except subprocess.TimeoutExpired:  # in the middle of a long step
                self._process.kill()
                self._process.wait()

    def fail_all(self, error: BusyError) -> int:
        """Every job under way ends with this; how many those are."""
        tickets, self._tickets = self._tickets, {}
        for ticket in tickets.values():
            ticket.fail(error)
        return len(tickets)

    def _tell(self, number: int, command: Cancel | Force, out: "queue.SimpleQueue[object]") -> None:
        out.put(command)
        ticket = self._tickets.get(number)
        if ticket is not None and ticket.done:
            del self._tickets[number]

    def _take(self, message: object) -> None:
        match message:
            case News(pieces, load):
                self.load = load
                for piece in pieces:
                    ticket = self._tickets.get(piece.job)
                    if ticket is not None:
                        ticket.take(piece)
                        if ticket.done:
                            del self._tickets[piece.job]
            case Accepted(number) if number in self._tickets:
                self._tickets[number].accepted.set_result(None)
            case Refused(None, error) if self._ready is not None and not self._ready.done():
                self._ready.set_exception(error.error("In a lane"))
            case Refused(None, error):
                for waiting in self._reloading.values():
                    if not waiting.done():
                        waiting.set_exception(error.error("In a lane"))
                self._reloading.clear()
            case Refused(number, error) if number in self._tickets:
                self._tickets.pop(number).fail(error.error("In a lane"))
            case Ready(voice):
                assert self._ready is not None
                self._ready.set_result(voice)
            case Reloaded(version):
                self._reloading.pop(version).set_result(None)

    def _died(self) -> None:
        """The pipe is closed: the process is gone, or it refused to begin."""
        was_up, self.up = self.up, False
        assert self._process is not None
        status = self._process.wait()
        how = signal.Signals(-status).name if status < 0 else f"status {status}"
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(
                ModelError(f"The process that computes ended with {how} while it loaded the model.")
            )
        self.load = IDLE
        for waiting in self._reloading.values():
            if not waiting.done():
                waiting.set_exception(BusyError(f"A lane ended with {how} while it took newer weights."))
        self._reloading.clear()
        failed = self.fail_all(BusyError(f"The process that computed this reply ended with {how}. Ask again."))
        if self._closing or not was_up:
            return
        now = time.monotonic()
        if now - self._died_at < _AGAIN_SECONDS:
            self.broken = True
            self._say(f"a lane ended with {how} for the second time within {_AGAIN_SECONDS:.0f} s and stays down")
            return
        self._died_at = now
        self._say(f"a lane ended with {how}: {failed} requests failed; it is started again")
        self._restarting = asyncio.ensure_future(self._restart())

    async def _restart(self) -> None:
        try:
            begun = self._begin
            await self.start()
            if self._begin is not begun:  # newer weights came while it loaded
                await self.reload(self._begin.version, self._begin.model)
        except Exception as error:  # whatever keeps it from loading: said, and /health tells
            self.broken = True
            self._say(f"a lane could not be started again: {error}")


def _read(
    pipe: Connection, loop: asyncio.AbstractEventLoop, take: Callable[[object], None], died: Callable[[], None]
) -> None:
    """The thread that reads: ends with the process at the other end."""
    try:
        while True:
            loop.call_soon_threadsafe(take, pipe.recv())
    except (EOFError, OSError):
        pass
    except RuntimeError:  # the loop has ended
        return
    try:
        loop.call_soon_threadsafe(died)
    except RuntimeError:
        return


def _write(pipe: Connection, out: "queue.SimpleQueue[object]") -> None:
    """The thread that writes, up to None, which tells the process to end."""
    message: object = ...
    while message is not None:
        message = out.get()
        try:
            pipe.send(message)
        except OSError:  # the process is gone; the reader says so
            return
