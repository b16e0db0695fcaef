"""TRL's GRPOTrainer as one side of a comparison, at its best settings for the machine (benchmarks/README.md)."""

import logging
import os
import tempfile
import time
import warnings
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from shapes import GROUP_SIZE, Shape, problems, reward
from sides import StepTime, wait

__all__ = ["SETTINGS", "trl_side"]

SETTINGS: dict[str, dict[str, Any]] = {
    "uniform": {"micro_batch": 128, "bf16_weights": False, "continuous": False},
    "long_tail": {"micro_batch": 64, "bf16_weights": False, "continuous": False},
    "m24": {"micro_batch": 128, "bf16_weights": True, "continuous": False},
}
"""Best settings found per shape: sequences per forward pass, bf16 weights or fp32 ones under autocast, and
transformers' continuous batching."""


_ENDLESS = 10**6
"""Steps of a run that is never waited for to end."""
_ROWS = 64
"""Times the problems stand in the data set, so that an epoch does not end after every step."""


def trl_side(link: Connection, shape: Shape, folder: Path, threads: int, lr: float, settings: dict[str, Any]) -> None:
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
                )
            )

    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    bf16 = shape.precision == "bf16"
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.bfloat16 if bf16 and settings["bf16_weights"] else torch.float32
    )
    template = Template.load(folder)
    rows = [{"prompt": template.render(problem.messages)} for problem in problems(shape)]
    expected = [list(template.encode(tokenizer, problem.messages)) for problem in problems(shape)]
    assert tokenizer([row["prompt"] for row in rows])["input_ids"] == expected, "both sides see the same prompt ids"

    def rewards(completion_ids: list[list[int]], **_: Any) -> list[float]:
        return [reward(ids) for ids in completion_ids]

    arguments = GRPOConfig(
        output_dir=tempfile.mkdtemp(),
        use_cpu=not torch.cuda.is_available(),
        bf16=bf16 and not settings["bf16_weights"],
        max_steps=_ENDLESS,
        per_device_train_batch_size=settings["micro_batch"],
        gradient_accumulation_steps=shape.num_completions // settings["micro_batch"],
        num_generations=GROUP_SIZE,
        max_completion_length=shape.max_tokens,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        use_transformers_continuous_batching=settings["continuous"],
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
        transformers_continuous_batching_config=settings.get("continuous_config"),
        torch_compile=settings.get("compile", False),
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
