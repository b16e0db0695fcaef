"""A recipe of three stages, and what stands in for the real stages while its runs are tested."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ponder.stages import Context

TEXT = """\
name: pair
stages:
  base:
    kind: pretrain
    architecture: {model_type: qwen2}
    tokens: 100
  zero:
    kind: rl
    model: base
    steps: 5
    problems: [{source: micro}]
  scores:
    kind: evaluate
    models: [zero]
    benchmarks: [gsm8k]
"""


class Stages:
    """Stands in for the real stages: writes down who ran with what, and fails where it is told to."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.contexts: dict[str, Context[Any]] = {}
        self.trouble: dict[str, BaseException] = {}
        self.said: list[str] = []
        self.leave: dict[str, str] = {}

    def __call__(self, context: Context[Any]) -> Mapping[str, Any]:
        self.ran.append(context.name)
        self.contexts[context.name] = context
        with (context.folder / "steps").open("a") as file:
            file.write("x")
        if context.name in self.trouble:
            raise self.trouble.pop(context.name)
        if context.name in self.leave:
            path = context.folder / self.leave[context.name]
            path.parent.mkdir()
            path.write_text(context.name)
        return {"pass@1": 0.5}


def folder(tmp_path: Path, stage: str) -> Path:
    return tmp_path / "out" / "stages" / stage
