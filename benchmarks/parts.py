"""Parts of ponder, before and after a change, in one process, turn about: what the table "Parts" of the README holds.

    python benchmarks/parts.py [name ...] [--rounds N]

A part is two functions that do the same work: as it was (kept here) and as it is. They take turns, the first turn of
each does not count, and the medians of the processor's time are printed with their ratio. Where something other than
time is compared, the functions return it. Names: see `PARTS`.
"""

import argparse
import atexit
import contextlib
import shutil
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from shapes import SHAPES, model_folder
from torch.nn import functional

from ponder.policy import Policy, add_lora, load_policy
from ponder.recipe import Lora
from ponder.recipe.rollout import Sampling
from ponder.recipe.training import BatchLimits, Optimizer
from ponder.records import Completion, Message, Problem, Rollout, Verdict
from ponder.rollout import PARITY_SAMPLES, LocalEngine, Request, check_parity, keys, local, slots, spread
from ponder.rollout.sampler import _draw, sample
from ponder.rollout.written import Written
from ponder.train import Sample, Trainer
from ponder.watch.lines import read_lines
from ponder.watch.rollouts import RolloutLog, rollout_files

Attended = tuple[torch.Tensor, torch.Tensor]
Sampled = list[tuple[Completion, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The same work as it was and as it is. `unit` is that of what the functions return; None: the time they take."""

    title: str
    before: Callable[[], float | None]
    after: Callable[[], float | None]
    unit: str | None = None


def top_p() -> list[Part]:
    """One sampling step of 16 rows over a vocabulary of 152k tokens; logits as peaked as a language model's, and flat
    ones, whose nucleus holds most of the vocabulary."""
    vocabulary = 151_936
    generator = torch.Generator().manual_seed(0)
    uniform = torch.rand(16, dtype=torch.float64, generator=generator)
    parts = []
    for name, deviation in (("peaked", 4.0), ("flat", 0.5)):
        logits = torch.randn(16, vocabulary, generator=generator) * deviation

        def whole_sort(logits: torch.Tensor = logits) -> None:
            mass = logits.div(0.6)
            mass = mass.sub_(mass.amax(1, keepdim=True)).exp_()
            best = torch.from_numpy(np.sort(mass.numpy(), 1)).flip(1)
            cumulative = best.cumsum(1)
            last = (cumulative < 0.95 * cumulative[:, -1:]).sum(1, keepdim=True)
            mass.masked_fill_(mass < best.gather(1, last), 0)
            _draw(mass, uniform)

        def now(logits: torch.Tensor = logits) -> None:
            sample(logits.clone(), uniform, Sampling(temperature=0.6, top_p=0.95))

        def plain(logits: torch.Tensor = logits) -> None:
            sample(logits.clone(), uniform, Sampling(temperature=0.6))

        parts.append(Part(title=f"top_p 0.95 of 152k tokens, 16 rows, {name}", before=whole_sort, after=now))
        parts.append(Part(title=f"  ... beside sampling without top_p, {name}", before=plain, after=now))

    return parts


def attention() -> list[Part]:
    """The embedded model with bf16 products: how far the engine's log-probs are from the trainer's, and what sampling
    costs. Before: keys, values and scores in bf16."""
    policy = load_policy("micro", "r1-zero", "bf16")
    trainer = Trainer(policy, Optimizer(), BatchLimits())
    asked = _requests(policy, problems=8, samples=16)

    def rounded(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor) -> Attended:
        shape = query.shape[:-1]
        scores = torch.bmm(query.flatten(0, 1).flatten(1, -2), key.flatten(0, 1)).view(*shape, -1)
        scores = scores + functional.pad(bias, (scores.shape[-1] - bias.shape[-1], 0))
        weights = torch.softmax(scores, -1)
        lse = scores.amax(-1) - weights.amax(-1).log()
        mixed = torch.bmm(weights.to(value.dtype).flatten(0, 1).flatten(1, -2), value.flatten(0, 1))
        return mixed.view(*shape, -1), lse

    def generated(before: bool) -> Sampled:
        now = keys.attention_dtype, slots.attend
        if before:
            keys.attention_dtype = lambda device, products: products  # type: ignore[attr-defined]
            slots.attend = rounded
        try:
            return LocalEngine(policy, 256, 1).generate(asked, Sampling(), 128, 0)
        finally:
            keys.attention_dtype, slots.attend = now  # type: ignore[attr-defined]

    def difference(before: bool) -> float:
        samples = [
            Sample(prompt_ids=r.prompt_ids, response_ids=c.token_ids, group=r.key, weight=0.0, behaviour=c.logprobs)
            for r, group in zip(asked, generated(before), strict=True)
            for c in group
        ]
        pairs = zip(samples, trainer.logprobs(samples), strict=True)
        return float(np.concatenate([np.abs(np.asarray(s.behaviour) - own.numpy()) for s, own in pairs]).mean())

    return [
        Part(
            title="engine against trainer, bf16 products, mean difference",
            before=lambda: difference(True),
            after=lambda: difference(False),
            unit="nats",
        ),
        Part(
            title="sampling 128 completions of at most 128 tokens, bf16 products",
            before=lambda: _nothing(generated(True)),
            after=lambda: _nothing(generated(False)),
        ),
    ]


def frozen() -> list[Part]:
    """A model of 24M parameters that nothing trains, with bf16 products: the memory of its weights, and what sampling
    64 completions of 32 tokens takes. Before: loaded as one that is trained, in float32."""
    folder = model_folder(SHAPES["m24"], _temporary())
    whole, kept = (load_policy(folder, "r1-zero", "bf16", trained=trained) for trained in (True, False))

    def size(policy: Policy) -> float:
        return sum(parameter.nbytes for parameter in policy.model.parameters()) / 2**20

    def sampled(policy: Policy) -> Sampled:
        return LocalEngine(policy, 64, 1).generate(_requests(policy, problems=4, samples=16), Sampling(), 32, 0)

    assert sampled(whole) == sampled(kept)
    return [
        Part(
            title="weights of a model of 24M parameters that only writes",
            before=lambda: size(whole),
            after=lambda: size(kept),
            unit="MiB",
        ),
        Part(
            title="  ... and sampling 64 completions of 32 tokens with it",
            before=lambda: _nothing(sampled(whole)),
            after=lambda: _nothing(sampled(kept)),
        ),
    ]


def lora() -> list[Part]:
    """Sampling 64 completions of 32 tokens from a model of 24M parameters with adapters, bf16 products. Before: each
    frozen matrix cast in every product, as autocast does with weights that take no gradient."""
    policy = load_policy(model_folder(SHAPES["m24"], _temporary()), "r1-zero", "bf16")
    add_lora(policy, Lora(rank=8), seed=0)
    asked = _requests(policy, problems=4, samples=16)

    def sampled() -> Sampled:
        return LocalEngine(policy, 64, 1).generate(asked, Sampling(), 32, 0)

    assert sampled() == _cast_in_every_product(sampled)
    return [
        Part(
            title="sampling 64 completions of 32 tokens with LoRA, 24M parameters",
            before=lambda: _nothing(_cast_in_every_product(sampled)),
            after=lambda: _nothing(sampled()),
        )
    ]


def steps() -> list[Part]:
    """What a decoding step of 256 rows costs beside the model: the mask of the rows' own keys, and room for the tokens
    when one row has ended and another begins. Rows are of lengths within 32 of 4,096."""
    rows, length = 256, 4096
    length_RN = (length - np.arange(rows) // 8)[:, None]
    live_R, device = np.ones(rows, np.bool_), torch.device("cpu")

    def whole_mask() -> None:
        hidden = torch.from_numpy(np.arange(length) >= length_RN.reshape(-1)[:, None])
        torch.zeros(hidden.shape).masked_fill_(hidden, float("-inf"))

    def mask() -> None:
        for start, stop, places in slots._spans(length_RN[:, -1]):
            slots._own_bias(length_RN[start:stop], live_R[start:stop], places, device)

    written, row_N = Written(), np.arange(rows)
    ids, logprobs = np.zeros(rows, np.int64), np.zeros(rows, np.float32)
    written.write(row_N, np.full(rows, length), ids, logprobs)
    padded = [np.zeros((rows - 1, length), np.int64), np.zeros((rows - 1, length), np.float32)]

    def padding() -> None:
        for values in padded:
            grown = np.pad(values, ((0, 1), (0, 0)))
            grown[row_N, length_RN[:, 0] - 1] = 0

    return [
        Part(title="mask of 256 rows of 4,096 own keys", before=whole_mask, after=mask),
        Part(
            title="room for one new row beside 255 of 4,096 tokens",
            before=padding,
            after=lambda: written.write(row_N, length_RN[:, 0] - 1, ids, logprobs),
        ),
    ]


def parity() -> list[Part]:
    """Engine against trainer on a rollout of 512 completions."""
    policy = load_policy("micro", "r1-zero", "fp32")
    trainer = Trainer(policy, Optimizer(), BatchLimits())
    asked = _requests(policy, problems=32, samples=16)
    done = LocalEngine(policy, 256, 1).generate(asked, Sampling(), 128, 0)
    samples = [
        Sample(prompt_ids=r.prompt_ids, response_ids=c.token_ids, group=r.key, weight=0.0, behaviour=c.logprobs)
        for r, group in zip(asked, done, strict=True)
        for c in group
    ]

    def checked(chosen: Sequence[Sample]) -> float:
        ids, own = [s.response_ids for s in chosen], [one.tolist() for one in trainer.logprobs(chosen)]
        return check_parity(ids, [s.behaviour or () for s in chosen], own, 0.02).mean

    def some() -> float:
        return checked([samples[i] for i in spread([len(s.response_ids) for s in samples], PARITY_SAMPLES)])

    return [
        Part(
            title="check of parity on 512 completions",
            before=lambda: _nothing(checked(samples)),
            after=lambda: _nothing(some()),
        ),
        Part(title="  ... and the mean difference it finds", before=lambda: checked(samples), after=some, unit="nats"),
    ]


def resume() -> list[Part]:
    """Cutting 4,000 rollouts of 2,000 tokens, 130 MB on disk, back to their last step."""
    folder = _temporary()
    log = RolloutLog(folder)
    for step in range(4_000):
        log.write(step, _rollout(2_000))

    def whole() -> None:
        for path in rollout_files(folder):
            for _, value in read_lines(path):
                if value["step"] > 3_999:
                    raise AssertionError(value["step"])

    return [Part(title="resuming after 4,000 rollouts (130 MB)", before=whole, after=lambda: log.truncate_after(3_999))]


def completions() -> list[Part]:
    """Memory of 100 completions of 2,000 tokens."""

    def held(make: Callable[[list[int], list[float]], object]) -> float:
        ids = [np.random.default_rng(i).integers(0, 150_000, 2_000) for i in range(100)]
        tracemalloc.start()
        kept = [make(one.tolist(), (-one / 1e5).tolist()) for one in ids]
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return size / (2_000 * len(kept))

    return [
        Part(
            title="a token of a completion and its log-prob",
            before=lambda: held(lambda ids, logprobs: (tuple(ids), tuple(logprobs))),
            after=lambda: held(lambda ids, logprobs: _completion(ids, logprobs)),
            unit="bytes",
        )
    ]


PARTS: dict[str, Callable[[], list[Part]]] = {
    "top_p": top_p,
    "attention": attention,
    "frozen": frozen,
    "lora": lora,
    "steps": steps,
    "parity": parity,
    "resume": resume,
    "completions": completions,
}


def _temporary() -> Path:
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    return folder


def _cast_in_every_product(work: Callable[[], Sampled]) -> Sampled:
    now = local.cast_once
    local.cast_once = contextlib.nullcontext  # type: ignore[assignment]
    try:
        return work()
    finally:
        local.cast_once = now


def _requests(policy: Policy, problems: int, samples: int) -> list[Request]:
    return [
        Request(
            prompt_ids=policy.template.encode(
                policy.tokenizer, [Message(role="user", content=f"What is {i + 3} * {i + 7}?")]
            ),
            seeds=tuple(range(100 * i, 100 * i + samples)),
            key=str(i),
        )
        for i in range(problems)
    ]


def _completion(ids: list[int], logprobs: list[float]) -> Completion:
    return Completion(token_ids=ids, logprobs=logprobs, text="", finish_reason="stop", weight_version=0, seed=0)


def _rollout(tokens: int) -> Rollout:
    return Rollout(
        problem=Problem(id="p", messages=(Message(role="user", content="2+3?"),), gold=None, domain="math"),
        prompt_ids=(1, 2),
        completion=_completion([1234] * tokens, [-0.123456] * tokens),
        verdict=Verdict(outcome="right", reason=""),
        rewards={},
        reward=0.0,
    )


def _nothing(result: object) -> None:
    """Only the time counts."""


def measured(work: Callable[[], float | None], unit: str | None) -> float:
    start = time.process_time()
    result = work()
    if unit is None:
        return (time.process_time() - start) * 1000
    assert result is not None
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*PARTS, []], help="parts to measure; all of them if none is named")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each side that count")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'part':72} {'before':>10} {'after':>10}        before / after")
    for name in options.names or PARTS:
        for part in PARTS[name]():
            rounds = options.rounds if part.unit is None else 1
            turns = [
                (measured(part.before, part.unit), measured(part.after, part.unit))
                for _ in range(rounds + (rounds > 1))
            ]
            before, after = (median(side) for side in zip(*turns[rounds > 1 :], strict=True))
            print(f"{part.title:72} {before:10.4g} {after:10.4g} {part.unit or 'ms':12} {before / after:.2f}")


if __name__ == "__main__":
    main()
