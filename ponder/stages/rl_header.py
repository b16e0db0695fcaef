"""What an `rl` stage says before it begins: what is trained on what, and by which formula."""

from ponder.policy import Policy
from ponder.recipe.stages import RlStage

__all__ = ["header"]


def header(
    config: RlStage,
    policy: Policy,
    *,
    problems: int,
    tools: tuple[str, ...],
    max_tokens: int,
    engine: str,
    lag: str | None,
    reference_step: int | None,
    critic: str | None,
) -> list[str]:
    """Its lines. `tools` are the names of those the model is shown; `max_tokens` is the limit now, `engine` the kind
    that samples; `lag` and `critic` are lines of their own; the reference is the policy of `reference_step`."""
    objective = config.objective
    parameters = sum(p.numel() for p in policy.model.parameters())
    reference = "none"
    if reference_step is not None:
        every = objective.reference_every
        reference = f"the policy of step {reference_step}" + (f", replaced every {every} steps" if every else "")
    outputs = config.problems_per_step * config.group_size
    return [
        f"model {config.model}: {parameters:,} parameters, {policy.autocast_dtype or 'float32'} products on "
        f"{policy.device}, template {policy.template.name}, stops {sorted(policy.stop_ids)}",
        f"problems {problems:,}",
        f"each update: {config.problems_per_step} problems x {config.group_size} completions = {outputs} outputs; "
        f"{config.updates_per_rollout} update(s) from each rollout; {config.steps} updates",
        f"rewards {_rewards(config)}",
        *_tools(config, tools, max_tokens),
        *([f"engine: {engine}"] if config.engine.kind != "local" else []),
        *([lag] if lag is not None else []),
        f"objective {objective.preset}: advantage {objective.advantage}, ratio {objective.ratio} clipped to "
        f"-{objective.clip_low} / +{objective.clip_high}, {objective.kl_coefficient:g} x KL "
        f"{objective.kl_estimator} in the {objective.kl_placement}, aggregate "
        f"{objective.aggregate}; reference: {reference}",
        *([critic] if critic is not None else []),
    ]


def _rewards(config: RlStage) -> str:
    """Example: accuracy 1, format 1, preference 0 (1 from step 1300)."""
    base = {**dict.fromkeys(config.reward_schedule, 0.0), **config.rewards}
    listed = []
    for name, weight in base.items():
        changes = config.reward_schedule.get(name, ())
        later = ", ".join(f"{change.weight:g} from step {change.from_step}" for change in changes)
        listed.append(f"{name} {weight:g}" + (f" ({later})" if later else ""))
    return ", ".join(listed)


def _tools(config: RlStage, tools: tuple[str, ...], max_tokens: int) -> list[str]:
    """What is said of the environment; nothing without one."""
    environment = config.environment
    if environment is None:
        return []
    own = f", answers by {environment.own}" if environment.own is not None else ""
    return [
        f"environment: tools {', '.join(tools) or 'none'}{own}; at most {environment.turns} turns, "
        f"{environment.seconds:g} seconds of answers ({environment.call_seconds:g} each) and {max_tokens} tokens after "
        f"the first prompt"
    ]
