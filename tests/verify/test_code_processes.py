"""Programs that want processes, which the sandbox refuses, are never judged by that; pools of threads work."""

from collections.abc import Iterator

import pytest

from ponder.records import CodeGold
from ponder.sandbox.isolation import find_isolation
from ponder.verify import code
from ponder.verify.code import verify_code

pytestmark = pytest.mark.skipif(not find_isolation().full, reason="programs of their own need namespaces")


@pytest.fixture(autouse=True, scope="module")
def sandbox() -> Iterator[None]:
    yield
    code.close_sandbox()


MANY = "def more(x): return x + 1\n"
PROCESSES = {
    "a pool": "from multiprocessing import Pool\ndef f(xs):\n    with Pool(2) as p: return p.map(more, xs)",
    "an executor": "from concurrent.futures import ProcessPoolExecutor as E\n"
        "def f(xs):\n    with E() as e: return list(e.map(more, xs))",
    "processes and a queue": "import multiprocessing as mp\ndef put(q, x): q.put(more(x))\n"
        "def f(xs):\n    q = mp.Queue()\n    ps = [mp.Process(target=put, args=(q, x)) for x in xs]\n"
        "    [p.start() for p in ps]\n    got = sorted(q.get() for _ in ps)\n    return got",
    "a manager": "from multiprocessing import Manager\n"
        "def f(xs):\n    with Manager() as m: return list(map(more, m.list(xs)))",
    "shared memory": "from multiprocessing import Array\ndef f(xs): return list(map(more, Array('i', xs)))",
    "another program": "import subprocess\n"
        "def f(xs): return [x + int(subprocess.run(['echo', '1'], capture_output=True).stdout) for x in xs]",
    "a shell": "import os\ndef f(xs): return [x + 1 + os.system('true') for x in xs]",
    "a fork": "import os\ndef f(xs):\n    if os.fork() == 0: os._exit(0)\n    return list(map(more, xs))",
}  # fmt: skip
THREADS = {
    "a pool of threads": "from multiprocessing.pool import ThreadPool\n"
        "def f(xs):\n    with ThreadPool(2) as p: return p.map(more, xs)",
    "a dummy pool": "from multiprocessing.dummy import Pool\ndef f(xs):\n    with Pool(2) as p: return p.map(more, xs)",
    "locks": "from multiprocessing import Lock, RLock, Semaphore\nlock, again, two = Lock(), RLock(), Semaphore(2)\n"
        "def f(xs):\n    with lock, again, again, two:\n        assert not lock.acquire(block=False)\n"
        "        assert two.acquire(timeout=1) and not two.acquire(timeout=0.01)\n"
        "        two.release()\n        return list(map(more, xs))",
}  # fmt: skip
GOLDS = {
    "asserts": CodeGold(tests=("assert f([1, 2]) == [2, 3]",)),
    "unittest": CodeGold(form="unittest", tests=("from solution import f\ndef test_f(): assert f([1, 2]) == [2, 3]",)),
    "stdio": CodeGold(form="stdio", tests=("",), outputs=("[2, 3]",)),
}


def outcome(program: str, form: str) -> str:
    main = "\nif __name__ == '__main__':\n    print(f([1, 2]))\n" if form == "stdio" else ""
    return verify_code(MANY + program + main, GOLDS[form]).outcome


@pytest.mark.parametrize("form", GOLDS)
@pytest.mark.parametrize("name", PROCESSES)
def test_a_refused_process_cannot_tell(name: str, form: str) -> None:
    assert outcome(PROCESSES[name], form) == "cannot_tell"


@pytest.mark.parametrize("form", GOLDS)
@pytest.mark.parametrize("name", THREADS)
def test_threads_and_their_locks_are_judged(name: str, form: str) -> None:
    assert outcome(THREADS[name], form) == "right"
    assert outcome(THREADS[name].replace("def f(xs):", "def f(xs):\n    xs = [*xs, 0]"), form) == "wrong"


@pytest.mark.parametrize("form", GOLDS)
def test_to_import_them_is_no_excuse(form: str) -> None:
    imports = "import multiprocessing, subprocess, concurrent.futures\nfrom multiprocessing import Pool, Queue\n"
    assert outcome(imports + "def f(xs): return xs", form) == "wrong"
    assert outcome(imports + "def f(xs): return list(map(more, xs))", form) == "right"


@pytest.mark.parametrize("form", GOLDS)
def test_a_right_program_may_do_without_the_process_it_wanted(form: str) -> None:
    tried = "import subprocess\ndef f(xs):\n    try: subprocess.run(['true'])\n    except OSError: pass\n    return "
    assert outcome(f"{tried}list(map(more, xs))", form) == "right"


def test_a_program_that_cannot_begin_without_cannot_tell() -> None:
    begun = "from multiprocessing import Manager\nshared = Manager().dict()\ndef f(xs): return [x + 1 for x in xs]"
    assert outcome(begun, "asserts") == outcome(begun, "unittest") == outcome(begun, "stdio") == "cannot_tell"


@pytest.mark.parametrize(("start", "verdict"), [
    ("p = multiprocessing.Process(target=f, args=([1],))\n    p.start()\n    p.join()", "cannot_tell"),
    ("with multiprocessing.pool.ThreadPool(2) as p: assert p.map(f, [[1], [2]]) == [[2], [3]]", "right"),
])  # fmt: skip
def test_tests_that_start_them(start: str, verdict: str) -> None:
    tests = (
        f"import multiprocessing.pool\nfrom solution import f\ndef test_f():\n    {start}\n    assert f([4]) == [5]\n"
    )
    gold = CodeGold(form="unittest", tests=(tests,))
    assert verify_code(MANY + "def f(xs): return list(map(more, xs))", gold).outcome == verdict
