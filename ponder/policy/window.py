"""How long a sequence may be: as long as what ponder computes is what the model's own code computes.

Two things change with length alone, so that a probe with a few tokens shows nothing of them. Rotary frequencies of some
models (longrope, dynamic NTK) depend on the longest position of a whole pass: in a packed row one long sequence would
change all others. And attention may leave out what lies far back: by a sliding window, which layouts compute, each
layer with its own, or otherwise (chunks), which they do not. Up to where other frequencies begin, a model is computed
rightly, and there its window ends here.

Where attention leaves something out otherwise, or tokens see each other outside attention as well, in a convolution or
a state, the model is `Unpackable`: it has to be run by its own code.

The model is asked, not its configuration: a pass of a few tokens, one of which stands far away, shows what it makes of
the positions of the others and which masks it asks for.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface

from ponder.errors import ModelError, PonderError
from ponder.policy.attention import ATTENTION_NAME, Unpackable, body, set_reach
from ponder.policy.pretrained import UNLOADABLE, first_line

__all__ = ["Window", "check_length", "find_window", "whole_window"]

_NAME = "ponder-window"
_NEAR = 8
"""Tokens at the first positions, whose states are watched."""
_LEAST = 64
"""A shorter window is of no use to anybody."""
_MOST = 2**25
"""No model has a longer one, and what is watched takes eight bytes a token."""
_TOLERANCE = 2e-5
"""Of a state's largest number: what products of other shapes round differently (experts get other numbers of tokens).
Where nothing changes, all else is equal bit for bit."""

_PARTS = (1, 1.5, 2, 2.5, 3)
"""Where it is looked whether a window slides, in multiples of it: chunks and blocks would show there."""

Mask = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The most tokens of a sequence; `limit` says why they are fewer than the model's configuration says."""

    tokens: int
    limit: str | None = None


def check_length(longest: int, window: int, limit: str | None) -> None:
    """ModelError for a sequence longer than the window."""
    if longest > window:
        why = f", since {limit}" if limit is not None else ""
        raise ModelError(
            f"A sequence has {longest:,} tokens, and the model's window is {window:,}{why}. Lower `max_tokens`, leave "
            f"long prompts out, or use a model with a larger window."
        )


@torch.no_grad()
def find_window(model: Any, name: str) -> Window:
    """The window of a loaded model, whose layers are told of their sliding windows. Unpackable where layouts do not
    compute what it does, ModelError where hardly anything of it can be computed."""
    whole = whole_window(model, name)
    with _watched(model) as watch:
        try:
            near = watch.states(1)
        except UNLOADABLE as error:
            if isinstance(error, PonderError):
                raise
            raise Unpackable(
                f"a {type(model).__name__} does not work with another attention ({first_line(error)})"
            ) from error
        if _changed(near, watch.states(1, first=_NEAR)) is not None:
            raise Unpackable(
                f"a {type(model).__name__} lets a token see those before it outside its attention, in a convolution or "
                f"a state"
            )
        watch.settle(whole)
        tokens, limit = whole, None
        if tokens > _NEAR and (layer := _changed(near, watch.states(tokens))) is not None:
            tokens = _last(_NEAR, tokens, lambda far: _changed(near, watch.states(far, layer + 1)) is None)
            limit = (
                f"beyond {tokens:,} tokens its rotary frequencies are other ones for every sequence of a pass, so that "
                f"packed and sampled sequences would change each other"
            )
    if limit is not None and tokens < _LEAST:
        raise ModelError(
            f"Of the {whole:,} tokens of model {name!r} ponder computes only the first {tokens:,} as its own code "
            f"does: {limit}. Use Qwen2, Qwen3, Llama, DeepSeek-V3 or a relative of them with full attention."
        )
    return Window(tokens=tokens, limit=limit)


def whole_window(model: Any, name: str) -> int:
    """What the configuration says; a model that knows no positions has the longest window there is."""
    try:
        whole = int(model.config.get_text_config().max_position_embeddings)
    except AttributeError:
        return _MOST
    if not _LEAST <= whole <= _MOST:
        raise ModelError(
            f"Model {name!r} has a window of {whole:,} tokens, says its config.json (`max_position_embeddings`). "
            f"Expected {_LEAST:,} to {_MOST:,}: correct it, or fetch the folder again."
        )
    return whole


def _last(good: int, bad: int, holds: Callable[[int], bool]) -> int:
    """The last number from `good`, for which it holds, before `bad`, for which it does not."""
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if holds(middle) else (good, middle)
    return good


def _changed(first: list[torch.Tensor], second: list[torch.Tensor]) -> int | None:
    """The first layer in which the near tokens' queries or keys differ, or None."""
    for layer, (one, other) in enumerate(zip(first, second, strict=False)):
        if float((one - other).abs().max()) > _TOLERANCE * float(one.abs().max()):
            return layer
    return None


class _Enough(Exception):
    """Enough layers have been seen."""


@dataclass(slots=True)
class _Watch:
    """What passes of a model hand to attention. As a layout it computes none: only positions are looked at."""

    model: Any
    masks: dict[int, tuple[Mask, torch.Tensor]] = field(default_factory=dict)
    used: dict[torch.nn.Module, list[Mask]] = field(default_factory=dict)
    sliding: dict[torch.nn.Module, int] = field(default_factory=dict)
    calls: Counter[torch.nn.Module] = field(default_factory=Counter)
    _states: list[torch.Tensor] = field(default_factory=list)
    _layers: int | None = None

    def states(self, far: int, layers: int | None = None, first: int = 0) -> list[torch.Tensor]:
        """Queries and keys of the near tokens but the first, which is token `first`, layer by layer, in a pass with a
        sequence of `far` tokens."""
        self._states, self._layers = [], layers
        self.calls.clear()
        device = self.model.get_input_embeddings().weight.device
        rows = self.model.get_input_embeddings().weight.shape[0]
        ids_1T = (torch.arange(_NEAR + 1, device=device) % rows)[None]
        ids_1T[0, 0] = first % rows
        positions_1T = torch.tensor([[*range(_NEAR), far - 1]], device=device)
        with contextlib.suppress(_Enough), torch.autocast(device.type, enabled=False):
            body(self.model)(
                input_ids=ids_1T,
                position_ids=positions_1T,
                attention_mask=torch.ones_like(ids_1T),  # or gaps between positions would be taken for packing
                use_cache=False,
                watch=self,
            )
        return self._states

    def mask(self, mask: Mask, tokens: int) -> torch.Tensor:
        """A stand-in for a mask that a model makes, by which it is known where it is used."""
        stand_in = torch.zeros(1, 1, tokens, tokens, device=self.model.device)
        self.masks[stand_in.untyped_storage().data_ptr()] = _asked_on(self.model.device, mask), stand_in
        return stand_in

    def see(
        self,
        module: torch.nn.Module,
        query_BHTD: torch.Tensor,
        key_BKTD: torch.Tensor,
        mask: torch.Tensor | None,
        sliding_window: int | None,
    ) -> None:
        """Note one layer's states and mask, and the sliding window that it tells its attention of."""
        masks = self.used.setdefault(module, [])
        if mask is not None:
            if mask.untyped_storage().data_ptr() not in self.masks:
                raise Unpackable(f"{type(module).__name__} asks for attention with a mask of its own")
            masks.append(self.masks[mask.untyped_storage().data_ptr()][0])
        self.calls[module] += 1
        near = [state[0, :, 1:_NEAR].flatten().float() for state in (query_BHTD, key_BKTD)]
        self._states.append(torch.cat(near))
        if sliding_window is not None:
            self.sliding[module] = int(sliding_window)
        if self._layers == len(self._states):
            raise _Enough

    def settle(self, whole: int) -> None:
        """Tell every layer of its sliding window, up to `whole`. Masks say what a model computes; what a layer says
        beside its mask must not contradict. Unpackable where it attends otherwise, or more than once."""
        found = {mask: _sight(mask, whole) for masks in self.used.values() for mask in masks}
        for module, masks in self.used.items():
            kind = type(module).__name__
            reach = found[masks[0]] if masks else whole
            if self.calls[module] > 1:
                raise Unpackable(f"{kind} attends {self.calls[module]} times in a layer")
            if any(not _slides(mask, reach, whole) for mask in masks):
                raise Unpackable(f"{kind} leaves out other tokens than those that lie {reach:,} and more back")
            if min(self.sliding.get(module, reach), whole) != reach:
                raise Unpackable(
                    f"{kind} has a mask of {reach:,} tokens and says that they are {self.sliding[module]:,}"
                )
            set_reach(module, None if reach == whole else reach)


def _asked_on(device: torch.device, mask: Mask) -> Mask:
    """The mask for places on a CPU: some hold tensors of the model's device."""
    return lambda *places: mask(*(place.to(device) for place in places)).cpu()


def _sight(mask: Mask, whole: int) -> int:
    """The longest sequence up to `whole` whose last token sees all of it."""
    return whole if (sees_all := partial(_sees, mask))(whole) else _last(1, whole, sees_all)


def _sees(mask: Mask, tokens: int) -> bool:
    return bool(_row(mask, tokens - 1).all())


def _slides(mask: Mask, reach: int, whole: int) -> bool:
    """Whether a token far back sees the `reach` tokens up to itself and no others."""
    places = {place for part in _PARTS if (place := int(part * reach)) < whole} | {whole - 1}
    return all(torch.equal(_row(mask, place), torch.arange(place + 1) > place - reach) for place in places)


def _row(mask: Mask, place: int) -> torch.Tensor:
    """Which of the tokens up to `place` are seen from there."""
    zero = torch.tensor(0)
    seen = mask(zero, zero, torch.tensor(place), torch.arange(place + 1))
    return torch.broadcast_to(seen, (place + 1,))


@contextlib.contextmanager
def _watched(model: Any) -> Iterator[_Watch]:
    """The model with an attention that only watches."""
    watch = _Watch(model)

    def attention(
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        *,
        watch: _Watch,
        sliding_window: int | None = None,
        **variant: Any,
    ) -> tuple[torch.Tensor, None]:
        watch.see(module, query, key, attention_mask, sliding_window)
        return query.new_zeros(query.shape[0], query.shape[2], query.shape[1], value.shape[-1]), None

    def mask(*, mask_function: Mask, q_length: int, **where: Any) -> torch.Tensor:
        return watch.mask(mask_function, q_length)

    AttentionInterface.register(_NAME, attention)
    AttentionMaskInterface.register(_NAME, mask)
    model.set_attn_implementation(_NAME)
    try:
        yield watch
    finally:
        model.set_attn_implementation(ATTENTION_NAME)
