"""Programs that may start processes still leave none behind, and what a script prints is capped."""

import contextlib
import os
import time
from collections.abc import Iterator

import psutil
import pytest

from ponder.sandbox.isolation import find_isolation
from ponder.sandbox.limits import Limits
from ponder.sandbox.runs import run_script
from ponder.sandbox.sandbox import Sandbox, zygote_command

MANY = Limits(processes=True, cpu_seconds=1)


MARK = f"ponder-test-{os.getpid()}"
"""An option that Python ignores: clones keep the command line of their zygote, and this makes it ours."""


@pytest.fixture(scope="module", params=["full", "limits"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    if request.param == "full" and not find_isolation().full:
        pytest.skip(find_isolation().describe())
    command = list(find_isolation().command if request.param == "full" else zygote_command("bare"))
    place = command.index("-X")
    with Sandbox([*command[:place], "-X", MARK, *command[place:]]) as running:
        yield running


def alive(sandbox: Sandbox) -> int:
    """Processes of the sandbox, the zygote and bubblewrap's own included, but not the clones that wait for requests."""
    found = -len(sandbox._spares)
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            found += MARK in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
    return found


DAEMON = """
import os, time
if os.fork() == 0:
    try: os.setsid()
    except OSError: pass
    if os.fork() == 0:
        os.closerange(0, 3)
        time.sleep(1000)
    os._exit(0)
os.wait()
print('left a daemon')
"""


def test_a_daemon_does_not_outlive_its_program(sandbox: Sandbox) -> None:
    before = alive(sandbox)
    printed = run_script(sandbox, DAEMON, "", MANY, time.monotonic() + 5)
    assert printed.output == b"left a daemon\n", "it was there"
    deadline = time.monotonic() + 10
    while alive(sandbox) > before and time.monotonic() < deadline:  # killed, but the system may not have buried it yet
        time.sleep(0.05)
    assert alive(sandbox) == before >= 1


def test_a_fork_bomb_does_not_outlive_its_time(sandbox: Sandbox) -> None:
    before = alive(sandbox)
    bomb = "import os\nfor _ in range(5):\n    try: os.fork()\n    except OSError: break\nwhile True: pass"
    assert run_script(sandbox, bomb, "", MANY, time.monotonic() + 0.5).ending.signal == 9
    time.sleep(0.3)
    assert alive(sandbox) == before >= 1


def test_processes_are_counted_where_there_are_namespaces(sandbox: Sandbox, request: pytest.FixtureRequest) -> None:
    if "limits" in request.node.name:
        pytest.skip("the kernel would count all processes of the user")
    program = (
        "import os, time\nfor number in range(100):\n    try:\n        if os.fork() == 0: time.sleep(9)\n"
        "    except OSError:\n        print(number)\n        break"
    )
    printed = run_script(sandbox, program, "", MANY, time.monotonic() + 5)
    assert printed.output == b"%d\n" % (MANY.tasks - 1)


def test_output_stops_at_the_file_limit(sandbox: Sandbox) -> None:
    printed = run_script(
        sandbox, "while True: print('x' * 99999)", "", Limits(file_bytes=1 << 20), time.monotonic() + 5, 1 << 19
    )
    assert printed.ending.exit != 0
    assert 0 < len(printed.output) <= 1 << 20


def test_what_one_program_leaves_the_next_does_not_see(sandbox: Sandbox) -> None:
    run_script(sandbox, "open('/tmp/note', 'w').write('for you')", "", Limits(), time.monotonic() + 5)
    printed = run_script(sandbox, "import os; print(os.path.exists('/tmp/note'))", "", Limits(), time.monotonic() + 5)
    assert printed.output == b"False\n"


def test_the_same_program_prints_the_same(sandbox: Sandbox) -> None:
    program = "import random; print(random.random(), hash('a'), set('abcdef'))"
    first, second = (run_script(sandbox, program, "", Limits(), time.monotonic() + 5).output for _ in range(2))
    assert first == second != b""
