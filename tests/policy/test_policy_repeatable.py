"""Who asks torch for repeatable forms, when, and what happens where there is none. The forms themselves are CUDA's."""

import warnings

import pytest
import torch

from ponder.policy.repeatable import Repeatable

CUDA = torch.device("cuda")  # of which only the name is looked at here


def asked() -> tuple[bool, bool, bool]:
    settings = torch.utils.deterministic
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        settings.fill_uninitialized_memory,  # type: ignore[attr-defined]
    )


def test_only_work_on_cuda_asks_and_everything_is_as_before_after_it() -> None:
    before = asked()
    assert Repeatable(torch.device("cpu")).run(asked) == before
    assert Repeatable(CUDA).run(asked) == (True, False, False)
    assert asked() == before
    with pytest.raises(RuntimeError, match="out of memory"):
        Repeatable(CUDA).run(lambda: (_ for _ in ()).throw(RuntimeError("CUDA out of memory")))
    assert asked() == before


def test_what_has_no_such_form_is_said_once_and_computed() -> None:
    seen = []

    def attempt() -> int:
        seen.append(asked())
        if not torch.is_deterministic_algorithms_warn_only_enabled():
            raise RuntimeError(
                "kthvalue CUDA does not have a deterministic implementation, but you set "
                "'torch.use_deterministic_algorithms(True)'."
            )
        return 7

    repeatable = Repeatable(CUDA)
    with pytest.warns(
        UserWarning, match=r"\(kthvalue CUDA does not have a deterministic implementation\).* not bit for"
    ):
        assert repeatable.run(attempt) == 7
    with warnings.catch_warnings(action="error"):
        assert repeatable.run(attempt) == 7
    assert seen == [(True, False, False), (True, True, False), (True, True, False)]


@pytest.mark.gpu
def test_gradients_are_the_same_bits_every_time(device: torch.device) -> None:
    """Of a gather from which many read the same row, whose backward pass adds with atomics if it may."""
    weight = torch.randn(50, 256, device=device, requires_grad=True)
    index = torch.randint(50, (100_000,), device=device)
    upstream = torch.randn(100_000, 256, device=device)

    def gradient() -> torch.Tensor:
        (found,) = torch.autograd.grad((weight.index_select(0, index) * upstream).sum(), weight)
        return found

    repeatable = Repeatable(device)
    first = repeatable.run(gradient)
    assert all(torch.equal(repeatable.run(gradient), first) for _ in range(5))
