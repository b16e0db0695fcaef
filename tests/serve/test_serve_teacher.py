"""ponder's own `sample` stage with `ponder serve` as its teacher makes data for distillation."""

import json
from pathlib import Path

from ponder.pipeline.run import run
from ponder.recipe import load_recipe
from ponder.records import Example, from_json
from ponder.task import load_problems
from ponder.verify import verify
from tests.serve.conftest import Running

RECIPE = """\
name: taught
stages:
  data:
    kind: sample
    endpoint: {{base_url: "{url}/v1", model: micro, stream: {stream}, send_seed: true}}
    problems: [{{source: micro, tasks: [arithmetic], count: 6, seed: 5}}]
    samples: 4
    sampling: {{temperature: 1.0, max_tokens: 128}}
    keep: {{correct: true, distinct: 1}}
"""


def test_a_server_teaches(server: Running, tmp_path: Path) -> None:
    files = []
    for stream in ("false", "true"):
        path, out = tmp_path / f"{stream}.yaml", tmp_path / stream
        path.write_text(RECIPE.format(url=server.url, stream=stream))
        recipe = load_recipe(path, ())
        run(recipe, out, text=path.read_text(), say=lambda line: None)
        stage = out / "stages" / "data"
        results = json.loads((stage / "manifest.json").read_text())["results"]
        counts = results["requests"]["samples"]
        assert (counts["asked"], counts["failed"], counts["uncounted"]) == (24, 0, 0) and counts["prompt_tokens"] > 24
        problems = {one.id: one for one in load_problems(recipe.stages["data"].problems).problems}  # type: ignore[union-attr]
        files.append((stage / "examples.jsonl").read_text())
        examples = [from_json(Example, json.loads(line)) for line in files[-1].splitlines()]
        assert len(examples) == results["kept"] > 1
        for example in examples:
            gold = problems[example.id.rpartition("#")[0]].gold
            assert gold is not None and verify(example.answer, gold).outcome == "right"
            assert example.thinking and "<think>" not in example.thinking + example.answer
    assert files[0] == files[1], "the same seeds, streamed or not"
