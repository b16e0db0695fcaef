"""Tests of patches that take their time run while sampling goes on, and other answers do not wait for them."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ponder.policy import load_policy
from ponder.recipe.rollout import Sampling
from ponder.records import Completion, Gold, MathGold, Message, Problem, RepositoryGold
from ponder.rollout import OnFinish, OnProgress, Request
from ponder.rollout.collect import collect
from ponder.verify.pool import VerifierPool

SLOW = """\
import time
from shop.money import change

def test_change():
    time.sleep(5)
    assert change(10, 4) == 6
"""
PATCH = "shop/money.py\n<<<<<<< SEARCH\n    return price - paid\n=======\n    return {}\n>>>>>>> REPLACE\n"
GOLD = RepositoryGold(
    files={"shop/__init__.py": "", "shop/money.py": "def change(paid, price):\n    return price - paid\n"},
    tests={"tests/test_money.py": SLOW},
    seconds=10,
)


class Writer:
    """Writes what it is told, completion after completion of the first request and then of the next; between two of
    them it waits as `between` says, as long as sampling takes."""

    def __init__(self, texts: Sequence[Sequence[str]], between: Callable[[int], None]) -> None:
        self.texts, self.between = texts, between

    def generate(
        self,
        requests: Sequence[Request],
        sampling: Sampling,
        max_tokens: int,
        weight_version: int,
        on_finish: OnFinish | None = None,
        on_progress: OnProgress | None = None,
    ) -> list[tuple[Completion, ...]]:
        assert on_finish is not None
        found, count = [], 0
        for request, texts in zip(requests, self.texts, strict=True):
            written = []
            for number, text in enumerate(texts):
                completion = Completion(
                    token_ids=(5, 6),
                    logprobs=(-1.0, -1.0),
                    text=f"<think>so</think> <answer>{text}</answer>",
                    finish_reason="stop",
                    weight_version=0,
                    seed=number,
                )
                on_finish(request.key, number, completion)
                written.append(completion)
                count += 1
                self.between(count)
            found.append(tuple(written))
        return found


def problem(name: str, gold: Gold) -> Problem:
    return Problem(id=name, messages=(Message(role="user", content=f"Mend {name}."),), gold=gold, domain="d")


def judged(pool: VerifierPool) -> int:
    counters = pool.counters()
    return sum(counters.get(outcome, 0) for outcome in ("right", "wrong", "cannot_tell"))


def wait_for(met: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not met():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def test_slow_tests_end_while_sampling_goes_on_and_hold_nothing_up() -> None:
    order: list[str] = []

    def between(count: int) -> None:
        if count == 4:  # no patch, one whose tests last five seconds, and two sums
            wait_for(lambda: judged(pool) >= 3, "others wait for the tests of a patch")
            order.append("others" if judged(pool) == 3 else "all at once")
            wait_for(lambda: judged(pool) == 4, "a patch is judged after sampling only")
            order.append("patch")

    @contextmanager
    def phases(phase: str) -> Iterator[None]:
        order.append(f"{phase} begins")
        yield

    texts = [["I leave it.", PATCH.format("paid - price")], ["7", "8"]]
    with VerifierPool(workers=1) as pool:
        collected = collect(
            Writer(texts, between),
            load_policy("micro", "r1-zero", "fp32").voice(),
            [problem("change", GOLD), problem("sum", MathGold(answer="7"))],
            group_size=2,
            sampling=Sampling(max_tokens=64),
            max_tokens=64,
            seed=1,
            weight_version=0,
            pool=pool,
            rewards={"accuracy": 1.0},
            phases=phases,
        )
    assert order == ["generate begins", "others", "patch", "verify begins"]
    assert [[one.reward for one in group.rollouts] for group in collected.groups] == [[0.0, 1.0], [1.0, 0.0]]
