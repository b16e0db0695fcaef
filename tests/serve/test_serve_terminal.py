"""`ponder chat`: piped, and in a terminal of its own."""

import fcntl
import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ponder.ask.stream import END, Comment, EventReader
from ponder.errors import DataError, EndpointError
from ponder.serve.conversation import Conversation
from ponder.serve.said import Said
from ponder.serve.wish import Wish
from tests import command
from tests.serve.scripted import FOREVER, UNTIL_CONTROL, Scripted, chunk, last, scripted

SUM = {"kind": "expression", "numbers": [3, 7, 25], "target": -46}
VOTE = {
    "vote": {"counts": {"42": 3, "41": 1}, "agreement": 0.75, "answer": "42"},
    "samples": [{"answer": "42", "content": f"It is 42, {n}.", "reasoning_content": "Hm"} for n in range(3)],
}


@pytest.fixture
def service() -> Iterator[Scripted]:
    with scripted() as found:
        found.scripts = [
            [chunk(reasoning_content="Wait, 17 + 25."), chunk(content="It is "), chunk(content="42."), last()]
        ]
        yield found


def piped(service: Scripted, *lines: str, failed: int = 0) -> str:
    """What stands on the output after these lines, of which so many fail."""
    given = "\n".join(lines) + "\n"
    done = command.run("chat", "--url", service.url + "/v1", given=given)
    assert done.returncode == bool(failed), done
    assert done.stderr.startswith(f"ponder: {failed} of the lines failed") if failed else not done.stderr, done
    return done.stdout


class Screen:
    """A terminal with the command in it."""

    def __init__(self, service: Scripted) -> None:
        self._end, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ponder.cli", "chat", "--url", service.url + "/v1"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"},
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C is a signal
        )
        os.close(theirs)
        self.text, self._seen = "", 0

    def type(self, text: str) -> None:
        os.write(self._end, text.encode())

    def until(self, words: str) -> None:
        """Read on, behind what was waited for last."""
        end = time.monotonic() + 30
        while (found := self.text.find(words, self._seen)) < 0:
            assert time.monotonic() < end, f"never {words!r}: {self.text!r}"
            if select.select([self._end], [], [], 0.1)[0]:
                self.text += os.read(self._end, 1 << 16).decode("utf-8", "replace")
        self._seen = found + len(words)

    def close(self) -> int:
        self.until("> ")
        self.type("\x04")
        code = self.process.wait(20)
        os.close(self._end)
        return code


@pytest.fixture
def screen(service: Scripted) -> Iterator[Screen]:
    found = Screen(service)
    found.until("> ")
    yield found
    if found.process.poll() is None:
        found.process.kill()
        found.process.wait()


def test_a_question_and_the_same_again(service: Scripted) -> None:
    said = piped(service, "What is 17 + 25?", "/retry", "/thought", "/cost", "/nonsense", "/quit", "never asked")
    assert said.count("Thought for") == 2 and said.count("It is 42.") == 2
    assert "Wait, 17 + 25." in said and "in 2 replies" in said and "0.0008 USD" in said
    assert "/nonsense is no command" in said and "never asked" not in said
    assert [one["messages"] for one in service.requests] == [[{"role": "user", "content": "What is 17 + 25?"}]] * 2
    assert "ponder" not in service.requests[0] and "thinking" not in service.requests[0]


def test_wishes_are_asked_for_and_what_does_not_come_is_said(service: Scripted) -> None:
    service.headers = {"x-ponder-ignored": "thinking_token_budget"}
    check = {"outcome": "right", "reason": "17 + 25 = 42"}
    service.scripts = [
        [': vote 2/4 {"42": 2}\n\n', chunk(content="42"), last(check=check, **VOTE)],
        [chunk(content="42"), last()],
    ]
    said = piped(
        service,
        "/vote 4",
        "/budget 20",
        "/think off",
        "/check math 42",
        "/system Be short.",
        "a",
        "b",
        "/vote",
        "/sample 9",
    )
    first = service.requests[0]
    assert first["ponder"] == {"vote": 4, "samples": True, "check": {"kind": "math", "answer": "42"}}
    assert first["thinking_token_budget"] == 20 and first["thinking"] == {"type": "disabled"}
    assert first["messages"][0] == {"role": "system", "content": "Be short."}
    assert "3 of 4 samples agree; agreement is no check" in said
    assert "checked: right: 17 + 25 = 42" in said
    assert said.count("left out: thinking_token_budget") == 2
    assert said.count("did not vote") == said.count("did not check") == 1


@pytest.mark.parametrize(("told", "of"), [({"of": 16}, 16), ({}, 10)])
def test_samples_without_an_answer_count_among_those_that_may_agree(
    told: dict[str, int], of: int, service: Scripted
) -> None:
    vote = {"counts": {"42": 8, "41": 2}, **told}
    service.scripts = [[chunk(content="42"), last(vote=vote)]]
    assert f"8 of {of} samples agree; agreement is no check" in piped(service, "/vote 16", "a")


def test_samples_of_a_vote(service: Scripted) -> None:
    service.scripts = [[chunk(content="It is 42, 0."), last(**VOTE)]]
    assert "It is 42, 2." in piped(service, "/vote 4", "a", "/sample 3")


def test_files_go_to_and_fro(service: Scripted, tmp_path: Path) -> None:
    file = tmp_path / "talk.json"
    piped(service, "/system Be short.", "first", "/edit second", f"/save {file}")
    saved = json.loads(file.read_text(encoding="utf-8"))
    assert [(one["id"], one["parent"], one["role"]) for one in saved["nodes"]] == [
        (1, 0, "user"), (2, 1, "assistant"), (3, 0, "user"), (4, 3, "assistant"),
    ]  # fmt: skip
    assert saved["leaf"] == 4 and saved["nodes"][1]["reasoning_content"] == "Wait, 17 + 25."
    said = piped(service, f"/load {file}", "third")
    assert "second" in said and "first" not in said
    assert [one["content"] for one in service.requests[-1]["messages"]] == ["Be short.", "second", "It is 42.", "third"]


@pytest.mark.parametrize(
    "content",
    [
        "", "{}", "no", '{"form": "another"}', '{"form": "ponder-chat-1", "leaf": 3}',
        '{"form": "ponder-chat-1", "nodes": [{"id": 1, "parent": 1, "role": "user", "content": ""}]}',
        '{"form": "ponder-chat-1", "nodes": [{"id": 1, "parent": 0, "role": "tool", "content": ""}]}',
    ],
)  # fmt: skip
def test_what_is_no_conversation_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match="no conversation"):
        Conversation.load(file)


def test_only_files_of_its_own_are_written_anew(tmp_path: Path) -> None:
    script, mine, link = tmp_path / "h.py", tmp_path / "mine.json", tmp_path / "link.json"
    script.write_text("import os", encoding="utf-8")
    link.symlink_to(mine)
    talk = Conversation()
    talk.save(mine)
    talk.add(0, "user", "more")
    talk.save(link)
    assert link.is_symlink() and Conversation.load(mine).messages() == talk.messages()
    Conversation.load(mine).save(mine)
    for one, place, words in (
        (talk, script, "there already"),
        (talk, tmp_path, "there already"),
        (Conversation(), mine, "there already"),
        (talk, tmp_path / "new" / "x.json", "no folder"),
    ):
        with pytest.raises(DataError, match=words):
            one.save(place)
    assert script.read_text(encoding="utf-8") == "import os" and not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("line", "failed", "said"),
    [
        ("/load /no/such/x.json", 1, "/no/such/x.json"),
        ("/save /no/such/x.json", 1, "There is no folder '/no/such'"),
        (f"/save {__file__}", 1, "is there already"),
        ("/load", 0, "/load FILE"),
        ("/save", 0, "/save FILE"),
        ("/sample x", 0, "/sample N"),
        ("/thought", 0, "no thought"),
        ("/budget 0", 0, "/budget N takes 1 to"),
        ("/", 0, "/ is no command"),
        ("/ retry", 0, "/ is no command"),
        ("/vote4", 0, "/vote4 is no command"),
    ],
)
def test_a_command_that_fails_ends_nothing(service: Scripted, line: str, failed: int, said: str) -> None:
    shown = piped(service, line, "still there?", failed=failed)
    assert said in shown and "It is 42." in shown and len(service.requests) == 1


def test_a_line_goes_on_after_a_backslash(service: Scripted) -> None:
    piped(service, "a\\", "", "b\\", "c", "/system x\\", "y", "/etc/hosts?\\")
    assert [one["messages"][-1]["content"] for one in service.requests] == ["a\n", "b\nc", "/etc/hosts?"]
    assert service.requests[-1]["messages"][0] == {"role": "system", "content": "x\ny"}


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ([429, "too many requests"], "too many requests"),
        ([chunk(content="par"), 'data: {"error": {"message": "the lane died"}}\n\n'], "the lane died"),
        ([chunk(content="par")], "ended before the reply was whole"),
        (["data: {\n\n"], "holds no JSON"),
        (['data: {"choices": [3]}\n\n'], "holds no chunk"),
        (["<html>no stream</html>"], "ended before the reply was whole"),
    ],
)
def test_what_goes_wrong_is_said_and_the_talk_goes_on(service: Scripted, script: list[str | int], said: str) -> None:
    service.scripts = [script, [chunk(content="It is 42."), last()]]
    shown = piped(service, "a", "/retry", failed=1)
    assert said in shown and "It is 42." in shown


def test_a_terminal_obeys_no_model(service: Scripted, screen: Screen) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\x1b]52;c;aGk=\x07\r\x9b31m\x08[bold]x[/bold] :smile:"
    end = last(check={"outcome": evil, "reason": evil}, notes=[evil])
    service.scripts = [
        [chunk(reasoning_content=evil), 0.3, chunk(content=evil[:3]), chunk(content=evil[3:]), end]
    ]  # fmt: skip
    screen.type("a\r")
    screen.until("(stop")
    for sequence in ("\x1b]0", "\x1b[2J\x1b]", "\x1b]52", "\x07", "\x9b", "\x08["):
        assert sequence not in screen.text
    assert "\\x1b]0;owned\\x07" in screen.text and "[bold]x[/bold] :smile:" in screen.text
    assert "could not be checked" in screen.text
    assert screen.close() == 0


def test_ctrl_c_stops_the_reply_and_keeps_it(service: Scripted, screen: Screen, tmp_path: Path) -> None:
    service.scripts = [[chunk(reasoning_content="Hm"), chunk(content="part"), FOREVER]]
    screen.type("a\r")
    screen.until("part")
    screen.type("\x03")
    screen.until("(stopped")
    assert service.left.wait(10)
    screen.type("\x03")  # at the prompt it ends nothing
    screen.until("Ctrl-D ends")
    screen.type(f"/save {tmp_path}/x.json\r")
    screen.until("messages are in")
    nodes = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))["nodes"]
    assert (nodes[1]["content"], nodes[1]["ended"]) == ("part", "stopped")
    assert screen.close() == 0


def test_ctrl_backslash_answers_now_and_ends_nothing(service: Scripted, screen: Screen) -> None:
    service.scripts = [
        [chunk(reasoning_content="Hm, let me see"), UNTIL_CONTROL, chunk(content="42"), last(thinking=4)]
    ]
    screen.type("a\r")
    screen.until("let me see")
    screen.process.send_signal(signal.SIGQUIT)
    screen.until("(stop")
    assert service.controls == [{"id": "chatcmpl-1", "action": "reasoning_end"}]
    assert "Thought for" in screen.text
    screen.process.send_signal(signal.SIGQUIT)
    screen.type("b\r")
    screen.until("(stop")
    assert screen.close() == 0


def test_a_model_of_ones_own() -> None:
    done = command.run("chat", "micro", given="What is 17 + 25?\n/cost\n")
    assert done.returncode == 0 and "(stop, " in done.stdout and "in 1 replies" in done.stdout, done
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere/at-all"], "nowhere/at-all"),
        (["--url", "http://127.0.0.1:9/v1"], "connection failed"),
        (["--url", "nonsense"], "is no address"),
        ([], "name a model"),
        (["--url", "http://127.0.0.1:9/v1", "--key-env", "NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE"),
    ],
)
def test_what_cannot_be_talked_to(arguments: list[str], said: str) -> None:
    done = command.run("chat", *arguments)
    assert done.returncode != 0 and said in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("end", ["", "/"])
def test_an_address_without_its_end_is_told_it(service: Scripted, end: str) -> None:
    done = command.run("chat", "--url", service.url + end)
    assert done.returncode == 1 and f"try {service.url}/v1)" in done.stderr, done


def test_the_key_is_sent(service: Scripted) -> None:
    address = service.url + "/v1"
    done = command.run(
        "chat", "--url", address, "--key-env", "CHAT_KEY", "named", given="a\n", environment={"CHAT_KEY": "sk-1"}
    )
    assert "42" in done.stdout and service.keys == ["Bearer sk-1"] and service.requests[0]["model"] == "named"


def test_bytes_that_are_no_text_are_not_sent(service: Scripted) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ponder.cli", "chat", "--url", service.url + "/v1"],
        input=b"\xff\xfe\nWas ist 17 + 25, \xe4?\n\xe4\xb8\x80\n",
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 1 and done.stdout.count(b"no text in UTF-8") == 2, done
    assert [one["messages"][0]["content"] for one in service.requests] == ["\u4e00"]


def test_events_come_whole_however_they_are_cut() -> None:
    stream = 'data: {"a":"世界 🙂"}\r\n\r\n: vote 3/8 {"42": 2}\n\n'
    stream += "data: [1,\rdata:2]\r\r: ping\n\ndata: [DONE]\n\ndata: 3\n\n"
    wanted = [{"a": "世界 🙂"}, Comment('vote 3/8 {"42": 2}'), [1, 2], Comment("ping"), END]
    for cut in range(len(stream) + 1):
        reader = EventReader()
        assert [*reader.feed(stream[:cut]), *reader.feed(stream[cut:]), *reader.feed("", last=True)] == wanted
        assert reader.ended


def test_hostile_events_are_texts_or_errors() -> None:
    for value in (
        [],
        3,
        None,
        {"choices": None},
        {"usage": None},
        Comment("vote 1/2 {x}"),
        Comment("vote x/2"),
    ):
        said = Said(node=Conversation().add(0, "assistant"))
        said.take(value)
        assert said.node.content == ""
    wrong = [
        {"error": "x"},
        {"choices": ["x"]},
        {"choices": [{"delta": [1]}]},
        {"choices": [{"delta": {"content": 3}}]},
    ]
    wrong += [{"usage": 3}, {"ponder": "x"}, {"ponder": {"cost": {}}}, {"ponder": {"samples": 3}}, {"choices": {}}]
    halved = Said(node=Conversation().add(0, "assistant"))
    halved.take({"choices": [{"delta": {"content": "a\ud83d"}}], "ponder": {"notes": ["\udc00"]}})
    assert (halved.node.content, halved.node.ponder) == ("a?", {"notes": ["?"]})
    for value in wrong:
        with pytest.raises(EndpointError):
            Said(node=Conversation().add(0, "assistant")).take(value)


@pytest.mark.parametrize(
    ("command", "text", "body"),
    [
        ("set_vote", "16", {"ponder": {"vote": 16, "samples": True}}),
        ("set_vote", "1", {}),
        ("set_vote", "257", {}),
        ("set_vote", "x", {}),
        ("set_budget", "1", {"thinking_token_budget": 1}),
        ("set_budget", "0", {}),
        ("set_budget", "-1", {}),
        ("set_budget", "9" * 5000, {}),
        ("set_vote", "9" * 5000, {}),
        ("set_thinking", "off", {"thinking": {"type": "disabled"}}),
        ("set_thinking", "maybe", {}),
        ("set_check", "choice B", {"ponder": {"check": {"kind": "choice", "answer": "B"}}}),
        ("set_check", "expression 3, 7 25 = -46", {"ponder": {"check": SUM}}),
        ("set_check", '{"kind": "math", "answer": "42"}', {"ponder": {"check": {"kind": "math", "answer": "42"}}}),
        ("set_check", "{", {}),
        ("set_check", f"expression 3 7 = {'9' * 5000}", {}),
        ("set_check", "expression 3 7", {}),
        ("set_check", "code x", {}),
        ("set_check", "", {}),
    ],
)  # fmt: skip
def test_what_is_wished_for_is_sent(command: str, text: str, body: dict[str, object]) -> None:
    wish = Wish()
    commands = (wish.set_vote, wish.set_budget, wish.set_thinking, wish.set_check)
    assert {one.__name__: one for one in commands}[command](text)
    assert wish.body() == body


def test_retries_need_a_check_and_end_a_vote() -> None:
    wish = Wish()
    assert "/check" in wish.set_retries("4") and wish.body() == {}
    wish.set_vote("8")
    wish.set_check("math 42")
    assert wish.set_retries("4") == "Up to 4 more samples until one is right. /vote has ended."
    asked = {"retries": 4, "samples": True, "check": {"kind": "math", "answer": "42"}}
    assert wish.body() == {"ponder": asked}
    wish.set_audit("on")
    assert wish.body() == {"ponder": asked | {"audit": True}}
    assert wish.missed({"check": {}}) == ["the server did not look at the equations of the thinking"]
    assert wish.set_vote("8") == "8 samples vote. /retries has ended."
    assert wish.retries is None and wish.vote == 8
    assert wish.set_retries("") == "8 samples vote." and wish.set_vote("") == "One sample answers."
    wish.set_retries("4")
    assert "No more samples" in wish.set_check("")
    wish.set_check("math 43")
    assert wish.body() == {"ponder": {"check": {"kind": "math", "answer": "43"}, "audit": True}}, "retries stay ended"
    for wrong in ("0", "65", "x"):
        assert wish.set_retries(wrong).startswith("/retries N")
