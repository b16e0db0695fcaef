"""The trainer: seven verbs over one policy. It knows samples, gradients and memory, and nothing about rewards.

    forward_backward -> optimizer_step        change the weights
    logprobs                                  look at sequences without changing anything
    save, load                                everything needed to go on exactly
    freeze                                    keep the weights as they are now: the reference model
    weights                                   the tensors being trained, with their version

The gradient of a step does not depend on how its samples were cut into micro-batches: each sample brings its weight,
and losses add up.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

import torch

from ponder.algorithm import Sum, TokenTerms, add_metrics
from ponder.policy import LogprobModel, Policy, load_weights, save_policy
from ponder.policy.memory import TokenBudget
from ponder.policy.recompute import Recomputation
from ponder.policy.repeatable import Repeatable
from ponder.ranks.team import ALONE, Team
from ponder.recipe.training import BatchLimits, Optimizer
from ponder.train.batch import Batch
from ponder.train.incident import save_incident
from ponder.train.packing import pack, rounds
from ponder.train.sample import Sample
from ponder.train.updater import Updater

__all__ = ["Loss", "StepReport", "Trainer", "load_trained", "save_trained"]

Loss = Callable[[TokenTerms], tuple[torch.Tensor, dict[str, Sum]]]
"""Per-token terms of one micro-batch to a scalar to minimise and metrics that add up over micro-batches."""

_NOTHING = Sample(prompt_ids=(0,), response_ids=(0,), group="", weight=0.0, behaviour=(0.0,))
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
    """Trains one policy in place. `temperature` is the one that the completions at hand were sampled with: log-probs
    are of that distribution."""

    def __init__(
        self,
        policy: Policy,
        optimizer: Optimizer,
        limits: BatchLimits,
        temperature: float = 1.0,
        incident_folder: Path = Path("incidents"),
        team: Team = ALONE,
    ) -> None:
        self._policy, self._team = policy, team
        self._chunk = limits.logprob_chunk
        self._repeatable = Repeatable(policy.device)
        self._recomputation = Recomputation(policy.model, limits, policy.device, policy.autocast_dtype)
        self._model = self._sharded(policy)
        self._frozen: LogprobModel | None = None
        self.temperature = temperature
        self._incident_folder = incident_folder
        self._updater = Updater(policy.model, optimizer, team)
        self._pending: list[tuple[Sequence[Sample], Loss]] = []
        self._clear()
        self._budget = TokenBudget(limits.tokens_per_micro_batch, halves=team.size == 1, asked=limits.asked)

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

        return self._budget.run(lambda: self._repeatable.run(attempt), lambda: self._alone(samples), _ADVICE)

    def optimizer_step(self, lr: float) -> StepReport:
        """Change the weights by the accumulated gradient, or skip it with a reason, and forget it in either case.
        Raises LearningError after too many skipped steps in a row."""
        if not self._pending:
            raise AssertionError("optimizer_step without forward_backward")
        norm, reason = self._updater.step(self._loss, lr)
        incident = None
        if reason is not None:
            facts = {"reason": reason, "version": self.version, "skipped": self.skipped, "grad_norm": str(norm)}
            facts |= {"temperature": self.temperature}
            incident = self._save_incident(facts)
        self._pending.clear()
        self._clear()
        if reason is not None:
            self._updater.guard.check(reason, str(incident or self._incident_folder))
        return StepReport(grad_norm=norm, lr=lr, version=self.version, skipped=reason, incident=incident)

    def logprobs(self, samples: Sequence[Sample], *, frozen: bool = False) -> list[torch.Tensor]:
        """Log-probs of every sample's response under the weights as they are, or as they were at the last `freeze`; on
        the CPU, without gradient."""
        model = self._frozen if frozen else self._model
        if model is None:
            raise AssertionError("log-probs of frozen weights without freeze")
        return self._budget.run(lambda: self._logprobs(samples, model), lambda: self._alone(samples), _ADVICE)

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
        save_trained(self._policy, folder)
        self.save_state(folder)

    def save_state(self, folder: Path) -> None:
        """The part of `save` that is not the weights."""
        if self._pending:
            raise AssertionError("save between forward_backward and optimizer_step would lose the gradient")
        self._updater.save(folder, {"budget": self._budget.state()})

    def load(self, folder: Path) -> None:
        """Go on from what `save` wrote, bit for bit. The weights are changed in place, so an engine that shares them
        sees the change."""
        load_trained(self._policy, folder)
        self.load_state(folder)

    def load_state(self, folder: Path) -> None:
        """The part of `load` that is not the weights."""
        state = self._updater.load(folder)
        self._budget.restore(state["budget"])
        self._pending.clear()
        self._clear()

    def freeze(self, copy: Policy | None = None) -> None:
        """Keep a copy of the weights as they are now, in place of the one kept before: `copy` where it is made
        already."""
        self._frozen = None  # two copies at a time need not fit
        self._frozen = self._sharded(copy or self._policy.frozen_copy())

    def save_frozen(self, folder: Path) -> None:
        """Write what `freeze` kept as a Hugging Face folder."""
        if self._frozen is None:
            raise AssertionError("save_frozen without freeze")
        save_policy(self._frozen.policy, folder)

    def load_frozen(self, folder: Path) -> None:
        """Keep what `save_frozen` wrote in place of what was kept before."""
        if self._frozen is None:
            raise AssertionError("load_frozen without freeze")
        load_weights(self._frozen.policy, folder)

    def weights(self, *, frozen: bool = False) -> tuple[int, Iterator[tuple[str, torch.Tensor]]]:
        """The number of updates made, and every trained tensor of just these weights with its name in the model, one
        after the other; tied ones come once. Each is the one being trained: copy what must outlast the next update.
        With `frozen` the same tensors as `freeze` kept them."""
        if frozen and self._frozen is None:
            raise AssertionError("frozen weights without freeze")
        policy = self._frozen.policy if frozen and self._frozen is not None else self._policy
        names = [name for name, p in self._policy.model.named_parameters() if p.requires_grad]
        named = dict(policy.model.named_parameters())
        return self.version, ((name, self._team.whole(named[name].detach())) for name in names)

    def publish(self) -> None:
        """Make the policy that the trainer was given have the latest weights: it always does, they are its own."""

    def memory(self) -> dict[str, float]:
        """What other processes of the trainer hold, as metrics: there are none."""
        return {}

    def close(self) -> None:
        """End what the trainer has started: nothing."""

    def _clear(self) -> None:
        """Forget what this step has added up so far."""
        self._seen: list[Sample] = []
        self._terms: list[tuple[list[int], TokenTerms]] = []
        self._loss = 0.0
        self._policy.model.zero_grad(set_to_none=True)

    def _alone(self, samples: Sequence[Sample]) -> int | None:
        """The tokens of the longest sample where each has a pass of its own, else None."""
        if any(len(members) > 1 for members in pack(samples, self._pass_tokens)):
            return None
        return max(len(sample.prompt_ids) + len(sample.response_ids) for sample in samples)

    def _accumulate(self, samples: Sequence[Sample], loss: Loss) -> dict[str, Sum]:
        metrics: dict[str, Sum] = {}
        before = len(self._seen)
        self._seen.extend(samples)
        for members in self._passes(samples):
            if not members:
                (self._idle(self._model) * 0).backward()  # type: ignore[no-untyped-call]
                continue
            batch = Batch.of([samples[i] for i in members], self._policy.device)
            logprobs_N, entropy_N = self._forward(batch, self._model)
            terms = TokenTerms(
                logprobs_N=logprobs_N,
                behaviour_N=batch.behaviour_N,
                reference_N=batch.reference_N,
                proximal_N=batch.proximal_N,
                entropy_N=entropy_N,
                advantages_N=batch.advantages_N,
                sequence_N=batch.sequence_N,
                weights_N=batch.weights_N,
            )
            value, measured = loss(terms)
            value.backward()  # type: ignore[no-untyped-call]
            if not self._team.tells:
                continue
            self._loss += float(value.detach())
            self._terms.append(([before + i for i in members], _detached(terms)))
            metrics = add_metrics(metrics, measured)
        return reduce(add_metrics, self._team.gather(metrics))

    def _passes(self, samples: Sequence[Sample]) -> list[list[int]]:
        """The passes of this process as indices into `samples`; an empty one where others have something to do."""
        return [one[self._team.seat] for one in rounds(samples, self._pass_tokens, self._team.seats)]

    @property
    def _pass_tokens(self) -> int:
        """The most tokens of a pass, of which each rank that shares it has its part."""
        return self.tokens_per_micro_batch * (self._team.size // self._team.seats)

    def _idle(self, model: LogprobModel) -> torch.Tensor:
        """A pass of nothing: ranks compute together, so one without samples must keep step."""
        return self._forward(Batch.of([_NOTHING], self._policy.device), model)[0].sum()

    def _sharded(self, policy: Policy) -> LogprobModel:
        model = LogprobModel(policy, self._chunk, self._team.share)
        self._team.shard(model, policy.model.base_model)
        return model

    def _save_incident(self, facts: dict[str, Any]) -> Path | None:
        terms = [one for part in self._team.gather(self._terms) for one in part]
        found = None
        if self._team.rank == 0:
            found = save_incident(self._incident_folder, facts, self._seen, terms)
        return self._team.gather(found)[0]

    def _forward(self, batch: Batch, model: LogprobModel) -> tuple[torch.Tensor, torch.Tensor]:
        with self._recomputation.around(batch.input_ids_1T.shape[1] * self._team.seats // self._team.size):
            outputs = model(batch.input_ids_1T, batch.layout, batch.read_M, batch.target_M, self.temperature)
        logprobs_N, entropy_N = (output[: len(batch.weights_N)] for output in outputs)
        return logprobs_N, entropy_N

    @torch.no_grad()
    def _logprobs(self, samples: Sequence[Sample], model: LogprobModel) -> list[torch.Tensor]:
        mine: dict[int, torch.Tensor] = {}
        for members in self._passes(samples):
            if not members:
                self._idle(model)
                continue
            batch = Batch.of([samples[i] for i in members], self._policy.device)
            logprobs_N = self._forward(batch, model)[0].cpu()
            if self._team.tells:
                mine |= zip(members, torch.split(logprobs_N, list(batch.lengths)), strict=True)
        self._team.release(model)
        found = {i: logprobs for part in self._team.gather(mine) for i, logprobs in part.items()}
        return [found[i] for i in range(len(samples))]


def save_trained(policy: Policy, folder: Path) -> None:
    """Write `model/`, or `adapter/` where that alone is trained."""
    if policy.adapter is not None:
        policy.adapter.save(folder / "adapter")
    else:
        save_policy(policy, folder / "model")


def load_trained(policy: Policy, folder: Path) -> None:
    """Put what `save_trained` wrote into the policy's tensors."""
    if policy.adapter is not None:
        policy.adapter.load(folder / "adapter")
    else:
        load_weights(policy, folder / "model")


def _detached(terms: TokenTerms) -> TokenTerms:
    return replace(terms, logprobs_N=terms.logprobs_N.detach(), entropy_N=terms.entropy_N.detach())
