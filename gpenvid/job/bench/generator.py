"""What a crop costs: the generator alone."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from gpenvid.job.bench.clip import talking_head
from gpenvid.job.bench.machine import fastest, processor_seconds
from gpenvid.job.report import peak_resident_bytes
from gpenvid.restore.cards import ModelCard
from gpenvid.restore.restorer import Crop, Restorer, load_restorer


@dataclass(frozen=True)
class GeneratorCase:
    """One network in one number format on one engine.

    Attributes:
        name: for people.
        path: its weight file.
        batches: numbers of crops restored together.
        runs: repetitions, of which the fastest counts; one where a crop takes over a second.
    """

    name: str
    path: Path
    device: str
    dtype: str
    engine: str
    batches: tuple[int, ...]
    runs: int


@dataclass(frozen=True)
class GeneratorResult:
    """What a case costs.

    Attributes:
        engine: with its version where it is not PyTorch.
        load_seconds: reading and preparing the weights and compiling, PyTorch loaded already.
        first_seconds: the first crop.
        ms_per_face: wall milliseconds by number of crops restored together.
        cpu_ms: processor milliseconds of one crop.
        peak_resident, peak_device: bytes, of a process that did nothing else; 0 where not measured.
        relative_error, psnr: against PyTorch in float32 on the same crop, in the norm of the picture and in dB; None for that itself.
    """

    name: str
    size: int
    dtype: str
    engine: str
    load_seconds: float
    first_seconds: float
    ms_per_face: dict[int, float] = field(default_factory=dict)
    cpu_ms: float = 0.0
    peak_resident: int = 0
    peak_device: int = 0
    relative_error: float | None = None
    psnr: float | None = None


def measure_generator(case: GeneratorCase) -> GeneratorResult:
    """Run a case. Its memory is this process's, so call it in one of its own."""
    start = time.perf_counter()
    restorer = _load(case, case.dtype, case.engine)
    load = time.perf_counter() - start
    crop = _portrait(restorer.size)
    start = time.perf_counter()
    (restored,) = restorer.restore([crop])
    first = time.perf_counter() - start
    runs = case.runs if first < 1 else 1
    speeds = {}
    for batch in case.batches:
        if restorer.device.type == "cuda":
            restorer.batch = batch
        crops = [crop] * batch
        speeds[batch] = 1e3 * fastest(lambda crops=crops: restorer.restore(crops), restorer.device, runs) / batch  # type: ignore[misc]
    cpu_ms = 1e3 * processor_seconds(lambda: restorer.restore([crop]), runs)
    on_gpu = restorer.device.type == "cuda"
    peaks = peak_resident_bytes(), torch.cuda.max_memory_allocated(restorer.device) if on_gpu else 0
    error: tuple[float, float] | tuple[None, None] = None, None
    if (case.dtype, case.engine) != ("fp32", "torch"):
        error = _difference(restored, _load(case, "fp32", "torch").restore([crop])[0])
    return GeneratorResult(case.name, restorer.size, restorer.dtype, restorer.engine, load, first, speeds, cpu_ms, *peaks, *error)


def _load(case: GeneratorCase, dtype: str, engine: str) -> Restorer:
    card = ModelCard(case.name, "restorer", case.path.name, "", "")
    return load_restorer(card, case.path, device=case.device, dtype=dtype, engine=engine)


def _portrait(size: int) -> Crop:
    picture = talking_head(2 * size, 2 * size, 1)[0]
    middle = picture[size // 2 : size // 2 + size, size // 2 : size // 2 + size]
    return np.ascontiguousarray(middle, np.float32) / np.float32(255)


def _difference(found: Crop, expected: Crop) -> tuple[float, float]:
    difference = float(np.square(found - expected).mean())
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected)), float(10 * np.log10(1 / max(difference, 1e-12)))
