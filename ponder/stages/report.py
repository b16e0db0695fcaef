"""The `report` stage: `report.html` in the run folder, about the stages it names; see `report.page`."""

from collections.abc import Mapping
from typing import Any

from ponder.recipe.stages import ReportStage
from ponder.report import write_report
from ponder.stages.context import Context

__all__ = ["run_report"]


def run_report(context: Context[ReportStage]) -> Mapping[str, Any]:
    """Write the page and say where it is."""
    path = write_report(context.folder.parent.parent, only=context.config.stages)
    context.say(f"{context.name}: the report is {path}")
    return {"report": path.name}
