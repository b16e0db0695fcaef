"""Mathematical answers judged by ponder, by Math-Verify and by the logic of open-r1's accuracy reward, in one run.

    python benchmarks/verify.py [--data ../shared/data] [--most 200] [--peers-on-hostile]
    python benchmarks/verify.py --answers FILE.jsonl [--most 1000]

Prints, for each: wrong accepts, refusals and pairs per second on suites with labels (final answers and whole solutions
of GSM8K, solutions of GSM8K and MATH-500, DeepSeek-R1's traces, MATH-500, OlymMATH, countdown outputs), strict and
lenient; errors on ponder's table of cases; and ponder's times on the hostile completions. There the peers run in a
process of their own that is killed when a case takes too long, since their time limits cannot interrupt one long
operation. With --answers it judges the stored answers of a file, rows of "gold" and "text", whatever is known of them:
how many each judge accepts, those of the one that the other refuses, and the speed, in turn by blocks. Peers get every
answer in the form that their documentation asks for: the gold in $...$, the answer in a box, unless it has to be found
in a text.
"""

import argparse
import gc
import json
import multiprocessing
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ponder.maths import notation, reader
from ponder.records import ExpressionGold, MathGold
from ponder.verify import check_gold, math, verify

CASES = Path(__file__).parents[1] / "tests" / "verify" / "cases"
SECONDS_PER_CASE = 15
BLOCK = 50
"""Stored answers judged by one after the other before the turn goes on."""
TEXT_GROUPS = ("extraction", "delimiters and dress", "open-r1#566", "Math-Verify#76")
_NOTES = re.compile(r"<<[^<>\n]*>>")
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


def lenient_judges(gold: str, answer: str) -> bool:
    return verify(answer, MathGold(answer=gold, strictness="lenient")).outcome == "right"


JUDGES: dict[str, Callable[[str, str], bool]] = {
    "ponder": ponder_judges,
    "ponder, lenient": lenient_judges,
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


def math500_solution_pairs(data: Path) -> Iterator[Pair]:
    """MATH-500's own solutions, judged as if a model had written them."""
    for line in (data / "math500/test.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        yield row["answer"], row["solution"], True


def whole_solution_pairs(data: Path) -> Iterator[Pair]:
    """The same four models' whole solutions, without the calculator's notes."""
    for line in (data / "gsm8k/example_model_solutions.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        gold = row["ground_truth"].rpartition("A:")[2].strip()
        for model in ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"):
            yield gold, _NOTES.sub("", row[model]["solution"]), row[model]["is_correct"]


def gold_solution_pairs(data: Path) -> Iterator[Pair]:
    """GSM8K's own solutions, with the line that gives the answer and, as prose alone, without it."""
    for line in (data / "gsm8k/test.jsonl").read_text(encoding="utf-8").splitlines():
        solution, _, gold = _NOTES.sub("", json.loads(line)["answer"]).rpartition("####")
        yield gold.strip(), f"{solution}#### {gold.strip()}", True
        yield gold.strip(), solution.strip(), True


def r1_pairs(data: Path) -> Iterator[Pair]:
    """DeepSeek-R1's traces. Their golds are all that is known: a trace that differs counts as refused by everyone."""
    for name in ("gsm8k", "math"):
        for line in (data / f"r1_traces/mip_{name}_deepseekR1.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            yield str(row["gold"]), row["response"], True


def olymmath_pairs(data: Path) -> Iterator[Pair]:
    """Each gold with itself, and with two others that are spelt differently."""
    draw = random.Random(5)
    for name in ("EN", "ZH"):
        lines = (data / f"olymmath/OlymMATH-{name}-EASY.jsonl").read_text(encoding="utf-8").splitlines()
        golds = [json.loads(line)["answer"] for line in lines]
        for gold in golds:
            yield gold, gold, True
            for other in draw.sample(golds, 2):
                if _bare(other) != _bare(gold):
                    yield gold, other, False


def countdown(data: Path) -> tuple[int, int, int]:
    """Outputs of seven models with verdicts: how many, wrong accepts, refusals. Math-Verify has no such verifier."""
    lines = (data / "countdown/test_with_solver_answers.jsonl").read_text(encoding="utf-8").splitlines()
    golds = {
        row["id"]: ExpressionGold(numbers=tuple(row["numbers"]), target=row["target"]) for row in map(json.loads, lines)
    }
    judged: list[tuple[bool, bool]] = []
    for file in sorted((data / "countdown/labelled").glob("*.jsonl")):
        for row in map(json.loads, file.read_text(encoding="utf-8").splitlines()):
            judged.append((verify(row["raw_generation"], golds[row["id"]]).outcome == "right", row["correct"]))
    return (
        len(judged),
        sum(right and not label for right, label in judged),
        sum(label > right for right, label in judged),
    )


def _bare(gold: str) -> str:
    """A gold without what may be left out: degrees, dollars, a name before it, the braces of a fraction of digits."""
    text = re.sub(r"\\frac\s*(?:\{(\d+)\}|(\d))\s*(?:\{(\d+)\}|(\d))", r"\1\2/\3\4", gold)
    return re.sub(r"\\\$|\^\\circ|^x=|\s", "", text)


def measure(name: str, pairs: Sequence[Pair]) -> tuple[float, int, int]:
    """Pairs per second of processor time, wrong accepts and refusals; nothing is remembered from before."""
    judge = JUDGES[name]
    for remembered in (notation.clean, reader.read, reader.read_measure, math.check_math):
        remembered.cache_clear()
    start = time.process_time()
    judged = [(judge(gold, answer), equal) for gold, answer, equal in pairs]
    rate = len(pairs) / (time.process_time() - start)
    return (
        rate,
        sum(right and not equal for right, equal in judged),
        sum(equal and not right for right, equal in judged),
    )


def _boxed(pairs: Iterator[Pair]) -> list[Pair]:
    """Answers by themselves, in the form that every judge reads."""
    return [(gold, f"$\\boxed{{{answer}}}$", equal) for gold, answer, equal in pairs]


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
        if not name.startswith("ponder") and case["group"] not in TEXT_GROUPS and "boxed" not in answer:
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


def answers(file: Path, most: int | None) -> None:
    """Stored answers: accepted by each judge, by one alone, and times as fast as Math-Verify, the best of three turns
    of each block, nothing remembered from before."""
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    pairs = [(row["gold"], row["text"], True) for row in rows[:: max(1, len(rows) // most) if most else 1][:most]]
    names = ("ponder", "ponder, lenient", "Math-Verify")
    accepted = {name: {i for i, (gold, text, _) in enumerate(pairs) if JUDGES[name](gold, text)} for name in names}
    for name in names:
        own, others = accepted[name], accepted["Math-Verify"]
        print(f"{name} accepts {len(own)} of {len(pairs)}; {len(own - others)} alone, Math-Verify {len(others - own)}")
    gc.collect()
    gc.freeze()  # what importing the peers made is not collected again in somebody's turn
    seconds = dict.fromkeys(names, 0.0)
    for block in (pairs[i : i + BLOCK] for i in range(0, len(pairs), BLOCK)):
        for name in names:
            seconds[name] += len(block) / max(measure(name, block)[0] for _ in range(3))
    for name in names:
        ratio = seconds["Math-Verify"] / seconds[name]
        print(f"{name}: {len(pairs) / seconds[name]:,.0f} pairs/s, {ratio:.1f} times as fast as Math-Verify")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    arguments.add_argument("--most", type=int, default=None, help="pairs of each suite, for a quick look")
    arguments.add_argument("--peers-on-hostile", action="store_true", help="takes up to hours: peers hang")
    arguments.add_argument("--answers", type=Path, default=None, help="a file of stored answers to judge instead")
    options = arguments.parse_args()
    if options.answers:
        answers(options.answers, options.most)
        return
    assert check_gold(MathGold(answer="1")) is None
    suites = {
        "GSM8K, final answers": _boxed(gsm8k_pairs(options.data)),
        "GSM8K, whole solutions": list(whole_solution_pairs(options.data)),
        "GSM8K, gold solutions": list(gold_solution_pairs(options.data)),
        "DeepSeek-R1 traces": list(r1_pairs(options.data)),
        "MATH-500, own solutions": list(math500_solution_pairs(options.data)),
        "MATH-500": _boxed(math500_pairs(options.data)),
        "OlymMATH": _boxed(olymmath_pairs(options.data)),
    }
    for title, pairs in suites.items():
        pairs = pairs[: options.most]
        rates = {}
        for name in ("ponder", "ponder, lenient", "Math-Verify"):
            rates[name], accepts, refusals = measure(name, pairs)
            print(
                f"{title}: {len(pairs)} pairs; {name}: {accepts} wrong accepts, {refusals} refusals, "
                f"{rates[name]:,.0f} pairs/s"
            )
        print(f"{title}: ponder is {rates['ponder'] / rates['Math-Verify']:.1f} times as fast as Math-Verify")
    count, accepts, refusals = countdown(options.data)
    print(f"countdown: {count} outputs; ponder: {accepts} wrong accepts, {refusals} refusals")
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
