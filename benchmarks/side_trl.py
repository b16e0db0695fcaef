"""TRL's GRPOTrainer as one side of a comparison, at its best settings for the machine (benchmarks/README.md)."""

import logging
import os
import tempfile
import time
import warnings
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from shapes import GROUP_SIZE, Shape, problems, reward
from sides import StepTime, wait

__all__ = ["SETTINGS", "TRIALS", "Settings", "trl_side"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What GRPOTrainer leaves to its user and speed depends on.

    `micro_batch` is the number of sequences in a forward pass, `bf16_weights` keeps weights in bf16 instead of casting
    fp32 ones in every product (bf16 shapes only), `paged` is transformers' continuous batching with that many requests
    at a time, `compile` compiles the model.
    """

    micro_batch: int = 32
    bf16_weights: bool = True
    attention: str = "sdpa"
    cache: str | None = None
    paged: int | None = None
    compile: bool = False


SETTINGS: dict[str, Settings] = {
    "uniform": Settings(),
    "long_tail": Settings(micro_batch=16),
    "m24": Settings(attention="eager"),
    "q05": Settings(),
    "g05": Settings(micro_batch=64),
    "g15": Settings(micro_batch=64),
}
"""The best found for each shape on two cores (README.md); those for a GPU are not tuned."""

TRIALS: dict[str, tuple[Any, ...]] = {
    "attention": ("sdpa", "eager"),
    "micro_batch": (32, 16, 8, 128),
    "bf16_weights": (True, False),
    "cache": (None, "static"),
    "paged": (None, 32, 128),
    "compile": (False, True),
}
"""What `--tune` tries: each setting in turn, the others at the best found so far."""

_PAGE_TOKENS = 64
_ENDLESS = 10**6
"""Steps of a run that is never waited for to end."""
_ROWS = 64
"""Times the problems stand in the data set, so that an epoch does not end after every step."""


def trl_side(link: Connection, shape: Shape, folder: Path, threads: int, lr: float, settings: Settings) -> None:
    """Serve steps of GRPO over `link`."""
    os.environ |= {"TRL_EXPERIMENTAL_SILENCE": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    warnings.filterwarnings("ignore")
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, TrainerCallback
    from transformers.utils import logging as transformers_logging
    from trl import GRPOConfig, GRPOTrainer

    from ponder.text.template import Template

    logging.disable(logging.WARNING)
    transformers_logging.disable_progress_bar()
    torch.set_num_threads(threads)

    class TimedTrainer(GRPOTrainer):  # type: ignore[misc]
        """The trainer, with a clock around generation."""

        generate_seconds = 0.0
        lengths: tuple[int, ...] = ()
        prompts: tuple[int, ...] = ()

        def _generate_single_turn(self, prompt_ids: Any, *arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            completion_ids, logprobs = super()._generate_single_turn(prompt_ids, *arguments, **options)
            self.generate_seconds = time.perf_counter() - start
            self.lengths = tuple(len(ids) for ids in completion_ids)
            self.prompts = tuple(len(ids) for ids in prompt_ids)
            return completion_ids, logprobs

    class OnRequest(TrainerCallback):  # type: ignore[misc]
        """Waits before each step for the request, and answers after it."""

        start = 0.0

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            wait(link)
            self.start = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            link.send(
                StepTime(
                    seconds=time.perf_counter() - self.start,
                    generate_seconds=trainer.generate_seconds,
                    lengths=trainer.lengths,
                    prompts=trainer.prompts,
                    device_bytes=torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0,
                )
            )

    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    bf16 = shape.precision == "bf16"
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=torch.bfloat16 if bf16 and settings.bf16_weights else torch.float32,
        attn_implementation=settings.attention,
    )
    template = Template.load(folder)
    rows = [{"prompt": template.render(problem.messages)} for problem in problems(shape)]
    expected = [list(template.encode(tokenizer, problem.messages)) for problem in problems(shape)]
    assert tokenizer([row["prompt"] for row in rows])["input_ids"] == expected, "both sides see the same prompt ids"

    def rewards(completion_ids: list[list[int]], **_: Any) -> list[float]:
        return [reward(ids) for ids in completion_ids]

    micro_batch = min(settings.micro_batch, shape.num_completions)
    longest = max(map(len, expected)) + shape.max_tokens
    paging = settings.paged and {
        "page_size": _PAGE_TOKENS,
        "num_blocks": (settings.paged + 1) * (longest // _PAGE_TOKENS + 2),
        "max_batch_tokens": max(512, settings.paged),
        "max_requests_per_batch": settings.paged,
    }
    arguments = GRPOConfig(
        output_dir=tempfile.mkdtemp(),
        use_cpu=not torch.cuda.is_available(),
        bf16=bf16 and not settings.bf16_weights,
        max_steps=_ENDLESS,
        per_device_train_batch_size=micro_batch,
        gradient_accumulation_steps=shape.num_completions // micro_batch,
        num_generations=GROUP_SIZE,
        max_completion_length=shape.max_tokens,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        use_transformers_continuous_batching=settings.paged is not None,
        loss_type="grpo",
        beta=0.0,
        learning_rate=lr,
        lr_scheduler_type="constant",
        adam_beta2=0.95,
        max_grad_norm=1.0,
        gradient_checkpointing=False,  # on by default; recomputing the forward pass costs about a fifth of the update
        shuffle_dataset=False,
        report_to="none",
        logging_strategy="no",
        save_strategy="no",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        transformers_continuous_batching_config=paging,
        cache_implementation=settings.cache,
        torch_compile=settings.compile,
    )
    trainer = TimedTrainer(
        model=model,
        reward_funcs=rewards,
        args=arguments,
        train_dataset=Dataset.from_list(rows * _ROWS),
        processing_class=tokenizer,
        callbacks=[OnRequest()],
    )
    link.send("ready")
    trainer.train()
