"""All measurements, in order."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import torch

from gpenvid.errors import UsageError
from gpenvid.job.bench.child import in_own_process
from gpenvid.job.bench.clip import official_shape, write_random_weights
from gpenvid.job.bench.generator import GeneratorCase, GeneratorResult, measure_generator
from gpenvid.job.bench.jobs import (
    ClipCase,
    ClipResult,
    EnduranceResult,
    StillResult,
    measure_clip,
    measure_endurance,
    measure_still,
)
from gpenvid.job.bench.machine import Floor, Machine, examine_machine, floor_of
from gpenvid.job.models import fetch
from gpenvid.job.progress import Progress
from gpenvid.restore.cards import find_card
from gpenvid.restore.choices import DTYPES, choose_device, choose_engine, fast_bf16, openvino_trouble
from gpenvid.restore.gpen import shape_of_state_dict
from gpenvid.restore.weights import read_state_dict, tensors_of
from gpenvid.settings import is_weight_file

SIZES = (256, 512, 1024, 2048)


@dataclass(frozen=True)
class BenchSettings:
    """What to measure.

    Attributes:
        model: restorer by name, or a weight file.
        sizes: official layouts, filled with random weights, to measure beside it.
        dtypes: number formats; none means float32, and bf16 where it is computed in hardware.
        quick: about a minute: fewer repetitions, sizes, pictures and frames.
    """

    model: str = "gpen-lite-256"
    sizes: tuple[int, ...] = (256, 512)
    dtypes: tuple[str, ...] = ()
    device: str = "auto"
    quick: bool = False

    def __post_init__(self) -> None:
        """Check the choices.

        Raises:
            UsageError: an unknown size or number format.
        """
        for size in self.sizes:
            if size not in SIZES:
                raise UsageError(f"no GPEN layout of size {size}", f"choose from {', '.join(map(str, SIZES))}")
        for dtype in self.dtypes:
            if dtype not in ("fp32", "bf16"):
                raise UsageError(f"unknown number format {dtype}", "choose from fp32, bf16")


@dataclass(frozen=True)
class BenchResult:
    """Everything that was measured; `floors` by the name of the network and the number format."""

    machine: Machine
    floors: dict[str, dict[str, Floor]] = field(default_factory=dict)
    generators: list[GeneratorResult] = field(default_factory=list)
    stills: list[StillResult] = field(default_factory=list)
    endurance: EnduranceResult | None = None
    clips: list[ClipResult] = field(default_factory=list)


def run_bench(settings: BenchSettings, progress: Progress) -> BenchResult:
    """Measure. Every measurement has a process of its own.

    Raises:
        UsageError: unknown model, size, device or number format.
        GpenvidError: a measurement was killed.
    """
    device = choose_device(settings.device)
    progress.note("machine")
    machine = in_own_process(examine_machine, device)
    with tempfile.TemporaryDirectory() as folder:
        models = _models(settings, Path(folder), progress)
        return BenchResult(
            machine,
            {name: _floors(path, machine) for name, path in models.items()},
            _generators(settings, models, device, machine.threads, progress),
            _stills(settings, models, progress),
            _endurance(settings, models, progress),
            _clips(settings, models, progress),
        )


def _floors(path: Path, machine: Machine) -> dict[str, Floor]:
    shape = shape_of_state_dict(tensors_of(read_state_dict(path)))
    return {dtype: floor_of(shape, machine, dtype) for dtype in DTYPES}


def _models(settings: BenchSettings, folder: Path, progress: Progress) -> dict[str, Path]:
    named = Path(settings.model)
    models = {named.stem: named} if is_weight_file(named) else {settings.model: fetch(find_card(settings.model, "restorer"), progress)}
    for size in settings.sizes:
        progress.note(f"random weights of size {size}")
        models[f"GPEN-{size} layout"] = write_random_weights(folder / f"GPEN-{size}-layout.safetensors", official_shape(size))
    return models


def _generators(
    settings: BenchSettings, models: dict[str, Path], device: torch.device, threads: int, progress: Progress
) -> list[GeneratorResult]:
    dtypes = settings.dtypes or (("fp32", "bf16") if fast_bf16(device) else ("fp32",))
    engines = ["torch", "openvino"] if choose_engine("auto", device) == "openvino" and not openvino_trouble() else ["torch"]
    together = (1, 4, 16) if device.type == "cuda" else tuple(sorted({1, threads, 2 * threads}))
    results = []
    for name, path in models.items():
        for dtype, engine in product(dtypes, engines):
            progress.note(f"generator {name}, {dtype}, {engine}")
            batches, runs = (together[:2], 2) if settings.quick else (together, 5)
            case = GeneratorCase(name, path, settings.device, dtype, engine, batches, runs)
            results.append(in_own_process(measure_generator, case))
    return results


def _stills(settings: BenchSettings, models: dict[str, Path], progress: Progress) -> list[StillResult]:
    results = []
    for side in SIZES[:2] if settings.quick else SIZES:
        progress.note(f"still of {side}x{side}")
        results.append(in_own_process(measure_still, side, str(next(iter(models.values()))), settings.device))
    return results


def _endurance(settings: BenchSettings, models: dict[str, Path], progress: Progress) -> EnduranceResult:
    pictures = 10 if settings.quick else 100
    progress.note(f"{pictures} pictures in a row")
    return in_own_process(measure_endurance, pictures, 0.1, str(next(iter(models.values()))), settings.device)


def _clips(settings: BenchSettings, models: dict[str, Path], progress: Progress) -> list[ClipResult]:
    model, *others = map(str, models.values())
    cases = [ClipCase(640, 360, 1, 24 if settings.quick else 150, model)]
    if not settings.quick:
        cases += [ClipCase(width, height, faces, 60, model) for width, height in ((1280, 720), (1920, 1080)) for faces in (1, 4)]
        cases += [ClipCase(1280, 720, 1, 60, other) for other in others[:1]]
    results = []
    for case in cases:
        progress.note(f"clip of {case.width}x{case.height}, {case.faces} faces, {Path(case.model).stem}")
        results.append(in_own_process(measure_clip, case, settings.device))
    return results
