"""Thoughts with a limit: the same as without one up to it, then the closing tag, then what follows from that."""

from collections import defaultdict
from dataclasses import replace

import pytest
from devices import DEVICE

from ponder.errors import DataError
from ponder.policy import Policy, load_policy
from ponder.recipe.rollout import Sampling
from ponder.records import Message
from ponder.rollout import Job, LiveEngine, LocalEngine, Request
from ponder.rollout.thoughts import closing_ids

LIMIT, MOST = 6, 24
QUESTIONS = ("What is 17 + 25?", "What is 8 * 7 - 3?")


@pytest.fixture(scope="module", params=["r1", "r1-zero"])
def micro(request: pytest.FixtureRequest) -> Policy:
    return load_policy("micro", request.param, precision="fp32", device=DEVICE)


def prompt_of(policy: Policy, text: str) -> tuple[int, ...]:
    return policy.template.encode(policy.tokenizer, [Message(role="user", content=text)])


def sampled(engine: LiveEngine, jobs: list[Job]) -> list[list[int]]:
    """The tokens of all completions of all jobs, in their order."""
    numbers = [engine.submit(job) for job in jobs]
    found: dict[tuple[int, int], list[int]] = defaultdict(list)
    while engine.load_now.jobs:
        for piece in engine.step():
            found[piece.job, piece.choice] += piece.token_ids
    return [found[number, i] for number, job in zip(numbers, jobs, strict=True) for i in range(len(job.seeds))]


def jobs_of(policy: Policy, limit: int | None) -> list[Job]:
    return [
        Job(
            prompt_ids=prompt_of(policy, text),
            seeds=tuple(range(100 * i, 100 * i + 4)),
            max_tokens=MOST,
            key=text,
            thinking_tokens=limit,
        )
        for i, text in enumerate(QUESTIONS)
    ]


def thinks(policy: Policy, ids: list[int]) -> bool:
    parser = policy.template.parser()
    parser.feed(policy.tokenizer.decode(ids, skip_special_tokens=False))
    return parser.in_thinking


def test_a_thought_is_closed_at_its_limit_and_the_answer_goes_on(micro: Policy) -> None:
    engine, closing = LiveEngine(micro), list(closing_ids(micro.voice()))
    free, limited = sampled(engine, jobs_of(micro, None)), sampled(engine, jobs_of(micro, LIMIT))
    closed = 0
    for place, (one, other) in enumerate(zip(free, limited, strict=True)):
        if len(one) <= LIMIT or not thinks(micro, one[:LIMIT]):
            assert other == one  # it ended its thought by itself
            continue
        closed += 1
        assert other[: LIMIT + len(closing)] == one[:LIMIT] + closing
        job = jobs_of(micro, None)[place // 4]
        told = Job(
            prompt_ids=job.prompt_ids,
            seeds=(job.seeds[place % 4],),
            max_tokens=MOST,
            key="told",
            forced=tuple(other[: LIMIT + len(closing)]),
        )
        assert sampled(engine, [told]) == [other]
        text = micro.tokenizer.decode(other[: LIMIT + len(closing)], skip_special_tokens=False)
        assert text.count("</think>") == 1 and not thinks(micro, other[: LIMIT + len(closing)])
    assert closed >= 3, closed


def test_a_limit_does_not_depend_on_the_company(micro: Policy) -> None:
    """Guesses may give several tokens a step: none goes past the limit."""
    together = sampled(LiveEngine(micro), jobs_of(micro, LIMIT))
    engine = LiveEngine(micro)
    alone = [ids for job in jobs_of(micro, LIMIT) for ids in sampled(engine, [job])]
    again = [ids for job in jobs_of(micro, LIMIT) for ids in sampled(engine, [job])]  # the drafter knows it all now
    assert together == alone == again


def test_generate_has_the_limit_of_its_engine(micro: Policy) -> None:
    asked = [Request(prompt_ids=one.prompt_ids, seeds=one.seeds, key=one.key) for one in jobs_of(micro, None)]
    sampling = Sampling()
    limited = LiveEngine(micro, thinking_tokens=LIMIT).generate(asked, sampling, MOST, 0)
    assert [list(c.token_ids) for group in limited for c in group] == sampled(LiveEngine(micro), jobs_of(micro, LIMIT))
    high = LiveEngine(micro, thinking_tokens=MOST).generate(asked, sampling, MOST, 0)
    closed = LocalEngine(micro, 64).generate(asked, sampling, MOST, 0)
    assert [c.token_ids for group in high for c in group] == [c.token_ids for group in closed for c in group]


def test_an_answer_asked_for_meanwhile_closes_the_thought_once(micro: Policy) -> None:
    engine, closing = LiveEngine(micro), closing_ids(micro.voice())
    number = engine.submit(jobs_of(micro, 6)[0])
    ids: list[int] = []
    while engine.load_now.jobs:
        for piece in engine.step():
            if piece.choice == 0:
                ids += piece.token_ids
                if len(ids) == 5:
                    engine.force(number, 0, closing)
    text = micro.tokenizer.decode(ids, skip_special_tokens=False)
    assert text.count("</think>") == 1, text


@pytest.mark.parametrize("closes", [False, True])
def test_forced_tokens_may_go_past_the_limit(micro: Policy, closes: bool) -> None:
    closing = list(closing_ids(micro.voice()))
    free = sampled(LiveEngine(micro), jobs_of(micro, None))
    begun = next(ids[:LIMIT] for ids in free if thinks(micro, ids[:LIMIT]))
    told = begun + (closing if closes else begun)
    job = replace(jobs_of(micro, LIMIT)[0], seeds=(1,), forced=tuple(told))
    (ids,) = sampled(LiveEngine(micro), [job])
    assert ids[: len(told)] == told and not thinks(micro, ids)
    assert closes or ids[len(told) : len(told) + len(closing)] == closing
    assert micro.tokenizer.decode(ids, skip_special_tokens=False).count("</think>") == 1


def test_a_limit_of_nothing_is_refused(micro: Policy) -> None:
    with pytest.raises(DataError, match="thinking"):
        LiveEngine(micro).submit(jobs_of(micro, 0)[0])
