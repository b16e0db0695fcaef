"""A vote: which answer most samples give (self-consistency, arXiv 2203.11171). Pure.

Answers that mean the same are one cluster. Clusters are formed in the order of the samples, and the earliest of tied
ones leads, so the outcome does not depend on which sample ends first. Samples without an answer do not vote, but
count: the share of a cluster is of all samples that were asked for.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Same", "Vote", "cluster_answers", "elect", "is_settled", "leading"]

Same = Callable[[str, str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """`counts` holds the votes of each cluster by its most frequent spelling, most votes first; `clusters` the spelling
    of each sample's cluster, None for one without an answer or that has not ended. `of` is how many samples were asked
    for, `done` how many had ended.

    Example: Vote(answer="42", votes=9, of=16, done=16, counts={"42": 9, "41": 4}, clusters=("42", None, ...), tied=1).
    """

    answer: str | None
    votes: int
    of: int
    done: int
    counts: Mapping[str, int]
    clusters: tuple[str | None, ...]
    tied: int
    """Clusters with as many votes as the answer's, itself included."""

    @property
    def share(self) -> float:
        """Share of all samples that agree: how sure the vote is, which is no check."""
        return self.votes / self.of


def cluster_answers(answers_k: Sequence[str | None], right_k: Sequence[bool], same: Same) -> list[int | None]:
    """The cluster of each sample's answer, numbered from 0; None for a sample without an answer.

    Right answers are all equal to the gold and wrong ones never, so `same` is asked about distinct wrong answers only;
    where there is no gold none is called right.
    """
    clusters: list[tuple[str, bool]] = []
    known: dict[tuple[str, bool], int] = {}
    found: list[int | None] = []
    for answer, right in zip(answers_k, right_k, strict=True):
        if answer is None:
            found.append(None)
            continue
        if (answer, right) not in known:
            matches = (
                i for i, (other, good) in enumerate(clusters) if good == right and (right or same(answer, other))
            )
            index = next(matches, len(clusters))
            if index == len(clusters):
                clusters.append((answer, right))
            known[answer, right] = index
        found.append(known[answer, right])
    return found


def leading(clusters_k: Sequence[int | None]) -> list[int]:
    """The clusters with the most votes, the one that came first in the lead; none where nobody votes."""
    votes = Counter(cluster for cluster in clusters_k if cluster is not None)
    most = max(votes.values(), default=0)
    return sorted(cluster for cluster, count in votes.items() if count == most)


def elect(answers_k: Sequence[str | None], same: Same, *, of: int, done: int, right_k: Sequence[bool] = ()) -> Vote:
    """The vote of samples in their order; `answers_k` may be fewer than the `of` that were asked for."""
    clusters_k = cluster_answers(answers_k, right_k or [False] * len(answers_k), same)
    spellings: dict[int, Counter[str]] = {}
    for cluster, answer in zip(clusters_k, answers_k, strict=True):
        if cluster is not None and answer is not None:
            spellings.setdefault(cluster, Counter())[answer] += 1
    names = _names(spellings)
    leaders = leading(clusters_k)
    ranked = sorted(spellings, key=lambda cluster: (-spellings[cluster].total(), cluster))
    return Vote(
        answer=names[leaders[0]] if leaders else None,
        votes=spellings[leaders[0]].total() if leaders else 0,
        of=of,
        done=done,
        counts={names[cluster]: spellings[cluster].total() for cluster in ranked},
        clusters=tuple(None if cluster is None else names[cluster] for cluster in clusters_k),
        tied=len(leaders),
    )


def is_settled(answers_k: Sequence[str | None], vote: Vote, abstain_below: float | None = None) -> bool:
    """Whether samples that have not ended can change neither the answer nor whether there is one.

    Asks for more than a lead: equality of written mathematics is not transitive ("50 %" is 50 and 0.5), so one late
    sample may join all others. What nothing can part is one spelling; it must have more than half of all samples.
    """
    if vote.answer is None or vote.done == vote.of:
        return vote.done == vote.of
    firm = sum(a == c == vote.answer for a, c in zip(answers_k, vote.clusters, strict=True))
    return 2 * firm > vote.of and (abstain_below is None or firm >= abstain_below * vote.of)


def _names(spellings: Mapping[int, "Counter[str]"]) -> dict[int, str]:
    """The most frequent spelling of each cluster, the first of tied ones. Only a right and a wrong answer that are
    spelt alike could share one; the later gets a mark."""
    names: dict[int, str] = {}
    for cluster, counts in spellings.items():
        name = counts.most_common(1)[0][0]
        while name in names.values():
            name += " "
        names[cluster] = name
    return names
