"""`ponder try MODEL --problems FILE`: whether there is something to learn, in which form, and a recipe for it."""

import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ponder.errors import LearningError, RecipeError
from ponder.evaluation.benchmark import AS_USUAL, Benchmark, ProblemFields, file_benchmark, find_benchmark, own_code
from ponder.evaluation.probe import SAMPLES, Probe, probe
from ponder.evaluation.tried_recipe import recipe_text
from ponder.evaluation.update_rate import update_rate
from ponder.files import write_json, write_text
from ponder.policy.load import load_policy
from ponder.policy.policy import Policy
from ponder.recipe.problems import GymProblems
from ponder.task import load_problems
from ponder.terminal import print_table, terminal
from ponder.text.template import TEMPLATE_FILE, TEMPLATES, Template
from ponder.verify.pool import VerifierPool

__all__ = ["TRIED_FILE", "problems_named", "try_model"]

TRIED_FILE = "tried.json"
_SHUFFLE = 0
_GYM = "gym:"


def problems_named(text: str, fields: ProblemFields, settings: Mapping[str, Any]) -> Benchmark:
    """The problems that `--problems` names: a file whose `fields` are named, `gym:TASK` with the task's `settings`, or
    a benchmark. RecipeError for settings of anything else."""
    if text.startswith(_GYM) and fields == AS_USUAL:
        task = text.removeprefix(_GYM)
        made = GymProblems(task=task, settings=dict(settings), count=200)
        return Benchmark(name=task.replace("_", "-"), problems=(made,))
    if settings:
        raise RecipeError(
            f"The settings {', '.join(settings)} are for tasks of reasoning-gym, such as `--problems gym:chain_sum "
            f"max_terms=3`, and --problems is {text!r}: leave them out."
        )
    path = Path(text)
    if path.is_file() and path.suffix not in (".yaml", ".yml"):
        return file_benchmark(text, fields)
    if fields != AS_USUAL:
        raise RecipeError(
            f"--kind, --prompt, --gold and --answer-after say how the rows of a file are read, and --problems is "
            f"{text!r}, which says so itself: leave them out."
        )
    return find_benchmark(text)


def try_model(
    model: str,
    found: Benchmark,
    *,
    template: str | None,
    max_tokens: int,
    seconds: float,
    seed: int,
    folder: Path,
) -> Path:
    """Look at a model on the problems of `found` for about `seconds`, print what was seen, and write `tried.json`, all
    completions and `recipe.yaml` into `folder`; returns the recipe's path. LearningError, after the table, where no
    completion was right: reinforcement learning would have nothing to go on from."""
    loaded = load_problems(found.problems, own_code(found))
    if loaded.left_out:
        print(loaded.summary(), file=sys.stderr)
    problems = list(loaded.problems)
    Random(_SHUFFLE).shuffle(problems)
    templates = list(_templates(model, template))
    policy = load_policy(model, templates[0], trained=False)
    folder.mkdir(parents=True, exist_ok=True)
    with VerifierPool(own=own_code(found)) as pool:
        seen = probe(
            policy,
            problems,
            pool,
            model=model,
            templates=templates,
            max_tokens=min(max_tokens, policy.window),
            seconds=seconds,
            seed=seed,
            folder=folder,
            say=lambda line: print(line, file=sys.stderr),
        )
    voice = policy.voice()
    facts: dict[str, Any] = {
        "model": model,
        "parameters": voice.parameters,
        "model_type": policy.model.config.model_type,
        "dtype": voice.dtype,
        "device": voice.device,
        "host": socket.gethostname(),
        "problems": found.name,
        "samples": SAMPLES,
        "sampled_tokens_per_second": seen.tokens_per_second,
        "best": asdict(seen.best),
        "forms": [asdict(form) for form in seen.forms],
    }
    _print_forms(model, found, seen, policy)
    if not seen.right:
        write_json(folder / TRIED_FILE, facts)
        raise LearningError(_nothing_right(model, seen))
    del policy
    print("measuring an update", file=sys.stderr)
    facts["trained_tokens_per_second"] = rate = update_rate(model, seen.best.template, folder)
    write_json(folder / TRIED_FILE, facts)
    recipe = folder / "recipe.yaml"
    write_text(recipe, recipe_text(model, found, seen, rate))
    terminal().print(
        f"sampled {seen.tokens_per_second:,.0f} tokens/s, trained {rate:,.0f} tokens/s; {recipe} is a recipe for it"
    )
    return recipe


def _templates(model: str, named: str | None) -> Iterator[Template]:
    """What is tried: the one that is named, or the model's own where it has one, and those that ship."""
    from ponder.policy.resolve import resolve_model
    from ponder.text.template import template_for

    folder = resolve_model(model)
    if named is not None:
        yield template_for(folder, named)
        return
    saved = Template.load(folder) if (folder / TEMPLATE_FILE).exists() else None
    if saved is not None and saved.name not in TEMPLATES:
        yield saved
    yield from TEMPLATES.values()


def _print_forms(model: str, found: Benchmark, seen: Probe, policy: Policy) -> None:
    table = Table(title=f"{model} on {found.name}, {SAMPLES} completions a problem, temperature 1", box=SIMPLE_HEAD)
    for name in (
        "template",
        "problems",
        "limit",
        "pass@1",
        f"pass@{SAMPLES}",
        "useful",
        "think",
        "form",
        "end",
        "tokens",
        "95 % fit",
    ):
        table.add_column(name, justify="left" if name == "template" else "right")
    for form in (*seen.forms, *([seen.best] if seen.best not in seen.forms else [])):
        low, high = form.interval
        own = TEMPLATES.get(form.template) is not None and TEMPLATES[form.template].uses_chat_template(policy.tokenizer)
        table.add_row(
            form.template + (" (its chat)" if own else ""),
            f"{form.problems}",
            f"{form.max_tokens}",
            f"{form.pass_at_1:.3f} ({low:.3f} to {high:.3f})",
            f"{form.pass_at_8:.2f}",
            *(f"{100 * share:.0f} %" for share in (form.useful, form.thinks, form.well_formed, form.ends)),
            f"{form.mean_tokens:.0f}",
            "longer" if form.fitting_tokens is None else f"{form.fitting_tokens}",
        )
    print_table(table, terminal())


def _nothing_right(model: str, seen: Probe) -> str:
    tried = ", ".join(form.template for form in seen.forms)
    looked, best = seen.forms[0].problems, seen.best
    cut = 1 - best.ends
    higher = f" {cut:.0%} were cut off at {best.max_tokens} tokens: try a higher --max-tokens first."
    return (
        f"Nothing that {model} wrote was right: {SAMPLES} completions each of {looked} problems in the templates "
        f"{tried}, then of {best.problems} problems in {best.template}.{higher if cut > 0.5 else ''} Reinforcement "
        "learning has nothing to go on from there. Take easier problems, show some worked ones in the question "
        "(`prompt_suffix` of the source), or teach the form first by a stage `sft` with `preset: cold-start`."
    )
