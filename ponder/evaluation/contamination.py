"""Training data without the questions of benchmarks, and the manifest that says what was left out and why.

    benchmarks by name -> OverlapIndex;  items, names -> the items without an overlap + decontamination.json

What an overlap is stands in `decontaminate`.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import compress
from pathlib import Path
from typing import Any, TypeVar

from ponder.errors import DataError
from ponder.evaluation.benchmark import find_benchmark, own_code
from ponder.evaluation.decontaminate import NGRAM, Overlap, OverlapIndex, Question
from ponder.files import write_json
from ponder.recipe.problems import FileProblems, GymProblems, HubProblems, ProblemSource
from ponder.records import CodeGold, Example, LabelledResponse, PreferencePair, Problem
from ponder.task import Loaded, load_problems
from ponder.task.examples import LoadedExamples

__all__ = [
    "MANIFEST",
    "benchmark_index",
    "decontaminate",
    "decontaminate_examples",
    "decontaminate_problems",
    "manifest",
]

MANIFEST = "decontamination.json"
"""The file in a stage's folder that lists what was left out."""
_SHOWN = 5

Item = TypeVar("Item", Problem, Example, PreferencePair, LabelledResponse)


def benchmark_index(names: Sequence[str]) -> OverlapIndex:
    """The questions of benchmarks, given by name or file, without the text that the benchmark puts after each, and the
    programs that are known to solve them. RecipeError and DataError as from `find_benchmark` and `load_problems`."""
    questions = []
    for name in dict.fromkeys(names):
        benchmark = find_benchmark(name)
        sources = [_bare(source) for source in benchmark.problems]
        for problem in load_problems(sources, own_code(benchmark), keep_repeated=True).problems:
            texts = [message.content for message in problem.messages]
            if isinstance(problem.gold, CodeGold) and problem.gold.answer is not None:
                texts.append(problem.gold.answer)
            questions += [Question(benchmark=benchmark.name, id=problem.id, text=text) for text in texts]
    return OverlapIndex(questions)


def decontaminate(
    items: Sequence[Item], benchmarks: Sequence[str], folder: Path, say: Callable[[str], None]
) -> tuple[Item, ...]:
    """The items that share no run of ten words with a benchmark; those left out are said, counted and listed in
    `decontamination.json` in the stage's folder. Without benchmarks everything stays and nothing is written.

    Questions are looked at, and of an example or a pair its responses too. DataError where nothing would be left.
    """
    return tuple(compress(items, _clean(items, benchmarks, folder, say)))


def decontaminate_problems(
    loaded: Loaded, benchmarks: Sequence[str], folder: Path, say: Callable[[str], None]
) -> Loaded:
    """The same for loaded problem sources. DataError where nothing would be left of a source."""
    clean = _clean(loaded.problems, benchmarks, folder, say)
    sizes = {name: sum(clean[i] for i in loaded.members(name)) for name in loaded.sizes}
    _check_sizes(sizes, benchmarks, folder)
    return replace(loaded, problems=tuple(compress(loaded.problems, clean)), sizes=sizes)


def decontaminate_examples(
    loaded: LoadedExamples, benchmarks: Sequence[str], folder: Path, say: Callable[[str], None]
) -> LoadedExamples:
    """The same for loaded sources of examples."""
    clean = _clean([entry.example for entry in loaded.examples], benchmarks, folder, say)
    kept = tuple(compress(loaded.examples, clean))
    _check_sizes({name: sum(one.source == name for one in kept) for name in loaded.weights}, benchmarks, folder)
    return replace(loaded, examples=kept)


def _clean(
    items: Sequence[Item], benchmarks: Sequence[str], folder: Path, say: Callable[[str], None]
) -> Sequence[bool]:
    """Whether each item stays; see `decontaminate`."""
    if not benchmarks:
        return [True] * len(items)
    index = benchmark_index(benchmarks)
    found = [_overlap(index, item) for item in items]
    left_out = [(item.id, one) for item, one in zip(items, found, strict=True) if one is not None]
    write_json(folder / MANIFEST, manifest(index, len(items), left_out))
    _say(say, len(items), left_out, benchmarks)
    if items and len(left_out) == len(items):
        raise DataError(
            f"All {len(items)} texts share {NGRAM} words in a row with {', '.join(benchmarks)}, such as "
            f"{left_out[0][1].ngram!r}, so nothing is left to train on. Take other data, or leave the benchmark out of "
            f"`decontaminate`; {str(folder / MANIFEST)!r} lists every overlap."
        )
    return [one is None for one in found]


def _check_sizes(sizes: Mapping[str, int], benchmarks: Sequence[str], folder: Path) -> None:
    if empty := [name for name, size in sizes.items() if size == 0]:
        raise DataError(
            f"Everything of source {empty[0]!r} shares {NGRAM} words in a row with {', '.join(benchmarks)}. Leave "
            f"the source or the benchmark out; {str(folder / MANIFEST)!r} lists every overlap."
        )


def manifest(index: OverlapIndex, texts: int, left_out: Sequence[tuple[str, Overlap]]) -> dict[str, Any]:
    """What was compared with what, and each text left out with the run of words and the question it was left out for.

    `runs` are the different runs of a benchmark that were looked for, `form` those that were not, since they stand in
    many of its questions.
    """
    hits = Counter(overlap.benchmark for _, overlap in left_out)
    return {
        "words": NGRAM,
        "benchmarks": {
            name: {"runs": size, "form": index.form[name], "left_out": hits[name]} for name, size in index.size.items()
        },
        "texts": texts,
        "kept": texts - len(left_out),
        "left_out": [{"text": name, **asdict(overlap)} for name, overlap in left_out],
    }


def _bare(source: ProblemSource) -> ProblemSource:
    if isinstance(source, FileProblems | GymProblems | HubProblems):
        return source.model_copy(update={"prompt_suffix": ""})
    return source


def _overlap(index: OverlapIndex, item: Problem | Example | PreferencePair | LabelledResponse) -> Overlap | None:
    """The first overlap of any of the item's texts."""
    texts = [message.content for message in item.messages]
    match item:
        case Example():
            texts += [item.thinking or "", item.answer]
        case PreferencePair():
            texts += [item.chosen, item.rejected]
        case LabelledResponse():
            texts.append(item.response)
        case Problem():
            pass
    return next((overlap for text in texts if (overlap := index.find(text)) is not None), None)


def _say(
    say: Callable[[str], None], texts: int, left_out: Sequence[tuple[str, Overlap]], benchmarks: Sequence[str]
) -> None:
    say(f"{len(left_out):,} of {texts:,} texts left out: they share {NGRAM} words with {', '.join(benchmarks)}")
    for name, overlap in left_out[:_SHOWN]:
        say(f"left out: {name}: {overlap.ngram!r} stands in {overlap.id} of {overlap.benchmark}")
    if len(left_out) > _SHOWN:
        say(f"left out: {len(left_out) - _SHOWN:,} more, all listed in {MANIFEST}")
