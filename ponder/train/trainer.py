"""The trainer: six verbs over one policy. It knows samples, gradients and memory, and nothing about rewards.

    forward_backward -> optimizer_step        change the weights
    logprobs                                  look at sequences without changing anything
    save, load                                everything needed to go on exactly
    weights                                   the tensors being trained, with their version

The gradient of a step does not depend on how its samples were cut into micro-batches: each sample brings its weight,
and losses add up.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ponder.algorithm import Sum, TokenTerms, add_metrics
from ponder.policy import Policy, load_weights, save_policy, token_logprobs
from ponder.policy.memory import TokenBudget
from ponder.policy.window import check_length
from ponder.recipe.training import BatchLimits, Optimizer
from ponder.train.batch import Batch
from ponder.train.incident import save_incident
from ponder.train.packing import pack
from ponder.train.sample import Sample
from ponder.train.updater import Updater

__all__ = ["Loss", "StepReport", "Trainer"]

Loss = Callable[[TokenTerms], tuple[torch.Tensor, dict[str, Sum]]]
"""Per-token terms of one micro-batch to a scalar to minimise and metrics that add up over micro-batches."""

_ADVICE = "Lower `max_tokens` or `batch.logprob_chunk`, or use a smaller model."


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """What one optimizer step did. `skipped` says why the weights did not change, or is None; `incident` is where the
    offending batch was saved. `grad_norm` is the norm before clipping."""

    grad_norm: float
    lr: float
    version: int
    skipped: str | None = None
    incident: Path | None = None


class Trainer:
    """Trains one policy in place. `temperature` is the one completions are sampled with: log-probs are of that
    distribution."""

    def __init__(
        self,
        policy: Policy,
        optimizer: Optimizer,
        limits: BatchLimits,
        temperature: float = 1.0,
        incident_folder: Path = Path("incidents"),
    ) -> None:
        self._policy = policy
        self._chunk = limits.logprob_chunk
        self._temperature = temperature
        self._incident_folder = incident_folder
        self._updater = Updater(policy.model, optimizer)
        self._pending: list[tuple[Sequence[Sample], Loss]] = []
        self._clear()
        self._budget = TokenBudget(limits.tokens_per_micro_batch)

    @property
    def tokens_per_micro_batch(self) -> int:
        """The most tokens of a pass: what was asked for, or less since memory ran out."""
        return self._budget.tokens

    @property
    def memory_halvings(self) -> int:
        """How often memory ran out."""
        return self._budget.halvings

    @property
    def skipped(self) -> int:
        """Updates skipped by the guard so far."""
        return self._updater.guard.skipped

    @property
    def version(self) -> int:
        """Updates made so far."""
        return self._updater.version

    def forward_backward(self, samples: Sequence[Sample], loss: Loss) -> dict[str, Sum]:
        """Add the gradient of these samples' loss. When memory runs out, the micro-batch budget is halved and the whole
        step is computed again, so the gradient is the same. Raises ModelError when single samples do not fit."""
        self._pending.append((samples, loss))
        failed = False

        def attempt() -> dict[str, Sum]:
            nonlocal failed
            if not failed:
                failed = True  # unless this returns
                return self._accumulate(samples, loss)
            self._clear()
            return [self._accumulate(*pair) for pair in self._pending][-1]

        return self._budget.run(attempt, lambda: self._alone(samples), _ADVICE)

    def optimizer_step(self, lr: float) -> StepReport:
        """Change the weights by the accumulated gradient, or skip it with a reason, and forget it in either case.
        Raises LearningError after too many skipped steps in a row."""
        if not self._pending:
            raise AssertionError("optimizer_step without forward_backward")
        norm, reason = self._updater.step(self._loss, lr)
        incident = None
        if reason is not None:
            facts = {"reason": reason, "version": self.version, "skipped": self.skipped, "grad_norm": str(norm)}
            incident = save_incident(self._incident_folder, facts, self._seen, self._terms)
        self._pending.clear()
        self._clear()
        if reason is not None:
            self._updater.guard.check(reason, str(incident or self._incident_folder))
        return StepReport(grad_norm=norm, lr=lr, version=self.version, skipped=reason, incident=incident)

    def logprobs(self, samples: Sequence[Sample], policy: Policy | None = None) -> list[torch.Tensor]:
        """Log-probs of every sample's response under `policy` (None: the trained one), on the CPU, without gradient."""
        return self._budget.run(
            lambda: self._logprobs(samples, policy or self._policy), lambda: self._alone(samples), _ADVICE
        )

    def mismatch(self, samples: Sequence[Sample]) -> dict[str, float]:
        """How far log-probs of sequences packed together are from those of each alone: rounding, unless what a sequence
        is depends on its neighbours. Compared are the shortest, the middle and the longest of the samples, of which the
        worst counts; nothing where there are fewer than two."""
        by_length = sorted(samples, key=lambda sample: len(sample.prompt_ids) + len(sample.response_ids))
        if len(by_length) < 2:
            return {}
        chosen = [by_length[i] for i in sorted({0, len(by_length) // 2, len(by_length) - 1})]
        packed, alone = self.logprobs(chosen), [self.logprobs([one])[0] for one in chosen]
        differences = [(a - b).abs() for a, b in zip(packed, alone, strict=True)]
        return {
            "policy/mismatch": max(float(one.mean()) for one in differences),
            "policy/mismatch_max": max(float(one.max()) for one in differences),
        }

    def save(self, folder: Path) -> None:
        """Write `model/` (a Hugging Face folder) or `adapter/` (its weights alone), `optimizer.safetensors` and
        `trainer_state.json` into the folder."""
        if self._pending:
            raise AssertionError("save between forward_backward and optimizer_step would lose the gradient")
        if self._policy.adapter is not None:
            self._policy.adapter.save(folder / "adapter")
        else:
            save_policy(self._policy, folder / "model")
        self._updater.save(folder, {"budget": self._budget.state()})

    def load(self, folder: Path) -> None:
        """Go on from what `save` wrote, bit for bit. The weights are changed in place, so an engine that shares them
        sees the change."""
        if self._policy.adapter is not None:
            self._policy.adapter.load(folder / "adapter")
        else:
            load_weights(self._policy, folder / "model")
        state = self._updater.load(folder)
        self._budget.restore(state["budget"])
        self._pending.clear()
        self._clear()

    def weights(self) -> tuple[int, Policy]:
        """The number of updates made and the policy whose tensors are being trained."""
        return self.version, self._policy

    def _clear(self) -> None:
        """Forget what this step has added up so far."""
        self._seen: list[Sample] = []
        self._terms: list[tuple[list[int], TokenTerms]] = []
        self._loss = 0.0
        self._policy.model.zero_grad(set_to_none=True)

    def _alone(self, samples: Sequence[Sample]) -> int | None:
        """The tokens of the longest sample where each has a pass of its own, else None."""
        if any(len(members) > 1 for members in pack(samples, self.tokens_per_micro_batch)):
            return None
        return max(len(sample.prompt_ids) + len(sample.response_ids) for sample in samples)

    def _accumulate(self, samples: Sequence[Sample], loss: Loss) -> dict[str, Sum]:
        metrics: dict[str, Sum] = {}
        before = len(self._seen)
        self._seen.extend(samples)
        for members in pack(samples, self.tokens_per_micro_batch):
            batch = Batch.of([samples[i] for i in members], self._policy.device)
            logprobs_N, entropy_N = self._forward(batch, self._policy)
            terms = TokenTerms(
                logprobs_N=logprobs_N,
                behaviour_N=batch.behaviour_N,
                reference_N=batch.reference_N,
                entropy_N=entropy_N,
                advantages_N=batch.advantages_N,
                sequence_N=batch.sequence_N,
                weights_N=batch.weights_N,
            )
            value, measured = loss(terms)
            value.backward()  # type: ignore[no-untyped-call]
            self._loss += float(value.detach())
            self._terms.append(([before + i for i in members], _detached(terms)))
            metrics = add_metrics(metrics, measured)
        return metrics

    def _forward(self, batch: Batch, policy: Policy) -> tuple[torch.Tensor, torch.Tensor]:
        check_length(batch.layout.longest, policy.window, policy.limit)
        with policy.autocast():  # one context, so that each weight is cast once
            hidden_TD = policy.hidden(batch.input_ids_1T, batch.layout.position_ids_T[None], batch.layout)
            hidden_MD = hidden_TD.index_select(0, batch.read_M)
            outputs = token_logprobs(hidden_MD, policy.head(), batch.target_M, self._temperature, self._chunk)
            logprobs_N, entropy_N = (output[: len(batch.weights_N)] for output in outputs)
            return logprobs_N, entropy_N

    @torch.no_grad()
    def _logprobs(self, samples: Sequence[Sample], policy: Policy) -> list[torch.Tensor]:
        result = [torch.empty(0)] * len(samples)
        for members in pack(samples, self.tokens_per_micro_batch):
            batch = Batch.of([samples[i] for i in members], policy.device)
            logprobs_N = self._forward(batch, policy)[0].cpu()
            for i, logprobs in zip(members, torch.split(logprobs_N, list(batch.lengths)), strict=True):
                result[i] = logprobs
        return result


def _detached(terms: TokenTerms) -> TokenTerms:
    return replace(terms, logprobs_N=terms.logprobs_N.detach(), entropy_N=terms.entropy_N.detach())
