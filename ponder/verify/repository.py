"""A patch for a small package: applied in memory, then judged by the tests that it must turn green and leave green.

    answer text + RepositoryGold -> edits -> patched files -> one program -> each test file -> Verdict

A patch may change anything but tests and what runs them. The tests themselves run apart from the patched code, as they
do for single programs (`verify.code`), so nothing that a patch brings along runs in their process.
"""

import ast
import difflib
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import PurePosixPath

from ponder.records import CodeGold, Outcome, RepositoryGold, Verdict
from ponder.verify.bundle import Bundled, BundleError, bundled
from ponder.verify.code import allowed_seconds, check_code, verify_program
from ponder.verify.modules import methods, modules_of
from ponder.verify.patch import Edit, PatchError, apply, find_patch
from ponder.verify.test_file import only, test_names, why_tests_need_not_run

__all__ = ["check_repository", "patched_files", "repository_seconds", "verify_repository"]

_MOST_FILES, _MOST_CHARS = 200, 1_000_000
_RUNS_TESTS = frozenset(
    {"conftest.py", "sitecustomize.py", "usercustomize.py", "pytest.ini", "tox.ini", "setup.cfg", "setup.py",
     "pyproject.toml", "noxfile.py"}
)  # fmt: skip
_THERE = sys.stdlib_module_names | {"pytest", "_pytest", "numpy"}
_SAYS_NOTHING = (ast.Import, ast.ImportFrom, ast.Expr, ast.Pass)
_DOUBTS: tuple[Outcome, ...] = ("wrong", "cannot_tell", "right")
"""The verdict of several test files is the first of these that any has."""


def verify_repository(answer_text: str, gold: RepositoryGold, core: int | None = None) -> Verdict:
    """Right when the patch in the answer applies, leaves the tests alone, and all that must pass does; `score` is the
    share of tests that pass, as a mean over the files. `answer` is the change as a diff."""
    if (unusable := check_repository(gold)) is not None:
        return Verdict(outcome="cannot_tell", reason=unusable)
    try:
        patched = patched_files(answer_text, gold)
    except PatchError as error:
        return Verdict(outcome="wrong", reason=str(error)[:300])
    verdicts = [
        (path, verify_program(tests.program(patched), code, allowed_seconds(code, gold.seconds), core))
        for path, tests, code in _test_files(gold)
    ]
    outcome = next(one for one in _DOUBTS if any(verdict.outcome == one for _, verdict in verdicts))
    said = "; ".join(f"{path}: {verdict.reason}" for path, verdict in verdicts)
    score = sum(verdict.score or 0.0 for _, verdict in verdicts) / len(verdicts)
    return Verdict(outcome=outcome, reason=said[:300], answer=_diff(gold.files, patched), score=score)


def patched_files(answer_text: str, gold: RepositoryGold) -> dict[str, str]:
    """The files after the answer's patch. PatchError where there is none, where it does not apply, changes nothing, or
    touches tests or what runs them."""
    edits = find_patch(answer_text)
    for edit in edits:
        if (why := _why_not(edit, gold)) is not None:
            raise PatchError(why)
    patched = apply(edits, gold.files)
    if patched == dict(gold.files):
        raise PatchError("the patch changes nothing")
    if sum(map(len, patched.values())) > _MOST_CHARS or len(patched) > _MOST_FILES:
        raise PatchError(f"the patched files are more than {_MOST_FILES} or {_MOST_CHARS:,} characters")
    return patched


def check_repository(gold: RepositoryGold) -> str | None:
    """Why this gold cannot judge any patch here, or None."""
    paths = [PurePosixPath(path) for path in (*gold.files, *gold.tests)]
    if not gold.files or not gold.tests:
        return f"the repository has {len(gold.files)} files and {len(gold.tests)} test files; it needs some of both"
    if odd := [str(one) for one in paths if one.is_absolute() or ".." in one.parts or one.suffix != ".py"]:
        return f"{odd[0]!r} is no path of a Python file in the repository"
    if shared := gold.files.keys() & gold.tests.keys():
        return f"{min(shared)} is a file and a test file"
    if len(paths) > _MOST_FILES or sum(map(len, (*gold.files.values(), *gold.tests.values()))) > _MOST_CHARS:
        return f"the repository has more than {_MOST_FILES} files or {_MOST_CHARS:,} characters"
    roots = frozenset(module.partition(".")[0] for module in modules_of(gold.files))
    if "solution" in roots:
        return "the repository has a module 'solution', which is what tests are given here"
    if gold.answer:
        try:
            patched_files(gold.answer, gold)
        except PatchError as error:
            return f"its own answer is no patch for it: {error}"
    names = {path: test_names(source) for path, source in gold.tests.items()}
    known = {f"{path}::{name}" for path, found in names.items() for name in found}
    if unknown := [name for name in gold.must_pass if name not in known]:
        return f"there is no test {unknown[0]!r}; there are {', '.join(sorted(known))[:200]}"
    for path, source in gold.tests.items():
        if (why := _why_unreadable(path, source, modules_of(gold.tests) - roots, roots)) is not None:
            return f"{path}: {why}"
    if not known:
        return f"there is no test in {', '.join(sorted(gold.tests))[:200]}"
    try:
        for path, _, code in _test_files(gold):
            if (why := why_tests_need_not_run(code.tests[0]) or check_code(code)) is not None:
                return f"{path}: {why.replace('code gold', 'repository')}"
    except (BundleError, ValueError) as error:
        return f"the tests cannot be run apart from the files: {error}"
    return None


def _why_unreadable(path: str, source: str, others: frozenset[str], ours: frozenset[str]) -> str | None:
    """What a test file takes from other test files, which run apart from it, or from elsewhere than `ours`."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"it cannot be read as Python: {error}"
    if path.rpartition("/")[2] == "conftest.py" and any(not isinstance(one, _SAYS_NOTHING) for one in tree.body):
        return "what a conftest.py says is not heard here; put its fixtures into the test files"
    for node in ast.walk(tree):
        named = [one.name for one in node.names] if isinstance(node, ast.Import) else []
        named += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        where = f"line {getattr(node, 'lineno', 0)} imports"
        if found := [name for name in named if name in others]:
            return f"{where} {found[0]}, another test file, which runs apart"
        if found := [name for name in named if name and name.partition(".")[0] not in ours | _THERE]:
            return f"{where} {found[0]}, which is not there: only the repository, the standard library and pytest are"
    return None


def repository_seconds(gold: RepositoryGold) -> float:
    """Wall time in which a patch is judged."""
    return len(gold.tests) * allowed_seconds(CodeGold(tests=("pass",), seconds=gold.seconds), gold.seconds)


def _why_not(edit: Edit, gold: RepositoryGold) -> str | None:
    path = PurePosixPath(edit.path)
    if str(path) in gold.files:
        return None
    parts = [part.lower() for part in path.parts if part not in (".",)]
    name = parts[-1] if parts else ""
    if "/".join(path.parts) in gold.tests or "tests" in parts[:-1] or name.startswith("test_") or "_test." in name:
        return f"the patch touches {edit.path}, which is a test"
    if name in _RUNS_TESTS or name.endswith((".pth", ".so", ".pyd")):
        return f"the patch touches {edit.path}, which has a say in how tests run"
    if any(part.startswith(".") for part in parts if part != ".."):
        return f"the patch touches {edit.path}, which is hidden"
    return None


def _test_files(gold: RepositoryGold) -> Iterator[tuple[str, Bundled, CodeGold]]:
    wanted: dict[str, set[str]] = {}
    for one in gold.must_pass:
        path, _, name = one.partition("::")
        wanted.setdefault(path, set()).add(name)
    for path, source in gold.tests.items():
        if (gold.must_pass and path not in wanted) or not test_names(source):
            continue
        yield (path, *_tests_of(path, source, frozenset(wanted.get(path, ())), _mended(gold), gold.seconds))


def _mended(gold: RepositoryGold) -> tuple[tuple[str, str], ...]:
    """The files as they are meant to be, where that is known: what tests may find in them."""
    return tuple((patched_files(gold.answer, gold) if gold.answer else gold.files).items())


@lru_cache(maxsize=256)
def _tests_of(
    path: str, source: str, wanted: frozenset[str], items: tuple[tuple[str, str], ...], seconds: float
) -> tuple[Bundled, CodeGold]:
    files = dict(items)
    tests = bundled(path, only(source, wanted) if wanted else source, files)
    code = CodeGold(tests=(tests.tests,), form="unittest", seconds=seconds, answer=_stubs(tests, files))
    return tests, code


def _stubs(tests: Bundled, files: Mapping[str, str]) -> str:
    """What the tests take from the files, as a program of empty functions and classes: which of them are classes, and
    which methods these have, is what the files say."""
    lines = []
    for name, (module, attribute) in sorted(tests.exports.items()):
        known = methods(files, module, attribute)
        if known is None:
            lines.append(f"def {name}(): pass")
        else:
            lines += [f"class {name}:", *(f"    def {one}(self): pass" for one in sorted(known | {"__init__"}))]
    return "\n".join(lines) + "\n"


def _diff(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    lines: list[str] = []
    for path in sorted(before.keys() | after.keys()):
        old, new = (files.get(path, "").splitlines() for files in (before, after))
        lines += difflib.unified_diff(old, new, f"a/{path}", f"b/{path}", lineterm="")
    return "\n".join(lines)
