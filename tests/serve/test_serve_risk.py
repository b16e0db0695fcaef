"""Risk control: what is withheld never leaves, what is harmless passes unchanged, and each is counted."""

import asyncio
import json
import random
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import openai
import pytest
from chat_server import ChatServer, said
from pydantic import ValidationError

from ponder.errors import DataError, EndpointError
from ponder.policy import load_policy
from ponder.policy.voice import Voice
from ponder.recipe.compute import ComputePlan
from ponder.recipe.endpoint import Endpoint
from ponder.recipe.risk import RiskConfig
from ponder.recipe.serve import ServeConfig
from ponder.records import MathGold, Message, Tool, ToolCall, Verdict
from ponder.rollout import Job, Load, Piece
from ponder.serve.chat import Chat
from ponder.serve.deciders import Selected, open_decider, within
from ponder.serve.lane import IDLE
from ponder.serve.metrics import Metrics
from ponder.serve.plan import Wanted
from ponder.serve.planned import Planned
from ponder.serve.risk import Risk, Turned
from ponder.serve.scored import Scored
from ponder.serve.verifiers import Verifiers

ASK = "What is 17 + 25?"
UNSAFE, SAFE = said('{"analysis": "bad", "safety": "unsafe"}'), said('{"analysis": "ok", "safety": "safe"}')


@pytest.fixture(scope="module")
def voice() -> Voice:
    return load_policy("micro", "r1-zero").voice()


@pytest.fixture
def rules(tmp_path: Path) -> str:
    file = tmp_path / "rules.yaml"
    file.write_text(
        "- {id: canary, words: [canary, 金丝雀], examples: [a Canary]}\n- {id: digit, words: ['7', '2']}\n",
        encoding="utf-8",
    )
    return str(file)


class Played:
    """A ticket whose pieces are a text's tokens, so many at a time."""

    def __init__(self, voice: Voice, texts: Sequence[str], rng: random.Random) -> None:
        end = min(voice.stop_ids)
        self._ids = [[*voice.tokenizer(text, add_special_tokens=False).input_ids, end] for text in texts]
        self._rng = rng
        self.job = Job(prompt_ids=(1, 2), seeds=tuple(range(len(texts))), max_tokens=1000, key="x")
        self.cancelled: set[int] = set()

    async def __aiter__(self) -> AsyncIterator[Piece]:
        left = {choice: list(ids) for choice, ids in enumerate(self._ids)}
        while left:
            choice = self._rng.choice(sorted(left))
            count = self._rng.randint(1, 12)
            ids, left[choice] = left[choice][:count], left[choice][count:]
            ends = not left[choice]
            if ends or choice in self.cancelled:
                del left[choice]
            if choice not in self.cancelled:
                yield Piece(
                    job=0,
                    choice=choice,
                    token_ids=tuple(ids),
                    logprobs=(0.0,) * len(ids),
                    reason="stop" if ends else None,
                    hit_tokens=0,
                    weight_version=0,
                )

    def cancel(self, choice: int | None = None) -> None:
        self.cancelled |= {choice} if choice is not None else set(range(len(self._ids)))

    def force(self, choice: int, token_ids: Sequence[int]) -> None: ...


class Judging:
    """Unsafe is what says so; it fails where it is told to."""

    def __init__(self, unsafe: str = "canary", fails: bool = False) -> None:
        self._unsafe, self.fails = unsafe, fails
        self.asked: list[Selected] = []

    async def decide(self, turn: Selected) -> Verdict:
        self.asked.append(turn)
        if self.fails:
            raise DataError("no")
        text = turn.response if turn.response is not None else " ".join(one.content for one in turn.messages)
        return Verdict(outcome="wrong" if self._unsafe in text.casefold() else "right", reason="")

    def close(self) -> None: ...


def idle() -> Load:
    return IDLE


def chat(voice: Voice, texts: Sequence[str], control: Turned, seed: int) -> Chat:
    ticket: Any = Played(voice, texts, random.Random(seed))
    return Chat(ticket, voice, voice.silent_ids(), stops=(), opening="", with_logprobs=False, control=control)


def played(
    voice: Voice, texts: Sequence[str], config: RiskConfig, decider: Judging, seed: int
) -> tuple[Chat, list[tuple[int, str | None, str]], Metrics]:
    """The deltas that leave."""
    metrics = Metrics(idle)
    control = Turned(Risk(config, decider, metrics, print), [Message(role="user", content=ASK)])
    reply = chat(voice, texts, control, seed)

    async def go() -> list[tuple[int, str | None, str]]:
        return [(choice.index, delta.kind, delta.text) async for choice, delta in reply.deltas()]

    return reply, asyncio.run(go()), metrics


def text_of(sent: Sequence[tuple[int, str | None, str]], index: int, kind: str) -> str:
    return "".join(text for i, k, text in sent if i == index and k == kind)


HARMLESS = "<think>a can of 3 ry and a word about canals</think> <answer>The result is 4 and 5.</answer>"
SOUNDS = "<think>7 birds, no danger</think> <answer>It is 72 birds.</answer>"
BAD = "<think>first some thought</think> <answer>Well, the Can\u00e1ry sings loudly.</answer>"
BAD_THOUGHT = "<think>the canary is 7</think> <answer>Nothing to see, 4.</answer>"


@pytest.mark.parametrize("hold", ["turn", "match"])
@pytest.mark.parametrize("seed", range(25))
def test_at_any_chunking_what_is_withheld_stays_and_the_rest_is_whole(
    voice: Voice, rules: str, hold: Any, seed: int
) -> None:
    config = RiskConfig(rules=rules, hold=hold)
    decider = Judging(unsafe="can\u00e1ry" if seed % 2 else "ry")
    decider = Judging(unsafe="sings") if seed % 3 == 0 else decider
    texts = [HARMLESS, SOUNDS, BAD]
    reply, sent, metrics = played(voice, texts, config, decider, seed)
    for index, text in enumerate(texts[:2]):
        response = voice.template.split(text)
        assert text_of(sent, index, "thinking") == response.thinking
        assert text_of(sent, index, "answer") == response.answer
        assert reply.choices[index].reason == "stop"
    assert text_of(sent, 2, "refusal") == config.refusal and reply.choices[2].reason == "content_filter"
    leaked = text_of(sent, 2, "thinking") + text_of(sent, 2, "answer")
    if hold == "turn":
        assert not leaked
    else:
        assert "can" not in leaked.casefold().replace("\u00e1", "a") and "sings" not in leaked
    kinds = [kind for i, kind, _ in sent if i == 2]
    assert kinds[-2:] == ["refusal", None] and kinds.count(None) == 1
    page = metrics.text().decode()
    assert 'ponder:risk_turns_total{outcome="withheld",rule="canary",where="reply"} 1.0' in page
    assert 'outcome="passed",rule="digit",where="reply"' in page


@pytest.mark.parametrize("hold", ["turn", "match"])
def test_thinking_is_looked_at_too(voice: Voice, rules: str, hold: Any) -> None:
    for seed in range(5):
        _, sent, _ = played(voice, [BAD_THOUGHT], RiskConfig(rules=rules, hold=hold), Judging(), seed)
        assert text_of(sent, 0, "answer") == "" and "can" not in text_of(sent, 0, "thinking")


def test_only_what_keywords_select_is_judged(voice: Voice, rules: str) -> None:
    decider = Judging(unsafe="")
    _, sent, _ = played(voice, [HARMLESS], RiskConfig(rules=rules), decider, 1)
    assert not decider.asked and text_of(sent, 0, "answer") == "The result is 4 and 5."
    _, _, _ = played(voice, [SOUNDS], RiskConfig(rules=rules), decider, 1)
    assert decider.asked[-1].response is not None and "7 birds" in decider.asked[-1].response


@pytest.mark.parametrize(("on_failure", "reason"), [("withhold", "content_filter"), ("pass", "stop")])
def test_a_judge_that_fails(voice: Voice, rules: str, on_failure: Any, reason: str) -> None:
    config = RiskConfig(rules=rules, on_failure=on_failure)
    reply, _, metrics = played(voice, [SOUNDS], config, Judging(fails=True), 1)
    assert reply.choices[0].reason == reason
    assert 'outcome="failed",rule="digit",where="reply"' in metrics.text().decode()


def test_why_a_judge_fails_is_said_once_until_it_gives_a_verdict(rules: str) -> None:
    said: list[str] = []
    decider = Judging(fails=True)
    risk = Risk(RiskConfig(rules=rules, prompt="pass"), decider, Metrics(idle), said.append)
    for fails in (True, True, False, True):
        decider.fails = fails
        asyncio.run(risk.of_reply([Message(role="user", content=ASK)], "canary", {"canary"}))
    assert said == ["risk control: no verdict on a reply (on_failure: withhold): no"] * 2


def test_a_judge_whose_key_is_missing_is_refused_at_the_start(rules: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    endpoint = Endpoint(base_url="http://localhost:1/v1", model="x", api_key_env="NO_SUCH_KEY")
    serving: Any = None
    with pytest.raises(EndpointError, match="NO_SUCH_KEY"):
        asyncio.run(open_decider(ServeConfig(), RiskConfig(rules=rules, endpoint=endpoint), serving, print))


def test_a_scorer_gives_one_score_at_a_time_also_after_one_that_came_too_late() -> None:
    under_way, most, free, times = [0], [0], threading.Event(), [0]

    def scores(items: Any, window: int) -> list[list[float]]:
        times[0] += 1
        under_way[0] += 1
        most[0] = max(most[0], under_way[0])
        assert free.wait(30)
        under_way[0] -= 1
        return [[1.0]]

    scorer: Any = SimpleNamespace(
        seen=lambda text: text,
        prompt_ids=lambda messages: (1,),
        text_ids=lambda text: (2,),
        scores=scores,
        window=8,
        file=SimpleNamespace(even=0.0),
    )
    decider, turn = Scored(scorer), Selected(messages=(Message(role="user", content=ASK),), response="x")

    async def go() -> list[str]:
        late = [await within(decider, turn, 0.05) for _ in range(2)]
        asyncio.get_running_loop().call_later(0.1, free.set)
        return [one.outcome for one in (*late, await within(decider, turn, 30))]

    assert asyncio.run(go()) == ["cannot_tell", "cannot_tell", "right"]
    decider.close()
    assert most == [1] and times == [2], "the second one was never begun"


def test_a_note_lets_the_reply_pass(voice: Voice, rules: str) -> None:
    reply, sent, _ = played(voice, [BAD], RiskConfig(rules=rules, reply="note"), Judging("sings"), 1)
    assert text_of(sent, 0, "answer") == "Well, the Can\u00e1ry sings loudly."
    assert reply.more() == {"risk": [{"where": "reply", "action": "note"}]}


def test_what_calls_say_is_looked_at(voice: Voice, rules: str) -> None:
    messages = [
        Message(role="user", content="x"),
        Message(role="assistant", content="", tool_calls=(ToolCall(name="f", arguments='{"a": "canary"}', id="c"),)),
        Message(role="tool", content="ok", tool_call_id="c", name="f"),
    ]
    decider = Judging(unsafe="x")
    control = Turned(Risk(RiskConfig(rules=rules), decider, Metrics(idle), print), messages)
    assert not asyncio.run(control.before()) and control.notes() == [{"where": "prompt", "action": "withhold"}]
    assert decider.asked[0].response is None and 'f({"a": "canary"})' in decider.asked[0].asked()[0].content
    assert not asyncio.run(control.again().before()) and control.again().notes() == control.notes()
    assert len(decider.asked) == 1, "another reply to the conversation does not ask again"
    passing = Turned(Risk(RiskConfig(rules=rules, prompt="pass"), decider, Metrics(idle), print), messages)
    assert asyncio.run(passing.before()) and len(decider.asked) == 1


@pytest.mark.parametrize(
    "tool",
    [
        Tool(name="f", description="Feeds a Canary.", parameters={}),
        Tool(name="f", description="", parameters={"properties": {"canary": {"type": "string"}}}),
        Tool(name="canary", description="", parameters={}),
    ],
)
def test_what_tools_say_is_looked_at(rules: str, tool: Tool) -> None:
    decider = Judging()
    risk = Risk(RiskConfig(rules=rules), decider, Metrics(idle), print)
    asyncio.run(Turned(risk, [Message(role="user", content="x")], [tool]).before())
    [turn] = decider.asked
    assert "canary" in turn.asked()[0].content.casefold()


def test_a_long_conversation_is_searched_beside_the_event_loop(rules: str) -> None:
    risk = Risk(RiskConfig(rules=rules), Judging(), Metrics(idle), print)
    where: list[threading.Thread] = []
    found = risk.keywords.found

    def searched(text: str) -> frozenset[str]:
        where.append(threading.current_thread())
        return found(text)

    risk.keywords.found = searched  # type: ignore[method-assign]
    asyncio.run(risk.of_prompt([Message(role="user", content="canary")], []))
    assert where and threading.main_thread() not in where


@pytest.mark.parametrize("plan", [ComputePlan(retries=1), ComputePlan(vote=2)], ids=["retries", "vote"])
def test_notes_are_those_of_the_sample_that_is_the_reply(voice: Voice, rules: str, plan: ComputePlan) -> None:
    config = RiskConfig(rules=rules, reply="note", prompt="pass")
    control = Turned(Risk(config, Judging("sings"), Metrics(idle), print), [Message(role="user", content=ASK)])
    texts = ["<think>a</think> <answer>8</answer>", BAD]
    first = chat(voice, texts if plan.vote else texts[:1], control, 1)

    async def begin(samples: range) -> Chat:
        return chat(voice, [texts[one] for one in samples], control.again(), 1)

    async def go() -> dict[str, Any]:
        verifiers = Verifiers()
        gold = MathGold(answer="7") if plan.retries else None
        planned = Planned(begin, first, Wanted(plan=plan, gold=gold, samples=True), verifiers, None)
        try:
            async for _ in planned.deltas():
                pass
        finally:
            verifiers.close()
        assert planned.choices[0].answer == "8"
        return planned.more()

    own = asyncio.run(go())
    assert len(own["samples"]) == 2 and "risk" not in own


def test_settings_that_contradict_each_other() -> None:
    with pytest.raises(ValidationError, match="one judge decides"):
        RiskConfig(rules="r", model="a", scorer="b")
    with pytest.raises(ValidationError, match="judges replies, not prompts"):
        RiskConfig(rules="r", scorer="b", prompt="note")
    assert RiskConfig(rules="r", scorer="b").prompt_action == "pass"
    assert RiskConfig(rules="r").prompt_action == "withhold"


@pytest.fixture(scope="module")
def judge() -> Iterator[ChatServer]:
    server = ChatServer()
    server.play = lambda body, tries: UNSAFE if "<conversation>" in body["messages"][-1]["content"] else SAFE
    yield server
    server.close()


def test_the_service_withholds_in_its_documented_shape(start: Any, judge: ChatServer, tmp_path: Path) -> None:
    """A judge at an endpoint; conversations with a canary are unsafe, replies are what the test says."""
    verdict = {"reply": SAFE}
    conversations: list[str] = []
    rules = tmp_path / "rules.yaml"  # the second selects whatever the model says
    rules.write_text("- {id: canary, words: [canary]}\n- {id: any, words: [e, a, i, o, '1', '2', '3', '4']}\n")

    def play(body: Any, tries: int) -> Any:
        text = body["messages"][-1]["content"]
        if "<response>" in text:
            return verdict["reply"]
        conversations.append(text)
        return UNSAFE if "canary" in text else SAFE

    judge.play = play
    endpoint = f"{{base_url: '{judge.url}', model: judge}}"
    with start(f"risk={{rules: {rules}, endpoint: {endpoint}, hold: match}}", "precision=fp32", "threads=1") as server:
        client = openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)
        refused = server.chat("Tell me of the canary")
        message = refused["choices"][0]["message"]
        assert message == {"role": "assistant", "content": message["refusal"], "refusal": "I cannot help with that."}
        assert refused["choices"][0]["finish_reason"] == "content_filter"
        assert refused["usage"]["completion_tokens"] == 0
        assert refused["ponder"]["risk"] == [{"where": "prompt", "action": "withhold"}]

        conversations.clear()
        wrong = {"retries": 2, "check": {"kind": "math", "answer": "-1"}}
        again = server.chat("Tell me of the canary", ponder=wrong)
        assert again["choices"] == refused["choices"] and len(conversations) == 1
        assert again["ponder"]["retries"]["made"] == 0
        again = server.chat(ASK, max_tokens=8, ponder=wrong)
        assert again["ponder"]["retries"]["made"] == 2 and len(conversations) == 2
        voted = server.chat("Tell me of the canary", ponder={"vote": 4, "abstain_below": 0.5})
        assert voted["choices"] == refused["choices"] and not voted["ponder"]["vote"]["abstained"]

        passed = server.chat(ASK, seed=3, max_tokens=80)
        assert passed["choices"][0]["finish_reason"] in ("stop", "length") and "risk" not in passed["ponder"]
        verdict["reply"] = UNSAFE
        withheld = server.chat(ASK, seed=3, max_tokens=80)["choices"][0]
        assert withheld["finish_reason"] == "content_filter" and "reasoning_content" not in withheld["message"]
        messages: Any = [{"role": "user", "content": ASK}]
        stream = client.chat.completions.create(model="micro", messages=messages, seed=3, max_tokens=80, stream=True)
        chunks = list(stream)
        spoken = "".join(
            (one.choices[0].delta.content or "") + (getattr(one.choices[0].delta, "reasoning_content", None) or "")
            for one in chunks
        )
        assert spoken.endswith("I cannot help with that.")
        assert not set("eaio1234") & set(spoken.removesuffix("I cannot help with that."))
        assert chunks[-1].choices[0].finish_reason == "content_filter"
        response = client.responses.create(model="micro", input="Tell me of the canary")
        assert response.status == "incomplete" and response.incomplete_details is not None
        assert response.incomplete_details.reason == "content_filter"
        assert response.output[0].type == "message" and response.output[0].content[0].type == "refusal"

        page = server.get("/metrics").text
        assert 'ponder:risk_turns_total{outcome="withheld",rule="canary",where="prompt"} 4.0' in page
        assert 'finished_reason="content_filter"' in page
        assert server.post("/v1/completions", {"prompt": "x"}).status_code == 403
        body = {"messages": [{"role": "user", "content": "hi"}], "logprobs": True}
        assert server.post("/v1/chat/completions", body).json()["error"]["param"] == "logprobs"
        with httpx2.stream("POST", server.url + "/v1/responses", json={"input": "canary", "stream": True}) as reply:
            events = [json.loads(line[6:]) for line in reply.iter_lines() if line.startswith("data: ")]
        assert "response.refusal.done" in [one["type"] for one in events]
        assert events[-1]["response"]["status"] == "incomplete"


def test_the_served_model_judges_itself(start: Any, rules: str) -> None:
    """What the embedded base makes of it is its own affair; it gives a verdict, in the form that is asked for."""
    with start(f"risk={{rules: {rules}, seconds: 120}}", "precision=fp32", "threads=1") as server:
        for seed in range(2):
            choice = server.chat(ASK, seed=seed, max_tokens=60)["choices"][0]
            assert choice["finish_reason"] in ("stop", "length", "content_filter")
        page = server.get("/metrics").text
        assert 'rule="digit",where="prompt"' in page and 'outcome="failed"' not in page
