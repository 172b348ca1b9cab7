"""The machine that is measured on, and the floor under every figure taken there."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from gpenvid.job.models import describe_device
from gpenvid.restore.choices import DTYPES, fast_bf16
from gpenvid.restore.gpen import GpenGenerator, GpenShape

_SIDE = 2048  # of the matrices: large enough that starting costs nothing
_CHANNELS, _PICTURE = 128, 128  # of the convolution
_COPIED = 256 << 20  # bytes: more than any cache but the largest servers' holds


@dataclass(frozen=True)
class Machine:
    """What the figures belong to.

    Attributes:
        threads: that PyTorch uses.
        load: processes that wanted to run when measuring began, of the system's last minute; -1 where it does not tell.
        gflops: measured rate of one thread by number format, in 10^9 operations per second of processor time (a multiplication and an
            addition are two), on large matrix products or convolutions, whichever is faster; on a GPU, of the device. Formats that are
            not computed in hardware are left out.
        bandwidth_gb: measured bytes per second, in 10^9, likewise, of one thread copying: read and written ones.
    """

    processor: str
    cores: int
    threads: int
    device: str
    system: str
    python: str
    torch: str
    load: float
    gflops: dict[str, float]
    bandwidth_gb: float


@dataclass(frozen=True)
class Floor:
    """The least a network can take here, in one number format.

    Attributes:
        gflop: operations of one crop, in 10^9.
        dtype: the number format.
        megabytes: weights and every convolution's input and output, moved once, in 10^6 bytes.
        milliseconds: what the slower of the two takes on one thread, at the measured rates.
    """

    gflop: float
    dtype: str
    megabytes: float
    milliseconds: float


def fastest(work: Callable[[], object], device: torch.device, runs: int = 5) -> float:
    """Least wall seconds of several runs, after one to warm up: what other work does to a machine only adds."""
    times = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times[1:])


def processor_seconds(work: Callable[[], object], runs: int) -> float:
    """Least processor time of several runs, of all threads together: what it takes from a machine that others use too."""
    times = []
    for _ in range(runs):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def examine_machine(device: torch.device) -> Machine:
    """Describe this machine and measure its rates. Sets PyTorch to one thread for that, so call it in a process of its own."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def seconds(work: Callable[[], object]) -> float:
        # Of the processor: what others take of the clock says nothing about the machine.
        return processor_seconds(work, 5) if device.type == "cpu" else fastest(work, device)

    formats = ("fp32", "bf16") if fast_bf16(device) else ("fp32",)
    rates = {name: _rate(DTYPES[name], device, seconds) / 1e9 for name in formats}
    source = torch.zeros(_COPIED // 4, device=device)
    target = torch.empty_like(source)
    bandwidth = 2 * _COPIED / seconds(lambda: target.copy_(source))
    return Machine(
        _processor(),
        os.cpu_count() or 1,
        threads,
        describe_device(device),
        platform.platform(),
        platform.python_version(),
        torch.__version__,
        os.getloadavg()[0] if hasattr(os, "getloadavg") else -1.0,
        rates,
        bandwidth / 1e9,
    )


def _rate(dtype: torch.dtype, device: torch.device, seconds: Callable[[Callable[[], object]], float]) -> float:
    """Operations per second. Libraries differ: on processors by AMD one thread multiplies float32 matrices at two thirds of the rate at
    which it convolves.
    """
    matrix = torch.rand(_SIDE, _SIDE, device=device).to(dtype)
    picture = torch.rand(1, _CHANNELS, _PICTURE, _PICTURE, device=device).to(dtype, memory_format=torch.channels_last)
    kernel = torch.rand(_CHANNELS, _CHANNELS, 3, 3, device=device).to(dtype, memory_format=torch.channels_last)
    with torch.inference_mode():
        multiplied = 2 * _SIDE**3 / seconds(lambda: matrix @ matrix)
        return max(multiplied, 2 * 9 * (_CHANNELS * _PICTURE) ** 2 / seconds(lambda: F.conv2d(picture, kernel, padding=1)))


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.is_file() else []
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def floor_of(shape: GpenShape, machine: Machine, dtype: str) -> Floor:
    """The floor of a network's forward pass for one crop; nothing is computed for it.

    Where the machine has no rate for a number format, float32's counts.
    """
    width = 2 if dtype == "bf16" else 4
    rate = machine.gflops.get(dtype, machine.gflops["fp32"])
    with torch.device("meta"):
        network = GpenGenerator(shape)
        moved = width * sum(p.numel() for p in network.parameters())

        def count(_module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            nonlocal moved
            moved += width * (inputs[0].numel() + output.numel())

        for name, module in network.named_modules():
            # Encoder and modulated convolutions; blurs and activations could be part of them.
            if name.startswith(("ecd", "generator.conv", "generator.to_rgb")) and hasattr(module, "weight") and module.weight.dim() > 2:
                module.register_forward_hook(count)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(torch.empty(1, 3, shape.size, shape.size))
    flop = counter.get_total_flops()
    return Floor(flop / 1e9, dtype, moved / 1e6, 1e3 * max(flop / (rate * 1e9), moved / (machine.bandwidth_gb * 1e9)))
