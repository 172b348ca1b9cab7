"""Restoring one video file."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

from gpenvid import __version__
from gpenvid.errors import InputError, UsageError
from gpenvid.faces.align import Template
from gpenvid.faces.detector import Detector
from gpenvid.faces.shots import Shot
from gpenvid.faces.tracks import Tracks
from gpenvid.job.analyse import analyse_frames
from gpenvid.job.inputs import Input, check_output, check_space, default_name
from gpenvid.job.progress import Progress
from gpenvid.job.render import Renderer
from gpenvid.job.report import Report
from gpenvid.media.assemble import StreamPlan, TimeRange, assemble, plan_streams
from gpenvid.media.containers import Container, container_for_output, container_for_source
from gpenvid.media.encoders import EncoderRequest, EncoderSettings, choose_encoder, encode_frames
from gpenvid.media.frame import Frame
from gpenvid.media.reader import VideoReader
from gpenvid.media.segments import write_segment
from gpenvid.restore.restorer import Restorer
from gpenvid.settings import RestoreSettings

SEGMENT_FRAMES = 96
"""Longest segment: four seconds of film. Shorter ones would cost keyframes, longer ones more work after a crash."""

_SPACE_FACTOR = 3  # segments and the assembled file stand side by side for a moment


@dataclass(frozen=True)
class VideoPlan:
    """Everything that is decided before the first frame is computed.

    Attributes:
        warnings: what the result cannot keep.
    """

    reader: VideoReader
    output: Path
    container: Container
    encoder: EncoderSettings
    streams: StreamPlan
    warnings: list[str]


def plan_video(item: Input, output: Path | None, settings: RestoreSettings) -> VideoPlan:
    """Open the source and settle on container, encoder and streams.

    Raises:
        InputError, UsageError: whatever would stop the job later stops it here, before anything is written.
    """
    reader = VideoReader(item.path, deinterlace=settings.deinterlace)
    info = reader.info
    warnings: list[str] = []
    if output is None or output.is_dir():
        container, reason = container_for_source(item.path, info.container)
        if reason:
            warnings.append(reason)
        output = (output or item.path.parent) / default_name(item, container.suffix)
    else:
        container = container_for_output(output)
    check_output(item, output, overwrite=settings.overwrite)
    request = EncoderRequest(settings.codec, settings.crf, settings.preset)
    encoder, lost = choose_encoder(request, info, container, deinterlaced=settings.deinterlace)
    streams = plan_streams(item.path, info, container)
    warnings += lost + streams.dropped
    if info.field_order != "progressive" and not settings.deinterlace:
        warnings.append(f"{item.path.name} is interlaced; faces are restored as they are stored (--deinterlace makes it progressive)")
    if not (settings.start is None and settings.end is None) and streams.chapters:
        warnings.append(f"{item.path.name} has chapters, which are not written into a part of it")
    if settings.strict and warnings:
        raise UsageError(f"{item.path}: {warnings[0]}", "choose another output or leave out --strict")
    check_space(output.parent, _SPACE_FACTOR * item.path.stat().st_size)
    return VideoPlan(reader, output, container, encoder, streams, warnings)


def restore_video(
    item: Input,
    output: Path | None,
    settings: RestoreSettings,
    detector: Detector,
    restorer: Restorer,
    template: Template,
    progress: Progress,
) -> Report:
    """Restore the faces of a video file; the result gets its name when it is complete.

    Raises:
        InputError, UsageError: see `plan_video`.
    """
    plan = plan_video(item, output, settings)
    report = Report(str(item.path), str(plan.output), warnings=list(plan.warnings))
    for warning in plan.warnings:
        progress.note(warning)
    info = plan.reader.info
    keep = _range(plan.reader, settings)
    with report.timed("analyse"):
        progress.stage("analyse", info.frame_count if keep.is_whole else 0)
        tracks, times = analyse_frames(_kept(plan.reader.frames(), keep), info.geometry, detector, progress)
    for fault in plan.reader.faults.sentences(item.path):
        report.warnings.append(fault)
        progress.note(fault)
    if not times:
        raise InputError(f"{item.path}: no frame lies in the chosen part", "check --start and --end")
    report.tracks = len(tracks.tracks)
    report.analysis.frames, report.analysis.detector_calls = tracks.frames, tracks.detector_calls
    work = plan.output.with_name(plan.output.name + ".gpenvid")
    _fresh(work)
    try:
        renderer = Renderer(
            tracks, restorer, template, strength=settings.strength, keep_colour=settings.keep_colour, report=report, progress=progress
        )
        with report.timed("render"):
            progress.stage("render", tracks.frames)
            frames = _kept(plan.reader.frames(), keep)
            segments = _render_segments(frames, times, tracks, renderer, plan.encoder, work)
        with report.timed("assemble"):
            progress.stage("assemble", 0)
            result = work / f"result{plan.container.suffix}"
            tags = {"restored_by": f"gpenvid {__version__}, {restorer.card.name}"}
            assemble(
                result,
                source=item.path,
                info=info,
                segments=segments,
                settings=plan.encoder,
                container=plan.container,
                plan=plan.streams,
                keep=keep,
                tags=tags,
            )
            result.replace(plan.output)
    except OSError as error:
        raise InputError(f"{plan.output}: cannot be written ({error.strerror})", "make room or choose another -o") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return report


def _fresh(work: Path) -> None:
    shutil.rmtree(work, ignore_errors=True)
    try:
        work.mkdir()
    except OSError as error:
        raise InputError(f"{work.parent}: cannot be written to ({error.strerror})", "choose another -o") from error


def _range(reader: VideoReader, settings: RestoreSettings) -> TimeRange:
    """The chosen part on the source's own clock."""
    if settings.start is None and settings.end is None:
        return TimeRange()
    first = next(reader.frames(), None)
    origin = first.pts * first.time_base if first else Fraction(0)

    def moment(seconds: float | None) -> Fraction | None:
        return None if seconds is None else origin + Fraction(seconds).limit_denominator(1_000_000)

    return TimeRange(moment(settings.start), moment(settings.end))


def _kept(frames: Iterable[Frame], keep: TimeRange) -> Iterator[Frame]:
    for frame in frames:
        moment = frame.pts * frame.time_base
        if keep.end is not None and moment >= keep.end:
            return
        if keep.holds(moment):
            yield frame


def cut_segments(shots: Iterable[Shot], longest: int = SEGMENT_FRAMES) -> list[tuple[int, int]]:
    """Cut shots into segments (first frame, frame after the last) of nearly equal length, none across a cut."""
    segments: list[tuple[int, int]] = []
    for shot in shots:
        length = shot.end - shot.start
        parts = -(-length // longest)
        edges = [shot.start + length * i // parts for i in range(parts + 1)]
        segments += list(pairwise(edges))
    return segments


def _render_segments(
    frames: Iterator[Frame], times: list[int], tracks: Tracks, renderer: Renderer, encoder: EncoderSettings, work: Path
) -> list[Path]:
    durations = {a: b - a for a, b in pairwise(times)}
    paths: list[Path] = []
    for number, (start, end) in enumerate(cut_segments(tracks.shots)):
        rendered = renderer.render(islice(frames, end - start), start)
        path = work / f"{number:06d}.seg"
        write_segment(path, encode_frames(encoder, rendered), durations)
        paths.append(path)
    return paths
