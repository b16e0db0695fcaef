"""The sft stage for real: the loss by hand, killed and continued, what it learns, and each bad input."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from ponder.errors import DataError, ModelError, PonderError
from ponder.files import EMBEDDED_BASE, write_json
from ponder.policy import Policy, load_policy, random_policy, save_policy
from ponder.recipe import Sampling, SftStage
from ponder.records import Message
from ponder.rollout import LocalEngine, Request
from ponder.stages.context import Context
from ponder.stages.sft import run_sft
from ponder.stages.sft_data import split_data
from ponder.task.examples import load_examples
from ponder.watch import read_metrics
from tests import command

REPOSITORY = Path(__file__).parents[2]
WORLD = {"source": "micro", "tasks": ["equation", "science"]}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)  # as in the processes started here: the same sums in the same order


def stage(**fields: Any) -> SftStage:
    defaults = {"model": "micro", "template": "r1", "examples": [WORLD | {"count": 24}], "batch_size": 8, "epochs": 1,
                "precision": "fp32", "optimizer": {"lr": 1e-3}}  # fmt: skip
    return SftStage.model_validate(defaults | fields)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random model that takes milliseconds, with the embedded tokenizer."""
    architecture = {"model_type": "qwen3", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
                    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 1024,
                    "tie_word_embeddings": True}  # fmt: skip
    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = AutoTokenizer.from_pretrained(EMBEDDED_BASE)
    save_policy(random_policy(architecture, tokenizer, "r1", seed=1, precision="fp32", device="cpu"), folder)
    return str(folder)


def run(folder: Path, config: SftStage, **inputs: Path) -> tuple[dict[str, Any], list[str]]:
    said: list[str] = []
    folder.mkdir(parents=True, exist_ok=True)
    context = Context(
        config=config, name="cold", folder=folder, seed=11, inputs=inputs, say=said.append
    )  # fmt: skip
    return dict(run_sft(context)), said


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """Every metric but the seconds and what is made of them."""
    kept = [dict(row) for row in read_metrics(folder)]
    return [{k: v for k, v in row.items() if not k.startswith(("seconds/", "speed/", "memory/"))} for row in kept]


def by_hand(model: Any, tokenizer: Any, texts: list[tuple[str, str]]) -> tuple[torch.Tensor, int]:
    """Summed cross-entropy of the responses, end token included, from transformers' own logits, and their tokens."""
    total, count = torch.zeros(()), 0
    for prompt, response in texts:
        read, learnt = (tokenizer(text, add_special_tokens=False).input_ids for text in (prompt, response + "<|end|>"))
        ids = torch.tensor([read + learnt])
        labels = torch.tensor([[-100] * len(read) + learnt])
        total = total + torch.nn.functional.cross_entropy(model(ids).logits[0, :-1], labels[0, 1:], reduction="sum")
        count += len(learnt)
    return total, count


TEXTS = [
    ("What is 2+3?", "2+3=5", "It is 5."),
    ("等等，3*4 是多少？", "3*4=12\n检查一下。\n12/4=3", "12"),
    ("Hello!", None, "Hi. What can I do?"),
    ("Which is larger, 7 or 9, and by how much is it larger?", "9-7=2", "9, by 2."),
]
RENDERED = {
    "r1": [(f"User: {q}\n\nAssistant: <think>\n", f"{t or ''}\n</think>\n\n{a}") for q, t, a in TEXTS],
    "r1-zero": [
        (
            "A conversation between User and Assistant. The user asks a question, and the Assistant solves it. The "
            "assistant first thinks about the reasoning process in the mind and then provides the user with the answer."
            " The reasoning process and answer are enclosed within <think> </think> and <answer> </answer> tags, "
            "respectively, i.e., <think> reasoning process here </think> <answer> answer here </answer>. "
            f"User: {q}. Assistant:",
            f" <think>{t or ''}</think> <answer>{a}</answer>",
        )
        for q, t, a in TEXTS
    ],
}


def written(folder: Path, texts: list[tuple[str, str | None, str]]) -> str:
    rows = [{"prompt": q, "response": a if t is None else f"<think>{t}</think>{a}"} for q, t, a in texts]
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize("template", ["r1", "r1-zero"])
def test_the_loss_and_its_gradient_by_hand(tmp_path: Path, template: str) -> None:
    config = stage(
        template=template,
        examples=[{"source": "file", "path": written(tmp_path, TEXTS)}],
        validation_share=0,
        batch={"tokens_per_micro_batch": 64},  # several passes: the mean must be over the whole batch
    )
    run(tmp_path / "stage", config)
    model = AutoModelForCausalLM.from_pretrained(EMBEDDED_BASE, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(EMBEDDED_BASE)
    total, count = by_hand(model, tokenizer, RENDERED[template])
    loss = total / count
    loss.backward()
    norm = torch.nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
    first = rows_of(tmp_path / "stage")[1]
    assert first["loss/next_token"] == pytest.approx(loss.item(), rel=1e-4)
    assert first["optimizer/grad_norm"] == pytest.approx(norm.item(), rel=1e-3)
    assert (first["data/tokens"], first["data/examples"], first["data/epochs"]) == (count, 4, 1)


def test_the_validation_loss_by_hand(tmp_path: Path, tiny: str) -> None:
    config = stage(model=tiny, validation_share=0.25, epochs=2)
    results, _ = run(tmp_path / "stage", config)
    base = load_policy(tiny, "r1", "fp32")
    data = split_data(config, base, load_examples(config.examples, {}), 11, "cold")
    assert len(data.validation) == 6 and results["data"]["validation"] == 6
    rows = {row["step"]: row.get("loss/validation") for row in rows_of(tmp_path / "stage")}
    assert list(rows) == [0, 1, 2, 3, 4, 5] and [step for step, loss in rows.items() if loss] == [0, 3, 5]
    tokenizer = base.tokenizer
    texts = [tuple(tokenizer.decode(ids.tolist()) for ids in (e.prompt, e.response[:-1])) for e in data.validation]
    for step, folder in ((0, tiny), (5, tmp_path / "stage" / "model")):
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        with torch.no_grad():
            total, count = by_hand(model, tokenizer, texts)
        assert rows[step] == pytest.approx(float(total) / count, rel=1e-4)


def test_the_header_shows_the_first_example_and_what_is_left_out(tmp_path: Path, tiny: str) -> None:
    texts = [*TEXTS, ("Too long?", "1 " * 100, "No."), ("Twice?", "a <think> b", "c")]
    source = {"source": "file", "path": written(tmp_path, texts), "name": "rows"}
    results, said = run(tmp_path / "stage", stage(model=tiny, examples=[source], max_tokens=90, validation_share=0))
    page = "\n".join(said)
    for part in (
        "examples 4: 4 rows; 0 more held back for the validation loss",
        "tokens, more than max_tokens 90",
        "left out: rows row 6: the response cannot be taken apart: <think> occurs more than once",
        "cold: read, ",
        "cold: learnt, the end token: '<|end|>' (1)",
    ):
        assert part in page
    assert "Assistant: <think>\\n'" in page
    listed = [json.loads(line) for line in (tmp_path / "stage" / "left_out.jsonl").read_text().splitlines()]
    assert (
        sorted((one["source"], one["row"]) for one in listed) == [("rows", 5), ("rows", 6)]
        and "2 rows left out" in page
    )
    assert results["data"]["left_out"] == 2 and results["data"]["domains"]["general"]["examples"] == 4


def test_the_last_update_is_smaller_and_nothing_is_dropped(tmp_path: Path, tiny: str) -> None:
    config = stage(model=tiny, examples=[WORLD | {"count": 10}], validation_share=0, batch_size=4)
    results, _ = run(tmp_path / "stage", config)
    assert [row["data/examples"] for row in rows_of(tmp_path / "stage")[1:]] == [4, 8, 10]
    assert results["data"]["steps"] == 3


def test_a_mixture_with_weights(tmp_path: Path, tiny: str) -> None:
    sources = [WORLD | {"count": 12, "weight": 2}, {"source": "file", "path": written(tmp_path, TEXTS), "name": "rows"}]
    results, said = run(tmp_path / "stage", stage(model=tiny, examples=sources, validation_share=0))
    assert results["data"]["sources"] == {"micro/train": 12, "rows": 4}
    assert rows_of(tmp_path / "stage")[-1]["data/examples"] == 2 * 12 + 4
    assert any("12 micro/train x 2, 4 rows" in line for line in said)


LONG = {"examples": [WORLD | {"count": 96}], "epochs": 8, "checkpoint_every": 2, "validation_every": 5,
        "validation_share": 0.1}  # fmt: skip
PROGRAM = """
import json, sys
from pathlib import Path
from ponder.recipe import SftStage
from ponder.stages.context import Context
from ponder.stages.sft import run_sft
config = SftStage.model_validate_json(sys.argv[2])
run_sft(Context(config=config, name="cold", folder=Path(sys.argv[1]), seed=11, inputs={}, say=print))
"""


def kill_after_checkpoint(folder: Path, config: SftStage) -> None:
    """Run the stage in a process of its own and kill it once it has a checkpoint."""
    folder.mkdir(parents=True)
    process = command.start(folder, config.model_dump_json(), program=PROGRAM, session=True)
    deadline = time.monotonic() + 250
    while len(list((folder / "checkpoints").glob("step-*"))) == 0:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.1)
    process.kill_all()


@pytest.mark.parametrize("lora", [None, {"rank": 4}], ids=["all weights", "adapters"])
def test_killed_and_continued_equals_uninterrupted(tmp_path: Path, tiny: str, lora: dict[str, int] | None) -> None:
    config = stage(model=tiny, **LONG, lora=lora)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run(whole, config)
    kill_after_checkpoint(broken, config)
    assert not (broken / "model").exists(), "the run ended before it was killed"
    _, said = run(broken, config)
    assert any("going on after step" in line for line in said)
    first, second = (load_file(folder / "model" / "model.safetensors") for folder in (whole, broken))
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    assert rows_of(whole) == rows_of(broken) and len(rows_of(whole)) > 50


def test_run_again_before_any_checkpoint(tmp_path: Path, tiny: str) -> None:
    config = stage(model=tiny)
    run(tmp_path / "whole", config)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "metrics.jsonl").write_text('{"step":0,"loss/validation":9.9}\n{"step":1,"loss/next_token":9.9}\n{"ste')
    run(broken, config)
    assert rows_of(broken) == rows_of(tmp_path / "whole")


def test_steps_whose_checkpoints_are_lost_are_named(tmp_path: Path, tiny: str) -> None:
    config = stage(model=tiny, checkpoint_every=1)
    run(tmp_path, config)
    rows = rows_of(tmp_path)
    shutil.rmtree(tmp_path / "checkpoints")
    _, said = run(tmp_path, config)
    assert any("WARNING: beginning again at step 0" in line and "the 3 steps made before" in line for line in said)
    assert rows_of(tmp_path) == rows


def test_a_report_that_cannot_be_written_stops_no_training(tmp_path: Path, tiny: str) -> None:
    write_json(tmp_path / "recipe.resolved.json", {"smoke": False, "recipe": {"name": "x", "stages": {}}})
    (tmp_path / "report.html").mkdir()
    folder = tmp_path / "stages" / "cold"
    held_out = {"problems": [WORLD | {"count": 2}], "samples": 1, "max_tokens": 2}
    run(folder, stage(model=tiny, held_out=held_out))
    assert (folder / "model" / "model.safetensors").is_file()
    assert [row["step"] for row in rows_of(folder)] == [0, 1, 2, 3]


def answers(policy: Policy, prompts: list[str]) -> list[tuple[str | None, str | None, str]]:
    requests = [
        Request(
            prompt_ids=policy.template.encode(policy.tokenizer, [Message(role="user", content=p)]), seeds=(0,), key=p
        )
        for p in prompts
    ]
    sampling = Sampling(temperature=0, max_tokens=200)
    found = LocalEngine(policy, max_slots=64).generate(requests, sampling, 200, 0)
    parts = [(policy.template.split(one.text), one.finish_reason) for (one,) in found]
    return [(response.thinking, response.answer, reason) for response, reason in parts]


def test_it_learns_to_answer_in_the_taught_form(tmp_path: Path) -> None:
    taught = stage(examples=[WORLD | {"count": 160}], validation_share=0)
    data = split_data(taught, load_policy("micro", "r1"), load_examples(taught.examples, {}), 0, "x")
    tokenizer = AutoTokenizer.from_pretrained(EMBEDDED_BASE)
    texts = []
    for one in data.training.examples:
        prompt, response = (tokenizer.decode(ids.tolist()) for ids in (one.prompt, one.response[:-1]))
        question = prompt.removeprefix("User: ").removesuffix("\n\nAssistant: <think>\n")
        thinking, answer = response.split("\n</think>\n\n")
        texts.append((question, thinking, f"The result: {answer}"))
    source = {"source": "file", "path": written(tmp_path, texts)}
    config = stage(examples=[source], epochs=2, batch_size=16, validation_share=0.1, optimizer={"lr": 2e-3})
    results, _ = run(tmp_path / "stage", config)
    losses = [row["loss/validation"] for row in rows_of(tmp_path / "stage") if "loss/validation" in row]
    assert losses[-1] < 0.5 * losses[0], losses
    prompts = [text[0] for text in texts[:24]]
    before = answers(load_policy("micro", "r1"), prompts)
    after = answers(load_policy(tmp_path / "stage" / "model"), prompts)  # the template is saved with the model
    assert not any((answer or "").startswith("The result:") for _, answer, _ in before)
    taught = [
        bool(thinking) and (answer or "").startswith("The result: ") and end == "stop"
        for thinking, answer, end in after
    ]
    assert sum(taught) >= 20, [(answer, end) for _, answer, end in after]
    assert results["data"]["examples"] == 144


def test_the_new_model_ends_for_other_programs_too(tmp_path: Path, tiny: str) -> None:
    run(tmp_path / "stage", stage(model=tiny))
    saved = json.loads((tmp_path / "stage" / "model" / "generation_config.json").read_text())
    assert 1 in saved["eos_token_id"]
    template = json.loads((tmp_path / "stage" / "model" / "ponder_template.json").read_text())
    assert template["name"] == "r1"


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"examples": [{"source": "file", "path": "nowhere.jsonl"}]}, DataError, "There is no file"),
        ({"examples": [WORLD | {"count": 4}], "max_tokens": 8}, DataError, "no example that can be learnt: row 1: "),
        ({"max_tokens": 100_000}, ModelError, "window of its model is 2,048"),
        ({"model": "/nothing"}, ModelError, "no model folder"),
        ({"examples": [{"source": "stage", "stage": "kept"}]}, DataError, "Source 'kept' has no usable example"),
        ({"lora": {"targets": ["lm_head"]}}, ModelError, "output projection"),
    ],
)
def test_bad_input(tmp_path: Path, fields: dict[str, Any], error: type[PonderError], message: str) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "examples.jsonl").write_text("")
    with pytest.raises(error, match=message):
        run(tmp_path / "stage", stage(**fields), kept=tmp_path / "kept")
    assert not (tmp_path / "stage" / "model").exists()


RECIPE = """\
name: tiny
stages:
  cold:
    kind: sft
    preset: cold-start
    model: Qwen/Qwen2.5-0.5B
    examples: [{source: file, path: data/private.jsonl}]
    held_out: {problems: [{source: hub, id: openai/gsm8k}], samples: 4, every: 1}
    lora: {rank: 2}
"""


def test_a_smoke_run_with_held_out_problems_and_adapters(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(RECIPE)
    done = command.run("run", tmp_path / "r.yaml", "--smoke", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "out" / "stages" / "cold"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert {"start", "end", "data"} == manifest["results"].keys()
    assert sorted(path.stem for path in (folder / "evaluation").glob("step-*.json")) == [
        "step-000000", "step-000001", "step-000002",
    ]  # fmt: skip
    assert "Loss" in (tmp_path / "out" / "report.html").read_text()
    shown = command.run("show", tmp_path / "out", "--json")
    assert json.loads(shown.stdout)["stages"]["cold"]["step"] == 2
