"""From a recipe to a run folder: order, fingerprints, skipping, resuming, refusing, and the plan. No torch."""

from ponder.pipeline.run import default_out, run
from ponder.pipeline.survey import survey

__all__ = ["default_out", "run", "survey"]
