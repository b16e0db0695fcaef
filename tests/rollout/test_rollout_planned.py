"""A plan carried out here: the samples of the closed engine, judged one by one, and one of them chosen."""

import pytest
from devices import DEVICE
from typer.testing import CliRunner

from ponder.cli import app
from ponder.compute.check import check_of
from ponder.compute.vote import elect
from ponder.errors import DataError
from ponder.policy import Policy, load_policy
from ponder.recipe.compute import ComputePlan
from ponder.recipe.rollout import Sampling
from ponder.records import ExpressionGold, MathGold, Message
from ponder.rollout import LiveEngine, LocalEngine, Request
from ponder.rollout.drawing import Drawing
from ponder.rollout.planned import Planner
from ponder.verify import same_answer, verify
from ponder.verify.pool import VerifierPool

GOLD = ExpressionGold(numbers=(3, 4), target=7)
SEEDS = tuple(range(100, 108))


@pytest.fixture(scope="module")
def micro() -> Policy:
    return load_policy("micro", precision="fp32", device=DEVICE)


def test_a_plan_chooses_among_the_samples_of_the_closed_engine(micro: Policy) -> None:
    text = "Using the numbers [3, 4], make 7. Use each number exactly once."
    ids = micro.template.encode(micro.tokenizer, [Message(role="user", content=text)])
    (group,) = LocalEngine(micro, 8).generate([Request(prompt_ids=ids, seeds=SEEDS, key="x")], Sampling(), 40, 0)
    answers = []
    for one in group:
        response = micro.template.split(one.text, finished=one.finish_reason == "stop")
        answers.append(verify(response.answer or "", GOLD).answer)
    vote = elect(answers, lambda a, b: same_answer(a, b, GOLD), of=8, done=8)
    told: list[int] = []
    with VerifierPool(workers=1) as pool:
        planner = Planner(LiveEngine(micro), micro.voice(), ComputePlan(vote=8, stop_early=False), GOLD, pool)
        made = planner.run(ids, SEEDS, drawing=Drawing(), max_tokens=40, told=lambda _, done: told.append(done))
        assert [c and c.token_ids for c in made.completions] == [c.token_ids for c in group]
        assert made.choice.vote is not None and made.choice.vote.counts == vote.counts
        assert answers[made.choice.sample] == vote.answer and told[-1] == 8 and told == sorted(told)

        distinct = [one for one in dict.fromkeys(answers) if one is not None]
        numbers = tuple(int(n) for n in distinct[-1].replace("+", " ").replace("-", " ").replace("*", " ").split())
        solved = ExpressionGold(numbers=numbers, target=eval(distinct[-1]))
        first = next(i for i, one in enumerate(answers) if one and verify(one, solved).outcome == "right")
        engine = LiveEngine(micro)
        retried = Planner(engine, micro.voice(), ComputePlan(retries=7), solved, pool)
        found = retried.run(ids, SEEDS, drawing=Drawing(), max_tokens=40)
        assert found.choice.sample == first == len(found.completions) - 1
        assert engine.load_now.jobs == 0


def test_checks_are_written_in_one_line() -> None:
    assert check_of("math 42") == MathGold(answer="42")
    assert check_of("expression 3, 4 = 7") == GOLD == check_of('{"kind": "expression", "numbers": [3, 4], "target": 7}')
    long = "9" * 5000
    for wrong in (
        "",
        "42",
        "expression 3 4",
        "math",
        "{",
        '{"kind": "math"}',
        f"expression 3 = {long}",
        '{"a":' * 9999,
    ):
        with pytest.raises(DataError):
            check_of(wrong)


def test_sample_prints_votes_and_badge() -> None:
    asked = ["sample", "micro", "What is 3 + 4?", "--max-tokens", "24", "--vote", "4", "--check", "math 7", "--audit"]
    said = CliRunner().invoke(app, [*asked, "--thinking-tokens", "6"])
    assert said.exit_code == 0, said.output
    votes = [int(line.split()[0]) for line in said.output.splitlines() if "of 4 votes" in line]
    assert votes == sorted(votes, reverse=True) and sum(votes) <= 4
    assert "checked: " in said.output or "could not be checked" in said.output
    assert "equations in the thinking" in said.output and "samples that ended" in said.output


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--vote", "1"], "--vote"),
        (["--vote", "0"], "--vote"),
        (["--vote", "4", "--best-of", "4"], "give one of them"),
        (["--vote", "4", "--samples", "2"], "--samples"),
        (["--retries", "2"], "--check"),
        (["--best-of", "2"], "--scorer"),
        (["--scorer", "nowhere"], "--best-of"),
        (["--abstain-below", "0.5"], "nothing votes"),
        (["--check", "wrong"], "A check is written"),
    ],
)
def test_sample_refuses_what_does_not_go_together(options: list[str], says: str) -> None:
    said = CliRunner().invoke(app, ["sample", "micro", "hi", *options])
    assert said.exit_code != 0
    assert says in said.output or says in str(said.exception), (said.output, said.exception)
