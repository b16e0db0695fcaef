"""A lane: one open engine in a process of its own. Commands come in and pieces go out through one pipe.

Started by `spawn.py` as `python -m ponder.serve.worker FD`, and never imported by the server. The process ends when the
other end of the pipe is closed, so none is left when the server dies.
"""

import contextlib
import gc
import sys
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from ponder.errors import ModelError, PonderError
from ponder.policy.load import load_policy
from ponder.rollout.carried import Carried
from ponder.rollout.engine import Piece
from ponder.rollout.live import LiveEngine
from ponder.serve.messages import (
    Accepted,
    Begin,
    Cancel,
    Force,
    Load,
    News,
    Ready,
    Refused,
    Reload,
    Reloaded,
    Submit,
    merge,
)

__all__ = ["main", "run"]

_SEND_SECONDS = 0.02
"""Pieces are gathered for so long, or until a completion ends ..."""
_BUSY_ROWS, _BUSY_SECONDS = 16, 0.04
"""... and where so many rows are written, for so long: each message costs the server as much as a token costs here, and
nobody reads 25 pieces a second."""


class _Outbox:
    """Pieces on their way out, gathered so that a message is not sent for every token. What is urgent goes at once,
    and the load with it."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._pieces: dict[tuple[int, int], Piece] = {}
        self._sent = 0.0

    def put(self, pieces: Sequence[Piece], load: Load, urgent: bool) -> None:
        for piece in pieces:
            place = piece.job, piece.choice
            self._pieces[place] = merge(self._pieces[place], piece) if place in self._pieces else piece
            urgent = urgent or piece.reason is not None
        patience = _SEND_SECONDS if load.rows < _BUSY_ROWS else _BUSY_SECONDS
        if urgent or (self._pieces and time.monotonic() - self._sent >= patience):
            self._pipe.send(News(tuple(self._pieces.values()), load))
            self._pieces.clear()
            self._sent = time.monotonic()

    def forget(self, number: int, choice: int | None) -> None:
        """What has been cancelled is not spoken of."""
        for place in [p for p in self._pieces if p[0] == number and choice in (None, p[1])]:
            del self._pieces[place]


def run(pipe: Connection) -> None:
    """Load the model, then compute until the pipe is closed."""
    begin = pipe.recv()
    assert isinstance(begin, Begin)
    torch.set_num_threads(begin.threads)
    try:
        policy = load_policy(
            begin.model,
            begin.template,
            precision=begin.precision,
            device=begin.device,
            trained=False,
        )
        engine = LiveEngine(policy, begin.bounds, begin.version)
    except (PonderError, RuntimeError) as error:  # RuntimeError: a device that is not there
        pipe.send(Refused(None, Carried.of(error)))
        return
    gc.freeze()  # what is there from the start is never looked through again
    pipe.send(Ready(policy.voice()))
    work = _Work(pipe, engine)
    while True:
        while pipe.poll(0 if not work.idle else None):
            command = pipe.recv()
            if command is None:
                return
            work.obey(command)
        work.step()


class _Work:
    """The jobs of one engine by the server's numbers, and what is done about each command."""

    def __init__(self, pipe: Connection, engine: LiveEngine) -> None:
        self._pipe, self._engine = pipe, engine
        self._outbox = _Outbox(pipe)
        self._ours: dict[int, int] = {}  # the server's number of a job -> the engine's
        self._theirs: dict[int, int] = {}
        self._open: dict[int, set[int]] = {}  # the server's number -> choices that have not ended
        self._loading = False
        self._cancelled = False  # since the load was last told

    @property
    def idle(self) -> bool:
        """Whether there is nothing to compute, or to tell."""
        return not self._open and not self._loading and not self._cancelled

    def obey(self, command: Submit | Cancel | Force | Reload) -> None:
        """Do it; what is wrong with it is told to the server."""
        try:
            match command:
                case Submit(number, job):
                    ours = self._engine.submit(job)
                    self._ours[number], self._theirs[ours] = ours, number
                    self._open[number] = set(range(len(job.seeds)))
                    self._pipe.send(Accepted(number))
                case Cancel(number, choice) if number in self._open:
                    self._engine.cancel(self._ours[number], choice)
                    self._outbox.forget(number, choice)
                    for one in [choice] if choice is not None else list(self._open[number]):
                        self._end(number, one)
                    self._cancelled = True
                case Force(number, choice, token_ids) if number in self._open:
                    self._engine.force(self._ours[number], choice, token_ids)
                case Reload(version, folder):
                    self._engine.load(version, _weights(Path(folder)))
                    self._loading = True
                    self._pipe.send(Reloaded(version))
        except PonderError as error:
            self._pipe.send(Refused(command.number if isinstance(command, Submit) else None, Carried.of(error)))

    def step(self) -> None:
        """Compute a little, and send what is new if it is time."""
        pieces = [piece._replace(job=self._theirs[piece.job]) for piece in self._engine.step()]
        for piece in pieces:
            if piece.reason is not None:
                self._end(piece.job, piece.choice)
        load = self._engine.load_now
        self._loading = self._loading and load.jobs > 0
        self._outbox.put(pieces, load, urgent=self._cancelled)
        self._cancelled = False

    def _end(self, number: int, choice: int) -> None:
        still_open = self._open.get(number, set())
        still_open.discard(choice)
        if number in self._open and not still_open:
            del self._open[number], self._theirs[self._ours.pop(number)]


def _weights(folder: Path) -> Mapping[str, torch.Tensor]:
    """All tensors in the files of a model's folder."""
    found: dict[str, torch.Tensor] = {}
    try:
        for file in sorted(folder.glob("*.safetensors")):
            found |= load_file(file)
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"The weights in {str(folder)!r} cannot be read: {error}. The model goes on with those it has."
        ) from error
    return found


def main() -> None:
    """The process: its end of the pipe is the open file whose number is its argument."""
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the server has gone
        run(Connection(int(sys.argv[1])))


if __name__ == "__main__":
    main()
