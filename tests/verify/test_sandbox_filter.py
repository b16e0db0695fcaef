"""The system call filter, run by an interpreter of its own, gives every number the verdict that its table states."""

import struct

import pytest

from ponder.sandbox.kernel import ARCHITECTURE
from ponder.sandbox.seccomp import _AUDIT_ARCHITECTURE, _CALLS, _body, _yes, asking_filter, build_filter

ALLOW, ASK, EPERM, DONE, KILL = 0x7FFF0000, 0x7FC00000, 0x00050001, 0x00050000, 0x80000000
COLUMN = list(_AUDIT_ARCHITECTURE).index(ARCHITECTURE)


def verdict(program: bytes, number: int, arguments: tuple[int, ...] = (0,) * 6, machine: int | None = None) -> int:
    """What the kernel would return: classic BPF over `struct seccomp_data`."""
    data = struct.pack("IIQ6Q", number, machine or _AUDIT_ARCHITECTURE[ARCHITECTURE], 0, *arguments)
    place, loaded = 0, 0
    while True:
        code, if_true, if_false, value = struct.unpack_from("HBBI", program, 8 * place)
        place += 1
        match code:
            case 0x20:
                (loaded,) = struct.unpack_from("I", data, value)
            case 0x06:
                return int(value)
            case _:
                holds = {0x15: loaded == value, 0x35: loaded >= value, 0x45: bool(loaded & value)}[code]
                place += if_true if holds else if_false


@pytest.mark.parametrize("own_pid", [None, 77])
@pytest.mark.parametrize(("processes", "programs"), [(False, False), (False, True), (True, False), (True, True)])
def test_every_number_gets_its_verdict(processes: bool, programs: bool, own_pid: int | None) -> None:
    program = build_filter(processes, programs, own_pid)
    bodies = {numbers[COLUMN]: _body(name, processes, programs, own_pid) for name, numbers in _CALLS.items()}
    for number in range(700):
        body = bodies.get(number, [])
        if body in ([], _yes()):
            assert verdict(program, number) == (ALLOW if body else EPERM), number


def test_what_is_looked_into() -> None:
    program = build_filter(False, False, None)
    clone, socketpair, ioctl = (_CALLS[name][COLUMN] or 0 for name in ("clone", "socketpair", "ioctl"))
    assert verdict(program, clone, (0x00010000, *(0,) * 5)) == ALLOW  # a thread
    assert verdict(program, clone, (17, *(0,) * 5)) == EPERM  # a process
    assert verdict(program, clone, (0x10010000, *(0,) * 5)) == EPERM  # a thread in a user namespace
    assert verdict(program, socketpair, (1, *(0,) * 5)) == ALLOW
    assert verdict(program, socketpair, (2, *(0,) * 5)) == EPERM
    assert verdict(program, ioctl, (0, 0x5412, *(0,) * 4)) == EPERM  # typing into a terminal
    assert verdict(program, 0x40000001) == KILL and verdict(program, 1, machine=3) == KILL


@pytest.mark.parametrize("own_pid", [None, 77])
def test_fcntl_sets_no_signals_and_takes_no_locks(own_pid: int | None) -> None:
    program = build_filter(False, False, own_pid)
    fcntl, flock = (_CALLS[name][COLUMN] or 0 for name in ("fcntl", "flock"))

    def answer(command: int, value: int = 0) -> int:
        return verdict(program, fcntl, (3, command, value, 0, 0, 0))

    assert [answer(command) for command in (0, 1, 2, 3, 1030, 1032)] == [ALLOW] * 6
    assert answer(4, 0x800) == ALLOW and answer(4, 0x2800) == EPERM, "O_NONBLOCK, but never with O_ASYNC"
    refused = (5, 8, 9, 10, 11, 15, 16, 36, 1024, 1025, 1026, 1031, 1033)  # F_GETLK F_SETOWN F_SETSIG F_SETLEASE ...
    assert {answer(command) for command in refused} == {EPERM}
    assert {answer(command) for command in (6, 7, 37, 38)} == {DONE}, "said to be done, and not done"
    assert verdict(program, flock, (3, 2, 0, 0, 0, 0)) == DONE


def test_without_namespaces_a_program_can_name_only_itself() -> None:
    program = build_filter(False, False, 77)
    names = ("kill", "tgkill", "getpgid", "getsid", "sched_getaffinity")
    for number in (_CALLS[name][COLUMN] or 0 for name in names):
        assert verdict(program, number, (77, *(0,) * 5)) == ALLOW
        for other in (1, 76, 2**32 - 1, 2**64 - 1):
            assert verdict(program, number, (other, *(0,) * 5)) == EPERM


def test_the_kernel_asks_about_threads_only() -> None:
    clone = _CALLS["clone"][COLUMN] or 0
    assert verdict(asking_filter(), clone) == ASK
    assert verdict(asking_filter(), clone + 1) == ALLOW


def test_futexes_wake_only_in_the_own_process() -> None:
    program = build_filter(False, False, None)
    futex = _CALLS["futex"][COLUMN] or 0
    private, waits = [128 + command for command in range(14)], [0, 9, 256, 265]
    allowed = {op for op in range(512) if verdict(program, futex, (0, op, 0, 0, 0, 0)) == ALLOW}
    assert allowed == {op for op in range(512) if op & 128} | set(waits) and set(private) <= allowed
