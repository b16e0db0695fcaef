"""The process that programs are cloned from: small, single-threaded, without secrets.

    request (JSON + file descriptors over a seqpacket socket) -> clone -> role function -> report (JSON) when it ended

It never reads a program or a test: those come to the clones through the descriptors. It ends, and everything it
started with it, when the socket closes.

A request is {"id", "role", "limits", "core"} or {"kill": id}. A report is {"id", "exit", "signal", "cpu_seconds",
"memory_bytes"}. The first report is {"ready": ""}, or {"ready": why it cannot work}.
"""

import gc
import json
import os
import selectors
import signal
import socket
import sys
from dataclasses import dataclass
from typing import Any

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
    running: dict[int, tuple[int, int]] = {}  # request id -> pid, pid descriptor
    with selectors.DefaultSelector() as selector:
        selector.register(zygote.control, selectors.EVENT_READ, None)
        while True:
            for ready, _ in selector.select():
                if ready.data is not None:
                    pid, handle = running.pop(ready.data)
                    selector.unregister(handle)
                    os.close(handle)
                    zygote.control.send(_report(ready.data, pid, zygote.namespaces))
                    continue
                message, descriptors, _, _ = socket.recv_fds(zygote.control, _MESSAGE_BYTES, MAX_DESCRIPTORS)
                if not message:
                    for pid, _ in running.values():
                        os.kill(pid, signal.SIGKILL)
                    return
                request = json.loads(message)
                if "kill" in request:
                    if request["kill"] in running:
                        os.kill(running[request["kill"]][0], signal.SIGKILL)
                    continue
                if request["core"] is not None:
                    os.sched_setaffinity(0, {request["core"]})  # the clone inherits it
                pid = clone(PROGRAM_NAMESPACES if zygote.namespaces else 0)
                if pid == 0:
                    _become(zygote, request, descriptors)
                for descriptor in descriptors:
                    os.close(descriptor)
                handle = os.pidfd_open(pid)
                running[request["id"]] = pid, handle
                selector.register(handle, selectors.EVENT_READ, request["id"])


def _report(number: int, pid: int, namespaces: bool) -> bytes:
    if not namespaces:
        _end_group(pid)
    _, status, usage = os.wait4(pid, 0)
    report = {
        "id": number,
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


def _become(zygote: _Zygote, request: dict[str, Any], descriptors: list[int]) -> None:
    """In the clone: take the descriptors, enter the namespaces, accept the limits, run the role. Never returns."""
    status = SETUP_FAILED
    try:
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
