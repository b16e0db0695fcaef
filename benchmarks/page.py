"""How often the chat page paints while tokens come, and how long a painting takes: `python benchmarks/page.py`.

A scripted server sends thinking and answer of 20,000 tokens at 2,000 a second to a browser without a window. Needs
Chromium. The last line is JSON.
"""

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
_TOKENS_A_SECOND = 2000
_BATCH = 20
_WATCH = """
window.paints = [];
{
  const draw = Reply.prototype.show;
  Reply.prototype.show = function (reply, live) {
    const began = performance.now();
    draw.call(this, reply, live);
    document.body.offsetHeight; // layout, too
    if (live) paints.push([began, performance.now() - began]);
  };
}
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokens", type=int, default=20_000)
    parser.add_argument("--smoke", action="store_true")
    arguments = parser.parse_args()
    count = 2_000 if arguments.smoke else arguments.tokens
    sys.path.insert(0, str(ROOT))
    from tests.serve.browser import chromium
    from tests.serve.scripted import chunk, last, scripted

    words = [
        f"w{n}" + (". Wait, " if n % 9 == 0 else "\n\n" if n % 40 == 0 else " $x^2$ " if n % 50 == 0 else " ")
        for n in range(count)
    ]
    events = [chunk(**{"reasoning_content" if n < count // 2 else "content": word}) for n, word in enumerate(words)]
    batches = ["".join(events[at : at + _BATCH]) for at in range(0, count, _BATCH)]
    with scripted() as service, chromium() as browser:
        service.scripts = [[step for one in batches for step in (one, _BATCH / _TOKENS_A_SECOND)] + [last()]]
        tab = browser.tab(service.url + "/")
        tab.until("document.getElementById('model').value")
        tab.run(_WATCH + "document.getElementById('input').focus()")
        tab.type("go")
        tab.press("Enter")
        tab.until("page.chat.nodes.length === 2 && !page.live", seconds=300)
        paints = tab.run("paints")
    seconds = (paints[-1][0] - paints[0][0]) / 1000
    took = sorted(one[1] for one in paints)
    found = {
        "tokens": count,
        "seconds": round(seconds, 2),
        "paints_per_second": round((len(paints) - 1) / seconds, 2),
        "paint_milliseconds_median": round(took[len(took) // 2], 2),
        "paint_milliseconds_p99": round(took[int(len(took) * 0.99)], 2),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
