"""Where workers go, and that whoever waits for Ray says how long."""

import ast
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.errors import PonderError, RecipeError
from ponder.workers import home, ray_home
from ponder.workers.open import open_home
from ponder.workers.placement import Node, engines_for, pick

SOURCE = Path(ray_home.__file__)


def node(name: str, cores: int = 4, gpus: int = 0) -> Node:
    return Node(id=name, address=name, cores=cores, gpus=gpus)


def filled(nodes: list[Node], names: list[str]) -> dict[str, list[str]]:
    """Which node has which workers when they come in this order."""
    taken: dict[str, list[str]] = {}
    for name in names:
        place = pick(nodes, taken, name)
        taken.setdefault(place.id if place else "nowhere", []).append(name)
    return taken


def test_ranks_stay_together_and_engines_spread() -> None:
    nodes = [node("a", gpus=4), node("b", gpus=4), node("c", gpus=8)]
    both = filled([node("a"), node("b")], ["engine-0", "engine-1"])
    assert both == {"b": ["engine-0"], "a": ["engine-1"]}
    names = ["rank-0", "rank-1", "rank-2", "engine-0", "engine-1"]
    assert filled(nodes, names) == {"c": ["rank-0", "rank-1", "rank-2", "engine-0", "engine-1"]}
    assert filled(nodes, ["engine-0", "rank-0", "rank-1"])["c"] == ["engine-0", "rank-0", "rank-1"]
    small = [node("a", cores=2), node("b", cores=2)]
    assert filled(small, ["engine-0", "rank-0", "rank-1"]) == {"b": ["engine-0", "rank-0", "rank-1"]}
    assert engines_for(nodes, 3) == 13 and engines_for(nodes, 99) == 1
    assert engines_for(small, 2) == 4 and engines_for(small, 2, ahead=True) == 2, "half of the cores are the trainer's"
    assert engines_for([node("a", cores=1)], 1, ahead=True) == 1 and engines_for(nodes, 3, ahead=True) == 13


@pytest.mark.parametrize(("visible", "seen"), [(None, ["2", "1", "0", "2"]), ("4,6,7", ["7", "6", "4", "7"])])
def test_engines_of_one_machine_have_the_gpus_that_ranks_have_not(
    visible: str | None, seen: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each engine's process sees one of three, the last one first, since ranks have the first ones."""
    given: list[Mapping[str, str] | None] = []
    monkeypatch.setattr(home, "_LocalPlace", lambda maker, threads, log, environment: given.append(environment))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    cards = home.LocalHome(8, 3)
    assert cards.engines(2) == cards.engines(2, ahead=True) == 1 and cards.engines(0) == 3
    for number in range(4):
        cards.start(f"engine-{number}", "maker", 1, tmp_path / "log", {"A": "b"})
    assert [one and one["CUDA_VISIBLE_DEVICES"] for one in given] == seen
    assert all(one is not None and one["A"] == "b" for one in given)
    cards.start("rank-0", "maker", 1, tmp_path / "log")
    home.LocalHome(8).start("engine-0", "maker", 1, tmp_path / "log")
    assert given[-2:] == [None, None]
    assert home.LocalHome(5).engines(0) == 5 and home.LocalHome(5).engines(1, ahead=True) == 2


def test_engines_share_cores_and_nobody_shares_a_gpu() -> None:
    ranks = ["rank-0", "rank-1"]
    assert filled([node("a", cores=2)], [*ranks, "engine-0"]) == {"a": [*ranks, "engine-0"]}
    assert filled([node("a", cores=1)], ranks) == {"a": ["rank-0"], "nowhere": ["rank-1"]}
    assert filled([node("a", gpus=1)], ["engine-0", "engine-1"]) == {"a": ["engine-0"], "nowhere": ["engine-1"]}
    assert pick([], {}, "engine-0") is None


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3)), min_size=1, max_size=4),
    st.integers(0, 6),
    st.integers(0, 6),
)
def test_no_node_has_more_than_it_has_room_for(sizes: list[tuple[int, int]], ranks: int, engines: int) -> None:
    nodes = [node(str(i), cores, gpus) for i, (cores, gpus) in enumerate(sizes)]
    taken = filled(nodes, [*(f"rank-{i}" for i in range(ranks)), *(f"engine-{i}" for i in range(engines))])
    gpus = any(one.gpus for one in nodes)
    for one in nodes:
        there = taken.get(one.id, [])
        counted = there if gpus else [name for name in there if name.startswith("rank")]
        assert len(counted) <= (one.gpus if gpus else one.cores)
    room = sum(one.gpus if gpus else one.cores for one in nodes)
    nowhere = taken.get("nowhere", [])
    assert len(nowhere) == (max(0, ranks + engines - room) if gpus else max(0, ranks - room))


def test_every_call_that_waits_for_ray_has_a_limit() -> None:
    waits = [
        call
        for call in ast.walk(ast.parse(SOURCE.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in ("get", "wait")
        and ast.unparse(call.func.value).endswith("ray")
    ]
    assert {call.func.attr for call in waits if isinstance(call.func, ast.Attribute)} == {"get", "wait"}
    assert all("timeout" in {word.arg for word in call.keywords} for call in waits)


def test_ray_has_one_home() -> None:
    package = SOURCE.parents[1]
    users = [
        path
        for path in package.rglob("*.py")
        for one in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(one, ast.Import) and any(name.name.partition(".")[0] == "ray" for name in one.names))
        or (isinstance(one, ast.ImportFrom) and str(one.module).partition(".")[0] == "ray")
    ]
    assert set(users) == {SOURCE}


@pytest.mark.parametrize(
    ("on", "error", "said"),
    [
        ("cloud", RecipeError, r"`--on` is 'cloud', .* local, ray, ray://host:port"),
        ("", RecipeError, r"`--on` is '', .* local, ray, ray://host:port"),
        ("ray://head", RecipeError, r"expected ray://host:port"),
        ("ray://", RecipeError, r"expected ray://host:port, .* or ray for the cluster of this machine"),
        ("ray://:6379", RecipeError, r"expected ray://host:port"),
        ("ray://127.0.0.1:1", PonderError, r"No Ray cluster answers at 127.0.0.1:1: .* start it there"),
    ],
)
def test_what_is_no_place_is_said_before_anything_starts(
    on: str, error: type[Exception], said: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=said):
        open_home(on, tmp_path, print)


@pytest.mark.parametrize(
    ("there", "cuda", "taken"), [("GPUs", False, False), ("GPUs", True, True), ("cores", False, True)]
)
def test_gpus_of_a_cluster_need_one_where_the_run_is(
    there: str, cuda: bool, taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers compute on what the run's own process does."""
    closed: list[bool] = []

    class Cluster:
        def __init__(self, address: str, folder: Path, say: object) -> None: ...

        def processors(self) -> tuple[int, str]:
            return 4, there

        def close(self) -> None:
            closed.append(True)

    monkeypatch.setattr("ponder.workers.ray_home.RayHome", Cluster)
    monkeypatch.setattr("torch.cuda.is_available", lambda: cuda)
    if taken:
        assert isinstance(open_home("ray", tmp_path, print), Cluster) and not closed
    else:
        with pytest.raises(PonderError, match=r"has 4 GPUs, but torch finds none .* on a node with a GPU"):
            open_home("ray", tmp_path, print)
        assert closed == [True]
