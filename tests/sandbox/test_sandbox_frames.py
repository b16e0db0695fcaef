"""The boundary at which trusted code reads what a program sends: ten thousand random frames, in conversations."""

import contextlib
import json
import os
import socket
import struct
import time
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.sandbox.channel import Channel
from ponder.sandbox.direct import read_direct, run_direct
from ponder.sandbox.errors import NotPlainAnswerError, ProgramGoneError
from ponder.sandbox.remote import RemoteProgram
from ponder.sandbox.report import Report, listen

TESTS = (
    "assert attack() == 41729",
    "assert abs(attack() - 41729) < 1e-6",
    "assert attack() > 41728 and attack() < 41730",
    "assert sorted(attack()) == [41729, 41730] and len(set(attack())) == 2",
    "assert attack(1)[0] == {'a': 41729}",
)
TAGS = ["i", "b", "a", "D", "date", "time", "datetime", "t", "s", "f", "q", "c", "r", "F", "delta", "d", "h"]
FORMS = ["object", "class", "function"]
numbers = st.integers() | st.sampled_from([0, -1, 2**31, 2**61 - 1, 2**63, 10**400])
handles = st.tuples(numbers, st.text(max_size=3), st.lists(numbers, max_size=3), st.sampled_from(FORMS)).map(
    lambda parts: {"h": list(parts)}
)
forms = st.recursive(
    st.none() | st.booleans() | numbers | st.floats() | st.text(max_size=4) | handles,
    lambda inner: st.lists(inner, max_size=4) | st.builds(lambda tag, one: {tag: one}, st.sampled_from(TAGS), inner),
    max_leaves=8,
)
answers = st.builds(lambda value, changed, same: [value, changed, same], forms, forms | st.just({"d": []}), forms)
errors = st.builds(
    lambda lineage, text, fields: [lineage, text, [], fields, None],
    forms
    | st.sampled_from(["builtins:SystemExit", "builtins:MemoryError", "os:_exit", [[0, "X", ["builtins:OSError"]]]]),
    forms,
    forms | st.just({"d": []}),
)
contents = st.one_of(forms, answers, errors).map(lambda form: json.dumps(form).encode()) | st.binary(max_size=30)
frames = st.tuples(st.sampled_from([b"V", b"E", b"X", b"C", b"P", b"R", b"\0"]), contents)
READY = (b"R", b'[["attack"], {"d": [["attack", {"h": [0, "function", [], "function"]}]]}]')
conversations = st.lists(frames, max_size=4).flatmap(
    lambda said: st.sampled_from([said, [READY, *said], [READY, *said], [READY, *said]])
)


def judged(frames: list[tuple[bytes, bytes]]) -> list[bool]:
    """The cases that a program passes which sends these frames, whatever it is asked."""
    cases = read_direct(TESTS, "", "attack")
    assert cases is not None
    ours, theirs = socket.socketpair()
    passed: list[bool] = []
    with ours, theirs:
        for kind, content in frames:
            theirs.sendall(struct.pack("<Ic", len(content), kind) + content)
        theirs.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ProgramGoneError, NotPlainAnswerError):
            channel = Channel(ours.fileno(), deadline=time.monotonic() + 5, max_bytes=1 << 20)
            program = RemoteProgram(channel, plain_only=True)
            for good, note in run_direct(cases, frozenset({"attack"}), program):
                passed.append(good)
                assert len(note) < 2000
    return passed


@settings(max_examples=100)
@given(st.lists(conversations, min_size=35, max_size=35))
def test_no_conversation_upsets_the_judge_or_passes(batch: list[list[tuple[bytes, bytes]]]) -> None:
    for said in batch:
        assert not any(judged(said))


def test_the_conversations_reach_the_tests() -> None:
    right = [READY, *[(b"V", b'[41729, {"d": []}, null]')] * 2]
    assert judged(right) == [True, True]
    assert judged([READY, (b"E", b'["builtins:SystemExit", "7", [7], {"d": []}, null]')])[:1] == [False]
    assert judged([READY, (b"V", b'[{"h": [0, "x", [], "object"]}, {"d": []}, null]')]) == []


lines: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("secret") | st.sampled_from(["done"]),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=6,
).map(lambda form: json.dumps(form).encode()) | st.binary(max_size=20)


@settings(max_examples=100)
@given(st.lists(lines, max_size=20))
def test_a_pipe_full_of_anything_is_no_verdict(said: list[bytes]) -> None:
    read, write = os.pipe()
    try:
        os.write(write, b"\n".join([*said, b""]))
        os.close(write)
        report = Report()
        assert listen(read, report, "the secret of this run", time.monotonic() + 5)
    finally:
        os.close(read)
    assert not report.final and not report.right


def test_a_line_without_an_end_is_not_kept() -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    with open(read, "rb", closefd=True), open(write, "wb", buffering=0) as pipe:
        report = Report()
        pipe.write(b"x" * 65536)
        assert listen(read, report, "secret", time.monotonic() + 5) and not report.final
