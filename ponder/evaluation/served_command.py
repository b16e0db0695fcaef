"""A benchmark at an endpoint: which server, and its scores beside those of models here."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ponder.ask import RequestLog
from ponder.ask.endpoint import EndpointAsker
from ponder.errors import RecipeError
from ponder.evaluation.benchmark import Benchmark
from ponder.evaluation.material import read_material
from ponder.evaluation.scores import Scores
from ponder.evaluation.served import evaluate_served
from ponder.judge import Judge
from ponder.recipe.endpoint import Endpoint
from ponder.recipe.explain import explain
from ponder.recipe.rollout import Sampling
from ponder.recipe.source import Source, read_source
from ponder.verify.pool import VerifierPool

__all__ = ["bill", "measure_served", "read_endpoint"]

_ADDRESS = re.compile(r"https?://")
_CALLED = "the endpoint"


def read_endpoint(text: str, model: str | None, key_env: str | None) -> Endpoint:
    """The endpoint of an address, or of a YAML file with an endpoint's keys, which `model` and `key_env` go before.
    RecipeError for what is no endpoint."""
    if _ADDRESS.match(text):
        source = Source(data={"base_url": text}, form=Endpoint, called=_CALLED)
    elif Path(text).is_file():
        source = read_source(Path(text), Endpoint, _CALLED)
    else:
        raise RecipeError(
            f"--endpoint {text!r} is no address, which begins with http:// or https://, and there is no such file: "
            "give a server's address up to and without `/chat/completions`, or a YAML file with an endpoint's keys "
            "(docs/recipe.md)."
        )
    given = {"model": model, "api_key_env": key_env}
    data: dict[str, Any] = dict(source.data) | {key: value for key, value in given.items() if value is not None}
    if "model" not in data:
        raise RecipeError(
            "An endpoint serves many models: name the one to measure, as the server calls it, before --endpoint, such "
            "as `ponder eval deepseek-reasoner --endpoint https://api.deepseek.com/v1`."
        )
    try:
        return Endpoint.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        raise RecipeError(explain(error, source)) from None


def measure_served(
    endpoint: Endpoint,
    benchmark: Benchmark,
    *,
    model: str,
    pool: VerifierPool,
    requests: Path,
    samples: int | None,
    temperature: float,
    top_p: float,
    seed: int,
    limit: int | None = None,
    log: Path | None = None,
    judge: Judge | None = None,
    judge_name: str | None = None,
    measures: Sequence[str] = (),
    say: Callable[[str], None],
) -> Scores:
    """The scores of the model at an endpoint, by the name `model` in tables. Every reply is in the file `requests` as
    soon as it is there, and what stands there is not asked again."""
    problems, notes = read_material(benchmark, limit, judge_name, say)
    sampling = Sampling(temperature=temperature, top_p=top_p, max_tokens=benchmark.max_tokens)
    with RequestLog(requests) as kept:
        asker = EndpointAsker(endpoint, sampling, kept, seed=seed, title=f"{model} on {benchmark.name}", say=say)
        return evaluate_served(
            asker,
            endpoint,
            problems,
            samples=samples or benchmark.samples,
            sampling=sampling,
            pool=pool,
            seed=seed,
            model=model,
            notes=notes,
            log=log,
            judge=judge,
            judges="safety" if benchmark.judge == "safety" else "correctness",
            measures=measures,
        )


def bill(scores: Scores) -> str | None:
    """What the requests to an endpoint came to, as a line for people; None for a model here."""
    totals = scores.provenance.get("requests")
    if totals is None:
        return None
    text = (
        f"{totals['asked']:,} requests, {totals['prompt_tokens']:,} tokens in and {totals['completion_tokens']:,} out"
    )
    text += "" if totals["cost"] is None else f", cost {totals['cost']:,.4f}"
    text += f"; {totals['failed']:,} failed, which count as no answer" if totals["failed"] else ""
    text += (
        f"; {totals['uncounted']:,} without counts of tokens, so the means are too low" if totals["uncounted"] else ""
    )
    return text
