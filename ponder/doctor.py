"""`ponder doctor`: what works on this machine, and the exact command that mends what does not."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import psutil

import ponder
from ponder.files import EMBEDDED

if TYPE_CHECKING:
    import torch

__all__ = ["Finding", "examine", "run_doctor"]

_OLDEST_PYTHON = (3, 11)
_EXTRAS = {
    "peft": "peft",
    "gym": "reasoning_gym",
    "search": "bm25s",
    "serve": "starlette",
    "export": "gguf",
    "vllm": "vllm",
    "ray": "ray",
    "bench": "trl",
}
"""Extra of the package -> the module that tells whether it is installed."""
_LITTLE_MEMORY = 4 * 2**30
_LITTLE_DISK = 2 * 2**30
_GIB = 2**30
_CGROUPS = Path("/sys/fs/cgroup")
_YES = ("1", "ON", "YES", "TRUE")
"""What the hub's client takes for a yes, whatever its case."""

State = Literal["ok", "limited", "broken"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at. `broken` keeps ponder from running, `limited` only from something. `mend` is a command."""

    name: str
    state: State
    found: str
    mend: str | None = None


def run_doctor() -> bool:
    """Print all findings as they are made; whether ponder can run here."""
    works = True
    for finding in examine():
        works = works and finding.state != "broken"
        print(f"{finding.state:<8} {finding.name:<12} {finding.found}", flush=True)
        if finding.mend is not None:
            print(f"{'':<21} -> {finding.mend}", flush=True)
    print("\nponder can run here." if works else "\nponder cannot run here before the broken lines are mended.")
    return works


def examine() -> Iterator[Finding]:
    """All findings, the quick ones first."""
    for check in _CHECKS:
        yield from check()


def _python() -> Iterator[Finding]:
    old = sys.version_info < _OLDEST_PYTHON
    yield Finding(
        name="python",
        state="broken" if old else "ok",
        found=f"{platform.python_version()} at {sys.executable}",
        mend="rm -r .venv && make setup" if old else None,
    )
    yield Finding(name="ponder", state="ok", found=f"{ponder.__version__} at {Path(ponder.__file__).parent}")


def _torch() -> Iterator[Finding]:
    try:
        import torch
        import transformers
    except ImportError as error:
        yield Finding(name="torch", state="broken", found=f"cannot be imported: {error}", mend="make setup")
        return
    yield Finding(name="torch", state="ok", found=f"{torch.__version__}, transformers {transformers.__version__}")
    cores, threads = len(os.sched_getaffinity(0)), torch.get_num_threads()
    variable = os.environ.get("OMP_NUM_THREADS")
    few = variable is not None and threads < cores
    yield Finding(
        name="threads",
        state="limited" if few else "ok",
        found=f"torch uses {threads} of {cores} cores" + (f" (OMP_NUM_THREADS={variable})" if variable else ""),
        mend="unset OMP_NUM_THREADS" if few else None,
    )
    single, half = (_product_rate(torch.ones(512, 512, dtype=dtype)) for dtype in (torch.float32, torch.bfloat16))
    faster = half > 1.2 * single
    yield Finding(
        name="cpu",
        state="ok",
        found=f"matrix products: fp32 {single / 1e9:,.0f}, bf16 {half / 1e9:,.0f} GFLOP/s; "
        f"bf16 {'is worth it' if faster else 'brings nothing here'}",
    )
    yield _cuda(torch.cuda.is_available(), torch.version.cuda)


def _cuda(works: bool, built_for: str | None) -> Finding:
    if works:
        import torch

        name, size = torch.cuda.get_device_name(), torch.cuda.get_device_properties(0).total_memory
        return Finding(name="gpu", state="ok", found=f"{torch.cuda.device_count()} x {name}, {size / _GIB:.0f} GiB")
    if shutil.which("nvidia-smi") is None:
        return Finding(name="gpu", state="ok", found="none; small models train on the CPU")
    version = importlib.metadata.version("torch").partition("+")[0]
    if built_for is None:
        return Finding(
            name="gpu",
            state="limited",
            found="there is an NVIDIA driver, but this torch is built for the CPU only",
            mend=f"{sys.executable} -m pip install --force-reinstall torch=={version}",
        )
    return Finding(
        name="gpu",
        state="limited",
        found=f"torch is built for CUDA {built_for} and finds no usable GPU: driver too old, or none visible",
        mend="nvidia-smi",
    )


def _product_rate(matrix: "torch.Tensor") -> float:
    """Floating-point operations per second of the product of a square matrix with itself, best of three."""
    best = 0.0
    for _ in range(4):
        began = time.perf_counter()
        matrix @ matrix
        best = max(best, 2 * matrix.shape[0] ** 3 / (time.perf_counter() - began))
    return best


def _room() -> Iterator[Finding]:
    memory = psutil.virtual_memory()
    free, total = memory.available, memory.total
    if (limit := _container_memory(_CGROUPS)) is not None and limit[1] < total:
        free, total = min(free, limit[0]), limit[1]
    yield Finding(
        name="memory",
        state="limited" if free < _LITTLE_MEMORY else "ok",
        found=f"{free / _GIB:.1f} GiB free of {total / _GIB:.1f} GiB",
    )
    disk = shutil.disk_usage(Path.cwd())
    yield Finding(
        name="disk",
        state="limited" if disk.free < _LITTLE_DISK else "ok",
        found=f"{disk.free / _GIB:.1f} GiB free in {Path.cwd()}",
    )


def _container_memory(cgroups: Path) -> tuple[int, int] | None:
    """Bytes that a container's limit leaves free, and the limit; None where there is none. What the kernel keeps of
    files gives way, and counts as free."""
    for folder, names in (
        (cgroups, ("memory.max", "memory.current", "inactive_file")),
        (cgroups / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")),
    ):
        try:
            limit, used = (int((folder / name).read_text()) for name in names[:2])
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):  # `max` is no limit
            continue
        return limit - used + int(stat.get(names[2], 0)), limit
    return None


def _embedded() -> Iterator[Finding]:
    for name, folder in EMBEDDED.items():
        present = (folder / "config.json").is_file()
        yield Finding(
            name=f"model {name}",
            state="ok" if present else "limited",
            found=f"at {folder}" if present else f"not at {folder}",
            mend=None if present else "ponder run base-micro",
        )


def _hub() -> Iterator[Finding]:
    offline = os.environ.get("HF_HUB_OFFLINE", "")
    if offline.upper() in _YES:
        yield Finding(
            name="hub",
            state="limited",
            found=f"HF_HUB_OFFLINE={offline}: only what is cached",
            mend="unset HF_HUB_OFFLINE",
        )
        return
    address = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=5):
            pass
    except urllib.error.HTTPError:
        pass  # it answered
    except (ValueError, HTTPException) as error:
        yield Finding(
            name="hub",
            state="limited",
            found=f"HF_ENDPOINT={address} is no address of a hub ({error}); expected one such as https://huggingface.co",
            mend="unset HF_ENDPOINT",
        )
        return
    except OSError as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        yield Finding(
            name="hub",
            state="limited",
            found=f"{address} cannot be reached ({reason}): hub models and data sets must be cached; micro needs none",
        )
        return
    yield Finding(name="hub", state="ok", found=f"{address} answers")


def _programs() -> Iterator[Finding]:
    from ponder.sandbox.isolation import find_isolation
    from ponder.sandbox.javascript import NODE
    from ponder.sandbox.sandbox import SandboxError

    try:
        isolation = find_isolation()
        left_open = "; ".join(isolation.left_open())
        full, found = isolation.full, f"{isolation.describe()} Not kept from programs: {left_open}."
    except SandboxError as error:
        full, found = False, str(error)
    yield Finding(
        name="sandbox",
        state="ok" if full else "limited",
        found=found,
        mend=None if full else "apt-get install bubblewrap    (or: sysctl -w kernel.unprivileged_userns_clone=1)",
    )
    compiler = shutil.which("g++")
    yield Finding(
        name="compiler",
        state="ok" if compiler else "limited",
        found=compiler or "no g++: C++ programs cannot be verified",
        mend=None if compiler else "apt-get install g++",
    )
    node = os.path.exists(NODE)
    yield Finding(
        name="node",
        state="ok" if node else "limited",
        found=NODE if node else f"no {NODE}, where programs can see it: JavaScript programs cannot be verified",
        mend=None if node else "apt-get install nodejs",
    )


def _extras() -> Iterator[Finding]:
    there = [extra for extra, module in _EXTRAS.items() if importlib.util.find_spec(module) is not None]
    absent = [extra for extra in _EXTRAS if extra not in there]
    found = f"installed: {', '.join(there) or 'none'}"
    if absent:
        command = f"{sys.executable} -m pip install 'ponder[{absent[0]}]'"  # adds it to this ponder, clone or wheel
        found += f"; not installed, and not needed: {', '.join(absent)}; to add one: {command}"
    yield Finding(name="extras", state="ok", found=found)


def _vllm() -> Iterator[Finding]:
    from ponder.errors import RecipeError
    from ponder.recipe.rollout import check_vllm, has_vllm

    if not has_vllm():
        return  # nothing asks for it but `engine.kind`
    try:
        check_vllm()
    except RecipeError as error:
        mend = f"{sys.executable} -m pip install 'ponder[vllm]'"
        yield Finding(name="vllm", state="limited", found=str(error), mend=mend)
        return
    yield Finding(name="vllm", state="ok", found="samples where a recipe says `engine: {kind: vllm}`")


def _ray() -> Iterator[Finding]:
    if importlib.util.find_spec("ray") is None:
        return  # nothing asks for it but `ponder run --on ray`
    version = importlib.metadata.version("ray")
    known = version.startswith("2.60.")
    yield Finding(
        name="ray",
        state="ok" if known else "limited",
        found=f"{version} places workers: ponder run --on ray" + ("" if known else "; ponder knows 2.60"),
        mend=None if known else f"{sys.executable} -m pip install 'ponder[ray]'",
    )


def _guided() -> Iterator[Finding]:
    if importlib.util.find_spec("starlette") is None:
        return  # nothing is served, so nothing is guided
    if importlib.util.find_spec("llguidance") is None:
        yield Finding(
            name="guided",
            state="limited",
            found="ponder serve cannot keep replies to a JSON schema: llguidance is not installed",
            mend=f"{sys.executable} -m pip install 'ponder[serve]'",
        )
        return
    yield Finding(
        name="guided",
        state="ok",
        found=f"llguidance {importlib.metadata.version('llguidance')} keeps served replies to JSON schemas",
    )


_CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    _python,
    _room,
    _embedded,
    _programs,
    _extras,
    _vllm,
    _ray,
    _guided,
    _hub,
    _torch,
)
