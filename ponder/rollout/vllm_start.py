"""How vLLM is started in this process.

No other process is started, and what it changes in this one (threads, random numbers, what is printed) is put back. It
starts without weights: from a folder that holds a configuration alone.
"""

import contextlib
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import torch

from ponder.policy.policy import Policy

__all__ = ["start"]

_SETTINGS = {
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # this process's threads are not all vLLM's
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
}
_CPU_SHARE = 0.25
"""Of the memory that is free: keys and values at most."""
_GPU_SHARE = 0.7
"""Of what is free on a GPU beside vLLM's weights and what training will take."""
_BYTES_TO_TRAIN = 12
"""A parameter's gradient and two moments, in float32."""
_BLOCK = 32
"""Tokens whose keys are kept together on a CPU: vLLM's own choice there is longer than many prompts, whose samples
would then share nothing."""


def start(policy: Policy, rows: int, tokens: int) -> Any:
    """vLLM's engine for models such as the policy's, of `rows` sequences at one time and `tokens` at most. Raises
    whatever vLLM raises."""
    with tempfile.TemporaryDirectory() as folder, _quiet(), _restored():
        _write_config(policy, Path(folder))
        os.environ.update({name: os.environ.get(name, value) for name, value in _SETTINGS.items()})
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # tensors are handed over as they are
        from vllm import EngineArgs, LLMEngine
        from vllm.config import WeightTransferConfig
        from vllm.distributed import parallel_state
        from vllm.v1.engine import core

        from ponder.rollout.vllm_worker import BACKEND

        core.cleanup_dist_env_and_memory = _nothing  # its process groups are those of all hosts of this process
        if parallel_state._EP is None:  # those of a model without experts would not do for one with
            parallel_state.destroy_model_parallel()
        here: dict[str, Any] = {"enable_sleep_mode": True}
        if policy.device.type == "cpu":
            here = {"enforce_eager": True, "enable_chunked_prefill": False}
            here |= {"max_num_batched_tokens": max(tokens, 8192), "block_size": _BLOCK}
        engine: Any = LLMEngine.from_engine_args(
            EngineArgs(
                model=folder,
                skip_tokenizer_init=True,
                load_format="dummy",
                generation_config="vllm",
                dtype=str(policy.autocast_dtype or torch.float32).removeprefix("torch."),
                logprobs_mode="processed_logprobs",
                max_model_len=tokens,
                max_num_seqs=rows,
                enable_prefix_caching=True,
                kv_cache_memory_bytes=_room(policy, rows, tokens),
                weight_transfer_config=WeightTransferConfig(backend=BACKEND),
                disable_log_stats=True,
                **here,
            )
        )
        return engine


def _write_config(policy: Policy, folder: Path) -> None:
    """What vLLM starts from: a folder without weights."""
    model: Any = policy.model
    model.config.save_pretrained(folder)
    file = folder / "config.json"
    config = json.loads(file.read_text(encoding="utf-8")) | {"architectures": [type(model).__name__]}
    file.write_text(json.dumps(config), encoding="utf-8")


def _room(policy: Policy, rows: int, tokens: int) -> int:
    """Bytes for keys and values: what all rows need at their longest, or the share of the memory that is there."""
    model: Any = policy.model
    config = model.config.get_text_config()
    item = (policy.autocast_dtype or torch.float32).itemsize
    heads = config.num_attention_heads
    width = config.to_dict().get("head_dim") or config.hidden_size // heads
    token = 2 * config.num_hidden_layers * (config.to_dict().get("num_key_value_heads") or heads) * width * item
    if policy.device.type == "cuda":
        torch.cuda.empty_cache()
        parameters = list(policy.model.parameters())
        taken = sum(p.numel() * (item + _BYTES_TO_TRAIN * p.requires_grad) for p in parameters)
        share = max(torch.cuda.mem_get_info(policy.device)[0] - taken, 0) * _GPU_SHARE
    else:
        share = psutil.virtual_memory().available * _CPU_SHARE
    return int(min(share, (rows * (tokens + _BLOCK) + _BLOCK) * token))  # blocks are whole, and one is vLLM's own


def _nothing(*_: Any, **__: Any) -> None:
    """In place of what would end the hosts beside the one that ends."""


@contextlib.contextmanager
def _restored() -> Iterator[None]:
    """What vLLM changes in a process as it starts is as before afterwards: torch's threads and how they are set, which
    sampling by processes of our own needs, and torch's random numbers."""
    threads, setter = torch.get_num_threads(), torch.set_num_threads
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_num_threads = setter
        torch.set_num_threads(threads)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What vLLM and what it imports say of themselves would tear the run's own display."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
