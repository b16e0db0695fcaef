"""All weights of a model as a file in a folder that several machines see: one writes, others read."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

__all__ = ["WeightFile"]


class WeightFile:
    """The parameters of one model by their names, tied ones once. What a rank is told is the object itself; it has the
    verbs of a `WeightBlock`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of(cls, model: torch.nn.Module, path: Path) -> "WeightFile":
        """A new file with the weights of `model`."""
        file = cls(path)
        file.write(model)
        return file

    @property
    def told(self) -> "WeightFile":
        """See `WeightBlock.told`."""
        return self

    def opened(self) -> "WeightFile":
        """See `Told.opened`."""
        return self

    @property
    def tensors(self) -> Mapping[str, torch.Tensor]:
        """As they are in the file now, in memory of one's own."""
        return {name: one.clone() for name, one in load_file(self.path).items()}

    def put(self, tensors: Iterable[tuple[str, torch.Tensor]], *, mine: bool) -> None:
        """Go through all, which every rank must, and with `mine` write them."""
        kept = {name: tensor.detach().cpu().contiguous() if mine else None for name, tensor in tensors}
        if mine:
            self._save({name: tensor for name, tensor in kept.items() if tensor is not None})

    def write(self, model: torch.nn.Module) -> None:
        """Take the weights of `model`."""
        self.put(((name, parameter) for name, parameter in model.named_parameters()), mine=True)

    @torch.no_grad()
    def read(self, model: torch.nn.Module) -> None:
        """Put the weights into `model`."""
        stored = load_file(self.path)
        for name, parameter in model.named_parameters():
            parameter.copy_(stored[name])

    def lend(self, model: torch.nn.Module) -> None:
        """A file shares no memory."""

    def close(self) -> None:
        """Remove it."""
        self.path.unlink(missing_ok=True)

    def _save(self, tensors: dict[str, torch.Tensor]) -> None:
        temporary = self.path.with_name(f".tmp-{self.path.name}")
        save_file(tensors, temporary)
        os.replace(temporary, self.path)
