"""The tensors of one micro-batch: samples in, one packed row and the aligned values of its trained tokens out.

Shapes: T packed tokens, N trained tokens (the response tokens that are learnt), S samples.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ponder.policy.packed import PackedLayout, round_up
from ponder.train.sample import Sample

__all__ = ["Batch", "round_up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """`read_M` is the packed token whose hidden state predicts `target_M`; only the first N of these M count, the rest
    rounds their number up, as a prompt of padding rounds up T. `sequence_N` counts samples from 0.
    `behaviour_N` is NaN where a sample has none, so that a loss that needs it cannot go unnoticed. `values_N` and
    `returns_N` are None where no critic has given credit."""

    input_ids_1T: torch.Tensor
    layout: PackedLayout
    read_M: torch.Tensor
    target_M: torch.Tensor
    sequence_N: torch.Tensor
    behaviour_N: torch.Tensor
    reference_N: torch.Tensor | None
    proximal_N: torch.Tensor | None
    advantages_N: torch.Tensor
    values_N: torch.Tensor | None
    returns_N: torch.Tensor | None
    weights_N: torch.Tensor
    lengths: tuple[int, ...]

    @classmethod
    def of(cls, samples: Sequence[Sample], device: torch.device) -> "Batch":
        """Lay the samples out: every group's prompt once, then every response without its last token."""
        prompts = {sample.group: sample.prompt_ids for sample in samples}
        place = {group: i for i, group in enumerate(prompts)}
        owner = [place[sample.group] for sample in samples]
        prompt_rows = list(prompts.values())
        tokens = sum(map(len, prompt_rows)) + sum(sample.packed_tokens for sample in samples)
        padding = round_up(tokens) - tokens
        packed = [sample.packed_tokens for sample in samples]
        layout = PackedLayout(list(map(len, prompt_rows)), packed, owner, device, padding)
        ids = [*prompt_rows, (0,) * padding, *(sample.response_ids[:-1] for sample in samples)]

        lengths = np.array([len(sample.response_ids) for sample in samples], np.int64)
        firsts = np.cumsum(lengths) - lengths
        prompt_lengths = np.array(list(map(len, prompt_rows)), np.int64)
        read = np.arange(lengths.sum()) + np.repeat(layout.response_starts - firsts - 1, lengths)
        read[firsts] = (
            layout.prompt_starts[owner] + prompt_lengths[owner] - 1
        )  # the prompt's end predicts the first token
        targets: list[Sequence[int]] = [sample.response_ids for sample in samples]
        if any(sample.spans for sample in samples):
            read = read[np.concatenate([sample.learnt for sample in samples])]
            targets = [sample.learnt_ids for sample in samples]
            lengths = np.array([len(ids) for ids in targets], np.int64)
        unread = round_up(len(read)) - len(read)

        def floats(values: Iterable[float]) -> torch.Tensor:
            return torch.from_numpy(np.repeat(np.fromiter(values, np.float32, len(samples)), lengths)).to(device)

        no_reference = any(sample.reference is None for sample in samples)
        credits = [sample.credit for sample in samples if sample.credit is not None]
        if credits and len(credits) < len(samples):
            raise AssertionError(f"a critic gave credit to {len(credits)} of {len(samples)} samples")
        behaviour = [sample.behaviour or (np.nan,) * sample.learnt_tokens for sample in samples]
        return cls(
            input_ids_1T=_joined(ids, np.int64, device)[None],
            layout=layout,
            read_M=torch.from_numpy(np.pad(read, (0, unread))).to(device),
            target_M=_joined([*targets, (0,) * unread], np.int64, device),
            sequence_N=torch.from_numpy(np.repeat(np.arange(len(samples)), lengths)).to(device),
            behaviour_N=_joined(behaviour, np.float32, device),
            reference_N=None
            if no_reference
            else _joined([sample.reference or () for sample in samples], np.float32, device),
            proximal_N=None
            if any(sample.proximal is None for sample in samples)
            else _joined([sample.proximal or () for sample in samples], np.float32, device),
            advantages_N=_joined([one.advantages for one in credits], np.float32, device)
            if credits
            else floats(sample.advantage for sample in samples),
            values_N=_joined([one.values for one in credits], np.float32, device) if credits else None,
            returns_N=_joined([one.returns for one in credits], np.float32, device) if credits else None,
            weights_N=floats(sample.weight for sample in samples),
            lengths=tuple(lengths.tolist()),
        )


def _joined(parts: Sequence[Sequence[float]], dtype: type, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(np.concatenate([np.asarray(part, dtype) for part in parts])).to(device)
