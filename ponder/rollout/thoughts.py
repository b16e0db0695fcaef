"""Thoughts that may take so many tokens: where one is still going on then, its closing tag comes next.

Whether it is still going on is seen in the text, by the parser of the template: tags may be single tokens or several,
and a model may end its thought by itself.
"""

from collections.abc import Sequence

from ponder.policy.voice import Voice

__all__ = ["Thoughts", "closing_ids"]

_EMPTY = "\x00"


def closing_ids(voice: Voice) -> tuple[int, ...]:
    """The tokens that end a thought and begin the answer, as the template writes them; none where it never thinks."""
    if not voice.template.thinking:
        return ()
    text = voice.template.compose(_EMPTY, _EMPTY).split(_EMPTY)[1]
    return tuple(voice.template.encode_reply(voice.tokenizer, text))


class Thoughts:
    """The samples of an engine whose thinking has a limit, while they are below it."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self._written: dict[int, tuple[int, list[int]]] = {}  # sample -> its limit, its tokens so far

    def begin(self, sample: int, limit: int) -> None:
        """A sample that may think for `limit` tokens."""
        self._written[sample] = limit, []

    def take(self, sample: int, token_ids: Sequence[int], told: Sequence[int] = ()) -> tuple[int, ...]:
        """The sample goes on with these tokens; what it must have next, after what it was `told` already. A step never
        goes past the limit."""
        if sample not in self._written:
            return ()
        limit, written = self._written[sample]
        written += token_ids
        assert len(written) <= limit, (len(written), limit)
        if len(written) < limit:
            return ()
        self.forget(sample)
        voice = self._voice
        silent = voice.silent_ids()
        text = voice.tokenizer.decode(
            [one for one in (*written, *told) if one not in silent],
            skip_special_tokens=False,
            clean_up_tokenization_spaces=False,
        )
        parser = voice.template.parser()
        parser.feed(str(text))
        return closing_ids(voice) if parser.in_thinking else ()

    def forget(self, sample: int) -> None:
        """It has ended."""
        self._written.pop(sample, None)
