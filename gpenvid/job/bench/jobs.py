"""What whole jobs cost: stills of many sizes, many stills in a row, and clips end to end."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gpenvid.errors import GpenvidError
from gpenvid.job.bench.child import in_own_process
from gpenvid.job.bench.clip import write_clip, write_still
from gpenvid.job.memory import resident_bytes
from gpenvid.job.report import peak_resident_bytes
from gpenvid.job.restore import restore
from gpenvid.settings import RestoreSettings

_WARM = 5  # pictures after which memory is expected to stay


@dataclass(frozen=True)
class StillResult:
    """One picture. `seconds` is everything but starting; `error` is what went wrong, if anything did."""

    side: int
    model: str
    seconds: float = 0.0
    faces: int = 0
    peak_resident: int = 0
    peak_device: int = 0
    error: str = ""


@dataclass(frozen=True)
class EnduranceResult:
    """Many pictures in one process.

    Attributes:
        resident: bytes after each picture; 0 where not measured.
        bytes_per_picture: slope of a line through them, the first five left out.
    """

    pictures: int
    succeeded: int
    resident: list[int]
    bytes_per_picture: float


@dataclass(frozen=True)
class ClipCase:
    """A clip to restore."""

    width: int
    height: int
    faces: int
    frames: int
    model: str
    preset: str = "veryfast"


@dataclass(frozen=True)
class ClipResult:
    """A clip end to end.

    Attributes:
        fps: frames per second of the whole job, models loaded.
        cpu_ms: processor milliseconds per frame, of all threads and stages, opening the models included.
        seconds: wall seconds by step.
        busy_ms: milliseconds per frame that each stage worked, by its name; stages run at the same time.
    """

    width: int
    height: int
    faces: int
    frames: int
    model: str
    restored: int
    fps: float
    cpu_ms: float
    seconds: dict[str, float] = field(default_factory=dict)
    busy_ms: dict[str, float] = field(default_factory=dict)
    peak_resident: int = 0
    peak_device: int = 0


def measure_still(side: int, model: str, device: str) -> StillResult:
    """Restore a square portrait. Never raises for lack of memory; the result says so."""
    with tempfile.TemporaryDirectory() as folder:
        source = write_still(Path(folder) / "still.png", side)
        start = time.perf_counter()
        try:
            report = restore(source, Path(folder) / "out.png", RestoreSettings(model=model, device=device, detector="builtin"))
        except GpenvidError as error:
            return StillResult(side, Path(model).stem, error=str(error))
        seconds = time.perf_counter() - start
    return StillResult(side, Path(model).stem, seconds, report.faces, report.memory.peak_resident, report.memory.peak_device)


def measure_endurance(pictures: int, pause: float, model: str, device: str) -> EnduranceResult:
    """Restore a 512 x 512 picture again and again, with a pause after each."""
    resident: list[int] = []
    succeeded = 0
    settings = RestoreSettings(model=model, device=device, detector="builtin", overwrite=True)
    with tempfile.TemporaryDirectory() as folder:
        source = write_still(Path(folder) / "still.png", 512)
        for _ in range(pictures):
            succeeded += restore(source, Path(folder) / "out.png", settings).faces > 0
            resident.append(resident_bytes())
            time.sleep(pause)
    later = np.array(resident[_WARM:], float)
    slope = float(np.polyfit(np.arange(len(later)), later, 1)[0]) if len(later) > 1 else 0.0
    return EnduranceResult(pictures, succeeded, resident, slope)


def measure_clip(case: ClipCase, device: str) -> ClipResult:
    """Restore a clip end to end."""
    # The faces put there come first; what a detector takes for one more would make figures depend on it.
    people = tuple(range(1, case.faces + 1))
    settings = RestoreSettings(model=case.model, device=device, detector="builtin", preset=case.preset, only=people)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "clip.mp4"
        # Elsewhere: it holds many pictures, and this process's memory is measured.
        in_own_process(write_clip, source, case.width, case.height, faces=case.faces, frames=case.frames)
        start = time.process_time()
        report = restore(source, Path(folder) / "out.mp4", settings)
        cpu_ms = 1e3 * (time.process_time() - start) / report.frames
    busy: dict[str, float] = {}
    for stage in report.stages:
        busy[stage.name] = busy.get(stage.name, 0.0) + 1e3 * stage.busy / report.frames
    return ClipResult(
        case.width,
        case.height,
        case.faces,
        report.frames,
        Path(case.model).stem,
        report.faces,
        report.frames / report.timing["wall"],
        cpu_ms,
        report.timing,
        busy,
        peak_resident_bytes(),
        report.memory.peak_device,
    )
