"""Stages that do not need one another, beside one another: each in one of a few processes with its share of the cores.

    zero           ########        reason ######
    zero_language  ########  student_rl ###  students ...

A small model's steps are many small operations, which a second core hardly makes faster; two stages on two cores take
little longer than one (benchmarks/README.md).
"""

import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path

from ponder.errors import PonderError
from ponder.pipeline.messages import Begin, Ended, Said, Warned
from ponder.pipeline.schedule import ready
from ponder.pipeline.survey import Standing
from ponder.recipe.recipe import Recipe
from ponder.sandbox.kernel import end_with_parent

__all__ = ["run_beside", "share_of_threads"]

_LOOK_EVERY = 1.0
"""Seconds between looks at whether the processes are there."""


def share_of_threads(at_once: int) -> int:
    """Threads of each of so many stages; those that OMP_NUM_THREADS allows are shared, and all cores without it."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    most = int(first) if first.isdecimal() and int(first) else len(os.sched_getaffinity(0))
    return max(1, most // at_once)


def run_beside(
    standings: Sequence[Standing],
    recipe: Recipe,
    out: Path,
    clock: str,
    *,
    smoke: bool,
    say: Callable[[str], None],
    after: Callable[[], None],
) -> None:
    """Bring all stages to their end, `recipe.at_once` of them at a time; `after` is called whenever one has ended.

    After a failure none begins, those under way go on to their end, and then what the first one raised goes through.
    So does a KeyboardInterrupt, once the manifests say so; a second one does not wait for that.
    """
    needs = {one.name: one.needs for one in standings}
    done = {one.name for one in standings if one.state == "done"}
    waiting = {one.name: one for one in standings if one.state != "done"}
    failed: list[BaseException] = []
    with _processes(share_of_threads(recipe.at_once)) as crew:
        while True:
            beginning = [] if failed else ready(list(waiting), needs, done, recipe.at_once - len(crew.busy))
            for name in beginning:
                crew.begin(Begin(standing=waiting.pop(name), recipe=recipe, out=out, clock=clock, smoke=smoke))
            if not crew.busy:
                break
            for name, ended in crew.next(say):
                if ended is None:
                    done.add(name)
                else:
                    failed.append(ended)
                    beside = "; no other begins until {} is at its end".format(" and ".join(crew.busy.values()))
                    say(f"{name}: failed: {ended}{beside if crew.busy else ''}")
                after()
    if failed:
        raise failed[0]


class _Crew:
    """The processes, and which stage each is busy with."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._processes: dict[Connection, subprocess.Popen[bytes]] = {}
        self.busy: dict[Connection, str] = {}

    def begin(self, begin: Begin) -> None:
        """Give the stage to a process that is idle, or to a new one."""
        pipe = next((one for one in self._processes if one not in self.busy), None) or self._start()
        self.busy[pipe] = begin.standing.name
        pipe.send(begin)

    def next(self, say: Callable[[str], None]) -> list[tuple[str, BaseException | None]]:
        """Pass on what the processes say, and name the stages that have ended meanwhile, with what they raised."""
        ended: list[tuple[str, BaseException | None]] = []
        told = wait(list(self.busy), _LOOK_EVERY)
        for pipe, name in list(self.busy.items()):
            try:
                message = pipe.recv() if pipe in told else None
            except EOFError:
                message = None
            if isinstance(message, Said):
                say(message.line)
                sys.stdout.flush()
            elif isinstance(message, Warned):
                warnings.showwarning(message.message, message.category, message.filename, message.lineno)
            elif isinstance(message, Ended):
                error = None if message.error is None else message.error.error(f"raised in stage {name!r}")
                ended.append((self.busy.pop(pipe), error))
            elif pipe in told or self._processes[pipe].poll() is not None:
                ended.append((self.busy.pop(pipe), self._gone(pipe, name)))
        return ended

    def end(self) -> None:
        """Without those that are idle; the others put their things in order first."""
        try:
            for process in self._processes.values():
                process.terminate()
            for process in self._processes.values():
                process.wait()
        except KeyboardInterrupt:
            for process in self._processes.values():
                process.kill()
                process.wait()
            raise
        finally:
            for pipe in self._processes:
                pipe.close()

    def _start(self) -> Connection:
        ours, theirs = Pipe()
        # In a process group of its own it gets no Ctrl-C of the terminal beside the signal from here.
        self._processes[ours] = subprocess.Popen(
            [sys.executable, "-m", "ponder.pipeline.stage_process", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env=os.environ | {"OMP_NUM_THREADS": str(self._threads)},
            stdin=subprocess.DEVNULL,
            process_group=0,
            preexec_fn=end_with_parent,
        )
        theirs.close()
        return ours

    def _gone(self, pipe: Connection, name: str) -> PonderError:
        code = self._processes.pop(pipe).wait()
        pipe.close()
        how = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        return PonderError(
            f"The process of stage {name!r} ended by {how}. A machine that runs out of memory ends processes by "
            "SIGKILL: give `at_once=1` then. The same command goes on from the last checkpoint"
        )


@contextmanager
def _processes(threads: int) -> Iterator[_Crew]:
    crew = _Crew(threads)
    try:
        yield crew
    finally:
        crew.end()
