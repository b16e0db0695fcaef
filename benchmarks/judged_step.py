"""An RL step whose reward is given by a judge at an endpoint that is slow and fails now and then.

    python benchmarks/judged_step.py [STEPS]

A judge on this machine takes two seconds for a request and refuses every tenth. The embedded model is trained with it.
Printed for each step: different answers, the seconds of sampling, those that were then still waited for judgements, the
whole step; and what the same judgements take by themselves, and with the rest of the step in sum.
"""

import json
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count as numbers
from pathlib import Path

from ponder.ask import Ask, RequestLog
from ponder.ask.courier import Courier
from ponder.pipeline.run import run
from ponder.recipe import load_recipe
from ponder.recipe.endpoint import Endpoint
from ponder.recipe.rollout import Sampling
from ponder.records import Message
from ponder.watch.metrics import read_metrics

_SECONDS, _FAILS_EVERY, _AT_ONCE = 2.0, 10, 64
_RECIPE = """\
name: judged-step
stages:
  zero:
    kind: rl
    model: micro
    template: r1-zero
    problems: [{{source: micro, tasks: [science, ordering], count: 400}}]
    rewards: {{format: 1, judged: 1}}
    judged:
      by:
        kind: endpoint
        endpoint: {{base_url: "{url}", model: judge, max_concurrency: {at_once}}}
    steps: {steps}
    problems_per_step: 16
    group_size: 16
    sampling: {{max_tokens: 384}}
"""


class Judge(ThreadingHTTPServer):
    """Compares the answer with the reference, slowly. `asked` counts the requests that it answered, by their text."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.numbers, self.asked, self.lock = numbers(1), Counter[str](), threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Judge

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = body["messages"][-1]["content"]
        with self.server.lock:
            fails = next(self.server.numbers) % _FAILS_EVERY == 0
            self.server.asked[text] += not fails
        time.sleep(_SECONDS)
        content = b"overloaded" if fails else _judged(text)
        self.send_response(503 if fails else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


def _judged(text: str) -> bytes:
    lines = text.splitlines()
    mark = next(i for i, line in enumerate(lines) if line.startswith("===== "))
    reference = text.partition("<reference>\n")[2].partition("\n</reference>")[0]
    gold = json.loads(reference)["answer"] if reference.startswith("{") else reference
    verdict = "correct" if lines[mark + 1].strip() == gold else "incorrect"
    message = {"role": "assistant", "content": json.dumps({"analysis": "compared", "correctness": verdict})}
    return json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()


@contextmanager
def _judging() -> Iterator[Judge]:
    with Judge() as judge:
        threading.Thread(target=judge.serve_forever, daemon=True).start()
        yield judge
        judge.shutdown()


def _alone(texts: Sequence[str], url: str, folder: Path) -> float:
    """Seconds that questions take when all are asked at once, with nothing beside."""
    endpoint = Endpoint(base_url=url, model="judge", max_concurrency=_AT_ONCE)
    with (
        RequestLog(folder / "alone.jsonl") as log,
        Courier(endpoint, Sampling(), log, seed=0, deadline_seconds=120, says_something=lambda reply: True) as courier,
    ):
        began = time.monotonic()
        asks = [Ask(id=text[:40], messages=(Message(role="user", content=text),)) for text in texts]
        for future in [courier.send([ask], {}) for ask in asks]:
            future.result()
        return time.monotonic() - began


def main(steps: int) -> None:
    """Train, then ask once more what each step asked."""
    with _judging() as judge, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file, out = folder / "judged-step.yaml", folder / "run"
        file.write_text(_RECIPE.format(url=judge.url, at_once=_AT_ONCE, steps=steps))
        run(load_recipe(file), out, text=file.read_text(), say=lambda line: None)
        asked, repeated = list(judge.asked), judge.asked.total() - len(judge.asked)
        rows = [row for row in read_metrics(out / "stages" / "zero") if row["step"]]
        counts = [int(row["judge/judged_asked"]) for row in rows]
        place = len(asked) - sum(counts)  # before them the answers that only want a judge's favour
        print("step    asked sampling   waited     step  judging      sum")
        for row, count in zip(rows, counts, strict=True):
            (folder / "alone.jsonl").unlink(missing_ok=True)
            alone = _alone(asked[place : place + count], judge.url, folder)
            place += count
            waited, whole = row["seconds/judge"], row["seconds/step"]
            cells = (row["seconds/generate"], waited, whole, alone, whole - waited + alone)
            print(f"{int(row['step']):4} {count:8}", *(f"{cell:8.1f}" for cell in cells))
        print(f"of {len(asked)} different answers {repeated} were judged twice")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
