"""The RL objective as a choice among small formulas: advantage x ratio x kl x aggregate."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from ponder.recipe.base import Component

__all__ = ["PRESETS", "Objective", "PresetName"]

PresetName = Literal["grpo", "dr_grpo", "dapo", "gspo", "cispo", "rloo", "reinforce_pp", "ppo"]

PRESETS: dict[str, dict[str, Any]] = {
    "grpo": {},
    "dr_grpo": {"advantage": "group_mean", "kl_coefficient": 0.0, "clip_low": 0.2, "clip_high": 0.2,
                "aggregate": "constant", "reference_every": None},
    "dapo": {"clip_low": 0.2, "clip_high": 0.28, "kl_coefficient": 0.0, "aggregate": "token_mean",
             "dynamic_sampling": True, "overlong_buffer_ratio": 0.2, "reference_every": None},
    "gspo": {"ratio": "sequence", "clip_low": 3e-4, "clip_high": 4e-4, "kl_coefficient": 0.0, "reference_every": None},
    # MiniMax-M1 section 3 takes dynamic sampling and the length penalty from DAPO. It states no upper bound; at most
    # 5 is ScaleRL's (arXiv 2510.13786).
    "cispo": {"ratio": "cispo", "clip_low": None, "clip_high": 4.0, "kl_coefficient": 0.0, "aggregate": "token_mean",
              "dynamic_sampling": True, "overlong_buffer_ratio": 0.2, "reference_every": None},
    "rloo": {"advantage": "leave_one_out", "ratio": "sequence_sum", "clip_low": None, "clip_high": None,
             "kl_coefficient": 0.0, "reference_every": None, "aggregate": "sequence_sum"},
    # The paper's variant for groups (arXiv 2501.03262, REINFORCE++ with baseline): k2 in the loss. The other variant,
    # without groups, has k1 in the reward.
    "reinforce_pp": {"advantage": "batch_std", "clip_low": 0.2, "clip_high": 0.2, "kl_estimator": "k2",
                     "kl_coefficient": 0.001, "aggregate": "token_mean", "reference_every": None},
    # Clips and a reference that stays are those of the paper and of RLHF since; at lambda 0.95, the usual choice, R1's
    # authors found PPO worse than GRPO, at 1 nearly equal (R1 v2, A.3).
    "ppo": {"advantage": "gae", "gae_gamma": 1.0, "gae_lambda": 1.0, "clip_low": 0.2, "clip_high": 0.2,
            "kl_estimator": "k1", "kl_placement": "reward", "reference_every": None},
}  # fmt: skip
"""What each preset sets differently from the field defaults, which are the paper's GRPO."""


class Objective(Component):
    """The policy-gradient objective. The field defaults are R1's GRPO; a preset changes some, a given key wins."""

    preset: PresetName = "grpo"
    """Named starting point; every other key of this component overrides what the preset sets."""
    advantage: Literal["group_mean_std", "group_mean", "leave_one_out", "batch_std", "gae"] = "group_mean_std"
    """How rewards become advantages (R1 eq. 3: minus the group mean, over the group standard deviation). `gae`, of the
    preset `ppo`: those of single tokens, from what a critic expected before each (docs/ppo.md)."""
    gae_lambda: float | None = Field(None, ge=0, le=1, exclude_if=lambda value: value is None)
    """Of `gae`: how far a token answers for what follows it, from 0, the critic's next word on it, to 1, all that the
    output earns."""
    gae_gamma: float | None = Field(None, gt=0, le=1, exclude_if=lambda value: value is None)
    """Of `gae`: what a reward one token later is worth."""
    ratio: Literal["token", "sequence", "sequence_sum", "cispo"] = "token"
    """Importance ratio: per token (DeepSeekMath eq. 3), geometric mean per sequence (GSPO), the whole sequence's ratio
    (RLOO's REINFORCE), or per token detached as a weight on the log-prob (CISPO)."""
    clip_low: float | None = Field(10.0, gt=0)
    """Ratios below 1 - clip_low are clipped; null never clips. R1 states 10 for RL stage 1 and nothing for R1-Zero;
    above 1 this side is inert."""
    clip_high: float | None = Field(10.0, gt=0)
    """Ratios above 1 + clip_high are clipped; null never clips."""
    kl_coefficient: float = Field(0.001, ge=0)
    """Weight of the divergence from the reference model (0.001 in R1); 0 keeps no reference model at all."""
    kl_estimator: Literal["k1", "k2", "k3"] = "k3"
    """Schulman's estimators; R1 eq. 2 is k3."""
    kl_placement: Literal["loss", "reward"] = "loss"
    """R1 adds the divergence to the loss; PPO, and REINFORCE++ without baseline, subtract it from each token's
    reward."""
    entropy_coefficient: float = Field(0.0, ge=0)
    """Weight of the bonus for the entropy of each next-token distribution, in nats; 0 has none (R1 states none)."""
    aggregate: Literal["sequence_mean", "token_mean", "constant", "sequence_sum"] = "sequence_mean"
    """Sum of token losses over: each output's own length, then outputs (DeepSeekMath); all tokens (DAPO); outputs times
    max_tokens (Dr. GRPO); outputs (RLOO)."""
    reference_every: int | None = Field(400, ge=1)
    """Steps after which the reference becomes the latest policy (400 in R1); null keeps the first one."""
    dynamic_sampling: bool = False
    """Sample further problems in place of groups whose rewards are all equal, within `refill_budget` (DAPO)."""
    refill_budget: float = Field(1.0, ge=0)
    """Most extra problems a rollout may try, as a multiple of its size, before it trains on what there is."""
    overlong_buffer_ratio: float | None = Field(None, gt=0, le=1)
    """Soft length penalty over this last share of max_tokens (DAPO eq. 13); null has none."""
    std_epsilon: float = Field(1e-6, ge=0)
    """Added to a standard deviation in a denominator (not stated by R1)."""
    mismatch_cap: float | None = Field(None, exclude_if=lambda value: value is None)
    """Take ratios to the trainer's own log-probs before a rollout's first update, and count each token by how much more
    likely they make it than the engine that drew it, at most this often (2 is usual; docs/algorithms.md). Null takes
    ratios to what the engine reported."""

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = {"preset": value}
        if isinstance(value, dict):
            value = {**PRESETS.get(value.get("preset", "grpo"), {}), **value}
        return value

    @model_validator(mode="after")
    def _with_a_critic(self) -> Self:
        given = [name for name in ("gae_lambda", "gae_gamma") if getattr(self, name) is not None]
        if self.advantage != "gae":
            if self.preset == "ppo":
                raise ValueError(
                    f"preset 'ppo' has advantages of single tokens, by its critic, and advantage {self.advantage!r} "
                    "needs none: remove advantage, or take another preset"
                )
            if given:
                raise ValueError(
                    f"{given[0]} is of advantage 'gae', which the preset {self.preset!r} does not have: set preset to "
                    f"'ppo', or remove {given[0]}"
                )
            return self
        if len(given) < 2:
            raise ValueError(
                "advantage 'gae' needs gae_lambda and gae_gamma, as the preset 'ppo' has them: set preset to 'ppo'"
            )
        if self.dynamic_sampling:
            raise ValueError(
                "dynamic_sampling replaces groups whose rewards are all equal, and with advantage 'gae' these are "
                "learnt from like all others: remove dynamic_sampling"
            )
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.mismatch_cap is not None and self.mismatch_cap < 1:
            raise ValueError(
                f"mismatch_cap {self.mismatch_cap:g} would make every token count less, those that engine and trainer "
                "agree on included: set it to 1 or more (2 is usual), or to null"
            )
        if self.kl_placement == "reward" and self.kl_estimator != "k1":
            raise ValueError("kl_placement 'reward' subtracts k1 per token: set kl_estimator to 'k1'")
        if self.kl_placement == "loss" and self.kl_estimator == "k1" and self.kl_coefficient > 0:
            raise ValueError(
                "kl_estimator 'k1' in the loss has an expected gradient of 0, so it would restrain nothing: "
                "set kl_estimator to 'k3' or 'k2', or kl_placement to 'reward'"
            )
        return self
