"""Stages that do not need one another, beside one another: each in one of a few processes with its share of the cores.

    zero           ########        reason ######
    zero_language  ########  student_rl ###  students ...

A small model's steps are many small operations, which a second core hardly makes faster; two stages on two cores take
little longer than one (benchmarks/README.md).
"""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from ponder.errors import PonderError
from ponder.pipeline.messages import Begin
from ponder.pipeline.schedule import ready
from ponder.pipeline.stage_crew import StageCrew
from ponder.pipeline.survey import Standing
from ponder.recipe.recipe import Recipe
from ponder.share import stages_at_once

__all__ = ["run_beside"]


def run_beside(
    standings: Sequence[Standing],
    recipe: Recipe,
    out: Path,
    clock: str,
    lock: int,
    *,
    smoke: bool,
    say: Callable[[str], None],
    after: Callable[[], None],
) -> None:
    """Bring all stages to their end, `recipe.at_once` of them at a time where there are as many cores; `after` is
    called whenever one has ended. Their processes hold the run folder's `lock`, too.

    After a failure none begins, those under way go on to their end, and then what the first one raised goes through,
    with notes on what else failed. So does a KeyboardInterrupt, once the manifests say so; a second one does not wait
    for that.
    """
    needs = {one.name: one.needs for one in standings}
    done = {one.name for one in standings if one.state == "done"}
    waiting = {one.name: one for one in standings if one.state != "done"}
    failed: dict[str, BaseException] = {}
    most = stages_at_once(recipe.at_once)
    with contextlib.closing(StageCrew(recipe.at_once, lock)) as crew:
        while True:
            beginning = [] if failed else ready(list(waiting), needs, done, most - len(crew.busy))
            for name in beginning:
                crew.begin(Begin(standing=waiting.pop(name), recipe=recipe, out=out, clock=clock, smoke=smoke))
            if not crew.busy:
                break
            for name, ended in crew.next(say):
                if ended is None:
                    done.add(name)
                else:
                    failed[name] = ended
                    beside = "; no other begins until {} is at its end".format(" and ".join(crew.busy.values()))
                    say(f"{name}: failed: {_words(ended)}{beside if crew.busy else ''}")
                after()
    if failed:
        first, *later = failed
        for name in later:
            failed[first].add_note(f"stage {name!r} failed, too: {_words(failed[name])}")
        raise failed[first]


def _words(error: BaseException) -> str:
    return str(error) if isinstance(error, PonderError) else f"{type(error).__name__}: {error}"
