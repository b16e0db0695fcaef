"""What a clone of the zygote does once it is sandboxed, by name; each returns the exit status.

Descriptors 0, 1 and 2 are standard input, output and error; the others are named in each role.
"""

import atexit
import bisect
import builtins
import cmath
import collections
import copy
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import heapq
import io
import itertools
import json
import math
import operator
import os
import random
import re
import string
import sys
import textwrap
import time
import traceback
import typing
from collections.abc import Callable
from typing import Any

from ponder.sandbox import processes
from ponder.sandbox.javascript import run_node_program, run_node_script, run_node_tests
from ponder.sandbox.judge import judge_program, judge_together
from ponder.sandbox.serve import run_module, serve_program, serve_world

__all__ = ["PRELOADED", "ROLES", "STARTS_PROGRAM"]

PRELOADED = (
    bisect, cmath, collections, copy, dataclasses, datetime, decimal, enum, fractions, functools, heapq, itertools,
    json, math, operator, random, re, string, textwrap, time, typing,
)  # fmt: skip
"""Modules that programs often import: loaded once, in the zygote."""

_SOURCE, _BINARY = 3, 4


_real_open = open


def _open(file: Any, *arguments: Any, **named: Any) -> Any:
    """`open` that knows standard input by its path, without the /proc that it leads to."""
    name = os.fspath(file) if isinstance(file, os.PathLike) else file
    return _real_open(os.dup(0) if name in ("/dev/stdin", "/proc/self/fd/0") else file, *arguments, **named)


def run_main() -> int:
    """Role: run the program (3) as a script."""
    status = 0
    random.seed(0)
    sys.argv = ["program"]
    builtins.open = io.open = _open
    processes.watch()
    try:
        run_module("__main__")
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(end.code + "\n")
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    try:
        if "threading" in sys.modules:
            sys.modules["threading"]._shutdown()
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
    except OSError:
        status = 1
    if processes.refused():
        os.write(2, processes.SCRIPT_NOTE)
    return status & 0xFF


def compile_cpp() -> int:
    """Role: compile the C++ source (3) to the binary (4)."""
    import subprocess  # it brings threads, whose bookkeeping would slow down every clone

    with open(_SOURCE, "rb") as stream, open("program.cpp", "wb") as copied:
        copied.write(stream.read())
    command = ["g++", "-std=c++17", "-O2", "-pipe", "-o", "program", "program.cpp"]
    status = subprocess.run(command, env={"PATH": "/usr/local/bin:/usr/bin:/bin", "TMPDIR": "/tmp"}).returncode
    if status == 0:
        with open("program", "rb") as stream, open(_BINARY, "wb") as binary:
            binary.write(stream.read())
    return status & 0xFF


def run_binary() -> int:
    """Role: become the binary (3)."""
    os.set_inheritable(_SOURCE, False)
    os.execve(_SOURCE, ["program"], {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"})


ROLES: dict[str, Callable[[], int]] = {
    "serve": serve_program,
    "world": serve_world,
    "judge": judge_program,
    "together": judge_together,
    "main": run_main,
    "compile": compile_cpp,
    "binary": run_binary,
    "node": run_node_script,
    "node program": run_node_program,
    "node tests": run_node_tests,
}
STARTS_PROGRAM = frozenset({"compile", "binary", "node", "node program", "node tests"})
"""Roles that may replace themselves by another program."""
