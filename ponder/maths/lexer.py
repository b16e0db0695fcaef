"""Cleaned text to tokens: numbers, names, functions, commands, words, signs.

A run of letters is one function or constant where it is known ("sin", "pi"), a word where it looks like one ("eggs"),
and a product of one-letter names otherwise ("xy"). Text in \\text{...} only ever becomes words and numbers.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from ponder.maths.tree import TooLarge, Unreadable
from ponder.maths.units import read_unit
from ponder.maths.words import CONNECTIVES, FILLERS, MULTIPLIERS, SENSE_CHANGING

__all__ = ["FUNCTIONS", "MAX_TOKENS", "Token", "tokenize"]

MAX_TOKENS = 400
_MAX_DIGITS = 1_000

Kind = Literal["number", "name", "function", "command", "word", "sign", "separator", "relation", "end"]


@dataclass(frozen=True, slots=True)
class Token:
    """Example: Token("number", "3.14"), Token("command", "frac"). `glued` tells that no space stood before it."""

    kind: Kind
    text: str
    glued: bool = False


_FUNCTION_WORDS = (
    "sin cos tan cot sec csc arcsin arccos arctan arccot arcsec arccsc sinh cosh tanh coth asin acos atan ln log lg "
    "exp sqrt cbrt abs floor ceil ceiling gcd lcm max min arg det re im sgn"
)
FUNCTIONS = frozenset(_FUNCTION_WORDS.split())
_GREEK_WORDS = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau phi chi psi omega "
    "Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega ell hbar"
)
_GREEK = frozenset(_GREEK_WORDS.split())
_NAMES = {"pi": "pi", "infty": "inf", "infinity": "inf", "inf": "inf", "oo": "inf", "reals": "reals"}
_COMMAND_WORDS = "frac binom sqrt radical overline dot sum prod int lim begin end angle triangle"
_COMMANDS = frozenset(_COMMAND_WORDS.split())
_SHORT_WORDS = "so to up go do we he me my us it as at by on of am pm th st nd rd vs ie eg sq cu ok hi dne"
_NOT_PRODUCTS = FILLERS | SENSE_CHANGING | MULTIPLIERS.keys() | frozenset(_SHORT_WORDS.split())
_SIGN_COMMANDS = {
    "pm": "±", "mp": "∓", "cup": "∪", "cap": "∩", "setminus": "∖", "lfloor": "⌊", "rfloor": "⌋", "lceil": "⌈",
    "rceil": "⌉", "langle": "⟨", "rangle": "⟩", "mid": "|", "circ": "°", "emptyset": "∅", "ldots": "…", "bmod": "mod",
}  # fmt: skip
_RELATION_COMMANDS = {"le": "<=", "ge": ">=", "ne": "!=", "approx": "~", "in": "in", "sim": "~", "equiv": "="}
_ARROWS = frozenset({"to", "rightarrow", "Rightarrow", "implies", "iff", "Leftrightarrow", "therefore"})
_MULTIPLIED = re.compile(r"([十百千]?万亿?|亿|[百千](?=元))([\u3400-\u9fff]+)")
_GLUED_WORD = re.compile(r"(or|and)([A-Za-z])")
_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<repeating>\d*\.\d*(?:\\overline\s*\{\d+\}|\\dot\s*\{?\d\}?(?:\d*\\dot\s*\{?\d\}?)?|\(\d+\)))
    |(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+(?![\d.]))?)
    |\\text\s*\{(?P<text>[^{}]*)\}
    |\\(?P<command>[A-Za-z]+)
    |(?P<letters>[A-Za-z]+)
    |(?P<cjk>[\u3400-\u9fff]+)
    |(?P<dots>\.\.\.+)
    |(?P<rows>\\\\)
    |(?P<set>\\[{}])
    |(?P<power>\*\*)
    |(?P<relation><|>|=|~)
    |(?P<separator>[,;，；])
    |(?P<sign>[-+*/^_!%°'|()\[\]{}:&¤$€£¥¢℃℉"?.])
    """,
    re.VERBOSE,
)


def tokenize(text: str) -> list[Token]:
    """The tokens of a cleaned text, with an end mark; raises Unreadable or TooLarge."""
    tokens: list[Token] = []
    position, glued = 0, False
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise Unreadable(f"{text[position]!r} is not understood")
        kind = match.lastgroup
        assert kind is not None
        found = match.group(kind)
        position = match.end()
        if kind == "space":
            glued = False
            continue
        new = _tokens(kind, found, glued)
        tokens.extend(new)
        if len(tokens) > MAX_TOKENS:
            raise TooLarge(f"it has more than {MAX_TOKENS} tokens")
        glued = bool(new)
    tokens.append(Token("end", ""))
    return [_unit_or_function(token, *near) for token, near in zip(tokens, _neighbours(tokens), strict=True)]


def _neighbours(tokens: list[Token]) -> Iterator[tuple[Token, Token]]:
    ends = Token("end", "")
    return zip([ends, *tokens[:-1]], [*tokens[1:], ends], strict=True)


def _unit_or_function(token: Token, before: Token, after: Token) -> Token:
    """ "min" and "sec" are minutes and seconds where they stand after a number or a stroke and before no argument."""
    measures = (
        token.kind == "function" and token.text in ("min", "sec") and (before.kind == "number" or before.text == "/")
    )
    return Token("word", token.text) if measures and after.kind in ("end", "separator", "word", "relation") else token


def _tokens(kind: str, text: str, glued: bool) -> list[Token]:
    match kind:
        case "number" | "repeating":
            if len(text) > _MAX_DIGITS:
                raise TooLarge(f"a number has more than {_MAX_DIGITS} digits")
            return [Token("number", text, glued)]
        case "text":
            return _text(text)
        case "command":
            return [_command(text, glued)]
        case "letters":
            return _letters(text, glued)
        case "cjk":
            return [_word(text)]
        case "dots":
            return [Token("sign", "…")]
        case "rows":
            return [Token("separator", "\\\\")]
        case "set":
            return [Token("sign", text)]
        case "power":
            return [Token("sign", "^")]
        case "separator":
            return [Token("separator", ",")]
        case "relation":
            return [Token("relation", text)]
        case _:
            return [Token("sign", text, glued)]


def _command(name: str, glued: bool) -> Token:
    if name in _SIGN_COMMANDS:
        return Token("sign", _SIGN_COMMANDS[name], glued)
    if name in _RELATION_COMMANDS:
        return Token("relation", _RELATION_COMMANDS[name])
    if name in _ARROWS:
        return Token("relation", "->")
    if name in _NAMES:
        return Token("name", _NAMES[name], glued)
    if name in _GREEK:
        return Token("name", name, glued)
    if name in _COMMANDS:
        return Token("command", name, glued)
    if name in FUNCTIONS:
        return Token("function", name, glued)
    raise Unreadable(f"the command \\{name} is not understood")


def _text(text: str) -> list[Token]:
    """Words and numbers of a text group; a single letter in it may be a name, as in \\mathrm{e}."""
    tokens: list[Token] = []
    if text.strip() in FUNCTIONS:
        return [Token("function", text.strip())]
    stripped = text.strip()
    if re.fullmatch(r"\(?[A-Za-z]\)?", stripped) and stripped not in ("m", "g", "s", "h", "L", "a", "A", "I"):
        text = stripped.strip("()")
        return [Token("name", text)]
    for piece in re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?|[^\W\d_]+|[-/^,;=()%+.]", text):
        if piece[0].isdigit():
            tokens.append(Token("number", piece.replace(",", "")))
        elif (multiplied := _MULTIPLIED.fullmatch(piece)) is not None:  # 万元
            tokens += map(_word, multiplied.groups())
        elif piece[0].isalpha():
            tokens.append(_word(piece))
        elif piece in ",;":
            tokens.append(Token("separator", ","))
        elif piece == "=":
            tokens.append(Token("relation", "="))
        elif piece != ".":
            tokens.append(Token("sign", piece))
    return tokens


def _word(text: str) -> Token:
    return (
        Token("separator", "or" if text in ("or", "或", "或者") else "and")
        if text in CONNECTIVES
        else Token("word", text)
    )


def _letters(text: str, glued: bool) -> list[Token]:
    if text in _NAMES:
        return [Token("name", _NAMES[text], glued)]
    if text == "mod":
        return [Token("sign", "mod")]
    if text in ("U", "cup", "union") and not glued:
        return [Token("sign", "∪")]
    if len(text) == 1:
        return [Token("name", text, glued)]
    if text in FUNCTIONS:
        return [Token("function", text, glued)]
    if text.lower() in CONNECTIVES:
        return [_word(text.lower())]
    if text in _GREEK and len(text) > 3:
        return [Token("name", text, glued)]
    joined = _GLUED_WORD.fullmatch(text) if glued else None
    if joined:  # "x=1orx=2"
        return [_word(joined[1]), Token("name", joined[2])]
    for function in ("sqrt", "sin", "cos", "tan", "ln", "log"):
        rest = text.removeprefix(function)
        if rest != text and 1 <= len(rest) <= 2 and _is_product(rest):
            return [Token("function", function, glued), *(Token("name", c, True) for c in rest)]
    if text.endswith("pi") and len(text) == 3:
        return [Token("name", text[0], glued), Token("name", "pi", True)]
    if _is_product(text):
        return [Token("name", c, glued or i > 0) for i, c in enumerate(text)]
    return [Token("word", text, glued)]


@lru_cache(maxsize=4096)
def _is_product(text: str) -> bool:
    """Whether a run of letters stands for a product of variables rather than for a word or a unit."""
    lower = text.casefold()
    if len(text) > 4 or lower in _NOT_PRODUCTS:
        return False
    if len(text) == 1:
        return True
    if read_unit(text) is not None or (text[0].isupper() and text[1:].islower()):
        return False
    if all(ord(b) == ord(a) + 1 for a, b in pairwise(text)):
        return True
    return len(text) == 2 or not set(lower) & set("aeiouy")
