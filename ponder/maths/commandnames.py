"""LaTeX commands of which several mean the same, or nothing but looks: the name of each to the one spelling."""

__all__ = ["SPELLINGS"]

_LOOKS = (
    "left right middle big Big bigg Bigg bigl bigm bigr Bigl Bigm Bigr biggl biggm biggr Biggl Biggm Biggr "
    "displaystyle textstyle scriptstyle large Large LARGE huge Huge small limits nolimits hfill centering "
    "boldmath bf rm it sf"
)
_FONTS = (
    "boxed fbox mathbf mathit mathsf mathtt mathcal mathnormal boldsymbol bm mathop mathord mathrel displaylines "
    "overrightarrow ensuremath phantom underline"
)
_TEXTS = "textbf textit textrm textsf texttt textnormal mathrm mbox hbox emph"
_SAME = {
    "frac": "dfrac tfrac cfrac nicefrac sfrac",
    "binom": "dbinom tbinom",
    "le ": "leq leqslant leqq",
    "ge ": "geq geqslant geqq",
    "ne ": "neq",
    "approx ": "simeq thickapprox",
    "emptyset ": "varnothing O",
    "ldots ": "dots cdots dotsc dotsb",
    "reals ": "Reals R",
    "setminus ": "backslash",
    "infty ": "infin",
    "theta": "vartheta",
    "phi": "varphi",
    "epsilon": "varepsilon",
    "rho": "varrho",
    "{": "lbrace",
    "}": "rbrace",
    "text{ and }": "land wedge",
    "text{ or }": "lor vee",
}
_SIGNS = {
    "<": "lt",
    ">": "gt",
    "*": "cdot times ast bullet",
    "/": "div",
    "|": "lvert rvert vert",
    "°": "degree",
    ":": "colon",
    "[": "lbrack",
    "]": "rbrack",
    "'": "prime",
}

SPELLINGS: dict[str, str] = {
    **dict.fromkeys(_LOOKS.split(), " "),
    **dict.fromkeys(_FONTS.split(), ""),
    **dict.fromkeys(_TEXTS.split(), "\\text"),
    **{name: f"\\{spelling}" for spelling, names in _SAME.items() for name in names.split()},
    **{name: sign for sign, names in _SIGNS.items() for name in names.split()},
    "approx": "\\approx ",
}
"""Without the backslash of the name, with that of the spelling."""
