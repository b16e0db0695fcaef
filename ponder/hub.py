"""Models of the Hugging Face hub by name: `organisation/name`, or with a revision, `organisation/name@revision`.

A name alone means whatever the hub holds today. So a run resolves it once, to a commit, which stands in the manifests
and is what is loaded from then on. No torch.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ponder.errors import ModelError

__all__ = ["HubId", "fetch", "hub_commit", "parse_hub_id"]

_HUB_ID = re.compile(r"(?P<repository>[A-Za-z0-9][\w.-]*/[\w.-]+)(@(?P<revision>[\w.-]+(/[\w.-]+)*))?")
_RESOLVED_BY = ["config.json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HubId:
    """Example: HubId(repository="Qwen/Qwen2.5-0.5B", revision="main"); the revision is a branch, a tag or a commit, and
    None stands for the branch that the hub shows."""

    repository: str
    revision: str | None

    def at(self, commit: str) -> str:
        """The same model as of one commit, as a recipe would write it."""
        return f"{self.repository}@{commit}"


def parse_hub_id(reference: str) -> HubId | None:
    """What `reference` names on the hub, None where it has another form or is a folder here."""
    found = _HUB_ID.fullmatch(reference)
    if found is None or Path(reference).exists():
        return None
    return HubId(repository=found["repository"], revision=found["revision"])


def fetch(hub_id: HubId, patterns: Sequence[str], *, cached: bool = False) -> Path:
    """The folder with the files of these patterns, downloaded where they are not in the hub's cache and `cached` is
    false; its name is the commit. A pattern without a folder is of files outside of any. ModelError where there is
    none."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                hub_id.repository,
                revision=hub_id.revision,
                allow_patterns=list(patterns),
                ignore_patterns=[f"*/{pattern}" for pattern in patterns],  # since a star takes any number of folders
                local_files_only=cached,
            )
        )
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError) as error:
        reason = str(error).strip().splitlines()[0]
        revision = f" at the revision {hub_id.revision!r}" if hub_id.revision else ""
        raise ModelError(f"the Hugging Face hub does not give {hub_id.repository!r}{revision} ({reason})") from error


def hub_commit(hub_id: HubId, *, cached: bool = False) -> str:
    """The commit that a name means now, or in the hub's cache where the hub is not asked or cannot be reached."""
    return fetch(hub_id, _RESOLVED_BY, cached=cached).name
