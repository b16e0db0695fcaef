"""Judges are asked while sampling goes on, and what they did not say in time is no reward."""

import json
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import pytest
from chat_server import Action, ChatServer, said

from ponder.ask import RequestLog
from ponder.ask.courier import Courier
from ponder.ask.reply import split_reply
from ponder.errors import DataError
from ponder.judge.graded import AgainstGold, ByCriteria
from ponder.judge.graders import EndpointGrader, JudgeSet
from ponder.policy import load_policy
from ponder.recipe.judges import Criterion
from ponder.recipe.objective import Objective
from ponder.recipe.rollout import Sampling
from ponder.records import Completion, MathGold, Message, Problem
from ponder.rollout import Collected, OnFinish, OnProgress, Request
from ponder.rollout.collect import collect
from ponder.train import credit
from ponder.verify.pool import VerifierPool

ANSWERS = ("7", "8", "seven", "9")


class Script:
    """Writes the answers one after the other, and goes on only when the judge has been asked about the first."""

    def __init__(self, asked: threading.Event) -> None:
        self.asked = asked

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
        (request,) = requests
        written = []
        for number, answer in enumerate(ANSWERS):
            completion = Completion(
                token_ids=(5, 6),
                logprobs=(-1.0, -1.0),
                text=f" <think>so</think> <answer>{answer}</answer>",
                finish_reason="stop",
                weight_version=0,
                seed=number,
            )
            on_finish(request.key, number, completion)
            written.append(completion)
            assert self.asked.wait(30), "the judge is asked after sampling only"
        return [tuple(written)]


def rollout(
    server: ChatServer, folder: Path, asked: threading.Event, form: AgainstGold | ByCriteria, gold: bool = True
) -> Collected:
    problem = Problem(
        id="p",
        messages=(Message(role="user", content="What is 3+4?"),),
        gold=MathGold(answer="7") if gold else None,
        domain="sums",
        route="reasoning" if gold else "helpful",
    )
    name = "judged" if isinstance(form, AgainstGold) else "rubric"
    with ExitStack() as stack:
        log = stack.enter_context(RequestLog(folder / "log.jsonl"))
        courier = stack.enter_context(
            Courier(
                server.endpoint(retries=0),
                Sampling(max_tokens=64),
                log,
                seed=1,
                deadline_seconds=20,
                says_something=lambda reply: form.read(split_reply(reply).answer or "") is not None,
            )
        )
        return collect(
            Script(asked),
            load_policy("micro", "r1-zero", "fp32").voice(),
            [problem],
            group_size=len(ANSWERS),
            sampling=Sampling(max_tokens=64),
            max_tokens=64,
            seed=1,
            weight_version=0,
            pool=stack.enter_context(VerifierPool(workers=1)),
            rewards={"format": 1.0, name: 2.0},
            graders=JudgeSet([EndpointGrader(name, form, courier, log, 1.0)], step=1),
            phases=lambda phase: nullcontext(),
        )


def test_a_judge_is_asked_beside_sampling_and_its_failures_are_not_learnt_from(
    server: ChatServer, tmp_path: Path
) -> None:
    asked = threading.Event()

    def play(body: Mapping[str, Any], tries: int) -> Action:
        asked.set()
        text = body["messages"][-1]["content"]
        if "\n9\n" in text:
            return Action(status=400, body="no")
        right = "\n7\n=" in text or "\nseven\n=" in text
        return said(json.dumps({"analysis": "so", "correctness": "correct" if right else "incorrect"}))

    server.play = play
    collected = rollout(server, tmp_path, asked, AgainstGold())
    (group,) = collected.groups
    assert [one.rewards["judged"] for one in group.rollouts] == [1.0, 0.0, 1.0, None]
    assert [one.reward for one in group.rollouts] == [3.0, 1.0, 3.0, 1.0]
    assert [one.failed for one in group.rollouts] == [(), (), (), ("judged",)]
    assert len(group.told) == 3 and group.useful
    assert [one.failure.cause for one in collected.failures] == ["exception"]
    assert collected.metrics["judge/judged_asked"] == 4
    ((*samples,),) = credit(collected.groups, Objective())
    assert len(samples) == 3, "the completion without a judgement is not learnt from"


def test_criteria_judge_problems_that_have_no_gold(server: ChatServer, tmp_path: Path) -> None:
    asked = threading.Event()

    def play(body: Mapping[str, Any], tries: int) -> Action:
        asked.set()
        text = body["messages"][-1]["content"]
        return said(json.dumps({"analysis": "so", "scores": [int("\nseven\n=" in text), 0.5]}))

    server.play = play
    form = ByCriteria((Criterion(text="in words"), Criterion(text="short", weight=3.0)))
    (group,) = rollout(server, tmp_path, asked, form, gold=False).groups
    assert [one.rewards["rubric"] for one in group.rollouts] == [0.375, 0.375, 0.625, 0.375]


def test_a_problem_that_nobody_can_judge_is_refused(server: ChatServer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no answer to check"):
        rollout(server, tmp_path, threading.Event(), AgainstGold(), gold=False)
