"""Which samples go through the model together: micro-batches of a bounded number of packed tokens. No torch.

The prompt of a group is counted once per micro-batch, because it is computed once. Nothing is dropped, and equal
samples give equal micro-batches.
"""

from collections.abc import Sequence

from ponder.train.sample import Sample

__all__ = ["in_rounds", "pack", "packed_tokens", "rounds"]

_SLACK = (1.0, 1.125, 1.25, 1.5, 2.0)
"""Passes of so many times their even share are tried in turn: groups do not divide evenly."""


def packed_tokens(samples: Sequence[Sample]) -> int:
    """Tokens of one packed row of these samples."""
    prompts = {sample.group: len(sample.prompt_ids) for sample in samples}
    return sum(prompts.values()) + sum(sample.packed_tokens for sample in samples)


def pack(samples: Sequence[Sample], token_budget: int) -> list[list[int]]:
    """Micro-batches as indices into `samples`, each of at most `token_budget` packed tokens.

    A group that fits into one micro-batch is never split; a sample that alone exceeds the budget gets a micro-batch of
    its own. Pieces are placed largest first, each where it first fits.
    """
    pieces = [piece for group in _groups(samples) for piece in _pieces(samples, group, token_budget)]
    sizes = [packed_tokens([samples[i] for i in piece]) for piece in pieces]
    bins: list[list[int]] = []
    free: list[int] = []
    for size, piece in sorted(zip(sizes, pieces, strict=True), key=lambda entry: (-entry[0], entry[1][0])):
        place = next((i for i, room in enumerate(free) if size <= room), None)
        if place is None:
            bins.append([])
            free.append(token_budget)
            place = len(bins) - 1
        bins[place].extend(piece)
        free[place] -= size
    return [sorted(members) for members in bins]


def rounds(samples: Sequence[Sample], token_budget: int, ranks: int) -> list[list[list[int]]]:
    """What each of `ranks` processes computes at the same time: a pass for each, round after round. Passes are those of
    `pack`, smaller ones where that leaves fewer processes idle, and those of a round are about equally large. Only in
    the last round there are empty passes: every process makes the same number."""
    passes = pack(samples, token_budget)
    if missing := -len(passes) % ranks:
        places = len(passes) + missing
        even = -(-packed_tokens(samples) // places)
        for slack in _SLACK:
            smaller = pack(samples, min(token_budget, int(even * slack) + 1))
            if len(smaller) <= places:
                passes = smaller
                break
    return in_rounds(passes, [packed_tokens([samples[i] for i in members]) for members in passes], ranks)


def in_rounds(passes: Sequence[list[int]], sizes: Sequence[int], ranks: int) -> list[list[list[int]]]:
    """The passes dealt out to `ranks` processes, round after round, those of a round of about the same size; empty ones
    at the end of the last round. One process makes them in their order."""
    order = list(range(len(passes)))
    if ranks > 1:
        order.sort(key=lambda i: -sizes[i])
    dealt = [passes[i] for i in order] + [[] for _ in range(-len(passes) % ranks)]
    return [dealt[start : start + ranks] for start in range(0, len(dealt), ranks)]


def _groups(samples: Sequence[Sample]) -> list[list[int]]:
    groups: dict[str, list[int]] = {}
    for i, sample in enumerate(samples):
        members = groups.setdefault(sample.group, [])
        if members and samples[members[0]].prompt_ids != sample.prompt_ids:
            raise AssertionError(f"group {sample.group!r} has samples with different prompts")
        members.append(i)
    return list(groups.values())


def _pieces(samples: Sequence[Sample], group: list[int], token_budget: int) -> list[list[int]]:
    """The group whole if it fits, else cut into runs that do."""
    prompt = len(samples[group[0]].prompt_ids)
    pieces: list[list[int]] = []
    used = token_budget
    for i in group:
        size = samples[i].packed_tokens
        if not pieces or used + size > token_budget:
            pieces.append([])
            used = prompt
        pieces[-1].append(i)
        used += size
    return pieces
