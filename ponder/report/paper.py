"""The paper's part of the page: phenomena, then a section for each of its tables and figures whose stages are there."""

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup, escape

from ponder.recipe.roles import COMPARED
from ponder.report.accounts import composition_section, cost_section
from ponder.report.blocks import Section, plain_text, points_text, share_text
from ponder.report.curves import course_section
from ponder.report.evidence import Evidence, find_roles, gather
from ponder.report.losses import losses_section
from ponder.report.moment import Moment, Reflections, read_reflections
from ponder.report.phenomena import BESIDE, Claim, Phenomenon, phenomena
from ponder.report.rewards import alarms_section, hacking_section, reward_models_section
from ponder.report.run import Run, StageRecord
from ponder.report.tables import ablation_section, distillation_section, stages_section, students_section

__all__ = ["Paper", "claim_text", "read_paper", "read_phenomena"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """What the page shows of it; without any part played there are no phenomena."""

    phenomena: tuple[Phenomenon, ...]
    sections: tuple[Section, ...]
    aha: "Aha | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aha:
    """The earliest moment of the stage that plays R1-Zero, or that none was found."""

    stage: str
    reflections: Reflections
    moment: Moment | None
    text: Markup
    files: tuple[str, ...]


def read_paper(run: Run) -> Paper:
    """Everything of the paper that this run has so far."""
    roles, evidence = find_roles(run), gather(run)
    stages: Mapping[str, StageRecord] = {stage.name: stage for stage in run.stages}
    players = {role: stages[names[0]] for role, names in roles.items() if names[0] in stages}
    zero = players.get("zero")
    reflections = read_reflections(zero.folder) if zero is not None and zero.status == "done" else None
    candidates = (
        stages_section(run, evidence),
        None if zero is None else course_section(run, zero, reflections),
        ablation_section(run, evidence),
        distillation_section(run, evidence),
        students_section(run, evidence),
        reward_models_section(run),
        hacking_section(run, players.get("hacking"), players.get("r1")),
        composition_section(run),
        cost_section(run),
        alarms_section(run),
        losses_section(run),
    )
    return Paper(
        phenomena=_phenomena(roles, evidence),
        sections=tuple(section for section in candidates if section is not None),
        aha=None if zero is None or reflections is None else _aha(run, zero, reflections),
    )


def read_phenomena(run: Run) -> tuple[Phenomenon, ...]:
    """The phenomena of a run so far, none where no stage plays a part."""
    return _phenomena(find_roles(run), gather(run))


def _phenomena(roles: Mapping[str, tuple[str, ...]], evidence: Evidence) -> tuple[Phenomenon, ...]:
    """A run in which one part of R1 is played has those it has measured: the others were never its aim. Nor are those
    of the pipeline the aim of a comparison that stands beside it, or the other way round."""
    parts = set(roles) - {"base", "evaluate"}
    pipeline, beside = len(parts - COMPARED) > 1, bool(parts & COMPARED)
    found = phenomena(evidence) if parts else ()
    return tuple(one for one in found if one.measured or (beside if one.name == BESIDE else pipeline))


def _aha(run: Run, zero: StageRecord, reflections: Reflections) -> Aha:
    moment = reflections.moment
    return Aha(
        stage=zero.name,
        reflections=reflections,
        moment=moment,
        text=Markup() if moment is None else _marked(moment),
        files=tuple(run.relative(path) for path in reflections.files_read),
    )


def _marked(moment: Moment) -> Markup:
    """The text with the reflection word that turns it marked."""
    text, start, end = moment.text, moment.at, moment.at + len(moment.word)
    return escape(text[:start]) + Markup("<mark>{}</mark>").format(text[start:end]) + escape(text[end:])


def claim_text(claim: Claim) -> str:
    """The number of a claim with its interval. Example: +43.8 points (+35.9 to +51.2)."""
    if claim.value is None:
        return "-"
    if claim.form == "points":
        return points_text(claim.value, claim.interval) + " points"
    show = {"share": share_text, "change": _signed}.get(claim.form, plain_text)
    if claim.interval is None:
        return show(claim.value)
    low, high = claim.interval
    return f"{show(claim.value)} ({show(low)} to {show(high)})"


def _signed(value: float) -> str:
    return f"{value:+,.3g}"
