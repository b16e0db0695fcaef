"""Text on both sides of a model: the prompt form, thinking and answer taken apart, and what can be counted in them.

`template` turns messages into prompts and completions into responses, `think` is the parser under it, `calls` and
`tools` are tools and their calls as text, `language` and `reflection` measure thoughts. No torch.
"""

from ponder.text.calls import CallFault, CallForm, Reading
from ponder.text.language import language_share
from ponder.text.reflection import REFLECTION_WORDS, count_reflection
from ponder.text.template import TEMPLATES, Template, template_for
from ponder.text.think import Event, Response, ThinkParser

__all__ = [
    "REFLECTION_WORDS",
    "TEMPLATES",
    "CallFault",
    "CallForm",
    "Event",
    "Reading",
    "Response",
    "Template",
    "ThinkParser",
    "count_reflection",
    "language_share",
    "template_for",
]
