"""Restoring one video file."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from gpenvid import __version__
from gpenvid.errors import InputError, UsageError
from gpenvid.faces.align import Template
from gpenvid.faces.detector import Detector
from gpenvid.faces.tracks import Tracks
from gpenvid.job.analyse import analyse_frames
from gpenvid.job.inputs import Input, check_output, check_space, default_name
from gpenvid.job.parts import chosen_range, cut_segments, frames_in
from gpenvid.job.progress import Progress
from gpenvid.job.render import Renderer, blend_settings
from gpenvid.job.report import Report, describe_tracks
from gpenvid.job.sidecar import read_sidecar
from gpenvid.media.assemble import StreamPlan, TimeRange, assemble, plan_streams
from gpenvid.media.containers import Container, container_for_output, container_for_source
from gpenvid.media.encoders import EncoderRequest, EncoderSettings, choose_encoder, encode_frames
from gpenvid.media.frame import Frame
from gpenvid.media.reader import VideoReader
from gpenvid.media.segments import write_segment
from gpenvid.restore.restorer import Restorer
from gpenvid.settings import RestoreSettings

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
    keep = chosen_range(plan.reader, settings)
    with report.timed("analyse"):
        tracks = _find_tracks(item, plan.reader, keep, settings, detector, progress)
    for fault in plan.reader.faults.sentences(item.path):
        report.warnings.append(fault)
        progress.note(fault)
    if not tracks.frames:
        raise InputError(f"{item.path}: no frame lies in the chosen part", "check --start and --end")
    tracks = tracks.chosen(settings.only, settings.exclude)
    describe_tracks(report, tracks)
    work = plan.output.with_name(plan.output.name + ".gpenvid")
    _fresh(work)
    try:
        renderer = Renderer(tracks, restorer, template, blend_settings(settings), report, progress)
        with report.timed("render"):
            progress.stage("render", tracks.frames)
            frames = frames_in(plan.reader.frames(), keep)
            segments = _render_segments(frames, tracks, renderer, plan.encoder, work)
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


def _render_segments(frames: Iterator[Frame], tracks: Tracks, renderer: Renderer, encoder: EncoderSettings, work: Path) -> list[Path]:
    rendered = renderer.render(frames, 0)
    paths: list[Path] = []
    for number, (start, end) in enumerate(cut_segments(tracks.shots)):
        path = work / f"{number:06d}.seg"
        write_segment(path, encode_frames(encoder, islice(rendered, end - start)))
        paths.append(path)
    return paths


def _find_tracks(
    item: Input, reader: VideoReader, keep: TimeRange, settings: RestoreSettings, detector: Detector, progress: Progress
) -> Tracks:
    """The tracks of the chosen part: from the sidecar where one is named, else analysed."""
    if settings.tracks is None:
        progress.stage("analyse", reader.info.frame_count if keep.is_whole else 0)
        return analyse_frames(frames_in(reader.frames(), keep), reader.info.geometry, detector, progress)
    tracks = read_sidecar(settings.tracks)
    frames = sum(1 for _ in frames_in(reader.frames(), keep))
    if frames != tracks.frames or (tracks.width, tracks.height) != reader.info.display_size:
        size = "x".join(map(str, reader.info.display_size))
        found = f"{tracks.frames} frames of {tracks.width}x{tracks.height}"
        raise InputError(
            f"{settings.tracks}: tells of {found}, {item.path} has {frames} of {size}", "analyse this clip, or this part of it"
        )
    return tracks
