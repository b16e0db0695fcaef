"""`ponder serve`: a model behind OpenAI's interface."""

import asyncio
import errno
import gc
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn
import uvloop

from ponder.errors import DataError, PonderError
from ponder.judge.keywords import read_rules
from ponder.recipe.serve import ServeConfig
from ponder.serve.app import About, Server
from ponder.serve.deciders import open_decider
from ponder.serve.guard import LOOPBACK
from ponder.serve.keys import Keys, new_key, read_keys
from ponder.serve.prompt import model_defaults
from ponder.serve.risk import Risk
from ponder.serve.served import Served, find_served
from ponder.serve.serving import Serving
from ponder.serve.settings import IS_AT
from ponder.serve.spawn import Spawned

if TYPE_CHECKING:
    from ponder.serve.scoring import Scoring

__all__ = ["print_new_key", "serve_command"]


_BACKLOG = 2048
"""Connections that may wait to be taken."""


def print_new_key(name: str) -> None:
    """A key, which nobody can read again, and the line for the file of keys."""
    key, line = new_key(name)
    print(line)
    print(f"The key of {name!r}, shown this once: {key}\nPut the line above into your file of keys.", file=sys.stderr)


def serve_command(model: str, config: ServeConfig, lanes: list[Spawned], *, follow: bool = False) -> None:
    """Serve until interrupted, by the processes `lanes`, which are taken from the list. Raises PonderError for a model,
    a configuration or a port that cannot be used."""
    if config.host not in LOOPBACK and config.keys is None:
        raise DataError(
            f"host {config.host!r} lets other machines ask this server, and it asks for no keys, so anybody could: set "
            f"keys to a file of keys (ponder serve --new-key NAME >> keys.txt), or leave host out."
        )
    keys = read_keys(config.keys)
    if config.risk is not None:
        read_rules(config.risk.rules)
    served = find_served(model, follow=follow)
    with _listening(config) as listening, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(served, config, keys, listening, lanes, follow))


def _scoring(scorer: str, config: ServeConfig) -> "Scoring":
    from ponder.serve.scoring import Scoring  # torch, which this process does without otherwise

    return Scoring(scorer, config.precision, config.device)


class _Uvicorn(uvicorn.Server):
    """Told to end, it first says so to the model, so that nothing new is begun."""

    def __init__(self, config: uvicorn.Config, ending: Callable[[], None]) -> None:
        super().__init__(config)
        self._ending = ending

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._ending()
        super().handle_exit(sig, frame)


async def _serve(
    served: Served, config: ServeConfig, keys: Keys, listening: socket.socket, lanes: list[Spawned], follow: bool
) -> None:
    began = lanes[0].began
    serving = await Serving.start(config, str(served.folder), _say, served.version, lanes)
    tasks: list[asyncio.Task[None]] = []
    server: Server | None = None
    closing = ExitStack()
    try:
        name = config.name or served.name
        server = Server(
            config,
            serving,
            keys,
            About(name, config.aliases, served.details),
            model_defaults(config, served.folder),
            await asyncio.to_thread(_scoring, config.scorer, config) if config.scorer else None,
        )
        closing.callback(server.verifiers.close)
        if config.risk is not None:
            decider = await open_decider(config, config.risk, serving, _say)
            server.risk = Risk(config.risk, decider, server.metrics, _say)
        if follow:
            tasks.append(asyncio.create_task(_follow(serving, served, config)))

        def ending() -> None:
            serving.draining = True
            tasks.append(asyncio.get_running_loop().create_task(_cut(serving, config.drain_seconds)))

        settings = uvicorn.Config(
            server.app,
            http="httptools",
            log_level="warning",
            backlog=_BACKLOG,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=int(config.drain_seconds) + 2,
        )
        host, port = listening.getsockname()[:2]
        address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        seconds = time.monotonic() - began
        gc.freeze()  # what is there from the start is never looked through again
        listening.listen(_BACKLOG)  # so that nobody who believes the line is refused
        _say(f"{name}{IS_AT}{address}/v1 after {seconds:.1f} s, its chat page at {address}/; Ctrl-C ends it")
        await _Uvicorn(settings, ending).serve([listening])
    finally:
        for task in tasks:
            task.cancel()
        if server is not None and server.risk is not None:
            server.risk.close()
        serving.close()
        closing.close()


async def _cut(serving: Serving, seconds: float) -> None:
    """What is still under way after so long is told so."""
    await asyncio.sleep(seconds)
    serving.cut()


async def _follow(serving: Serving, served: Served, config: ServeConfig) -> None:
    """Load the stage's newest checkpoint whenever there is a newer one."""
    while True:
        await asyncio.sleep(config.follow_seconds)
        newest = served.newest()
        if newest is None or newest[0] == serving.version:
            continue
        try:
            await serving.reload(newest[0], str(newest[1]))
            _say(f"weights of step {newest[0]} are in use")
        except PonderError as error:  # such as a checkpoint that has just been removed
            _say(str(error))


@contextmanager
def _listening(config: ServeConfig) -> Iterator[socket.socket]:
    """A socket that listens; DataError where the address cannot be used."""
    try:
        family = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((config.host, config.port))
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"The server cannot listen at {config.host}:{config.port}: {reason}. {_listen_advice(error, config.port)}"
        ) from None
    with listening:
        yield listening


def _listen_advice(error: OSError | UnicodeError, port: int) -> str:
    """What to do about an address that cannot be used: about its host, where that is none of this machine."""
    if isinstance(error, UnicodeError | socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return "host is an address or a name of this machine, such as 127.0.0.1, or 0.0.0.0 for all that it has."
    if error.errno == errno.EACCES:
        return "Ports below 1024 may be kept for root: choose another port, such as port=8000."
    return f"Another server may be there: choose another port, such as port={port + 1}, or 0 for any that is free."


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
