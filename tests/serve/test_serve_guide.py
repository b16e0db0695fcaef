"""Replies that keep to a JSON schema after their thinking, and only there."""

import asyncio
import json
import random
from collections import defaultdict
from typing import Any

import numpy as np
import openai
import pytest
from jsonschema import FormatChecker
from jsonschema.validators import validator_for
from pydantic import BaseModel
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from ponder.errors import DataError
from ponder.policy import load_policy
from ponder.policy.voice import Voice
from ponder.records import Message
from ponder.rollout import Bounds, Job, LiveEngine
from ponder.serve.formats import guide_of
from ponder.serve.grammar import Matcher, Vocabulary, alternatives, check_schema, compiled, value, vocabulary
from ponder.serve.guide import GrammarGuide
from ponder.serve.schemas import FORMATS, plain
from ponder.serve.wire import ChatRequest
from ponder.text import TEMPLATES, Template
from tests.serve.conftest import Running
from tests.serve.schemas import SCHEMAS

ASK = "What is 17 + 25?"
SCHEMA = SCHEMAS[0][1]


def valid(text: str, schema: dict[str, Any]) -> bool:
    return bool(validator_for(schema)(schema, format_checker=FormatChecker()).is_valid(json.loads(text)))


def formatted(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "it", "schema": schema}}


@pytest.mark.parametrize(
    "form", [formatted(SCHEMA), {"type": "json_object", "schema": SCHEMA}], ids=["openai", "llama"]
)
def test_a_schema_stands_where_others_have_it(form: dict[str, Any]) -> None:
    asked = ChatRequest.model_validate_json(
        json.dumps({"messages": [{"role": "user", "content": ASK}], "response_format": form})
    )
    guide = asyncio.run(guide_of(asked, load_policy("micro", precision="fp32").voice()))
    assert guide is not None and guide.grammar == value(SCHEMA)


@pytest.mark.slow
def test_every_finished_reply_to_200_schemas_validates() -> None:
    """At temperature 1, by a model that never saw JSON, in company; each thinks first."""
    policy = load_policy("micro", precision="fp32")
    voice, silent = policy.voice(), policy.voice().silent_ids()
    engine = LiveEngine(policy, Bounds(rows=64))
    prompt = voice.prompt([Message(role="user", content=ASK)])
    written: dict[int, list[int]] = defaultdict(list)
    finished, jobs = 0, {}
    for seed, (_, schema) in enumerate(SCHEMAS):
        check_schema(schema)
        guide = GrammarGuide(grammar=value(schema))
        number = engine.submit(Job(prompt_ids=prompt, seeds=(seed,), max_tokens=400, key="x", guide=guide))
        jobs[number] = schema
    while engine.load_now.jobs:
        for piece in engine.step():
            written[piece.job] += piece.token_ids
            assert piece.reason != "failed"
            if piece.reason == "stop":
                text = policy.tokenizer.decode([one for one in written[piece.job] if one not in silent])
                response = voice.template.split(text)
                assert response.well_formed and response.thinking is not None and response.answer is not None
                assert valid(response.answer, jobs[piece.job]), (jobs[piece.job], response.answer)
                finished += 1
    assert finished >= 150, "the others were cut"


@pytest.fixture(scope="module")
def straddling() -> PreTrainedTokenizerFast:
    """A tokenizer whose tokens know no tags: ends of tags and beginnings of answers share tokens."""
    plain = Tokenizer(models.BPE())
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    plain.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=900, special_tokens=["<|end|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    texts = [
        f'<think>\nso {a}\n</think>\n\n{{"{a}": {b}, "of": "<answer>"}}</answer>' for a in "abcdef" for b in range(40)
    ]
    texts += [f'hm {a}</think>{{"{a}": "x</think> <answer>{{"}} </answer>' for a in "ghijkl"] * 20
    plain.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=plain, eos_token="<|end|>")


def voice_of(tokenizer: PreTrainedTokenizerFast, template: Template) -> Voice:
    return Voice(
        tokenizer=tokenizer,
        template=template,
        stop_ids=frozenset({0}),
        pad_id=0,
        window=1000,
        parameters=0,
        device="cpu",
        dtype="float32",
    )


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=lambda one: one.name)
@pytest.mark.parametrize("thinks", [True, False])
def test_whatever_is_drawn_of_what_is_allowed_is_a_reply(
    straddling: PreTrainedTokenizerFast, template: Template, thinks: bool
) -> None:
    """A drunken walk through allowed tokens that likes tags and what straddles them."""
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string", "maxLength": 30}, "b": {"type": "integer"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    assert any(">" in one and "{" in one for one in straddling.get_vocab()), (
        "some tokens hold the end of a tag and more"
    )
    voice = voice_of(straddling, template)
    size = len(straddling) + 20
    opening = "" if thinks or not template.thinking else template.compose(None, "\0").partition("\0")[0]
    tagged = [i for i in range(size - 20) if set(straddling.decode([i])) & set('<>/{}"')]
    guide = GrammarGuide(grammar=value(schema), thinks=thinks)
    rng = random.Random(template.name)
    lengths = []
    for _ in range(60):
        state, ids = guide.open(voice, size), [*straddling(opening).input_ids] if opening else []
        while len(ids) < 600:
            allowed = np.flatnonzero(state.allowed())
            assert len(allowed) and allowed.max() < len(straddling)
            liked = np.intersect1d(allowed, tagged)
            ids.append(int(rng.choice(liked if len(liked) and rng.random() < 0.9 else allowed)))
            state.take(ids[-1])
            if ids[-1] == 0:
                break
        else:
            continue
        lengths.append(len(ids))
        text = straddling.decode(ids[:-1], clean_up_tokenization_spaces=False)
        response = template.split(text)
        in_thought = "stands inside the thinking" in response.problem or "<think> occurs" in response.problem
        assert response.well_formed or (thinks and in_thought), (response.problem, text)
        assert response.answer is not None and valid(response.answer, schema), text
        assert (response.thinking is not None) == template.thinking
    assert len(lengths) >= 20


def test_samples_of_one_grammar_compile_it_once_and_go_their_own_ways(straddling: PreTrainedTokenizerFast) -> None:
    voice, size = voice_of(straddling, TEMPLATES["plain"]), len(straddling)
    guide = GrammarGuide(grammar=value({"type": "integer", "minimum": 10, "maximum": 99}), thinks=False)
    before = compiled.cache_info().misses
    first, second = guide.open(voice, size), guide.open(voice, size)
    assert compiled.cache_info().misses == before + 1
    fresh = second.allowed()
    for token in straddling("42").input_ids:
        first.take(token)
    assert first.allowed()[0] and not fresh[0]
    for state in (second, guide.open(voice, size)):
        assert np.array_equal(state.allowed(), fresh)


def test_a_reply_that_may_call_is_free_until_it_does(straddling: PreTrainedTokenizerFast) -> None:
    """It may end at any time; from the opening mark on it is a call, and ends with it."""
    size = len(straddling)
    grammar = alternatives([('{"name": "add", "arguments": ', {"type": "object", "maxProperties": 0}, "}")])
    guide = GrammarGuide(
        grammar=grammar, before="<tool_call>", behind="</tool_call>", in_answer=False, thinks=False, freely=True
    )
    state = guide.open(voice_of(straddling, TEMPLATES["r1"]), size)
    for token in straddling("It is {4} <tool").input_ids:
        assert state.allowed()[0] and state.allowed()[token]
        state.take(token)
    made = '\n{"name": "add", "arguments": {}}</tool_call>'
    left = f"_call>{made}"
    [other] = straddling("z").input_ids
    while left:  # what the grammar forces may come in its usual tokens alone
        allowed = np.flatnonzero(state.allowed()).tolist()
        assert len(left) > len(made) or (other not in allowed and 0 not in allowed)
        said = {token: straddling.decode([token]) for token in allowed if token}
        token = max((one for one in said if said[one] and left.startswith(said[one])), key=lambda one: len(said[one]))
        state.take(token)
        left = left.removeprefix(said[token])
    assert np.flatnonzero(state.allowed()).tolist() == [0]


def test_a_reply_is_json_after_its_thinking(server: Running) -> None:
    thoughts = 0
    for _, schema in SCHEMAS[::67]:
        reply = server.chat(ASK, response_format=formatted(schema), max_tokens=200, n=2, seed=4)
        for choice in reply["choices"]:
            thoughts += bool(choice["message"].get("reasoning_content"))
            assert choice["finish_reason"] in ("stop", "length")
            if choice["finish_reason"] == "stop":
                assert valid(choice["message"]["content"], schema)
    assert thoughts >= 4
    reply = server.chat(ASK, response_format={"type": "json_object"}, thinking={"type": "disabled"}, max_tokens=100)
    [choice] = reply["choices"]
    assert "reasoning_content" not in choice["message"] and choice["message"]["content"].startswith("{")


def test_what_is_cut_says_length_and_is_not_mended(server: Running) -> None:
    whole = server.chat(ASK, response_format=formatted(SCHEMA), thinking={"type": "disabled"}, seed=1, max_tokens=200)
    cut = server.chat(ASK, response_format=formatted(SCHEMA), thinking={"type": "disabled"}, seed=1, max_tokens=9)
    assert cut["choices"][0]["finish_reason"] == "length" and cut["usage"]["completion_tokens"] == 9
    content = cut["choices"][0]["message"]["content"]
    assert content and whole["choices"][0]["message"]["content"].startswith(content)
    with pytest.raises(json.JSONDecodeError):
        json.loads(content)


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"response_format": {"type": "xml"}}, "response_format", "json_schema"),
    ({"response_format": {"type": "json_schema"}}, "response_format", "required"),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, "response_format", "required"),
    ({"response_format": formatted({"type": "nonsense"})}, "response_format", "Invalid type: nonsense"),
    ({"response_format": formatted({"$ref": "http://example.org/x"})}, "response_format", "not fetch"),
    ({"response_format": formatted({"not": {}})}, "response_format", "Unimplemented keys"),
    ({"response_format": formatted({"type": "string", "pattern": "(?=a)"})}, "response_format", "look-around"),
    ({"response_format": formatted({"const": "a</think>"})}, "response_format", "holds '</think>'"),
    ({"response_format": formatted({"enum": ["x" * 70_000]})}, "response_format", "at most 65536"),
    ({"response_format": formatted({"not": {}, "x-guidance": {"lenient": True}})}, "response_format", "Unimplemented"),
    ({"guided_json": {"type": "object"}}, "guided_json", "use response_format"),
]


@pytest.mark.parametrize(("fields", "param", "words"), REFUSED, ids=lambda one: str(one)[:60])
def test_what_cannot_be_compiled_is_refused_with_the_reason(
    server: Running, fields: dict[str, Any], param: str, words: str
) -> None:
    reply = server.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}], **fields})
    assert reply.status_code == 400, reply.text
    assert reply.json()["error"]["param"] == param and words in reply.json()["error"]["message"]


def fits(known: Vocabulary, schema: dict[str, Any], text: str) -> bool:
    """Whether a reply may be this text."""
    matcher, left = Matcher(known, value(schema)), text.encode()
    while left:
        said = {int(i): known.spelled[i] for i in np.flatnonzero(matcher.allowed(len(known.spelled)))}
        ways = [i for i, one in said.items() if one and left.startswith(one)]
        if not ways:
            return False
        token = max(ways, key=lambda one: len(said[one]))
        matcher.take(token)
        left = left[len(said[token]) :]
    return matcher.may_end


INT64 = {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}
KEYWORDS = {
    "type": "object",
    "properties": {"uniqueItems": {"const": False}, "format": {"enum": [{"uniqueItems": False, "minimum": 2.0}]}},
    "required": ["uniqueItems", "format"],
    "additionalProperties": False,
}
"""Names of properties and constants, none of which is a word of a schema."""
TREE = {"type": "object", "properties": {"next": {"$ref": "#"}}, "additionalProperties": False}
PLAIN: list[tuple[dict[str, Any], list[str], list[str]]] = [
    # a schema, replies to it, and none
    (INT64, ["0", "-12", "9223372036854774784", "-9223372036854774784"], ["9223372036854775808", "1" * 20, "1.5"]),
    ({"type": "integer", "minimum": 0, "maximum": 2**64 - 1, "format": "uint64"}, ["0"], ["-1", "1" + "8" * 20]),
    ({"minimum": -(2**70), "type": ["integer", "null"]}, ["-5", "null"], ["-1" + "0" * 22]),
    ({"type": "integer", "minimum": 2**53 + 1}, ["9007199254740994"], ["9007199254740992", "7"]),
    ({"type": "integer", "maximum": -(2**53) - 1}, ["-9007199254740994"], ["-9007199254740992", "7"]),
    ({"type": "integer", "exclusiveMinimum": 2**53}, ["9007199254740996"], ["9007199254740992"]),
    ({"type": "number", "minimum": -1.79e308, "maximum": 1.79e308}, ["0.5", "-7", "1" * 18], ["1" * 400]),
    ({"type": "number", "exclusiveMinimum": -1.79e308, "maximum": 10}, ["0.5", "-7"], ["10.5", "-" + "1" * 400]),
    ({"type": "array", "items": {"enum": [1]}, "uniqueItems": False, "maxItems": 2.0}, ["[1, 1]"], ["[1, 1, 1]"]),
    ({"type": "string", "minLength": 2.0, "maxLength": 3e0}, ['"ab"'], ['"a"', '"abcd"']),
    ({"type": "string", "format": "password", "maxLength": 3}, ['"a b"', '""'], ['"abcd"']),
    ({"type": "string", "format": "date"}, ['"2024-02-29"'], ['"today"']),
    ({"$ref": "#/parts/a~1b", "parts": {"a/b": {"type": "string", "minLength": 1.0}}}, ['"a"'], ['""']),
    ({"anyOf": [{"$ref": "#/$defs/%61"}], "$defs": {"a": INT64}}, ["3"], ["1" * 20]),
    (KEYWORDS, ['{"uniqueItems": false, "format": {"uniqueItems": false, "minimum": 2}}'], ['{"uniqueItems": false}']),
    (TREE, ['{"next": {"next": {}}}'], ['{"next": 1}']),
    ({"enum": [2**53, 2**60, 0.1]}, ["9007199254740992", "1152921504606846976", "0.1"], ["9007199254740993"]),
]


@pytest.mark.parametrize(("schema", "good", "bad"), PLAIN, ids=lambda one: str(one)[:60])
def test_words_that_bind_nothing_bind_nothing_and_others_do(
    straddling: PreTrainedTokenizerFast, schema: dict[str, Any], good: list[str], bad: list[str]
) -> None:
    """What can be written fits the schema as it was given, also where numbers are larger than doubles hold."""
    check_schema(schema)
    known = vocabulary(straddling, frozenset())
    assert [fits(known, schema, text) for text in good] == [True] * len(good)
    assert [fits(known, schema, text) for text in bad] == [False] * len(bad)
    assert all(valid(text, schema) for text in good) and not any(valid(text, schema) for text in bad)
    rng, finished = random.Random(str(schema)), 0
    for _ in range(20):
        matcher, written = Matcher(known, value(schema)), b""
        while len(written) < 400 and not matcher.ended and not (matcher.may_end and rng.random() < 0.2):
            allowed = np.flatnonzero(matcher.allowed(len(known.spelled)))
            token = int(rng.choice(allowed[allowed != straddling.eos_token_id]))
            matcher.take(token)
            written += known.spelled[token]
        if matcher.may_end:
            finished += 1
            assert valid(written.decode(), schema), written
    assert finished


def test_formats_are_those_that_can_be_kept_to(straddling: PreTrainedTokenizerFast) -> None:
    known = vocabulary(straddling, frozenset())
    for name in FORMATS:
        assert not fits(known, {"type": "string", "format": name}, '"?"'), name
    for name in ("regex", "iri", "uri-reference", "idn-email", "json-pointer", "int64", "byte", "phone", "binary"):
        assert fits(known, {"type": "string", "format": name}, '"?"'), name


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "minimum": 5, "maximum": 3}, "Unsatisfiable"),
        ({"type": "integer", "minimum": 3, "exclusiveMinimum": True}, "exclusiveMinimum is true, as draft 4 had it"),
        ({"items": {"maximum": 3, "exclusiveMaximum": False}}, "exclusiveMaximum: 10, in place of maximum"),
        ({"type": "integer", "minimum": 2**63}, "minimum allows no number"),
        ({"type": "number", "exclusiveMaximum": -(10**400)}, "exclusiveMaximum allows no number"),
        ({"minimum": "a", "exclusiveMinimum": 1e300}, "exclusiveMinimum allows no number"),
        ({"minimum": "a", "exclusiveMinimum": -1e300}, "Expected f64 for 'minimum'"),
        ({"enum": [1, [2**53 + 1]]}, "enum holds 9007199254740993"),
        ({"const": {"a": 2**70}}, "write it as a string"),
        ({"$ref": "#"}, "'#' leads back to itself"),
        ({"type": "object", "$ref": "#/"}, "pointer|Pointer|resolve"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}, "leads back"),
        ({"properties": {"a": {"anyOf": [{"allOf": [{"$ref": "#/properties/a"}]}, {}]}}}, "leads back to itself"),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "oneOf may overlap.*use anyOf"),
        ({"oneOf": [{"$ref": "#/$defs/a"}, {"type": "null"}], "$defs": {"a": {"type": "string"}}}, "use anyOf"),
    ],
    ids=lambda one: str(one)[:60],
)
def test_schemas_that_cannot_be_used_are_refused(schema: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words) as raised:
        check_schema(schema)
    assert "coerce_one_of" not in str(raised.value)


def test_a_schema_is_left_as_it_was() -> None:
    schema = {"type": "array", "items": {"minLength": 2.0, "uniqueItems": False}, "x-guidance": {"lenient": True}}
    before = json.dumps(schema)
    assert plain(schema) == {"type": "array", "items": {"minLength": 2}} and json.dumps(schema) == before


class Person(BaseModel):
    """What pydantic makes a schema of."""

    name: str
    age: int
    friend: str | None = None


def test_parse_of_the_openai_package(server: Running) -> None:
    client = openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0)
    messages: Any = [{"role": "user", "content": ASK}]
    for seed in range(2):
        try:
            reply = client.chat.completions.parse(
                model="micro", messages=messages, response_format=Person, seed=seed, max_tokens=200
            )
        except openai.LengthFinishReasonError:
            continue
        assert isinstance(reply.choices[0].message.parsed, Person)
    with pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(model="micro", messages=messages, response_format=Person, max_tokens=3)
    spoken = client.responses.create(
        model="micro",
        input=ASK,
        max_output_tokens=200,
        text={"format": {"type": "json_schema", "name": "p", "schema": SCHEMA}},
    )
    if spoken.status == "completed":
        assert valid(spoken.output_text, SCHEMA)
