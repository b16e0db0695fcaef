"""Tests that follow a program in its own language, as MultiPL-E has them for C++ and JavaScript."""

import re
from collections.abc import Iterator
from functools import lru_cache

from ponder.records import CodeGold
from ponder.verify.compared import compared, comparison

__all__ = ["complete", "why_nothing_is_appended", "with_tests"]

_INCLUDE = re.compile(r"^[ \t]*(?:#[ \t]*include\b.*|using\b.*;)[ \t]*$", re.MULTILINE)
_SAID = re.compile(r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|(?<!\d)'(?:\\.|[^'\\\n])*'""", re.DOTALL)
"""Comments of C++, and what stands in quotes."""
_NAME = re.compile(r"\b(?!(?:true|false|null|undefined|nullptr|NaN|Infinity)\b)[A-Za-z_]\w*")
_MAIN = re.compile(r"\bint\s+main\s*\(")
_TAIL = """
#include <cstdio>
int main() {
    int status = ponder_tests();
    fflush(stdout);
    if (status == 0) fputs(NAME::secret, stdout);
    return status;
}
"""


def complete(program: str, prefix: str, entry: str) -> str:
    """The whole program: an answer may define the function itself, or go on where the question's beginning ends."""
    if re.search(rf"\b{re.escape(entry)}\s*(?:\([^;{{}}]*\)[^;{{}}]*\{{|=)", program):
        return "\n".join([*_INCLUDE.findall(prefix), program])
    whole = prefix + program
    return whole + "\n}" * max(0, whole.count("{") - whole.count("}"))


def with_tests(program: str, tests: str, name: str, after: str = "") -> str:
    """A C++ program and its tests as one, which hands the secret of its standard input back once the tests have ended.
    The bracket that closes the function, where the tests begin with it, is the program's already. `name` is one that
    the program does not know, `after` stands between the two."""
    body = tests.strip().removeprefix("}")
    if body.endswith("}"):
        body = body[:-1] + "return 0;\n}"  # `main` alone may end without
    body, _ = compared(_MAIN.sub("static int ponder_tests(", body), name)
    spoken = sorted(set(re.findall(r"\b[a-z_]\w*", _SAID.sub(" ", body + _TAIL))))
    undone = "\n".join(f"#undef {word}" for word in ("NDEBUG", *spoken) if word != "__cplusplus")
    tail = _TAIL.replace("NAME", name)
    return f"{comparison(name)}\n#line 1\n{program}\n{after}{undone}\n#include <cassert>\n{body}\n{tail}"


@lru_cache(maxsize=1024)
def why_nothing_is_appended(gold: CodeGold) -> str | None:
    """Why such tests check nothing, or None."""
    code = gold.tests[0]
    if len(gold.tests) != 1:
        return f"tests that follow the program are one text, got {len(gold.tests)}"
    if not gold.entry_point:
        return "tests that follow the program need the name of its function (entry_point)"
    if gold.program_language == "cpp" and _MAIN.search(code) is None:
        return "the tests have no `int main(`"
    bare = _SAID.sub(" 0 ", code) if gold.program_language == "cpp" else code  # JavaScript has patterns with quotes
    if re.search(r"\bthrow\b", bare) is None and not any(map(_NAME.search, _checked(bare))):
        return "the tests check nothing: no assert in them that speaks of anything"
    if gold.program_language == "cpp":
        if re.search(r"#[ \t]*define[ \t]+NDEBUG", code):
            return "the tests check nothing: they define NDEBUG"
        if 'R"' not in code and not _is_closed(bare.strip().removeprefix("}")):
            return "the tests do not compile: their brackets do not close"
    return None


def _checked(code: str) -> Iterator[str]:
    """What stands in the brackets of each assert."""
    for found in re.finditer(r"\bassert[\w.]*\s*\(", code):
        depth, end = 1, found.end()
        while depth and end < len(code):
            depth += {"(": 1, ")": -1}.get(code[end], 0)
            end += 1
        yield code[found.end() : end]


def _is_closed(code: str) -> bool:
    open_ones: list[str] = []
    for bracket in re.findall(r"[][(){}]", code):
        if bracket in "([{":
            open_ones.append(bracket)
        elif not open_ones or open_ones.pop() + bracket not in ("()", "[]", "{}"):
            return False
    return not open_ones
