"""One stage of a run: its manifest from the beginning to the end, and what it is given."""

import contextlib
import importlib.metadata
import os
import platform
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import ponder
from ponder.errors import RunFolderError
from ponder.files import full_disk_explained, publishing, sealed, sweep, write_text
from ponder.manifest import DONE, Manifest, Session, Status, ended, now
from ponder.own import OwnCode, read_own
from ponder.pipeline.fingerprint import own_files, pinned
from ponder.pipeline.machine import processors
from ponder.pipeline.replies import keep_replies
from ponder.pipeline.survey import Standing
from ponder.recipe.recipe import Recipe
from ponder.recipe.stages import Stage
from ponder.share import cores, most_threads
from ponder.stages import STAGES, Context
from ponder.task.hub import same_rows
from ponder.text.clock import fixed_clock
from ponder.watch.losses import LossLog

if TYPE_CHECKING:
    from ponder.workers.open import Workers

__all__ = ["run_stage"]

_HUB_ROWS = "hub_rows.json"
"""In a stage's folder: how many rows it read of each data set of the hub, and their digest."""
_RECORDED_PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "datasets", "mpmath")


def run_stage(
    standing: Standing,
    recipe: Recipe,
    out: Path,
    clock: str,
    workers: "Workers | None",
    *,
    smoke: bool,
    say: Callable[[str], None],
) -> None:
    """Bring one stage to its end in the run folder `out`; whatever it raises goes through, after its manifest says so.
    `clock` is when the run began."""
    own = _own_code(standing, recipe)
    manifest = _begin(standing, recipe.name, clock, smoke, say)
    begun = {"unfinished": "going on", "grown": f"going on ({', '.join(standing.differences)})"}
    say(f"{standing.name}: {begun.get(standing.state, 'started')} in {standing.folder}")
    if told := _other_threads(standing):
        say(f"{standing.name}: {told}")
    losses = LossLog(standing.folder)
    context = Context(
        config=_as_begun(standing, manifest, say),
        name=standing.name,
        folder=standing.folder,
        seed=standing.seed,
        inputs={name: out / "stages" / name for name in standing.needs},
        say=say,
        commits=pinned(standing.identity),
        continued=manifest.continued,
        own=own,
        workers=workers,
        losses=losses,
    )
    began = time.monotonic()
    with (
        fixed_clock(clock),
        full_disk_explained(standing.folder),
        contextlib.closing(losses),
        same_rows(standing.folder / _HUB_ROWS),
    ):
        try:
            results = STAGES[standing.stage.kind](context)
        except KeyboardInterrupt:
            _close(manifest, "interrupted").write(standing.folder)
            raise
        except BaseException as error:
            _close(manifest, "failed", f"{type(error).__name__}: {error}").write(standing.folder)
            raise
        finally:
            if workers is not None:
                workers.end_stage(standing.folder)
    products = sealed(standing.folder, standing.stage.products())
    replace(_close(manifest, "done"), results=results, products=products).write(standing.folder)
    write_text(standing.folder / DONE, standing.fingerprint + "\n")
    say(f"{standing.name}: done in {time.monotonic() - began:.0f} s")


def _own_code(standing: Standing, recipe: Recipe) -> OwnCode:
    """The user's own files as the stage's identity knows them; RunFolderError where they were changed since."""
    own = read_own(own_files(standing.stage), recipe.home)
    if own.files and own.digests() != standing.identity["own"]:
        raise RunFolderError(
            f"stage {standing.name!r}: a file of your own ({', '.join(own.digests())}) was changed after this run had "
            "begun: give the same command again"
        )
    return own


def _as_begun(standing: Standing, manifest: Manifest, say: Callable[[str], None]) -> Stage:
    """The stage with the precision in which it began where its recipe leaves that to the machine."""
    if manifest.precision is None:
        return standing.stage
    from ponder.policy.load import precision_here

    began = manifest.precision
    if (here := precision_here()) != began:
        say(f"{standing.name}: goes on with precision {began}, as it began; on this machine `auto` is {here}")
    return standing.stage.model_copy(update={"precision": began})


def _precision(standing: Standing) -> Literal["fp32", "bf16"] | None:
    """What the manifest says of it."""
    if getattr(standing.stage, "precision", None) != "auto":
        return None
    if standing.manifest is not None and standing.manifest.precision is not None:
        return standing.manifest.precision
    from ponder.policy.load import precision_here

    return precision_here()


def _begin(standing: Standing, recipe_name: str, clock: str, smoke: bool, say: Callable[[str], None]) -> Manifest:
    """The manifest with a new session, already on disk."""
    old = standing.manifest
    continued = () if old is None else old.continued
    if standing.state == "grown" and standing.made > 0:
        continued = tuple(dict.fromkeys((*continued, standing.made)))
    manifest = Manifest(
        recipe=recipe_name,
        stage=standing.name,
        kind=standing.stage.kind,
        config=standing.stage.model_dump(mode="json"),
        identity=standing.identity,
        fingerprint=standing.fingerprint,
        seed=standing.seed,
        smoke=smoke,
        versions=_versions(),
        clock=clock,
        precision=_precision(standing),
        continued=continued,
        sessions=(*(ended(s, standing.folder) for s in (old.sessions if old else ())), _session()),
    )
    if old is None:
        with publishing(standing.folder) as folder:
            if kept := keep_replies(standing, folder):
                say(f"{standing.name}: the replies of endpoints in {kept} are there already and not asked for again")
            manifest.write(folder)
    else:
        sweep(standing.folder)
        (standing.folder / DONE).unlink(missing_ok=True)  # before the manifest asks for more than was done
        manifest.write(standing.folder)
    return manifest


def _session() -> Session:
    return Session(started=now(), host=socket.gethostname(), pid=os.getpid(), threads=most_threads(cores()))


def _other_threads(standing: Standing) -> str | None:
    """What there is to say of a stage that goes on from a checkpoint with another number of threads than before."""
    if standing.manifest is None or standing.made == 0:
        return None
    before, here = standing.manifest.sessions[-1].threads, most_threads(cores())
    if before in (None, here) or processors()[1] == "GPUs":
        return None
    return f"goes on with another number of threads ({here}, before {before}), so that last digits differ"


def _close(manifest: Manifest, outcome: Status, error: str | None = None) -> Manifest:
    last = replace(manifest.sessions[-1], finished=now(), outcome=outcome, error=error)
    return replace(manifest, sessions=(*manifest.sessions[:-1], last))


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in _RECORDED_PACKAGES} | {
        "ponder": ponder.__version__,
        "python": platform.python_version(),
    }
