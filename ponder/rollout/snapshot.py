"""An engine in a process of its own, with the weights as they are when it is made: whatever is done to them here later,
it draws with those.

    Snapshot(policy) -> fork, own copy of the weights -> generate ... generate -> close

Like the lanes of `forks.py` it is a bare fork, which sees the policy as it is and needs no start-up; unlike them it
stays, so that a rollout may ask several times (a refill). It ends when it is closed, and when its parent is gone.
"""

import os
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import chain
from multiprocessing.connection import Connection, Pipe

import torch

from ponder.errors import RankError
from ponder.policy.policy import Policy
from ponder.recipe.rollout import Sampling
from ponder.records import Completion
from ponder.rollout.carried import Carried
from ponder.rollout.engine import GenerationState, OnFinish, OnProgress, Renewal, Request, refuse_guides
from ponder.rollout.local import LocalEngine

__all__ = ["Snapshot"]

_POLL_SECONDS = 0.2
"""How soon a process that nobody asks notices that its parent is gone."""
_Place = tuple[int, int]
"""Index of the request, index of the seed."""


@dataclass(frozen=True, slots=True)
class _Call:
    requests: Sequence[Request]
    sampling: Sampling
    max_tokens: int
    weight_version: int


class Snapshot:
    """The engine's verb over weights that nobody changes. `lanes` processes draw, each in one thread; None begins as
    many as `LocalEngine` does. `waiting` is entered whenever this process waits for the other. With `renewal` newer
    weights are taken up there while it draws: it makes one of the policy and the version of its weights."""

    def __init__(
        self,
        policy: Policy,
        max_slots: int,
        lanes: int | None = None,
        waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
        renewal: Callable[[Policy, int], Renewal] | None = None,
        cache_bytes: int | None = None,
    ) -> None:
        self._waiting = waiting
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")  # or the tokenizers library warns of every fork
        self._link, theirs = Pipe()
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                self._link.close()
                _serve(LocalEngine(policy, max_slots, lanes, cache_bytes), policy, theirs, parent, renewal)
                status = 0
            finally:  # leave without the parent's clean-up, whatever happened
                os._exit(status)
        theirs.close()
        self._status: int | None = None
        self._reaping = threading.Lock()
        self._receive()  # the weights are copied: they may change here from now on

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        max_tokens: int,
        weight_version: int,
        on_finish: OnFinish | None = None,
        on_progress: OnProgress | None = None,
    ) -> list[tuple[Completion, ...]]:
        """See `Engine.generate`. RankError when the process is gone."""
        refuse_guides(requests)
        sent = [replace(request, key=str(i), problem=None) for i, request in enumerate(requests)]
        try:
            self._link.send(_Call(sent, sampling, max_tokens, weight_version))
        except OSError:
            raise self._gone() from None
        done: dict[_Place, Completion] = {}
        while (message := self._receive()) is not None:
            if isinstance(message, GenerationState):
                if on_progress is not None:
                    on_progress(message)
                continue
            key, sample, completion = message
            done[int(key), sample] = completion
            if on_finish is not None:
                on_finish(requests[int(key)].key, sample, completion)
        return [tuple(done[i, j] for j in range(len(request.seeds))) for i, request in enumerate(requests)]

    def close(self) -> None:
        """End the process, whatever it is doing; from any thread, as often as one likes. A call that waits for it gets
        a RankError."""
        self._end(kill=True)

    def _end(self, kill: bool) -> int:
        """Wait until the process has ended; its exit status, or the signal that ended it as a negative number."""
        with self._reaping:
            if self._status is None:
                if kill:
                    os.kill(self.pid, signal.SIGKILL)
                self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            return self._status

    def _receive(self) -> GenerationState | tuple[str, int, Completion] | None:
        try:
            with self._waiting():
                self._link.poll(None)
            message: GenerationState | tuple[str, int, Completion] | Carried | None = self._link.recv()
        except (EOFError, OSError):
            raise self._gone() from None
        if isinstance(message, Carried):
            raise message.error("In the process that draws ahead")
        return message

    def _gone(self) -> RankError:
        status = self._end(kill=False)
        how = f"by the signal {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
        return RankError(f"The process that draws ahead ended {how} before it was done.", "gone")


def _serve(
    engine: LocalEngine,
    policy: Policy,
    link: Connection,
    parent: int,
    renewal: Callable[[Policy, int], Renewal] | None,
) -> None:
    """The forked process: ends when nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted too, and ends us
    torch.set_num_threads(1)  # a forked process has none of its parent's worker threads
    with torch.no_grad():
        for tensor in chain(policy.model.parameters(), policy.model.buffers()):
            tensor.data = tensor.data.clone()  # what others write stands in shared memory
    link.send(None)
    renewed: Renewal | None = None

    def report(state: GenerationState) -> None:
        if os.getppid() != parent:
            os._exit(1)
        link.send(state)

    while True:
        while not link.poll(_POLL_SECONDS):
            if os.getppid() != parent:
                return
        try:
            call: _Call = link.recv()
        except (EOFError, ConnectionError):
            return
        try:
            if renewal is not None and renewed is None:
                renewed = renewal(policy, call.weight_version)
            engine.generate(
                call.requests,
                call.sampling,
                call.max_tokens,
                call.weight_version if renewed is None else renewed.version,
                lambda key, sample, completion: link.send((key, sample, completion)),
                report,
                renewed,
            )
            link.send(None)
        except Exception as error:  # raised again in the parent
            link.send(Carried.of(error))
