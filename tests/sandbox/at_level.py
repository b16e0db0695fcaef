"""Run every attack, or try every cell of the table, at one level: `python at_level.py LEVEL attacks SLICE SLICES` or
`python at_level.py LEVEL cells`. Prints JSON. Needs nothing but the standard library and ponder's sandbox, so
that any user with any Python can run it."""

import json
import os
import re
import shutil
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE)]

from cells import cells  # noqa: E402

from ponder.sandbox.bubblewrap import bubblewrap_command  # noqa: E402
from ponder.sandbox.limits import Limits  # noqa: E402
from ponder.sandbox.report import Report  # noqa: E402
from ponder.sandbox.sandbox import Sandbox, SandboxError, SetupError, zygote_command  # noqa: E402
from ponder.sandbox.trial import judge  # noqa: E402

MODES = {"namespaces": "view", "limits": "bare", "limits without Landlock": "bare-0"}
TESTS = {
    "succeeded": ("assert attack() == 'succeeded'",),
    "number": ("assert attack() == 41729", "assert abs(attack() - 41729) < 1e-6", "assert attack() > 41728"),
    "members": ("assert set(attack()) == {1, 2}", "assert sorted(attack()) == [1, 2]", "assert len(attack()) == 2"),
    "leak": ("assert attack() == 'needle-8273'",),
}
"""Only a program that does what it tries, or fools the comparison, passes any of these."""
APART = "assert (lambda x: x)(attack()) in (41729, 'a')"
"""One more test that needs a process of its own."""
SECONDS = {"wrong": 5.0, "right": 5.0, "cannot tell": 5.0, "wrong or cannot tell": 0.6}


def command(level: str) -> list[str]:
    """What starts a zygote at `level`."""
    if level != "bubblewrap":
        return zygote_command(MODES[level])
    found = shutil.which("bwrap")
    if found is None:
        raise SandboxError("bubblewrap is not installed")
    return bubblewrap_command(found)


def program(text: str) -> str:
    """The program of an attack: as it is or, where it has parts that begin with `# try`, one that says whether one of
    them raised nothing."""
    before, *tries = text.split("# try\n")
    if not tries:
        return text
    lines = [before, "_good = []"]
    for one in tries:
        lines += ["try:", *(f"    {line}" for line in one.splitlines()), "    _good.append(1)"]
        lines += ["except BaseException as error:", "    print(error)"]
    return "\n".join([*lines, "def attack():", "    return 'succeeded' if _good else 'failed'"])


def head(text: str) -> dict[str, str]:
    """What the doc string of an attack says: what must come out, in general and at single levels, and the tests."""
    return dict(re.findall(r"^(must come out|tests|[a-zL ]+): (.+)$", text.split('"""')[1], re.MULTILINE))


def outcome(report: Report) -> str:
    """The verdict in a word."""
    if report.passes and report.checks and not report.unsure:
        return "right"
    if (report.done and not report.unsure and not report.excuse) or report.gone:
        return "wrong"
    return "cannot tell"


def attacks(sandbox: Sandbox, paths: list[Path]) -> dict[str, list[str]]:
    """Outcomes of the attacks by name: with tests that are tried directly and, for some, also apart."""
    found: dict[str, list[str]] = {}
    for path in paths:
        text = path.read_text()
        said = head(text)
        tests = TESTS[said.get("tests", "succeeded")]
        forms = (tests, (*tests, APART)) if said.get("tests") in ("number", "members") else (tests,)
        seconds = 4.0 if said.get("tests") == "leak" else SECONDS[said["must come out"]]
        found[path.stem] = []
        for form in forms:
            began = time.monotonic()
            try:
                report = judge(
                    sandbox, program(text), form, form="asserts", prefix="", entry=None, own=["attack"], classes=None,
                    limits=Limits(cpu_seconds=1), deadline=began + seconds,
                )  # fmt: skip
                words = outcome(report)
                if words == "wrong" and report.passed:
                    words = "partly right"
                if max(map(len, [report.gone, report.failed, *report.notes[:1]])) > 600:
                    words = "a long reason"
            except SetupError:
                words = "cannot tell"
            if time.monotonic() - began > seconds + 3:
                words = "too late"
            found[path.stem].append(words)
    return found


def main(level: str, what: str, *more: str) -> None:
    os.environ["PONDER_TEST_SECRET"] = "secret"
    with Sandbox(command(level)) as sandbox:
        if what == "attacks":
            part, parts = map(int, more)
            paths = sorted((HERE / "attacks").glob("*.py"))[part::parts]
            print(json.dumps(attacks(sandbox, paths)))
        else:
            print(json.dumps(cells(sandbox)))


if __name__ == "__main__":
    main(*sys.argv[1:])
