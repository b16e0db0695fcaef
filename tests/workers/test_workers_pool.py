"""Engines in other processes draw the same, whoever is killed meanwhile; weights of others are refused."""

import os
import pickle
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import ARCHITECTURES
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from ponder.errors import DataError, ModelError, RankError, WorkerLost
from ponder.policy import Policy, random_policy
from ponder.ranks.answer import Answer
from ponder.ranks.keeper import Look
from ponder.recipe.rollout import EngineConfig, Sampling
from ponder.records import Completion
from ponder.rollout import LocalEngine, Request
from ponder.watch.losses import LossLog, losses_text, read_losses
from ponder.workers import pool as pool_module
from ponder.workers.home import LocalHome
from ponder.workers.pinned import PinnedEngine
from ponder.workers.pool import EnginePool
from ponder.workers.tasks import TaskQueue
from ponder.workers.weights import Publisher, check_probe, read_published
from ponder.workers.worker import limit_after

SAMPLING, TOKENS = Sampling(), 12


@pytest.fixture(scope="module")
def policy() -> Policy:
    words = ["<pad>", "<eos>", *(f"w{i}" for i in range(61))]
    model = models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<pad>")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(model), eos_token="<eos>", pad_token="<pad>")
    return random_policy(ARCHITECTURES["qwen2"], tokenizer, "r1-zero", seed=5, precision="fp32", device="cpu")


REQUESTS = [Request(prompt_ids=(7, 8, i), seeds=tuple(range(4 * i, 4 * i + 4)), key=str(i)) for i in range(6)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pool")


@pytest.fixture(scope="module")
def pool(policy: Policy, folder: Path) -> Iterator[EnginePool]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool_module, "TASK_COMPLETIONS", 8)
        pool = EnginePool(LocalHome(2), policy, EngineConfig(), 2, folder, LossLog(folder), lambda line: None)
        yield pool
    pids = [worker.place.pids()[1] for worker in pool.workers]  # type: ignore[attr-defined]
    pool.close()
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def ids(found: list[tuple[Completion, ...]]) -> list[tuple[int, ...]]:
    return [tuple(one.token_ids) for group in found for one in group]


def test_the_same_is_drawn_when_engines_die_or_stand_still(pool: EnginePool, policy: Policy, folder: Path) -> None:
    expected = [
        group
        for start in range(0, 6, 2)
        for group in LocalEngine(policy, lanes=1).generate(REQUESTS[start : start + 2], SAMPLING, TOKENS, 3)
    ]
    finished: list[tuple[str, int]] = []
    first = pool.generate(REQUESTS, SAMPLING, TOKENS, 3, lambda key, i, one: finished.append((key, i)))
    assert first == expected
    assert sorted(finished) == [(request.key, i) for request in REQUESTS for i in range(4)]

    struck: list[int] = []

    def strike(key: str, i: int, completion: Completion) -> None:
        if not struck:
            for worker, how in zip(pool.workers, (signal.SIGKILL, signal.SIGSTOP), strict=True):
                struck.append(worker.place.pids()[1])  # type: ignore[attr-defined]
                os.kill(struck[-1], how)

    assert pool.generate(REQUESTS, SAMPLING, TOKENS, 3, strike) == expected
    while len(losses := read_losses(folder)) < 2:
        pool.generate(REQUESTS, SAMPLING, TOKENS, 3)
    assert all("SIGKILL" in one.why or "SIGSTOP" in one.why for one in losses)
    assert all(one.seconds is not None and one.what in ("engine-0", "engine-1") for one in losses)
    assert losses_text(losses).startswith(f"workers lost: {len(losses)} x engine")


def test_new_weights_are_drawn_from(pool: EnginePool, policy: Policy) -> None:
    before = ids(pool.generate(REQUESTS, SAMPLING, TOKENS, 0))
    head = next(iter(policy.model.parameters()))
    kept = head.detach().clone()
    with torch.no_grad():
        head.mul_(-1)
    try:
        after = ids(pool.generate(REQUESTS, SAMPLING, TOKENS, 1))
        alone = LocalEngine(policy, lanes=1).generate(REQUESTS, SAMPLING, TOKENS, 1)
        assert after == ids(alone) and after != before
    finally:
        with torch.no_grad():
            head.copy_(kept)


def test_a_task_that_ends_every_engine_is_not_tried_forever(
    policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = EnginePool(LocalHome(2), policy, EngineConfig(), 1, tmp_path, LossLog(tmp_path), lambda line: None)

    def strike() -> None:
        for worker in pool.workers:
            os.kill(worker.place.pids()[1], signal.SIGKILL)  # type: ignore[attr-defined]

    original = pool_module.part

    def fatal(*arguments: object) -> list[Request]:
        strike()
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(pool_module, "part", fatal)
    monkeypatch.setattr(pool_module, "_TASK_LOSSES", 1)
    with pytest.raises(WorkerLost, match=r"SIGKILL during draw; with it 1 engines were lost over the same prompts"):
        pool.generate(REQUESTS, SAMPLING, TOKENS, 0)
    pool.close()
    assert [(one.what, one.seconds) for one in read_losses(tmp_path)] == [("engine-0", None)]


def test_a_pinned_engine_draws_from_the_weights_it_was_made_with(
    pool: EnginePool, policy: Policy, folder: Path
) -> None:
    """Whatever is published, drawn and let go of meanwhile; and its file goes with it."""
    before = ids(pool.generate(REQUESTS, SAMPLING, TOKENS, 0))
    pinned = PinnedEngine(pool)
    head = next(iter(policy.model.parameters()))
    kept = head.detach().clone()
    try:
        for factor in (-1, 0.5, 3):  # more versions than stay by themselves
            with torch.no_grad():
                head.mul_(factor)
            assert ids(pool.generate(REQUESTS, SAMPLING, TOKENS, 1)) != before
        assert len(list((folder / "weights").iterdir())) == 3
        found = pinned.generate(REQUESTS, SAMPLING, TOKENS, 7)
        assert ids(found) == before and {one.weight_version for group in found for one in group} == {7}
        pinned.close()
        pinned.close()
        assert len(list((folder / "weights").iterdir())) == 2
        with pytest.raises(RankError, match="was ended"):
            pinned.generate(REQUESTS, SAMPLING, TOKENS, 7)
    finally:
        with torch.no_grad():
            head.copy_(kept)


def test_what_is_drawn_ahead_can_be_ended_and_engines_stay(pool: EnginePool) -> None:
    expected = ids(pool.generate(REQUESTS, SAMPLING, TOKENS, 0))
    pids = [worker.place.pids() for worker in pool.workers]  # type: ignore[attr-defined]
    pinned = PinnedEngine(pool)
    with pytest.raises(RankError, match="was ended"):
        pinned.generate(REQUESTS, SAMPLING, TOKENS, 0, lambda key, i, one: pinned.close())
    assert ids(pool.generate(REQUESTS, SAMPLING, TOKENS, 0)) == expected
    assert [worker.place.pids() for worker in pool.workers] == pids  # type: ignore[attr-defined]


def test_weights_of_an_earlier_moment_that_are_damaged_are_written_when_they_come_again(
    policy: Policy, tmp_path: Path
) -> None:
    said: list[str] = []
    pool = EnginePool(LocalHome(2), policy, EngineConfig(), 1, tmp_path, LossLog(tmp_path), said.append)
    pinned = PinnedEngine(pool)
    (file,) = (tmp_path / "weights").iterdir()
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    with pytest.raises(RankError, match=r"are not what was published.*of an earlier moment") as raised:
        pinned.generate(REQUESTS, SAMPLING, TOKENS, 0)
    assert raised.value.cause == "gone" and len(said) == 1 and not file.exists()
    again = PinnedEngine(pool)
    assert file.exists() and len(again.generate(REQUESTS, SAMPLING, TOKENS, 0)) == len(REQUESTS)
    again.close()
    pool.close()
    assert not file.exists()


def test_what_does_not_fit_is_refused_before_any_engine_starts(policy: Policy, tmp_path: Path) -> None:
    pool = EnginePool(LocalHome(2), policy, EngineConfig(), 1, tmp_path, LossLog(tmp_path), lambda line: None)
    with pytest.raises(DataError, match="no tokens"):
        pool.generate([Request(prompt_ids=(), seeds=(1,), key="empty")], SAMPLING, TOKENS, 0)
    assert pool.generate([Request(prompt_ids=(1,), seeds=(), key="none")], SAMPLING, TOKENS, 0) == [()]
    assert pool.workers == []


def test_weights_are_published_once_and_damage_is_seen(policy: Policy, tmp_path: Path) -> None:
    publisher = Publisher(tmp_path / "weights", 0.1)
    published = publisher.publish(policy)
    written = published.path.stat().st_mtime_ns
    assert publisher.publish(policy) is published and published.path.stat().st_mtime_ns == written
    tensors = read_published(published)
    assert all(torch.equal(tensors[name], one) for name, one in policy.model.named_parameters())
    assert check_probe(policy, published) == 0
    others = replace(published, logprobs=tuple(one - 0.01 for one in published.logprobs))
    with pytest.raises(ModelError, match=r"differ by 0\.01 on average .* most at place"):
        check_probe(policy, others)
    content = bytearray(published.path.read_bytes())
    content[-3] ^= 1
    published.path.write_bytes(content)
    with pytest.raises(ModelError, match="are not what was published: their digest"):
        read_published(published)
    published.path.write_bytes(content[:-3])
    with pytest.raises(ModelError, match="cannot be read"):
        read_published(published)
    assert read_published(publisher.publish(policy, again=True)).keys() == tensors.keys()
    publisher.close()
    assert list((tmp_path / "weights").iterdir()) == []


class Scripted:
    """A home, and the one place in it, whose engine answers what the test says: `draw(arguments)` is its answer to a
    task, or None while it is at work."""

    sharded, where = False, "here"

    def __init__(self, draw: Callable[[tuple[Any, ...]], Answer | None]) -> None:
        self.draw, self.asked, self._open = draw, list[tuple[str, tuple[Any, ...]]](), False

    def start(self, *given: object) -> "Scripted":
        return self

    def send(self, message: bytes) -> None:
        self.asked.append(pickle.loads(message))
        self._open = True

    def look(self, seconds: float) -> Look:
        verb, arguments = self.asked[-1]
        answer = self.draw(arguments) if verb == "draw" else Answer()
        if answer is None or not self._open:
            return Look()
        self._open = False
        return Look(message=pickle.dumps(answer))

    def end(self) -> None:
        self._open = False

    @property
    def verbs(self) -> list[str]:
        return [verb for verb, _ in self.asked]


def scripted(
    policy: Policy, folder: Path, draw: Callable[[tuple[Any, ...]], Answer | None]
) -> tuple[EnginePool, Scripted]:
    home = Scripted(draw)
    losses = LossLog(folder)
    return EnginePool(home, policy, EngineConfig(), 1, folder, losses, lambda line: None), home  # type: ignore[arg-type]


def drawn(policy: Policy, arguments: tuple[Any, ...], digest: str = "") -> Answer:
    return Answer(value=(LocalEngine(policy, lanes=1).generate(*arguments[:4]), digest))


def test_an_engine_whose_call_was_ended_is_given_weights_anew(policy: Policy, tmp_path: Path) -> None:
    """It may have taken up newer ones on its way, which nobody wants any more."""
    looks: list[int] = []

    def draw(arguments: tuple[Any, ...]) -> Answer | None:
        looks.append(1)
        if len(looks) == 1:
            pinned.close()
            return None
        return drawn(policy, arguments, "of newer weights")

    pool, home = scripted(policy, tmp_path, draw)
    pinned = PinnedEngine(pool, follow=True)
    with pytest.raises(RankError, match="was ended"):
        pinned.generate(REQUESTS, SAMPLING, TOKENS, 0)
    pool.generate(REQUESTS, SAMPLING, TOKENS, 0)
    assert home.verbs[:5] == ["", "load", "draw", "load", "draw"]
    pool.close()


def test_an_engine_that_fails_while_it_draws_is_given_weights_anew(policy: Policy, tmp_path: Path) -> None:
    """What it took up was in its memory before it was found to be wrong."""
    answers = [Answer(error=ModelError("computes something else"))]
    pool, home = scripted(policy, tmp_path, lambda given: answers.pop() if answers else drawn(policy, given))
    with pytest.raises(ModelError, match="something else"):
        pool.generate(REQUESTS, SAMPLING, TOKENS, 0)
    pool.generate(REQUESTS, SAMPLING, TOKENS, 0)
    assert home.verbs[:5] == ["", "load", "draw", "load", "draw"]
    pool.close()


def test_what_follows_begins_by_its_own_weights_when_training_began_anew(policy: Policy, tmp_path: Path) -> None:
    """And not by the newest of the way that was given up."""
    pool, home = scripted(policy, tmp_path, lambda arguments: drawn(policy, arguments))
    head = next(iter(policy.model.parameters()))
    kept = head.detach().clone()
    try:
        with torch.no_grad():
            head.mul_(-1)
        pool.renew(9)
    finally:
        with torch.no_grad():
            head.copy_(kept)
    pool.use(policy)
    pinned = PinnedEngine(pool, follow=True)
    found = pinned.generate(REQUESTS, SAMPLING, TOKENS, 3)
    assert {one.weight_version for group in found for one in group} == {3}
    assert read_published(home.asked[1][1][0])[next(iter(dict(policy.model.named_parameters())))].equal(kept)
    pinned.close()
    pool.close()
    assert list((tmp_path / "weights").iterdir()) == []


def test_a_task_has_the_version_of_the_weights_that_are_loaded(
    policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the trainer's thread gives at that moment."""
    take = TaskQueue.take
    pool, home = scripted(policy, tmp_path, lambda arguments: drawn(policy, arguments))
    pinned = PinnedEngine(pool, follow=True)
    pool.renew(4)

    def late(self: TaskQueue) -> int:
        pool.renew(5)
        return take(self)

    monkeypatch.setattr(TaskQueue, "take", late)
    pinned.generate(REQUESTS, SAMPLING, TOKENS, 3)
    version, path = home.asked[2][1][3:]
    assert (home.verbs[2], version, path.name) == ("draw", 4, "newest.json")
    pinned.close()
    pool.close()


def test_a_task_has_no_limit_before_one_was_done(policy: Policy, tmp_path: Path) -> None:
    """However long the first takes; what others may take follows from it."""
    hour = 3600.0
    older = [9 * hour, 0, 91 * hour, 0]

    def draw(arguments: tuple[Any, ...]) -> Answer | None:
        (worker,) = pool.workers
        worker._began -= older[0]
        return None if older.pop(0) else drawn(policy, arguments)

    pool, home = scripted(policy, tmp_path, draw)
    for _ in range(2):
        pool.generate(REQUESTS[:1], SAMPLING, TOKENS, 0)
    assert home.verbs == ["", "load", "draw", "draw", "", "load", "draw"]
    assert "did not answer draw within 324" in read_losses(tmp_path)[0].why
    assert (limit_after(0.0), limit_after(1.0), limit_after(hour)) == (inf, 300.0, 10 * hour)
    pool.close()
