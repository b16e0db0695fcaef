"""Runs a recipe in a run folder: finished stages are skipped, begun ones continued, changed ones refused."""

import contextlib
import importlib.metadata
import os
import platform
import socket
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import ponder
from ponder.errors import RunFolderError
from ponder.files import full_disk_explained, publishing, sealed, sweep, write_text
from ponder.manifest import DONE, Manifest, Session, Status, ended, now
from ponder.own import OwnCode, read_own
from ponder.pipeline.fingerprint import fell, own_files, pinned
from ponder.pipeline.folder import check_owner, claim, finish_redo, redo, to_redo
from ponder.pipeline.lock import locked
from ponder.pipeline.preflight import check_inputs, check_judges, check_lag, check_models, check_own_code, check_ranks
from ponder.pipeline.replies import keep_replies
from ponder.pipeline.room import check_room
from ponder.pipeline.smoke import smoke_recipe
from ponder.pipeline.smoke_inputs import make_smoke_inputs
from ponder.pipeline.survey import Standing, survey
from ponder.recipe.recipe import Recipe
from ponder.recipe.stages import Stage
from ponder.sandbox.isolation import accept_isolation
from ponder.stages import STAGES, Context
from ponder.task.hub import same_rows
from ponder.text.clock import fixed_clock
from ponder.watch.losses import LossLog
from ponder.workers.placement import check_place

if TYPE_CHECKING:
    from ponder.workers.open import Workers

__all__ = ["default_out", "run"]

_HUB_ROWS = "hub_rows.json"
"""In a stage's folder: how many rows it read of each data set of the hub, and their digest."""
_LISTED = 3  # damaged files of a stage
_RECORDED_PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "datasets", "mpmath")


def default_out(recipe: Recipe, *, smoke: bool) -> Path:
    """`runs/<name>`; smoke runs have a folder of their own."""
    return Path("runs") / (recipe.name + ("-smoke" if smoke else ""))


def run(
    recipe: Recipe,
    out: Path,
    *,
    text: str,
    overrides: Sequence[str] = (),
    redo_stages: Sequence[str] = (),
    smoke: bool = False,
    on: str | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Bring every stage of `recipe` to its end in the run folder `out`.

    `text` is the recipe file's text, kept in the run folder. `on` says where workers are placed, see `workers`. Raises
    RunFolderError if `out` is another recipe's, in use, or holds a stage made with other settings; nothing is changed
    then. Whatever a stage raises goes through, after its manifest says so.
    """
    if on is not None:
        check_place(on)
    accept_isolation(recipe.isolation)
    check_own_code(recipe)
    given, outside = recipe, out / "smoke"
    if smoke:
        recipe = smoke_recipe(given, outside)
        say("a smoke run: two steps a stage of tiny random models, rewards drawn by chance, data not decontaminated")
    check_owner(out, recipe, smoke=smoke)
    if not smoke:
        check_inputs(recipe, placed=on is not None and on != "local")
        redone = to_redo(recipe, redo_stages)
        done = [s.name for s in survey(recipe, out, smoke=smoke) if s.state == "done" and s.name not in redone]
        check_room(recipe, done=done)
        check_models(recipe)
    if on is None:
        check_lag(recipe, None)
    with locked(out):
        check_owner(out, recipe, smoke=smoke)
        before, redone = survey(recipe, out, smoke=smoke, ask_hub=True), to_redo(recipe, redo_stages)
        _refuse_damaged(before, out, redone=redone)
        _refuse_changed(before, out, redone=redone)
        check_judges({s.name: s.stage for s in before if s.state != "done" or s.name in redone})
        redo(out, recipe, redo_stages, [s.name for s in before if s.state in ("different", "damaged")], say)
        standings = survey(recipe, out, smoke=smoke, ask_hub=True)
        claim(out, recipe, text, overrides, smoke=smoke)
        if smoke:
            make_smoke_inputs(given, recipe, outside)
        clock = _clock(standings)
        with _placed(on, recipe, out, say) as workers:
            for standing in standings:
                if standing.state == "done":
                    say(f"{standing.name}: done before, skipped")
                else:
                    with fixed_clock(clock):
                        _run_stage(standing, recipe, out, clock, workers, smoke=smoke, say=say)
                    _report(out, say)
        finish_redo(out)


@contextlib.contextmanager
def _placed(on: str | None, recipe: Recipe, out: Path, say: Callable[[str], None]) -> Iterator["Workers | None"]:
    """Where `on` says, for as long as the run; PonderError where that is not there or cannot be used."""
    if on is None:
        yield None
        return
    from ponder.workers.open import Workers, open_home

    with contextlib.closing(Workers(open_home(on, out, say), say)) as workers:
        check_ranks(recipe, *workers.home.processors(), "the cluster")
        check_lag(recipe, workers.home.processors())
        yield workers


def _report(out: Path, say: Callable[[str], None]) -> None:
    from ponder.report import try_report

    if (path := try_report(out, say)) is not None:
        say(f"report: {path}")


def _refuse_damaged(standings: Sequence[Standing], out: Path, *, redone: Collection[str]) -> None:
    damaged = [s for s in standings if s.state == "damaged" and s.name not in redone]
    if not damaged:
        return
    what = "; ".join(f"{s.name} ({', '.join(s.differences[:_LISTED])})" for s in damaged)
    raise RunFolderError(
        f"the run folder {str(out)!r} holds stages that are not as they were left: {what}. Restore these files from a "
        f"copy, or run the stages anew with {' '.join(f'--redo {s.name}' for s in damaged)}, which keeps the old "
        "folders aside and also reruns what builds on them. Data that you change on purpose are a source of their own: "
        "copy the file elsewhere and name it in the recipe"
    )


def _refuse_changed(standings: Sequence[Standing], out: Path, *, redone: Collection[str]) -> None:
    changed = [s for s in standings if s.state == "different" and s.name not in redone]
    if not changed:
        return
    own = [s for s in changed if not all(d.startswith("inputs.") for d in s.differences)] or changed
    what = "; ".join(f"{s.name} ({', '.join(s.differences)})" for s in own)
    raise RunFolderError(
        f"the run folder {str(out)!r} holds stages made with other settings: {what}. "
        f"{_why(standings)}Give the old settings back, run in another folder (--out), or run these anew with "
        f"{' '.join(f'--redo {s.name}' for s in own)}, which keeps the old folders aside and also reruns what "
        f"builds on them"
    )


def _why(standings: Sequence[Standing]) -> str:
    """Sentences about lengths that rose or fell, and about the user's own files."""
    said = [
        f"{s.name} is to be trained longer ({', '.join(s.differences)}), so what builds on it is not what it would be. "
        for s in standings
        if s.state == "grown"
    ]
    own = {d.partition(":")[0].removeprefix("own.") for s in standings for d in s.differences if d.startswith("own.")}
    if own:
        said.append(f"Files of your own have changed since: {', '.join(sorted(own))}. ")
    for s in standings:
        if s.state == "different" and s.manifest is not None:
            for key in fell(s.stage.lengths(), s.manifest.identity, s.identity):
                said.append(
                    f"{s.name} has made {s.made} updates on its way to more `{key}`, and what was learnt cannot be "
                    "taken back: a stage goes on only where its length alone is raised. "
                )
    return "".join(said)


def _clock(standings: Sequence[Standing]) -> str:
    """When the run began: what chat templates that write the date are told, however often it is resumed."""
    began = [one.manifest.clock or one.manifest.sessions[0].started for one in standings if one.manifest is not None]
    return min(began, default=now())


def _run_stage(
    standing: Standing,
    recipe: Recipe,
    out: Path,
    clock: str,
    workers: "Workers | None",
    *,
    smoke: bool,
    say: Callable[[str], None],
) -> None:
    own = _own_code(standing, recipe)
    manifest = _begin(standing, recipe.name, clock, smoke, say)
    begun = {"unfinished": "going on", "grown": f"going on ({', '.join(standing.differences)})"}
    say(f"{standing.name}: {begun.get(standing.state, 'started')} in {standing.folder}")
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
    with full_disk_explained(standing.folder), contextlib.closing(losses), same_rows(standing.folder / _HUB_ROWS):
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
    return Session(started=now(), host=socket.gethostname(), pid=os.getpid())


def _close(manifest: Manifest, outcome: Status, error: str | None = None) -> Manifest:
    last = replace(manifest.sessions[-1], finished=now(), outcome=outcome, error=error)
    return replace(manifest, sessions=(*manifest.sessions[:-1], last))


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in _RECORDED_PACKAGES} | {
        "ponder": ponder.__version__,
        "python": platform.python_version(),
    }
