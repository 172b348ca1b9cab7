"""Restoring one video file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gpenvid import __version__
from gpenvid.errors import InputError, UsageError
from gpenvid.faces.detector import Detector
from gpenvid.faces.tracks import Tracks
from gpenvid.job.analyse import analyse_frames, tracker_settings
from gpenvid.job.identity import fingerprint, job_key
from gpenvid.job.inputs import Input, check_output, check_space
from gpenvid.job.models import Models
from gpenvid.job.outputs import video_result
from gpenvid.job.parts import chosen_range, cut_segments, frames_in
from gpenvid.job.pipeline import StageTimes
from gpenvid.job.progress import Progress
from gpenvid.job.render import Renderer, blend_settings
from gpenvid.job.report import Report, describe_tracks
from gpenvid.job.segments import render_segments
from gpenvid.job.sidecar import check_tracks_of, read_sidecar
from gpenvid.job.stability import StabilityMeter
from gpenvid.job.work import Work, clean_up_after_success, opened_work
from gpenvid.media.assemble import assemble, rehearse
from gpenvid.media.check import Written, check_result
from gpenvid.media.containers import Container
from gpenvid.media.encode import encode_frames
from gpenvid.media.encoder_choice import choose_encoder
from gpenvid.media.encoders import EncoderRequest, EncoderSettings, estimated_bytes
from gpenvid.media.layout import layout_of
from gpenvid.media.part import plan_part
from gpenvid.media.probe import VideoInfo
from gpenvid.media.reader import VideoReader
from gpenvid.media.segments import sync
from gpenvid.media.streams import StreamPlan, plan_streams
from gpenvid.media.time_range import TimeRange
from gpenvid.settings import RestoreSettings

ROOM = "make room, then run the same command again: it continues; or choose another -o"


@dataclass(frozen=True)
class VideoPlan:
    """Everything that is decided before the first frame is computed.

    Attributes:
        warnings: what the result cannot keep.
        space: bytes that segments and result are likely to take, side by side as they stand for a moment.
    """

    reader: VideoReader
    keep: TimeRange
    output: Path
    container: Container
    encoder: EncoderSettings
    streams: StreamPlan
    warnings: list[str]
    space: int


def plan_video(item: Input, output: Path | None, settings: RestoreSettings) -> VideoPlan:
    """Open the source and settle on container, encoder and streams.

    Raises:
        InputError, UsageError: whatever would stop the job later stops it here, before anything is written.
    """
    reader = VideoReader(item.path, deinterlace=settings.deinterlace)
    info = reader.info
    result = video_result(item, info, output)
    output, container, warnings = result.path, result.container, [result.reason] if result.reason else []
    if output.parent.is_dir():
        clean_up_after_success(output)
    check_output(item, output, overwrite=settings.overwrite)
    request = EncoderRequest(settings.codec, settings.crf, settings.preset)
    encoder, lost = choose_encoder(request, info, container, deinterlaced=settings.deinterlace)
    keep = chosen_range(reader, settings)
    streams = plan_part(item.path, plan_streams(item.path, info, container), container, keep)
    warnings += lost + streams.dropped
    if info.layout.alpha and not layout_of(encoder.pixel_format).alpha:
        warnings.append(f"the alpha of {item.path.name} is lost (--codec ffv1 and a .mkv output keep it)")
    if info.display_matrix and container.muxer == "mpegts":
        warnings.append(f"{container.suffix} cannot hold that {item.path.name} is turned or mirrored (a .mkv or .mp4 output keeps it)")
    if info.field_order != "progressive" and not settings.deinterlace:
        warnings.append(f"{item.path.name} is interlaced; faces are restored as they are stored (--deinterlace makes it progressive)")
    if settings.strict and warnings:
        raise UsageError(f"{item.path}: {warnings[0]}", "choose another output or leave out --strict")
    # An encoder that does not open, or a muxer that refuses, is better known now than after the work.
    encoder.open()
    rehearse(item.path, info, encoder, container, streams)
    space = 2 * estimated_bytes(encoder, _frames_to_write(info, settings))
    if streams.copied:
        space += item.path.stat().st_size // 20  # sound and subtitles, where they are not most of the file
    return VideoPlan(reader, keep, output, container, encoder, streams, warnings, space)


def _frames_to_write(info: VideoInfo, settings: RestoreSettings) -> int:
    rate = float(info.frame_rate or 25)
    whole = info.frame_count or round(info.duration * rate)
    first = round((settings.start or 0) * rate)
    last = whole if settings.end is None else round(settings.end * rate)
    return max(1, min(whole or last, last) - first)


def restore_video(
    item: Input,
    output: Path | None,
    settings: RestoreSettings,
    models: Models,
    progress: Progress,
) -> Report:
    """Restore the faces of a video file; the result gets its name when it is complete.

    Raises:
        InputError, UsageError: see `plan_video`.
    """
    plan = plan_video(item, output, settings)
    report = Report(str(item.path), str(plan.output), notes=list(plan.streams.notes), warnings=list(plan.warnings))
    for told in (*plan.streams.notes, *plan.warnings):
        progress.note(told)
    key = job_key(item.path, settings, models.finder, models.restorer, repr(plan.encoder))
    try:
        with opened_work(
            plan.output, key, restart=settings.restart, keep=settings.keep_work, fits=partial(choose_people, settings), note=progress.note
        ) as work:
            check_space(plan.output.parent, plan.space - work.size(), progress.note)
            with report.timed("analyse"):
                tracks = kept_tracks(item, plan.reader, plan.keep, settings, models.detector, work, report, progress)

            def open_renderer(counts: Report) -> Renderer:
                return Renderer(tracks, models.restorer, models.template, blend_settings(settings), counts, progress, models.embedder)

            with report.timed("render"):
                progress.stage("render", tracks.frames)
                frames = frames_in(plan.reader.frames(), plan.keep)
                render_segments(item.path, frames, tracks, open_renderer, partial(encode_frames, plan.encoder), work, report, progress)
            if fingerprint(item.path) != key["the source"]:
                raise InputError(f"{item.path}: has changed while it was restored", "leave it alone; the same command starts over")
            with report.timed("assemble"):
                progress.stage("assemble", 0)
                tags = {"restored_by": f"gpenvid {__version__}, {models.restorer.card.name}"} if settings.tag else {}
                written = _assemble(item, plan, tags, work, len(cut_segments(tracks.shots)), overwrite=settings.overwrite)
                if written.moved:
                    report.warnings.append(
                        f"{written.moved} packets beside the picture had times that were missing or fell back, and were moved"
                    )
    except OSError as error:
        raise InputError(f"{plan.output}: cannot be written ({error.strerror})", ROOM) from error
    if settings.stability:
        with report.timed("measure"):
            progress.stage("measure", 0)
            meter = StabilityMeter(tracks, models.restorer, models.template, blend_settings(settings), models.detector, models.embedder)
            report.stability += meter.measure(frames_in(plan.reader.frames(), plan.keep))
    return report


def _assemble(item: Input, plan: VideoPlan, tags: dict[str, str], work: Work, segments: int, *, overwrite: bool) -> Written:
    """Put the result together, check it, and give it its name. Returns what went into it."""
    result = work.path / f"result{plan.container.suffix}"
    try:
        written = assemble(
            result,
            source=item.path,
            info=plan.reader.info,
            segments=[work.segment_path(i) for i in range(segments)],
            settings=plan.encoder,
            container=plan.container,
            plan=plan.streams,
            keep=plan.keep,
            tags=tags,
        )
        sync(result)
        check_result(result, written)
        # Hours have passed since it was looked at.
        check_output(item, plan.output, overwrite=overwrite)
        work.save_result(result)
        result.replace(plan.output)
    except BaseException:
        # The segments stay; half a file is of no use and may be what fills the disk.
        result.unlink(missing_ok=True)
        raise
    sync(plan.output.parent)
    return written


def choose_people(settings: RestoreSettings, tracks: Tracks) -> Tracks:
    """The tracks with the people left out that a user does not want.

    Raises:
        UsageError: if there is no such track.
    """
    return tracks.chosen(settings.only, settings.exclude)


def kept_tracks(
    item: Input,
    reader: VideoReader,
    keep: TimeRange,
    settings: RestoreSettings,
    detector: Detector | None,
    work: Work,
    report: Report,
    progress: Progress,
) -> Tracks:
    """The tracks to render, from an earlier run where there was one."""
    saved = work.saved_tracks()
    if saved is None:
        found = find_tracks(item, reader, keep, settings, detector, report.stages, progress)
        faults = reader.faults.sentences(item.path)
        saved = work.save_tracks(found, faults), faults
    tracks, faults = saved
    for fault in faults:
        report.warnings.append(fault)
        progress.note(fault)
    tracks = choose_people(settings, tracks)
    describe_tracks(report, tracks)
    return tracks


def find_tracks(
    item: Input,
    reader: VideoReader,
    keep: TimeRange,
    settings: RestoreSettings,
    detector: Detector | None,
    stages: list[StageTimes],
    progress: Progress,
) -> Tracks:
    """The tracks of the chosen part: from the sidecar where one is named, else analysed.

    Args:
        detector: None only where a sidecar is named.

    Raises:
        InputError: no frame lies in the chosen part, or the sidecar tells of another clip.
    """
    if settings.tracks is None:
        assert detector is not None
        progress.stage("analyse", reader.info.frame_count if keep.is_whole else 0)
        wanted, chosen = frames_in(reader.frames(), keep), tracker_settings(settings)
        tracks = analyse_frames(wanted, reader.info.geometry, detector, progress, settings=chosen, stages=stages)
        if not tracks.frames:
            raise InputError(f"{item.path}: no frame lies in the chosen part", "check --start and --end")
        return tracks
    # Before the frames are counted, which takes its time: the render goes by what stood there when it was started.
    tracks = read_sidecar(settings.tracks)
    frames = sum(1 for _ in frames_in(reader.frames(), keep))
    check_tracks_of(tracks, settings.tracks, item.path, frames, reader.info.display_size, settings.start)
    return tracks
