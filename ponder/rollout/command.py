"""`ponder sample`: questions to a model, and what it thinks and answers, printed as each completion is done."""

from collections.abc import Sequence

from rich.text import Text

from ponder.compute.check import check_of
from ponder.errors import DataError, RecipeError
from ponder.policy import load_policy
from ponder.policy.scorer import Scorer
from ponder.policy.scorer_load import load_scorer
from ponder.recipe.compute import ComputePlan
from ponder.recipe.rollout import EngineConfig, Sampling
from ponder.records import Completion, Message
from ponder.rollout.drawing import Drawing
from ponder.rollout.engine import Request
from ponder.rollout.live import LiveEngine
from ponder.rollout.open import open_engine
from ponder.rollout.planned import Planner, Score
from ponder.rollout.show_reply import show_reply
from ponder.seeds import derive_seed
from ponder.terminal import shown, terminal
from ponder.verify.pool import VerifierPool

__all__ = ["sample_command"]


def sample_command(
    model: str,
    prompts: Sequence[str],
    *,
    samples: int = 1,
    temperature: float = 0.6,
    max_tokens: int = 512,
    template: str | None = None,
    seed: int = 0,
    plan: ComputePlan | None = None,
    check: str | None = None,
    scorer: str | None = None,
) -> None:
    """Print `samples` completions of each prompt: the thinking dim, the answer plain, then tokens and how it ended.

    With a `plan` or a `check` it is the one reply that comes of it, and what votes, scores and verifiers say.

    The length limit shrinks to what the model's window leaves; DataError for a prompt that leaves nothing.
    """
    if plan is not None or check is not None or scorer is not None:
        plan = plan or ComputePlan()
        _check_plan(plan, samples, check, scorer)
        samples = plan.samples
    policy = load_policy(model, template, trained=False)
    encoded = [policy.template.encode(policy.tokenizer, [Message(role="user", content=text)]) for text in prompts]
    room = policy.window - max(len(ids) for ids in encoded)
    if room < 1:
        raise DataError(
            f"the longest prompt has {policy.window - room} tokens, and the window of {model!r} is {policy.window} "
            "tokens: ask something shorter, or a model with a larger window"
        )
    requests = [
        Request(
            prompt_ids=ids, seeds=tuple(derive_seed(seed, "sample", text, i) for i in range(samples)), key=str(number)
        )
        for number, (ids, text) in enumerate(zip(encoded, prompts, strict=True))
    ]
    console = terminal()
    if plan is not None:
        with VerifierPool() as pool:
            engine = LiveEngine(policy)
            planner = Planner(engine, policy.voice(), plan, None if check is None else check_of(check), pool)
            reward = None if scorer is None else load_scorer(scorer)
            for request, text in zip(requests, prompts, strict=True):
                made = planner.run(
                    request.prompt_ids,
                    request.seeds,
                    drawing=Drawing(temperature=temperature),
                    max_tokens=min(max_tokens, room),
                    score=None if reward is None else _score(reward, text),
                )
                show_reply(console, text, plan, made, policy.template)
        return

    def show(key: str, index: int, completion: Completion) -> None:
        response = policy.template.split(completion.text, finished=completion.finish_reason == "stop")
        console.print(Text(shown(prompts[int(key)]) + (f"  [{index + 1} of {samples}]" if samples > 1 else ""), "bold"))
        if response.thinking:
            console.print(Text(shown(response.thinking.strip()), "dim"))
        answer = response.answer if response.answer is not None else completion.text
        console.print(Text(shown(answer.strip())))
        note = "" if response.well_formed else f", {response.problem}"
        console.print(Text(f"({len(completion.token_ids)} tokens, {completion.finish_reason}{note})\n", "dim"))

    open_engine(EngineConfig(), policy).generate(
        requests, Sampling(temperature=temperature), min(max_tokens, room), 0, on_finish=show
    )


def _check_plan(plan: ComputePlan, samples: int, check: str | None, scorer: str | None) -> None:
    """RecipeError for options that do not go together."""
    if (plan.best_of is None) != (scorer is None):
        raise RecipeError(
            "--best-of K takes the sample that the reward model of --scorer FOLDER likes most: give both, or neither."
        )
    if samples > 1:
        raise RecipeError("--samples prints every sample, and a plan chooses one reply: leave --samples out.")
    if plan.retries and check is None:
        raise RecipeError("--retries asks again after a check that fails: give --check, such as --check 'math 42'.")


def _score(scorer: Scorer, text: str) -> Score:
    messages = [Message(role="user", content=text)]
    return lambda response: scorer.score_reply(messages, response.thinking, response.answer)
