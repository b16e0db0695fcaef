"""Scorers: the same number as plain transformers, the scope, the file beside the weights, the gradient."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rounding import assert_close_gradients, assert_close_logits
from transformers import AutoModelForSequenceClassification

from ponder.errors import LearningError, ModelError
from ponder.policy.scorer import Scored, Scorer, cut_scored, pack_scored
from ponder.policy.scorer_file import SCORER_FILE
from ponder.policy.scorer_load import load_scorer, save_scorer
from ponder.recipe.training import BatchLimits, Optimizer
from ponder.records import Message
from ponder.train.score_trainer import Judgement, ScoreTrainer

MakeScorer = Callable[..., Scorer]
LAYERS = 2
QUESTION = (Message(role="user", content="w1 w2 w3"),)


def items(scorer: Scorer) -> list[Scored]:
    prompts = [
        scorer.prompt_ids((Message(role="user", content=" ".join(f"w{i}" for i in range(n))),)) for n in (2, 9, 5)
    ]
    texts = [("w5 w6 w7", "w8"), ("w9 " * 30, "w10 w11"), ("w12",)]
    return [
        Scored(prompt_ids=prompt, response_ids=tuple(scorer.text_ids(text) for text in own))
        for prompt, own in zip(prompts, texts, strict=True)
    ]


def flat(scores: list[tuple[float, ...]]) -> list[float]:
    return [score for own in scores for score in own]


def assert_close_scores(got: list[float], wanted: list[float]) -> None:
    assert_close_logits(torch.tensor(got), torch.tensor(wanted), LAYERS)


def test_plain_transformers_gives_the_same_scores(make_scorer: MakeScorer, architecture: str, tmp_path: Path) -> None:
    scorer = make_scorer(architecture)
    save_scorer(scorer, tmp_path)
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    rows = [list(item.prompt_ids + ids) for item in items(scorer) for ids in item.response_ids]
    alone = [plain(torch.tensor([row])).logits.item() for row in rows]
    padded = scorer.tokenizer.pad({"input_ids": rows}, return_tensors="pt")
    together = plain(padded["input_ids"], attention_mask=padded["attention_mask"]).logits[:, 0].tolist()
    loaded = load_scorer(tmp_path, "answer", precision="fp32", device="cpu")
    for budget in (1, 40, 10_000):
        assert_close_scores(flat(scorer.scores(items(scorer), budget)), alone)
        assert_close_scores(flat(loaded.scores(items(scorer), budget)), alone)
    assert_close_scores(together, alone)


def test_a_tokenizer_whose_end_is_its_padding_gets_no_end(make_scorer: MakeScorer, tmp_path: Path) -> None:
    scorer = make_scorer(pad_is_end=True)
    assert scorer.file.end is None and len(scorer.text_ids("w1 w2")) == 2
    assert make_scorer().file.end == "<eos>"
    save_scorer(scorer, tmp_path)
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    padded = torch.tensor([[5, 6, 7, 1, 1]])
    expected = scorer.scores([Scored(prompt_ids=(5,), response_ids=((6, 7),))], 100)
    assert_close_scores([plain(padded).logits.item()], list(expected[0]))


def test_helpfulness_does_not_see_the_thinking_and_safety_does(make_scorer: MakeScorer) -> None:
    def score(scope: str, response: str) -> float:
        scorer = make_scorer(scope=scope)
        seen = scorer.seen(response)
        assert seen is not None
        item = Scored(prompt_ids=scorer.prompt_ids(QUESTION), response_ids=(scorer.text_ids(seen),))
        return scorer.scores([item], 100)[0][0]

    kind, rude = "<think>\nw7 w8\n</think>\n\nw1 w2", "<think>\nw9 w9 w9\n</think>\n\nw1 w2"
    assert score("answer", kind) == score("answer", rude) == score("answer", "w1 w2")
    assert abs(score("response", kind) - score("response", rude)) > 1e-3
    assert score("response", kind) == score("response", "<think> w7 w8 </think> <answer>w1 w2</answer>")


@pytest.mark.parametrize(
    ("scope", "response", "seen"),
    [
        ("answer", "plain words", "plain words"),
        ("answer", "<think>a</think> <answer>b</answer>", "b"),
        ("answer", "<think>a</think>\n\nb", "b"),
        ("answer", "a</think>b", "b"),
        ("answer", "<think>never ends", None),
        ("answer", " ", None),
        ("response", "plain words", "plain words"),
        ("response", "<think>a</think> <answer>b</answer>", "<think>\na\n</think>\n\nb"),
        ("response", "<think>a</think>b", "<think>\na\n</think>\n\nb"),
        ("response", "<think>a</think> <answer>b</answer> and c", "<think>a</think> <answer>b</answer> and c"),
        ("response", "<think>never ends", "<think>never ends"),
        ("response", "", None),
    ],
)
def test_what_is_seen(make_scorer: MakeScorer, scope: str, response: str, seen: str | None) -> None:
    assert make_scorer(scope=scope).seen(response) == seen


def test_prompts_end_where_the_reply_begins(make_scorer: MakeScorer) -> None:
    scorer = make_scorer()
    think = scorer.tokenizer.convert_tokens_to_ids("<think>")
    assert scorer.template.prefill and think not in scorer.prompt_ids(QUESTION)


def damaged(folder: Path, **changes: object) -> None:
    path = folder / SCORER_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda f: (f / SCORER_FILE).unlink(), "has no ponder_scorer.json"),
        (lambda f: (f / SCORER_FILE).write_text("{"), "damaged: expected JSON"),
        (lambda f: damaged(f, scope="thinking"), "scope: Input should be 'answer' or 'response'"),
        (lambda f: damaged(f, colour="red"), "colour"),
        (lambda f: damaged(f, version=2), "version 2; this ponder reads version 1"),
        (lambda f: damaged(f, architecture="LlamaForSequenceClassification", model_type="llama"), "holds a Qwen3For"),
        (lambda f: damaged(f, template="r1-zero"), "trained with the template 'r1-zero'"),
        (lambda f: damaged(f, weights="sha256:0"), "weights in .* are not those"),
        (lambda f: damaged(f, scope="response"), "scores the response .* one is needed that scores the answer"),
        (lambda f: (f / "config.json").unlink(), "holds no model"),
        (lambda f: (f / "model.safetensors").write_bytes(b"torn"), "are not those"),
    ],
)
def test_a_folder_that_is_not_what_its_file_says(
    make_scorer: MakeScorer, tmp_path: Path, harm: Callable[[Path], object], words: str
) -> None:
    save_scorer(make_scorer(), tmp_path)
    assert load_scorer(tmp_path, "answer", device="cpu").file.scope == "answer"
    harm(tmp_path)
    with pytest.raises(ModelError, match=words):
        load_scorer(tmp_path, "answer", device="cpu")


def test_weights_of_another_scorer_are_refused(make_scorer: MakeScorer, tmp_path: Path) -> None:
    save_scorer(make_scorer(seed=1), tmp_path / "a")
    save_scorer(make_scorer(seed=2), tmp_path / "b")
    shutil.copy(tmp_path / "b" / "model.safetensors", tmp_path / "a" / "model.safetensors")
    with pytest.raises(ModelError, match="not those that its"):
        load_scorer(tmp_path / "a", device="cpu")


def judgements(scorer: Scorer) -> list[Judgement]:
    return [Judgement(scored=item, labels=(1.0, 0.0)) for item in items(scorer) if len(item.response_ids) == 2]


def gradient(scorer: Scorer, budget: int) -> dict[str, torch.Tensor]:
    trainer = ScoreTrainer(scorer, Optimizer(), BatchLimits(tokens_per_micro_batch=budget), Path("nowhere"))
    trainer.forward_backward(judgements(scorer))
    return {name: p.grad.clone() for name, p in scorer.model.named_parameters() if p.grad is not None}


def test_the_gradient_is_that_of_plain_transformers_however_it_is_cut(make_scorer: MakeScorer, tmp_path: Path) -> None:
    scorer = make_scorer()
    save_scorer(scorer, tmp_path)
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    losses = []
    for item in judgements(scorer):
        chosen, rejected = (
            plain(torch.tensor([item.scored.prompt_ids + ids])).logits[0, 0] for ids in item.scored.response_ids
        )
        losses.append(-torch.log(torch.sigmoid(chosen - rejected)))
    torch.stack(losses).mean().backward()
    whole, cut = gradient(scorer, 10_000), gradient(scorer, 1)
    theirs = {name: parameter.grad for name, parameter in plain.named_parameters() if parameter.grad is not None}
    assert_close_gradients(whole, theirs, LAYERS)
    assert_close_gradients(cut, theirs, LAYERS)


def test_passes_hold_every_item_once() -> None:
    scored = [Scored(prompt_ids=(1,) * n, response_ids=((2,),)) for n in (9, 1, 4, 30, 2)]
    passes = pack_scored(scored, 12)
    assert sorted(i for one in passes for i in one) == [0, 1, 2, 3, 4]
    assert all(sum(scored[i].tokens for i in one) <= 12 or len(one) == 1 for one in passes)


def test_descriptions_are_values(make_scorer: MakeScorer) -> None:
    scorer = make_scorer()
    changed = scorer.with_file(mean=2.0)
    assert changed.file == replace(scorer.file, mean=2.0) and changed.model is scorer.model


def count_tokens(scorer: Scorer, most: int | None = None) -> list[int]:
    """The tokens of every pass to come; more than `most` are more than memory holds."""
    seen: list[int] = []

    def look(module: torch.nn.Module, args: object, given: dict[str, torch.Tensor]) -> None:
        tokens = given["input_ids"].numel()
        if most is not None and tokens > most:
            raise RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")
        seen.append(tokens)

    scorer.model.base_model.register_forward_pre_hook(look, with_kwargs=True)
    return seen


def test_one_group_is_cut_to_the_budget(make_scorer: MakeScorer) -> None:
    """16 responses to one prompt are more than a pass may hold, and so is one of them."""
    scorer = make_scorer()
    texts = [tuple(5 + (i * j) % 50 for j in range(1, 60 + i)) for i in range(15)] + [tuple([7] * 200)]
    item = Scored(prompt_ids=tuple(range(5, 35)), response_ids=tuple(texts))
    alone = [scorer.scores([replace(item, response_ids=(text,))], 10_000)[0][0] for text in texts]
    seen = count_tokens(scorer)
    assert_close_scores(list(scorer.scores([item], 10_000)[0]), alone)
    assert len(seen) == 1 and seen.pop() >= item.tokens
    assert_close_scores(flat(scorer.scores([item, item], 192)), alone * 2)
    assert sorted(seen)[:-2] and max(sorted(seen)[:-2]) <= 192 and max(seen) == 256  # 230, rounded up
    for budget in (1, 91, 150, 400, 5000):
        pieces = cut_scored(item, budget)
        assert [text for piece in pieces for text in piece.response_ids] == texts
        assert all(piece.tokens <= budget or len(piece.response_ids) == 1 for piece in pieces)


def test_where_memory_runs_out_less_is_scored_at_a_time(make_scorer: MakeScorer) -> None:
    scorer = make_scorer()
    item = Scored(prompt_ids=(5, 6), response_ids=tuple(tuple([7 + i] * 30) for i in range(16)))
    expected = flat(scorer.scores([item], 10_000))
    seen = count_tokens(scorer, most=130)
    with pytest.warns(UserWarning, match="CUDNN_STATUS_ALLOC_FAILED"):
        assert_close_scores(flat(scorer.scores([item], 480)), expected)
    passes = len(seen)
    assert_close_scores(flat(scorer.scores([item], 480)), expected)  # remembered: no warning
    assert len(seen) == 2 * passes
    count_tokens(scorer, most=10)
    with pytest.warns(UserWarning), pytest.raises(ModelError, match="single sequence, the longest of 32 tokens"):
        scorer.scores([item], 480)


def test_a_step_of_a_reward_model_is_computed_again_where_memory_runs_out(make_scorer: MakeScorer) -> None:
    expected = gradient(make_scorer(), 10_000)
    scorer = make_scorer()
    passes = 0

    def full(module: torch.nn.Module, args: object) -> None:
        nonlocal passes
        passes += 1
        if passes < 3:
            raise MemoryError

    scorer.model.base_model.register_forward_pre_hook(full)
    with pytest.warns(UserWarning, match="Memory ran out"):
        found = gradient(scorer, 10_000)
    assert passes == 3
    assert_close_gradients(found, expected, LAYERS)


def test_a_changed_budget_is_heeded_on_resuming(make_scorer: MakeScorer, tmp_path: Path) -> None:
    def trainer(budget: int) -> ScoreTrainer:
        limits = BatchLimits(tokens_per_micro_batch=budget)
        return ScoreTrainer(make_scorer(), Optimizer(), limits, tmp_path / "incidents")

    trainer(500).save(tmp_path)
    for asked in (500, 70):
        resumed = trainer(asked)
        resumed.load(tmp_path)
        assert resumed.tokens_per_micro_batch == asked


def test_skipped_updates_are_kept_up_to_a_number(make_scorer: MakeScorer, tmp_path: Path) -> None:
    scorer = make_scorer()
    next(scorer.model.parameters()).data.fill_(float("nan"))
    trainer = ScoreTrainer(scorer, Optimizer(max_skipped_in_a_row=2), BatchLimits(), tmp_path)
    for number in range(19):
        (tmp_path / f"update-{number}.json").touch()
    trainer.forward_backward(judgements(scorer))
    assert trainer.optimizer_step(1e-2).skipped == "the loss was nan"
    assert '"reason": "the loss was nan"' in (tmp_path / "update-00000000-0001.json").read_text()
    trainer.forward_backward(judgements(scorer))
    with pytest.raises(LearningError, match=f" saved in {re.escape(str(tmp_path))}.$"):
        trainer.optimizer_step(1e-2)
    assert len(list(tmp_path.iterdir())) == 20
