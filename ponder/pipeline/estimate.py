"""Time of a stage from the shapes of its model and batch alone: orders of magnitude, not promises.

Counted are 2 operations per active parameter and generated token, 6 per trained token and 2 per token of a pass that
only looks (the reference's, that for `mismatch_cap`), at the device's assumed rates. What the formulas cannot know
(completion lengths before anything was sampled) is assumed below and replaced by what an earlier run measured.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ponder.evaluation.benchmark import Benchmark
from ponder.pipeline.counts import Stages, benchmark_problems, known_problems, preference_rows, sft_examples
from ponder.pipeline.machine import Device
from ponder.pipeline.memory import PROMPT_TOKENS, Trained, longest_example
from ponder.recipe.problems import HeldOut
from ponder.recipe.shape import Shape
from ponder.recipe.stages import EvaluateStage, PretrainStage, RewardModelStage, RlStage, SampleStage, SftStage

__all__ = [
    "USUAL_EXAMPLE",
    "USUAL_RESPONSE",
    "USUAL_SHARE_OF_LIMIT",
    "Work",
    "answer_limit",
    "evaluate_work",
    "pretrain_work",
    "reward_model_work",
    "rl_work",
    "sample_work",
    "seconds",
    "sft_work",
    "updates",
    "work",
]

USUAL_SHARE_OF_LIMIT = 0.5
"""Assumed mean length of a completion in training as a share of the limit; R1 states no mean over its training."""
USUAL_RESPONSE = 6472 / 32768
"""Assumed mean length of a response that is sampled for data or scores as a share of the limit: that of the reasoning
examples of R1's 800k (v2, table 5)."""
USUAL_EXAMPLE = 5355 / 32768
"""Assumed mean length of an example as a share of the limit: that of R1's 800k (v2, table 5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Tokens a stage moves through its model, and through its critic: each forward for its value, then forward and
    backward."""

    generated: float
    trained: float
    reference: float
    critic: float = 0.0


def rl_work(stage: RlStage, first_step: int, mean_tokens: float | None) -> Work:
    """Tokens of the steps from `first_step` on; `mean_tokens` is a mean completion length as measured,
    perhaps under a higher limit, if there is one."""
    per_step = stage.problems_per_step * stage.group_size
    limits = [stage.sampling.max_tokens_at(step) for step in range(first_step, stage.steps)]
    lengths = [limit * USUAL_SHARE_OF_LIMIT if mean_tokens is None else min(mean_tokens, limit) for limit in limits]
    completions = per_step * math.fsum(lengths)
    prompts = len(lengths) * stage.problems_per_step * PROMPT_TOKENS
    usual = lengths[-1] if lengths else 0.0
    held_out = _held_out_completions(stage.held_out, stage.steps - first_step) * usual
    kept = completions + prompts
    return Work(
        generated=completions + prompts + held_out,
        trained=kept,
        reference=kept * ((stage.objective.kl_coefficient > 0) + (stage.objective.mismatch_cap is not None)),
        critic=kept if stage.learnt_critic() is not None else 0.0,
    )


def pretrain_work(stage: PretrainStage) -> Work:
    """Tokens of a pre-training stage; its evaluation at the end is left out."""
    return Work(generated=0, trained=stage.tokens, reference=0)


def updates(stage: Trained, stages: Stages) -> int | None:
    """Updates of a stage in all, or None where only reading the data can tell."""
    match stage:
        case RlStage():
            return stage.steps
        case PretrainStage():
            return math.ceil(stage.tokens / stage.tokens_per_step)
        case SftStage():
            examples = sft_examples(stage, stages)
            return None if examples is None else math.ceil(examples / stage.batch_size)
        case RewardModelStage():
            rows = preference_rows(stage, stages)
            return None if rows is None else stage.epochs * math.ceil(rows / stage.batch_size)


def work(stage: Trained, stages: Stages, shape: Shape, first_step: int, mean_tokens: float | None) -> Work:
    """Tokens of an `rl` stage from `first_step` on, and of any other stage in all; of a single update where only the
    data can tell how many there are. `mean_tokens` is as in `rl_work`."""
    match stage:
        case RlStage():
            return rl_work(stage, first_step, mean_tokens)
        case PretrainStage():
            return pretrain_work(stage)
        case SftStage():
            return sft_work(stage, shape, sft_examples(stage, stages) or stage.batch_size)
        case RewardModelStage():
            rows = preference_rows(stage, stages)
            if rows is None:
                return reward_model_work(stage.model_copy(update={"epochs": 1}), stage.batch_size)
            return reward_model_work(stage, rows)


def sample_work(stage: SampleStage) -> Work:
    """Tokens of all responses, as far as the recipe says how many problems there are."""
    return _answers(known_problems(stage.problems), stage.samples, stage.sampling.max_tokens)


def evaluate_work(stage: EvaluateStage, benchmarks: Iterable[Benchmark], shape: Shape) -> Work:
    """Tokens of one model's answers to the benchmarks whose size is known."""
    each = [
        _answers(
            benchmark_problems(benchmark) or 0,
            stage.samples or benchmark.samples,
            answer_limit(benchmark, shape),
        ).generated
        for benchmark in benchmarks
    ]
    return Work(generated=math.fsum(each), trained=0, reference=0)


def answer_limit(benchmark: Benchmark, shape: Shape) -> int:
    """The longest answer of a model to a benchmark: what a prompt leaves of its window, if that is less than the
    benchmark's own."""
    window = shape.window or 0
    return min(benchmark.max_tokens, window - PROMPT_TOKENS) if window > PROMPT_TOKENS else benchmark.max_tokens


def sft_work(stage: SftStage, shape: Shape, examples: int) -> Work:
    """Tokens of that many examples; validation and held-out problems are left out."""
    return Work(generated=0, trained=examples * longest_example(stage, shape) * USUAL_EXAMPLE, reference=0)


def reward_model_work(stage: RewardModelStage, rows: int) -> Work:
    """Tokens of a reward model on so many rows: a prompt of the assumed length and answers of twice that."""
    texts = 2 if stage.loss == "pairwise" else 1
    return Work(generated=0, trained=stage.epochs * rows * PROMPT_TOKENS * (1 + 2 * texts), reference=0)


def seconds(work: Work, shape: Shape, device: Device, critic: Shape | None = None) -> float:
    """Time of the work on one device; a critic is of the model's own shape unless another is given."""
    generate = 2 * shape.active * work.generated / device.generate_flops
    judged = (critic or shape).active * (2 + 6) * work.critic
    return generate + (shape.active * (6 * work.trained + 2 * work.reference) + judged) / device.train_flops


def _answers(problems: int, samples: int, max_tokens: int) -> Work:
    tokens = problems * (PROMPT_TOKENS + samples * max_tokens * USUAL_RESPONSE)
    return Work(generated=tokens, trained=0, reference=0)


def _held_out_completions(held_out: HeldOut | None, steps: int) -> int:
    if held_out is None:
        return 0
    during = steps // held_out.every if held_out.every else 0
    return known_problems(held_out.problems) * (2 * held_out.samples + during * held_out.samples_during)
