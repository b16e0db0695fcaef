"""Where workers may be, and which node gets the next one: pure, from what is there and what is taken."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ponder.errors import RecipeError

__all__ = ["Node", "check_place", "engines_for", "pick"]


def check_place(on: str) -> None:
    """RecipeError for what `--on` cannot say."""
    kind, separator, address = on.partition("://")
    host, _, port = address.rpartition(":")
    if kind == "ray" and separator and not (host and port.isdecimal()):
        raise RecipeError(
            f"`--on` is {on!r}, expected ray://host:port, the address of a cluster's head, or ray for the cluster of "
            f"this machine"
        )
    if on not in ("local", "ray") and kind != "ray":
        raise RecipeError(f"`--on` is {on!r}, but workers can be placed on: local, ray, ray://host:port")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node that is alive."""

    id: str
    address: str
    cores: int
    gpus: int


def pick(nodes: Sequence[Node], taken: Mapping[str, Sequence[str]], name: str) -> Node | None:
    """Where the worker `name` goes, given the names of those on each node; None where there is no room.

    Ranks stay together, since they exchange most: where most of them are, then on the emptiest node. Engines spread: to
    the emptiest one. A worker takes a GPU where any node has one, and then every worker does. Else ranks take a core
    each, and engines share what there is: they wait while ranks train.
    """
    gpus, is_rank = any(node.gpus for node in nodes), name.startswith("rank")
    ranks = {node.id: sum(one.startswith("rank") for one in taken.get(node.id, ())) for node in nodes}
    there = {node.id: ranks[node.id] if is_rank and not gpus else len(taken.get(node.id, ())) for node in nodes}
    room = {node.id: (node.gpus if gpus else node.cores) - there[node.id] for node in nodes}
    free = [node for node in nodes if room[node.id] > 0 or not (gpus or is_rank)]
    together = ranks if is_rank else dict.fromkeys(ranks, 0)
    return max(free, key=lambda node: (together[node.id], room[node.id], node.id), default=None)


def engines_for(nodes: Sequence[Node], ranks: int, *, ahead: bool = False) -> int:
    """One for each GPU that no rank has; without GPUs one for each core, since engines and ranks take turns, or for
    half of the cores where they do not."""
    gpus, cores = sum(node.gpus for node in nodes), sum(node.cores for node in nodes)
    if gpus:
        return max(1, gpus - ranks)
    return max(1, cores // 2 if ahead else cores)
