"""What becomes of a run whose workers, nodes and own process are killed or stopped at random: it must end the same.

    python benchmarks/kill_drill.py [--runs 5] [--first 0] [--strikes 2] [--seed 0] [--steps 6]
                                    [KEY=VALUE ...]

A short run of the micro model on a Ray cluster of two emulated nodes on this machine, two ranks and one engine: first
undisturbed, then with strikes at random moments: SIGKILL or SIGSTOP to the engine, a rank, a node or the run itself. A
node that is gone comes back some seconds later, and a killed run is started by the same command. Each run must end with
the same weights and rollouts, byte for byte, and leave no process behind. Printed is what was struck and after how many
seconds the work went on. Other arguments are overrides of the recipe: `stages.zero.engine.lag=1` draws ahead.
"""

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from ponder.watch.losses import read_losses

STAGE = "zero"
SETTINGS = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "OMP_NUM_THREADS": "1",
    "COLUMNS": "200",
}
OVERRIDES = (
    "stages.zero.problems=[{source: micro, tasks: [equation], count: 50}]",
    "stages.zero.problems_per_step=4",
    "stages.zero.group_size=4",
    "stages.zero.checkpoint_every=1",
    "stages.zero.sampling.max_tokens=48",
    "stages.zero.held_out=null",
    "stages.zero.precision=fp32",
    "stages.zero.batch.ranks=2",
)
WHOM = ("engine", "rank", "node", "controller")
_AWAY_SECONDS = 5.0
"""How long a node stays away."""
_LEFT_SECONDS = 120.0
"""After which no process of a run may be left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """`whom` is struck by `how` once `rows` updates are made and so many seconds more have passed."""

    whom: str
    how: signal.Signals
    rows: int
    seconds: float


class Cluster:
    """Two nodes on this machine; the second one can be lost."""

    def __init__(self) -> None:
        os.environ.update(SETTINGS)
        from ray.cluster_utils import Cluster as Emulated

        health = {"health_check_initial_delay_ms": 2000, "health_check_period_ms": 2000}
        head: dict[str, Any] = {
            "num_cpus": 2,
            "include_dashboard": False,
            "object_store_memory": 128 << 20,
            "_system_config": {**health, "health_check_failure_threshold": 3},
        }
        self._cluster = Emulated(initialize_head=True, head_node_args=head)
        self._node: Any = None
        self._away_since = 0.0
        self.come_back()

    @property
    def address(self) -> str:
        """Of the head, host:port."""
        return str(self._cluster.address)

    @property
    def whole(self) -> bool:
        """Whether the second node is there."""
        return self._node is not None

    def lose(self) -> None:
        """The second node is gone at once."""
        self._cluster.remove_node(self._node, allow_graceful=False)
        self._node, self._away_since = None, time.monotonic()

    def come_back(self, *, now: bool = True) -> None:
        """The second node is there again, `now` or once it was away long enough."""
        if self._node is None and (now or time.monotonic() - self._away_since > _AWAY_SECONDS):
            self._node = self._cluster.add_node(num_cpus=2, object_store_memory=128 << 20)

    def close(self) -> None:
        """End it."""
        self._cluster.shutdown()


def command(out: Path, address: str, steps: int, engines: int, overrides: tuple[str, ...]) -> list[str]:
    """The run's, the same each time."""
    return [
        *(sys.executable, "-m", "ponder.cli", "run", "zero-micro", "--out", str(out), "--on", f"ray://{address}"),
        *OVERRIDES,
        f"stages.zero.steps={steps}",
        f"stages.zero.engine.workers={engines}",
        *overrides,
    ]


def started(line: list[str], log: Path) -> subprocess.Popen[bytes]:
    """The run as a process of its own."""
    with log.open("ab") as file:
        return subprocess.Popen(line, stdout=file, stderr=subprocess.STDOUT, env=os.environ | SETTINGS)


def rows(out: Path) -> int:
    """Updates that are made."""
    path = out / "stages" / STAGE / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def digest(out: Path) -> str:
    """Of all weights and rollouts at the end."""
    folder = out / "stages" / STAGE
    found = hashlib.sha256()
    for path in [*sorted((folder / "model").glob("*.safetensors")), *sorted((folder / "rollouts").glob("rollouts-*"))]:
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


def workers(out: Path, whom: str) -> list[int]:
    """The processes of this run that are such workers, known by the file that they print to."""
    logs = out / "stages" / STAGE / "workers"
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and "ponder.ranks.process" in process.cmdline():
                target = Path(os.readlink(f"/proc/{process.pid}/fd/1"))
                if target.parent == logs and target.name.startswith(whom):
                    found.append(process.pid)
        except (psutil.Error, OSError):
            continue  # it has just ended
    return sorted(found)


def strike(one: Strike, out: Path, cluster: Cluster, run: subprocess.Popen[bytes], chance: random.Random) -> bool:
    """Whether there was anything to strike."""
    if one.whom == "node":
        if not cluster.whole:
            return False
        cluster.lose()
    elif one.whom == "controller":
        run.kill()
    else:
        there = workers(out, one.whom)
        if not there:
            return False
        os.kill(chance.choice(there), one.how)
    return True


def drill(
    out: Path,
    cluster: Cluster,
    strikes: list[Strike],
    *,
    steps: int,
    engines: int = 1,
    seed: int = 0,
    overrides: tuple[str, ...] = (),
    limit: float = 900.0,
) -> float:
    """Run with these strikes to its end; the seconds it took. RuntimeError where it does not come there."""
    out, chance = out.resolve(), random.Random(seed)
    log = out.with_suffix(".log")
    line = command(out, cluster.address, steps, engines, overrides)
    run, began, waiting = started(line, log), time.monotonic(), list(strikes)
    due: float | None = None
    while (code := run.poll()) is None or waiting or code == -signal.SIGKILL:
        if time.monotonic() - began > limit:
            run.kill()
            raise RuntimeError(f"not done after {limit:.0f} s: {log.read_text()[-2000:]}")
        if code == -signal.SIGKILL:
            run = started(line, log)
        elif code is not None:
            break
        if waiting and rows(out) >= waiting[0].rows:
            due = due or time.monotonic() + waiting[0].seconds
            if time.monotonic() >= due and strike(waiting[0], out, cluster, run, chance):
                print(f"  after {rows(out)} updates: {waiting[0].how.name} to {waiting[0].whom}", flush=True)
                waiting.pop(0)
                due = None
        cluster.come_back(now=False)
        time.sleep(0.1)
    if run.returncode != 0:
        raise RuntimeError(f"exit status {run.returncode}: {log.read_text()[-2000:]}")
    spent = time.monotonic() - began
    while left := [*workers(out, "engine"), *workers(out, "rank")]:
        if time.monotonic() - began - spent > _LEFT_SECONDS:
            raise RuntimeError(f"processes are left: {left}")
        time.sleep(0.5)
    return spent


def random_strikes(count: int, steps: int, chance: random.Random) -> list[Strike]:
    """So many, in the order of the updates before which they come. Nodes and runs are not stopped: a stopped run is no
    loss, and a stopped node is seen by Ray as one that is gone."""
    found = []
    for moment in sorted(chance.randrange(steps) for _ in range(count)):
        whom = chance.choice(WHOM)
        stops = whom in ("engine", "rank") and chance.random() < 0.5
        how = signal.SIGSTOP if stops else signal.SIGKILL
        found.append(Strike(whom=whom, how=how, rows=moment, seconds=chance.uniform(0, 3)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="the number of the first run, which says what is struck")
    parser.add_argument("--strikes", type=int, default=2)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--engines", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("overrides", nargs="*")
    given = parser.parse_args()
    run: dict[str, Any] = {"steps": given.steps, "engines": given.engines, "overrides": tuple(given.overrides)}
    cluster = Cluster()
    failed = 0
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            spent = drill(folder / "whole", cluster, [], **run)
            expected = digest(folder / "whole")
            print(f"undisturbed: {expected}, {spent:.0f} s", flush=True)
            worst: dict[str, float] = {}
            for number in range(given.first, given.first + given.runs):
                chance = random.Random(given.seed * 1000 + number)
                strikes = random_strikes(given.strikes, given.steps, chance)
                out = folder / f"run-{number}"
                print(f"run {number}", flush=True)
                spent = drill(out, cluster, strikes, seed=number, **run)
                cluster.come_back()
                found = digest(out)
                failed += found != expected
                for loss in read_losses(out / "stages" / STAGE):
                    print(f"  {loss.what} lost ({loss.why[:90]}): goes on after {loss.seconds} s")
                    kind = loss.what.partition("-")[0]
                    worst[kind] = max(worst.get(kind, 0.0), loss.seconds or 0.0)
                print(f"  {found} {'same' if found == expected else 'DIFFERENT'}, {spent:.0f} s", flush=True)
            print(f"{given.runs - failed} of {given.runs} runs end the same; longest until work went on: {worst}")
    finally:
        cluster.close()
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
