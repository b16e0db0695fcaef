"""The chat page in a browser: what it draws, what it asks for, and what hostile texts cannot make it do."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ponder.serve.conversation import Conversation
from ponder.text.reflection import find_reflection
from tests.serve.browser import Browser, Tab, chromium
from tests.serve.conftest import Running
from tests.serve.scripted import FOREVER, UNTIL_CONTROL, Scripted, chunk, last, scripted

THOUGHT = "17 + 25 is 41.\nWait, let me check: 17 + 25 = 42. But is it? 等等，没错。"
ANSWER = "The sum is $17 + 25 = 42$.\n\n1. tens\n2. ones\n"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def service() -> Iterator[Scripted]:
    with scripted() as found:
        yield found


@pytest.fixture
def tab(browser: Browser, service: Scripted) -> Iterator[Tab]:
    service.scripts = [[chunk(reasoning_content=THOUGHT), chunk(content=ANSWER), last(thinking=9, written=20)]]
    service.requests, service.controls, service.keys, service.headers = [], [], [], {}
    service.control.clear()
    service.left.clear()
    found = browser.tab(service.url + "/")
    found.until("document.getElementById('model').value")
    yield found
    found.check(service.url)


@pytest.fixture(scope="module")
def drawing(browser: Browser, service: Scripted) -> Iterator[Tab]:
    """One page for all tests that only draw."""
    found = browser.tab(service.url + "/")
    yield found
    found.check(service.url)


def ask(tab: Tab, text: str, wait: bool = True) -> None:
    tab.run("document.getElementById('input').focus()")
    tab.type(text)
    tab.press("Enter")
    tab.until("page.live || page.chat.nodes.length > 1")
    if wait:
        tab.until("!page.live")


def shown(tab: Tab, selector: str) -> str:
    found = tab.run(f"[...document.querySelectorAll({json.dumps(selector)})].map((one) => one.innerText).join('|')")
    return str(found)


def html(tab: Tab, text: str) -> str:
    return str(tab.run(grown(text, [len(text)])))


def grown(text: str, cuts: list[int]) -> str:
    """A script that draws a text as it grows, up to each cut."""
    return f"""(() => {{
      const made = document.createElement("div");
      const growing = new markdown.Growing(made);
      for (const cut of {cuts}) growing.show([...{json.dumps(text)}].slice(0, cut).join(""));
      return made.innerHTML;
    }})()"""


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("a **b** *c* ~~d~~ `e*f*`", "<p>a <strong>b</strong> <em>c</em> <del>d</del> <code>e*f*</code></p>"),
        ("snake_case_name and 2 * 3 * 4", "<p>snake_case_name and 2 * 3 * 4</p>"),
        ("***both***", "<p><strong><em>both</em></strong></p>"),
        ("*a **b** c*", "<p><em>a <strong>b</strong> c</em></p>"),
        ("**答案是42**。", "<p><strong>答案是42</strong>。</p>"),
        ("``a ` b``", "<p><code>a ` b</code></p>"),
        ("\\*plain\\*", "<p>*plain*</p>"),
        ("# One\ntext", "<h3>One</h3><p>text</p>"),
        ("- a\n- b\n  - c\n", "<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>"),
        ("3. a\n4. b", '<ol start="3"><li>a</li><li>b</li></ol>'),
        ("1. a\n\n2. b", "<ol><li><p>a</p></li><li><p>b</p></li></ol>"),
        ("1. a\n```\nx\n```\n", '<ol><li>a</li></ol><pre tabindex="0"><code>x</code></pre>'),
        ("> a\n> b", "<blockquote><p>a\nb</p></blockquote>"),
        ("---", "<hr>"),
        ("```py\na < b\n```", '<pre data-language="py" tabindex="0"><code>a &lt; b</code></pre>'),
        ("```\nopen", '<pre tabindex="0"><code>open</code></pre>'),
        (
            "| a | b |\n|---|--:|\n| 1 | `x\\|y` |",
            '<div class="wide"><table><thead><tr><th class="start">a</th><th class="end">b</th></tr></thead><tbody>'
            '<tr><td class="start">1</td><td class="end"><code>x|y</code></td></tr></tbody></table></div>',
        ),
        ("it costs $5 and $6, or $5-$6", "<p>it costs $5 and $6, or $5-$6</p>"),
        ("half $x", "<p>half $x</p>"),
        ("$$\nx +", '<p class="unclosed">$$\nx +</p>'),
        ("$$ never\n\nclosed", "<p>$$ never</p><p>closed</p>"),
        ("<b>no</b> &amp;", "<p>&lt;b&gt;no&lt;/b&gt; &amp;amp;</p>"),
    ],
)
def test_markdown(drawing: Tab, text: str, drawn: str) -> None:
    assert html(drawing, text) == drawn


@pytest.mark.parametrize(
    "text",
    [
        "$\\frac{1}{2}$", "\\(x^2\\)", "$$\\sum_{i=1}^n i$$", "\\[\\int_0^1 x\\]",
        "\\begin{align}a&=b\\\\c&=d\\end{align}",
        "so $$x$$ it is", "1. $x$", "**$x$**", "| $x$ |\n|---|\n| 1 |",
        "$\\boldsymbol{x}$ ${}_a^b X$", "$\\text{多少}$",
        "$\\sideset{_a^b}{_c^d}\\sum$",
    ],
)  # fmt: skip
def test_maths_is_drawn_within_the_policy(drawing: Tab, text: str) -> None:
    drawn = html(drawing, text)
    assert "<math" in drawn and "unread" not in drawn


@pytest.mark.parametrize("text", ["$\\frac{1}$", "$\\nonsense{x}$"])
def test_a_formula_that_cannot_be_read_is_shown_as_it_stands(drawing: Tab, text: str) -> None:
    assert 'class="unread"' in html(drawing, text) and text.strip("$") in html(drawing, text)


HOSTILE = [
    "<script>window.hit = 1</script>",
    "<img src=x onerror=window.hit=1>",
    "![x](https://example.org/pixel.png)",
    "![x](javascript:window.hit=1)",
    "[x](javascript:window.hit=1)",
    "[x](JaVaScRiPt:window.hit=1)",
    "[x](java\tscript:window.hit=1)",
    "[x](&#106;avascript:window.hit=1)",
    "[x](data:text/html,<script>window.hit=1</script>)",
    "[x](vbscript:x) [y](file:///etc/passwd) [z](//example.org/x)",
    '[x](https://example.org/"onmouseover="window.hit=1)',
    "[<img src=x onerror=window.hit=1>](https://example.org)",
    "[[a](https://example.org/a)](https://example.org/b)",
    "https://example.org/<script>window.hit=1</script>",
    '```"><script>window.hit=1</script>\nx\n```',
    "| <svg onload=window.hit=1> |\n|---|\n| <iframe srcdoc='<script>parent.hit=1</script>'> |",
    "$\\href{javascript:window.hit=1}{x}$",
    "$\\includegraphics{https://example.org/pixel.png}$",
    "$\\class{x}{y}$ $\\style{position:fixed}{x}$ $\\data{x=y}{z}$ $\\url{https://example.org}$",
    "$\\text{<img src=x onerror=window.hit=1>}$",
    "$$\\def\\x{\\x\\x}\\x$$",
    "$\\rule{1e9em}{1e9em}$",
    "<style>body{display:none}</style><link rel=stylesheet href=https://example.org><base href=https://example.org>",
    "</script><script>window.hit=1</script>",
    "<!-- --><meta http-equiv=refresh content='0;url=https://example.org'>",
    "{{nonce}}",
]


def test_hostile_markdown_runs_nothing_and_loads_nothing(tab: Tab, service: Scripted) -> None:
    text = "\n\n".join(HOSTILE)
    service.scripts = [[chunk(reasoning_content=text), chunk(content=text), last(reason="<b>x</b>")]]
    ask(tab, text)
    inside = tab.run(
        "[...document.querySelectorAll('#log *')].filter((one) =>"
        " /^(script|style|link|base|meta|img|iframe|object|embed|svg)$/i.test(one.tagName) ||"
        " [...one.attributes].some((each) => each.name.startsWith('on'))).map((one) => one.outerHTML)"
    )
    assert inside == []
    links = tab.run("[...document.querySelectorAll('#log a')].map((one) => [one.protocol, one.rel, one.target])")
    assert links and all(one[0] in ("http:", "https:") and "noopener" in one[1] and one[2] == "_blank" for one in links)
    assert tab.run("window.hit") is None
    assert tab.run("getComputedStyle(document.body).display") == "flex"


def test_texts_made_to_be_slow_are_drawn_all_the_same(drawing: Tab) -> None:
    size = 100_000
    for piece in (
        "*",
        "_a ",
        "`" * 2 + "a`",
        "[",
        "$a ",
        "> ",
        "- ",
        "|",
        "\\(",
        "![",
        "**a",
        "<",
        "h",
        "https://a",
        "a\n|-\n",
        "\\begin{align}\n",
        "[a](",
        "$$a\n",
    ):
        assert html(drawing, piece * (size // len(piece)))
    ticks = " ".join("`" * width for width in range(1, 300))
    assert html(drawing, ticks)


TEXTS = [
    ANSWER,
    "# A\n\ntext **bold\nmore** end\n\n"
    "```py\nx = 1\n\ny = 2\n```\nafter\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"
    "> q\n\n$$\nx\n$$\n\n- a\n\n  b\n- c\n\n\nend",
    "1. one\n\n   more\n2. two\n\nthen $a$ and \\[\nb\n\\]\n\n* * *\n\n世界：**好**。",
    "```\nnever closed\n\n# no heading\n",
    "a\n\\begin{align}\nx&=1\n\\end{align}\nb\r\n\r\nc",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_that_grows_is_drawn_as_the_whole_one(drawing: Tab, text: str) -> None:
    random.seed(7)
    for _ in range(8):
        cuts = sorted(random.sample(range(1, len(text)), min(12, len(text) - 1)))
        assert drawing.run(grown(text, [*cuts, len(text)])) == html(drawing, text)


def test_blocks_that_are_whole_are_not_drawn_again(drawing: Tab) -> None:
    kept = drawing.run(
        "(() => { const made = document.createElement('div'); const growing = new markdown.Growing(made);"
        "let text = ''; for (let i = 0; i < 50; i++) growing.show(text += `paragraph ${i}\\n\\n`);"
        "const first = made.firstChild; growing.show(text += 'more');"
        "return [first === made.firstChild, made.children.length]; })()"
    )
    assert kept == [True, 51]


def test_events_are_read_at_every_cut(drawing: Tab) -> None:
    stream = 'data: {"a":"世界 🙂"}\r\n\r\n: vote 3/8 {"42": 2}\n\ndata: one\rdata:two\r\r: ping\n\ndata: [DONE]\n\n'
    wanted = [
        {"data": '{"a":"世界 🙂"}'}, {"comment": 'vote 3/8 {"42": 2}'}, {"data": "one\ntwo"}, {"comment": "ping"},
        {"data": "[DONE]"},
    ]  # fmt: skip
    got = drawing.run(
        f"""(async () => {{
          const bytes = new TextEncoder().encode({json.dumps(stream)});
          const found = [];
          for (let cut = 0; cut <= bytes.length; cut++) {{
            const parts = [bytes.slice(0, cut), bytes.slice(cut)];
            const start = (out) => (parts.forEach((part) => out.enqueue(part)), out.close());
            const body = new ReadableStream({{ start }});
            const events = [];
            for await (const event of eventsOf(body)) events.push(event);
            found.push(JSON.stringify(events));
          }}
          return [...new Set(found)];
        }})()"""
    )
    assert [json.loads(one) for one in got] == [wanted]


def test_a_reply_with_its_thinking(tab: Tab, service: Scripted) -> None:
    ask(tab, "What is 17 + 25?")
    (request,) = service.requests
    assert request["messages"] == [{"role": "user", "content": "What is 17 + 25?"}]
    assert request["model"] == "r1-micro/r1" and request["stream"] and "ponder" not in request
    assert tab.run("document.querySelector('details').open") is False
    assert "9 tokens" in shown(tab, "summary")
    marked = tab.run("[...document.querySelectorAll('#log mark')].map((one) => one.textContent)")
    assert marked == [one.group() for one in find_reflection(THOUGHT)]
    assert tab.run("document.querySelector('details .text').textContent") == THOUGHT
    assert tab.run("document.querySelectorAll('.answer math').length") == 1
    assert tab.run("document.querySelector('.answer').getAttribute('aria-live')") == "polite"
    assert "0.0004 USD" in shown(tab, "#total")
    assert tab.run("document.querySelector('.badge')") is None


def test_answer_now(tab: Tab, service: Scripted) -> None:
    service.scripts = [[chunk(reasoning_content="Hm, "), UNTIL_CONTROL, chunk(content="42"), last()]]
    ask(tab, "x", wait=False)
    tab.until("document.querySelector('details.live')?.open")
    tab.run("page.live.now.click()")
    tab.until("!page.live")
    assert service.controls == [{"id": "chatcmpl-1", "action": "reasoning_end"}]
    assert shown(tab, ".answer") == "42"


def test_stop_keeps_what_was_there_and_the_server_hears_of_it(tab: Tab, service: Scripted) -> None:
    service.scripts = [[chunk(reasoning_content="Hm"), chunk(content="part"), FOREVER]]
    ask(tab, "x", wait=False)
    tab.until("document.querySelector('.answer').innerText === 'part'")
    tab.press("Escape")
    tab.until("!page.live")
    assert service.left.wait(10)
    assert "Stopped" in shown(tab, ".ended") and shown(tab, ".answer") == "part"
    ask(tab, "and then", wait=False)
    tab.until("page.live")
    assert service.requests[1]["messages"][1] == {"role": "assistant", "content": "part"}
    tab.press("Escape")
    tab.until("!page.live")


def test_branches_outlive_the_page(tab: Tab, service: Scripted) -> None:
    service.scripts = [[chunk(content=f"answer {number}"), last()] for number in range(9)]
    ask(tab, "first")
    for _ in range(2):
        tab.press("r", "KeyR", alt=True)
        tab.until("!page.live")
    assert shown(tab, "article.assistant .tools .meter") == "3/3"
    tab.run("document.querySelector('article.assistant [aria-label=\"Earlier branch\"]').click()")
    assert shown(tab, ".answer") == "answer 1"
    ask(tab, "second")
    tab.run("document.querySelector('article.user button').click()")
    tab.run("Object.assign(document.querySelector('article textarea'), {value: 'changed'})")
    tab.run("document.querySelector('article .tools button').click()")
    tab.until("!page.live")
    assert shown(tab, ".said") == "changed" and shown(tab, "article.user .tools .meter") == "2/2"
    assert service.requests[-1]["messages"] == [{"role": "user", "content": "changed"}]
    before = tab.run("JSON.stringify(page.chat)")
    tab.call("Page.reload")
    tab.until("document.readyState === 'complete' && !!document.querySelector('#conversations button')")
    tab.run("document.querySelector('#conversations button').click()")
    assert tab.run("JSON.stringify(page.chat)") == before
    assert shown(tab, ".said") == "changed"
    tab.run("document.querySelector('article.user [aria-label=\"Earlier branch\"]').click()")
    assert shown(tab, ".said") == "first|second" and shown(tab, ".answer") == "answer 1|answer 3"
    assert tab.run("JSON.stringify(Conversation.read(JSON.stringify(page.chat)))") == tab.run(
        "JSON.stringify(page.chat)"
    )


def test_page_and_terminal_read_each_others_files(drawing: Tab) -> None:
    chat = Conversation(system="Be short.")
    question = chat.add(0, "user", "1 + 1?")
    reply = chat.add(question.id, "assistant", "2")
    reply.reasoning_content, reply.usage, reply.ended = "Hm", {"total_tokens": 3}, "stop"
    text = chat.model_dump_json(exclude_none=True)
    read = drawing.run(f"JSON.stringify(Conversation.read({json.dumps(text)}))")
    assert Conversation.model_validate_json(read) == chat


@pytest.mark.parametrize(
    "text",
    ["{}", "[]", "no", '{"form": "ponder-chat-1", "nodes": [{"id": 1, "parent": 1, "role": "user", "content": ""}]}'],
)
def test_what_is_no_conversation_is_refused(drawing: Tab, text: str) -> None:
    assert drawing.run(f"(() => {{ try {{ Conversation.read({json.dumps(text)}); }} catch {{ return true; }} }})()")


def test_a_damaged_conversation_hides_no_other(tab: Tab, service: Scripted) -> None:
    ask(tab, "first")
    tab.run("localStorage.setItem('ponder:chat:zz', 'half')")
    tab.call("Page.reload")
    tab.until("document.readyState === 'complete' && !!document.querySelector('#conversations button')")
    tab.until("document.getElementById('notice').innerText.includes('cannot be read')")
    assert shown(tab, "#conversations button") == "first|×"
    assert tab.run("localStorage.getItem('ponder:chat:zz')") == "half"


VOTE: dict[str, Any] = {
    "vote": {"counts": {"42": 3, "41": 1}, "agreement": 0.75, "answer": "42"},
    "samples": [{"answer": "42", "content": f"It is 42, {n}.", "reasoning_content": "Hm"} for n in range(3)]
    + [{"answer": "41", "content": "It is 41.", "check": {"outcome": "wrong", "reason": "41 is not 42"}}],
}


def test_a_vote(tab: Tab, service: Scripted) -> None:
    tab.run("Object.assign(document.getElementById('vote'), {value: 4})")
    service.scripts = [
        [": vote 2/4 {\"42\": 1, \"41\": 1}\n\n", UNTIL_CONTROL, chunk(content="It is 42, 0."), last(**VOTE)]
    ]  # fmt: skip
    ask(tab, "x", wait=False)
    tab.until("document.querySelectorAll('.bar').length === 2")
    assert "2 of 4" in shown(tab, ".vote .title")
    service.control.set()
    tab.until("!page.live")
    assert service.requests[0]["ponder"] == {"vote": 4, "samples": True}
    assert "3 of 4" in shown(tab, ".vote .title")
    assert tab.run("[...document.querySelectorAll('.bar meter')].map((one) => one.value / one.max)") == [0.75, 0.25]
    tab.run("document.querySelectorAll('.bar')[0].click()")
    assert shown(tab, ".samples button") == "Sample 1|Sample 2|Sample 3"
    tab.run("document.querySelectorAll('.samples button')[2].click()")
    assert shown(tab, ".sample .answer") == "It is 42, 2."
    tab.run("document.querySelectorAll('.bar')[1].click()")
    assert shown(tab, ".samples button") == "Sample 4" and "41 is not 42" in shown(tab, ".sample .badge.wrong")
    assert tab.run("document.querySelector('.badge.right')") is None  # agreement is no check


@pytest.mark.parametrize("outcome", ["right", "wrong", "cannot_tell", "something new"])
def test_the_badge_is_green_for_right_alone(tab: Tab, service: Scripted, outcome: str) -> None:
    service.scripts = [[chunk(content="42"), last(check={"outcome": outcome, "reason": "17 + 25 = 42 <b>"})]]
    tab.run("page.keep({check: 'math', gold: '42'}); at('check').value = 'math'; at('gold').value = '42'")
    ask(tab, "x")
    assert service.requests[0]["ponder"] == {"check": {"kind": "math", "answer": "42"}}
    assert "17 + 25 = 42 <b>" in shown(tab, ".badge")
    green = tab.run("getComputedStyle(document.querySelector('.badge')).color") == "rgb(23, 107, 58)"
    assert green == (outcome == "right")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ([429, "too many requests"], "too many requests"),
        ([chunk(content="par"), 'data: {"error": {"message": "the lane died"}}\n\n'], "the lane died"),
        ([chunk(content="par")], "ended before the reply was whole"),
        ([chunk(content="par"), last("length")], "limit of tokens"),
        ([chunk(content="par"), last("content_filter")], "Withheld"),
    ],
)
def test_what_goes_wrong_is_said(tab: Tab, service: Scripted, script: list[str | int], said: str) -> None:
    service.scripts = [script]
    ask(tab, "x")
    assert said in shown(tab, ".ended")


def test_what_was_asked_for_and_did_not_come_is_said(tab: Tab, service: Scripted) -> None:
    service.headers = {"x-ponder-ignored": "thinking_token_budget"}
    tab.run("at('vote').value = 4; at('budget').value = 9; at('check').value = 'choice'; at('gold').value = 'B'")
    ask(tab, "x")
    assert service.requests[0]["thinking_token_budget"] == 9
    for said in ("thinking_token_budget", "did not vote", "did not check"):
        assert said in shown(tab, ".note")


def test_both_languages_say_the_same_things(browser: Browser, service: Scripted) -> None:
    tab = browser.tab(service.url + "/", language="zh-CN")
    tab.until("document.getElementById('model').value")
    assert shown(tab, "#send") == "发送" and tab.run("document.documentElement.lang") == "zh"
    tab.run("document.getElementById('language').click()")
    assert shown(tab, "#send") == "Send"
    values = "(words) => Object.entries(words).map(([key, text]) => key + (text.match(/\\{\\w+\\}/g) ?? []).sort())"
    english, chinese = (tab.run(f"({values})(WORDS.{one}).sort()") for one in ("en", "zh"))
    assert english == chinese and len(english) > 50
    tab.check(service.url)


def test_a_long_stream_is_painted_a_few_times_a_second(tab: Tab, service: Scripted) -> None:
    tokens = [chunk(reasoning_content=f"word{n} " + "\n" * (n % 20 == 0)) for n in range(10_000)]
    tokens += [chunk(content=f"**w{n}** " + "\n\n" * (n % 20 == 0)) for n in range(10_000)]
    batches = ["".join(tokens[at : at + 100]) for at in range(0, 20_000, 100)]
    service.scripts = [[step for batch in batches for step in (batch, 0.015)] + [last()]]
    tab.run(
        "window.moments = []; { const draw = Reply.prototype.show;"
        "Reply.prototype.show = function (reply, live) {"
        "  if (live) moments.push(performance.now()); draw.call(this, reply, live); } }"
    )
    ask(tab, "x")
    gaps = tab.run("moments.slice(2).map((one, i) => one - moments[i + 1])")
    # On a busy machine a timer is late for one paint, and the next follows it the sooner: all gaps together count.
    assert sum(gaps) / len(gaps) > 1000 / 15 - 6 < sorted(gaps)[len(gaps) // 4]
    assert tab.run("page.chat.nodes[1].reasoning_content.length + page.chat.nodes[1].content.length") == sum(
        len(json.loads(one.removeprefix("data: "))["choices"][0]["delta"].popitem()[1]) for one in tokens
    )
    assert tab.run("document.querySelector('details .text').textContent.length") == tab.run(
        "page.chat.nodes[1].reasoning_content.length"
    )


def test_the_key_stays_with_the_tab(tab: Tab, service: Scripted) -> None:
    tab.run("at('key').value = 'sk-1'; at('key').dispatchEvent(new Event('change'))")
    ask(tab, "x")
    assert service.keys == ["Bearer sk-1"]
    assert "sk-1" not in tab.run("JSON.stringify(localStorage)")


def test_the_page_of_the_service(browser: Browser, server: Running) -> None:
    first, second = (server.get("/") for _ in range(2))
    policies = [one.headers["content-security-policy"] for one in (first, second)]
    assert policies[0] != policies[1] and all(
        one.startswith("default-src 'none'; connect-src 'self'") for one in policies
    )
    assert "unsafe" not in policies[0] and first.headers["cache-control"] == "no-store"
    assert httpx2.get(server.url + "/", headers={"host": "evil.example"}).status_code == 403
    tab = browser.tab(server.url + "/")
    tab.until("document.getElementById('model').value")
    ask(tab, "What is 17 + 25?")
    node = tab.run("page.chat.nodes[1]")
    assert node["ended"] == "stop" and node["usage"]["completion_tokens_details"]["reasoning_tokens"] == node.get(
        "thinking_tokens", 0
    )
    assert shown(tab, ".answer").strip() and "USD" in shown(tab, "#total")
    tab.check(server.url)


def test_the_maths_of_others_keeps_its_licence() -> None:
    folder = Path(__file__).parents[2] / "ponder" / "serve" / "chat_page"
    assert "MIT License" in (folder / "temml.LICENSE").read_text(encoding="utf-8")
