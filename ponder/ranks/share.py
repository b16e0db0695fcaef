"""What the processes of one group exchange of a sequence that they share, by torch.distributed."""

from typing import Any

import torch
from torch import distributed

__all__ = ["GroupShare"]


class GroupShare:
    """See `policy.shared.Share`: the member `part` of a process group of `parts`."""

    def __init__(self, group: distributed.ProcessGroup, parts: int, part: int) -> None:
        self.parts, self.part, self._group = parts, part, group

    def exchange(self, x_C: torch.Tensor) -> torch.Tensor:
        """See `Share`."""
        exchanged: torch.Tensor = _Exchange.apply(x_C, self._group)  # type: ignore[no-untyped-call]
        return exchanged

    def join(self, own: torch.Tensor, place: torch.Tensor, count: int) -> torch.Tensor:
        """See `Share`."""
        joined: torch.Tensor = _Join.apply(own, place, count, self._group)  # type: ignore[no-untyped-call]
        return joined


class _Exchange(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_C: torch.Tensor, group: distributed.ProcessGroup) -> torch.Tensor:
        ctx.group = group
        return _all_to_all(x_C, group)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return _all_to_all(gradients[0], ctx.group), None


class _Join(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, own: torch.Tensor, place: torch.Tensor, count: int, group: distributed.ProcessGroup
    ) -> torch.Tensor:
        ctx.save_for_backward(place)
        joined = own.new_zeros(count)
        joined[place] = own.detach()
        distributed.all_reduce(joined, group=group)
        return joined

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        (place,) = ctx.saved_tensors
        return gradients[0][place], None, None, None


def _all_to_all(x_C: torch.Tensor, group: distributed.ProcessGroup) -> torch.Tensor:
    x_C = x_C.contiguous()
    received = torch.empty_like(x_C)
    distributed.all_to_all_single(received, x_C, group=group)
    return received
