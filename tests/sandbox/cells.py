"""One probe for each row of the table of what is kept from programs. A probe is a program that prints whether it got
through; for some the observer outside decides."""

import fcntl
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ponder.sandbox.kernel import PR_SET_DUMPABLE, prctl
from ponder.sandbox.limits import Limits
from ponder.sandbox.runs import run_script
from ponder.sandbox.sandbox import Sandbox

ANY = """
import os, sys
def attempt(*ways):
    for way in ways:
        try:
            if way():
                return print("open")
        except Exception as error:
            print(type(error).__name__, error, file=sys.stderr)
    print("kept")
"""
LIBC = """
import ctypes, fcntl
libc = ctypes.CDLL(None, use_errno=True)
def call(*numbers):
    return libc.syscall(*numbers) >= 0
"""
PROBES = {
    "files of the machine outside /usr and the standard library": """
attempt(lambda: open(SECRET).read(), lambda: open("/etc/passwd").read())
""",
    "installed packages of the base interpreter": """
import glob
homes = ["/usr/lib/python3*", "/usr/local/lib/python3*", os.path.dirname(os.__file__), *sys.path]
attempt(lambda: any(text(f) for home in homes for f in glob.glob(f"{home}/*-packages/*/*.py") if text(f)))
""",
    "changing any file that outlasts the program": """
attempt(lambda: open(SECRET, "a").write("mine") and 0, lambda: open(FOLDER + "/new", "w").write("x") and 0)
""",
    "what another program wrote": """
attempt(lambda: open("/tmp/ponder-note").read(), lambda: open("/dev/shm/ponder-note").read())
""",
    "memory of the verifiers, of tests and of other programs": """
pids = [VERIFIER, os.getppid(), *range(os.getpid() - 3, os.getpid())]
attempt(
    lambda: any(part(f"/proc/{pid}/{name}") for pid in pids if pid > 0 for name in ("mem", "environ", "maps", "auxv")),
    lambda: call(310, VERIFIER, 0, 0, 0, 0, 0),
    lambda: call(101, 16, VERIFIER, 0, 0),
)
""",
    "environment and memory of the user's other processes": """
attempt(lambda: part(f"/proc/{VICTIM}/environ"), lambda: part(f"/proc/{VICTIM}/maps"))
""",
    "the list of processes": """
attempt(lambda: [name for name in os.listdir("/proc") if name.isdigit()])
""",
    "signals to other processes, by any way": """
import signal
def by_descriptor():
    mine, other = os.pipe()
    fcntl.fcntl(mine, 8, VICTIM)
    fcntl.fcntl(mine, 10, 9)
    fcntl.fcntl(mine, fcntl.F_SETFL, os.O_ASYNC)
    os.write(other, b"x")
attempt(
    by_descriptor,
    lambda: os.kill(VICTIM, 9),
    lambda: os.killpg(VICTIM, 9),
    lambda: call(234, VICTIM, VICTIM, 9) and 0,
    lambda: call(129, VICTIM, 9, 0) and 0,
    lambda: signal.pidfd_send_signal(os.pidfd_open(VICTIM), 9),
    lambda: os.kill(-1, 9),
)
""",
    "the network": """
import socket
attempt(
    lambda: socket.create_connection(("127.0.0.1", PORT)),
    lambda: socket.socket(socket.AF_UNIX),
    lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", PORT)),
)
""",
    "starting programs and processes": """
attempt(
    lambda: os.fork() or os._exit(0),
    lambda: os.posix_spawn("/bin/true", ["true"], {}),
    lambda: call(56, 17, 0, 0, 0, 0),
    lambda: os.execv("/bin/echo", ["echo", "open"]),
)
""",
    "more than 40 threads, 512 MiB, the processor time": """
import resource, threading, time
threading.stack_size(32768)
def bomb():
    for _ in range(40):
        threading.Thread(target=time.sleep, args=(9,), daemon=True).start()
    return True
attempt(bomb, lambda: bytearray(600 << 20), lambda: resource.getrlimit(resource.RLIMIT_CPU)[1] > 60)
sys.stdout.flush()
os._exit(0)
""",
    "file locks and futexes that others see": """
def lock():
    try:
        fcntl.flock(open("/usr/bin/env"), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
def wake():
    libc.mmap.restype = ctypes.c_void_p
    place = libc.mmap(None, 4096, 1, 1, os.open("/usr/bin/env", os.O_RDONLY), 0)
    return libc.syscall(202, ctypes.c_void_p(place), 1, 9, None, None, 0) >= 0
attempt(lock, wake)
""",
    "times of device files": """
attempt(lambda: os.utime("/dev/null") is None, lambda: os.utime("/dev/full", (1, 1)) is None)
""",
    "the host's name": """
attempt(lambda: os.uname().nodename == HOST)
""",
    "the time since boot, the kernel's version, the user's number": """
import time
attempt(lambda: time.clock_gettime(time.CLOCK_BOOTTIME) > 0 and os.uname().release and os.getuid() >= 0)
""",
    "the path of ponder": """
attempt(lambda: sys.modules["ponder.sandbox.serve"].__file__.startswith(ROOT))
""",
    "files under /usr": """
attempt(lambda: open("/usr/bin/env", "rb").read(1))
""",
}
READING = """
def text(path):
    with open(path) as file:
        return file.read(1)
def part(path):
    with open(path, "rb") as file:
        return path.endswith("mem") or file.read(1)
"""
NOTE = """
for place in ("/tmp/ponder-note", "/dev/shm/ponder-note"):
    try:
        open(place, "w").write("for you")
    except OSError:
        pass
"""


def cells(sandbox: Sandbox) -> dict[str, str]:
    """What each probe found: `kept` or `open`."""
    prctl(PR_SET_DUMPABLE, 0)  # as the workers of a pool are
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as folder,
        socket.create_server(("127.0.0.1", 0)) as server,
        open("/usr/bin/env") as shared,
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"], env={"WORD": "x"}) as victim,
    ):
        secret = Path(folder, "gold.jsonl")
        secret.write_text("secret")
        Path(folder).chmod(0o777)
        secret.chmod(0o666)
        fcntl.flock(shared, fcntl.LOCK_SH)
        facts = {
            "SECRET": str(secret),
            "FOLDER": folder,
            "VERIFIER": os.getpid(),
            "VICTIM": victim.pid,
            "PORT": server.getsockname()[1],
            "HOST": os.uname().nodename,
            "ROOT": str(Path(__file__).parents[2]),
        }
        known = "".join(f"{name} = {value!r}\n" for name, value in facts.items())
        found: dict[str, str] = {}
        _run(sandbox, NOTE)
        for what, probe in PROBES.items():
            found[what] = _run(sandbox, ANY + LIBC + READING + known + probe)
        if secret.read_text() != "secret" or os.listdir(folder) != [secret.name]:
            found["changing any file that outlasts the program"] = "open"
        if victim.poll() is not None:
            found["signals to other processes, by any way"] = "open"
        victim.kill()
    return found


def _run(sandbox: Sandbox, program: str) -> str:
    printed = run_script(sandbox, program, "", Limits(), time.monotonic() + 10)
    return printed.output.decode().strip() or f"nothing: {printed.errors.decode()[-300:]}"
