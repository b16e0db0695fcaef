"""How many tokens a second are trained here: one real update on completions that were sampled before."""

import time
from itertools import islice
from pathlib import Path

from ponder.algorithm import next_token_loss
from ponder.evaluation.results import read_results
from ponder.policy.load import load_policy
from ponder.recipe.training import BatchLimits, Optimizer
from ponder.text.template import Template
from ponder.train import Sample, Trainer
from ponder.train.packing import packed_tokens

__all__ = ["update_rate"]

_TOKENS = 1024
_WARM_UP = 2
_LR = 1e-9


def update_rate(model: str, template: Template, folder: Path) -> float:
    """Tokens per second in passes forward and backward over some of the completions that `folder` holds for the
    template, in the precision of training; a prompt counts once for its group, as it is computed. Nothing is kept."""
    policy = load_policy(model, template)
    samples: list[Sample] = []
    for result in read_results(folder / f"more-{template.name}.jsonl")[1]:
        prompt = policy.template.encode(policy.tokenizer, result.problem.messages)
        for one in result.samples:
            ids = tuple(policy.tokenizer.encode(one.text, add_special_tokens=False))[: policy.window - len(prompt)]
            if ids and packed_tokens(samples) < _TOKENS:
                samples.append(Sample(prompt_ids=prompt, response_ids=ids, group=result.problem.id, weight=1e-3))
    trainer = Trainer(policy, Optimizer(lr=_LR), BatchLimits())
    trainer.forward_backward(list(islice(samples, _WARM_UP)), next_token_loss)
    began = time.perf_counter()
    trainer.forward_backward(samples, next_token_loss)
    return packed_tokens(samples) / (time.perf_counter() - began)
