"""Weights as a file that all nodes see: one version each, named by what it holds, with a probe that tells it apart.

A version is its content: the same weights are published once, and a file that is not what its name says is refused.
The newest two stay, and those that somebody holds.
"""

import hashlib
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ponder.errors import ModelError
from ponder.files import full_disk_explained
from ponder.policy.policy import Policy
from ponder.rollout.reproduce import probe_logprobs

__all__ = ["Following", "Published", "Publisher", "check_probe", "read_published"]

_KEPT = 2
_NEWEST = "newest.json"
_LOOK_SECONDS = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Where the weights stand, their digest, and the log-probs that they give to the probe's tokens, in nats; a mean
    difference above `tolerance` means other weights."""

    path: Path
    digest: str
    logprobs: tuple[float, ...]
    tolerance: float
    size_bytes: int


class Publisher:
    """The versions of one policy in a folder. What is held may be let go of in another thread."""

    def __init__(self, folder: Path, tolerance: float) -> None:
        self._folder, self._tolerance = folder, tolerance
        self._there: dict[str, Published] = {}  # by digest, the newest last
        self._held: Counter[str] = Counter()
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.iterdir():
            left.unlink()  # by a process that was killed

    def publish(self, policy: Policy, *, again: bool = False) -> Published:
        """The policy's weights as they are now, written unless they stand there already; `again` in any case."""
        with self._lock:
            return self._publish(policy, again=again)

    def hold(self, policy: Policy) -> Published:
        """As `publish`; they stay until `release`, whatever is published after them."""
        with self._lock:
            published = self._publish(policy, again=False)
            self._held[published.digest] += 1
            return published

    def release(self, published: Published, *, damaged: bool = False) -> None:
        """One who held these weights needs them no more. `damaged` ones are written anew when they come again."""
        with self._lock:
            self._held[published.digest] -= 1
            if damaged and self._there.pop(published.digest, None) is not None:
                published.path.unlink(missing_ok=True)
            self._prune()

    def announce(self, published: Published, version: int) -> Path:
        """Say that these are the newest, for `Following`; the file that says so."""
        path = self._folder / _NEWEST
        temporary = path.with_name(f".tmp-{path.name}")
        with full_disk_explained(self._folder):
            temporary.write_text(json.dumps({**asdict(published), "path": published.path.name, "version": version}))
        os.replace(temporary, path)
        return path

    def close(self) -> None:
        """Remove all."""
        (self._folder / _NEWEST).unlink(missing_ok=True)
        with self._lock:
            self._held.clear()
            for one in self._there.values():
                one.path.unlink(missing_ok=True)
            self._there = {}

    def _publish(self, policy: Policy, *, again: bool) -> Published:
        tensors = {name: one.detach().cpu().contiguous() for name, one in policy.model.named_parameters()}
        digest = _digest(tensors.items())
        if (known := self._there.pop(digest, None)) is not None and not again:
            self._there[digest] = known
            return known
        path = self._folder / f"{digest[:16]}.safetensors"
        with full_disk_explained(self._folder):
            _write(tensors, path)
        exact = policy.device.type == "cpu" and policy.autocast_dtype is None
        published = Published(
            path=path,
            digest=digest,
            logprobs=tuple(probe_logprobs(policy)),
            tolerance=min(1e-4, self._tolerance) if exact else self._tolerance,
            size_bytes=path.stat().st_size,
        )
        self._there[digest] = published
        self._prune()
        return published

    def _prune(self) -> None:
        for digest in list(self._there)[:-_KEPT]:
            if self._held[digest] <= 0:
                self._there.pop(digest).path.unlink(missing_ok=True)


class Following:
    """The `Renewal` of an engine that takes up what is announced: `policy` has the weights of `version` now."""

    def __init__(self, newest: Path, policy: Policy, version: int) -> None:
        self._newest, self._policy, self.version = newest, policy, version
        self.digest = ""
        """Of the weights that were taken up, if any were."""
        self._looked = time.monotonic()

    def due(self) -> bool:
        """See `Renewal`; a look at the file now and then."""
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return False
        self._looked = now
        return self._announced()[0] > self.version

    def take(self) -> int:
        """See `Renewal`. ModelError for weights that are not what was published, or that compute something else."""
        version, published = self._announced()
        while True:
            try:
                tensors = read_published(published)
                break
            except ModelError:
                newer, published = self._announced()
                if newer == version:
                    raise
                version = newer  # those before are gone by now
        with torch.no_grad():
            for name, parameter in self._policy.model.named_parameters():
                parameter.copy_(tensors[name])
        check_probe(self._policy, published)
        self.version, self.digest = version, published.digest
        return version

    def _announced(self) -> tuple[int, Published]:
        found = json.loads(self._newest.read_text())
        version = found.pop("version")
        path = self._newest.with_name(found.pop("path"))
        return version, Published(**found | {"path": path, "logprobs": tuple(found["logprobs"])})


def read_published(published: Published) -> dict[str, torch.Tensor]:
    """The weights by name. ModelError where the file is not what was published."""
    try:
        tensors = load_file(published.path)
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"The weights in {str(published.path)!r} cannot be read: {error}. They are published once more."
        ) from error
    if (digest := _digest(tensors.items())) != published.digest:
        raise ModelError(
            f"The weights in {str(published.path)!r} are not what was published: their digest is {digest[:16]}, "
            f"expected {published.digest[:16]}. They are published once more."
        )
    return tensors


def check_probe(policy: Policy, published: Published) -> float:
    """The mean difference of the probe's log-probs. ModelError, naming the worst token, where the policy does not
    compute what the one that was published did."""
    found = probe_logprobs(policy)
    differences = [abs(ours - theirs) for ours, theirs in zip(found, published.logprobs, strict=True)]
    mean = sum(differences) / len(differences)
    if not mean <= published.tolerance:
        worst = max(range(len(found)), key=lambda i: differences[i] if differences[i] == differences[i] else 1e9)
        raise ModelError(
            f"An engine was given the weights {published.digest[:16]} and does not compute what the trainer does: the "
            f"log-probs of {len(found)} tokens differ by {mean:.3g} on average (expected at most "
            f"{published.tolerance:g}), and most at place {worst}: {found[worst]:.4f} by the engine, "
            f"{published.logprobs[worst]:.4f} by the trainer. Nothing was sampled from them. Where nodes have "
            f"different processors, set `precision` to fp32."
        )
    return mean


def _digest(tensors: Iterable[tuple[str, torch.Tensor]]) -> str:
    found = hashlib.sha256()
    for name, tensor in sorted(tensors):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _write(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Whole or not there. It need not outlast the machine's end, so nothing waits for the disk."""
    temporary = path.with_name(f".tmp-{path.name}")
    save_file(dict(tensors), temporary)
    os.replace(temporary, path)
