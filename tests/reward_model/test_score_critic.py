"""A reward model that begins a critic: body and row, if it reads the policy's token ids."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rounding import assert_close_logits
from tiny_models import tiny_policy
from transformers import AutoModelForSequenceClassification
from word_tokenizer import words

from ponder.errors import ModelError
from ponder.policy.critic import Critic, critic_of, new_critic, save_critic
from ponder.policy.packed import PackedLayout
from ponder.policy.scorer import Scorer
from ponder.policy.scorer_load import load_scorer, save_scorer

LAYERS = 2
ROW = (5, 6, 7, 1)


def at_every_token(critic: Critic) -> torch.Tensor:
    layout = PackedLayout([len(ROW)], [], [], critic.device, 0)
    return critic.values(torch.tensor([ROW]), layout, torch.arange(len(ROW))).detach()


def test_it_values_what_the_reward_model_scores(
    make_scorer: Callable[..., Scorer], architecture: str, tmp_path: Path
) -> None:
    scorer = make_scorer(architecture)
    save_scorer(scorer, tmp_path / "scorer")
    critic = critic_of(tmp_path / "scorer", tiny_policy(architecture, words(), "r1-zero"))
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "scorer")
    scores = torch.tensor([plain(torch.tensor([ROW[: n + 1]])).logits.item() for n in range(len(ROW))])
    assert_close_logits(at_every_token(critic), scores, LAYERS)
    assert all(p.requires_grad and p.dtype == torch.float32 for p in critic.model.parameters())


def test_a_new_one_is_the_policys_body(architecture: str, tmp_path: Path) -> None:
    policy = tiny_policy(architecture, words(), "r1-zero")
    critic = new_critic(policy, "tiny")
    theirs, own = policy.model.base_model.state_dict(), critic.model.base_model.state_dict()
    assert theirs.keys() == own.keys() and all(torch.equal(theirs[name], own[name]) for name in theirs)
    assert at_every_token(critic).tolist() == [0.0] * len(ROW)
    save_critic(critic, tmp_path / "critic")
    with pytest.raises(ModelError, match=r"has no ponder_scorer\.json"):
        load_scorer(tmp_path / "critic")


def test_other_token_ids_are_refused(make_scorer: Callable[..., Scorer], tmp_path: Path) -> None:
    save_scorer(make_scorer(), tmp_path)
    other = words()
    other.add_tokens(["one more"])
    with pytest.raises(ModelError, match=r"its 60 tokens are not the 61 of the policy"):
        critic_of(tmp_path, tiny_policy("qwen3", other, "r1-zero"))
