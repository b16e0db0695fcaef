"""Steps that recur in shape, recorded once and played again: CUDA graphs of the model's forward pass.

A step of a small model is some thousand operations of a few microseconds each, and starting them one by one takes ten
times as long as a GPU needs to do them. A recording starts them all at once. It reads and writes the same memory every
time, so what differs from step to step is copied to where it reads.

What cannot be recorded is run as it is: a model that looks at its numbers to decide what to compute (experts), one
whose layers see a window, whose layout changes with every step.
"""

import warnings
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from transformers import Cache

from ponder.policy.attention import reach_of
from ponder.policy.memory import is_out_of_memory
from ponder.policy.policy import Policy
from ponder.policy.pretrained import first_line
from ponder.rollout.slots import SlotLayout

__all__ = ["Recorder"]

_MOST = 16
"""Recordings that are kept; rows that come and go and lengths that grow make ever new shapes."""


@dataclass(frozen=True, slots=True)
class _Recording:
    """A graph, what it reads, and what it writes."""

    graph: Any
    ids_1T: torch.Tensor
    position_ids_1T: torch.Tensor
    layout: SlotLayout
    hidden_TD: torch.Tensor

    def play(self, ids_1T: torch.Tensor, position_ids_1T: torch.Tensor, layout: SlotLayout) -> torch.Tensor:
        self.ids_1T.copy_(ids_1T)
        self.position_ids_1T.copy_(position_ids_1T)
        for mine, now in zip(self.layout.varying(), layout.varying(), strict=True):
            mine.copy_(now)
        self.graph.replay()
        return self.hidden_TD


class Recorder:
    """The forward passes of one lane, as `Policy.hidden`; what it returns is overwritten by the next one."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._useful = _recordable(policy)
        self._recordings: dict[object, _Recording] = {}
        self._met = set[object]()
        self._generation = -1
        self._pool: Any = None
        if self._useful:
            self._stream: Any = torch.cuda.Stream(policy.device)  # type: ignore[no-untyped-call]

    def hidden(
        self, ids_1T: torch.Tensor, position_ids_1T: torch.Tensor, layout: object, cache: Cache | None
    ) -> torch.Tensor:
        """Hidden states (T, D) of the next tokens of rows."""
        if not self._useful or not isinstance(layout, SlotLayout):
            return self._policy.hidden(ids_1T, position_ids_1T, layout, cache)  # type: ignore[arg-type]
        if layout.generation != self._generation:  # what they read is gone
            self._recordings.clear()
            self._met.clear()
            self._generation = layout.generation
            self._pool = torch.cuda.graph_pool_handle()  # one whose graphs are all gone cannot be used again
        shape = ids_1T.shape, layout.shape()
        found = self._recordings.get(shape)
        if found is None and shape not in self._met:  # the first time it runs as it is, and warms up what it uses
            self._met.add(shape)
            return self._policy.hidden(ids_1T, position_ids_1T, layout, cache)
        if found is None:
            found = self._record(ids_1T, position_ids_1T, layout, cache)
            if found is None:
                return self._policy.hidden(ids_1T, position_ids_1T, layout, cache)
            while len(self._recordings) >= _MOST:
                del self._recordings[next(iter(self._recordings))]
            self._recordings[shape] = found
        return found.play(ids_1T, position_ids_1T, layout)

    def _record(
        self, ids_1T: torch.Tensor, position_ids_1T: torch.Tensor, layout: SlotLayout, cache: Cache | None
    ) -> _Recording | None:
        """None where the model does what cannot be recorded, which is not tried again."""
        graph = torch.cuda.CUDAGraph()
        ids_1T, position_ids_1T = ids_1T.clone(), position_ids_1T.clone()
        self._stream.wait_stream(torch.cuda.current_stream())
        try:
            with torch.cuda.stream(self._stream):
                graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")
                try:
                    hidden_TD = self._policy.hidden(ids_1T, position_ids_1T, layout, cache)
                except BaseException:
                    with suppress(RuntimeError):  # which says no more than that something failed
                        graph.capture_end()
                    raise
                graph.capture_end()
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            self._useful = False
            warnings.warn(
                f"The steps of this model cannot be recorded ({first_line(error)}), so that each of its operations is "
                f"started by itself: sampling is right, but up to seven times as slow. Where vLLM is installed, "
                f"`engine.kind: vllm` does not depend on that.",
                stacklevel=2,
            )
            return None
        torch.cuda.current_stream().wait_stream(self._stream)
        return _Recording(graph, ids_1T, position_ids_1T, layout, hidden_TD)


def _recordable(policy: Policy) -> bool:
    """Whether a pass starts the same operations whatever the numbers are."""
    if policy.device.type != "cuda" or policy.fallback is not None:
        return False
    modules: Any = policy.model.named_modules()
    return not any("expert" in name or reach_of(module) is not None for name, module in modules)
