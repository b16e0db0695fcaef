"""ponder as one side of a comparison: engine, credit, trainer and objective of the `rl` stage, without its files."""

import time
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from shapes import GROUP_SIZE, Shape, problems, reward
from sides import StepTime, wait

__all__ = ["ponder_side"]

_GPU_TOKENS = 32_768
"""Of a pass, where the default would leave a GPU waiting."""


def ponder_side(link: Connection, shape: Shape, folder: Path, threads: int, lr: float) -> None:
    """Serve steps of GRPO over `link`."""
    from ponder.allocator import keep_freed_memory

    keep_freed_memory()  # as `ponder run` does, before torch is there
    import torch

    from ponder.algorithm import policy_loss
    from ponder.policy import load_policy
    from ponder.recipe.objective import Objective
    from ponder.recipe.rollout import Sampling
    from ponder.recipe.training import BatchLimits, Optimizer
    from ponder.records import Group, Rollout, Verdict
    from ponder.rollout.engine import Request
    from ponder.rollout.local import LocalEngine
    from ponder.train import Trainer, credit, weigh

    torch.set_num_threads(threads)
    policy = load_policy(folder, precision="bf16" if shape.precision == "bf16" else "fp32")
    on_gpu = policy.device.type == "cuda"
    engine = LocalEngine(policy, max_slots=shape.num_completions)
    trainer = Trainer(
        policy, Optimizer(lr=lr), BatchLimits(tokens_per_micro_batch=_GPU_TOKENS) if on_gpu else BatchLimits()
    )
    objective = Objective(kl_coefficient=0.0)
    sampling = Sampling(max_tokens=shape.max_tokens)
    verdict = Verdict(outcome="cannot_tell", reason="benchmark")
    asked = problems(shape)
    prompts = {problem.id: policy.template.encode(policy.tokenizer, problem.messages) for problem in asked}

    link.send("ready")
    while True:
        wait(link)
        start = time.perf_counter()
        first = trainer.version * GROUP_SIZE
        requests = [
            Request(prompt_ids=prompts[problem.id], seeds=tuple(range(first, first + GROUP_SIZE)), key=problem.id)
            for problem in asked
        ]
        completions = engine.generate(requests, sampling, shape.max_tokens, trainer.version)
        generated = time.perf_counter()
        groups = [
            Group(
                rollouts=tuple(
                    Rollout(
                        problem=problem,
                        prompt_ids=request.prompt_ids,
                        completion=completion,
                        verdict=verdict,
                        rewards={},
                        reward=reward(completion.token_ids),
                    )
                    for completion in own
                )
            )
            for problem, request, own in zip(asked, requests, completions, strict=True)
        ]
        samples = [sample for group in credit(groups, objective) for sample in group]
        weighed = weigh(samples, objective, shape.max_tokens)
        trainer.forward_backward(weighed, partial(policy_loss, objective=objective))
        trainer.optimizer_step(lr)
        link.send(
            StepTime(
                seconds=time.perf_counter() - start,
                generate_seconds=generated - start,
                lengths=tuple(len(c.token_ids) for own in completions for c in own),
                prompts=tuple(len(request.prompt_ids) for request in requests for _ in request.seeds),
                device_bytes=torch.cuda.max_memory_allocated() if on_gpu else 0,
            )
        )
