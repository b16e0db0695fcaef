"""Which stages begin next where several run at once, and how long all of them take then. Pure."""

from collections.abc import Collection, Mapping, Sequence

__all__ = ["makespan", "ready"]


def ready(waiting: Sequence[str], needs: Mapping[str, Collection[str]], done: Collection[str], free: int) -> list[str]:
    """The first `free` of the `waiting` stages, in their order, that need nothing but what is `done`.

    Example: ready(["zero", "sft", "rl"], {"zero": [], "sft": ["zero"], "rl": []}, [], 2) == ["zero", "rl"].
    """
    return [name for name in waiting if all(need in done for need in needs[name])][:free]


def makespan(seconds: Mapping[str, float], needs: Mapping[str, Collection[str]], at_once: int) -> float:
    """Seconds until the last stage ends, of stages that take so many each, in running order; what they need beyond
    each other is there. The greedy schedule of `ready` (list scheduling, Graham 1966).

    Example: makespan({"a": 3.0, "b": 2.0, "c": 2.0}, {"a": [], "b": [], "c": ["b"]}, 2) == 4.0.
    """
    waiting = list(seconds)
    among = {name: [need for need in needs[name] if need in seconds] for name in waiting}
    done: set[str] = set()
    ends: dict[str, float] = {}  # of what is running
    now = 0.0
    while waiting or ends:
        for name in ready(waiting, among, done, at_once - len(ends)):
            waiting.remove(name)
            ends[name] = now + seconds[name]
        first = min(ends, key=ends.__getitem__)
        now = ends.pop(first)
        done.add(first)
    return now
