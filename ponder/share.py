"""What of this machine's cores and memory a process may take: all, or its share where stages run beside one another.

The share stands in the environment, so that whatever a stage starts reckons with it, too.
"""

import os

import psutil

__all__ = ["beside", "cores", "environment", "memory_bytes", "most_threads", "stages_at_once", "threads_each"]

_BESIDE = "PONDER_STAGES_BESIDE"


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def most_threads(cores: int) -> int:
    """As OpenMP reads its variable: the first number of a list, and all `cores` where there is none."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) else cores


def threads_each(at_once: int) -> int:
    """Threads of each of so many stages; those that OMP_NUM_THREADS allows are shared, and all cores without it."""
    return max(1, most_threads(cores()) // at_once)


def stages_at_once(at_once: int) -> int:
    """How many of so many stages have a core each: no more run at one time."""
    return min(at_once, cores())


def environment(at_once: int) -> dict[str, str]:
    """Of the process of one of so many stages."""
    return {"OMP_NUM_THREADS": str(threads_each(at_once)), _BESIDE: str(stages_at_once(at_once))}


def beside() -> int:
    """How many stages may run at one time, this process's own among them."""
    return int(os.environ.get(_BESIDE, "1"))


def memory_bytes() -> int:
    """This process's share of the machine's memory."""
    total: int = psutil.virtual_memory().total
    return total // beside()
