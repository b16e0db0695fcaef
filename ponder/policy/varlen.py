"""Attention to packed sequences by one kernel of CUDA: each whole, its prompt included, without masks and padding.

What a wrong kernel would do is found by the parity check of every first rollout (`engine.parity_tolerance`), which
compares log-probs with sampling's, whose attention is another.

Shapes: T tokens of the row; N sequences; S tokens of all sequences, prompts repeated; H query heads, K key heads, D
size.
"""

import inspect
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import cast

import numpy as np
import numpy.typing as npt
import torch

__all__ = ["WholeSequences", "has_varlen"]

_Kernel = Callable[..., torch.Tensor]
_LEAST_CAPABILITY = (8, 0)
_MOST_HEAD_SIZE = 256
_DTYPES = (torch.bfloat16, torch.float16)
_NEEDED = {"scale", "window_size"}


def has_varlen(tensor_THD: torch.Tensor) -> bool:
    """Whether the kernel is there for such a tensor."""
    fits = tensor_THD.is_cuda and tensor_THD.dtype in _DTYPES and tensor_THD.shape[-1] <= _MOST_HEAD_SIZE
    return (
        fits and _parameters() >= _NEEDED and torch.cuda.get_device_capability(tensor_THD.device) >= _LEAST_CAPABILITY
    )


@cache
def _parameters() -> frozenset[str]:
    """What torch's kernel can be told; versions of torch differ, and some have none."""
    if find_spec("torch.nn.attention.varlen") is None:
        return frozenset()
    return frozenset(inspect.signature(_varlen()).parameters)


class WholeSequences:
    """Sequences of `lengths_N` tokens each, whose tokens are `token_S` of the row one after the other. Of sequence n
    the outputs from `first_N[n]` on are wanted: what stands before is another one's."""

    def __init__(
        self,
        token_S: npt.NDArray[np.int64],
        lengths_N: npt.NDArray[np.int64],
        first_N: npt.NDArray[np.int64],
        device: torch.device | str,
    ) -> None:
        ends_N = np.cumsum(lengths_N)
        own_S = np.arange(len(token_S)) - np.repeat(ends_N - lengths_N, lengths_N) >= np.repeat(first_N, lengths_N)
        place_T = np.zeros(int(token_S.max()) + 1, np.int64)
        place_T[token_S[own_S]] = np.flatnonzero(own_S)
        self._token_S, self._place_T = (torch.from_numpy(index).to(device) for index in (token_S, place_T))
        self._ends = torch.from_numpy(np.concatenate([[0], ends_N]).astype(np.int32)).to(device)
        self._longest = int(lengths_N.max())

    def attend(
        self,
        query_THD: torch.Tensor,
        key_TKD: torch.Tensor,
        value_TKD: torch.Tensor,
        scaling: float,
        reach: int | None,
        kernel: _Kernel | None = None,
    ) -> torch.Tensor:
        """The attention (T, H, D) of every token; see `Layout.attend`."""
        query_SHD, key_SKD, value_SKD = (x.index_select(0, self._token_S) for x in (query_THD, key_TKD, value_TKD))
        grouped = query_THD.shape[1] // key_TKD.shape[1]
        more = {}
        if kernel is not None or "enable_gqa" in _parameters():
            more["enable_gqa"] = grouped > 1
        else:
            key_SKD, value_SKD = (x.repeat_interleave(grouped, 1) for x in (key_SKD, value_SKD))
        mixed_SHD = (kernel or _varlen())(
            query_SHD,
            key_SKD,
            value_SKD,
            self._ends,
            self._ends,
            self._longest,
            self._longest,
            scale=scaling,
            window_size=(-1 if reach is None else reach - 1, 0),
            **more,
        )
        return mixed_SHD.index_select(0, self._place_T)


def _varlen() -> _Kernel:
    from torch.nn.attention.varlen import varlen_attn

    return cast(_Kernel, varlen_attn)  # a tensor unless more is asked for
