"""What rows have written, against plain lists, while rows come, grow and go."""

import numpy as np

from ponder.rollout.written import Written


def test_rows_that_come_grow_and_go() -> None:
    """A token a step for every row; a third of the rows goes now and then, others come at the end."""
    random = np.random.default_rng(0)
    written, rows = Written(), [list[int]() for _ in range(30)]
    made = longest = 0
    for step in range(2_000):
        if step % 50 == 49:
            kept_R = np.sort(random.choice(30, 20, replace=False))
            written.keep(kept_R, max(map(len, rows)))
            rows = [rows[row] for row in kept_R] + [list[int]() for _ in range(10)]
        room = written.tokens_RL
        place_N, token_N = np.array([len(row) for row in rows]), random.integers(0, 1000, 30)
        written.write(np.arange(30), place_N, token_N, -token_N.astype(np.float32))
        for row, token in zip(rows, token_N.tolist(), strict=True):
            row.append(token)
        made += written.tokens_RL is not room
        longest = max(longest, *map(len, rows))
        for number in random.integers(0, 30, 3).tolist():
            ids, logprobs = written.row(number, len(rows[number]))
            assert ids.tolist() == rows[number] == (-logprobs).astype(int).tolist()
    assert longest > 300 and made < 8, "room is made a few times, not at every step"


def test_what_was_given_out_stays_as_it_was() -> None:
    written, one = Written(), np.array([0])
    written.write(one, one, np.array([7]), np.array([-0.5], np.float32))
    ids, logprobs = written.row(0, 1)
    written.write(one, one, np.array([8]), np.array([-1.5], np.float32))
    assert (ids.tolist(), logprobs.tolist()) == ([7], [-0.5])
