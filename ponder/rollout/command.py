"""`ponder sample`: questions to a model, and what it thinks and answers, printed as each completion is done."""

from collections.abc import Sequence

from rich.text import Text

from ponder.errors import DataError
from ponder.policy import load_policy
from ponder.recipe.rollout import EngineConfig, Sampling
from ponder.records import Completion, Message
from ponder.rollout.engine import Request
from ponder.rollout.open import open_engine
from ponder.seeds import derive_seed
from ponder.terminal import shown, terminal

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
) -> None:
    """Print `samples` completions of each prompt: the thinking dim, the answer plain, then tokens and how it ended.

    The length limit shrinks to what the model's window leaves; DataError for a prompt that leaves nothing.
    """
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

    def show(key: str, index: int, completion: Completion) -> None:
        response = policy.template.split(completion.text, finished=completion.finish_reason == "stop")
        console.print(Text(shown(prompts[int(key)]) + (f"  [{index + 1} of {samples}]" if samples > 1 else ""), "bold"))
        if response.thinking:
            console.print(Text(shown(response.thinking.strip()), "dim"))
        answer = response.answer if response.answer is not None else completion.text
        console.print(Text(shown(answer.strip())))
        note = "" if response.well_formed else f", {response.problem}"
        console.print(Text(f"({len(completion.token_ids)} tokens, {completion.finish_reason}{note})\n", "dim"))

    engine = open_engine(EngineConfig(), policy)
    engine.generate(requests, Sampling(temperature=temperature), min(max_tokens, room), 0, on_finish=show)
