"""What is kept of a skipped update, so that a person can look at it and compute it again."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from safetensors.torch import save_file

from ponder.algorithm import TokenTerms
from ponder.files import publishing, read_json, write_json, write_text
from ponder.train.sample import Sample

__all__ = ["incident_wanted", "load_incident", "samples_text", "save_incident"]

_MOST = 20
"""Incidents kept in a run; later ones are only counted."""
_README = """An update of the weights was skipped
====================================

{reason}

- incident.json: the reason, the version of the weights, the gradient norm and the temperature of the log-probs
- samples.json: the samples of the step, in order
- terms.safetensors: of each micro-batch, the per-token values the loss was made of (algorithm/terms.py), with
  `sample_N` numbering the samples

To compute it again from a checkpoint with this version of the weights:

    from ponder.train import Trainer, load_incident
    trainer.load(checkpoint_folder)
    trainer.temperature = {temperature}
    trainer.forward_backward(load_incident(this_folder), loss)
"""


def save_incident(
    parent: Path, facts: dict[str, Any], samples: Sequence[Sample], terms: Sequence[tuple[list[int], TokenTerms]]
) -> Path | None:
    """Write one folder below `parent` and return it; None when enough of them are there already."""
    if not incident_wanted(parent, "update"):
        return None
    folder = parent / f"update-{facts['version']:08d}-{facts['skipped']:04d}"
    with publishing(folder) as temporary:
        write_json(temporary / "incident.json", facts)
        write_text(temporary / "samples.json", samples_text(samples))
        tensors: dict[str, torch.Tensor] = {}
        for number, (members, entry) in enumerate(terms):
            fields = {field.name: getattr(entry, field.name) for field in dataclasses.fields(entry)}
            fields["sample_N"] = torch.tensor(members)[entry.sequence_N.cpu()]
            tensors |= {
                f"{number}/{name}": x.detach().cpu().contiguous() for name, x in fields.items() if x is not None
            }
        save_file(tensors, temporary / "terms.safetensors")
        write_text(
            temporary / "README.txt", _README.format(reason=facts["reason"], temperature=facts.get("temperature", 1.0))
        )
    return folder


def incident_wanted(parent: Path, kind: str) -> bool:
    """Whether fewer of the kind, which their names begin with, are there than are kept."""
    return len(list(parent.glob(f"{kind}-*"))) < _MOST


def samples_text(samples: Sequence[Sample]) -> str:
    """JSON of samples, one a line."""
    rows = [json.dumps(dataclasses.asdict(sample), default=list) for sample in samples]
    return "[\n" + ",\n".join(rows) + "\n]\n"


def load_incident(folder: Path) -> list[Sample]:
    """The samples of a skipped update."""
    return TypeAdapter(list[Sample]).validate_python(read_json(folder / "samples.json"))
