"""The embedded base asked in this process: seeds decide replies, a log cut anywhere ends with the same bytes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ponder.ask import Ask, Reply, RequestLog, ask_all, local
from ponder.ask.local import LocalAsker
from ponder.environment import World
from ponder.micro.problems import generate
from ponder.own import read_own
from ponder.policy import Policy, load_policy
from ponder.recipe.environment import Environment
from ponder.recipe.rollout import Sampling
from ponder.records import Message
from ponder.rollout import LocalEngine
from ponder.rollout.conversations import Conversations
from ponder.verify.pool import VerifierPool


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load_policy("micro", "r1-zero", "fp32", "cpu")


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(local, "_CHUNK", 6)
    yield


def asks() -> list[Ask]:
    problems = generate(("equation",), ("en", "zh"), 5, "train", 3)
    return [Ask(id=one.id, messages=one.messages, number=i) for one in problems for i in range(4)]


def sample(policy: Policy, path: Path, wanted: list[Ask], max_tokens: int = 24) -> list[Reply]:
    with RequestLog(path) as log:
        engine, sampling = LocalEngine(policy, lanes=1), Sampling(max_tokens=max_tokens)
        asker = LocalAsker(
            policy.voice(), engine, sampling, log, seed=5, model="micro", title="samples", say=lambda line: None
        )
        return ask_all(asker, wanted)


def test_a_log_cut_anywhere_ends_with_the_same_bytes(policy: Policy, tmp_path: Path) -> None:
    whole = sample(policy, tmp_path / "whole", asks())
    assert len(whole) == 20 and len({reply.text for reply in whole}) > 15
    assert all(reply.completion_tokens and reply.completion_tokens <= 24 for reply in whole)
    content = (tmp_path / "whole").read_bytes()
    for share in (0.1, 0.5, 0.93):
        path = tmp_path / f"cut{share}"
        path.write_bytes(content[: int(share * len(content))])
        assert sample(policy, path, asks()) == whole
        assert path.read_bytes() == content


AGAIN = """
class Again:
    def __init__(self, problem): self.problem, self.left = problem, 2
    def first(self): return self.problem.messages
    def answer(self, reply):
        self.left -= 1
        return f"{self.problem.id} again" if self.left else None
"""


def test_conversations_cut_anywhere_end_with_the_same_bytes(policy: Policy, tmp_path: Path) -> None:
    (tmp_path / "game.py").write_text(AGAIN)
    own = read_own(["game.py"], tmp_path)
    environment = Environment(own="game.py:Again", turns=3)
    problems = generate(("equation",), ("en",), 3, "train", 3)
    same = problems[0].messages  # only the problems tell these asks apart
    wanted = [Ask(id=one.id, messages=same, number=i, problem=one) for one in problems for i in range(3)]

    def talked(path: Path) -> list[Reply]:
        with RequestLog(path) as log, VerifierPool(workers=1, own=own) as pool:
            world = World(environment, pool, own)
            asker = LocalAsker(
                world.voiced(policy.voice()), Conversations(policy, world, 8), Sampling(max_tokens=120), log,
                seed=5, model="micro", title="samples", say=lambda line: None, environment=environment,
            )  # fmt: skip
            return ask_all(asker, wanted)

    whole = talked(tmp_path / "whole")
    talks = [reply.talk for reply in whole if reply.talk is not None]
    assert len(talks) == 9 and max(talk.turns for talk in talks) == 2
    for ask, talk in zip(wanted, talks, strict=True):
        assert {one.content for one in talk.messages if one.role == "user"} <= {f"{ask.id} again"}
    content = (tmp_path / "whole").read_bytes()
    for share in (0.3, 0.8):
        path = tmp_path / f"cut{share}"
        path.write_bytes(content[: int(share * len(content))])
        assert talked(path) == whole and path.read_bytes() == content


def test_nothing_is_sampled_twice(policy: Policy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = sample(policy, tmp_path / "log", asks())
    monkeypatch.setattr(LocalEngine, "generate", None)
    assert sample(policy, tmp_path / "log", asks()) == first


def test_a_prompt_without_room_is_a_failure_and_no_other(policy: Policy, tmp_path: Path) -> None:
    long = Ask(id="long", messages=(Message(role="user", content="word " * policy.window),))
    replies = sample(policy, tmp_path / "log", [asks()[0], long, asks()[4]])
    assert [bool(reply.failure) for reply in replies] == [False, True, False]
    assert "leaves no room for max_tokens 24" in replies[1].failure
    assert sample(policy, tmp_path / "log", [long])[0] == replies[1]


def test_split_and_text_follow_the_template(policy: Policy, tmp_path: Path) -> None:
    with RequestLog(tmp_path / "log") as log:
        asker = LocalAsker(
            policy.voice(),
            LocalEngine(policy),
            Sampling(),
            log,
            seed=5,
            model="micro",
            title="s",
            say=lambda line: None,
        )
        reply = Reply(text="<think>2+3=5</think> <answer>5</answer>")
        assert asker.split(reply).answer == "5" and asker.text(reply) == reply.text
        assert asker.split(Reply(text="<think>2+3=5</think> <answer>5", finish_reason="length")).answer is None
