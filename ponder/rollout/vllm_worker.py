"""What runs inside vLLM: weights of a policy in the same process are put into the running model.

vLLM makes an object of the class here when it starts and calls it between `start_weight_update` and
`finish_weight_update`. This file is loaded by `vllm_start` alone, since it needs vLLM.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from vllm.distributed.weight_transfer.base import (
    WeightTransferEngine,
    WeightTransferInitInfo,
    WeightTransferUpdateInfo,
)
from vllm.distributed.weight_transfer.factory import WeightTransferEngineFactory
from vllm.model_executor.layers.fused_moe.unquantized_fused_moe_method import UnquantizedFusedMoEMethod
from vllm.model_executor.model_loader.reload import finalize_layerwise_reload, initialize_layerwise_reload

__all__ = ["BACKEND", "Handover"]

BACKEND = "ponder"


@dataclass
class _Nothing(WeightTransferInitInfo):  # type: ignore[misc]
    """Nothing is agreed on before: both sides are one process."""


@dataclass
class _Weights(WeightTransferUpdateInfo):  # type: ignore[misc]
    """All tensors by their names in a folder, in the order of layers."""

    weights: Iterable[tuple[str, torch.Tensor]] = field(default_factory=tuple)


class Handover(WeightTransferEngine[_Nothing, _Weights]):  # type: ignore[misc]
    """Loads tensors as they are handed over, layer by layer, into the memory that the model runs from."""

    init_info_cls = _Nothing
    update_info_cls = _Weights

    def init_transfer_engine(self, init_info: _Nothing) -> None:
        """See `_Nothing`."""

    def start_weight_update(self) -> None:
        self._loaded: set[str] = set()
        self._expected = {name for name, _ in self.model.named_parameters()}
        initialize_layerwise_reload(self.model)

    def receive_weights(self, update_info: _Weights) -> None:
        self._loaded |= self.model.load_weights(update_info.weights)

    def finish_weight_update(self) -> None:
        """Raises ValueError where a parameter got no weights: it would keep those of the version before."""
        finalize_layerwise_reload(self.model, self.model_config)
        if self.device.type == "cpu":
            _repack_experts(self.model)
        if lacking := sorted(self._expected - self._loaded):
            raise ValueError(f"{len(lacking)} parameters of vLLM's model got no weights, such as {lacking[0]!r}")

    def shutdown(self) -> None:
        """Nothing is held."""


def _repack_experts(model: Any) -> None:
    """On a CPU vLLM brings experts into the order of its kernel when it starts, and not when they are replaced."""
    for layer in model.modules():
        for method in layer.children():
            if isinstance(method, UnquantizedFusedMoEMethod):
                method.moe_kernel.fused_experts.process_weights_after_loading(layer)


WeightTransferEngineFactory.register_engine(BACKEND, Handover)
