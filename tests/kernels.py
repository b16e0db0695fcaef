"""The numeric tests as on other machines: `make test-kernels`.

A processor decides which kernels compute a product, and kernels differ in rounding. Each library can be told to use
those of a lesser processor: ATen by ATEN_CPU_CAPABILITY, oneDNN by ONEDNN_MAX_CPU_ISA, MKL by MKL_ENABLE_INSTRUCTIONS
(which it heeds on Intel only) and MKL_CBWR. Those of a greater one cannot be had and are left out, with a word.

Two threads split a product otherwise than one. `make test` has run the best kernels with one thread, so they are run
with two here, the next ones with one, and so on.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import torch

TESTS = Path(__file__).parent
NUMERIC = (
    "test_rounding.py",
    "policy/test_policy_logprobs.py",
    "policy/test_policy_lora.py",
    "policy/test_policy_packed.py",
    "policy/test_policy_varlen.py",
    "reward_model/test_score_critic.py",
    "reward_model/test_score_model.py",
    "rollout/test_rollout_conversations.py",
    "rollout/test_rollout_draft.py",
    "rollout/test_rollout_live.py",
    "rollout/test_rollout_local.py",
    "rollout/test_rollout_preference.py",
    "train/test_train_critic.py",
    "train/test_train_tool_examples.py",
    "train/test_train_trainer.py",
)
"""The tests that compare floating-point results with a tolerance, or whole runs bit by bit."""

KERNELS: Mapping[str, Mapping[str, str]] = {
    "DEFAULT": {"ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "MKL_CBWR": "COMPATIBLE"},
    "AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "MKL_CBWR": "AVX2"},
    "AVX512": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "MKL_ENABLE_INSTRUCTIONS": "AVX512"},
}
"""ATen's word for its kernels -> the other libraries' for the same, from the least processor to the greatest."""


def run(kernels: str, threads: int) -> bool:
    """Whether all numeric tests pass, in two processes, whose threads give way to each other instead of spinning."""
    known = {key: value for key, value in os.environ.items() if key not in KERNELS["DEFAULT"]}
    chosen = {"ATEN_CPU_CAPABILITY": kernels.lower(), "OMP_NUM_THREADS": str(threads), **KERNELS[kernels]}
    print(" ".join(f"{key}={value}" for key, value in chosen.items()), flush=True)
    command = [sys.executable, "-m", "pytest", "--durations=0", "--durations-min=60", "--numprocesses=2", *NUMERIC]
    began = time.monotonic()
    environment = known | chosen | {"OMP_WAIT_POLICY": "PASSIVE"}
    passed = subprocess.run(command, cwd=TESTS, env=environment, check=False).returncode == 0
    print(f"{'passed' if passed else 'FAILED'} in {time.monotonic() - began:.0f} s\n", flush=True)
    return passed


def main() -> None:
    names = list(KERNELS)
    found = torch.backends.cpu.get_cpu_capability()
    there = names[: names.index(found) + 1] if found in names else names[:1]  # another family has its own kernels only
    for missing in names[len(there) :]:
        print(f"this processor has no {missing}: left out\n")
    results = [run(kernels, 2 - place % 2) for place, kernels in enumerate(reversed(there))]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
