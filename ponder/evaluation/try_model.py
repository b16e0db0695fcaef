"""`ponder try MODEL --problems FILE`: whether there is something to learn, in which form, and a recipe for it."""

import socket
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from random import Random
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ponder.errors import DataError, LearningError, ModelError, RecipeError
from ponder.evaluation.benchmark import (
    AS_USUAL,
    Benchmark,
    ProblemFields,
    file_benchmark,
    find_benchmark,
    name_of,
    own_code,
    shipped,
)
from ponder.evaluation.probe import SAMPLES, Probe, probe
from ponder.evaluation.tried_recipe import recipe_text
from ponder.evaluation.update_rate import update_rate
from ponder.files import expand_path, write_json, write_text
from ponder.policy.load import load_policy
from ponder.policy.policy import Policy
from ponder.policy.pretrained import UNLOADABLE, load_tokenizer
from ponder.policy.resolve import resolve_model
from ponder.recipe.problems import GymProblems
from ponder.records import Problem
from ponder.task import load_problems
from ponder.terminal import print_table, terminal
from ponder.text.template import TEMPLATE_FILE, TEMPLATES, Template, template_for
from ponder.verify.pool import VerifierPool

__all__ = ["TRIED_FILE", "problems_named", "try_model"]

TRIED_FILE = "tried.json"
_SHUFFLE = 0
_GENERATED = 200
_GYM = "gym:"


def problems_named(text: str, fields: ProblemFields, settings: Mapping[str, Any]) -> Benchmark:
    """The problems that `--problems` names: a file whose `fields` are named, `gym:TASK` with the task's `settings`, or
    a benchmark. RecipeError for settings of anything else."""
    if text.startswith(_GYM) and fields == AS_USUAL:
        task = text.removeprefix(_GYM).strip()
        made = GymProblems(task=task, settings=dict(settings), count=_GENERATED)
        return Benchmark(name=name_of(task.replace("_", "-")), problems=(made,))
    if settings:
        raise RecipeError(
            f"The settings {', '.join(settings)} are for tasks of reasoning-gym, such as `--problems gym:chain_sum "
            f"max_terms=3`, and --problems is {text!r}: leave them out."
        )
    path, says_so_itself = expand_path(text), text in shipped() or text.startswith(_GYM)
    if not says_so_itself and path.suffix not in (".yaml", ".yml") and (path.is_file() or fields != AS_USUAL):
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
    recipe_name: str,
    limit: int | None = None,
    time_update: bool = True,
) -> Path:
    """Look at a model on the problems of `found` for about `seconds`, print what was seen, and write `tried.json`, all
    completions and `recipe.yaml`, whose name is `recipe_name`, into `folder`; returns the recipe's path.

    `limit` takes so many of the problems. An update is timed only with `time_update`. Prompt forms that the model's
    tokenizer cannot be asked in are left out, which is said. RecipeError for problems that only a judge could judge and
    for a folder that holds an earlier look. LearningError, after the table, where no completion was right, or all were:
    reinforcement learning would have nothing to go on from."""
    if found.judge in ("correctness", "safety") or found.without_gold:
        raise RecipeError(
            f"The answers to {found.name!r} can only be judged by somebody who reads them: `ponder try` asks whether "
            "verifiers have something to pay for. Take problems with answers that can be checked."
        )
    if (folder / TRIED_FILE).exists():
        raise RecipeError(f"{str(folder)!r} holds an earlier look: name another folder with --out, or leave it out.")
    loaded = load_problems(found.problems, own_code(found))
    if loaded.left_out:
        print(loaded.summary(), file=sys.stderr)
    problems = list(loaded.problems)
    Random(_SHUFFLE).shuffle(problems)
    problems = problems[:limit]
    templates = _templates(model, template)
    policy = load_policy(model, _loadable(model, templates), trained=False)
    templates = _fitting(policy, templates, problems[0])
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
    chats = {one.name for one in templates if one.uses_chat_template(policy.tokenizer)}
    _print_forms(model, found, seen, chats)
    write_json(folder / TRIED_FILE, facts)
    if not seen.right:
        raise LearningError(_nothing_right(model, seen))
    if seen.solved:
        raise LearningError(
            f"All that {model} wrote in {seen.best.template} was right: {SAMPLES} completions each of "
            f"{seen.best.problems} problems. Reinforcement learning has nothing to teach there: take harder problems."
        )
    del policy
    rate = None
    if time_update:
        print("measuring an update", file=sys.stderr)
        facts["trained_tokens_per_second"] = rate = update_rate(model, seen.template, folder)
        write_json(folder / TRIED_FILE, facts)
    recipe = folder / "recipe.yaml"
    write_text(recipe, recipe_text(model, found, seen, rate, recipe_name))
    trained = (
        "no update timed: its gradients do not fit this machine" if rate is None else f"trained {rate:,.0f} tokens/s"
    )
    terminal().print(f"sampled {seen.tokens_per_second:,.0f} tokens/s, {trained}; {recipe} is a recipe for it")
    return recipe


def _templates(model: str, named: str | None) -> list[Template]:
    """What is tried: the one that is named, or the model's own where it has one, and those that ship. One that was
    changed after it was saved stands in place of that of the same name."""
    folder = resolve_model(model)
    if named is not None:
        return [template_for(folder, named)]
    tried = dict(TEMPLATES)
    if (folder / TEMPLATE_FILE).exists():
        saved = Template.load(folder)
        if replace(saved, clock=None) != tried.get(saved.name):
            tried = {saved.name: saved} | {name: one for name, one in tried.items() if name != saved.name}
    return list(tried.values())


def _loadable(model: str, templates: Sequence[Template]) -> Template:
    """The first whose replies have an end that the tokenizer knows; else the first, with which loading says what is
    wrong, unless the model's generation configuration knows an end."""
    try:
        tokenizer = load_tokenizer(resolve_model(model))
    except UNLOADABLE:
        return templates[0]
    for one in templates:
        with suppress(ModelError):
            one.stop_ids(tokenizer)
            return one
    return templates[0]


def _fitting(policy: Policy, templates: Sequence[Template], problem: Problem) -> list[Template]:
    """Those that the model can be asked in; the others are named with the reason. The first's error where none is."""
    fitting, faults = [], []
    for one in templates:
        try:
            one.stop_ids(policy.tokenizer, policy.model.generation_config)
            one.encode(policy.tokenizer, problem.messages)
            fitting.append(one)
        except (ModelError, DataError) as error:
            faults.append(error)
            if len(templates) > 1:
                print(f"{one.name} is left out: {error}", file=sys.stderr)
    if not fitting:
        raise faults[0]
    return fitting


def _print_forms(model: str, found: Benchmark, seen: Probe, chats: Collection[str]) -> None:
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
        table.add_row(
            form.template + (" (its chat)" if form.template in chats else ""),
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
