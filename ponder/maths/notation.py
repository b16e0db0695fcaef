"""One notation for mathematical text: LaTeX, plain text and Unicode, English and Chinese, become one spelling.

Text in, text out; nothing is computed. What only changes how a formula looks is dropped (delimiters, sizes, spaces,
fonts), what has several spellings gets one (\\dfrac, \\leqslant, "½", "≤", "×", full-width digits), and thousands
separators leave the numbers. Money written \\$ and words in \\text{...} stay recognisable.
"""

import re
import unicodedata
from fractions import Fraction
from functools import lru_cache

from ponder.maths.commandnames import SPELLINGS
from ponder.maths.words import MULTIPLIERS

__all__ = ["clean", "text_key", "with_backslashes"]

_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n", strict=True))
_SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))
_CHARACTERS = str.maketrans(
    {
        "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "﹣": "-", "×": "*", "✕": "*", "✖": "*", "·": "*", "⋅": "*",
        "∙": "*", "∗": "*", "÷": "/", "∕": "/", "⁄": "/", "≤": r"\le ", "≥": r"\ge ", "⩽": r"\le ", "⩾": r"\ge ",
        "≦": r"\le ", "≧": r"\ge ", "≠": r"\ne ", "≡": r"\equiv ", "≈": r"\approx ", "≒": r"\approx ", "±": r"\pm ",
        "∓": r"\mp ",
        "∞": r"\infty ", "√": r"\radical ", "∛": r"\radical[3] ", "∜": r"\radical[4] ",
        "π": r"\pi ", "θ": r"\theta ", "α": r"\alpha ",
        "β": r"\beta ", "γ": r"\gamma ", "φ": r"\phi ", "ω": r"\omega ", "λ": r"\lambda ", "μ": r"\mu ", "∪": r"\cup ",
        "∩": r"\cap ", "∈": r"\in ", "∅": r"\emptyset ", "ℝ": r"\mathbb{R} ", "ℤ": r"\mathbb{Z} ", "…": r"\ldots ",
        "⋯": r"\ldots ", "′": "'", "’": "'", "‘": "'", "“": '"', "”": '"', "°": r"^\circ ", "º": r"^\circ ",
        "→": r"\rightarrow ", "⟶": r"\rightarrow ", "⟹": r"\rightarrow ", "⇔": r"\rightarrow ", "⇒": r"\rightarrow "
        "", "➜": r"\rightarrow ",
        "∠": r"\angle ", "⟨": r"\langle ", "⟩": r"\rangle ", "、": ",", "。": ".", "【": "[",
        "】": "]", "∣": "|", "∶": ":", "ℯ": "e",
    }
)  # fmt: skip

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]")
_SCRIPT_RUN = re.compile(f"[{''.join(_SUPERSCRIPTS)}]+")
_SUBSCRIPT_RUN = re.compile(f"[{''.join(_SUBSCRIPTS)}]+")
_VULGAR = re.compile("(\\d?)\\s?([¼-¾⅐-⅞])")
# "\\f" of an unescaped "\\frac" is a form feed; likewise \\b, \\t, \\r, \\v of other commands.
_CONTROL_NAMES = {"\f": "f", "\b": "b", "\t": "t", "\r": "r", "\x0b": "v"}
_LOST_BACKSLASH = re.compile(
    "\\\\?[\f](?=rac)|[\b](?=oxed|inom)|[\t](?=ext|imes|heta|an(?![a-z])|frac)|[\r](?=ight)|[\x0b](?=ec|arnothing)"
)
_NO_BACKSLASH = re.compile(r"(?<![\\a-zA-Z])(?=[dt]?frac(?:\s*\{|\d\d)|(?:sqrt|text|left|right)\s*\{)")
_COMMAND_NAMES = (
    "frac|dfrac|tfrac|sqrt|pi|text|left|right|cdot|times|infty|cup|cap|le|ge|leq|geq|pm|circ|sin|cos|tan|ln|log"
)
_DOUBLED = re.compile(rf"\\\\(?=(?:{_COMMAND_NAMES})(?![a-zA-Z])|[)\]])")
_LEFT_DOT = re.compile(r"\\(?:left|right)\s*\.(?!\d)")
_SPACES = re.compile(r"(?<!\\)\\(?:[;:> ]|,|q?quad(?![a-zA-Z](?!_))|enspace|thinspace|hspace\*?\{[^{}]*\})|~")
_THIN_SEPARATOR = re.compile(r"(?<=\d)(?:\\,|\\ |[\u00a0\u2009\u202f]|[ ]?\{[ ]?,[ ]?\}|\\!|,\\!)\s*(?=\d{3}(?!\d))")
_FONTS = re.compile(r"\\(?:operatorname\*?|(?:vec|hat|bar)(?!\s*\{?\s*\d)|(?:text)?color\{[a-z]+\})(?![a-zA-Z])")
_NAME = re.compile(r"\\([A-Za-z]+)")
_LAYOUT = re.compile(
    r"\\(?:begin|end)\s*\{(?:aligned|align|equation|gathered|split|multline|math|displaymath|center)\*?\}"
)
_NEXT_SIDE = re.compile(r"\\\\\s*(?:\[[^\[\]]*\]\s*)?&?\s*=")
"""A row that goes on with the equation of the row before."""
_ORDINAL = re.compile(r"(?<=\d)\s*\^\s*\{?\s*(?:\\text\s*\{\s*)?(?:th|st|nd|rd)\s*\}?(?:\s*\})?(?![a-zA-Z])")
_SAME = {
    r"<\s*=|=<": r"\\le ", r">=|=>": r"\\ge ", r"!=|\\not\s*=": r"\\ne ", r"\*\*(?=\s*[*])": "*",
    r"\\p?mod\s*\{([^{}]*)\}|\\p?mod\s*(\d+)|\(\s*(?:\\text\s*\{\s*)?mod\s*\}?\s*(\d+)\s*\)": r" \\bmod \1\2\3 ",
    r"\\frac\s*\{\s*d\s*\}\s*\{\s*d\s*[a-z]\s*\}": r"\\derivative ",
    r"\^\s*\{\s*\\circ\s*\}|\^\s*\\circ(?![a-zA-Z])": "°",
    r"\\mathbb\s*\{?\s*R\s*\}?": r"\\reals ", r"\\mathbb\s*\{?\s*([ZNQC])\s*\}?": r"\\text{set \1} ",
    r"\+\s*\\infty": r"\\infty ",
}  # fmt: skip
_SAME_COMPILED = [(re.compile(pattern), spelling) for pattern, spelling in _SAME.items()]
_SIGNS = ("\\", "<", ">", "!=", "mod", "**")
_MATH_MARKS = re.compile(
    r"\\[()\[\]]|(?<!\\)\$|`|(?<!\S)\*\*(?=\S)|(?<=\S)\*\*(?!\S)|\*\*(?![\w(\s\\-])|(?<![\w)\s}])\*\*"
)
_TEMPERATURE = re.compile(r"(?:\\text\s*\{\s*)?°\s*(?:\\text\s*\{\s*)?([CF])(?![a-zA-Z])(?:\s*\})?")
_BRACKETED_DIGITS = re.compile(r"\((\d+)\)\s*_(?=\s*\{?\s*\d)")
"""The digits of a number in another base, as in (11101)_2."""
_OVER = re.compile(r"\{([^{}]*)\\(over|choose)(?![a-zA-Z])([^{}]*)\}")
_LENGTHS = re.compile(r"\\frac\s*\{\s*([A-Z]{2})\s*\}\s*\{\s*([A-Z]{2})\s*\}")
"""A ratio of two lengths, be their letters those of a word: NO/BO."""
_UNIT_ABOVE = re.compile(r"\\frac\s*\{([^{}\\]*)\\text\s*\{([^{}]*)\}\s*\}\s*\{\s*([^{}\\]*)\}")
_UNIT_OVER_UNIT = re.compile(
    r"\\frac\s*\{\s*\\text\s*\{([^{}]*)\}\s*\}\s*\{\s*\\text\s*\{([^{}]*)\}(\s*\^\s*\{?[23]\}?)?\s*\}"
)
_INVERSE_UNIT = re.compile(
    r"\\text\s*\{\s*([^{}]*?)(?:\s+|\s*\}\s*\\text\s*\{\s*)(s|min|h|hr)\s*\}\s*\^\s*\{?\s*-\s*([12])\s*\}?"
)
"""m s^{-1}."""
_CHOSEN = re.compile(r"(?<![A-Za-z\\])(?:\\text\s*\{\s*C\s*\}|C)\s*_\s*\{?(\d+)\}?\s*\^\s*\{?(\d+)\}?")
_IMPLIES = re.compile(r"=>(?=\s*[A-Za-z]\s*=)")
_EXCLAIMED = re.compile(r"((?:[$€£]\s?[\d,.]*\d|\*\*))!$")
"""An exclamation rather than a factorial."""
_AMOUNT = re.compile(r"^(\s*[-−]?\s*)\$(?=\s?\d)")
"""A dollar before a number, which opens no formula where none closes it."""
_THOUSANDS_OF_MONEY = re.compile(r"(?:(?<![$\\])\$(?=[^$]*$)|[¤€£])\s?(\d[\d,]*(?:\.\d+)?)([kKM])(?![\w$])")
_REPEATED = re.compile(r"(\d*\.\d*?)(\d{1,6}?)\2+(?:\.\.\.|\s?\\ldots(?![a-z]))")
"""Digits that go on: 0.1666..., 0.2727..."""
_LETTER_TIMES = re.compile(r"(?<=\d)\s*[xX]\s*(?=10\s*\^)")
_HOURS = re.compile(r"(?<=\d)\s*(?:h|hrs?)\s*(?=\d+\s*(?:m|min|mins|minutes)\b)")
_MINUS_WORD = re.compile(r"^(?:(?:negative|minus)\s+|负)(?=[\d.$\\])", re.IGNORECASE)
_CHINESE_SIGNS = [
    (re.compile(r"百分之\s*(\d+(?:\.\d+)?)"), r"\1%"),
    (re.compile(r"(\d+)\s*分之\s*(\d+)"), r"\\frac{\2}{\1}"),
    (re.compile(r"(\d+)\s*又\s*(?=\d+\s*/|\\frac)"), r"\1 "),
    (re.compile(r"(?<=\d)\s*比\s*(?=\d)"), ":"),
]
_GROUPED = re.compile(r"(?<![\d.,])(\d{1,3}(?:,\d{3})+)(?![\d])")
_BRACKET = re.compile(r"[(\[{)\]}]")
_SPACE_GROUPED = re.compile(r"^(-?\s*¤?)(\d{1,3}(?: \d{3})+)((?:\.\d+)?)\.?$")
_SCALE = "万亿|千万|百万|十万|亿|万|千(?![克米瓦卡])|百"
_SCALED_PART = re.compile(rf"(\d+(?:\.\d+)?)\s*({_SCALE})?")
_CHINESE_SCALED = re.compile(rf"(?<![\d.])(?:\d+(?:\.\d+)?\s*(?:{_SCALE})(?!分))+(?:\d+(?![\d.]))?")


@lru_cache(maxsize=1024)
def clean(text: str) -> str:
    """The one spelling of an answer. What cannot be in a text is not looked for: most answers are short and plain."""
    text = _ascii(_repair(text))
    if "\\" in text:
        text = _latex(text)
    text = _ORDINAL.sub("", text.replace("~", " "))
    if "_" in text:
        text = _CHOSEN.sub(r"\\binom{\1}{\2}", _BRACKETED_DIGITS.sub(r"\1_", text))
    if "=>" in text:
        text = _IMPLIES.sub(r"\\rightarrow ", text)
    if any(map(text.__contains__, _SIGNS)):
        for pattern, spelling in _SAME_COMPILED:
            text = pattern.sub(spelling, text)
    if "°" in text:
        text = _TEMPERATURE.sub(lambda m: " ℃" if m[1] == "C" else " ℉", text)
    if "..." in text or "\\ldots" in text:
        text = _REPEATED.sub(r"\1\\overline{\2}", text)
    text = _money(text)
    if not text.isascii():
        text = _CHINESE_SCALED.sub(_scaled, text)
        for pattern, spelling in _CHINESE_SIGNS:
            text = pattern.sub(spelling, text)
    text = _HOURS.sub(" hours ", text) if "h" in text else text
    text = _MINUS_WORD.sub("-", _LETTER_TIMES.sub(" * ", " ".join(text.split())))
    text = _ungroup(text)
    return text.strip(" ;,").rstrip(".").strip() if not text.endswith("...") else text


def _ascii(text: str) -> str:
    """Signs of Unicode as they are typed."""
    plain = text.isascii()
    if not plain:
        text = _SCRIPT_RUN.sub(lambda m: "^{" + "".join(_SUPERSCRIPTS[c] for c in m[0]) + "}", text)
        text = _SUBSCRIPT_RUN.sub(lambda m: "_{" + "".join(_SUBSCRIPTS[c] for c in m[0]) + "}", text)
        text = _VULGAR.sub(_vulgar, text)
    if not plain or "\\" in text or "{" in text:
        text = _THIN_SEPARATOR.sub("", text)
    if not plain:
        text = unicodedata.normalize("NFKC", text.translate(_CHARACTERS)).translate(_CHARACTERS)
        text = _INVISIBLE.sub("", text)
    return text


def _latex(text: str) -> str:
    """Commands by one name each, without those that only change the looks."""
    text = _NAME.sub(lambda m: SPELLINGS.get(m[1], m[0]), _LEFT_DOT.sub(" ", text))
    text = _FONTS.sub("", _SPACES.sub(" ", text.replace("\\!", "")))
    if _LAYOUT.search(text):
        text = _NEXT_SIDE.sub("=", _LAYOUT.sub(" ", text))
        text = text if "\\begin" in text else text.replace("&", " ")
    text = _OVER.sub(lambda m: rf"\{'frac' if m[2] == 'over' else 'binom'}{{{m[1]}}}{{{m[3]}}}", text)
    if "\\frac" in text:
        text = _LENGTHS.sub(_apart, text)
        text = _UNIT_OVER_UNIT.sub(r"\\text{\1/\2\3}", text)
        text = _UNIT_ABOVE.sub(r"\\frac{\1}{\3}\\text{\2}", text)
    if "\\text" in text:
        text = _INVERSE_UNIT.sub(lambda m: rf"\text{{{m[1]}/{m[2]}{'^2' if m[3] == '2' else ''}}}", text)
    return text


def _money(text: str) -> str:
    """Amounts of money, and what else only marks a formula or a word."""
    text = _EXCLAIMED.sub(r"\1", text) if text.endswith("!") else text
    text = text.replace("\\$", "¤")
    text = _AMOUNT.sub(r"\1¤", text) if text.count("$") == 1 else text
    text = text.replace("¤", " ") if text.count("¤") > 1 and "=" in text else text
    if any(map(text.__contains__, "$¤€£`*\\")):
        text = _MATH_MARKS.sub(" ", _THOUSANDS_OF_MONEY.sub(_thousands, text))
    for sign in "%_&#|" if "\\" in text else "":
        text = text.replace(f"\\{sign}", sign)
    return text


def text_key(text: str) -> str:
    """What two plain text answers have in common when they are the same: words without case, marks, articles."""
    text = clean(text)
    text = re.sub(r"\\text\s*\{([^{}]*)\}(?:_\{?(\d+)\}?)?", r"\1\2", text)
    text = re.sub(r"[\s\"'*{}]+", " ", text).strip(" .,;:!()").casefold()
    return re.sub(r"^(?:the|a|an) ", "", text)


def with_backslashes(text: str) -> str:
    """Text whose commands have the backslash again that an escape has turned into a control character."""
    if text.isprintable() or not any(map(text.__contains__, _CONTROL_NAMES)):
        return text
    return _LOST_BACKSLASH.sub(lambda m: "\\" + _CONTROL_NAMES[m[0][-1]], text)


def _repair(text: str) -> str:
    """Commands whose backslash is lost, or doubled."""
    text = with_backslashes(text).replace("{:}", ":")
    text = _NO_BACKSLASH.sub(r"\\", text) if "{" in text or "frac" in text else text
    return text if "\\\\" not in text or "\\begin" in text else _DOUBLED.sub(r"\\", text)


def _apart(match: re.Match[str]) -> str:
    return rf"\frac{{{' '.join(match[1])}}}{{{' '.join(match[2])}}}"


def _vulgar(match: re.Match[str]) -> str:
    value = Fraction(unicodedata.numeric(match[2])).limit_denominator(10)
    return f"{match[1]} \\frac{{{value.numerator}}}{{{value.denominator}}}"


def _thousands(match: re.Match[str]) -> str:
    """ "$70k": 70 thousand."""
    return f"¤{match[1]} {'million' if match[2] == 'M' else 'thousand'}"


def _scaled(match: re.Match[str]) -> str:
    """ "1亿2000万" as one number."""
    parts = _SCALED_PART.findall(match[0])
    value = sum((Fraction(number[:60]) * MULTIPLIERS.get(scale, 1) for number, scale in parts), Fraction(0))
    return f"{value.numerator}" if value.denominator == 1 else f"({value.numerator}/{value.denominator})"


def _ungroup(text: str) -> str:
    """Numbers without thousands separators. Inside brackets "1,234" may as well be a pair and stays."""
    spaced = _SPACE_GROUPED.fullmatch(text)
    if spaced:
        return spaced[1] + spaced[2].replace(" ", "") + spaced[3]
    if _BRACKET.search(text) is None:
        return _GROUPED.sub(_without_commas, text)
    pieces: list[str] = []
    depth, start = 0, 0
    for i, character in enumerate(text):
        if character in "([" or (character == "{" and i and text[i - 1] == "\\"):
            if depth == 0:
                pieces.append(_GROUPED.sub(_without_commas, text[start:i]))
                start = i
            depth += 1
        elif character in ")]" or (character == "}" and text[i - 1] == "\\"):
            depth = max(0, depth - 1)
            if depth == 0:
                pieces.append(text[start : i + 1])
                start = i + 1
    rest = text[start:]
    pieces.append(rest if depth else _GROUPED.sub(_without_commas, rest))
    return "".join(pieces)


def _without_commas(match: re.Match[str]) -> str:
    return match[0].replace(",", "")
