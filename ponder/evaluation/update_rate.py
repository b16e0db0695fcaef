"""How many tokens a second are trained here: one real update on completions that were sampled before."""

import time
from itertools import islice
from pathlib import Path

from ponder.algorithm import next_token_loss
from ponder.evaluation.results import read_results
from ponder.policy.load import load_policy
from ponder.recipe.training import BatchLimits, Optimizer
from ponder.train import Sample, Trainer

__all__ = ["update_rate"]

_TOKENS = 1024
_WARM_UP = 2
_LR = 1e-9


def update_rate(model: str, template: str, folder: Path) -> float:
    """Tokens of prompts and completions per second in passes forward and backward over some of those that `folder`
    holds for the template, in the precision of training. Nothing of it is kept."""
    policy = load_policy(model, template)
    log = next(
        path for path in (folder / f"more-{template}.jsonl", folder / f"first-{template}.jsonl") if path.exists()
    )
    samples, tokens = [], 0
    for result in read_results(log)[1]:
        prompt = policy.template.encode(policy.tokenizer, result.problem.messages)
        for one in result.samples:
            ids = tuple(policy.tokenizer.encode(one.text, add_special_tokens=False))[: policy.window - len(prompt)]
            if ids and tokens < _TOKENS:
                samples.append(Sample(prompt_ids=prompt, response_ids=ids, group=result.problem.id, weight=1e-3))
                tokens += len(prompt) + len(ids)
    trainer = Trainer(policy, Optimizer(lr=_LR), BatchLimits())
    trainer.forward_backward(list(islice(samples, _WARM_UP)), next_token_loss)
    began = time.perf_counter()
    trainer.forward_backward(samples, next_token_loss)
    return tokens / (time.perf_counter() - began)
