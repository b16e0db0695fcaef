"""The machine a plan is made for, found without torch, and the rates assumed of it until a run has measured them."""

import re
import shutil
import subprocess
from dataclasses import dataclass

from ponder.recipe.training import Precision
from ponder.share import cores, memory_bytes, stages_at_once

__all__ = [
    "CLUSTER_DEVICE",
    "DOLLARS_PER_HOUR",
    "PEAK_BF16",
    "PEAK_FP32",
    "TRAIN_SHARE",
    "Device",
    "card",
    "processors",
    "this_device",
]

_CPU_TRAIN_FLOPS_PER_CORE = 60e9
_CPU_GENERATE_FLOPS_PER_CORE = 15e9
"""Measured with the embedded model on AVX-512 cores with bf16. Small models spend most of their time between matrix
products, far below the peak of a core."""
_BESIDE = 1.7
"""How much more several stages of the embedded model do beside one another than one with all cores: up to 1.9 times,
measured with RL alone (benchmarks/README.md)."""

TRAIN_SHARE = 0.30
_GPU_GENERATE_SHARE = 0.03
"""Shares of the peak that training and decoding usually reach. With these, R1-Zero's 10,400 steps come to about the
100,000 H800-hours that the paper states (version 2, table 7)."""

PEAK_BF16 = {"B200": 2250e12, "H200": 990e12, "H100": 990e12, "H800": 990e12, "A100": 312e12, "L40S": 362e12,
             "L40": 181e12, "L4": 121e12, "A40": 150e12, "A10": 125e12, "A6000": 155e12, "5090": 209e12,
             "4090": 165e12, "3090": 71e12, "T4": 8.1e12}  # fmt: skip
"""Dense bf16 products per second, from the vendor's data sheets. A T4 has no units for bf16 (its 65e12 are of fp16, in
which nothing is computed here), so it is planned at the rate of its float32 products."""
PEAK_FP32 = {"B200": 75e12, "H200": 67e12, "H100": 67e12, "H800": 67e12, "A100": 19.5e12, "L40S": 91.6e12,
             "L40": 90.5e12, "L4": 30.3e12, "A40": 37.4e12, "A10": 31.2e12, "A6000": 38.7e12, "5090": 104.8e12,
             "4090": 82.6e12, "3090": 35.6e12, "T4": 8.1e12}  # fmt: skip
"""Float32 products per second, not those that round to TF32 first, from the vendor's data sheets."""
_OTHER_GPU = 100e12

DOLLARS_PER_HOUR = 2.0
"""The price per GPU-hour that the R1 and V3 reports count with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device with the rates in floating-point operations per second that plans count with. `share` is what these
    are of all that the machine does: less than 1 for a stage that has others beside it."""

    name: str
    memory_bytes: int
    train_flops: float
    generate_flops: float
    share: float = 1.0

    def bf16(self, precision: Precision) -> bool:
        """Whether a stage of that precision computes in bf16 here."""
        return precision == "bf16" or (precision == "auto" and not self.is_cpu)

    def bf16_cache(self, precision: Precision) -> bool:
        """Whether sampling keeps keys and values in bf16: a CPU attends in float32, whatever its other products are."""
        return self.bf16(precision) and not self.is_cpu

    @property
    def is_cpu(self) -> bool:
        """Whether it is no GPU."""
        return self.name.startswith("CPU")


def card(name: str, memory_bytes: int) -> Device:
    """A GPU of that name."""
    peak = next((rate for known, rate in PEAK_BF16.items() if re.search(rf"(?<!\d){known}(?!\d)", name)), _OTHER_GPU)
    return Device(
        name=name,
        memory_bytes=memory_bytes,
        train_flops=peak * TRAIN_SHARE,
        generate_flops=peak * _GPU_GENERATE_SHARE,
    )


CLUSTER_DEVICE = card("H100 80GB", 80 * 2**30)
"""What too big a recipe is planned for."""


def processors() -> tuple[int, str]:
    """How many processes can train side by side here, and on what: GPUs, or cores where there are none."""
    if gpus := _gpus():
        return len(gpus), "GPUs"
    return cores(), "cores"


def this_device(at_once: int = 1) -> Device:
    """The first NVIDIA GPU, otherwise what of the CPU and its memory each of so many stages has."""
    if gpus := _gpus():
        return card(*gpus[0])
    beside, there = stages_at_once(at_once), cores()
    each = there // beside
    share = 1.0 if beside == 1 else _BESIDE / beside
    return Device(
        name=f"CPU, {each} core{'s' if each > 1 else ''}",
        memory_bytes=memory_bytes() // beside,
        train_flops=share * there * _CPU_TRAIN_FLOPS_PER_CORE,
        generate_flops=share * there * _CPU_GENERATE_FLOPS_PER_CORE,
        share=share,
    )


def _gpus() -> list[tuple[str, int]]:
    """Name and bytes of memory of each NVIDIA GPU."""
    if not shutil.which("nvidia-smi"):
        return []
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    lines = answer.stdout.splitlines() if answer.returncode == 0 else []
    found = [line.rsplit(",", 1) for line in lines if line.strip()]
    return [(name.strip(), int(mebibytes) * 2**20) for name, mebibytes in found]
