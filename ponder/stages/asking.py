"""Who is asked in a stage, as a recipe names them: models in this process and endpoints.

Every question and reply stands in the stage's `requests/<name>.jsonl`; what stands there from an earlier session is not
asked again. A model is loaded once, however many ask it. Torch is loaded with the first model.
"""

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ponder.ask import Asker, RequestLog
from ponder.judge import ChanceJudge, Judge, ModelJudge
from ponder.recipe.endpoint import ByChance, ByEndpoint, ByRule, Endpoint, Helper, Referee
from ponder.recipe.rollout import EngineConfig, Sampling
from ponder.recipe.training import Precision
from ponder.seeds import derive_seed
from ponder.stages.context import Context

if TYPE_CHECKING:
    from ponder.environment import World
    from ponder.policy import Policy
    from ponder.policy.voice import Voice

__all__ = ["Asking"]


class Asking:
    """The askers of a stage; their logs, by name, are closed with `stack`."""

    def __init__(self, context: Context[Any], stack: ExitStack, precision: Precision, engine: EngineConfig) -> None:
        self.logs: dict[str, RequestLog] = {}
        self._context, self._stack, self._precision = context, stack, precision
        self._engine = engine
        self._policies: dict[tuple[str, str | None], Policy] = {}

    def model(
        self, name: str, reference: str, template: str | None, sampling: Sampling, world: "World | None" = None
    ) -> Asker:
        """A model of this machine, or of workers where the run places them; with a `world` that answers it, its replies
        are whole conversations."""
        from ponder.ask.local import LocalAsker
        from ponder.stages.placed import open_placed

        return LocalAsker(
            self.voice(reference, template, world),
            open_placed(
                self._context, self._engine, self._policy(reference, template), world, model=f"{name}-{reference}"
            ),
            sampling,
            model=reference,
            environment=None if world is None else world.config,
            **self._shared(name),
        )

    def voice(self, reference: str, template: str | None, world: "World | None" = None) -> "Voice":
        """How a model in this process reads and speaks."""
        voice = self._policy(reference, template).voice()
        return voice if world is None else world.voiced(voice)

    def endpoint(self, name: str, endpoint: Endpoint, sampling: Sampling) -> Asker:
        """A model at an endpoint."""
        from ponder.ask.endpoint import EndpointAsker

        return EndpointAsker(endpoint, sampling, **self._shared(name))

    def helper(self, name: str, helper: Helper | None) -> Asker | None:
        """Who judges or rewrites; None for a rule, which is not asked."""
        if helper is None or isinstance(helper, ByRule):
            return None
        sampling = Sampling(temperature=helper.temperature, top_p=helper.top_p, max_tokens=helper.max_tokens)
        if isinstance(helper, ByEndpoint):
            return self.endpoint(name, helper.endpoint, sampling)
        return self.model(name, helper.model, helper.template, sampling)

    def judge(self, referee: Referee | None, votes: int) -> Judge | None:
        """The judge that reads or draws; None where rules judge."""
        seed = derive_seed(self._context.seed, "judge")
        if isinstance(referee, ByChance):
            return ChanceJudge(seed)
        asker = self.helper("judge", referee)
        return None if asker is None else ModelJudge(asker, seed=seed, votes=votes)

    def log(self, name: str) -> RequestLog:
        """The log of what is asked under a name, opened."""
        log = self.logs[name] = self._stack.enter_context(
            RequestLog(self._context.folder / "requests" / f"{name}.jsonl")
        )
        return log

    def _shared(self, name: str) -> dict[str, Any]:
        context = self._context
        return {
            "log": self.log(name),
            "seed": derive_seed(context.seed, name),
            "title": f"{context.name}: {name}",
            "say": context.say,
        }

    def _policy(self, reference: str, template: str | None) -> "Policy":
        from ponder.policy import load_policy

        if (reference, template) not in self._policies:
            source = self._context.model_source(reference)
            self._policies[reference, template] = load_policy(source, template, self._precision, trained=False)
        return self._policies[reference, template]
