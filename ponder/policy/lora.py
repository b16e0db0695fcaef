"""Low-rank adapters through peft: y = W x + (alpha / rank) B A x with W frozen (arXiv 2106.09685, section 4.1).

They are put into the policy's own model, so that packing, sampling and training see it as before; only A and B take
gradients, are saved in checkpoints, and are merged into W in the end.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers.pytorch_utils import Conv1D

from ponder.errors import ModelError
from ponder.policy.packed import PackedLayout
from ponder.policy.policy import Policy
from ponder.recipe.sft import Lora, check_peft

__all__ = ["LoraAdapter", "add_lora"]

_NAME = "default"
_LINEAR = (torch.nn.Linear, Conv1D)
"""Maps of one vector; the second is GPT-2's, whose weight lies the other way round."""
_CONVOLUTIONS = (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d)


class LoraAdapter:
    """The adapters of one policy."""

    def __init__(self, policy: Policy, wrapped: Any) -> None:
        self._policy, self._wrapped = policy, wrapped

    def save(self, folder: Path) -> None:
        """Write peft's own form: `adapter_model.safetensors` and `adapter_config.json`."""
        self._wrapped.save_pretrained(folder, save_embedding_layers=False)

    def load(self, folder: Path) -> None:
        """Put the weights that `save` wrote into place, bit for bit."""
        from peft import set_peft_model_state_dict

        set_peft_model_state_dict(self._wrapped, load_file(folder / "adapter_model.safetensors"), _NAME)

    def merge(self) -> None:
        """Leave the policy a plain model with the weights W + (alpha / rank) B A."""
        merged = self._wrapped.merge_and_unload()
        assert merged is self._policy.model, type(merged)
        self._policy.adapter = None
        self._policy.model.requires_grad_(True)


def add_lora(policy: Policy, config: Lora, seed: int) -> None:
    """Give the policy adapters, which change nothing until they are trained: B is 0 and A drawn from `seed`.

    Raises RecipeError without peft, ModelError where a target is no module of this model, holds its output projection
    or a module that the model does not call, or does not get the adapters that it asks for.
    """
    check_peft()
    from peft import LoraConfig, get_peft_model

    model: Any = policy.model
    modules, parameters = _asked(policy, config.targets)
    settings = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        target_modules=modules,
        target_parameters=parameters,
        task_type="CAUSAL_LM",
        fan_in_fan_out=any(isinstance(model.get_submodule(name), Conv1D) for name in modules),
    )
    with torch.random.fork_rng(devices=[]), _taken_as_named(model):
        torch.manual_seed(seed)
        wrapped: Any = get_peft_model(model, settings)
    adapted = sum(name.endswith(f".lora_A.{_NAME}.weight") for name, _ in model.named_parameters())
    if adapted != len(modules) + len(parameters):
        raise ModelError(
            f"`lora.targets` {list(config.targets)} ask for adapters in {len(modules) + len(parameters)} places of "
            f"this model, and peft made {adapted}. Name modules that are linear maps of their own, such as those of "
            f"the attention, or leave `lora` out."
        )
    policy.adapter = LoraAdapter(policy, wrapped)


@contextlib.contextmanager
def _taken_as_named(model: Any) -> Iterator[None]:
    """Let peft take targets as they are named. Where it knows an architecture by its type to hold all experts in one
    tensor, it turns `gate_proj` and its like into that tensor alone, and dense layers and shared experts, whose modules
    have these names, get nothing."""
    kind = model.config.model_type
    model.config.model_type = f"{kind}, as named"
    try:
        yield
    finally:
        model.config.model_type = kind


def _asked(policy: Policy, targets: Sequence[str]) -> tuple[list[str], list[str]]:
    """The linear modules that `targets` name, and the parameters of experts that are one tensor for all of them; all
    but the output projection where none is named. ModelError for a name of nothing."""
    model: Any = policy.model
    head = model.get_output_embeddings()
    every = [name for name, one in model.named_modules() if isinstance(one, _LINEAR) and one is not head]
    only_read = _only_read(policy, every)
    linear = [name for name in every if name not in only_read]
    kinds = (*_LINEAR, *_CONVOLUTIONS)
    owned = {f"{name}.weight" for name, one in model.named_modules() if isinstance(one, kinds)}
    fused = [name for name, one in model.named_parameters() if one.ndim > 2 and name not in owned]
    if not targets:
        return linear, fused
    last = sorted({name.rpartition(".")[2] for name in (*linear, *fused)})
    modules: dict[str, None] = {}
    parameters: dict[str, None] = {}
    for target in targets:
        if any(one is head and _ends(name, target) for name, one in model.named_modules()):
            raise ModelError(
                f"`lora.targets` names the output projection ({target!r}), whose adapter would count for nothing, "
                f"since log-probs are made from its weight directly. Name others of {', '.join(last)}, or leave "
                f"`lora.targets` out."
            )
        if missed := [name for name in every if name in only_read and _ends(name, target)]:
            raise ModelError(
                f"`lora.targets` names {target!r}, whose adapter would count for nothing, since the model reads the "
                f"weight of {missed[0]!r} without calling it. Name others of {', '.join(last)}, or leave "
                f"`lora.targets` out."
            )
        mine = [name for name in linear if _ends(name, target)]
        experts = [name for name in fused if _ends(name, target) or _part_of(name, target)]
        if not mine and not experts:
            raise ModelError(
                f"`lora.targets` {list(targets)} cannot get adapters: no linear module of this model has the name "
                f"{target!r}. The linear modules of this model are {', '.join(last)}."
            )
        modules |= dict.fromkeys(mine)
        parameters |= dict.fromkeys(experts)
    return list(modules), list(parameters)


@torch.no_grad()
def _only_read(policy: Policy, linear: Sequence[str]) -> set[str]:
    """Those linear modules that were not called on a few tokens, when the module that holds them was: its own code
    reads their weight, as Mamba's does of `dt_proj`. What an expert holds that no token went to is none of them."""
    called: set[torch.nn.Module] = set()

    def note(module: torch.nn.Module, given: tuple[Any, ...]) -> None:
        called.add(module)

    hooks = [one.register_forward_pre_hook(note) for one in policy.model.modules()]
    layout = PackedLayout([4], [2, 2], [0, 0], policy.device)
    try:
        policy.hidden(torch.arange(8, device=policy.device)[None], layout.position_ids_T[None], layout)
    finally:
        for hook in hooks:
            hook.remove()
    modules = dict(policy.model.named_modules())
    return {name for name in linear if modules[name] not in called and modules[name.rpartition(".")[0]] in called}


def _ends(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")


def _part_of(name: str, target: str) -> bool:
    """Whether a tensor of all experts holds what a target names in each: `gate_up_proj` holds `gate_proj`."""
    return "." not in target and set(target.split("_")) <= set(name.rpartition(".")[2].split("_"))
