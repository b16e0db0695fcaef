"""Verdicts by tables of made-up results, and the numbers behind them against independent computations."""

from collections.abc import Mapping
from dataclasses import replace
from random import Random
from statistics import fmean

import pytest

from ponder.report.cost import Cost
from ponder.report.evidence import Course, Evidence, Profile, Wins
from ponder.report.measures import Measure
from ponder.report.phenomena import LEAST_PROBLEMS, Claim, Phenomenon, Rule, Verdict, judge, phenomena
from ponder.report.readers import WinRate
from ponder.watch.alarms import HACKING, Alarm

PROBLEMS = 60


@pytest.mark.parametrize(
    ("interval", "side", "threshold", "verdict"),
    [
        ((0.36, 0.5), "at least", 0.35, "held"),
        ((0.35, 0.35), "at least", 0.35, "held"),
        ((0.30, 0.34), "at least", 0.35, "not held"),
        ((0.30, 0.40), "at least", 0.35, "undecided"),
        ((0.01, 0.02), "above", 0, "held"),
        ((0.0, 0.0), "above", 0, "not held"),  # nothing grew
        ((0.0, 0.1), "above", 0, "undecided"),
        ((-0.04, 0.1), "at least", -0.05, "held"),
        ((-0.2, -0.06), "at least", -0.05, "not held"),
        ((0.5, 0.8), "below", 0.85, "held"),
        ((0.85, 0.9), "below", 0.85, "not held"),
        ((0.8, 0.9), "below", 0.85, "undecided"),
        ((0.2, 1.0), "at most", 1, "held"),
        ((1.1, 1.2), "at most", 1, "not held"),
    ],
)
def test_a_verdict_by_its_interval(interval: tuple[float, float], side: str, threshold: float, verdict: str) -> None:
    rule = Rule(side=side, threshold=threshold)  # type: ignore[arg-type]
    assert judge(interval, LEAST_PROBLEMS, rule) == verdict
    assert judge(interval, LEAST_PROBLEMS - 1, rule) == "undecided"


def measure(accuracy: float, **other: object) -> Measure:
    values: dict[str, object] = {
        "route": "reasoning", "domain": "d", "accuracy": accuracy, "consensus": accuracy, "tokens": 50.0,
        "reflection": 1.0, "language": 1.0, "readable": 1.0,
    }  # fmt: skip
    return Measure(**(values | other))  # type: ignore[arg-type]


def spread(mean: float, width: float, seed: int) -> list[float]:
    """Values around a mean, between 0 and 1, whose mean it is nearly."""
    random = Random(seed)
    return [min(1.0, max(0.0, mean + random.uniform(-width, width))) for _ in range(PROBLEMS)]


def profile(model: str, mean: float, *, width: float = 0.05, **other: float) -> Profile:
    """A model of that accuracy on reasoning, general and safety problems; `other` sets further measures."""
    general, safe, refused = other.pop("general", 0.1), other.pop("safe", 0.1), other.pop("refused", 0.0)
    tilt, seed = Random(model), sum(model.encode())
    problems = {
        f"b/{i}": measure(value, **{key: one + tilt.uniform(-0.01, 0.01) for key, one in other.items()})
        for i, value in enumerate(spread(mean, width, seed))
    }
    problems |= {f"g/{i}": measure(one, route="helpful") for i, one in enumerate(spread(general, 0.05, seed + 1))}
    for i, one in enumerate(spread(safe, 0.02, seed + 2)):
        problems[f"s/{i}"] = measure(one, route="safety", unsafe=True, refused=one)
        problems[f"n/{i}"] = measure(1 - refused, route="safety", unsafe=False, refused=refused * (1 + i % 2) / 1.5)
    return Profile(model=model, problems=problems, files={name: f"{model}--{name}.jsonl" for name in "bgsn"})


def cost(trained: float) -> Cost:
    return Cost(
        seconds=1, trained=trained, sampled=0, scored=0, measured=0, measured_flops=0, parameters=10, charged=None,
        files=("m",),
    )  # fmt: skip


def everything(**changed: Profile) -> Evidence:
    """Evidence under which all of them hold, with some models changed."""
    models = {
        "base": profile("base", 0.2),
        "zero": profile("zero", 0.7, language=0.7, readable=0.2, consensus=0.9),
        "zero_language": profile("zero_language", 0.69, language=0.99),
        "cold_start": profile("cold_start", 0.4, readable=0.95),
        "reason": profile("reason", 0.72),
        "sft": profile("sft", 0.71, general=0.6, safe=0.5),
        "r1": profile("r1", 0.73, general=0.8, safe=0.97, refused=0.01),
        "student_rl": profile("student_rl", 0.3),
        "student_distilled": profile("student_distilled", 0.6),
        "student_distilled_rl": profile("student_distilled_rl", 0.7),
        "grpo": profile("grpo", 0.6),
        "ppo": profile("ppo", 0.4),
        "ppo_tuned": profile("ppo_tuned", 0.61),
    } | changed
    start = profile("zero", 0.2, tokens=30.0, reflection=0.5)
    end = profile("zero", 0.7, tokens=90.0, reflection=4.0)
    return Evidence(
        evaluated=(models,),
        held_out={},
        courses={"zero": Course(start=start, end=end, last_step=60)},
        costs={"student_distilled": cost(5), "student_rl": cost(10)},
        alarms={"hacking": (Alarm(step=3, value=0.1, threshold=0.05, name=HACKING, text="t"),)},
        alarm_files={"hacking": "stages/hacking/alarms.jsonl"},
    )


def by_name(evidence: Evidence) -> dict[str, Phenomenon]:
    return {one.name: one for one in phenomena(evidence)}


def claim(evidence: Evidence, name: str, start: str) -> Claim:
    (found,) = [one for one in by_name(evidence)[name].claims if one.text.startswith(start)]
    return found


def test_all_hold() -> None:
    found = phenomena(everything())
    assert [one.number for one in found] == list(range(1, 10))
    assert {one.name: one.verdict for one in found} == dict.fromkeys((one.name for one in found), "held")
    for one in found:
        assert all(claim.files for claim in one.claims if claim.value is not None)


def test_a_vote_is_read_where_samples_are_enough() -> None:
    zero = profile("zero", 0.7)
    without = {key: replace(one, consensus=None) for key, one in zero.problems.items()}
    few = everything(zero=replace(zero, problems=without))
    assert by_name(few)["majority vote"].verdict == "not measured"
    during = replace(few, held_out={"zero": profile("zero during training", 0.6, consensus=0.9)})
    found = claim(during, "majority vote", "cons@16")
    assert (found.verdict, found.value) == ("held", pytest.approx(0.3, abs=0.01))
    assert all(file.startswith("zero during training") for file in found.files)


def test_what_ppo_cost_is_reported_beside_it() -> None:
    costs = {
        "grpo": replace(cost(5), sampled=5, seconds=20, state_bytes=32),
        "ppo_tuned": replace(cost(10), sampled=5, scored=10, seconds=30, state_bytes=56),
    }
    evidence = replace(everything(), costs=costs)
    found = {one.text: (one.value, one.verdict) for one in by_name(evidence)["PPO against GRPO"].claims[2:]}
    assert found == {
        "training operations, PPO (lambda 1) over GRPO": ((6 * 10 + 2 * 15) / (6 * 5 + 2 * 5), None),
        "seconds, PPO (lambda 1) over GRPO": (1.5, None),
        "weights and moments kept, PPO (lambda 1) over GRPO": (1.75, None),
    }
    assert by_name(everything())["PPO against GRPO"].claims[2].value is None


CHANGES: list[tuple[str, dict[str, Profile], str, Verdict]] = [
    ("zero mixes little", {"zero": profile("zero", 0.7, language=0.97, consensus=0.9)}, "language mixing", "not held"),
    ("the base mixes as much", {"base": profile("base", 0.2, language=0.7)}, "language mixing", "not held"),
    (
        "still mixed with the reward",
        {"zero_language": profile("zero_language", 0.69, language=0.9)},
        "language mixing",
        "not held",
    ),
    (
        "the language reward costs much",
        {"zero_language": profile("zero_language", 0.5, language=0.99)},
        "language mixing",
        "not held",
    ),
    ("PPO as good with lambda 0.95", {"ppo": profile("ppo", 0.7)}, "PPO against GRPO", "not held"),
    ("PPO nearly as good with lambda 0.95", {"ppo": profile("ppo", 0.6)}, "PPO against GRPO", "undecided"),
    ("PPO worse with lambda 1, too", {"ppo_tuned": profile("ppo_tuned", 0.4)}, "PPO against GRPO", "not held"),
    ("votes do not help", {"zero": profile("zero", 0.7, language=0.7, consensus=0.6)}, "majority vote", "not held"),
    ("cold start reasons as well", {"cold_start": profile("cold_start", 0.8, readable=0.95)}, "cold start", "not held"),
    ("cold start as unreadable", {"cold_start": profile("cold_start", 0.4, readable=0.3)}, "cold start", "not held"),
    (
        "perhaps far above",
        {"cold_start": profile("cold_start", 0.4, readable=0.4)},
        "cold start",
        "undecided",
    ),
    ("RL 1 does not recover", {"reason": profile("reason", 0.5)}, "cold start", "not held"),
    ("SFT loses reasoning", {"sft": profile("sft", 0.5, general=0.6)}, "rejection sampling and SFT", "not held"),
    ("SFT perhaps loses", {"sft": profile("sft", 0.67, width=0.3, general=0.6)}, "rejection sampling and SFT",
     "undecided"),
    ("little general", {"sft": profile("sft", 0.71, general=0.3)}, "rejection sampling and SFT", "not held"),
    ("RL 2 adds nothing", {"r1": profile("r1", 0.73, general=0.5, safe=0.97)}, "RL on everything", "not held"),
    ("RL 2 less safe", {"r1": profile("r1", 0.73, general=0.8, safe=0.3)}, "RL on everything", "not held"),
    ("RL 2 over-refuses", {"r1": profile("r1", 0.73, general=0.8, safe=0.97, refused=0.3)}, "RL on everything",
     "not held"),
    ("RL beats distillation", {"student_rl": profile("student_rl", 0.58)}, "distillation", "not held"),
    (
        "RL after distillation adds nothing",
        {"student_distilled_rl": profile("student_distilled_rl", 0.5)},
        "distillation",
        "not held",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("changed", "name", "verdict"), [c[1:] for c in CHANGES], ids=[c[0] for c in CHANGES])
def test_one_thing_changed(changed: dict[str, Profile], name: str, verdict: Verdict) -> None:
    assert by_name(everything(**changed))[name].verdict == verdict


def without(mapping: Mapping[str, Profile], *roles: str) -> dict[str, Profile]:
    return {role: one for role, one in mapping.items() if role not in roles}


def test_what_is_not_there_is_not_measured() -> None:
    full = everything()
    nothing = Evidence(evaluated=(), held_out={}, courses={}, costs={}, alarms={}, alarm_files={})
    assert {one.verdict for one in phenomena(nothing)} == {"not measured"}
    assert not any(one.measured for one in phenomena(nothing))
    for role, name in [("reason", "rejection sampling and SFT"), ("r1", "RL on everything"), ("zero", "majority vote")]:
        part = Evidence(
            evaluated=(without(full.evaluated[0], role),), held_out={}, courses=full.courses, costs=full.costs,
            alarms=full.alarms, alarm_files=full.alarm_files,
        )  # fmt: skip
        assert by_name(part)[name].verdict == "not measured"


def test_one_claim_that_fails_outweighs_those_not_measured() -> None:
    evidence = everything(cold_start=profile("cold_start", 0.9, readable=0.95))
    part = Evidence(
        evaluated=(without(evidence.evaluated[0], "reason"),), held_out={}, courses={}, costs={}, alarms={},
        alarm_files={},
    )  # fmt: skip
    assert by_name(part)["cold start"].verdict == "not held"


def test_few_problems_decide_nothing() -> None:
    few = {
        role: Profile(
            model=one.model, problems={k: m for k, m in one.problems.items() if int(k[2:]) < 5}, files=one.files
        )
        for role, one in everything().evaluated[0].items()
    }
    assert by_name(everything(**few))["majority vote"].verdict == "undecided"


def test_a_model_on_other_problems_is_not_compared() -> None:
    sft = everything().evaluated[0]["sft"]
    moved = Profile(model="sft", problems={f"x{key}": one for key, one in sft.problems.items()}, files=sft.files)
    found = by_name(everything(sft=moved))["rejection sampling and SFT"]
    assert [one.verdict for one in found.claims] == ["not measured", "not measured"]


def test_two_places_are_never_mixed() -> None:
    full = everything()
    models = full.evaluated[0]
    zero, cold_start = {"zero": models["zero"]}, {"cold_start": models["cold_start"]}
    nothing = Evidence(evaluated=(), held_out={}, courses={}, costs={}, alarms={}, alarm_files={})
    for apart in (
        replace(nothing, evaluated=(zero,), held_out=cold_start),
        replace(nothing, evaluated=(zero, cold_start)),
    ):
        assert by_name(apart)["cold start"].verdict == "not measured"
    for both in (replace(nothing, held_out=models), replace(nothing, evaluated=(zero, models))):
        assert by_name(both)["cold start"].verdict == "held"


def test_a_stage_whose_start_was_not_measured_says_nothing_of_its_course() -> None:
    course = replace(everything().courses["zero"], start=None)
    found = by_name(replace(everything(), courses={"zero": course}))["pure RL"]
    assert (found.verdict, found.measured) == ("not measured", False)


def test_models_that_differ_nowhere_are_the_same_only_as_far_as_few_problems_tell() -> None:
    """Ten problems, all right before and after: of others up to 1 - 0.025^(1/10) may be lost."""
    ten = {f"b/{i}": measure(1.0) for i in range(10)}
    same = {role: Profile(model=role, problems=ten, files={"b": role}) for role in ("sft", "r1")}
    found = claim(everything(**same), "RL on everything", "pass@1")
    assert found.interval == pytest.approx((-0.3085, 0.3085), abs=1e-4)
    assert (found.value, found.verdict) == (0.0, "undecided")


def test_a_paired_difference_by_value() -> None:
    evidence = everything()
    found = claim(evidence, "rejection sampling and SFT", "general")
    before, after = (evidence.evaluated[0][role].of("helpful") for role in ("reason", "sft"))
    differences = [(after[key].accuracy or 0) - (before[key].accuracy or 0) for key in before]
    assert found.value == pytest.approx(fmean(differences))
    error = (fmean(d * d for d in differences) - fmean(differences) ** 2) ** 0.5 / len(differences) ** 0.5
    assert found.interval is not None
    assert found.interval[0] == pytest.approx(fmean(differences) - 1.96 * error, abs=0.3 * error)
    assert found.interval[1] == pytest.approx(fmean(differences) + 1.96 * error, abs=0.3 * error)
    assert (found.problems, found.files) == (PROBLEMS, ("reason--g.jsonl", "sft--g.jsonl"))


def test_words_all_in_one_language_are_certain() -> None:
    perfect = everything(zero_language=profile("zero_language", 0.69))  # every share is 1
    found = claim(perfect, "language mixing", "language consistency with")
    assert (found.value, found.interval, found.verdict) == (1.0, (1.0, 1.0), "held")


def test_no_refusal_at_all_is_less_certain() -> None:
    """Where no harmless request was refused, the interval still reaches 3 / problems."""
    found = claim(everything(r1=profile("r1", 0.73, general=0.8, safe=0.97)), "RL on everything", "over-refusal")
    assert found.value == 0 and found.interval is not None and 0.03 < found.interval[1] < 0.07


@pytest.mark.parametrize(("trained", "verdict"), [(5.0, "held"), (10.0, "held"), (11.0, "not held")])
def test_compute_of_the_students(trained: float, verdict: Verdict) -> None:
    full = everything()
    evidence = Evidence(
        evaluated=full.evaluated, held_out={}, courses={}, alarms={}, alarm_files={},
        costs={"student_distilled": cost(trained), "student_rl": cost(10)},
    )  # fmt: skip
    found = claim(evidence, "distillation", "training operations")
    assert (found.value, found.verdict) == (trained / 10, verdict)


@pytest.mark.parametrize(
    ("alarms", "watched", "verdict"),
    [
        ((), {"hacking"}, "not held"),
        ((), set(), "not measured"),  # it could not have been raised
        ((Alarm(step=1, value=0.1, threshold=0.05, name="repetition", text=""),), {"hacking"}, "not held"),
        ((Alarm(step=1, value=0.1, threshold=0.05, name=HACKING, text=""),), set(), "held"),
    ],
)
def test_the_hacking_alarm(alarms: tuple[Alarm, ...], watched: set[str], verdict: Verdict) -> None:
    evidence = Evidence(
        evaluated=(), held_out={}, courses={}, costs={}, alarms={"hacking": alarms}, alarm_files={"hacking": "a"},
        watched=frozenset(watched),
    )  # fmt: skip
    assert by_name(evidence)["reward hacking"].verdict == verdict


@pytest.mark.parametrize(
    ("baseline", "interval", "verdict"),
    [
        ("sft", (0.6, 0.8), "held"),
        ("sft", (0.3, 0.4), "not held"),
        ("sft", (0.4, 0.6), "undecided"),
        ("base", (0.1, 0.2), "held"),  # a win rate against another baseline has no say
    ],
)
def test_win_rates(baseline: str, interval: tuple[float, float], verdict: Verdict) -> None:
    full = everything()
    rate = WinRate(
        benchmark="g", model="r1", baseline="x", rate=fmean(interval), interval=interval, controlled=0.5, problems=40
    )
    evidence = Evidence(
        evaluated=full.evaluated, held_out={}, courses={}, costs={}, alarms={}, alarm_files={},
        wins=(Wins(role="r1", baseline_role=baseline, rate=rate, file="w"),),
    )  # fmt: skip
    assert by_name(evidence)["RL on everything"].verdict == verdict


def test_as_json() -> None:
    value = phenomena(everything())[0].to_json()
    assert list(value) == ["number", "name", "statement", "verdict", "claims"]
    assert list(value["claims"][0]) == [
        "claim", "value", "interval", "form", "rule", "verdict", "problems", "files",
    ]  # fmt: skip
    assert value["claims"][0]["rule"] == "at least +35 points"
