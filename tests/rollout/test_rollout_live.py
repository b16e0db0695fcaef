"""The open engine against the fixed batch: whoever joins, leaves or fails beside it, an answer stays what it is."""

from collections import defaultdict
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from devices import DEVICE
from test_rollout_local import assert_right, assert_same_samples, full_logits, ids_of, requests

from ponder.errors import BusyError, DataError, ModelError
from ponder.policy import Policy
from ponder.recipe.rollout import Sampling
from ponder.records import Completion
from ponder.rollout import Bounds, Drawing, Job, LiveEngine, LocalEngine, Piece, Request
from ponder.rollout.sampler import sample, uniforms


@dataclass
class Told:
    """What an engine said of one completion."""

    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    top: list[tuple[tuple[int, float], ...]] = field(default_factory=list)
    reason: str | None = None
    hit: int = 0


def take(told: dict[tuple[int, int], Told], pieces: list[Piece]) -> None:
    for piece in pieces:
        one = told[piece.job, piece.choice]
        assert one.reason is None, "a piece after the end"
        assert piece.token_ids or piece.reason == "failed"
        one.ids += piece.token_ids
        one.logprobs += piece.logprobs
        one.top += piece.top
        one.reason, one.hit = piece.reason, piece.hit_tokens


def finish(engine: LiveEngine) -> dict[tuple[int, int], Told]:
    """Step until nothing is left."""
    told: dict[tuple[int, int], Told] = defaultdict(Told)
    while engine.load_now.jobs:
        take(told, engine.step())
    return told


def job(prompt: tuple[int, ...] | list[int], *seeds: int, **fields: object) -> Job:
    return Job(**{"prompt_ids": tuple(prompt), "seeds": seeds or (1,), "max_tokens": 20, "key": "job"} | fields)  # type: ignore[arg-type]


WAYS = [Drawing(), Drawing(temperature=0.7, top_p=0.9), Drawing(top_k=5), Drawing(temperature=0)]
STOPS = [None, frozenset({7, 8})]


def many(seed: int) -> list[Job]:
    """64 of all lengths and fan-outs, some with a beginning in common, each in one of eight ways."""
    generator = np.random.default_rng(seed)
    shared = generator.integers(4, 60, size=70).tolist()
    jobs = []
    for i in range(64):
        own = generator.integers(4, 60, size=1 + (i * 13) % 90).tolist()
        seeds = range(1000 * i, 1000 * i + (6 if i % 9 == 0 else 1))
        prompt = [*shared[: int(generator.integers(0, 71))], *own]
        limit = int(generator.integers(1, 30))
        jobs.append(job(prompt, *seeds, max_tokens=limit, drawing=WAYS[i % 4], stop_ids=STOPS[i // 4 % 2], key=f"j{i}"))
    return jobs


def fixed_batch(policy: Policy, jobs: list[Job]) -> dict[int, list[list[int]]]:
    """The tokens that the engine of training gives, all jobs of one way at once; a lower limit is a shorter text."""
    found = {}
    for way in WAYS:
        for stops in STOPS:
            chosen = [i for i, one in enumerate(jobs) if one.drawing == way and one.stop_ids == stops]
            asked = [Request(prompt_ids=jobs[i].prompt_ids, seeds=jobs[i].seeds, key=jobs[i].key) for i in chosen]
            sampling = Sampling(temperature=way.temperature, top_p=way.top_p, top_k=way.top_k)
            engine = LocalEngine(policy if stops is None else replace(policy, stop_ids=stops), 256, 1)
            for i, group in zip(chosen, engine.generate(asked, sampling, 29, 0), strict=True):
                found[i] = [list(c.token_ids)[: jobs[i].max_tokens] for c in group]
    return found


def disturbed(
    policy: Policy, jobs: list[Job], rows: int, cancels: int, seed: int = 1, cache_bytes: int = 20_000_000
) -> tuple[dict[int, dict[int, Told]], set[int]]:
    """All jobs, arriving at random, some cancelled at random: what was said of each, and which were cancelled."""
    generator = np.random.default_rng(seed)
    engine = LiveEngine(policy, Bounds(rows=rows, cache_bytes=cache_bytes))
    waiting, number_of = list(range(len(jobs))), dict[int, int]()
    told: dict[tuple[int, int], Told] = defaultdict(Told)
    cancelled = set[int]()
    doomed = set(generator.choice(len(jobs), cancels, replace=False).tolist())
    while waiting or engine.load_now.jobs:
        while waiting and generator.random() < 0.4:
            i = waiting.pop(int(generator.integers(len(waiting))))
            number_of[engine.submit(jobs[i])] = i
        for number, i in number_of.items():
            if i in doomed and i not in cancelled and generator.random() < 0.2:
                engine.cancel(number)
                cancelled.add(i)
        take(told, engine.step())
    load = engine.load_now
    assert load.rows == load.reserved_bytes == load.held_bytes == load.waiting_tokens == 0
    found: dict[int, dict[int, Told]] = defaultdict(dict)
    for (number, choice), one in told.items():
        found[number_of[number]][choice] = one
    return found, cancelled


@pytest.mark.parametrize("rows", [5, 64])
def test_arrivals_and_cancels_change_nobody_elses_tokens(qwen2: Policy, rows: int) -> None:
    """64 jobs, of which 20 are cancelled: all others have the tokens of the fixed batch."""
    jobs = many(seed=0)
    found, cancelled = disturbed(qwen2, jobs, rows, cancels=20)
    assert 15 <= len(cancelled) <= 20, "but for those that had ended"
    expected = fixed_batch(qwen2, jobs)
    for i in set(range(64)) - cancelled:
        assert {one.reason for one in found[i].values()} <= {"stop", "length"}
        assert [found[i][j].ids for j in range(len(jobs[i].seeds))] == expected[i]


def test_an_answer_in_bf16_does_not_depend_on_its_company(bf16: Policy) -> None:
    """Hit or miss, early or late, beside many or few: the same tokens, since prompts are computed in fixed chunks."""
    jobs = many(seed=3)
    found, cancelled = disturbed(bf16, jobs, 64, cancels=20)
    assert any(one.hit for choices in found.values() for one in choices.values()), "the case should hold hits"
    few, also_cancelled = disturbed(bf16, jobs, 3, cancels=10, seed=2, cache_bytes=0)
    assert not any(one.hit for choices in few.values() for one in choices.values())
    for i in set(range(64)) - cancelled - also_cancelled:
        assert {j: one.ids for j, one in found[i].items()} == {j: one.ids for j, one in few[i].items()}


def test_generate_gives_what_the_closed_engine_does(policy: Policy) -> None:
    """On every architecture, more samples than rows, all as the models' own code computes them."""
    asked, sampling = requests(5, 4), Sampling(temperature=1.3)
    told: list[tuple[str, int]] = []
    found = LiveEngine(policy, Bounds(rows=6)).generate(
        asked, sampling, 40, 0, on_finish=lambda key, i, _: told.append((key, i))
    )
    closed = LocalEngine(policy, 6, 1).generate(asked, sampling, 40, 0)
    assert_same_samples(policy, asked, found, closed, sampling)
    assert [[(c.finish_reason, c.text, c.seed) for c in g] for g in found] == [
        [(c.finish_reason, c.text, c.seed) for c in g] for g in closed
    ]
    for request, group in zip(asked, found, strict=True):
        assert_right(policy, request, group, sampling)
    assert sorted(told) == sorted((r.key, i) for r in asked for i in range(len(r.seeds)))


def test_long_prompts_in_chunks_are_right(policy: Policy) -> None:
    """Of several chunks and exactly at their borders; the second of each pair comes from the cache."""
    generator = np.random.default_rng(5)
    asked = [
        Request(prompt_ids=tuple(generator.integers(4, 60, size=length).tolist()), seeds=(1, 2), key=str(length))
        for length in (31, 32, 33, 64, 65, 129, 200)
    ]
    engine = LiveEngine(policy, Bounds(rows=4))
    first = engine.generate(asked, Sampling(), 20, 0)
    missed = engine.load_now.miss_tokens
    assert missed == sum(len(r.prompt_ids) for r in asked) and not engine.load_now.hit_tokens
    again = engine.generate(asked, Sampling(), 20, 0)
    assert ids_of(again) == ids_of(first)
    assert engine.load_now.hit_tokens == sum((len(r.prompt_ids) - 1) // 32 * 32 for r in asked)
    for request, group in zip(asked, first, strict=True):
        assert_right(policy, request, group, Sampling())


def common(turn: list[int], salt: str | None, public: int, other_salt: str | None, other: list[int]) -> int:
    """The tokens of the whole blocks that one prompt may take from another, counted one by one."""
    differ = [a != b for a, b in zip(turn, other, strict=False)]
    count = differ.index(True) if True in differ else len(differ)
    count = min(count, len(turn) - 1) // 32 * 32
    return count if salt == other_salt else min(count, public)


def test_hits_are_those_of_brute_force(qwen2: Policy) -> None:
    """1,000 prompts of random dialogues: each has hit as many whole blocks as it has in common with any before it, and
    with those of its own salt only, but for what is everybody's."""
    generator = np.random.default_rng(0)
    engine = LiveEngine(qwen2, Bounds(rows=4))
    preamble = generator.integers(4, 60, size=40).tolist()
    dialogues: list[list[int]] = []
    history: list[tuple[str | None, list[int]]] = []
    for _ in range(1000):
        if dialogues and generator.random() < 0.7:
            turn = list(dialogues[int(generator.integers(len(dialogues)))])
            turn = turn[: int(generator.integers(1, len(turn) + 1))]  # an edit, or a shorter history
        else:
            turn = list(preamble)
        turn = (turn + generator.integers(4, 6, size=int(generator.integers(1, 60))).tolist())[:240]
        dialogues.append(turn)
        salt = (None, "one", "two")[int(generator.integers(3))]
        public = 32 if turn[:32] == preamble[:32] else 0

        expected = max((common(turn, salt, public, *known) for known in history), default=0)
        engine.submit(job(turn, max_tokens=1, salt=salt, public_tokens=public))
        before = engine.load_now
        (told,) = finish(engine).values()
        assert told.hit == expected
        assert engine.load_now.hit_tokens - before.hit_tokens == expected
        assert engine.load_now.miss_tokens - before.miss_tokens == len(turn) - expected
        history.append((salt, turn))
        dialogues = dialogues[-50:]
    assert engine.load_now.hit_tokens > engine.load_now.miss_tokens / 4, "the case should hold many hits"


def test_forced_tokens_are_written_and_what_follows_is_as_if_they_were_sampled(qwen2: Policy) -> None:
    """At the beginning, in the middle, to the end, beyond the limit; many rows beside them or few."""
    for company in (0, 40):
        engine = LiveEngine(qwen2)
        for i in range(company):
            engine.submit(job([9, i + 4], i, max_tokens=30, stop_ids=frozenset()))
        first = engine.submit(job([5, 6, 7], 3, forced=(11, 12, 13, 14, 15), stop_ids=frozenset()))
        later = engine.submit(job([5, 6, 7], 4, stop_ids=frozenset()))
        ended = engine.submit(job([5, 6, 7], 5, stop_ids=frozenset({1}), forced=(40, 41)))
        engine.force(ended, 0, (42, 1, 43))
        cut = engine.submit(job([5, 6, 7], 6, max_tokens=3, forced=(20, 21, 22, 23, 24)))
        told: dict[tuple[int, int], Told] = defaultdict(Told)
        while len(told[later, 0].ids) < 6:
            take(told, engine.step())
        written = len(told[later, 0].ids)
        engine.force(later, 0, (30, 31))
        engine.force(later, 0, (32,))
        while engine.load_now.jobs:
            take(told, engine.step())
        assert told[first, 0].ids[:5] == [11, 12, 13, 14, 15] and len(told[first, 0].ids) == 20
        assert told[later, 0].ids[written : written + 3] == [30, 31, 32] and len(told[later, 0].ids) == 20
        assert (told[ended, 0].ids, told[ended, 0].reason) == ([40, 41, 42, 1], "stop")
        assert (told[cut, 0].ids, told[cut, 0].reason) == ([20, 21, 22], "length")
        for number, seed in ((first, 3), (later, 4)):
            ids = told[number, 0].ids
            like = Completion(
                token_ids=ids,
                logprobs=told[number, 0].logprobs,
                text="",
                finish_reason="stop",
                weight_version=0,
                seed=seed,
            )
            logits = full_logits(qwen2, (5, 6, 7), like)
            expected = torch.log_softmax(logits, -1).gather(1, torch.tensor(ids, device=DEVICE)[:, None])[:, 0]
            torch.testing.assert_close(
                torch.tensor(told[number, 0].logprobs, device=DEVICE), expected, rtol=0, atol=1e-4
            )
            uniform = torch.from_numpy(uniforms(np.full(len(ids), seed, np.uint64), np.arange(len(ids)))).to(DEVICE)
            drawn, _ = sample(logits, uniform, Sampling())
            forced = set(range(5)) if number == first else set(range(written, written + 3))
            assert all(token == ids[place] for place, token in enumerate(drawn.tolist()) if place not in forced)


def test_the_most_likely_tokens_are_those_of_the_model(qwen2: Policy) -> None:
    """Of forced tokens and of guessed ones, too, and only of the jobs that want to know."""
    prompt = (5, 6, 7, 8) * 5
    engine = LiveEngine(qwen2)
    forced = tuple(range(10, 22))
    jobs = [
        job(prompt, 3, 4, forced=forced, stop_ids=frozenset(), top=3),
        job(prompt, 5, drawing=Drawing(temperature=0), stop_ids=frozenset(), top=5, max_tokens=40),
        job(prompt, 6),
        job(prompt, 7, drawing=Drawing(temperature=0.5), stop_ids=frozenset(), top=1),
    ]
    numbers = [engine.submit(one) for one in jobs]
    told = finish(engine)
    for (number, choice), one in told.items():
        asked = jobs[numbers.index(number)]
        assert len(one.top) == (len(one.ids) if asked.top else 0)
        like = Completion(
            token_ids=one.ids, logprobs=one.logprobs, text="", finish_reason="stop", weight_version=0, seed=choice
        )
        logprobs = torch.log_softmax(full_logits(qwen2, prompt, like) / (asked.drawing.temperature or 1), -1)
        for place, top in enumerate(one.top):
            best = logprobs[place].topk(asked.top)
            torch.testing.assert_close(
                torch.tensor([p for _, p in top], device=DEVICE).float(), best.values, rtol=0, atol=1e-4
            )
            torch.testing.assert_close(logprobs[place][[t for t, _ in top]], best.values, rtol=0, atol=1e-4)
        if asked.drawing.temperature == 0:
            assert [top[0][0] for top in one.top] == one.ids


def test_few_rows_get_several_forced_tokens_at_a_step(qwen2: Policy) -> None:
    engine = LiveEngine(qwen2)
    engine.submit(job([5, 6, 7], 3, forced=tuple(range(10, 30)), max_tokens=40, stop_ids=frozenset()))
    steps = 0
    told: dict[tuple[int, int], Told] = defaultdict(Told)
    while len(told[0, 0].ids) < 20:
        take(told, engine.step())
        steps += 1
    assert steps <= 2 + 20 // 8 + 1


def test_a_row_whose_logits_are_not_finite_ends_alone(policy: Policy) -> None:
    """Token 50 makes everything behind it infinite: in a prompt, or forced in the middle. Others never notice, not even
    those that get the places of the keys that it left."""
    head = policy.model.get_output_embeddings()
    head.weight = torch.nn.Parameter(head.weight.detach().clone())
    with torch.no_grad():
        head.weight[50] = 0
    greedy = Drawing(temperature=0)
    jobs = [job([5 + i, 6], i, max_tokens=25, stop_ids=frozenset(), drawing=greedy) for i in range(12)]
    quiet = LiveEngine(policy, Bounds(rows=20))
    neighbour = job([*range(4, 40), 7], 9, stop_ids=frozenset(), drawing=greedy)
    for one in [*jobs, neighbour]:
        quiet.submit(one)
    expected = finish(quiet)
    assert not any(50 in one.ids for one in expected.values())
    with torch.no_grad():
        policy.model.get_input_embeddings().weight[50] = float("inf")
    engine = LiveEngine(policy, Bounds(rows=8))
    numbers, bad = [], []
    for i, one in enumerate(jobs):
        if i % 3 == 0:
            bad.append(engine.submit(job([*range(4, 40), 50, 7], 9, stop_ids=frozenset(), priority=-1)))
            bad.append(engine.submit(job([8, 9], 9, forced=(4, 50, 4, 4), stop_ids=frozenset(), priority=-1)))
        numbers.append(engine.submit(one))
    told = finish(engine)
    assert {told[number, 0].reason for number in bad} == {"failed"}
    assert {tuple(told[number, 0].ids) for number in bad} == {(), (4, 50)}, "what was right before that stays"
    for known, number in enumerate(numbers):
        assert told[number, 0].ids == expected[known, 0].ids and told[number, 0].reason == "length"
    engine.submit(neighbour)
    (again,) = finish(engine).values()
    assert again.ids == expected[len(jobs), 0].ids, "what it shares with a bad prompt is not spoilt"


def test_weights_change_between_answers_and_the_cache_is_emptied(qwen2: Policy) -> None:
    engine = LiveEngine(qwen2, weight_version=3)
    prompt = list(range(4, 54))
    engine.submit(job(prompt, 1, stop_ids=frozenset()))
    (old,) = finish(engine).values()
    state = {name: tensor.clone() for name, tensor in qwen2.model.state_dict().items() if name != "lm_head.weight"}
    new = {name: tensor + 0.05 * torch.randn_like(tensor) for name, tensor in state.items()}
    engine.submit(job(prompt, 1, stop_ids=frozenset()))
    pieces = engine.step()
    while not pieces:
        pieces = engine.step()
    engine.load(4, new)
    engine.submit(job(prompt, 1, stop_ids=frozenset()))
    told: dict[tuple[int, int], Told] = defaultdict(Told)
    versions: dict[int, set[int]] = defaultdict(set)
    while pieces or engine.load_now.jobs:
        take(told, pieces)
        for piece in pieces:
            versions[piece.job].add(piece.weight_version)
        pieces = engine.step()
    assert versions == {1: {3}, 2: {4}}, "an answer is of one version"
    assert (told[1, 0].ids, told[1, 0].hit) == (old.ids, 32)
    assert told[2, 0].ids != old.ids and told[2, 0].hit == 0
    expected = LiveEngine(qwen2)
    expected.submit(job(prompt, 1, stop_ids=frozenset()))
    assert finish(expected)[0, 0].ids == told[2, 0].ids
    assert all(torch.equal(qwen2.model.state_dict()[name], tensor) for name, tensor in new.items())
    longer = new["model.norm.weight"].repeat(2)
    for wrong in ({**new, "other": longer}, {**new, "model.norm.weight": longer}, dict(list(new.items())[1:])):
        with pytest.raises(ModelError, match="do not fit"):
            engine.load(5, wrong)
    assert engine.load_now.weight_version == 4


def test_memory_is_bounded_and_all_of_it_comes_back(qwen2: Policy) -> None:
    """Rows of 64 and of 128 places: as many run at a time as there is memory for, and everybody's turn comes."""
    stretch = 64 * 2 * 2 * 2 * 8 * 4  # places x layers x (key, value) x heads x size x bytes
    engine = LiveEngine(qwen2, Bounds(rows=50, memory_bytes=stretch * 10, cache_bytes=stretch))
    for i in range(30):
        engine.submit(job([5, i + 4], i, max_tokens=10 + 60 * (i % 2), stop_ids=frozenset()))
    most_rows = most_reserved = most_held = 0
    told: dict[tuple[int, int], Told] = defaultdict(Told)
    while engine.load_now.jobs:
        take(told, engine.step())
        load = engine.load_now
        most_rows, most_reserved = max(most_rows, load.rows), max(most_reserved, load.reserved_bytes)
        most_held = max(most_held, load.held_bytes)
        assert load.cached_bytes <= stretch
    assert 3 <= most_rows <= 5 and most_reserved <= stretch * 10
    assert most_held <= 2 * stretch * 10
    assert sorted(len(one.ids) for one in told.values()) == [10] * 15 + [70] * 15
    assert engine.load_now.held_bytes == engine.load_now.reserved_bytes == 0


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"prompt_ids": ()}, DataError, "no tokens"),
        ({"prompt_ids": (5,) * 250}, ModelError, "250 tokens; with max_tokens 20"),
        ({"prompt_ids": (5,) * 256}, DataError, "never cut"),
        ({"prompt_ids": (5, 60)}, DataError, "Token 60 of the prompt"),
        ({"prompt_ids": (5, -1)}, DataError, "Token -1 of the prompt"),
        ({"forced": (4, 77)}, DataError, "Token 77 of the forced"),
        ({"stop_ids": frozenset({99})}, DataError, "Token 99 of the stop"),
        ({"seeds": ()}, DataError, "0 completions"),
        ({"max_tokens": 0}, DataError, "at most 0 tokens"),
        ({"prompt_ids": (5,) * 200}, ModelError, "bytes of keys and values"),
    ],
)
def test_what_can_never_be_done_is_refused(qwen2: Policy, wrong: dict[str, object], error: type, words: str) -> None:
    engine = LiveEngine(qwen2, Bounds(memory_bytes=70_000))
    with pytest.raises(error, match=words):
        engine.submit(replace(job([5, 6]), **wrong))  # type: ignore[arg-type]
    assert engine.load_now.jobs == 0


def test_too_much_that_waits_is_refused_for_now(qwen2: Policy) -> None:
    engine = LiveEngine(qwen2, Bounds(rows=1, waiting_tokens=100))
    numbers = [engine.submit(job([5] * 40, i, max_tokens=3)) for i in range(2)]
    with pytest.raises(BusyError, match="80 tokens wait"):
        engine.submit(job([5] * 40))
    engine.cancel(numbers[1])
    numbers.append(engine.submit(job([5] * 40, 2, max_tokens=3)))
    assert {number for number, _ in finish(engine)} == {numbers[0], numbers[2]}
    engine.submit(job([5] * 40, owner="a"))
    engine.submit(job([5] * 90, owner="b"))  # who has nothing waiting is taken however much others have
    with pytest.raises(BusyError, match="130 tokens wait"):
        engine.submit(job([5] * 10, owner="b"))
    engine.cancel(numbers[0])  # it has ended: no error
    engine.force(numbers[0], 0, (5,))


def test_owners_take_turns_and_nobodys_answer_changes(qwen2: Policy) -> None:
    """One who asks much does not keep another's one request waiting behind all of it."""
    jobs = [job([5, 6 + i], i, max_tokens=4, owner="a", stop_ids=frozenset()) for i in range(12)]
    jobs.append(job([7, 8], 50, max_tokens=4, owner="b", stop_ids=frozenset()))
    found = {}
    for owners in (True, False):
        engine = LiveEngine(qwen2, Bounds(rows=1))
        numbers = [engine.submit(one if owners else replace(one, owner=None)) for one in jobs]
        told = finish(engine)
        ended = [number for number, _ in told]
        assert ended.index(numbers[-1]) == (1 if owners else 12)
        found[owners] = [told[number, 0].ids for number in numbers]
    assert found[True] == found[False]


def test_of_several_completions_one_can_be_cancelled(qwen2: Policy) -> None:
    """In every state: waiting for a row, running, and all of them while the prompt is computed."""
    engine = LiveEngine(qwen2, Bounds(rows=2))
    gone = engine.submit(job([6] * 100, 5, 6))
    engine.step()
    engine.cancel(gone)
    number = engine.submit(job([5] * 100, 1, 2, 3, 4, stop_ids=frozenset()))
    told: dict[tuple[int, int], Told] = defaultdict(Told)
    while not told:
        take(told, engine.step())
    engine.cancel(number, 3)
    engine.cancel(number, 0)
    assert engine.load_now.rows == 1
    while engine.load_now.jobs:
        take(told, engine.step())
    assert {choice: one.reason for (_, choice), one in told.items()} == {0: None, 1: "length", 2: "length"}
    assert engine.load_now.reserved_bytes == engine.load_now.held_bytes == 0


def test_private_jobs_teach_nobody(qwen2: Policy) -> None:
    engine = LiveEngine(qwen2)
    engine.submit(job([5, 6, 7], 1, salt="key"))
    finish(engine)
    assert (engine._lane._drafter._next_OP == -1).all()
    engine.submit(job([5, 6, 7], 1))
    finish(engine)
    assert (engine._lane._drafter._next_OP != -1).any()


def test_what_a_prompt_says_is_guessed(qwen2: Policy) -> None:
    prompt = [11, 12, 13, 14, 15, 16, 17, 18]
    engine = LiveEngine(qwen2)
    engine.submit(job(prompt, 1))
    told = engine._lane._drafter.guess(np.array([[5, 12, 13]]), np.array([3]), np.ones(1, np.bool_))
    assert told.tolist()[0][:3] == [14, 15, 16]
    private = LiveEngine(qwen2)
    private.submit(job(prompt, 1, salt="key"))
    assert (private._lane._drafter._next_OP == -1).all()


NAN = float("nan")


@pytest.mark.parametrize(
    ("field", "value"),
    [("temperature", -0.1), ("temperature", NAN), ("top_p", 0.0), ("top_p", 1.1), ("top_k", -1), ("min_p", 2.0)],
)
def test_what_is_no_distribution_is_refused(field: str, value: float) -> None:
    with pytest.raises(DataError, match=field):
        Drawing(**{field: value})  # type: ignore[arg-type]
