"""The process that programs are cloned from: small, single-threaded, without secrets.

    a few clones ahead -> each waits on a socket of its own for a request -> role function -> the zygote reaps it

It never reads a program or a test: those come to the clones through the descriptors of their requests. It ends, and
everything it started with it, when its control socket closes. Clones are made a few at a time, because every page that
the zygote writes between two of them has to be copied by the kernel, which takes longer than the work itself.

Control messages are JSON over a seqpacket socket: {"clones", "core"} asks for so many clones, started on a core;
{"kill"} kills one; {"forget"} kills one and buries it; {"end"} buries one that has ended and asks how. A clone is
announced by its number, with its socket and its pid descriptor; a report is {"exit", "signal", "cpu_seconds",
"memory_bytes"}. The first message is {"ready": ""}, or {"ready": why it cannot work}. A request is {"role", "limits",
"core"} with the descriptors.
"""

import gc
import json
import os
import signal
import socket
import sys
from dataclasses import dataclass

from ponder.sandbox import roles
from ponder.sandbox.kernel import clone, drop_capabilities, prctl
from ponder.sandbox.landlock import landlock_version, restrict_files
from ponder.sandbox.limits import Limits, apply_limits
from ponder.sandbox.namespaces import DEVICES, PROGRAM_NAMESPACES, become_nobody, enter_program, enter_view, view_paths
from ponder.sandbox.seccomp import build_filter, install_filter

__all__ = ["SETUP_FAILED", "main"]

SETUP_FAILED = 117
"""Exit status of a clone that could not be sandboxed and therefore ran nothing."""
MAX_DESCRIPTORS = 8
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_MESSAGE_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class _Zygote:
    """What every clone needs to know."""

    control: socket.socket
    proc: int
    namespaces: bool
    user: int
    group: int
    landlock: tuple[str, ...]
    """What may be read where there is no view; empty where there is one, or no Landlock."""


def main(mode: str) -> None:
    """Serve until the control socket, standard input, closes. `mode` is view, inside (bubblewrap made the view) or
    bare (no namespaces)."""
    control = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        readable = (*view_paths(), *DEVICES) if mode == "bare" and landlock_version() else ()
        proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
        if mode == "view":
            enter_view(proc)
        elif os.geteuid() == 0:
            become_nobody()
        prctl(_PR_SET_DUMPABLE, 0)
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # a change of user forgets it
    except OSError as error:
        control.send(json.dumps({"ready": str(error)}).encode())
        return
    zygote = _Zygote(
        control=control,
        proc=proc,
        namespaces=mode != "bare",
        user=os.geteuid(),
        group=os.getegid(),
        landlock=readable,
    )
    if zygote.namespaces:
        for processes, programs in ((False, False), (False, True), (True, True)):
            build_filter(processes, programs, None)  # remembered
    gc.collect()
    gc.freeze()
    control.send(json.dumps({"ready": ""}).encode())
    _serve(zygote)


def _serve(zygote: _Zygote) -> None:
    running: dict[int, int] = {}  # number -> pid
    number = 0
    while message := zygote.control.recv(_MESSAGE_BYTES):
        match json.loads(message):
            case {"kill": known}:
                os.kill(running[known], signal.SIGKILL)
            case {"forget": known}:
                os.kill(running[known], signal.SIGKILL)
                _report(running.pop(known), zygote.namespaces)
            case {"end": known}:
                zygote.control.send(_report(running.pop(known), zygote.namespaces))
            case {"clones": count, "core": core}:
                if core is not None:
                    os.sched_setaffinity(0, {core})  # clones inherit it
                for _ in range(count):
                    number += 1
                    running[number] = _announce_clone(zygote, number)
    for pid in running.values():
        os.kill(pid, signal.SIGKILL)


def _announce_clone(zygote: _Zygote, number: int) -> int:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = clone(PROGRAM_NAMESPACES if zygote.namespaces else 0)
    if pid == 0:
        ours.close()
        _become(zygote, theirs)
    handle = os.pidfd_open(pid)
    socket.send_fds(zygote.control, [b"%d" % number], [ours.fileno(), handle])
    os.close(handle)
    ours.close()
    theirs.close()
    return pid


def _report(pid: int, namespaces: bool) -> bytes:
    if not namespaces:
        _end_group(pid)
    _, status, usage = os.wait4(pid, 0)
    report = {
        "exit": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "memory_bytes": usage.ru_maxrss * 1024,
    }
    return json.dumps(report).encode()


def _end_group(pid: int) -> None:
    """Without a pid namespace the group, which a program cannot leave, is what ends its children."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _become(zygote: _Zygote, requests: socket.socket) -> None:
    """In the clone: wait for the request, take its descriptors, enter the namespaces, accept the limits, run the role.
    Never returns."""
    status = SETUP_FAILED
    try:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        message, descriptors, _, _ = socket.recv_fds(requests, _MESSAGE_BYTES, MAX_DESCRIPTORS)
        if not message:
            os._exit(0)
        request = json.loads(message)
        if request["core"] is not None:
            os.sched_setaffinity(0, {request["core"]})
        limits = Limits(**request["limits"])
        own_pid = None if zygote.namespaces else os.getpid()
        filter_program = build_filter(limits.processes, request["role"] in roles.STARTS_PROGRAM, own_pid)
        os.setsid()
        if zygote.namespaces:
            enter_program(zygote.proc, zygote.user, zygote.group, limits.tmp_bytes)
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, 100 + number)
        for number in range(len(descriptors)):
            os.dup2(100 + number, number)
        os.closerange(len(descriptors), 200)
        apply_limits(limits, count_tasks=zygote.namespaces)
        prctl(_PR_SET_NO_NEW_PRIVS, 1)
        drop_capabilities()
        if zygote.landlock:
            restrict_files(zygote.landlock)
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        install_filter(filter_program)
        status = 1
        status = roles.ROLES[request["role"]]()
    except BaseException as error:  # the boundary of the sandbox: whatever happens here must not go on as the zygote
        os.write(2, f"sandbox: {type(error).__name__}: {error}\n".encode(errors="replace"))
    finally:
        os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1])
