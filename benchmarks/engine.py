"""Tokens per second of ponder's engine against transformers' `generate` and, where it is installed, vLLM.

    python benchmarks/engine.py --shapes uniform,long_tail,m24 --repeats 3

All complete the same prompts with the same model, group size, temperature and length limit. `generate` gets the whole
batch at once and runs with the faster of its attentions, found on a shorter completion first, and its dynamic cache.
The engines take turns after a warm-up; medians are compared. The last line printed is JSON.
"""

import argparse
import dataclasses
import importlib.util
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from shapes import GROUP_SIZE, RANDOM, SHAPES, USUAL, Shape, model_folder, problems
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging

from ponder.policy import load_policy
from ponder.recipe.rollout import Sampling
from ponder.rollout import LocalEngine, Request
from ponder.text.template import Template

_TRIAL_TOKENS = 32
"""Length of the completions that choose the settings of `generate`."""
_SETTINGS = [{"attention": attention} for attention in ("sdpa", "eager")]
"""A static cache wins short trials and loses whole completions, which it computes at full length from the start."""

Prompts = list[list[int]]
Generate = Callable[[int, int], int]
"""(longest completion, seed) -> tokens sampled, ends included and nothing after them."""


def main() -> None:
    """Measure every shape asked for and print what was found."""
    arguments = _arguments()
    logging.disable_progress_bar()
    torch.set_num_threads(arguments.threads)
    names = arguments.shapes.split(",")
    if unknown := set(names) - set(RANDOM):
        raise SystemExit(f"unknown shapes {sorted(unknown)}: there are {', '.join(RANDOM)}")
    with_vllm = importlib.util.find_spec("vllm") is not None
    if not with_vllm:
        print("vLLM is not installed: left out. Its CPU build: https://docs.vllm.ai, installation for CPU.")
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            shape = SHAPES[name]
            if arguments.smoke:
                shape = dataclasses.replace(shape, num_problems=2, max_tokens=16)
            results[name] = _compare(shape, model_folder(shape, Path(folder)), arguments.repeats, with_vllm)
    summary = {
        "ratios": {name: result["ratios"] for name, result in results.items()},
        "threads": arguments.threads,
        "repeats": arguments.repeats,
        "versions": {name: metadata.version(name) for name in ("torch", "transformers")},
        "shapes": results,
    }
    print(json.dumps(summary))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shapes", default=USUAL, help=f"comma-separated (default: {USUAL})")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each engine (default: 3)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="(default: all cores)")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, to see that everything runs")
    return parser.parse_args()


def _compare(shape: Shape, folder: Path, repeats: int, with_vllm: bool) -> dict[str, Any]:
    """Runs of every engine in turn; prints a table and returns its numbers."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    prompts = [list(Template.load(folder).encode(tokenizer, problem.messages)) for problem in problems(shape)]
    settings = _best_settings(shape, folder, prompts)
    engines: dict[str, Generate] = {
        "ponder": _ponder(shape, folder, prompts),
        "transformers": _transformers(shape, folder, prompts, settings),
    }
    if with_vllm:
        engines["vllm"] = _vllm(shape, folder, prompts)
    rates: dict[str, list[float]] = {name: [] for name in engines}
    for name, generate in engines.items():
        generate(_TRIAL_TOKENS, 0)
        rates[name].clear()
    for seed in range(1, repeats + 1):
        for name, generate in engines.items():
            start = time.perf_counter()
            tokens = generate(shape.max_tokens, seed)
            rates[name].append(tokens / (time.perf_counter() - start))
    median = {name: statistics.median(measured) for name, measured in rates.items()}
    print(
        f"\n{shape.name}: {shape.num_completions} completions of at most {shape.max_tokens} tokens, {shape.precision}, "
        f"{torch.get_num_threads()} threads; transformers: {settings['attention']} attention"
    )
    print(f"{'':14}{'tokens/s':>10}{'from':>8}{'to':>8}{'ponder is':>14}")
    for name, measured in rates.items():
        ratio = "" if name == "ponder" else f"{median['ponder'] / median[name]:.2f} x as fast"
        print(f"{name:14}{median[name]:10.0f}{min(measured):8.0f}{max(measured):8.0f}{ratio:>18}")
    return {
        "tokens_per_second": median,
        "ratios": {name: median["ponder"] / rate for name, rate in median.items() if name != "ponder"},
        "transformers_settings": settings,
    }


def _ponder(shape: Shape, folder: Path, prompts: Prompts) -> Generate:
    policy = load_policy(folder, precision="bf16" if shape.precision == "bf16" else "fp32", device="cpu")
    engine = LocalEngine(policy, max_slots=shape.num_completions)

    def generate(max_tokens: int, seed: int) -> int:
        requests = [
            Request(
                prompt_ids=tuple(prompt),
                seeds=tuple((seed * len(prompts) + i) * GROUP_SIZE + j for j in range(GROUP_SIZE)),
                key=str(i),
            )
            for i, prompt in enumerate(prompts)
        ]
        completions = engine.generate(requests, Sampling(), max_tokens, weight_version=0)
        return sum(len(completion.token_ids) for group in completions for completion in group)

    return generate


def _best_settings(shape: Shape, folder: Path, prompts: Prompts) -> dict[str, str]:
    """The attention with which `generate` is fastest on this machine."""

    def seconds(settings: dict[str, str]) -> float:
        generate = _transformers(shape, folder, prompts, settings)
        generate(2, 0)
        start = time.perf_counter()
        generate(_TRIAL_TOKENS, 0)
        return time.perf_counter() - start

    return min(_SETTINGS, key=seconds)


def _transformers(shape: Shape, folder: Path, prompts: Prompts, settings: dict[str, str]) -> Generate:
    dtype = torch.bfloat16 if shape.precision == "bf16" else torch.float32
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation=settings["attention"]).eval()
    ends = model.generation_config.eos_token_id
    end_ids = torch.tensor(ends if isinstance(ends, list) else [ends])
    longest = max(map(len, prompts))
    # Padding stands on the left and is masked, so any id will do.
    ids = torch.tensor([[0] * (longest - len(p)) + p for p in prompts for _ in range(GROUP_SIZE)])
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts for _ in range(GROUP_SIZE)])

    @torch.inference_mode()
    def generate(max_tokens: int, seed: int) -> int:
        torch.manual_seed(seed)
        output = model.generate(
            ids,
            attention_mask=mask,
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            max_new_tokens=max_tokens,
            pad_token_id=0,
        )
        ended = torch.isin(output[:, longest:], end_ids)
        first_end = torch.where(ended.any(1), ended.int().argmax(1) + 1, ended.shape[1])
        return int(first_end.sum())

    return generate


def _vllm(shape: Shape, folder: Path, prompts: Prompts) -> Generate:
    from vllm import LLM, SamplingParams

    engine = LLM(
        model=str(folder),
        dtype="bfloat16" if shape.precision == "bf16" else "float32",
        max_model_len=max(map(len, prompts)) + shape.max_tokens,
        max_num_seqs=shape.num_completions,
        enable_prefix_caching=True,
    )

    def generate(max_tokens: int, seed: int) -> int:
        sampling = SamplingParams(n=GROUP_SIZE, temperature=1.0, max_tokens=max_tokens, seed=seed, detokenize=False)
        outputs = engine.generate([{"prompt_token_ids": prompt} for prompt in prompts], sampling, use_tqdm=False)
        return sum(len(completion.token_ids) for output in outputs for completion in output.outputs)

    return generate


if __name__ == "__main__":
    main()
