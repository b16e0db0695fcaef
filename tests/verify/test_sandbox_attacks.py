"""Attacks on the sandbox and on the verdict. Each program earns its verdict only if its attack succeeds."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from ponder.records import CodeGold
from ponder.sandbox.isolation import find_isolation
from ponder.sandbox.sandbox import Sandbox, zygote_command
from ponder.verify import code

SECRET = "needle-" + "8273"
LEAK = CodeGold(tests=(f"assert attack() == {SECRET!r}",))
"""Only a program that found the expected value passes."""
SUCCESS = CodeGold(tests=("assert attack() == 'succeeded'",))
"""Only a program that says that its attack succeeded passes."""
NUMBER = CodeGold(tests=("assert attack() == 41729", "assert abs(attack() - 41729) < 1e-6", "assert attack() > 41728"))
"""Only a program that knows the number, or fools the comparison, passes any of these."""


@pytest.fixture(scope="module", params=["full", "limits"])
def level(request: pytest.FixtureRequest) -> Iterator[str]:
    code.close_sandbox()
    if request.param == "full":
        if not find_isolation().full:
            pytest.skip(find_isolation().describe())
        code._Home.sandbox = Sandbox(find_isolation().command)
    else:
        code._Home.sandbox = Sandbox(zygote_command("bare"))
    yield request.param
    code.close_sandbox()


def attempt(*tries: str, before: str = "") -> str:
    """A program that makes each try and says "succeeded" if one of them raised nothing."""
    lines = ["import os, sys", before, "good = []"]
    for one in tries:
        lines += ["try:", *(f"    {line}" for line in one.splitlines()), f"    good.append({one!r})"]
        lines += ["except BaseException as error:", "    print(error)"]
    return "\n".join([*lines, "def attack():", "    return 'succeeded' if good else 'failed'"])


CTYPES = (
    "import ctypes; libc = ctypes.CDLL(None, use_errno=True)\ndef call(n, *a):\n    assert libc.syscall(n, *a) >= 0"
)

REFUSED = {
    "network": attempt(
        "import socket; socket.create_connection(('127.0.0.1', int(open('/tmp/none').read())))",
        "import socket; socket.socket(socket.AF_INET)",
        "import socket; socket.socket(socket.AF_UNIX)",
        "import urllib.request; urllib.request.urlopen('http://127.0.0.1')",
    ),
    "fork": attempt("os.fork() or os._exit(0)", "import subprocess; subprocess.run(['/bin/true'], check=True)"),
    "exec": attempt("os.execv('/bin/true', ['true'])"),
    "host files": attempt(
        "open('/etc/passwd')",
        "open('/proc/self/environ')",
        "open('/proc/1/cmdline')",
        "os.listdir('/proc')[0]",
        "os.listdir('/home')",
        "os.listdir('/root/.ssh')",
        "os.listdir('/sys')",
        "open('/var/log/dpkg.log')",
    ),
    "write outside": attempt(
        "open('/usr/ponder-was-here', 'w')",
        "open('/ponder-was-here', 'w')",
        "os.mkdir('/etc/ponder-was-here')",
        "os.rename('/usr/bin/env', '/usr/bin/env2')",
        "os.chmod('/usr/bin', 0)",
        "os.truncate('/usr/bin/env', 0)",
        "open(os.__file__, 'a')",
    ),
    "symlinks": attempt(
        "os.symlink('/etc', 'link'); open('link/passwd')",
        "os.symlink('/proc', 'p'); open('p/self/environ')",
        "os.link('/usr/bin/env', '/tmp/env')",
    ),
    "kill others": attempt("assert os.getppid(); os.kill(os.getppid(), 9)", "os.kill(999999, 0)"),
    "ptrace": attempt(
        "call(101, 0, 0, 0, 0)",
        "call(101, 16, os.getppid(), 0, 0)",
        "call(310, os.getppid(), 0, 0, 0, 0, 0)",
        before=CTYPES,
    ),
    "kernel": attempt(
        "call(272, 0x10000000)",  # unshare a user namespace
        "call(165, b'none', b'/tmp', b'tmpfs', 0, 0)",  # mount
        "call(161, b'/')",  # chroot
        "call(105, 0)",  # setuid
        "call(425, 8, b'x' * 120)",  # io_uring_setup
        "call(321, 0, 0, 0)",  # bpf
        "call(319, b'x', 0)",  # memfd_create
        "call(308, 0, 0)",  # setns
        "call(435, b'x' * 88, 88)",  # clone3
        "call(0x40000000 + 39)",  # the x32 numbers
        before=CTYPES,
    ),
    "handles on other processes": attempt(
        "call(434, 1, 0)",  # pidfd_open
        "call(438, 3, 0, 0)",  # pidfd_getfd
        "call(312, 1, 1, 0, 0, 0)",  # kcmp
        "call(311, 1, 0, 0, 0, 0, 0)",  # process_vm_writev
        before=CTYPES,
    ),
    "other ways to start processes": attempt(
        "call(58)",  # vfork
        "call(56, 17, 0, 0, 0, 0)",  # clone
        "call(322, -100, b'/bin/true', 0, 0, 0)",  # execveat
        "os.posix_spawn('/bin/true', ['true'], {})",
        "assert os.system('true') == 0",
        "import multiprocessing; multiprocessing.Process(target=print).start()",
        before=CTYPES,
    ),
    "system calls of 32 bits": attempt(
        "import mmap\nmemory = mmap.mmap(-1, 4096, prot=7)\n"
        "memory.write(bytes([0xB8, 2, 0, 0, 0, 0xCD, 0x80, 0xC3]))\n"  # fork by int 0x80
        "fork = ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))\n"
        "assert fork() > 0",
        before=CTYPES,
    ),
    "devices and pipes": attempt("os.mkfifo('/x')", "os.mknod('/tmp/d', 0o60600, os.makedev(8, 0))"),
    "privileges": attempt("os.setgroups([])", "os.chroot('/tmp')", "os.nice(-1)", "os.setpriority(0, 0, -5)"),
    "kernel objects": attempt(
        "call(250, 0, -3, 0)",  # keyctl
        "call(298, b'x' * 112, 0, -1, -1, 0)",  # perf_event_open
        "call(323, 0)",  # userfaultfd
        "call(304, 0, b'x', 0)",  # open_by_handle_at
        "call(428, -100, b'/', 0)",  # open_tree
        "call(155, b'/tmp', b'/tmp')",  # pivot_root
        "call(313, 3, b'', 0)",  # finit_module
        before=CTYPES,
    ),
    "limits": attempt(
        "import resource; resource.setrlimit(resource.RLIMIT_CPU, (100, 100))",
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
    ),
    "environment": attempt("os.environ['PONDER_TEST_SECRET']", "assert 'USER' in os.environ"),
    "descriptors": attempt(*(f"os.fstat({number})" for number in range(5, 80))),
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_system_refuses(level: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PONDER_TEST_SECRET", "secret")
    verdict = code.verify_code(REFUSED[name], SUCCESS, wall_seconds=5)
    assert verdict.outcome == "wrong", verdict
    assert not any(Path(folder, "ponder-was-here").exists() for folder in ("/", "/usr", "/etc"))


def test_a_clean_program_is_right(level: str) -> None:
    assert code.verify_code(attempt("1 + 1"), SUCCESS).outcome == "right"


def test_files_and_servers_of_the_host_are_out_of_reach(level: str, tmp_path: Path) -> None:
    secret = tmp_path / "gold.jsonl"
    secret.write_text(SECRET)
    tmp_path.chmod(0o755)
    secret.chmod(0o666)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = attempt(
            f"open({str(secret)!r}).read()",
            f"open({str(secret)!r}, 'w').write('mine')",
            f"os.remove({str(secret)!r})",
            f"import socket; socket.create_connection(('127.0.0.1', {port}))",
        )
        assert code.verify_code(program, SUCCESS).outcome == "wrong"
    assert secret.read_text() == SECRET


ENDINGS = {
    "infinite loop": "while True: pass",
    "infinite loop that ignores signals": (
        "import signal\nfor n in range(1, 65):\n    try: signal.signal(n, signal.SIG_IGN)\n    except Exception: pass\n"
        "while True: pass"
    ),
    "sleep": "import time\ntime.sleep(100)",
    "infinite output": "while True: print('passed' * 1000)",
    "memory bomb": "x = []\nwhile True: x.append('x' * 10 ** 6 + str(len(x)))",
    "one big allocation": "x = bytearray(10 ** 11)",
    "huge power": "def attack(): return 9 ** 9 ** 9",
    "disk filling": "import itertools\nfor n in itertools.count(): open(f'/tmp/{n}', 'wb').write(bytes(10 ** 6))",
    "inode filling": "import itertools\nfor n in itertools.count(): open(f'/tmp/{n}', 'w')",
    "thread bomb": "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(99,)).start()",
    "deep recursion": "import sys\nsys.setrecursionlimit(10 ** 9)\ndef f(): f()\nf()",
    "os._exit": "import os\nos._exit(0)",
    "os._exit in the function": "import os\ndef attack(): os._exit(0)",
    "sys.exit": "import sys\nsys.exit(0)",
    "sys.exit in the function": "import sys\ndef attack(): sys.exit(0)",
    "exit by thread": "import os, threading\nthreading.Timer(0.05, os._exit, (0,)).start()\nwhile True: pass",
    "abort": "import os\nos.abort()",
    "segmentation fault": "import ctypes\nctypes.string_at(0)",
    "kill itself": "import os\nos.kill(os.getpid(), 9)\nos._exit(0)",
    "kill everything": "import os\nos.kill(-1, 9)\nos._exit(0)",
    "faked failure of the sandbox": "import os\nos.write(2, b'sandbox: broken')\nos._exit(117)",
    "close everything": "import os\nos.closerange(0, 100)",
    "not a program": "The answer is forty-two.",
    "nul bytes": "x = '\0'",
    "deep nesting": "(" * 100_000,
    "broken unicode": "x = '\ud800'",
    "faked verdict": (
        'import os\nlines = (b\'right\\n\', b\'["secret", "done", true, ""]\\n\')\nfor n in range(1, 100):\n'
        "    for text in lines:\n"
        "        try: os.write(n, text)\n        except OSError: pass\nprint('1 passed in 0.1s\\nOK')\nos._exit(0)"
    ),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_breaking_off_earns_nothing(level: str, name: str) -> None:
    sandbox = code._Home.sandbox
    verdict = code.verify_code(ENDINGS[name], SUCCESS, wall_seconds=0.4)
    assert verdict.outcome in ("wrong", "cannot_tell"), verdict
    assert verdict.score == 0
    assert code._Home.sandbox is sandbox, "no program ends the sandbox"


LIAR = """
class Liar:
    def __getattr__(self, name): return Liar()
    def __call__(self, *a, **k): return Liar()
    def __bool__(self): return True
    def __hash__(self): return 0
    __eq__ = __ne__ = __lt__ = __gt__ = __le__ = __ge__ = lambda *a: True
    __contains__ = __instancecheck__ = lambda *a: True
    __sub__ = __rsub__ = __add__ = lambda self, other: 0.0
    __abs__ = lambda self: 0.0
"""
MUTINIES = {
    "equal to everything": LIAR + "def attack(): return Liar()",
    "object in place of the function": LIAR + "attack = Liar()",
    "class in place of the function": LIAR + "class attack(Liar): pass",
    "integer equal to everything": (
        "class I(int):\n    __eq__ = __gt__ = __lt__ = lambda *a: True\ndef attack(): return I(0)"
    ),
    "float equal to everything": (
        "class F(float):\n    __eq__ = __gt__ = lambda *a: True\ndef attack(): return F('nan')"
    ),
    "string equal to everything": "class S(str):\n    __eq__ = lambda *a: True\ndef attack(): return S('x')",
    "list equal to everything": "class L(list):\n    __eq__ = lambda *a: True\ndef attack(): return L()",
    "list in itself": "def attack():\n    a = []\n    a.append(a)\n    return a",
    "list nested deep": "def attack():\n    a = []\n    for _ in range(10 ** 5): a = [a]\n    return a",
    "huge text": "def attack(): return 'x' * 10 ** 8",
    "huge number": "def attack(): return -(10 ** 5000)",
    "not a number": "def attack(): return float('nan')",
    "interrupt": "def attack(): raise KeyboardInterrupt",
    "stopped": "import os, signal\ndef attack(): os.kill(os.getpid(), signal.SIGSTOP)",
    "everything is an attribute": "class G:\n    __getattribute__ = lambda *a: a[0]\ndef attack(): return G()",
    "class of classes equal to everything": (
        "class M(type):\n    __eq__ = lambda *a: True\n    __hash__ = lambda s: 41728\n"
        "class attack(metaclass=M):\n    def __new__(c, *a): return c"
    ),
    "patched builtins": (
        "import builtins, math, operator, unittest\nbuiltins.abs = builtins.AssertionError = lambda *a: 0\n"
        "math.isclose = operator.eq = lambda *a: True\nunittest.TestCase.assertEqual = lambda *a: None\n"
        "builtins.compile = builtins.exec = lambda *a, **k: None\ndef attack(): return 0"
    ),
    "patched harness": (
        "import sys\nfor name, module in list(sys.modules.items()):\n    if name.startswith('ponder'):\n"
        "        for key, value in list(vars(module).items()):\n"
        "            if callable(value): setattr(module, key, lambda *a, **k: True)\ndef attack(): return True"
    ),
    "forged handle of another class": LIAR + (
        "import sys\nvalues = sys.modules['ponder.sandbox.values']\n"
        "values.dumps = lambda value, keep: b'[{\"h\": [0, \"int\", [0,1,2,3], \"class\"]}, {\"d\": []}]'\n"
        "def attack(): return Liar()"
    ),
    "answers before the questions": (
        "import os, struct\nnames = b'[\"attack\"]'\nanswer = b'[true, {\"d\": []}]'\n"
        "os.write(4, struct.pack('<Ic', len(names), b'R') + names)\n"
        "for _ in range(100): os.write(4, struct.pack('<Ic', len(answer), b'V') + answer)\n"
        "import time; time.sleep(0.3); os._exit(0)"
    ),
    "malformed answers": (
        "import os, struct\nnames = b'[\"attack\"]'\nos.write(4, struct.pack('<Ic', len(names), b'R') + names)\n"
        "answer = b'[' * 100000\nos.write(4, struct.pack('<Ic', len(answer), b'V') + answer)\nos._exit(0)"
    ),
    "endless frame": "import os\nos.write(4, b'\\xff' * 5)\nwhile True: os.write(4, b'x' * 1000)",
    "endless questions": (
        "import os, struct\nnames = b'[\"attack\"]'\nos.write(4, struct.pack('<Ic', len(names), b'R') + names)\n"
        "while True: os.write(4, struct.pack('<Ic', 2, b'C') + b'[]')"
    ),
}  # fmt: skip


APART = CodeGold(tests=(*NUMBER.tests, "assert (lambda x: x)(attack()) - 41729 == 0"))
"""The same for tests that need a process of their own."""


@pytest.mark.parametrize("gold", [NUMBER, APART], ids=["direct", "apart"])
@pytest.mark.parametrize("name", MUTINIES)
def test_lies_earn_nothing(level: str, name: str, gold: CodeGold) -> None:
    verdict = code.verify_code(MUTINIES[name], gold, wall_seconds=0.8)
    assert verdict.outcome in ("wrong", "cannot_tell"), verdict
    assert verdict.score == 0, verdict


SEARCH = """
import gc, os, sys, types
def look(value, seen, depth):
    if id(value) in seen or depth == 0: return None
    seen.add(id(value))
    if isinstance(value, (str, bytes)):
        text = value if isinstance(value, str) else value.decode('latin-1')
        at = text.find('needle-')
        return text[at:at + 11] if at >= 0 and text[at + 7:at + 8].isdigit() else None
    if isinstance(value, types.FrameType): parts = [value.f_locals, value.f_globals, value.f_code.co_consts]
    else: parts = gc.get_referents(value)
    for part in parts:
        found = look(part, seen, depth - 1)
        if found: return found
def attack():
    frame, seen = sys._getframe(), set()
    while frame is not None:
        found = look(frame, seen, 50)
        if found: return found
        frame = frame.f_back
    for value in gc.get_objects():
        found = look(value, seen, 3)
        if found: return found
    for path in ('/proc/self/mem', '/proc/self/maps', '/proc/self/fd', '/proc/1/mem', '/tmp', '.'):
        try: found = look(open(path, 'rb').read(), seen, 2)
        except Exception: found = None
        if found: return found
"""
HEAP = """
import ctypes
def attack():
    libc = ctypes.CDLL(None)
    libc.sbrk.restype = ctypes.c_void_p
    end = libc.sbrk(0)
    part = 'needle-'.encode()
    for start in range(end - 4096, end - (1 << 23), -4096):
        page = ctypes.string_at(start, 4096)
        at = page.find(part)
        while at >= 0:
            if page[at + 7:at + 11].isdigit(): return page[at:at + 11].decode()
            at = page.find(part, at + 1)
"""


@pytest.mark.parametrize("program", [SEARCH, HEAP], ids=["objects", "memory"])
def test_expected_values_are_nowhere_to_be_found(level: str, program: str) -> None:
    for _ in range(2):  # the second time, the zygote has served these very tests before
        verdict = code.verify_code(program, LEAK, wall_seconds=4.0)
        assert verdict.outcome in ("wrong", "cannot_tell"), verdict


def test_the_search_finds_what_is_there(level: str) -> None:
    assert code.verify_code("hidden = ['needle-8273']" + SEARCH, LEAK).outcome == "right"


def test_nothing_survives(level: str) -> None:
    sandbox = code._Home.sandbox
    assert sandbox is not None
    zygote = psutil.Process(sandbox._process.pid)
    own = 2 if level == "full" and find_isolation().level == "bubblewrap" else 0  # bubblewrap's child, and the zygote

    def nothing_survived() -> bool:
        return len(zygote.children(recursive=True)) == own + len(sandbox._spares)

    assert code.verify_code(attempt("1 + 1"), SUCCESS).outcome == "right"
    settle(nothing_survived)
    before = len(os.listdir(f"/proc/{zygote.pid}/fd"))
    for name in ("fork bomb", "sleep", "infinite output", "thread bomb"):
        program = ENDINGS.get(name, "import os\nwhile True: os.fork()")
        assert code.verify_code(program, SUCCESS, wall_seconds=0.5).outcome != "right"
    assert code._Home.sandbox is sandbox, "the zygote survived"
    settle(nothing_survived)
    assert len(os.listdir(f"/proc/{zygote.pid}/fd")) == before


def settle(condition: Callable[[], bool]) -> None:
    """Wait until something that happens by itself has happened."""
    for _ in range(500):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it never happened")
