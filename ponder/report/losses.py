"""Workers that were lost on the way, and how long it took until the work went on."""

from ponder.report.blocks import Cell, Section, Table
from ponder.report.run import Run
from ponder.watch.losses import LOSSES_FILE, read_losses
from ponder.watch.pace import seconds_text

__all__ = ["losses_section"]


def losses_section(run: Run) -> Section | None:
    """Every loss of every stage."""
    rows = [
        [
            Cell(text=stage.name),
            *(
                Cell(text=text, files=(file,))
                for text in (
                    one.time,
                    one.what,
                    one.where,
                    one.why,
                    "not before the end" if one.seconds is None else seconds_text(one.seconds),
                )
            ),
        ]
        for stage in run.stages
        for file in [run.relative(stage.folder / LOSSES_FILE)]
        for one in read_losses(stage.folder)
    ]
    if not rows:
        return None
    columns = ["stage", "time", "lost", "on", "why", "work went on after"]
    return Section(
        name="losses",
        title="Workers that were lost",
        lead="Results do not depend on them: what was lost is drawn or trained again from the same seeds.",
        tables=[Table(caption="Losses of this run", columns=columns, rows=rows)],
    )
