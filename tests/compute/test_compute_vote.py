"""Votes against a count by brute force; ends that change nothing."""

import itertools
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.compute.vote import cluster_answers, elect, is_settled, leading
from ponder.evaluation.estimate import consensus


def alike(a: str, b: str) -> bool:
    """Letters of one word in any order and case."""
    return sorted(a.lower()) == sorted(b.lower())


def brute_force(answers: Sequence[str | None]) -> tuple[str | None, int]:
    """The first answer of the largest group, counted pair by pair, and the group's size."""
    votes = [0 if a is None else sum(b is not None and alike(a, b) for b in answers) for a in answers]
    best = max(votes, default=0)
    return (answers[votes.index(best)], best) if best else (None, 0)


ANSWERS = st.lists(st.sampled_from(["ab", "ba", "AB", "c", "C", "d", None]), min_size=1, max_size=16)


@given(ANSWERS)
def test_a_vote_counts_what_means_the_same(answers: list[str | None]) -> None:
    vote = elect(answers, alike, of=len(answers), done=len(answers))
    answer, votes = brute_force(answers)
    assert vote.votes == votes
    assert (vote.answer is None) == (answer is None)
    if answer is not None and vote.answer is not None:
        assert alike(vote.answer, answer)
        spellings = [one for one in answers if one is not None and alike(one, answer)]
        assert spellings.count(vote.answer) == max(spellings.count(one) for one in spellings)
    assert sum(vote.counts.values()) == sum(one is not None for one in answers)
    assert list(vote.counts.values()) == sorted(vote.counts.values(), reverse=True)
    assert [c is None for c in vote.clusters] == [a is None for a in answers]
    assert vote.share == votes / len(answers)


def test_the_first_of_tied_answers_leads_whichever_ended_first() -> None:
    vote = elect(["7", "8", "8", "7"], str.__eq__, of=4, done=4)
    assert (vote.answer, vote.votes, vote.tied) == ("7", 2, 2)
    assert elect([None, "8", "8", "7"], str.__eq__, of=4, done=3).answer == "8"


@pytest.mark.parametrize("of", [3, 4])
def test_an_early_end_never_changes_the_answer(of: int) -> None:
    """All votes of few samples, whatever is left, whatever means the same as what: also where it is not transitive."""
    words = ["a", "b", "c"]
    pairs = [("a", "b"), ("a", "c"), ("b", "c")]
    ended_early = 0
    for equal in itertools.product([False, True], repeat=3):
        known = {frozenset(pair): value for pair, value in zip(pairs, equal, strict=True)}

        def same(a: str, b: str, known: dict[frozenset[str], bool] = known) -> bool:
            return a == b or known[frozenset((a, b))]

        for whole in itertools.product([*words, None], repeat=of):
            last = elect(whole, same, of=of, done=of)
            for ended in range(1 << of):
                part = [answer if ended >> i & 1 else None for i, answer in enumerate(whole)]
                now = elect(part, same, of=of, done=ended.bit_count())
                if is_settled(part, now):
                    ended_early += ended.bit_count() < of
                    assert now.answer == last.answer, (equal, whole, part)
                for least in (0.4, 0.75):
                    if is_settled(part, now, least):
                        assert (now.share < least) == (last.share < least), (equal, whole, part)
    assert ended_early > 0


def test_a_vote_ends_with_the_sample_that_decides_it() -> None:
    half: list[str | None] = ["42"] * 8 + [None] * 8
    assert not is_settled(half, elect(half, str.__eq__, of=16, done=8))
    whole: list[str | None] = ["42"] * 9 + [None] * 7
    assert is_settled(whole, elect(whole, str.__eq__, of=16, done=9))
    assert not is_settled(whole, elect(whole, str.__eq__, of=16, done=9), 0.6)


@settings(max_examples=200)
@given(ANSWERS, st.randoms(use_true_random=False))
def test_a_vote_is_right_as_often_as_the_consensus_of_an_evaluation(
    answers: list[str | None], draw: random.Random
) -> None:
    """cons@k is the mean over ties of what one vote is: the same clusters, the same leaders."""
    right = [answer is not None and alike(answer, "ab") for answer in answers]
    vote = elect(answers, alike, of=len(answers), done=len(answers), right_k=right)
    clusters = cluster_answers(answers, right, alike)
    share = consensus(clusters, right, len(answers))
    good = {c for c, r in zip(clusters, right, strict=True) if r}
    assert vote.tied == len(leading(clusters))
    if vote.tied == 1:
        assert share == float(vote.answer is not None and alike(vote.answer, "ab"))
    else:
        assert share == (sum(c in good for c in leading(clusters)) / vote.tied if vote.tied else 0.0)
