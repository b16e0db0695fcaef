"""What is written by hand on the wire is what a JSON library would write."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.policy import load_policy
from ponder.recipe.serve import ServeConfig
from ponder.serve.choice import Choice, Delta
from ponder.serve.reply import ChatForm


@pytest.mark.parametrize("named", ["reasoning_content", "reasoning", "both"])
@given(text=st.text(st.characters(codec="utf-8"), min_size=1), kind=st.sampled_from(["thinking", "answer"]))
def test_text_is_the_chunk(named: str, text: str, kind: str) -> None:
    form = ChatForm("chatcmpl-1", 'a "model"', "ponder-1", ServeConfig(reasoning_field=named))  # type: ignore[arg-type]
    delta = Delta(index=3, kind=kind, text=text)  # type: ignore[arg-type]
    choice = Choice(3, VOICE, frozenset())
    assert json.loads(form.text(delta)) == form.chunk(choice, delta, first=False, with_logprobs=False)


VOICE = load_policy("micro", precision="fp32").voice()
