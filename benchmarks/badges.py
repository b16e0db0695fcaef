"""No green badge on a wrong answer: countdown answers, sampled and spoilt ones, judged by Python's own sums.

    python benchmarks/badges.py [PROBLEMS] [SAMPLES] [MODEL]

Every answer goes through the check of a request (`read_check`, the verifiers' pool), as a badge does, and through an
evaluation that shares nothing with it: Python's parser and fractions. Spoilt answers are right ones with a number
dropped, doubled or changed, a sign changed, or words and equations around them. Exit status 1 where a badge is green
and the answer wrong.
"""

import ast
import operator
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from itertools import permutations, product

from ponder.compute.check import read_check
from ponder.micro.problems import generate
from ponder.policy import load_policy
from ponder.recipe.rollout import EngineConfig, Sampling
from ponder.records import ExpressionGold
from ponder.rollout.engine import Request
from ponder.rollout.open import open_engine
from ponder.seeds import derive_seed
from ponder.verify.pool import VerifierPool

_SIGNS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


def value_of(text: str) -> tuple[Fraction, Counter[int]] | None:
    """The value of an expression by Python's parser, and the numbers in it; None for anything else."""
    used: Counter[int] = Counter()

    def walk(node: ast.AST) -> Fraction:
        if isinstance(node, ast.Expression):
            return walk(node.body)
        if isinstance(node, ast.BinOp) and type(node.op) in _SIGNS:
            found: Fraction = _SIGNS[type(node.op)](walk(node.left), walk(node.right))
            return found
        if isinstance(node, ast.Constant) and type(node.value) is int:
            used[node.value] += 1
            return Fraction(node.value)
        raise ValueError

    try:
        return walk(ast.parse(text.strip(), mode="eval")), used
    except (ValueError, SyntaxError, ZeroDivisionError):
        return None


def is_right(text: str, gold: ExpressionGold) -> bool:
    """Whether a whole answer is an expression of the numbers, each once, and of the target's value."""
    found = value_of(text)
    return found is not None and found[0] == gold.target and found[1] == Counter(gold.numbers)


def spoilt(text: str, draw: random.Random) -> list[str]:
    """Answers that are near a right one."""
    numbers, signs = list(re.finditer(r"\d+", text)), list(re.finditer(r"[-+*/]", text))
    one, sign = draw.choice(numbers), draw.choice(signs)
    other = draw.choice([c for c in "+-*/" if c != sign[0]])
    changed = str(int(one[0]) + draw.choice([-1, 1, 10]))
    return [
        text[: one.start()] + changed + text[one.end() :],
        text[: sign.start()] + other + text[sign.end() :],
        f"{text}+{one[0]}",
        f"{text}*1",
        f"{text}+0",
        text.replace(one[0], f"({one[0]}+0)", 1),
        f"{text} or {text}+1",
        f"not {text}",
        f"-({text})",
        text.replace("(", "").replace(")", ""),
    ]


def main(problems: int = 1000, samples: int = 2, model: str = "micro") -> int:
    """Print the counts; the number of green badges on wrong answers."""
    began = time.monotonic()
    found = generate(["countdown"], ["en"], problems, "test", 7)
    policy = load_policy(model, trained=False)
    prompts = [policy.template.encode(policy.tokenizer, one.messages) for one in found]
    requests = [
        Request(prompt_ids=ids, seeds=tuple(derive_seed(7, one.id, i) for i in range(samples)), key=one.id)
        for ids, one in zip(prompts, found, strict=True)
    ]
    groups = open_engine(EngineConfig(), policy).generate(requests, Sampling(), 160, 0)
    draw, counts, wrong = random.Random(7), Counter[str](), []
    with VerifierPool() as pool:
        waiting = []
        for problem, group in zip(found, groups, strict=True):
            gold = read_check(_check(problem.gold))
            assert isinstance(gold, ExpressionGold)
            responses = [policy.template.split(c.text, finished=c.finish_reason == "stop") for c in group]
            answers: Sequence[str] = [one.answer for one in responses if one.answer is not None]
            near = [
                bad for one in [*answers, *_known(problem.gold)] if is_right(one, gold) for bad in spoilt(one, draw)
            ]
            for kind, text in [*(("sampled", one) for one in answers), *(("spoilt", one) for one in near)]:
                waiting.append((kind, text, gold, pool.submit(text, gold)))
        for kind, text, gold, future in waiting:
            outcome, right = future.result().outcome, is_right(text, gold)
            counts[f"{kind}: {'right' if right else 'wrong'}, badge {outcome}"] += 1
            if outcome == "right" and not right:
                wrong.append((text, gold))
    for name, count in sorted(counts.items()):
        print(f"{count:7,}  {name}")
    for text, gold in wrong[:20]:
        print(f"green on {text!r} for {gold.numbers} = {gold.target}")
    print(f"{len(wrong)} green badges on wrong answers of {problems:,} problems, {time.monotonic() - began:.0f} s")
    return len(wrong)


def _check(gold: object) -> dict[str, object]:
    assert isinstance(gold, ExpressionGold)
    return {"kind": "expression", "numbers": list(gold.numbers), "target": gold.target, "operators": gold.operators}


def _known(gold: ExpressionGold) -> list[str]:
    """A right answer, found by trying all."""
    for a, b, c in permutations(gold.numbers, 3):
        for first, second in product("+-*", repeat=2):
            for text in (f"({a}{first}{b}){second}{c}", f"{a}{first}({b}{second}{c})"):
                if is_right(text, gold):
                    return [text]
    return []


if __name__ == "__main__":
    asked = sys.argv[1:]
    sizes = [int(one) for one in asked[:2]]
    sys.exit(1 if main(*sizes, *asked[2:3]) else 0)
