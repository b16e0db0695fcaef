"""What a run did, for people: one self-contained HTML page, and `ponder show` in the terminal or as JSON.

Reads only files of the run folder (manifests, metrics, evaluations), also of a run that is still going on; changes
nothing but `report.html`. No torch.
"""

from ponder.report.page import try_report, write_report
from ponder.report.show import show_run

__all__ = ["show_run", "try_report", "write_report"]
