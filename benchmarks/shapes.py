"""The shapes of a step that benchmarks measure, and the model folders they run on; torch is loaded to make one.

    uniform     128 completions of exactly 128 tokens, a 3M-parameter Qwen2 with random weights
    long_tail   256 completions of the embedded base model, its own stops, at most 512 tokens
    m24         as uniform, 24M parameters, bf16 products
    q05         32 completions of a real model of the user's, its own stops, at most 64 tokens, bf16 products
    g05, g15    256 completions of exactly 256 tokens, of the form of Qwen2.5-0.5B and -1.5B, 152k words: for a GPU

Random models are given an end token that is never sampled, or, where the embedded base is missing for long_tail,
sampled at a rate that makes lengths long-tailed.
"""

import math
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ponder.errors import ModelError
from ponder.micro import TASKS
from ponder.micro.corpus import documents
from ponder.micro.problems import generate
from ponder.micro.tokenizer import train_tokenizer
from ponder.policy.resolve import resolve_model
from ponder.records import Problem
from ponder.text.template import TEMPLATES

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, Qwen2ForCausalLM

__all__ = ["GROUP_SIZE", "RANDOM", "SHAPES", "USUAL", "Shape", "model_folder", "problems", "reward"]

GROUP_SIZE = 16
_VOCABULARY = 2048
_CONSTANT = 0.3
"""Value of the first component of every embedding, large enough to survive the layers: what end biases hang on."""
_NEVER = -60.0
"""Logit of an end token that is not to come: its probability is below 1e-25."""
_MEAN_LENGTH = 60
"""Mean length of the stand-in for the embedded base."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One step's size. Example: 8 problems x 16 completions of exactly 128 tokens."""

    name: str
    num_problems: int
    max_tokens: int
    precision: str
    hidden: int = 0
    layers: int = 0
    heads: int = 0
    intermediate: int = 0
    own_stops: bool = False
    real: bool = False
    """Of a model that its user names, in place of one with random weights."""
    vocabulary: int = 0
    """Words of the model, of which those that its tokenizer does not know are never sampled; 0 is as many as that."""

    @property
    def num_completions(self) -> int:
        return self.num_problems * GROUP_SIZE


_SMALL = {"hidden": 192, "layers": 6, "heads": 6, "intermediate": 768}
_M24 = {"hidden": 512, "layers": 8, "heads": 8, "intermediate": 1408}
_GPU: dict[str, Any] = {"num_problems": 16, "max_tokens": 256, "precision": "bf16", "vocabulary": 151_936}
SHAPES: dict[str, Shape] = {
    "uniform": Shape(name="uniform", num_problems=8, max_tokens=128, precision="fp32", **_SMALL),
    "long_tail": Shape(name="long_tail", num_problems=16, max_tokens=512, precision="fp32", **_SMALL, own_stops=True),
    "m24": Shape(name="m24", num_problems=8, max_tokens=128, precision="bf16", **_M24),
    "q05": Shape(name="q05", num_problems=2, max_tokens=64, precision="bf16", own_stops=True, real=True),
    "g05": Shape(name="g05", hidden=896, layers=24, heads=14, intermediate=4864, **_GPU),
    "g15": Shape(name="g15", hidden=1536, layers=28, heads=12, intermediate=8960, **_GPU),
}

RANDOM = tuple(name for name, shape in SHAPES.items() if not shape.real)
USUAL = "uniform,long_tail,m24"
"""What is measured where nothing else is asked for: what needs neither a GPU nor a model of the user's."""


def problems(shape: Shape) -> tuple[Problem, ...]:
    """The same problems in every step and on every side."""
    return generate(tuple(TASKS), ("en", "zh"), shape.num_problems, "test", seed=0)


def reward(token_ids: list[int] | tuple[int, ...]) -> float:
    """A stand-in that differs within groups and costs nothing, so that verification is not part of the comparison."""
    return float(sum(token_ids) % 2)


def model_folder(shape: Shape, folder: Path, real: Path | None = None) -> Path:
    """The folder of the shape's model, made under `folder` unless it is the embedded base; `real` is the model of a
    shape that takes one."""
    if shape.real:
        assert real is not None, shape
        return _templated(real, folder / shape.name)
    if shape.own_stops:
        try:
            return Path(resolve_model("micro"))
        except ModelError:
            print("the embedded base model is not here: long_tail runs on a random model with a long tail of lengths")
    tokenizer = train_tokenizer(islice(documents(seed=0), 400), _VOCABULARY)
    model = _random_model(shape, tokenizer)
    end = tokenizer.eos_token_id
    assert isinstance(end, int)
    import torch

    with torch.no_grad():
        model.model.embed_tokens.weight[:, 0] = _CONSTANT
        sample = torch.randint(_VOCABULARY // 2, (4, 64), generator=torch.Generator().manual_seed(0))
        hidden = model.model(sample).last_hidden_state
        others = model.lm_head(hidden)[..., : len(tokenizer)].logsumexp(-1).mean()
        wanted = others - math.log(_MEAN_LENGTH) if shape.own_stops else torch.tensor(_NEVER)
        size = hidden[..., 0].mean()
        model.lm_head.weight[len(tokenizer) :] = 0
        model.lm_head.weight[len(tokenizer) :, 0] = _NEVER / size
        model.lm_head.weight[end] = 0
        model.lm_head.weight[end, 0] = wanted / size
    target = folder / shape.name
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    TEMPLATES["r1-zero"].save(target)
    return target


def _templated(real: Path, target: Path) -> Path:
    """A folder with the files of `real`, whose prompts are of the form that the other shapes have."""
    target.mkdir()
    for file in real.iterdir():
        (target / file.name).symlink_to(file.absolute())
    TEMPLATES["r1-zero"].save(target)
    return target


def _random_model(shape: Shape, tokenizer: "PreTrainedTokenizerBase") -> "Qwen2ForCausalLM":
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=max(shape.vocabulary, len(tokenizer)),
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=2,
        intermediate_size=shape.intermediate,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    return Qwen2ForCausalLM(config).to(torch.float32)
