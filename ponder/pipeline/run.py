"""Runs a recipe in a run folder: finished stages are skipped, begun ones continued, changed ones refused."""

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ponder.errors import RunFolderError
from ponder.manifest import now
from ponder.pipeline.beside import run_beside
from ponder.pipeline.fingerprint import fell
from ponder.pipeline.folder import check_owner, claim, finish_redo, redo, to_redo
from ponder.pipeline.lock import locked
from ponder.pipeline.machine import processors
from ponder.pipeline.preflight import check_inputs, check_judges, check_lag, check_models, check_own_code, check_ranks
from ponder.pipeline.room import check_room
from ponder.pipeline.smoke import smoke_recipe
from ponder.pipeline.smoke_inputs import make_smoke_inputs
from ponder.pipeline.stage import run_stage
from ponder.pipeline.survey import Standing, survey
from ponder.recipe.recipe import Recipe
from ponder.sandbox.isolation import accept_isolation
from ponder.share import cores, stages_at_once, threads_each
from ponder.workers.placement import check_place

if TYPE_CHECKING:
    from ponder.workers.open import Workers

__all__ = ["default_out", "run"]

_LISTED = 3  # damaged files of a stage


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
        check_room(recipe, done=done, alone=on is not None)
        check_models(recipe)
    if on is None:
        check_lag(recipe, None)
    with locked(out) as lock:
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
        for standing in standings:
            if standing.state == "done":
                say(f"{standing.name}: done before, skipped")
        left = [standing for standing in standings if standing.state != "done"]
        if left and _beside(recipe, on, say):
            run_beside(standings, recipe, out, clock, lock, smoke=smoke, say=say, after=lambda: _report(out, say))
        else:
            with _placed(on, recipe, out, say) as workers:
                for standing in left:
                    run_stage(standing, recipe, out, clock, workers, smoke=smoke, say=say)
                    _report(out, say)
        finish_redo(out)


def _beside(recipe: Recipe, on: str | None, say: Callable[[str], None]) -> bool:
    """Whether stages run beside one another. Only cores are shared: engines and models take a GPU whole."""
    if recipe.at_once == 1:
        return False
    if on is not None or _on_gpu():
        where = f"--on {on}" if on is not None else "this machine's GPU"
        say(f"at_once: {recipe.at_once} is for cores that stages share; with {where} they run one after the other")
        return False
    most, threads = stages_at_once(recipe.at_once), threads_each(recipe.at_once)
    few = f" (at_once: {recipe.at_once}, and cores: {cores()})" if most < recipe.at_once else ""
    stages = f"{most} stage{'s' if most > 1 else ''}"
    say(f"up to {stages} beside one another, with {threads} thread{'s' if threads > 1 else ''} each{few}")
    return True


def _on_gpu() -> bool:
    """Whether stages compute on a GPU that is here: torch may have been made without, or may not see it."""
    if processors()[1] != "GPUs":
        return False
    from ponder.policy.load import device_here

    return device_here().type == "cuda"


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
