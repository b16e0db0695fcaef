"""What ponder does on a CUDA GPU, in ten minutes: rates beside TRL and vLLM, memory beside the plan, parity, a kill.

    python benchmarks/gpu.py [--parts step engine attention memory resume] [--shapes g05 g15] [--steps 3]

    step        GRPO's step of ponder and of TRL in turn, one process each; the share of the card's bf16 matrix rate
    engine      tokens per second by the number of completions at a time, and how far their log-probs are from the
                trainer's; vLLM beside it where it is installed
    attention   a pass over packed sequences by the kernel of CUDA and by blocks
    memory      the most that tensors took in an update and in sampling, beside what `ponder plan` reckons with
    resume      zero-micro, undisturbed and killed at a random moment: the same weights and rollouts

Models have the form of Qwen2.5-0.5B and -1.5B and random weights. A part that fails says so and the others go on. The
last line is JSON.
"""

import argparse
import dataclasses
import gc
import hashlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from shapes import GROUP_SIZE, RANDOM, SHAPES, Shape, model_folder, problems
from side_ponder import ponder_side
from side_trl import SETTINGS, trl_side
from sides import Side, StepTime

from ponder.algorithm import policy_loss
from ponder.pipeline.memory import memory, phases
from ponder.policy import Policy, load_policy
from ponder.policy.packed import PackedLayout
from ponder.recipe.objective import Objective
from ponder.recipe.problems import MicroProblems
from ponder.recipe.rollout import EngineConfig, Sampling, has_vllm
from ponder.recipe.shape import Shape as ModelShape
from ponder.recipe.shape import shape_of
from ponder.recipe.stages import RlStage
from ponder.recipe.training import BatchLimits, Optimizer
from ponder.rollout import Engine, Request, open_engine
from ponder.train import Sample, Trainer

_LR = 1e-6
_TOKENS = 32_768
"""Of a pass."""
_GIB = 2**30
_SQUARE = 8192


def main() -> None:
    """Measure what is asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=list(_PARTS), choices=list(_PARTS))
    parser.add_argument("--shapes", nargs="+", default=["g05", "g15"], choices=RANDOM)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rows", type=int, nargs="+", default=[64, 256, 512])
    parser.add_argument("--smoke", action="store_true", help="tiny sizes on whatever is there")
    arguments = parser.parse_args()
    if not torch.cuda.is_available() and not arguments.smoke:
        raise SystemExit("benchmarks/gpu.py measures a CUDA GPU, and torch finds none. `--smoke` only tries the script")
    arguments.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    arguments.card = _card(arguments.device)
    found: dict[str, Any] = {"card": arguments.card, "torch": torch.__version__}
    print(f"{found['card']}, torch {found['torch']}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        arguments.folder = Path(folder)
        arguments.models = {name: _model(SHAPES[name], Path(folder), arguments.smoke) for name in arguments.shapes}
        for part in arguments.parts:
            began = time.monotonic()
            try:
                found[part] = _PARTS[part](arguments)
            except Exception as error:  # what else there is to see is worth more than a clean end
                traceback.print_exc()
                found[part] = {"failed": repr(error)}
            gc.collect()
            if arguments.device.type == "cuda":
                torch.cuda.empty_cache()
            print(f"-- {part}: {time.monotonic() - began:.0f} s\n", flush=True)
    print(json.dumps(found))


def _card(device: torch.device) -> dict[str, Any]:
    """Its name, and its rates as measured: of a large bf16 product, of a large copy."""
    name = torch.cuda.get_device_name() if device.type == "cuda" else "no card"
    size = _SQUARE if device.type == "cuda" else 256
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    source = torch.ones(size * size * 8, device=device)
    target = torch.empty_like(source)
    product, copy = _seconds(lambda: left @ right, device), _seconds(lambda: target.copy_(source), device)
    return {"name": name, "flops": 2 * size**3 / product, "bytes": 2 * source.nbytes / copy}


def _seconds(run: Callable[[], object], device: torch.device, times: int = 5) -> float:
    """Median seconds of a repetition, after one that does not count."""
    taken = []
    for _ in range(times + 1):
        began = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])


def _model(shape: Shape, folder: Path, smoke: bool) -> tuple[Shape, Path]:
    if smoke:
        small = {"hidden": 64, "layers": 2, "heads": 4, "intermediate": 128, "num_problems": 2, "max_tokens": 16}
        shape = dataclasses.replace(shape, **small)
    return shape, model_folder(shape, folder)


def _step(arguments: argparse.Namespace) -> dict[str, Any]:
    """Steps of both sides in turn."""
    found = {}
    for shape, folder in arguments.models.values():
        sides = {
            "ponder": partial(Side, "ponder", ponder_side, shape, folder, 8, _LR),
            "trl": partial(Side, "TRL", trl_side, shape, folder, 8, _LR, SETTINGS[shape.name]),
        }
        one: dict[str, Any] = {}
        for name, open_side in sides.items():
            try:
                with open_side() as side:
                    side.step()
                    one[name] = _rates([side.step() for _ in range(arguments.steps)], shape, folder, arguments)
                print(f"{shape.name} {name:7}" + "".join(f" {k} {v:,.4g}" for k, v in one[name].items()), flush=True)
            except Exception as error:
                one[name] = {"failed": repr(error)}
                print(f"{shape.name} {name}: {error!r}", flush=True)
        if all("seconds" in side for side in one.values()):
            one["ratio"] = one["trl"]["seconds"] / one["ponder"]["seconds"]
            print(f"{shape.name}: ponder's step is {one['ratio']:.2f} times as fast", flush=True)
        found[shape.name] = one
    return found


def _rates(steps: list[StepTime], shape: Shape, folder: Path, arguments: argparse.Namespace) -> dict[str, float]:
    from machine import work
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder)
    tokens = sum(steps[0].lengths)
    update = statistics.median(step.update_seconds for step in steps)
    generate = statistics.median(step.generate_seconds for step in steps)
    found = {
        "seconds": statistics.median(step.seconds for step in steps),
        "generated_per_second": tokens / generate,
        "updated_per_second": tokens / update,
        "peak_gib": max(step.device_bytes for step in steps) / _GIB,
        "update_tflops": work(config, shape, steps[0]).update_flops / update / 1e12,
    }
    return found | {"update_share": found["update_tflops"] * 1e12 / arguments.card["flops"]}


def _engine(arguments: argparse.Namespace) -> dict[str, Any]:
    """Rates, and log-probs beside the trainer's."""
    found: dict[str, Any] = {}
    for shape, folder in arguments.models.values():
        for kind in ("local", *(["vllm"] if has_vllm() else [])):
            policy = load_policy(folder, precision="bf16", device=arguments.device)
            engine = open_engine(EngineConfig(kind=kind, max_slots=max(arguments.rows)), policy)  # type: ignore[arg-type]
            rates = {}
            for rows in arguments.rows:
                asked = _requests(policy, rows)
                _generated(engine, asked, 8)
                began = time.perf_counter()
                tokens = sum(
                    len(one.token_ids) for group in _generated(engine, asked, shape.max_tokens) for one in group
                )
                rates[rows] = tokens / (time.perf_counter() - began)
            found[f"{shape.name} {kind}"] = rates
            print(
                f"{shape.name} {kind}: " + ", ".join(f"{rate:,.0f} tokens/s of {rows}" for rows, rate in rates.items())
            )
            del policy, engine
            gc.collect()
        for precision in ("bf16", "fp32"):
            difference = _parity(folder, precision, arguments)
            found[f"{shape.name} parity {precision}"] = difference
            print(f"{shape.name} {precision}: engine and trainer differ by {difference:.2e} on average", flush=True)
    return found


def _requests(policy: Policy, rows: int) -> list[Request]:
    asked = problems(dataclasses.replace(SHAPES["g05"], num_problems=max(1, rows // GROUP_SIZE)))
    return [
        Request(
            prompt_ids=policy.template.encode(policy.tokenizer, problem.messages),
            seeds=tuple(range(min(rows, GROUP_SIZE))),
            key=problem.id,
        )
        for problem in asked
    ]


def _generated(engine: Engine, asked: list[Request], max_tokens: int) -> list[Any]:
    return engine.generate(asked, Sampling(), max_tokens, 0)


def _parity(folder: Path, precision: Any, arguments: argparse.Namespace) -> float:
    policy = load_policy(folder, precision=precision, device=arguments.device)
    asked = _requests(policy, 32)
    groups = _generated(open_engine(EngineConfig(), policy), asked, 64)
    trainer = Trainer(policy, Optimizer(), BatchLimits(tokens_per_micro_batch=_TOKENS))
    samples = _samples(asked, groups)
    theirs = torch.tensor([x for group in groups for one in group for x in one.logprobs])
    return float((torch.cat(trainer.logprobs(samples)) - theirs).abs().mean())


def _samples(asked: list[Request], groups: list[Any]) -> list[Sample]:
    return [
        Sample(
            prompt_ids=tuple(request.prompt_ids),
            response_ids=tuple(one.token_ids),
            group=request.key,
            weight=1e-4,
            advantage=1.0 if i % 2 else -1.0,
            behaviour=tuple(one.logprobs),
        )
        for request, group in zip(asked, groups, strict=True)
        for i, one in enumerate(group)
    ]


def _attention(arguments: argparse.Namespace) -> dict[str, Any]:
    """Forward and backward of one layer's attention, packed, both ways."""
    from ponder.policy import packed, varlen

    device, found = arguments.device, {}
    prompts, length = (16, 1024) if device.type == "cuda" else (2, 32)
    layout = PackedLayout([200] * prompts, [length] * prompts * 2, [i // 2 for i in range(prompts * 2)], device)
    given = [
        torch.randn(1, heads, layout.tokens, 64, device=device, dtype=torch.bfloat16, requires_grad=True)
        for heads in (14, 2, 2)
    ]

    def run() -> None:
        layout.attend(*given, 0.125).sum().backward()

    kernels: dict[str, Callable[[torch.Tensor], bool]] = {"varlen": varlen.has_varlen, "blocks": lambda _: False}
    for name, has in kernels.items():
        packed.has_varlen = has
        try:
            if name == "varlen" and not has(given[0][0]):
                print("attention: torch has no such kernel here")
                continue
            found[name] = _seconds(run, device)
            print(f"attention of {layout.tokens:,} tokens by {name}: {found[name] * 1e3:.1f} ms", flush=True)
        finally:
            packed.has_varlen = varlen.has_varlen
    return found


def _memory(arguments: argparse.Namespace) -> dict[str, Any]:
    """Most bytes of tensors beside the plan's."""
    found: dict[str, Any] = {}
    for shape, folder in arguments.models.values():
        policy = load_policy(folder, precision="bf16", device=arguments.device)
        limits = BatchLimits(tokens_per_micro_batch=_TOKENS)
        engine = open_engine(EngineConfig(max_slots=shape.num_completions), policy)
        trainer = Trainer(policy, Optimizer(), limits)
        asked = _requests(policy, shape.num_completions)
        measured = {}
        for _ in range(2):  # the first one makes the moments
            _reset(arguments.device)
            groups = _generated(engine, asked, shape.max_tokens)
            measured["sampling"] = _most(arguments.device)
            _reset(arguments.device)
            trainer.forward_backward(_samples(asked, groups), partial(policy_loss, objective=_OBJECTIVE))
            trainer.optimizer_step(_LR)
            measured["update"] = _most(arguments.device)
        planned = phases(memory(_stage(shape, limits), _shape_of(policy), bf16=True, bf16_cache=True))
        for phase, taken in measured.items():
            print(f"{shape.name} {phase}: {taken / _GIB:.2f} GiB, planned {planned[phase] / _GIB:.2f}", flush=True)
        found[shape.name] = {"measured": measured, "planned": planned}
        del policy, engine, trainer
        gc.collect()
    return found


_OBJECTIVE = Objective(kl_coefficient=0.0)


def _stage(shape: Shape, limits: BatchLimits) -> RlStage:
    return RlStage(
        model="micro",
        problems=(MicroProblems(count=shape.num_problems),),
        steps=1,
        problems_per_step=shape.num_problems,
        group_size=GROUP_SIZE,
        sampling=Sampling(max_tokens=shape.max_tokens),
        objective=_OBJECTIVE,
        engine=EngineConfig(max_slots=shape.num_completions),
        batch=limits,
    )


def _shape_of(policy: Policy) -> ModelShape:
    found = shape_of(policy.model.config.to_dict(), "the model")
    assert isinstance(found, ModelShape), found
    return found


def _reset(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _most(device: torch.device) -> int:
    return int(torch.cuda.max_memory_allocated()) if device.type == "cuda" else 0


def _resume(arguments: argparse.Namespace) -> dict[str, Any]:
    """Once undisturbed, once killed; what is left must be the same."""
    steps = 2 if arguments.smoke else 6
    given = [
        f"stages.zero.steps={steps}",
        "stages.zero.problems_per_step=8",
        "stages.zero.sampling.max_tokens=128",
        "stages.zero.checkpoint_every=1",
        "stages.zero.held_out=null",
    ]
    digests, seconds = [], []
    for name in ("whole", "killed"):
        out = arguments.folder / name
        command = [sys.executable, "-m", "ponder.cli", "run", "zero-micro", "--out", str(out), *given]
        began = time.monotonic()
        with (arguments.folder / f"{name}.log").open("wb") as log:
            if name == "killed":
                run = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
                _wait(out / "stages" / "zero" / "metrics.jsonl", 2 if steps > 2 else 1, run)
                time.sleep(random.Random(0).uniform(0, 1))
                os.killpg(run.pid, signal.SIGKILL)
                run.wait()
            if subprocess.run(command, stdout=log, stderr=subprocess.STDOUT).returncode:
                raise RuntimeError((arguments.folder / f"{name}.log").read_text()[-3000:])
        seconds.append(time.monotonic() - began)
        digests.append(_digest(out))
    same = digests[0] == digests[1]
    print(f"killed and resumed: {'the same bytes' if same else 'OTHER BYTES'}; {seconds[0]:.0f} and {seconds[1]:.0f} s")
    return {"same": same, "seconds": seconds}


def _wait(metrics: Path, rows: int, run: "subprocess.Popen[bytes]") -> None:
    """Until so many updates are made."""
    while run.poll() is None and (not metrics.exists() or len(metrics.read_text().splitlines()) < rows):
        time.sleep(0.05)


def _digest(out: Path) -> str:
    files = sorted([*out.rglob("model.safetensors"), *out.rglob("rollouts-*.jsonl")])
    assert files, f"nothing in {out}"
    return hashlib.sha256(b"".join(hashlib.sha256(one.read_bytes()).digest() for one in files)).hexdigest()


_PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "step": _step,
    "engine": _engine,
    "attention": _attention,
    "memory": _memory,
    "resume": _resume,
}

if __name__ == "__main__":
    main()
