"""Workers on the nodes of a Ray cluster: the only file that imports Ray.

Ray finds nodes, starts a keeper on one and carries messages. Each call here has a limit, and what misses it, or is gone
with its node, is one error: WorkerLost. Nothing is restarted by Ray.
"""

import contextlib
import logging
import os
import secrets
import socket
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ponder.errors import PonderError, RecipeError, WorkerLost
from ponder.ranks.keeper import Look
from ponder.workers.home import Place
from ponder.workers.node import Held, NodeFacts, NodeKeeper, end_processes, node_facts, versions
from ponder.workers.placement import Node, engines_for, pick

__all__ = ["RayHome"]

_LOOK_SECONDS, _SILENT_SECONDS = 1.0, 15.0
"""A keeper looks so long at its process, and is lost when it says nothing for so much longer."""
_CALL_SECONDS, _START_SECONDS, _CONNECT_SECONDS, _FACTS_SECONDS = 10.0, 60.0, 5.0, 90.0
_STORE_BYTES = 128 << 20
"""Of shared memory for what is on its way; weights go by files."""
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "disabled"}
"""What keeps a Ray of our own on 127.0.0.1, without a token that nobody else could send."""
_HEALTH = {"health_check_initial_delay_ms": 2000, "health_check_period_ms": 2000, "health_check_failure_threshold": 3}
_RUNNING = Path(tempfile.gettempdir()) / "ray" / "ray_current_cluster"
"""Where `ray start` leaves the address of the cluster that this machine belongs to."""
_NO_TELEMETRY = {"RAY_USAGE_STATS_ENABLED": "0"}


class RayHome:
    """The cluster at `address` (host:port of its head); without one that to which this machine belongs, or a new one of
    this machine alone, which ends with the run."""

    sharded = True

    def __init__(self, address: str, folder: Path, say: Callable[[str], None]) -> None:
        """PonderError where it does not answer, or its nodes cannot work on this run: other versions, another disk."""
        self._places: list[_RayPlace] = []
        self._say = say
        self._held: tuple[Node, Any] | None = None
        if address:
            _check_answers(address)
        self._joins = bool(address or os.environ.get("RAY_ADDRESS") or _RUNNING.exists())
        self._ray = _import_ray({} if self._joins else _LOOPBACK)
        self._connect(address)
        self._quiet()
        try:
            self._check_nodes(folder)
            nodes = self.nodes()
        except BaseException:
            self.close()
            raise
        cores, gpus = sum(node.cores for node in nodes), sum(node.gpus for node in nodes)
        say(f"workers on Ray: {len(nodes)} node{'s' if len(nodes) != 1 else ''}, {cores} cores, {gpus} GPUs")

    def nodes(self) -> list[Node]:
        """Those that are alive."""
        return [
            Node(
                id=one["NodeID"],
                address=one["NodeManagerAddress"],
                cores=int(one["Resources"].get("CPU", 0)),
                gpus=int(one["Resources"].get("GPU", 0)),
            )
            for one in self._ray.nodes()
            if one["Alive"]
        ]

    def processors(self) -> tuple[int, str]:
        """See `Home.processors`."""
        nodes = self.nodes()
        gpus = sum(node.gpus for node in nodes)
        return (gpus, "GPUs") if gpus else (sum(node.cores for node in nodes), "cores")

    def engines(self, ranks: int, *, ahead: bool = False) -> int:
        """See `Home.engines`."""
        return engines_for(self.nodes(), ranks, ahead=ahead)

    def threads(self, ranks: int) -> int:
        """See `Home.threads`: the same on every node, whatever is lost."""
        return max(1, min(node.cores for node in self.nodes()) // ranks)

    def hold(self) -> None:
        """See `Home.hold`: Ray knows nothing of what this process has, and would give its GPU to the first engine."""
        own = self._ray.get_runtime_context().get_node_id()
        node = next((one for one in self.nodes() if one.id == own), None)
        if self._held is not None or node is None or not node.gpus:
            return
        holder = self._remote(Held, node, gpus=1).remote()
        self._held = node, holder
        try:
            given = self.get(holder.visible.remote(), _START_SECONDS, "the GPU with which this process trains", node)
        except WorkerLost as lost:
            raise PonderError(
                f"No GPU of this node ({node.address}) is free for the run's own process, which trains while engines "
                f"draw (engine.lag): {lost.why}. End what has them (`ray status` shows it), or start the run elsewhere"
            ) from lost
        trains = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]
        if given != trains:
            self._say(
                f"this process trains on GPU {trains}, but the one that Ray keeps for it is {given}: others of this "
                f"cluster may be given {trains}, too. Start the run with CUDA_VISIBLE_DEVICES={given}"
            )

    def start(
        self, name: str, maker: str, threads: int, log: Path, environment: Mapping[str, str] | None = None
    ) -> Place:
        """See `Home.start`."""
        nodes = self.nodes()
        taken: dict[str, list[str]] = {} if self._held is None else {self._held[0].id: ["run"]}
        for place in self._places:
            taken.setdefault(place.node.id, []).append(place.name)
        node = pick(nodes, taken, name)
        if node is None:
            raise WorkerLost(what=name, where="any node", why=f"finds no room on the {len(nodes)} nodes that are there")
        keeper = self._remote(NodeKeeper, node, gpus=1 if any(one.gpus for one in nodes) else 0).remote(
            maker, threads, log, environment, node.address
        )
        place = _RayPlace(self, name, node, keeper)
        try:
            place.pids = self.get(keeper.pids.remote(), _START_SECONDS, name, node)
        except WorkerLost:
            place.end()
            raise
        self._places.append(place)
        return place

    def get(self, reference: Any, seconds: float, what: str, node: Node) -> Any:
        """What a call returns; WorkerLost where it has not within so many seconds, or cannot."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference, timeout=seconds)
        except errors.GetTimeoutError:
            why = f"did not answer within {seconds:.0f} s"
        except errors.RayTaskError:
            raise
        except errors.RayError as error:
            why = f"is gone, with its keeper or its node ({type(error).__name__})"
        raise WorkerLost(what=what, where=node.address, why=why)

    def ready(self, reference: Any, seconds: float) -> bool:
        """Whether a call has returned, or failed, within so many seconds."""
        return bool(self._ray.wait([reference], timeout=seconds)[0])

    def end(self, place: "_RayPlace") -> None:
        """End a keeper and its process, whatever state they are in."""
        if place in self._places:
            self._places.remove(place)
        with contextlib.suppress(self._ray.exceptions.RayError, ValueError):
            self._ray.kill(place.keeper)
        if place.pids and any(node.id == place.node.id for node in self.nodes()):
            with contextlib.suppress(WorkerLost):
                self.get(self._remote(end_processes, place.node).remote(place.pids), _CALL_SECONDS, "end", place.node)

    def close(self) -> None:
        """See `Home.close`."""
        for place in list(self._places):
            place.end()
        if self._held is not None:
            with contextlib.suppress(self._ray.exceptions.RayError, ValueError):
                self._ray.kill(self._held[1])
            self._held = None
        self._ray.shutdown()

    def _remote(self, what: Any, node: Node, gpus: int = 0) -> Any:
        """A function or class that is to run on a node; where it does not fit, it fails."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        where = NodeAffinitySchedulingStrategy(node.id, soft=False)
        options = {"max_restarts": 0} if isinstance(what, type) else {"max_retries": 0}
        return self._ray.remote(num_cpus=0, num_gpus=gpus, scheduling_strategy=where, **options)(what)

    def _connect(self, address: str) -> None:
        settings = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
        if self._joins:
            try:
                self._ray.init(address=address or "auto", **settings)
                return
            except (ConnectionError, RuntimeError, ValueError) as error:
                known = address or os.environ.get("RAY_ADDRESS") or "this machine"
                raise PonderError(
                    f"The Ray cluster at {known} does not take this run: "
                    f"{' '.join(str(error).split())[:300]}. Start `ponder run` on one of its nodes, with the head's "
                    f"address as `ray start` printed it"
                ) from error
        self._ray.init(
            address="local",
            include_dashboard=False,
            object_store_memory=_STORE_BYTES,
            _system_config=_HEALTH,
            **settings,
        )

    def _quiet(self) -> None:
        """What dies is told here as a WorkerLost; Ray would print pages about it."""
        from ray._private import worker

        worker.print_to_stdstream = lambda *_, **__: None

    def _check_nodes(self, folder: Path) -> None:
        file, word = folder.absolute() / ".seen-by-all-nodes", secrets.token_hex(8)
        file.write_text(word, encoding="utf-8")
        try:
            asked = [(node, self._remote(node_facts, node).remote(file)) for node in self.nodes()]
            for node, reference in asked:
                self._check_node(node, self._facts(node, reference), word, folder)
        finally:
            file.unlink(missing_ok=True)

    def _facts(self, node: Node, reference: Any) -> NodeFacts:
        try:
            found: NodeFacts = self.get(reference, _FACTS_SECONDS, "the first look", node)
            return found
        except WorkerLost as lost:
            raise PonderError(
                f"The node {node.address} of the Ray cluster is listed as alive, but {lost.why}. Take it out of the "
                f"cluster (`ray stop` there), or start it anew"
            ) from lost
        except self._ray.exceptions.RayTaskError as error:
            raise PonderError(
                f"The node {node.address} of the Ray cluster cannot run ponder: {str(error).strip().splitlines()[-1]}. "
                f"Install the same ponder there, in the environment that `ray start` was given in"
            ) from error

    def _check_node(self, node: Node, facts: NodeFacts, word: str, folder: Path) -> None:
        ours = versions()
        others = [
            f"{name} {facts.versions[name]} (here {ours[name]})" for name in ours if facts.versions[name] != ours[name]
        ]
        if others:
            raise PonderError(
                f"The node {facts.host} ({node.address}) has other versions than this machine: {', '.join(others)}. "
                f"Results would depend on where what is computed: install the same ones there"
            )
        if facts.read != word:
            raise PonderError(
                f"The node {facts.host} ({node.address}) does not see the run folder {str(folder.absolute())!r}, "
                f"through which weights go to workers. Give --out a folder that all nodes share under one path"
            )


class _RayPlace:
    """See `Place`."""

    def __init__(self, home: RayHome, name: str, node: Node, keeper: Any) -> None:
        self._home, self.name, self.node, self.keeper = home, name, node, keeper
        self.pids: Sequence[int] = ()
        self._look: Any = None
        self._sent: Any = None
        self._waited = 0.0
        self._ended = False

    @property
    def where(self) -> str:
        return self.node.address

    def send(self, message: bytes) -> None:
        self._sent = self.keeper.send.remote(message)

    def look(self, seconds: float) -> Look:
        if self._look is None:
            self._look, self._waited = self.keeper.look.remote(_LOOK_SECONDS), time.monotonic()
        if not self._home.ready(self._look, seconds):
            if time.monotonic() - self._waited > _LOOK_SECONDS + _SILENT_SECONDS:
                raise WorkerLost(
                    what=self.name, where=self.where, why=f"did not answer for {_SILENT_SECONDS:.0f} s: it stands still"
                )
            return Look()
        reference, self._look = self._look, None
        found: Look = self._get(reference)
        return found

    def address(self) -> tuple[str, int]:
        host, port = self._get(self.keeper.address.remote())
        return str(host), int(port)

    def resident_bytes(self) -> int:
        return int(self._get(self.keeper.resident_bytes.remote()))

    def end(self) -> None:
        if not self._ended:
            self._ended = True
            self._home.end(self)

    def _get(self, reference: Any) -> Any:
        return self._home.get(reference, _CALL_SECONDS, self.name, self.node)


def _import_ray(settings: Mapping[str, str]) -> Any:
    for name, value in {**_NO_TELEMETRY, **settings}.items():  # read when it is imported
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise RecipeError(
            "`--on ray` needs Ray 2.60, which is not installed here. Install it with `pip install 'ponder[ray]'` on "
            "every node, or take `--on local`"
        ) from error
    return ray


def _check_answers(address: str) -> None:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
    except OSError as error:
        raise PonderError(
            f"No Ray cluster answers at {address}: {error}. Expected is the address that `ray start --head` printed on "
            f"the head node, whose port is 6379 unless it was given; start it there, or open the port"
        ) from error
