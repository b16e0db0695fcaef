"""Mathematical answers judged by ponder, by Math-Verify and by the logic of open-r1's accuracy reward, in one run.

    python benchmarks/verify.py [--data ../shared/data] [--peers-on-hostile]

Prints, for each: pairs per second and errors on short GSM8K and MATH-500 answers; errors on ponder's table of cases;
and ponder's times on the hostile completions. The peers run in a process of their own that is killed when a case takes
too long, since their time limits cannot interrupt one long operation. Peers get every answer in the form that their
documentation asks for: the gold in $...$, the answer in a box, unless the case is about finding the answer in a text.
"""

import argparse
import json
import multiprocessing
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ponder.maths import reader
from ponder.records import MathGold
from ponder.verify import check_gold, math, verify

CASES = Path(__file__).parents[1] / "tests" / "verify" / "cases"
SECONDS_PER_CASE = 15
TEXT_GROUPS = ("extraction", "delimiters and dress", "open-r1#566", "Math-Verify#76")
Pair = tuple[str, str, bool]
"""Gold, answer, whether they are equal."""


def ponder_judges(gold: str, answer: str) -> bool:
    return verify(answer, MathGold(answer=gold)).outcome == "right"


def math_verify_judges(gold: str, answer: str) -> bool:
    import math_verify

    return bool(math_verify.verify(math_verify.parse(f"${gold}$"), math_verify.parse(answer)))


def open_r1_judges(gold: str, answer: str) -> bool:
    """An unreadable gold skips the example (it used to score 1); the answer must stand in a box as correct LaTeX."""
    from latex2sympy2_extended import NormalizationConfig
    from math_verify import LatexExtractionConfig, parse
    from math_verify import verify as compare

    gold_parsed = parse(f"${gold}$", extraction_mode="first_match")
    if not gold_parsed:
        return False
    strict = NormalizationConfig(
        nits=False, malformed_operators=False, basic_latex=True, equations=True, boxed="all", units=True
    )
    config = LatexExtractionConfig(
        normalization_config=strict, boxed_match_priority=0, try_extract_without_anchor=False
    )
    return bool(compare(gold_parsed, parse(answer, extraction_config=[config], extraction_mode="first_match")))


JUDGES: dict[str, Callable[[str, str], bool]] = {
    "ponder": ponder_judges,
    "Math-Verify": math_verify_judges,
    "open-r1": open_r1_judges,
}


def gsm8k_pairs(data: Path) -> Iterator[Pair]:
    """The final answers of four models with the authors' labels."""
    for line in (data / "gsm8k/example_model_solutions.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        gold = row["ground_truth"].rpartition("A:")[2].strip()
        for model in ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"):
            _, mark, answer = row[model]["solution"].rpartition("A:")
            if mark:
                yield gold, answer.strip(), row[model]["is_correct"]


def math500_pairs(data: Path) -> Iterator[Pair]:
    """Each gold with itself, and with the golds of four other problems that mean something else."""
    lines = (data / "math500/test.jsonl").read_text(encoding="utf-8").splitlines()
    golds = [json.loads(line)["answer"] for line in lines]
    draw = random.Random(3)
    for gold in golds:
        yield gold, gold, True
        for other in draw.sample(golds, 4):
            if _bare(other) != _bare(gold):
                yield gold, other, False


def _bare(gold: str) -> str:
    """A gold without what may be left out: degrees, dollars, a name before it, the braces of a fraction of digits."""
    text = re.sub(r"\\frac\s*(?:\{(\d+)\}|(\d))\s*(?:\{(\d+)\}|(\d))", r"\1\2/\3\4", gold)
    return re.sub(r"\\\$|\^\\circ|^x=|\s", "", text)


def measure(name: str, pairs: Sequence[Pair]) -> tuple[float, int]:
    """Pairs per second of processor time, and errors; nothing is remembered from before."""
    judge = JUDGES[name]
    reader.read.cache_clear()
    math.check_math.cache_clear()
    start = time.process_time()
    errors = sum(judge(gold, f"$\\boxed{{{answer}}}$") != equal for gold, answer, equal in pairs)
    return len(pairs) / (time.process_time() - start), errors


def _serve(name: str, jobs: Any) -> None:
    import logging

    logging.disable()
    while True:
        gold, answer = jobs.recv()
        try:
            jobs.send("right" if JUDGES[name](gold, answer) else "not right")
        except Exception as problem:
            jobs.send(f"error {type(problem).__name__}")


class Guarded:
    """One judge in a process that is killed when a case takes too long."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._start()

    def _start(self) -> None:
        self.jobs, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=_serve, args=(self.name, theirs), daemon=True)
        self.process.start()

    def judge(self, gold: str, answer: str) -> str:
        self.jobs.send((gold, answer))
        if self.jobs.poll(SECONDS_PER_CASE):
            try:
                return str(self.jobs.recv())
            except EOFError:
                outcome = "died"
        else:
            outcome = "hangs"
        self.process.kill()
        self.process.join()
        self._start()
        return outcome

    def close(self) -> None:
        self.process.kill()
        self.process.join()


def table(name: str) -> Counter[str]:
    """Outcomes on the table of cases: right decisions, false accepts, false refusals, hangs and errors."""
    outcomes: Counter[str] = Counter()
    judge = Guarded(name)
    for line in (CASES / "math.jsonl").read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        answer = case["answer"]
        if name != "ponder" and case["group"] not in TEXT_GROUPS and "boxed" not in answer:
            answer = f"$\\boxed{{{answer}}}$"
        got = judge.judge(case["gold"], answer)
        expected = "right" if case["expected"] == "right" else "not right"
        if got in ("right", "not right"):
            got = "agrees" if got == expected else "false accept" if got == "right" else "false refusal"
        outcomes[got] += 1
    judge.close()
    return outcomes


def hostile(name: str) -> tuple[list[float], Counter[str]]:
    """Seconds per hostile completion, sorted, and outcomes."""
    seconds: list[float] = []
    outcomes: Counter[str] = Counter()
    judge = Guarded(name)
    for line in (CASES / "hostile.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        text = row["before"] + row["body"] * row["times"] + row["after"]
        start = time.perf_counter()
        outcomes[judge.judge("42", f"\\boxed{{{text}}}").split()[0]] += 1
        seconds.append(time.perf_counter() - start)
    judge.close()
    return sorted(seconds), outcomes


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    arguments.add_argument("--peers-on-hostile", action="store_true", help="takes up to hours: peers hang")
    options = arguments.parse_args()
    assert check_gold(MathGold(answer="1")) is None
    for title, pairs in (("GSM8K", list(gsm8k_pairs(options.data))), ("MATH-500", list(math500_pairs(options.data)))):
        ours, our_errors = measure("ponder", pairs)
        theirs, their_errors = measure("Math-Verify", pairs)
        print(
            f"{title}: {len(pairs)} pairs; ponder {ours:,.0f}/s, {our_errors} errors; Math-Verify {theirs:,.0f}/s, "
            f"{their_errors} errors; {ours / theirs:.1f} times as fast"
        )
    for name in JUDGES:
        print(f"table, {name}: {dict(table(name))}")
    for name in JUDGES if options.peers_on_hostile else ("ponder",):
        seconds, outcomes = hostile(name)
        print(
            f"hostile, {name}: {dict(outcomes)}; median {seconds[500] * 1e3:.1f} ms, p99 {seconds[990] * 1e3:.0f} ms, "
            f"most {seconds[-1] * 1e3:.0f} ms"
        )


if __name__ == "__main__":
    main()
