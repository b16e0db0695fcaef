"""What decides a stage's result, as a value that can be hashed and compared key by key."""

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ponder.evaluation.benchmark import find_benchmark
from ponder.files import expand_path, file_digest, folder_digest, model_path
from ponder.hub import parse_hub_id
from ponder.own import read_own
from ponder.recipe.graph import is_hub_id, model_references, order
from ponder.recipe.own import OwnUse
from ponder.recipe.problems import own_problems
from ponder.recipe.recipe import Recipe
from ponder.recipe.stages import Stage
from ponder.seeds import derive_seed

__all__ = [
    "CODE_SCHEMA",
    "WITHOUT_EFFECT",
    "data_files",
    "differences",
    "fell",
    "fingerprint",
    "grew",
    "identities",
    "own_files",
    "own_uses",
    "pinned",
    "stage_seed",
]

CODE_SCHEMA = 8
"""Raised when a change of ponder's code changes what the same recipe yields, so that old results are not reused."""

WITHOUT_EFFECT = {
    "after": "only says when the stage runs",
    "batch": "how many passes compute the same gradient",
    "checkpoint_every": "a resumed run equals an uninterrupted one",
    "keep_checkpoints": "disk space only",
    "engine.max_slots": "completions have seeds of their own",
    "engine.workers": "a task says all that decides its completions",
    "engine.cache_gib": "completions have seeds of their own",
    "engine.parity_tolerance": "a limit that stops a run, not a setting of it",
    **{
        f"{place}{key}": reason
        for place in (
            "endpoint.",
            "judge.endpoint.",
            "rewrite.by.endpoint.",
            "judged.by.endpoint.",
            "rubric.by.endpoint.",
            "served.*.",
        )
        for key, reason in {
            "api_key_env": "who pays",
            "price_per_million_input": "what is paid",
            "price_per_million_cached_input": "what is paid",
            "price_per_million_output": "what is paid",
            "max_concurrency": "how fast replies come",
            "timeout_seconds": "how long a reply is waited for",
            "retries": "how often a request is tried",
            "max_wait_seconds": "how long is waited between tries",
            "max_failures": "a limit that stops a run, not a setting of it",
            "stream": "how a reply travels",
        }.items()
    },
    "judged.deadline_seconds": "how long a judgement is waited for",
    "rubric.deadline_seconds": "how long a judgement is waited for",
    "critic.optimizer.max_skipped_in_a_row": "a limit that stops a run, not a setting of it",
    "optimizer.max_skipped_in_a_row": "a limit that stops a run, not a setting of it",
}
"""Stage keys that may change between the sessions of a run, and why the result stays the same; `*` is any key."""
_HUB = "hub:"
"""What begins the digest of a model of the hub."""
_COMMIT = re.compile(r"[0-9a-f]{40}")
_NO_COMMITS: Mapping[str, str] = MappingProxyType({})


def identities(recipe: Recipe, smoke: bool, commits: Mapping[str, str] = _NO_COMMITS) -> dict[str, dict[str, Any]]:
    """For each stage everything its result depends on; inputs that are stages stand in by their fingerprints, models of
    the hub by their `commits`."""
    found: dict[str, dict[str, Any]] = {}
    for name in order(recipe):
        stage = recipe.stages[name]
        inputs = stage.inputs()
        read = inputs[: len(inputs) - len(stage.after)]  # `after` stands last, and may name what is read, too
        found[name] = {
            "code": CODE_SCHEMA,
            "smoke": smoke,
            "seed": stage_seed(recipe, name),
            "config": _effective(stage),
            "inputs": {one: fingerprint(found[one]) for one in read if one in recipe.stages},
            "outside": {
                one: _digest(one, commits) for one in (*model_references(stage), *data_files(stage)) if one not in found
            }
            if not smoke
            else {},
            **_own(stage, recipe.home),
        }
    return found


def _own(stage: Stage, home: Path) -> dict[str, dict[str, str]]:
    """Digests of the user's own files and of what they import beside them; nothing where there are none."""
    files = own_files(stage)
    return {"own": read_own(files, home).digests()} if files else {}


def own_files(stage: Stage) -> tuple[str, ...]:
    """The user's own files that a stage names."""
    return tuple(dict.fromkeys(use.file for use in own_uses(stage)))


def own_uses(stage: Stage) -> tuple[OwnUse, ...]:
    """The functions of the user's own that a stage or a benchmark of the user's calls."""
    benchmarks = [find_benchmark(one) for one in stage.benchmark_names() if expand_path(one).is_file()]
    return (*stage.own_uses(), *(use for one in benchmarks for use in own_problems(one.problems)))


def fingerprint(identity: Mapping[str, Any]) -> str:
    """Hash of an identity."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys in which two identities differ, as `steps: 5 -> 8`."""
    before, after = dict(_flat(old)), dict(_flat(new))
    return tuple(
        f"{key.removeprefix('config.')}: {_shown(key, before)} -> {_shown(key, after)}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key, _ABSENT) != after.get(key, _ABSENT)
    )


def grew(keys: Collection[str], old: Mapping[str, Any], new: Mapping[str, Any], made: int | None) -> bool:
    """Whether an identity only asks for more than the one before: nothing differs but some of `keys`, which rose.
    `made` are the updates of the finished stage, for a number of steps where none was given; None: not finished."""

    def rose(before: Any, after: Any) -> bool:
        before = made if before is None else before
        return before is not None and after is not None and after > before

    rest = [{**one, "config": {k: v for k, v in one["config"].items() if k not in keys}} for one in (old, new)]
    pairs = [(old["config"].get(key), new["config"].get(key)) for key in keys]
    return rest[0] == rest[1] and all(before == after or rose(before, after) for before, after in pairs)


def fell(keys: Collection[str], old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """Those of `keys` that the new identity has less of."""
    pairs = {key: (old["config"].get(key), new["config"].get(key)) for key in keys}
    return tuple(key for key, (before, after) in pairs.items() if before and after and after < before)


def stage_seed(recipe: Recipe, name: str) -> int:
    """The stage's own seed, or one derived from the recipe's seed and the stage's name."""
    own = recipe.stages[name].seed
    return derive_seed(recipe.seed, name) if own is None else own


def data_files(stage: Stage) -> tuple[str, ...]:
    """Paths of the data files a stage reads, as the recipe writes them, or a benchmark's own file."""
    benchmarks = [one for one in stage.benchmark_names() if expand_path(one).is_file()]
    theirs = (path for one in benchmarks for path in _paths(find_benchmark(one).model_dump()))
    return tuple(
        dict.fromkeys((*_paths(stage.model_dump()), *benchmarks, *theirs, *stage.text_folders(), *stage.rule_files()))
    )


def _paths(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if value.get("source") == "file":
            yield value["path"]
        for child in value.values():
            yield from _paths(child)
    elif isinstance(value, list | tuple):
        for child in value:
            yield from _paths(child)


def _effective(stage: Stage) -> dict[str, Any]:
    config = stage.model_dump(mode="json")
    config.pop("seed")  # stands in the identity by its derived value
    for key in WITHOUT_EFFECT:
        *outer, last = key.split(".")
        nodes: list[Any] = [config]
        for part in outer:
            nodes = [one for node in nodes for one in ((node.values()) if part == "*" else [node.get(part) or {}])]
        for node in nodes:
            node.pop(last, None)
    return config


def _digest(reference: str, commits: Mapping[str, str]) -> str:
    """Content of an outside file or model folder; a hub id stands for its commit where that is known and else for
    itself, a missing path for `missing`."""
    path = model_path(reference)
    if path.is_dir():
        return folder_digest(path)
    if path.is_file():
        return file_digest(path)
    if (hub_id := parse_hub_id(reference)) is None:
        return "missing"
    return f"{_HUB}{hub_id.at(commits[reference])}" if reference in commits else f"{_HUB}{reference}"


def pinned(identity: Mapping[str, Any]) -> dict[str, str]:
    """The commits of the hub's models that an identity names, by their names in the recipe."""
    outside: Mapping[str, str] = identity.get("outside", {})
    named = ((one, parse_hub_id(digest.removeprefix(_HUB))) for one, digest in outside.items() if digest[:4] == _HUB)
    return {
        one: hub_id.revision
        for one, hub_id in named
        if hub_id is not None and hub_id.revision is not None and _COMMIT.fullmatch(hub_id.revision)
    }


_ABSENT = object()


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, child in value.items():
            yield from _flat(child, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list) and any(isinstance(child, Mapping) for child in value):
        for index, child in enumerate(value):
            yield from _flat(child, f"{prefix}.{index}")
    else:
        yield prefix, value


def _shown(key: str, values: Mapping[str, Any]) -> str:
    if key not in values:
        return "(absent)"
    text = json.dumps(values[key], ensure_ascii=False)
    return text[1:20] + "..." if key.startswith(("inputs.", "outside.", "own.")) and len(text) > 20 else text


def input_path(reference: str) -> Path | None:
    """The folder or file a reference from outside means, or None for a hub id."""
    return None if is_hub_id(reference) else model_path(reference)
