"""Products turned round: the values of linear, and nothing else touched."""

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from ponder.policy import Policy
from ponder.policy import turned as module
from ponder.policy.turned import few_rows, turned

LARGE, SMALL = (2048, 256), (256, 64)


def numbers(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("shape", [(2, 256), (128, 256), (3, 5, 256), (1, 7, 256)])
@pytest.mark.parametrize("biased", [False, True])
def test_the_values_of_linear(shape: tuple[int, ...], biased: bool) -> None:
    rows, matrix, bias = numbers(*shape), numbers(*LARGE), numbers(LARGE[0]) if biased else None
    found = turned(rows, matrix, bias)
    exact = functional.linear(rows.double(), matrix.double(), None if bias is None else bias.double())
    assert found.shape == exact.shape and found.is_contiguous() and found.dtype == torch.float32
    assert (found - exact).abs().max() <= 1e-5 * exact.abs().max()


def test_what_is_turned_and_what_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []
    monkeypatch.setattr(module, "turned", lambda *given: (seen.append(tuple(given[0].shape)), turned(*given))[1])
    large, small = numbers(*LARGE), numbers(*SMALL)
    with torch.no_grad(), module._Turning():
        functional.linear(numbers(1, 2, 256), large)
        for rows, matrix in [
            (numbers(1, 256), large),  # a single row
            (numbers(129, 256), large),
            (numbers(4, 64), small),
            (numbers(4, 256).bfloat16(), large.bfloat16()),
        ]:
            assert torch.equal(functional.linear(rows, matrix), rows @ matrix.t())
        functional.relu(numbers(4, 256))
        torch.nn.Linear(256, 2048)(numbers(4, 256))
    assert seen == [(1, 2, 256), (4, 256)]
    functional.linear(numbers(2, 256), large)
    assert len(seen) == 2  # the context has ended


def test_where_it_is_used(qwen2: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_slow_at_rows", lambda: True)
    assert isinstance(few_rows(qwen2), nullcontext)  # its matrices are small
    monkeypatch.setattr(module, "_LEAST_SIZE", 1)
    assert isinstance(few_rows(qwen2), module._Turning) == (qwen2.device.type == "cpu")
    assert isinstance(few_rows(replace(qwen2, autocast_dtype=torch.bfloat16)), nullcontext)
    monkeypatch.setattr(module, "_slow_at_rows", lambda: False)
    assert isinstance(few_rows(qwen2), nullcontext)


def test_the_embedded_models_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their runs give the same bytes on every machine of one kind of instruction, AMD's among them."""
    from ponder.policy import load_policy, resolve_model

    monkeypatch.setattr(module, "_slow_at_rows", lambda: True)
    for name in ("micro", "micro-student"):
        assert isinstance(few_rows(load_policy(resolve_model(name), precision="fp32", device="cpu")), nullcontext)
