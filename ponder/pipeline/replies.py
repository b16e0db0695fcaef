"""Replies of endpoints outlive a redo: what was paid for is not asked again because another setting changed."""

import shutil
from pathlib import Path

from ponder.ask import RequestLog
from ponder.manifest import read_manifest
from ponder.pipeline.survey import Standing

__all__ = ["keep_replies"]


def keep_replies(standing: Standing, folder: Path) -> Path | None:
    """Copy into `folder`, which will be the stage's, the logs of requests that the last redo put aside with its old
    folder; returns that folder, or None where nothing was copied.

    Only logs of endpoints whose own settings and seed are the old ones: a model in this process gives the same replies
    again. A redo without any change asks anew.
    """
    aside = sorted(standing.folder.parent.glob(f"{standing.name}.replaced-*"))
    old = read_manifest(aside[-1]) if aside else None
    if old is None or old.fingerprint == standing.fingerprint or old.seed != standing.seed:
        return None
    before, now = old.identity["config"], standing.identity["config"]
    copied = False
    for log, keys in standing.stage.endpoint_logs().items():
        replies = Path("requests") / f"{log}.jsonl"
        if (aside[-1] / replies).is_file() and all(key in before and before[key] == now[key] for key in keys):
            (folder / replies.parent).mkdir(exist_ok=True)
            shutil.copyfile(aside[-1] / replies, folder / replies)
            with RequestLog(folder / replies) as kept:
                kept.forget(kept.failed)  # a judge's are final within a run, and this is another one
            copied = True
    return aside[-1] if copied else None
