"""One update of supervised fine-tuning on real reasoning: ponder against TRL 1.16's SFTTrainer on this machine.

    python benchmarks/sft_step.py --model FOLDER --data mip_gsm8k_deepseekR1.jsonl --traces 16 --steps 3

Both sides train all weights of a real model on the same token ids, 16 traces of DeepSeek-R1 an update, thoughts and
answers learnt, prompts not. TRL packs (`packing: True`) and keeps its weights in bf16, its fastest setting here; ponder
keeps fp32 weights and multiplies in bf16. They take turns, in alternating order, and medians are compared after an
update of warm-up. The last line printed is JSON.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from importlib import metadata
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from sides import Side, SideEnded, StepTime, wait

_LR = 1e-6
_ROWS = 10_000
"""Examples in TRL's data set, so that an epoch does not end."""

Example = tuple[list[int], list[int]]
"""Ids of prompt and response."""


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    examples = _examples(arguments)
    lengths = [len(prompt) + len(response) for prompt, response in examples]
    learnt = sum(len(response) for _, response in examples)
    sides = {
        "ponder": Side("ponder", _ponder, arguments.model, examples, arguments.threads),
        "trl": Side("TRL", _trl, arguments.model, examples, arguments.threads),
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    try:
        with sides["ponder"], sides["trl"]:
            peaks = {name: side.watched_step() for name, side in sides.items()}  # the warm-up
            for turn in range(arguments.steps):
                for name in list(sides) if turn % 2 else list(sides)[::-1]:
                    seconds[name].append(sides[name].step().seconds)
    except SideEnded as error:
        raise SystemExit(str(error)) from error
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    ratio = medians["trl"] / medians["ponder"]
    print(
        f"{len(examples)} traces of {min(lengths)} to {max(lengths)} tokens, {sum(lengths):,} in all, {learnt:,} learnt"
    )
    for name in sides:
        print(
            f"{name:8}{medians[name]:8.1f} s an update ({min(seconds[name]):.1f} to {max(seconds[name]):.1f})"
            f"{sum(lengths) / medians[name]:8.0f} tokens/s{peaks[name] / 2**20:9.0f} MiB at most"
        )
    print(f"ponder is {ratio:.2f} times as fast")
    print(
        json.dumps(
            {
                "ratios": {"sft": ratio},
                "seconds": seconds,
                "tokens": sum(lengths),
                "peak_bytes": peaks,
                "threads": arguments.threads,
                "versions": {package: metadata.version(package) for package in ("torch", "transformers", "trl")},
            }
        )
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", required=True, type=Path, help="folder of a real model with a chat template")
    parser.add_argument("--data", required=True, type=Path, help="JSON lines with `question` and `response`")
    parser.add_argument("--traces", type=int, default=16, help="traces an update (default: 16)")
    parser.add_argument("--tokens", type=int, default=1024, help="longest trace, prompt included (default: 1024)")
    parser.add_argument("--steps", type=int, default=3, help="updates of each side after the warm-up (default: 3)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="(default: all cores)")
    return parser.parse_args()


def _examples(arguments: argparse.Namespace) -> list[Example]:
    """The first traces that fit, in the form the model is trained in."""
    from transformers import AutoTokenizer

    from ponder.records import Message
    from ponder.text import TEMPLATES

    template, tokenizer = TEMPLATES["r1"], AutoTokenizer.from_pretrained(arguments.model)
    found: list[Example] = []
    with arguments.data.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            prompt = template.encode(tokenizer, [Message(role="user", content=row["question"])])
            response = [*tokenizer.encode(row["response"], add_special_tokens=False), tokenizer.eos_token_id]
            if len(prompt) + len(response) <= arguments.tokens:
                found.append((list(prompt), response))
            if len(found) == arguments.traces:
                return found
    raise SystemExit(f"{arguments.data} has {len(found)} traces of at most {arguments.tokens} tokens")


def _ponder(link: Connection, folder: Path, examples: list[Example], threads: int) -> None:
    from ponder.allocator import keep_freed_memory

    keep_freed_memory()  # as `ponder run` does, before torch is there

    import torch

    from ponder.algorithm import next_token_loss
    from ponder.policy import load_policy
    from ponder.recipe.training import BatchLimits, Optimizer
    from ponder.train import Sample, Trainer

    torch.set_num_threads(threads)
    trainer = Trainer(load_policy(folder, "r1", precision="bf16", device="cpu"), Optimizer(lr=_LR), BatchLimits())
    weight = 1 / sum(len(response) for _, response in examples)
    samples = [
        Sample(prompt_ids=tuple(prompt), response_ids=tuple(response), group=str(i), weight=weight)
        for i, (prompt, response) in enumerate(examples)
    ]
    link.send("ready")
    while True:
        wait(link)
        start = time.perf_counter()
        trainer.forward_backward(samples, next_token_loss)
        trainer.optimizer_step(_LR)
        link.send(StepTime(seconds=time.perf_counter() - start, generate_seconds=0.0, lengths=(), prompts=()))


def _trl(link: Connection, folder: Path, examples: list[Example], threads: int) -> None:
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    torch.set_num_threads(threads)

    class OnRequest(TrainerCallback):  # type: ignore[misc]
        """Waits before each update for the request, and answers after it."""

        start = 0.0

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            wait(link)
            self.start = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            seconds = time.perf_counter() - self.start
            link.send(StepTime(seconds=seconds, generate_seconds=0.0, lengths=(), prompts=()))

    longest = max(len(prompt) + len(response) for prompt, response in examples)
    rows = [
        {"input_ids": prompt + response, "completion_mask": [0] * len(prompt) + [1] * len(response)}
        for prompt, response in examples
    ]
    # A pack holds about two traces of these lengths; as many packs make an update as hold the traces of one.
    packs = -(-sum(len(row["input_ids"]) for row in rows) // (2 * longest))
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16),
        args=SFTConfig(
            output_dir=tempfile.mkdtemp(),
            use_cpu=True,
            packing=True,
            packing_strategy="wrapped",
            max_length=2 * longest,
            completion_only_loss=True,
            per_device_train_batch_size=1,
            gradient_accumulation_steps=packs,
            gradient_checkpointing=False,
            learning_rate=_LR,
            lr_scheduler_type="constant",
            adam_beta2=0.95,
            max_grad_norm=1.0,
            max_steps=10**6,
            report_to="none",
            logging_strategy="no",
            save_strategy="no",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        ),
        train_dataset=Dataset.from_list(rows * (_ROWS // len(rows))),
        processing_class=AutoTokenizer.from_pretrained(folder),
        callbacks=[OnRequest()],
    )
    link.send("ready")
    trainer.train()


if __name__ == "__main__":
    if not __debug__:
        sys.exit("run without -O: the sides check each other by assertions")
    main()
