"""What both trainers do with a gradient: AdamW behind clipping and a guard, and its state in files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from ponder.files import read_json, write_json
from ponder.ranks.team import ALONE, Team
from ponder.recipe.training import Optimizer
from ponder.train.guard import GradientGuard

__all__ = ["Updater"]

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class Updater:
    """Changes the trained ones of these parameters in place. `version` counts the updates made."""

    def __init__(self, model: torch.nn.Module, config: Optimizer, team: Team = ALONE) -> None:
        self._config, self._team = config, team
        self._named = {name: p for name, p in model.named_parameters() if p.requires_grad}
        matrices = [p for p in self._named.values() if p.ndim >= 2]
        vectors = [p for p in self._named.values() if p.ndim < 2]
        self.optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}],
            lr=config.lr,
            betas=config.betas,
            eps=config.eps,
            fused=True,
        )
        self.guard = GradientGuard(config.outlier_factor, config.max_skipped_in_a_row)
        self.version = 0

    def step(self, loss: float, lr: float) -> tuple[float, str | None]:
        """Change the weights by their gradients, or leave them: `loss` is this process's part of the step's. Returns
        the gradient's norm before clipping, and why nothing was changed, or None; the same on all ranks."""
        loss = sum(self._team.gather(loss))
        grads = [p.grad for p in self._named.values() if p.grad is not None]
        norm_tensor = self._team.whole(get_total_norm(grads, foreach=True))
        norm = float(norm_tensor)
        reason = self.guard.judge(loss, norm)
        if reason is None:
            clip_grads_with_norm_(self._named.values(), self._config.max_grad_norm, norm_tensor, foreach=True)
            for group in self.optimizer.param_groups:
                group["lr"] = lr
            self.optimizer.step()
            self.version += 1
        return norm, reason

    def save(self, folder: Path, facts: Mapping[str, Any]) -> None:
        """Write `optimizer.safetensors`, a folder `optimizer/` where ranks have parts of it, and `trainer_state.json`
        with `facts` of the trainer's own."""
        state = self.optimizer.state
        moments = {
            f"{kind}/{name}": state[p][kind].contiguous()
            for name, p in self._named.items()
            for kind in _MOMENTS
            if p in state
        }
        if self._team.size > 1:
            from ponder.ranks.moments import write_moments

            write_moments(moments, folder / "optimizer")
        else:
            save_file(moments, folder / "optimizer.safetensors")
        if self._team.rank == 0:
            write_json(folder / "trainer_state.json", {"version": self.version, **facts, "guard": self.guard.state()})

    def load(self, folder: Path) -> Mapping[str, Any]:
        """Go on from what `save` wrote, bit for bit, on whatever number of ranks; returns the trainer's own facts among
        the rest."""
        self.optimizer.state.clear()
        if self._team.size > 1 or (folder / "optimizer").is_dir():
            self._load_parts(folder)
        else:
            moments = load_file(folder / "optimizer.safetensors")
            for name, parameter in self._named.items():
                if f"step/{name}" in moments:
                    entry = {kind: moments[f"{kind}/{name}"].to(parameter.device) for kind in _MOMENTS}
                    self.optimizer.state[parameter] = entry
        state: Mapping[str, Any] = read_json(folder / "trainer_state.json")
        self.version = state["version"]
        self.guard.restore(state["guard"])
        return state

    def _load_parts(self, folder: Path) -> None:
        from ponder.ranks.moments import read_moments, read_whole_moments

        entries = {
            p: {kind: torch.zeros((), device=p.device) if kind == "step" else torch.zeros_like(p) for kind in _MOMENTS}
            for p in self._named.values()
        }
        moments = {f"{kind}/{name}": entries[p][kind] for name, p in self._named.items() for kind in _MOMENTS}
        if (folder / "optimizer").is_dir():
            found = read_moments(moments, folder / "optimizer", self._team)
        else:
            found = read_whole_moments(moments, folder / "optimizer.safetensors")
        for name, parameter in self._named.items():
            if f"step/{name}" in found:
                self.optimizer.state[parameter] = entries[parameter]
