"""`ponder export MODEL --to FOLDER`: what is to be exported is found and looked at before anything is written."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ponder.errors import ModelError, RunFolderError
from ponder.export.data_card import data_card
from ponder.export.licence import CARD
from ponder.export.model_card import ModelFacts, model_card, model_licence
from ponder.export.source import ModelSource, find_source
from ponder.files import publishing, write_text

if TYPE_CHECKING:
    from ponder.export.gguf_file import GgufType
    from ponder.policy import Policy

__all__ = ["Gguf", "export_command"]

Say = Callable[[str], None]
_SHARD = "5GB"
_MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Gguf:
    """The file for llama.cpp that is asked for. `ids_only`: it need not tokenise text."""

    path: Path
    type: "GgufType"
    ids_only: bool = False


def export_command(
    reference: str,
    to: Path | None,
    licence: str | None = None,
    gguf: Gguf | None = None,
    template: str | None = None,
    say: Say = print,
) -> None:
    """Write the folder, the file, or both; see docs/export.md. `template` is the form of prompts, for a model that has
    none of ponder's. PonderError for what cannot be exported."""
    for path in (to, gguf.path if gguf is not None else None):
        _check_free(path)
    if gguf is not None and (gguf.path.is_dir() or gguf.path == to):
        raise RunFolderError(f"{str(gguf.path)!r} is to be a folder, and --gguf makes a file: name one in it.")
    source = find_source(reference)
    if isinstance(source, ModelSource):
        _export_model(source, to, licence, gguf, template, say)
    elif to is None:
        raise ModelError(
            f"{source.name} is a `sample` stage, whose records are no model: export them with --to FOLDER."
        )
    else:
        with publishing(to) as folder:
            shutil.copyfile(source.file, folder / source.file.name)
            write_text(folder / CARD, data_card(source, licence))
        say(_told(to, source.name))


def _export_model(
    source: ModelSource, to: Path | None, stated: str | None, gguf: Gguf | None, template: str | None, say: Say
) -> None:
    from ponder.policy import load_policy

    policy = load_policy(source.folder, template, precision="fp32", device="cpu")
    prepared = None
    if gguf is not None:
        from ponder.export.gguf_file import prepare_gguf

        prepared = prepare_gguf(policy, gguf.type, ids_only=gguf.ids_only)
    if to is not None:
        _write_folder(policy, source, to, stated, say, chosen=template is not None)
    if gguf is not None and prepared is not None:
        written = prepared.write(gguf.path, source.name)
        say(_told(gguf.path, source.name) + f"; {written.describe()}")


def _write_folder(
    policy: "Policy", source: ModelSource, to: Path, stated: str | None, say: Say, *, chosen: bool
) -> None:
    import torch

    from ponder.export.portable import tokenizer_loader, write_portable
    from ponder.policy import save_policy

    licence = model_licence(source)
    model: Any = policy.model
    with publishing(to) as folder:
        renders = save_policy(policy, folder, dtype=torch.bfloat16, shard=_SHARD)
        facts = ModelFacts(
            architecture=str(model.config.model_type),
            parameters=sum(one.numel() for one in model.parameters()),
            window=policy.window,
            template=policy.template,
            chosen=chosen,
            renders=renders,
            portable=write_portable(folder),
            tokenizer=tokenizer_loader(folder),
        )
        for text in licence.texts:
            shutil.copyfile(text, folder / text.name)
        write_text(folder / CARD, model_card(source, facts, licence, stated))
    say(_told(to, source.name))
    if stated is None and licence.id is None:
        say(f"the licence of {source.name} is unknown here ({licence.said}): state it in its card, or with --license")


def _told(path: Path, name: str) -> str:
    files = list(path.iterdir()) if path.is_dir() else [path]
    size = sum(one.stat().st_size for one in files)
    return f"{path}: {name}, {len(files)} file{'s' if len(files) > 1 else ''}, {size / _MIB:,.1f} MiB"


def _check_free(to: Path | None) -> None:
    if to is not None and to.exists() and not (to.is_dir() and not any(to.iterdir())):
        raise RunFolderError(
            f"{str(to)!r} is there already and {'is not empty' if to.is_dir() else 'is a file'}: an export is a folder "
            f"or a file of its own, and nothing that stands somewhere is written over. Name another place, or move "
            f"this away."
        )
