"""What can be known to fail, found before the first stage runs instead of hours later."""

import sys
from collections.abc import Iterable, Mapping

from ponder.ask.key import api_key
from ponder.errors import DataError, EndpointError, ModelError, RecipeError
from ponder.evaluation.benchmark import Benchmark, find_benchmark, own_code
from ponder.files import EMBEDDED, expand_path, is_gguf
from ponder.micro import GENERAL, TASK_NAMES
from ponder.nearest import did_you_mean
from ponder.own import read_own
from ponder.own.apart import check_own
from ponder.pipeline.columns import check_columns
from ponder.pipeline.fingerprint import data_files, input_path, own_files, own_uses
from ponder.pipeline.machine import processors
from ponder.pipeline.shape import Shape, find_shape
from ponder.recipe.examples import MicroExamples
from ponder.recipe.graph import model_references
from ponder.recipe.own import is_own
from ponder.recipe.problems import FileProblems, GymProblems, MicroProblems
from ponder.recipe.recipe import Recipe
from ponder.recipe.reward_model import MicroPreferences
from ponder.recipe.rollout import check_vllm
from ponder.recipe.sft import check_peft
from ponder.recipe.stages import EvaluateStage, PretrainStage, RewardModelStage, RlStage, SampleStage, SftStage, Stage
from ponder.recipe.stages.rl import SCOPES
from ponder.reward import REWARDS
from ponder.task import load_problems
from ponder.task.gym import GYM_TASKS, check_gym, check_settings

__all__ = ["check_inputs", "check_judges", "check_lag", "check_models", "check_own_code", "check_ranks", "check_recipe"]


def check_inputs(recipe: Recipe, *, placed: bool = False) -> None:
    """Raise the PonderError of the first thing that is not there: a model folder, a data file, a reward, a task or a
    benchmark of that name; and ModelError for completions that cannot fit into their model's window. With `placed`
    ranks are not of this machine."""
    if not placed:
        check_ranks(recipe, *processors(), "this machine")
    for name, stage in recipe.stages.items():
        _check_names(name, stage)
        _check_packages(name, stage)
        for endpoint in stage.endpoints():
            api_key(endpoint)
        _check_windows(recipe, name, stage)
        for reference in model_references(stage):
            path = None if reference in recipe.stages else input_path(reference)
            if path is None or (path / "config.json").is_file() or is_gguf(path):
                continue
            if reference in EMBEDDED:
                raise ModelError(
                    f"stage {name!r} starts from the embedded model {reference!r}, which is not in this installation: "
                    f"{str(path)!r} holds no config.json; make it with `ponder run base-micro` or "
                    "reinstall ponder"
                )
            got = "is a file" if path.is_file() else "holds no config.json" if path.is_dir() else "does not exist"
            raise ModelError(
                f"stage {name!r}: the model folder {reference!r} {got}: give a Hugging Face model folder, a hub id "
                f"(organisation/name), {' or '.join(map(repr, EMBEDDED))}, or the name of a stage"
            )
        folders = stage.text_folders()
        for text in folders:
            if not expand_path(text).is_dir():
                raise DataError(
                    f"stage {name!r}: the folder of texts {text!r} does not exist (looked at "
                    f"{str(expand_path(text).absolute())!r}): check the path; it is relative to the folder in which "
                    "ponder is started"
                )
        for text in data_files(stage):
            if text not in folders and not expand_path(text).is_file():
                raise DataError(
                    f"stage {name!r}: the data file {text!r} does not exist (looked at "
                    f"{str(expand_path(text).absolute())!r}): check the path; it is relative to the folder in which "
                    "ponder is started"
                )
        check_columns(name, stage)
        if isinstance(stage, EvaluateStage):
            _check_questions(name, stage)
            from ponder.judge.keywords import read_rules

            for file in stage.rule_files():
                read_rules(file)


def check_recipe(recipe: Recipe) -> None:
    """Raise the PonderError of the first thing for which a recipe would start on no machine: a name that nothing has,
    or completions and examples that cannot fit into their model's window."""
    for name, stage in recipe.stages.items():
        _check_names(name, stage)
        _check_windows(recipe, name, stage)


def check_own_code(recipe: Recipe) -> None:
    """Raise RecipeError for a file of the user's own that is not there or cannot be imported, and for a function in it
    that is none of that name or cannot be called as what it is used as."""
    for name, stage in recipe.stages.items():
        uses = own_uses(stage)
        try:
            check_own(read_own(own_files(stage), recipe.home), uses)
        except RecipeError as error:
            raise RecipeError(f"{recipe.place(error.about)}stage {name!r}: {error}") from None


def check_judges(stages: Mapping[str, Stage]) -> None:
    """Raise EndpointError where the server of a judge that gives rewards is not there: it is asked from the first step
    on, and whoever trains is not to learn of that after the stages before."""
    from ponder.ask.client import check_there

    for name, stage in stages.items():
        for endpoint in stage.endpoints() if isinstance(stage, RlStage) else ():
            try:
                check_there(endpoint)
            except EndpointError as error:
                raise EndpointError(f"stage {name!r}: {error}") from None


def check_models(recipe: Recipe) -> None:
    """Raise ModelError for a model folder from outside that cannot be used, and for a reward model that is none, is not
    what its file says, or does not score what its route needs. Loads torch, so that planning leaves it out."""
    from ponder.policy.folder import check_folder
    from ponder.policy.scorer_file import read_scorer_file
    from ponder.policy.unpack import gguf_config

    for name, stage in recipe.stages.items():
        scoring = stage.reward_models if isinstance(stage, RlStage) else {}
        # What a critic begins as may have been trained on either.
        scopes = dict.fromkeys(stage.scorers()) | {reference: SCOPES[route] for route, reference in scoring.items()}
        for reference in model_references(stage):
            path = None if reference in recipe.stages else input_path(reference)
            if path is None:
                continue
            what = "reward model" if reference in scopes else "model"
            try:
                if is_gguf(path):
                    gguf_config(path)
                    continue
                check_folder(path)
                if reference in scopes:
                    read_scorer_file(path, scopes[reference])
            except ModelError as error:
                raise ModelError(f"stage {name!r}, {what} {reference!r}: {error}") from None


def check_lag(recipe: Recipe, there: tuple[int, str] | None) -> None:
    """RecipeError for a stage that is to draw ahead where nothing would overlap. `there` are the processors on which
    workers are placed and what they are, None where the run is all in one process."""
    for name, stage in recipe.stages.items():
        if not isinstance(stage, RlStage) or not stage.engine.lag:
            continue
        asked = f"stage {name!r}: engine.lag is {stage.engine.lag}, but "
        if there is None:
            _check_lag_here(asked, stage.engine.kind)
            continue
        count, what = there
        if what == "GPUs" and count <= stage.batch.ranks:
            raise RecipeError(
                f"{asked}the {count} {what} that there are train, and an engine that draws meanwhile needs one of its "
                f"own: set it to 0, lower `batch.ranks` or place the run on more"
            )


def _check_lag_here(asked: str, kind: str) -> None:
    import torch

    elsewhere = "place engines in processes of their own with `--on`, or set it to 0"
    if kind == "vllm":
        raise RecipeError(
            f"{asked}engine.kind is vllm, which draws in this process, so that nothing would be drawn while it trains: "
            f"{elsewhere}"
        )
    if torch.cuda.is_available() or sys.platform != "linux":
        raise RecipeError(
            f"{asked}a second process draws beside the one that trains on the CPUs of Linux alone; on one GPU nothing "
            f"would overlap: {elsewhere}"
        )


def check_ranks(recipe: Recipe, there: int, what: str, where: str) -> None:
    """RecipeError for a stage with more ranks than there are processors, which are `what`, where they are placed."""
    for name, stage in recipe.stages.items():
        if not isinstance(stage, PretrainStage | RewardModelStage | RlStage | SftStage) or stage.batch.ranks == 1:
            continue
        if stage.batch.ranks > there:
            raise RecipeError(
                f"stage {name!r}: `batch.ranks` is {stage.batch.ranks}, but {where} has {there} {what}, and every "
                f"process that trains needs one of its own: set it to {there} or less"
            )


def _check_packages(name: str, stage: Stage) -> None:
    """What ponder itself does not bring."""
    for source in stage.problem_sources():
        if isinstance(source, GymProblems):
            check_gym()
            check_settings(source)
    if isinstance(stage, SftStage) and stage.lora is not None:
        check_peft()
    if isinstance(stage, EvaluateStage | RlStage | SampleStage) and stage.engine.kind == "vllm":
        try:
            check_vllm()
        except RecipeError as error:
            raise RecipeError(f"stage {name!r}: {error}") from None


def _check_names(name: str, stage: Stage) -> None:
    """Names that the recipe's own checks cannot know, because what they name stands in higher layers."""
    world = "task of the embedded world"
    for reward in stage.reward_names():
        if not is_own(reward):
            _check_name(f"stage {name!r}: reward", reward, REWARDS)
    for source in stage.problem_sources():
        if isinstance(source, MicroProblems):
            _check_tasks(name, world, source.tasks, TASK_NAMES)
        elif isinstance(source, GymProblems):
            _check_name(f"stage {name!r}: reasoning-gym task that can be judged", source.task, GYM_TASKS)
    if isinstance(stage, SftStage):
        for examples in stage.examples:
            if not isinstance(examples, MicroExamples):
                continue
            _check_tasks(name, world, examples.tasks, TASK_NAMES)
            if examples.rambling and not set(examples.tasks) & set(GENERAL):
                raise RecipeError(
                    f"stage {name!r}: `rambling` is a share of the answers to general questions, and of the tasks "
                    f"{', '.join(examples.tasks)} none is general: remove it, or name one of {', '.join(GENERAL)}"
                )
    if isinstance(stage, RewardModelStage):
        for rows in (*stage.data, *stage.held_out):
            _check_tasks(name, f"general {world}", rows.tasks if isinstance(rows, MicroPreferences) else (), GENERAL)
    for benchmark in map(find_benchmark, stage.benchmark_names()):
        if isinstance(stage, EvaluateStage):
            _check_judge(name, stage, benchmark)


def _check_tasks(name: str, what: str, tasks: Iterable[str], known: Iterable[str]) -> None:
    for task in tasks:
        _check_name(f"stage {name!r}: {what}", task, known)


def _check_judge(name: str, stage: EvaluateStage, benchmark: Benchmark) -> None:
    """A benchmark that rules cannot judge needs a judge that reads, and one without gold a baseline, too."""
    by_rule = stage.judge is None or stage.judge.kind == "rule"
    if benchmark.judge == "correctness" and by_rule:
        raise RecipeError(
            f"stage {name!r}: answers to the benchmark {benchmark.name!r} are judged by a reader with the reference, "
            "and the stage has none: set `judge` to a model or an endpoint, or leave the benchmark out"
        )
    if benchmark.judge == "safety":
        return
    alone = stage.baseline is None and stage.baseline_answers is None
    if benchmark.without_gold and (benchmark.judge != "preference" or by_rule or alone):
        raise RecipeError(
            f"stage {name!r}: the benchmark {benchmark.name!r} has no gold, so its answers can only be compared: give "
            "the benchmark `judge: preference`, and the stage a `baseline` (or `baseline_answers`) and a `judge` that "
            "is a model or an endpoint"
        )


def _check_questions(name: str, stage: EvaluateStage) -> None:
    """The user's own benchmarks must have questions with gold, or say that there is none."""
    for file in (one for one in stage.benchmark_names() if expand_path(one).is_file()):
        benchmark = find_benchmark(file)
        local = [source for source in benchmark.problems if isinstance(source, FileProblems)]
        try:
            if local:
                load_problems(local, own_code(benchmark), keep_repeated=True)
        except DataError as error:
            raise DataError(
                f"stage {name!r}, benchmark {file!r}: {error} A YAML benchmark says which columns a file has, and "
                "`gold: null` with `judge: preference` that there are no answers (docs/evaluation.md)."
            ) from None


def _check_name(what: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise RecipeError(f"{what}: there is none named {name!r}{did_you_mean(name, known)}")


def _check_windows(recipe: Recipe, name: str, stage: Stage) -> None:
    if isinstance(stage, SftStage):
        _check_examples(recipe, name, stage)
    if isinstance(stage, RlStage | SampleStage):
        _check_window(recipe, name, stage)


def _check_examples(recipe: Recipe, name: str, stage: SftStage) -> None:
    shape = find_shape(recipe, stage.model)
    if isinstance(shape, Shape) and shape.window is not None and (stage.max_tokens or 0) > shape.window:
        raise ModelError(
            f"stage {name!r} takes examples of up to {stage.max_tokens:,} tokens, but the window of {stage.model!r} is "
            f"{shape.window:,} ({shape.origin}): lower max_tokens, or take a model with a larger window"
        )


def _check_window(recipe: Recipe, name: str, stage: RlStage | SampleStage) -> None:
    if stage.model is None:
        return
    shape = find_shape(recipe, stage.model)
    limit = stage.sampling.max_tokens if isinstance(stage, SampleStage) else stage.longest_completion()
    if isinstance(shape, Shape) and shape.window is not None and limit >= shape.window:
        raise ModelError(
            f"stage {name!r} asks for completions of up to {limit:,} tokens, but the window of {stage.model!r}, prompt "
            f"included, is {shape.window:,} tokens ({shape.origin}): lower sampling.max_tokens or its length_schedule, "
            "or take a model with a larger window"
        )
