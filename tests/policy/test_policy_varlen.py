"""Whole sequences as a kernel of CUDA is given them, with the kernel's definition in its place: as the blocks give."""

import pytest
import torch
from rounding import assert_close_products

from ponder.policy.packed import PackedLayout
from ponder.policy.varlen import has_varlen


def defined(query, key, value, ends, same_ends, longest, same_longest, *, scale, window_size, enable_gqa):  # type: ignore[no-untyped-def]
    """What `torch.nn.attention.varlen.varlen_attn` says of itself, sequence by sequence."""
    assert ends is same_ends and longest == same_longest and window_size[1] == 0
    assert enable_gqa or query.shape[1] == key.shape[1]
    outputs, many = [], query.shape[1] // key.shape[1]
    for start, stop in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        assert stop - start <= longest
        q, k, v = (x[start:stop].transpose(0, 1) for x in (query, key, value))
        scores = (q @ k.repeat_interleave(many, 0).transpose(1, 2)) * scale
        back = torch.arange(stop - start)[:, None] - torch.arange(stop - start)
        seen = (back >= 0) & ((back <= window_size[0]) if window_size[0] >= 0 else torch.tensor(True))
        weights = scores.masked_fill(~seen, float("-inf")).softmax(-1)
        outputs.append((weights @ v.repeat_interleave(many, 0)).transpose(0, 1))
    return torch.cat(outputs)


@pytest.mark.parametrize("reach", [None, 1, 3, 7, 100])
@pytest.mark.parametrize("padding", [0, 5])
def test_whole_sequences_give_what_blocks_give(reach: int | None, padding: int) -> None:
    layout = PackedLayout([4, 1, 9], [6, 0, 3, 12, 1], [0, 0, 2, 1, 2], padding=padding)
    query, key, value = (torch.randn(layout.tokens, heads, 8) for heads in (4, 2, 2))
    got = layout.whole().attend(query, key, value, 0.3, reach, kernel=defined)
    wanted = layout.attend(*(x.transpose(0, 1)[None] for x in (query, key, value)), 0.3, reach)[0]
    assert_close_products(got, wanted)


@pytest.mark.gpu
@pytest.mark.parametrize("reach", [None, 1, 7, 100])
@pytest.mark.parametrize("heads", [(4, 4), (8, 2)])
def test_the_kernel_gives_what_blocks_give(reach: int | None, heads: tuple[int, int], device: torch.device) -> None:
    """Outputs and gradients in bfloat16, against the blocks in float32 of the same rounded numbers."""
    layout = PackedLayout([40, 1, 9], [60, 0, 3, 120, 1], [0, 0, 2, 1, 2], device, padding=5)
    made = torch.Generator().manual_seed(0)
    rounded = [torch.randn(1, n, layout.tokens, 64, generator=made).bfloat16() for n in (heads[0], heads[1], heads[1])]
    upstream = torch.randn(1, layout.tokens, heads[0], 64, generator=made).to(device)
    upstream[:, 50:55] = 0  # what padding gives is nobody's
    found = []
    for dtype in (torch.bfloat16, torch.float32):
        given = [x.to(device, dtype).requires_grad_() for x in rounded]
        assert has_varlen(given[0][0]) == (dtype == torch.bfloat16)
        mixed = layout.attend(*given, 0.125, reach)
        (mixed.float() * upstream).sum().backward()
        found.append([mixed.detach().float() * (upstream != 0), *(x.grad.float() for x in given if x.grad is not None)])
    for got, wanted in zip(*found, strict=True):
        assert (got - wanted).abs().max() < 0.02 * wanted.abs().max() + 1e-5  # with a reach of 1 nothing is felt


def test_a_cpu_has_no_such_kernel() -> None:
    assert not has_varlen(torch.zeros(2, 1, 8, dtype=torch.bfloat16))
