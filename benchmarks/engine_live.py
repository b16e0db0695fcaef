"""Step times of the open engine beside company: what one long prompt, or one vote of many, costs the chats.

    python benchmarks/engine_live.py --chats 255 --repeats 3

The chats answer problems of the embedded world in the r1-zero template, with the embedded base, and end by their limit
alone. Three cases take turns: the chats alone; with a prompt of 1,900 tokens that joins them; with a vote of 64. Times
are of steps in which all chats run: before anybody joins, while the newcomer is computed and seated, and after; medians
of the steps, then of the runs. Joining is compared with the mean of before and after, since the chats grow meanwhile,
and after with that of the chats alone. The last line printed is JSON.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from shapes import SHAPES, problems

from ponder.policy import Policy, load_policy
from ponder.rollout import Bounds, Job, LiveEngine

_WARM_STEPS = 5
_STEPS = 20
_LONG = 1900
_VOTE = 64


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of a step: before anybody joins, while a prompt is computed (median and longest), when all run."""

    before: float
    joining: float
    longest_join: float
    after: float


def main() -> None:
    """Measure the three cases in turn and print what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--chats", type=int, default=255, help="rows that run all the time (default: 255)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each case (default: 3)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="(default: all cores)")
    parser.add_argument("--cpu-time", action="store_true", help="of this process, not the clock's: on a busy machine")
    arguments = parser.parse_args()
    clock = time.process_time if arguments.cpu_time else time.perf_counter
    torch.set_num_threads(arguments.threads)
    policy = load_policy("micro", "r1-zero", precision="fp32", device="cpu")
    shape = SHAPES["long_tail"]
    prompts = [policy.template.encode(policy.tokenizer, problem.messages) for problem in problems(shape)]
    long = tuple((prompts[0] * (_LONG // len(prompts[0]) + 1))[:_LONG])
    newcomers = {"alone": None, "long prompt": (long, 1), "vote": (prompts[-1], _VOTE)}
    found: dict[str, list[Times]] = {name: [] for name in newcomers}
    for _ in range(arguments.repeats):
        for name, newcomer in newcomers.items():
            found[name].append(_measure(policy, prompts, arguments.chats, newcomer, clock))
    middle = {
        name: {key: 1000 * statistics.median(getattr(one, key) for one in runs) for key in Times.__slots__}
        for name, runs in found.items()
    }
    print(f"{arguments.chats} chats, {torch.get_num_threads()} threads; milliseconds of a step")
    print(f"{'':14}{'before':>9}{'joining':>9}{'longest':>9}{'after':>9}{'joining x':>11}{'after x':>9}")
    ratios = {}
    for name, ms in middle.items():
        ratios[name] = {
            "joining": 2 * ms["joining"] / (ms["before"] + ms["after"]),
            "after": ms["after"] / middle["alone"]["after"],
        }
        numbers = "".join(f"{ms[key]:9.1f}" for key in Times.__slots__)
        print(f"{name:14}{numbers}{ratios[name]['joining']:11.2f}{ratios[name]['after']:9.2f}")
    print(json.dumps({"milliseconds": middle, "ratios": ratios, "chats": arguments.chats}))


def _measure(
    policy: Policy,
    prompts: list[tuple[int, ...]],
    chats: int,
    newcomer: tuple[tuple[int, ...], int] | None,
    clock: Callable[[], float],
) -> Times:
    engine = LiveEngine(policy, Bounds(rows=chats + (newcomer[1] if newcomer else 1)))

    def submit(prompt: tuple[int, ...], seeds: tuple[int, ...], max_tokens: int) -> int:
        return engine.submit(
            Job(prompt_ids=prompt, seeds=seeds, max_tokens=max_tokens, key="job", stop_ids=frozenset(), salt="none")
        )

    for i in range(chats):
        submit(prompts[i % len(prompts)], (i,), 1200)
    while engine.load_now.rows < chats:
        engine.step()
    for _ in range(_WARM_STEPS):
        engine.step()
    before = [_seconds(engine, clock) for _ in range(_STEPS)]
    joining = before
    if newcomer is not None:
        submit(newcomer[0], tuple(range(1_000_000, 1_000_000 + newcomer[1])), 100)
        joining = []
        while engine.load_now.rows < chats + newcomer[1]:
            joining.append(_seconds(engine, clock))
    after = [_seconds(engine, clock) for _ in range(_STEPS)]
    return Times(statistics.median(before), statistics.median(joining), max(joining), statistics.median(after))


def _seconds(engine: LiveEngine, clock: Callable[[], float]) -> float:
    start = clock()
    engine.step()
    return clock() - start


if __name__ == "__main__":
    main()
