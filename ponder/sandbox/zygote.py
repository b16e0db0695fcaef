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

import _thread
import fcntl
import gc
import json
import os
import select
import signal
import socket
import sys
from dataclasses import dataclass

from ponder.sandbox import roles
from ponder.sandbox.kernel import (
    PR_SET_DUMPABLE,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    clone,
    drop_capabilities,
    prctl,
)
from ponder.sandbox.landlock import allow_only, landlock_version, restrict_files
from ponder.sandbox.library import hold_library, import_from_held
from ponder.sandbox.limits import Limits, apply_limits
from ponder.sandbox.namespaces import (
    DEVICES,
    PROGRAM_NAMESPACES,
    become_nobody,
    enter_program,
    enter_view,
    hidden_paths,
    view_paths,
)
from ponder.sandbox.seccomp import build_filter, install_filter
from ponder.sandbox.threads import Gate, ask_first

__all__ = ["SETUP_FAILED", "main"]

SETUP_FAILED = 117
"""Exit status of a clone that could not be sandboxed and therefore ran nothing."""
MAX_DESCRIPTORS = 8
_MESSAGE_BYTES = 4096
_KEPT_FROM = 200
"""Descriptors from here on stay open until a clone is ready."""
_THREAD_STACK_BYTES = 4 << 20
"""Else each thread would reserve as much as the main one may grow to, and few would fit into the memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Zygote:
    """What every clone needs to know."""

    control: socket.socket
    proc: int
    namespaces: bool
    user: int
    group: int
    landlock: int | None
    """Rules of what may be read where there is no view; None where there is one, or no Landlock."""


def main(mode: str) -> None:
    """Serve until the control socket, standard input, closes. `mode` is view, inside (bubblewrap made the view) or
    bare (no namespaces); bare-5 is bare with nothing of Landlock that came after its version 5."""
    control = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    mode, _, newest = mode.partition("-")
    rules = None
    try:
        if mode == "bare" and (version := min(landlock_version(), int(newest or landlock_version()))):
            rules = allow_only((*view_paths(), *DEVICES), hidden_paths(), version)
            rules = fcntl.fcntl(rules, fcntl.F_DUPFD_CLOEXEC, _KEPT_FROM)
        proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
        if mode == "view":
            enter_view(proc)
        elif os.geteuid() == 0:
            hold_library(_KEPT_FROM)
            become_nobody()
            import_from_held()
        prctl(PR_SET_DUMPABLE, 0)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # a change of user forgets it
    except OSError as error:
        control.send(json.dumps({"ready": str(error)}).encode())
        return
    zygote = _Zygote(
        control=control,
        proc=proc,
        namespaces=mode != "bare",
        user=os.geteuid(),
        group=os.getegid(),
        landlock=rules,
    )
    if zygote.namespaces:
        for processes, programs in ((False, False), (False, True), (True, True)):
            build_filter(processes, programs, None)  # remembered
    _thread.stack_size(_THREAD_STACK_BYTES)
    gc.collect()
    gc.freeze()
    control.send(json.dumps({"ready": ""}).encode())
    _serve(zygote)


def _serve(zygote: _Zygote) -> None:
    running: dict[int, int] = {}  # number -> pid
    poll = select.poll()
    poll.register(zygote.control, select.POLLIN)
    gate = Gate(poll, zygote.proc)
    number = 0
    while True:
        descriptor, event = poll.poll()[0]  # one at a time: it may end what the others are about
        if descriptor != zygote.control.fileno():
            gate.turn(descriptor, event)
            continue
        message = zygote.control.recv(_MESSAGE_BYTES)
        if not message:
            break
        match json.loads(message):
            case {"kill": known}:
                os.kill(running[known], signal.SIGKILL)
            case {"forget": known}:
                os.kill(running[known], signal.SIGKILL)
                gate.drop(known)
                _report(running.pop(known), zygote.namespaces)
            case {"end": known}:
                gate.drop(known)
                zygote.control.send(_report(running.pop(known), zygote.namespaces))
            case {"clones": count, "core": core}:
                if core is not None:
                    os.sched_setaffinity(0, {core})  # clones inherit it
                for _ in range(count):
                    number += 1
                    running[number] = _announce_clone(zygote, number, gate)
    for pid in running.values():
        os.kill(pid, signal.SIGKILL)


def _announce_clone(zygote: _Zygote, number: int, gate: Gate) -> int:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    line = None if zygote.namespaces else socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = clone(PROGRAM_NAMESPACES if zygote.namespaces else 0)
    if pid == 0:
        ours.close()
        _become(zygote, theirs, None if line is None else line[1])
    if line is not None:
        line[1].close()
        gate.expect(number, line[0])
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


def _become(zygote: _Zygote, requests: socket.socket, line: socket.socket | None) -> None:
    """In the clone: wait for the request, take its descriptors, enter the namespaces, accept the limits, run the role.
    Never returns."""
    status = SETUP_FAILED
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
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
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        if line is not None:
            ask_first(line, limits.tasks)
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, 100 + number)
        for number in range(len(descriptors)):
            os.dup2(100 + number, number)
        os.closerange(len(descriptors), _KEPT_FROM)
        apply_limits(limits, count_tasks=zygote.namespaces)
        drop_capabilities()
        if zygote.landlock is not None:
            restrict_files(zygote.landlock)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        install_filter(filter_program)
        status = 1
        status = roles.ROLES[request["role"]]()
    except BaseException as error:  # the boundary of the sandbox: whatever happens here must not go on as the zygote
        os.write(2, f"sandbox: {type(error).__name__}: {error}\n".encode(errors="replace"))
    finally:
        os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1])
