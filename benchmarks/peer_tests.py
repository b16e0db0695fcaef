"""Math-Verify's own tests, judged by ponder: `python benchmarks/peer_tests.py FOLDER`, a checkout of Math-Verify.

Its tests run as they are, three times: with Math-Verify as its tests call it but without their options (as a user's
`verify(parse(gold), parse(answer))`), with ponder's strict and its lenient gold. What each fails is printed.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

_JUDGE = "PONDER_BENCHMARK_JUDGE"
_FILES = ["all", "boxed", "numina_cases", "open_thoughts", "strict", "yujianll"]
_DELIMITED = re.compile(r"\$+([^$]*)\$+|\\\((.*)\\\)|\\\[(.*)\\\]", re.DOTALL)


def _put_in_place(judge: str) -> None:
    """Have Math-Verify's tests call this judge instead."""
    import math_verify

    if judge == "Math-Verify":
        parse, verify = math_verify.parse, math_verify.verify
        math_verify.parse = lambda text, *_, **__: parse(text)
        math_verify.verify = lambda gold, answer, *_, **__: verify(gold, answer)
        return
    math_verify.parse = lambda text, *_, **__: text
    math_verify.verify = _ponder("lenient" if judge == "ponder, lenient" else "strict")


def _ponder(strictness: str) -> Callable[..., bool]:
    from ponder.records import MathGold
    from ponder.verify.answer import find_answer
    from ponder.verify.math import verify_math

    def gold_of(text: str) -> str:
        if "boxed" in text:
            return find_answer(text).text or text
        whole = _DELIMITED.fullmatch(text.strip())
        return next(part for part in whole.groups() if part is not None).strip() if whole else text.strip()

    def verify(gold: object, answer: object, *_: object, **__: object) -> bool:
        made = MathGold(answer=gold_of(str(gold)), strictness=strictness)  # type: ignore[arg-type]
        return verify_math(str(answer), made).outcome == "right"

    return verify


def main() -> None:
    """Run the tests with each judge and print."""
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "tests" / "test_all.py").is_file():
        sys.exit("name a checkout of Math-Verify, whose tests/test_all.py is there")
    folder = Path(sys.argv[1]).resolve()
    files = [f"tests/test_{name}.py" for name in _FILES]
    here = str(Path(__file__).resolve().parent)
    for judge in ("Math-Verify", "ponder, strict", "ponder, lenient"):
        environment = os.environ | {_JUDGE: judge, "PYTHONPATH": f"{here}:{folder}:{os.environ.get('PYTHONPATH', '')}"}
        command = [sys.executable, "-m", "pytest", "-q", "-p", "peer_tests", "-p", "no:cacheprovider", "-p", "no:xdist"]
        done = subprocess.run([*command, *files], cwd=folder, env=environment, capture_output=True, text=True)
        lines = done.stdout.splitlines()
        print(f"{judge}: {lines[-1] if lines else done.stderr[-500:]}")
        for line in lines:
            if line.startswith("FAILED"):
                print(f"    {line.removeprefix('FAILED ')[:160]}")


if __name__ == "__main__":
    main()
elif os.environ.get(_JUDGE):
    _put_in_place(os.environ[_JUDGE])
