"""What was done, in numbers. `docs/report.md` describes the JSON form."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gpenvid.errors import InputError
from gpenvid.faces.align import GPEN, similarity_parameters
from gpenvid.faces.tracks import Tracks
from gpenvid.job.pipeline import StageTimes
from gpenvid.job.whole import write_whole

REPORT_VERSION = 1


@dataclass
class AnalysisReport:
    """Detection effort: frames analysed, frames the detector was called on, faces looked at closely in between, and its name.

    With a sidecar the name is empty.
    """

    frames: int = 0
    detector_calls: int = 0
    close_looks: int = 0
    detector: str = ""


@dataclass
class RestorerReport:
    """What restored the crops, in which number format, where, and by which engine."""

    name: str = ""
    dtype: str = ""
    device: str = ""
    engine: str = ""


@dataclass
class MemoryReport:
    """Peaks in bytes; 0 where not measured."""

    peak_resident: int = 0
    peak_device: int = 0


@dataclass(frozen=True)
class TrackReport:
    """One person in one shot.

    Attributes:
        id: number, as in the sidecar and on the contact sheet.
        first, last: frames.
        detected: frames in which the detector saw the face; in the others it was carried there.
        jitter: root mean square of the second difference of the face's place, in eye distances, after smoothing.
        jitter_unsmoothed: the same before smoothing.
    """

    id: int
    first: int
    last: int
    detected: int
    jitter: float
    jitter_unsmoothed: float


@dataclass(frozen=True)
class Steadiness:
    """One way of showing a face over time.

    Attributes:
        warping: mean difference in grey levels (of 255) between a frame and the one before, carried along by the source's flow.
        sharpness: mean gradient inside the face, grey levels per pixel.
    """

    warping: float
    sharpness: float


@dataclass(frozen=True)
class PersonStability:
    """One person over a stretch of frames.

    Attributes:
        id: track.
        first, last: frames of the stretch.
        jitter_detected: of per-frame detection, see `TrackReport.jitter`; None where there was no detector.
        jitter_unsmoothed, jitter: ours before and after smoothing.
        source, plain, ours: the source, the plain way, and the result.
        likeness_least, likeness_spread: cosine of face embeddings between source and result, least and standard deviation; None
            without `--identity`.
    """

    id: int
    first: int
    last: int
    jitter_detected: float | None
    jitter_unsmoothed: float
    jitter: float
    source: Steadiness
    plain: Steadiness
    ours: Steadiness
    likeness_least: float | None = None
    likeness_spread: float | None = None


@dataclass
class Report:
    """One restoration.

    Attributes:
        source, output: paths as given.
        frames: frames written.
        faces: faces restored, summed over frames.
        tracks: people followed (a person counts once per shot).
        people: the tracks one by one.
        stability: with `--stability`, people over a stretch of frames, next to restoring frame by frame.
        identity_guard: name of the embedding file that faces were compared with, `off` without one.
        timing: wall seconds by stage, and `wall` for all.
        stages: of a video, what the stages that run at the same time did with theirs.
        skipped: faces not restored, by reason.
        notes: choices that lose nothing, such as which of several video streams was restored, as sentences.
        warnings: everything that is not as in the source, as sentences.
        error: why it failed, where it is one of several, or that some pictures of a folder did; empty otherwise.
    """

    source: str
    output: str
    version: int = REPORT_VERSION
    frames: int = 0
    faces: int = 0
    tracks: int = 0
    people: list[TrackReport] = field(default_factory=list)
    stability: list[PersonStability] = field(default_factory=list)
    identity_guard: str = "off"
    analysis: AnalysisReport = field(default_factory=AnalysisReport)
    restorer: RestorerReport = field(default_factory=RestorerReport)
    timing: dict[str, float] = field(default_factory=dict)
    stages: list[StageTimes] = field(default_factory=list)
    memory: MemoryReport = field(default_factory=MemoryReport)
    skipped: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    error: str = ""

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the wall time of a block to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.timing[stage] = self.timing.get(stage, 0.0) + time.perf_counter() - start

    def skip(self, reason: str, count: int = 1) -> None:
        """Count faces that were found and not restored."""
        self.skipped[reason] = self.skipped.get(reason, 0) + count

    def measure_memory(self, device: torch.device) -> None:
        """Record the peaks so far, of this process and of the device."""
        peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
        self.memory = MemoryReport(peak_resident_bytes(), peak)

    def to_json(self) -> str:
        """The report as JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False)


def write_reports(path: Path, reports: list[Report], *, several: bool) -> None:
    """Write the report of one input as an object, those of several as a list.

    Raises:
        InputError: if the file cannot be written.
    """
    text = reports[0].to_json() if not several else json.dumps([dataclasses.asdict(r) for r in reports], indent=2, ensure_ascii=False)
    try:
        # Names that are no UTF-8 hold lone surrogates; written with a backslash they are JSON's own way to say so.
        write_whole(path, text + "\n", errors="backslashreplace")
    except OSError as error:
        raise InputError(f"{path}: the report cannot be written ({error.strerror})", "choose another --report file") from error


def peak_resident_bytes() -> int:
    """Largest resident memory of this process so far, 0 where the system does not tell."""
    if sys.platform == "win32":
        return 0
    status = Path("/proc/self/status")
    if status.is_file():
        # Not `ru_maxrss`: on Linux a process begins with the peak of the one that started it.
        peaks = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        if peaks:
            return int(peaks[0]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def describe_tracks(report: Report, tracks: Tracks) -> None:
    """Add what the analysis found to a report."""
    report.tracks += len(tracks.tracks)
    report.analysis.frames += tracks.frames
    report.analysis.detector_calls += tracks.detector_calls
    report.analysis.close_looks += tracks.close_looks
    for track in tracks.tracks:
        raw = similarity_parameters(track.landmarks)
        jitter = [round(place_jitter(values), 5) for values in (track.parameters, raw)]
        report.people.append(TrackReport(track.id, track.start, track.end - 1, int(track.detected.sum()), *jitter))


def place_jitter(parameters: NDArray[np.float64]) -> float:
    """Root mean square of the second difference of a crop's centre (N, 4 parameters), in eye distances; 0 under three frames."""
    if len(parameters) < 3:
        return 0.0
    bend = np.diff(parameters[:, 2:], n=2, axis=0)
    eyes = GPEN.eye_distance * np.exp(parameters[1:-1, 0])
    return float(np.sqrt(np.mean(np.square(np.hypot(*bend.T) / eyes))))
