"""A running vLLM in this process, in ponder's words.

    Host(policy, rows, tokens) -> load -> draw -> sleep -> load ... close

Whatever it raises leaves here as a ModelError. Nothing is known here about prompts and completions beyond their ids.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ponder.errors import ModelError
from ponder.policy.memory import is_out_of_memory
from ponder.policy.policy import Policy
from ponder.policy.pretrained import first_line
from ponder.rollout.vllm_start import start

__all__ = ["Drawn", "Host", "Wish"]

_FAULTS = (
    ValueError,
    RuntimeError,
    NotImplementedError,
    AssertionError,
    LookupError,
    TypeError,
    AttributeError,
    OSError,
)
"""What vLLM raises for models, lengths and machines that it is not made for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One completion that is wanted. `scored` asks for the log-probs of the prompt's own tokens instead."""

    name: str
    prompt_ids: tuple[int, ...]
    seed: int
    max_tokens: int
    stop_ids: tuple[int, ...] = ()
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    scored: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A completion: its tokens, stop id included, the log-prob of each, whether a stop id ended it, and the versions of
    the weights that drew it, each with the number of tokens until its end. Of a scored one the log-probs of all prompt
    tokens but the first."""

    name: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    stopped: bool
    versions: tuple[tuple[str, int], ...]


class Host:
    """A running vLLM of one architecture. It holds no weights worth sampling from before `load`."""

    def __init__(self, policy: Policy, rows: int, tokens: int) -> None:
        """`rows` sequences at one time, `tokens` the longest of them. ModelError for a model or lengths that vLLM
        cannot run."""
        self.tokens = tokens
        self.broken = False
        """Whether it failed and holds nothing that can be relied on."""
        self._engine: Any = None
        self._others: list[Any] = []  # finished while something else was drawn
        self._name = type(policy.model).__name__
        self._sleeps, self._asleep = policy.device.type == "cuda", False
        doing = f"cannot run this model, a {self._name}, with sequences of {tokens} tokens"
        with self._said(doing):
            self._engine = start(policy, rows, tokens)

    def load(self, version: int, tensors: Iterable[tuple[str, torch.Tensor]]) -> None:
        """Draw from these weights from now on, and forget all keys and values of those before, of what is being drawn,
        too, which goes on by these. ModelError where vLLM does not take them whole."""
        engine = self._engine
        with self._said(f"did not take the weights of version {version}"):
            if self._asleep:
                torch.cuda.empty_cache()  # what torch keeps for the trainer, vLLM cannot use
                engine.wake_up(tags=["weights"])
            engine.collective_rpc("start_weight_update")
            engine.collective_rpc("update_weights", kwargs={"update_info": {"weights": tensors}})
            engine.collective_rpc("finish_weight_update")
            if self._asleep:
                engine.wake_up(tags=["kv_cache"])
                self._asleep = False
            if not engine.reset_prefix_cache(reset_running_requests=True):
                raise ValueError("it kept keys and values of the weights before")
            engine.set_weight_version(str(version))

    def draw(self, wishes: Sequence[Wish]) -> Iterator[list[Drawn]]:
        """Step by step what has been finished, nothing in most steps. Whatever ends the iteration, nothing is left.
        Others may be drawn between two steps."""
        from vllm import SamplingParams, TokensPrompt
        from vllm.sampling_params import RequestOutputKind

        waiting = {wish.name: wish for wish in wishes}
        try:
            for wish in wishes:
                parameters = SamplingParams(
                    temperature=wish.temperature,
                    top_p=wish.top_p,
                    top_k=wish.top_k,
                    seed=wish.seed,
                    max_tokens=wish.max_tokens,
                    stop_token_ids=list(wish.stop_ids),
                    ignore_eos=True,  # the stop ids say it
                    logprobs=0,
                    prompt_logprobs=0 if wish.scored else None,
                    detokenize=False,
                    output_kind=RequestOutputKind.FINAL_ONLY,
                )
                self._engine.add_request(wish.name, TokensPrompt(prompt_token_ids=list(wish.prompt_ids)), parameters)
            while waiting:
                doing = f"failed while it sampled from this model, a {self._name}"
                with self._said(doing), torch.random.fork_rng(devices=[]):  # it draws a number for each row
                    finished = [*self._others, *(one for one in self._engine.step() if one.finished)]
                self._others = [one for one in finished if one.request_id not in waiting]
                yield [_drawn(one, waiting.pop(one.request_id)) for one in finished if one.request_id in waiting]
        finally:
            if waiting and not self.broken:
                self._engine.abort_request(list(waiting))

    def sleep(self) -> None:
        """Give back the memory of weights, keys and values until the next `load`. On a CPU vLLM cannot: they stay."""
        if self._sleeps and not self.broken:
            self._engine.sleep(level=2)
            self._asleep = True

    def close(self) -> None:
        """End it. Others of this process go on."""
        if self._engine is not None:
            self._engine.engine_core.shutdown()
            self._engine = None

    @contextlib.contextmanager
    def _said(self, doing: str) -> Iterator[None]:
        """What vLLM raises as a ModelError that says what it was `doing`."""
        try:
            yield
        except _FAULTS as error:
            self.broken = True
            why = "memory ran out" if is_out_of_memory(error) else first_line(error) or type(error).__name__
            raise ModelError(
                f"vLLM {doing}: {why}. Nothing of this call is used. Set `engine.kind` to local, or lower "
                f"`engine.max_slots` or `sampling.max_tokens` if it is memory that lacks."
            ) from error


def _drawn(output: Any, wish: Wish) -> Drawn:
    (one,) = output.outputs
    ids, logprobs = list(one.token_ids), one.logprobs
    if wish.scored:
        ids, logprobs = list(wish.prompt_ids[1:]), output.prompt_logprobs[1:]
    return Drawn(
        name=wish.name,
        token_ids=tuple(ids),
        logprobs=tuple(place[token].logprob for token, place in zip(ids, logprobs, strict=True)),
        stopped=one.finish_reason == "stop",
        versions=tuple((span.version, span.end) for span in one.weight_versions or ()),
    )
