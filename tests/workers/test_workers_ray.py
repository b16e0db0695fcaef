"""A run on two emulated Ray nodes that loses engine, rank, node and its own process: the same bytes, nothing left."""

import signal
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from ponder.errors import PonderError
from ponder.watch.losses import read_losses

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
    from ponder.workers import ray_home
    from ponder.workers.node import node_facts

    ours = ray_home.versions()
    monkeypatch.setattr(ray_home, "versions", lambda: ours | {"torch": "0.1"})
    with pytest.raises(PonderError, match=r"has other versions than this machine: torch \S+ \(here 0\.1\)"):
        ray_home.RayHome(cluster.address, tmp_path, print)
    monkeypatch.setattr(ray_home, "versions", lambda: ours)
    monkeypatch.setattr(ray_home, "node_facts", lambda file: node_facts(Path("/nowhere/that/a/node/sees")))
    with pytest.raises(PonderError, match=r"does not see the run folder .* that all nodes share"):
        ray_home.RayHome(cluster.address, tmp_path, print)
