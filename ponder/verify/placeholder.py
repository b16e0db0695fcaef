"""Golds that stand for no answer: what tables hold where a solution has none, is a proof, or was lost."""

import re

__all__ = ["is_placeholder"]

_SPELLINGS = """
    proof proved proven qed omitted null nil nan tbd tba todo unknown unavailable unsolved pending
    error notfound notavailable notapplicable notprovided notgiven notspecified notknown noanswer noanswers
    henceproved henceshown tobedetermined tobeproved tobeproven asrequired ans image figure picture diagram graph varies
    noanswergiven noanswerprovided noanswerfound nosolutionprovided nosolutiongiven nosolutionavailable
    nofinalanswer answernotfound answernotgiven answermissing answerunknown answersvary answersmayvary answersmaydiffer
    proofgiven proofrequired proofneeded proofomitted proofonly proofproblem proofquestion proofbased
    proofbelow proofabove proofinsolution proofisgiven theproof
    unclear placeholder missing xxx answer theanswer solution thesolution seesolution proveit showit derivation
    beweis démonstration demonstration demostración dimostrazione доказательство prova
    voirsolution voirlasolution sieheloesung siehelösung см.решение смрешение смотрешение verlasolución
    証明 証明略 解答略 증명 증명생략 해설참조 풀이참조 정답없음
    略 证明 證明 证明略 證明略 证明题 證明題 略去 无答案 無答案 暂无 暫無 暂无答案 未知 不详 答案略 见解析 見解析
    见答案 见详解 见解答 详见解析 答案见解析 证明见解析 解析见详解 答案不唯一
    """
"""Without blanks, dashes, underscores and case."""
_WORDS = frozenset(_SPELLINGS.split())
_PROGRAMS = frozenset({"None", "NA"})
"""As programs write them: `none`, like `\\text{None}`, may be the answer."""
_NOT_AVAILABLE = re.compile(r"#?\s*n\s*[/\\.]\s*a\.?")
_REFERENCE = re.compile(
    r"(?:please )?(?:see|refer to|look at|cf\.?|as in|given in|shown in|as shown in|check)(?: the| our| above| below| "
    r"attached| full| detailed| complete| official| following)* ?(?:solutions?|explanations?|proofs?|answers?|"
    r"attachments?|attached|figures?|images?|pictures?|diagrams?|graphs?|tables?|above|below|text|work|steps|details?)"
    r"(?: above| below| section| for details?| attached)*"
)
_SIGNS = re.compile(r"[-\u2010-\u2015\u2212\u30fc.\u2026?\uff1f_~*#/\\|\s\u3002\u25a0\u25a1\u220e]+")
"""Nothing but dashes, dots, question marks, rules and ends of proofs."""
_WRAPPER = re.compile(r"\\(?:boxed|text|textbf|textit|mathrm|mathbf|fbox|mbox)\s*\{([^{}]*)\}")
_COMMANDS = re.compile(r"\\(?:blacksquare|square|Box|qed|qedsymbol|ldots|dots|cdots|quad)\b")


def is_placeholder(answer: str) -> bool:
    """Whether a gold says that there is no answer, in words or signs. Examples: "N/A", "\\\\text{proof}", "see
    solution", "--"; not: "no solution", "none", "\\\\varnothing", "0"."""
    text = answer.strip().strip("$").strip()
    while (bare := _COMMANDS.sub(" ", _WRAPPER.sub(r"\1", text))) != text:
        text = bare.strip()
    text = text.strip("()[]{}<>\"'`*: ").removesuffix(".").strip()
    if not text:
        return bool(answer.strip()) and not re.fullmatch(r"[\s$]*[({\[][\s$]*[)}\]][\s$]*", answer)
    if answer.strip() in _PROGRAMS or _SIGNS.fullmatch(text):
        return True
    folded = text.casefold().rstrip(" .!\u3002")
    if _NOT_AVAILABLE.fullmatch(folded) or _REFERENCE.fullmatch(re.sub(r"\s+", " ", folded)):
        return True
    return re.sub(r"[\s_\-.']+", "", folded) in _WORDS
