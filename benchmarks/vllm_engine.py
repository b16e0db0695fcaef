"""vLLM beside ponder's own engine on the embedded model: agreement with the trainer after every update, and time.

    python benchmarks/vllm_engine.py [--updates 20] [--samples 16] [--max-tokens 96]

To be run where vLLM is installed. Printed are, for fp32 and bf16, the largest mean difference of log-probs over all
updates, what giving vLLM its weights and probing it took in each (median and worst), and tokens per second of the same
prompts by both engines (best of three calls; all that a call does is counted).
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ponder.algorithm import next_token_loss
from ponder.policy import Policy, load_policy
from ponder.recipe.rollout import EngineConfig, Sampling
from ponder.recipe.training import BatchLimits, Optimizer
from ponder.records import Message
from ponder.rollout import Engine, Request, open_engine, vllm_engine
from ponder.train import Sample, Trainer

_QUESTIONS = "What is 3 + 4?", "What is 20 - 9?", "Is 7 prime?", "Which of 2, 9 and 4 is the largest?"


def requests_of(policy: Policy, samples: int) -> list[Request]:
    voice = policy.voice()
    return [
        Request(
            prompt_ids=voice.prompt((Message(role="user", content=question),)),
            seeds=tuple(range(samples)),
            key=str(i),
        )
        for i, question in enumerate(_QUESTIONS)
    ]


@contextmanager
def timed(owner: Any, name: str) -> Iterator[list[float]]:
    """Seconds of each call of a function of `owner` while the context lasts."""
    seconds: list[float] = []
    inner = vars(owner)[name]

    def outer(*given: Any) -> Any:
        began = time.perf_counter()
        try:
            return inner(*given)
        finally:
            seconds.append(time.perf_counter() - began)

    setattr(owner, name, outer)
    try:
        yield seconds
    finally:
        setattr(owner, name, inner)


def rate(engine: Engine, requests: list[Request], max_tokens: int) -> float:
    best = 0.0
    for _ in range(3):
        began = time.perf_counter()
        groups = engine.generate(requests, Sampling(), max_tokens, 0)
        tokens = sum(len(one.token_ids) for group in groups for one in group)
        best = max(best, tokens / (time.perf_counter() - began))
    return best


def measure(precision: Any, updates: int, samples: int, max_tokens: int) -> None:
    policy = load_policy("micro", precision=precision)
    engine = open_engine(EngineConfig(kind="vllm", max_slots=64), policy)
    trainer = Trainer(policy, Optimizer(outlier_factor=1e9), BatchLimits())
    requests, differences = requests_of(policy, samples), []
    engine.generate(requests, Sampling(), max_tokens, 0)  # it starts
    with timed(vllm_engine.Host, "load") as loads, timed(vllm_engine, "check_reproduced") as probes:
        for version in range(updates + 1):
            groups = engine.generate(requests, Sampling(), max_tokens, version)
            drawn = [
                Sample(prompt_ids=request.prompt_ids, response_ids=tuple(one.token_ids), group=request.key, weight=1e-3)
                for request, group in zip(requests, groups, strict=True)
                for one in group
            ]
            theirs = torch.tensor([x for group in groups for one in group for x in one.logprobs])
            differences.append(float((torch.cat(trainer.logprobs(drawn)) - theirs).abs().mean()))
            trainer.forward_backward(drawn, next_token_loss)
            trainer.optimizer_step(1e-4)
    print(f"{precision}: mean difference of log-probs at most {max(differences):.1e} after {updates} updates")
    for what, seconds in (("weights", loads), ("probe", probes)):
        print(f"{precision}: {what} {statistics.median(seconds):.3f} s, {max(seconds):.3f} s at most")
    vllm = rate(engine, requests, max_tokens)
    local = rate(open_engine(EngineConfig(max_slots=64), policy), requests, max_tokens)
    print(f"{precision}: {vllm:,.0f} tokens/s by vLLM, {local:,.0f} by ponder's own engine")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=20)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--max-tokens", type=int, default=96)
    given = parser.parse_args()
    for precision in ("fp32", "bf16"):
        measure(precision, given.updates, given.samples, given.max_tokens)


if __name__ == "__main__":
    main()
