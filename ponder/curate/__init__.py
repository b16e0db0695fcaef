"""Responses become data: what is kept, in which words, in which files.

    Candidate -> keep rules -> choice per problem -> rewriting -> keep rules -> Example | Rejected, with the reason
    Candidates of a problem -> judge -> PreferencePair;   Candidate -> judge -> LabelledResponse

`candidate` is the value, `keep` and `readable` the rules on one response, `choose` those on all of a problem,
`rewrite` and `prompts` the rewriting, `turns` conversations, `pairs` the choice of pairs, `output` the files.
"""

from ponder.curate.candidate import Candidate, Rejected
from ponder.curate.choose import choose
from ponder.curate.keep import why_not
from ponder.curate.output import Output
from ponder.curate.pairs import PairChoice
from ponder.curate.rewrite import ModelRewriter, Rewriter, RuleRewriter

__all__ = [
    "Candidate",
    "ModelRewriter",
    "Output",
    "PairChoice",
    "Rejected",
    "Rewriter",
    "RuleRewriter",
    "choose",
    "why_not",
]
