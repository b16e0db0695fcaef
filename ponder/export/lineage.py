"""Where a stage's work came from: the stages before it, and the model that they began with.

A stage's manifest names what it read and with which fingerprints. A stage whose folder is gone, or which has been run
anew since, is named as unknown: its folder does not tell of what was read.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ponder.errors import RunFolderError
from ponder.files import EMBEDDED
from ponder.hub import HubId, parse_hub_id
from ponder.manifest import Manifest, read_manifest
from ponder.report.run import Run, StageRecord, read_run

__all__ = ["Base", "Lineage", "Link", "read_lineage"]

_HUB = "hub:"
_GO_ON = ("rl", "sft", "sample")
"""Kinds of stages whose `model` is what they train further, or sample."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A model from outside the run, as the recipe names it, and its digest, None where the manifest has none. A name of
    the hub has its commit as digest."""

    reference: str
    digest: str | None

    @property
    def hub(self) -> HubId | None:
        """Its name on the hub and its commit, if it came from there."""
        if self.digest is not None:
            return parse_hub_id(self.digest.removeprefix(_HUB)) if self.digest.startswith(_HUB) else None
        return None if self.reference in EMBEDDED else parse_hub_id(self.reference)

    @property
    def shown(self) -> str:
        """Without the folders above it, which are nobody's business."""
        return self.reference if self.reference in EMBEDDED or self.hub is not None else Path(self.reference).name


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One stage: what the run shows of it, and its manifest."""

    record: StageRecord
    manifest: Manifest

    @property
    def name(self) -> str:
        """The stage's name in the recipe."""
        return self.record.name

    @property
    def trained_from(self) -> str | None:
        """The model whose weights it goes on from, or which it samples; None for random weights and endpoints."""
        return self.record.config["model"] if self.record.kind in _GO_ON else None

    @property
    def reads(self) -> Sequence[str]:
        """The models and stages that it read, as the recipe names them."""
        config = self.record.config
        scorers: Mapping[str, str] = config.get("reward_models") or {}
        helpers = [one["model"] for one in _mappings(config) if one.get("kind") == "model"]
        named = [config.get("model"), *scorers.values(), *helpers, *self.manifest.identity.get("inputs", {})]
        return tuple(dict.fromkeys(one for one in named if one is not None))

    @property
    def endpoints(self) -> Sequence[str]:
        """The models at endpoints that it asked."""
        return tuple(dict.fromkeys(one["model"] for one in _mappings(self.record.config) if "base_url" in one))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """`links` are the stages that one came from, each after those it read, itself last; `unknown` those of which the
    run folder no longer tells."""

    run: Run
    links: Sequence[Link]
    unknown: Sequence[str]

    @property
    def weights(self) -> Sequence[Link]:
        """The stages that the weights went through, the first one first."""
        named = {link.name: link for link in self.links}
        found = [self.links[-1]]
        while (before := found[-1].trained_from) is not None and before in named:
            found.append(named[before])
        return found[::-1]

    @property
    def base(self) -> Base | None:
        """The model from outside that the weights came from; None where there is none, or it is unknown."""
        first = self.weights[0]
        if first.trained_from is None or first.trained_from in self.unknown:
            return None
        return self._outside(first, first.trained_from)

    def others(self) -> Sequence[Base]:
        """The models from outside that wrote, judged or scored what was learnt from, beside the base."""
        own = {link.name for link in self.links} | set(self.unknown)
        found = [self._outside(link, one) for link in self.links for one in link.reads if one not in own]
        return tuple(one for one in dict.fromkeys(found) if one != self.base)

    def _outside(self, link: Link, reference: str) -> Base:
        return Base(reference=reference, digest=link.manifest.identity.get("outside", {}).get(reference))


def read_lineage(stage: Path) -> Lineage:
    """The lineage of a stage of a run, by the stage's folder; RunFolderError where the run's files are damaged."""
    run = read_run(stage.parent.parent)
    records = {record.name: record for record in run.stages}
    links: dict[str, Link] = {}
    unknown: dict[str, None] = {}

    def follow(name: str, fingerprint: str | None) -> None:
        manifest = read_manifest(records[name].folder) if name in records else None
        if manifest is None or (fingerprint is not None and manifest.fingerprint != fingerprint):
            unknown[name] = None
        elif name not in links:
            for one, own in manifest.identity.get("inputs", {}).items():
                follow(one, own)
            links[name] = Link(record=records[name], manifest=manifest)

    follow(stage.name, None)
    if stage.name not in links:
        raise RunFolderError(
            f"The recipe of {str(run.folder)!r} has no stage {stage.name!r}, though there is a folder of that name: it "
            f"was left by another recipe. Export its model by its path, {str(stage / 'model')!r}."
        )
    return Lineage(run=run, links=tuple(links.values()), unknown=tuple(unknown))


def _mappings(value: Any) -> Iterator[Mapping[str, Any]]:
    """All mappings within settings."""
    if isinstance(value, Mapping):
        yield value
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    for one in inner:
        yield from _mappings(one)
