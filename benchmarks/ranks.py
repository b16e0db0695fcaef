"""What a rank of several holds of a model: memory per process after an update, for 1, 2, ... ranks.

    python benchmarks/ranks.py [--ranks 1 2] [--width 512] [--layers 6]
    python benchmarks/ranks.py --tokens 4096 --recompute true        # activations computed again, of longer sequences

Memory is what a process has for itself (USS) less what one that trains a model of next to no parameters has. At rest it
is what stays: weights and moments. The peak is that of an update, of all memory the process touched.
"""

import argparse
import tempfile
from pathlib import Path

from psutil import Process
from sized import sized_policy

from ponder.algorithm import next_token_loss
from ponder.recipe.training import BatchLimits, Optimizer
from ponder.train import Sample
from ponder.train.group import TrainerGroup

_NUM_SAMPLES = 8


def measured(ranks: int, width: int, layers: int, limits: BatchLimits, folder: Path) -> tuple[int, int, int]:
    """Parameters of the model; most bytes that a rank has at rest, and had at its peak."""
    policy = sized_policy(width, layers)
    group = TrainerGroup(policy, Optimizer(), limits.model_copy(update={"ranks": ranks}), folder)
    length = limits.tokens_per_micro_batch // 2  # two of them in a pass
    ids = tuple(4 + i % 8000 for i in range(length - 1))
    samples = [
        Sample(prompt_ids=(3,), response_ids=ids, group=str(i), weight=1 / (_NUM_SAMPLES * len(ids)))
        for i in range(_NUM_SAMPLES)
    ]
    try:
        for _ in range(2):
            group.forward_backward(samples, next_token_loss)
            group.optimizer_step(1e-4)
        rest = max(Process(pid).memory_full_info().uss for pid in group.pids)
        peaks = [_peak(pid) for pid in group.pids]
    finally:
        group.close()
    return sum(p.numel() for p in policy.model.parameters()), rest, max(peaks)


def _peak(pid: int) -> int:
    """Most bytes that a process had, by Linux's account."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024


def main() -> None:
    """Print a row for each number of ranks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--tokens", type=int, default=128, help="of a pass, in two sequences (default: 128)")
    parser.add_argument("--recompute", choices=["auto", "true", "false"], default="auto")
    given = parser.parse_args()
    recompute = "auto" if given.recompute == "auto" else given.recompute == "true"
    limits = BatchLimits(tokens_per_micro_batch=given.tokens, recompute=recompute)
    with tempfile.TemporaryDirectory() as folder:
        for ranks in given.ranks:
            _, least, low = measured(ranks, 8, 1, limits, Path(folder))
            parameters, rest, peak = measured(ranks, given.width, given.layers, limits, Path(folder))
            print(
                f"{parameters / 1e6:.1f}M parameters, {ranks} rank(s): {(rest - least) / 2**20:.0f} MiB at rest, "
                f"{(peak - low) / 2**20:.0f} MiB at the peak, each"
            )


if __name__ == "__main__":
    main()
