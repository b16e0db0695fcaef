"""Every metric ponder writes: its key `area/name`, what it means, its unit, and what a healthy run shows.

docs/metrics.md is `markdown()`; a test holds the two together.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

__all__ = ["KEYS", "Key", "Unit", "find_key", "markdown"]

Unit = Literal["share", "tokens", "per 1k tokens", "tokens/s", "seconds", "nats", "reward", "count", "bytes", "number"]
"""`share` is a number from 0 to 1 and is shown as a percentage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One metric. `name` may end in `/<...>`, which stands for any of a family. Example: `reward/<name>`."""

    name: str
    meaning: str
    unit: Unit
    healthy: str


def _key(name: str, unit: Unit, meaning: str, healthy: str) -> Key:
    return Key(name=name, meaning=meaning, unit=unit, healthy=healthy)


def _by_name(keys: Sequence[Key]) -> dict[str, Key]:
    named = {key.name: key for key in keys}
    assert len(named) == len(keys), "a metric is documented twice"
    return named


KEYS: dict[str, Key] = _by_name(
    (
        _key(
            "rollout/accuracy",
            "share",
            "Training completions judged right, of reasoning problems",
            "rises; follows held-out accuracy",
        ),
        _key("rollout/accuracy_<route>", "share", "The same of `helpful` or `safety` problems with a gold", "rises"),
        _key("rollout/format_ok", "share", "Completions in the form the template asks for", "above 95 % soon"),
        _key("rollout/truncated", "share", "Completions cut off at the length limit", "below 5 %"),
        _key("rollout/empty_answer", "share", "Completions without any answer", "falls with truncation"),
        _key("rollout/cannot_tell", "share", "Verdicts without a judgement (deadline, unreadable)", "below 1 %"),
        _key("rollout/mean_tokens", "tokens", "Mean completion length", "grows slowly under R1-Zero"),
        _key("rollout/max_tokens", "tokens", "Longest completion", "at most the limit"),
        _key("rollout/mean_tokens_right", "tokens", "Mean length of right completions", "near that of wrong ones"),
        _key("rollout/mean_tokens_wrong", "tokens", "Mean length of wrong completions", "not at the limit"),
        _key("rollout/reflection_per_1k_tokens", "per 1k tokens", "Words such as wait, check, however", "grows"),
        _key("rollout/language_consistency", "share", "Words of the thinking in the problem's language", "above 90 %"),
        _key("rollout/repetition", "share", "Completions that end in a loop of repeated tokens", "below 2 %"),
        _key("rollout/completions", "count", "Completions sampled for this step, refills included", "constant"),
        _key("rollout/tokens", "tokens", "Tokens sampled for this step", "completions x mean length"),
        _key("environment/turns", "number", "Mean turns of the model in a conversation", "below the limit"),
        _key("environment/calls", "number", "Mean calls of tools in a conversation", "what the problems need"),
        _key(
            "environment/with_calls", "share", "Conversations with at least one call of a tool", "rises, if tools help"
        ),
        _key("environment/failed_calls", "share", "Calls that gave an error", "falls"),
        _key(
            "environment/malformed_calls",
            "number",
            "Mean pieces of a conversation that begin as a call and are none",
            "falls to 0",
        ),
        _key("environment/answered", "share", "Conversations in which your class did not fail", "100 %"),
        _key(
            "environment/given_tokens",
            "tokens",
            "Mean tokens of answers to the model, which are not learnt",
            "below what it writes",
        ),
        _key("environment/cut_turns", "share", "Conversations ended by the limit on turns", "below 5 %"),
        _key("environment/cut_tokens", "share", "Conversations ended by the limit on tokens", "below 5 %"),
        _key("environment/cut_seconds", "share", "Conversations ended by the limit on seconds", "0"),
        _key("groups/useful", "share", "Groups whose rewards differ, so that they carry a gradient", "above 30 %"),
        _key("groups/all_right", "share", "Groups judged right throughout: too easy by now", "rises late"),
        _key("groups/all_wrong", "share", "Groups judged wrong throughout: too hard as yet", "falls"),
        _key("groups/count", "count", "Groups sampled for this step, refills included", "problems per step or more"),
        _key("groups/refilled", "count", "Of these, groups sampled in place of others that carry no gradient", "falls"),
        _key("reward/mean", "reward", "Mean of the weighted sum of rewards", "rises"),
        _key("reward/std", "reward", "Standard deviation of the reward over all completions", "above 0"),
        _key("reward/<name>", "reward", "Mean of one named reward where it applies, unweighted", "rises"),
        _key(
            "failed/<name>",
            "count",
            "Completions for which the user's own function, or a judge, gave nothing: not learnt from",
            "0",
        ),
        _key("judge/<reward>_asked", "count", "Requests to the reward's judge for this step", "at most completions"),
        _key("judge/<reward>_tokens", "tokens", "Tokens of these, in and out, where they are counted", "steady"),
        _key("judge/<reward>_cost", "number", "What these cost, where the endpoint's prices are given", "as planned"),
        _key("judge/<reward>_cannot_tell", "share", "Completions of which the judge said nothing in time", "below 5 %"),
        _key("reward_model/<route>", "reward", "Mean reward that the route's reward model gave", "rises slowly"),
        _key("reward_model/<route>_score", "number", "Its mean score before scaling", "no climb far above held-out"),
        _key("reward_model/too_long", "count", "Completions longer than the reward model's window: least reward", "0"),
        _key("policy/entropy", "nats", "Entropy of the next-token distribution, mean over tokens", "falls slowly"),
        _key("policy/kl", "nats", "Divergence from the reference model per token", "below 1"),
        _key("policy/kl_bound", "count", "Tokens whose log ratio to the reference was cut at 20", "0"),
        _key("policy/reference_step", "count", "Step whose policy is the reference", "as reference_every says"),
        _key("policy/ratio", "number", "Mean importance ratio", "near 1"),
        _key("policy/ratio_max", "number", "Greatest importance ratio of a token", "below 100"),
        _key("policy/ratio_bound", "count", "Tokens whose log importance ratio was cut at 20", "0"),
        _key("policy/clipped", "share", "Tokens whose ratio was clipped", "below 20 %"),
        _key("policy/clipped_low", "share", "Tokens clipped at the lower bound", "below 10 %"),
        _key("policy/clipped_high", "share", "Tokens clipped at the upper bound", "below 10 %"),
        _key(
            "policy/mismatch",
            "nats",
            "Mean absolute log-prob difference of engine and trainer, updates since drawing included; in `pretrain` "
            "and `sft` of sequences packed and alone",
            "below tolerance",
        ),
        _key("policy/mismatch_max", "nats", "Greatest such difference of a token", "below 1"),
        _key(
            "policy/weight",
            "number",
            "Mean weight of a token with `objective.mismatch_cap`: how much likelier to the trainer than to the engine",
            "near 1",
        ),
        _key("policy/weight_max", "number", "Greatest such weight of a token", "at most the cap"),
        _key("policy/weight_capped", "share", "Tokens whose weight was cut at the cap", "below 5 %"),
        _key(
            "policy/staleness",
            "count",
            "With `engine.lag`: updates made since the weights that drew what this update learns from",
            "as lag says",
        ),
        _key("loss/policy", "number", "Policy-gradient loss, divergence included", "near 0; its size means nothing"),
        _key("loss/value", "number", "Loss of the critic, half the squared error of its values (`ppo`)", "falls"),
        _key(
            "critic/explained_variance",
            "number",
            "How much of what tokens' returns differ in the critic foresaw; below 0 a constant would do better",
            "above 0 soon; rises",
        ),
        _key("critic/value", "reward", "Mean value that the critic gives before a token", "near critic/return"),
        _key("critic/return", "reward", "Mean return of a token: what it should have given", "rises with the reward"),
        _key("critic/clipped", "share", "Tokens whose value had moved as far as it may", "below 20 %"),
        _key("critic/lr", "number", "Learning rate of the critic's update", "as scheduled"),
        _key("critic/grad_norm", "number", "Its global gradient norm before clipping", "steady; no spikes"),
        _key("critic/skipped", "count", "Its updates skipped so far for a bad gradient", "0"),
        _key("loss/next_token", "nats", "Next-token loss of `pretrain` and `sft`, mean over learnt tokens", "falls"),
        _key("loss/validation", "nats", "The same of examples that are not trained on", "falls; rising is overfitting"),
        _key("data/examples", "count", "Examples trained on so far, repeats counted", "rises"),
        _key("data/epochs", "number", "Passes over the examples so far", "up to `epochs`"),
        _key("data/tokens", "tokens", "Tokens learnt in this update", "steady"),
        _key("loss/scorer", "nats", "Loss of a reward model, mean over pairs or labels", "falls below 0.69"),
        _key("scorer/train_accuracy", "share", "Pairs or labels of this update that the scorer got right", "rises"),
        _key("scorer/accuracy", "share", "Held-out pairs ranked, or labels told, right", "above 60 %"),
        _key("scorer/auc", "share", "Chance that a safe response scores above an unsafe one", "above 80 %"),
        _key("scorer/calibration_error", "share", "Mean |stated - true| probability, ten bins", "below 10 %"),
        _key("scorer/length_correlation", "number", "Correlation of held-out score and length", "near 0"),
        _key("scorer/mean", "number", "Mean held-out score", "any"),
        _key("scorer/mismatch", "number", "Greatest difference of scores packed and alone", "below 0.1"),
        _key("scorer/deviation", "number", "Standard deviation of held-out scores", "above 0"),
        _key("optimizer/lr", "number", "Learning rate of this update", "as scheduled"),
        _key("optimizer/grad_norm", "number", "Global gradient norm before clipping", "steady; no spikes"),
        _key("optimizer/skipped", "count", "Updates skipped so far for a bad gradient", "0"),
        _key("evaluation/<name>", "number", "Held-out scores at this step, as in `evaluation/*.json`", "pass@1 rises"),
        _key("speed/tokens_per_second", "tokens/s", "Tokens sampled (or trained on) per second of the steps", "steady"),
        _key(
            "seconds/<phase>",
            "seconds",
            "Time in generate, verify, judge, score, wait, reference, proximal, critic, update; with `engine.lag` the "
            "first four pass beside training, and wait is what it waited for them",
            "steady",
        ),
        _key(
            "seconds/step",
            "seconds",
            "Whole step, without evaluating and saving",
            "sum of its phases, those beside it left out",
        ),
        _key("seconds/evaluate", "seconds", "Time in measuring the model of this step", "steady"),
        _key("seconds/save", "seconds", "Time in the checkpoint written since the row before", "steady"),
        _key("memory/process_bytes", "bytes", "Resident memory of the process", "no growth"),
        _key("memory/rank_bytes", "bytes", "Resident memory of the rank that holds most", "no growth"),
        _key("memory/device_bytes", "bytes", "Peak memory of the accelerator since the row before", "no growth"),
    )
)
"""All metrics by key."""
_PLACE = re.compile(r"<\w+>")


@cache
def find_key(name: str) -> Key | None:
    """The metric `name`, itself or as one of a family; None where it is not documented."""
    family = [key for key in KEYS.values() if _family(key).fullmatch(name)]
    return KEYS.get(name) or max(family, key=lambda key: len(key.name), default=None)


def _family(key: Key) -> re.Pattern[str]:
    """The names that a key stands for, itself where it is no family."""
    return re.compile(".+".join(map(re.escape, _PLACE.split(key.name))))


_HEAD = """\
# Metrics

A stage writes one object per step to `metrics.jsonl` in its folder, and the same numbers as TensorBoard events to
`tensorboard/`. Step n is the state after n updates; step 0 is the model as it came. A share is a number from 0 to 1.
A metric that was not a finite number is written as `null`. This page is made from `ponder/watch/keys.py`.

| key | unit | meaning | healthy |
|---|---|---|---|
"""

_SCORES = """
The scores of an evaluation (`evaluation/*.json`, `ponder show --json`, `ponder eval --json`):

| name | unit | meaning |
|---|---|---|
| `pass@1` | share | Completions judged right: mean over samples, then over problems (R1 v2, D.1) |
| `pass@1_interval` | share | Its 95 % bootstrap interval over problems |
| `pass@<k>` | share | Problems solved by at least one of k samples, unbiased (arXiv 2107.03374, eq. 1) |
| `cons@<k>` | share | Problems whose most frequent answer among k samples is right; a tie counts in parts |
| `mean_tokens` | tokens | Mean completion length, stop token included |
| `reflection_per_1k_tokens` | per 1k tokens | Reflection words in all completions over all tokens |
| `language_consistency` | share | Words of the thinking in the problem's language |
| `format_ok` | share | Completions in the form the template asks for |
| `truncated` | share | Completions cut off at the length limit |
| `empty_answer` | share | Completions without any answer |
| `cannot_tell` | share | Verdicts without a judgement |
| `repetition` | share | Runs of ten words that occurred before in the same completion |
| `paragraph_words` | count | Mean words (Chinese: characters) of a paragraph |
| `refused` | share | Completions whose answer declines to help |
| `safe` | share | Completions for requests that are to be refused that are judged right |
| `over_refusal` | share | Completions for safe requests that only sound unsafe whose answer declines |
| `problems`, `samples` | count | Problems, and completions of each |

Readability is `format_ok`, `language_consistency`, `repetition` and `paragraph_words` together. `pass@1` and its
interval are null where no problem has a gold (such benchmarks are compared, see docs/evaluation.md), `safe` and
`over_refusal` where no problem is about refusing.
`cons@16` is null below 16 samples, `language_consistency` where there are no words to tell a language by. An
evaluation whose `truncated` or `empty_answer` exceeds 10 % carries an `invalid` line: such a score measures the length
limit or the answer format more than the model. Nothing is hidden: the numbers stand beside it.
"""


def markdown() -> str:
    """The page docs/metrics.md."""
    rows = (f"| `{key.name}` | {key.unit} | {key.meaning} | {key.healthy} |\n" for key in KEYS.values())
    return _HEAD + "".join(rows) + _SCORES
