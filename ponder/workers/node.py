"""What runs on a node for whoever places workers there: a keeper, what the node is, and an end for what hangs."""

import contextlib
import os
import platform
import signal
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import psutil

import ponder
from ponder.ranks.keeper import Keeper

__all__ = ["Held", "NodeFacts", "NodeKeeper", "end_processes", "node_facts", "versions"]

_COMPARED = ("torch", "transformers", "safetensors")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """A node's name, its versions, and what it reads in a file; None where it sees none."""

    host: str
    versions: Mapping[str, str]
    read: str | None


class NodeKeeper(Keeper):
    """A keeper whose process talks with others over the network that the node has `ip` in."""

    def __init__(self, maker: str, threads: int, log: Path, environment: Mapping[str, str] | None, ip: str) -> None:
        self._ip = ip
        network = {
            name: interface for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME") if (interface := _interface(ip))
        }
        given = {name: os.environ[name] for name in network if name in os.environ}
        super().__init__(maker, threads, log, {**network, **given, **(environment or {})})

    def address(self) -> tuple[str, int]:
        """See `Place.address`."""
        return self._ip, super().address()[1]


class Held:
    """Keeps the GPUs that it was given from others, while it lives."""

    def visible(self) -> str:
        """Which they are, as CUDA_VISIBLE_DEVICES has it."""
        return os.environ.get("CUDA_VISIBLE_DEVICES", "")


def versions() -> dict[str, str]:
    """Of what must be the same on all nodes."""
    found = {name: metadata.version(name) for name in _COMPARED}
    return {"ponder": ponder.__version__, "python": platform.python_version(), **found}


def node_facts(file: Path) -> NodeFacts:
    """Of the node where this runs."""
    try:
        read: str | None = file.read_text(encoding="utf-8")
    except OSError:
        read = None
    return NodeFacts(host=socket.gethostname(), versions=versions(), read=read)


def end_processes(pids: Sequence[int]) -> None:
    """End what may stand still, and so does not end by itself."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _interface(ip: str) -> str:
    """The name of the network interface with this address; the empty text where none has it."""
    for name, addresses in psutil.net_if_addrs().items():
        if any(one.address == ip for one in addresses):
            return name
    return ""
