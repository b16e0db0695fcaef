"""A run on two emulated Ray nodes that loses engine, rank, node and its own process: the same bytes, nothing left."""

import os
import pickle
import signal
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from ponder.errors import PonderError, WorkerLost
from ponder.watch.losses import read_losses
from ponder.workers import ray_home

pytestmark = [
    pytest.mark.scale,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: `make test-scale` installs it"),
]
STEPS = 5


@pytest.fixture(scope="module")
def drill() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
        import kill_drill

        yield kill_drill


@pytest.fixture(scope="module")
def cluster(drill: Any) -> Iterator[Any]:
    cluster = drill.Cluster()
    yield cluster
    cluster.close()


AHEAD = ("stages.zero.engine.lag=1", "stages.zero.checkpoint_every=2")


@pytest.mark.parametrize("overrides", [(), pytest.param(AHEAD, marks=pytest.mark.slow)])
def test_a_run_that_loses_everything_once_ends_the_same(
    overrides: tuple[str, ...], drill: Any, cluster: Any, tmp_path: Path
) -> None:
    """Drawn and trained in turn, and drawn ahead."""
    drill.drill(tmp_path / "whole", cluster, [], steps=STEPS, overrides=overrides)
    strikes = [
        drill.Strike(whom=whom, how=how, rows=rows, seconds=0)
        for rows, (whom, how) in enumerate(
            [
                ("engine", signal.SIGSTOP),
                ("rank", signal.SIGKILL),
                ("node", signal.SIGKILL),
                ("controller", signal.SIGKILL),
            ]
        )
    ]
    drill.drill(tmp_path / "struck", cluster, strikes, steps=STEPS, overrides=overrides)
    assert drill.digest(tmp_path / "struck") == drill.digest(tmp_path / "whole")
    assert not read_losses(tmp_path / "whole" / "stages" / "zero")
    lost = {one.what for one in read_losses(tmp_path / "struck" / "stages" / "zero")}
    assert "engine-0" in lost and "ranks" in lost


def test_a_node_that_differs_is_refused(cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ponder.workers.node import node_facts

    ours = ray_home.versions()
    monkeypatch.setattr(ray_home, "versions", lambda: ours | {"torch": "0.1"})
    with pytest.raises(PonderError, match=r"has other versions than this machine: torch \S+ \(here 0\.1\)"):
        ray_home.RayHome(cluster.address, tmp_path, print)
    monkeypatch.setattr(ray_home, "versions", lambda: ours)
    monkeypatch.setattr(ray_home, "node_facts", lambda file: node_facts(Path("/nowhere/that/a/node/sees")))
    with pytest.raises(PonderError, match=r"does not see the run folder .* that all nodes share"):
        ray_home.RayHome(cluster.address, tmp_path, print)


class Visible:
    """Says which GPUs its process was given."""

    def gpus(self) -> str:
        return os.environ.get("CUDA_VISIBLE_DEVICES", "none")


def asked(place: Any, verb: str) -> Any:
    place.send(pickle.dumps((verb, ())))
    while (look := place.look(1.0)).message is None:
        assert not look.ended, look
    return pickle.loads(look.message).value


def test_the_gpu_of_a_trainer_beside_engines_is_given_to_none(
    drill: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GPUs that are there in Ray's books alone: it numbers them as it does real ones."""
    from ray.cluster_utils import Cluster as Emulated

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    for name, value in drill.SETTINGS.items():
        monkeypatch.setenv(name, value)
    head = {"num_cpus": 2, "num_gpus": 3, "include_dashboard": False, "object_store_memory": 128 << 20}
    cluster = Emulated(initialize_head=True, head_node_args=head)
    said: list[str] = []
    try:
        home = ray_home.RayHome(str(cluster.address), tmp_path, said.append)
        try:
            home.hold()
            home.hold()
            assert home.processors() == (3, "GPUs") and home.engines(1, ahead=True) == 2
            given = []
            for number in range(2):
                place = home.start(f"engine-{number}", "test_workers_ray:Visible", 1, tmp_path / f"{number}.log")
                asked(place, "")
                given.append(asked(place, "gpus"))
            assert sorted(given) == ["1", "2"]
            with pytest.raises(WorkerLost, match="finds no room"):
                home.start("engine-2", "test_workers_ray:Visible", 1, tmp_path / "2.log")
        finally:
            home.close()
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
        home = ray_home.RayHome(str(cluster.address), tmp_path, said.append)
        try:
            home.hold()
            assert "this process trains on GPU 2, but the one that Ray keeps for it is 0" in said[-1]
        finally:
            home.close()
    finally:
        cluster.shutdown()
