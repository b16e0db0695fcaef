"""Patches as models write them: a unified diff, or blocks of search and replace, applied to files in memory.

    answer text -> edits -> the files after them, or why not

A patch applies whole and exactly or not at all. Line numbers of a diff are only where the search begins: what counts is
that the lines of a hunk stand in the file, once, or nearest to where it says. Nothing is ever written to a disk. Every
reader goes once over the lines.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

__all__ = ["Edit", "PatchError", "apply", "find_patch"]

_OPEN, _CLOSE = "<answer>", "</answer>"
_FENCE = re.compile(r"(`{3,})[ \t]*([\w+-]*)[^`]*")
_SEARCH = re.compile(r"(<{5,9}) ?SEARCH\b.*")
_PATH = re.compile(r"(?:file(?:name)?|path)?\s*:?\s*([\w./+-]+\.\w+):?", re.IGNORECASE)
_HUNK = re.compile(r"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@.*")
_BARE_HUNK = re.compile(r"@@(?:[^@]*@@)?.*")
_FROM, _TO = re.compile(r"--- (?P<path>\S+).*"), re.compile(r"\+\+\+ (?P<path>\S+).*")
_REFUSED = re.compile(
    r"(new file mode|old mode|new mode|deleted file mode) 1[26]0000|(new|old) mode \d+"
    r"|rename (from|to) .*|copy (from|to) .*|GIT binary patch|Binary files .* differ"
)
_NOWHERE = "/dev/null"
_MOST_EDITS, _MOST_CHARS = 200, 200_000


class PatchError(ValueError):
    """Why there is no patch, or why it does not apply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """In the file at `path`, the text `old` becomes `new`; an `old` of None makes the file, a `new` of None deletes it.
    `line` is where to look first, from 0; where `old` is empty, `new` stands before that line."""

    path: str
    old: str | None
    new: str | None
    line: int | None = None


def find_patch(text: str) -> tuple[Edit, ...]:
    """The edits of an answer, in the answer tags where it ends with them: all blocks of search and replace, or all
    hunks of its `diff` blocks or of the text. PatchError for none or both, for a block that is not whole, and for a
    patch that does more than change texts: links, modes, renames, binaries."""
    if len(text) > _MOST_CHARS:
        raise PatchError(f"the answer has {len(text):,} characters; a patch has at most {_MOST_CHARS:,}")
    text = text.replace("\r\n", "\n").strip("\n")
    if text.lstrip().startswith("<think>"):
        text = text.partition("</think>")[2]
    if text.rstrip().endswith(_CLOSE) and _OPEN in text:
        text = text.partition(_OPEN)[2].rpartition(_CLOSE)[0]
    lines = text.split("\n")
    edits, blocks = _diff(_fenced(lines) or lines), _blocks(lines)
    if edits and blocks:
        raise PatchError("there are a unified diff and blocks of search and replace: a patch is one of both")
    edits = blocks or edits
    if not edits:
        raise PatchError("there is no patch: expected a unified diff, or blocks of <<<<<<< SEARCH and >>>>>>> REPLACE")
    if len(edits) > _MOST_EDITS:
        raise PatchError(f"the patch has {len(edits)} edits; the most is {_MOST_EDITS}")
    return tuple(edits)


def apply(edits: Sequence[Edit], files: Mapping[str, str]) -> dict[str, str]:
    """The files after the edits, in their order. PatchError for one that does not fit, or leads out of the folder."""
    found = dict(files)
    for edit in edits:
        path = _inside(edit.path)
        if edit.new is None:
            if found.pop(path, None) is None:
                raise PatchError(f"{path} cannot be deleted: there is no such file")
        elif edit.old is None:
            if found.get(path, "").strip():
                raise PatchError(f"{path} is there already, and not empty: an edit says which of its lines change")
            found[path] = edit.new
        elif path not in found:
            raise PatchError(f"there is no file {path}: it has {', '.join(sorted(files))[:300]}")
        else:
            found[path] = _replaced(found[path], edit.old, edit.new, edit.line, path)
    return found


def _inside(path: str) -> str:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\\" in path or "\0" in path or not pure.parts:
        raise PatchError(f"{path!r} leads out of the folder: expected a path in it, such as shop/cart.py")
    return str(pure)


def _replaced(text: str, wanted: str, new: str, line: int | None, path: str) -> str:
    lines, old = text.splitlines(keepends=True), wanted.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    if not old:
        assert line is not None
        if line > len(lines):
            raise PatchError(f"{path} has {len(lines)} lines, and lines are put before line {line + 1}")
        return "".join([*lines[:line], new, *lines[line:]])
    places = [start for start in range(len(lines) - len(old) + 1) if lines[start : start + len(old)] == old]
    if not places:
        raise PatchError(f"{path} has no lines {wanted[:200]!r}")
    if len(places) > 1 and line is None:
        raise PatchError(f"{path} has the lines {wanted[:200]!r} {len(places)} times; more of them would tell which")
    place = min(places, key=lambda start: abs(start - (line or 0)))
    return "".join([*lines[:place], new, *lines[place + len(old) :]])


def _fenced(lines: Sequence[str]) -> list[str]:
    """The lines of all code blocks that are diffs, one after the other."""
    found: list[str] = []
    fence, is_diff = "", False
    for line in lines:
        mark = _FENCE.fullmatch(line.strip()) if line.lstrip().startswith("```") else None
        if fence and mark and mark[1] == fence and not mark[2]:
            fence = ""
        elif fence and is_diff:
            found.append(line)
        elif not fence and mark:
            fence, is_diff = mark[1], mark[2] in ("diff", "patch")
    return found


def _blocks(lines: Sequence[str]) -> list[Edit]:
    """The path of a block is the last line before it that is one, or that of the block right before."""
    edits: list[Edit] = []
    path, between, place = "", [""], 0
    while place < len(lines):
        start = _SEARCH.fullmatch(lines[place].rstrip())
        if start is None:
            between.append(lines[place])
            place += 1
            continue
        path = _named(between) or (path if not "".join(between).strip(" `\n") else "")
        if not path:
            raise PatchError("a block of search and replace names no file: its path stands in the line before")
        marks = len(start[1])
        middle = _find(lines, place + 1, "=" * marks)
        end = _find(lines, middle + 1, ">" * marks)
        old, new = ("".join(f"{line}\n" for line in lines[a + 1 : b]) for a, b in ((place, middle), (middle, end)))
        edits.append(Edit(path=path, old=old if old.strip() else None, new=new))
        between, place = [], end + 1
    return edits


def _named(between: Sequence[str]) -> str:
    """The path that the lines before a block end with, whatever marks stand around it."""
    for line in reversed(between):
        bare = line.strip().strip("`*#: ")
        if named := _PATH.fullmatch(bare):
            return named[1]
        if bare and not bare.isalnum():
            return ""
    return ""


def _find(lines: Sequence[str], place: int, marks: str) -> int:
    """The line that ends a part of a block, with as many marks as it began with. PatchError where it is not whole."""
    for number in range(place, len(lines)):
        line = lines[number].rstrip()
        if line == marks or (marks[0] == ">" and line.startswith(marks) and line[len(marks) :].strip() == "REPLACE"):
            return number
        if _SEARCH.fullmatch(line):
            break
    raise PatchError(f"a block of search and replace has no line {marks!r}: it is not whole")


def _diff(lines: Sequence[str]) -> list[Edit]:
    edits: list[Edit] = []
    place, new_path, made, hunks = 0, "", False, 0
    while place < len(lines):
        line = lines[place]
        place += 1
        if _REFUSED.fullmatch(line):
            raise PatchError(f"a patch changes texts only, not {line[:80]!r}")
        if _is_header(lines, place - 1):
            old_path, new_path = _plain(line, _FROM, "a/"), _plain(lines[place], _TO, "b/")
            place, made, hunks = place + 1, old_path == _NOWHERE, 0
            if new_path == _NOWHERE:
                edits.append(Edit(path=old_path, old=None, new=None))
            elif not made and old_path != new_path:
                raise PatchError(f"a patch renames nothing: {old_path} became {new_path}")
        elif _BARE_HUNK.fullmatch(line):
            if not new_path:
                raise PatchError("a hunk of a diff stands behind no lines `--- path` and `+++ path`")
            old, new, place = _hunk(lines, place)
            hunks += 1
            if made and (old or hunks > 1):
                raise PatchError(f"{new_path} is new, and a hunk of it has lines to replace")
            numbers = _HUNK.fullmatch(line)
            first = None if numbers is None else max(0, int(numbers[3]) - 1)
            if not old and not made and new_path != _NOWHERE and first is None:
                raise PatchError(f"a hunk of {new_path} says neither where its lines go nor what stands beside them")
            if new_path != _NOWHERE:
                edits.append(Edit(path=new_path, old=None if made else old, new=new, line=first))
    return edits


def _is_header(lines: Sequence[str], place: int) -> bool:
    return (
        place + 1 < len(lines)
        and _FROM.fullmatch(lines[place]) is not None
        and _TO.fullmatch(lines[place + 1]) is not None
    )


def _plain(line: str, form: re.Pattern[str], prefix: str) -> str:
    found = form.fullmatch(line)
    assert found is not None
    return found["path"] if found["path"] == _NOWHERE else found["path"].removeprefix(prefix)


def _hunk(lines: Sequence[str], place: int) -> tuple[str, str, int]:
    """Texts before and after of one hunk, whatever its header counts, since models miscount: it ends where a line is
    none of its own. Empty lines at its end stand behind it."""
    old: list[str] = []
    new: list[str] = []
    empty = 0  # lines without even a blank, which count only if more follows
    while place < len(lines):
        line = lines[place]
        if line and (line[0] not in " +-\\" or _is_header(lines, place) or line == "-- "):
            break
        place += 1
        if not line:
            empty += 1
            continue
        for text in (old, new):
            text += ["\n"] * empty
        empty = 0
        if line[0] in " -":
            old.append(line[1:] + "\n")
        if line[0] in " +":
            new.append(line[1:] + "\n")
    return "".join(old), "".join(new), place
