"""Restoring one video file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gpenvid import __version__
from gpenvid.errors import StoppedError, UsageError
from gpenvid.job.inputs import Input, also_read, check_output
from gpenvid.job.models import Models
from gpenvid.job.outputs import video_result
from gpenvid.job.parts import chosen_range, frames_in
from gpenvid.job.progress import Progress
from gpenvid.job.render import blend_settings
from gpenvid.job.rendered import Rendered, frames_to_write, rendered
from gpenvid.job.report import Report
from gpenvid.job.stability import StabilityMeter
from gpenvid.job.work import clean_up_after_success
from gpenvid.job.work_folder import keep_apart
from gpenvid.media.assemble import assemble, rehearse
from gpenvid.media.check import Written, check_result
from gpenvid.media.containers import Container
from gpenvid.media.encode import encode_frames
from gpenvid.media.encoder_choice import choose_encoder, lost_later
from gpenvid.media.encoders import EncoderRequest, EncoderSettings, estimated_bytes
from gpenvid.media.layout import layout_of
from gpenvid.media.part import plan_part
from gpenvid.media.reader import VideoReader
from gpenvid.media.segments import sync
from gpenvid.media.streams import StreamPlan, plan_streams
from gpenvid.media.time_range import TimeRange
from gpenvid.settings import RestoreSettings


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


class MeasuringStoppedError(StoppedError):
    """The user stopped the measuring; the result is complete.

    Attributes:
        report: of the result.
    """

    def __init__(self, stopped: StoppedError, report: Report) -> None:
        super().__init__(stopped.message, stopped.remedy)
        self.report = report

    def __reduce__(self) -> tuple[type[StoppedError], tuple[object, ...]]:
        return type(self), (StoppedError(self.message, self.remedy), self.report)


def plan_video(item: Input, output: Path | None, settings: RestoreSettings) -> VideoPlan:
    """Open the source and settle on container, encoder and streams.

    Raises:
        InputError, UsageError: whatever would stop the job later stops it here, before anything is written.
    """
    reader = VideoReader(item.path, deinterlace=settings.deinterlace)
    info = reader.info
    result = video_result(item, info, output)
    output, container, warnings = result.path, result.container, [result.reason] if result.reason else []
    keep_apart(output, [item.path, *also_read(settings)])
    if output.parent.is_dir():
        clean_up_after_success(output)
    check_output(item, output, overwrite=settings.overwrite)
    request = EncoderRequest(settings.codec, settings.crf, settings.preset)
    encoder, lost = choose_encoder(request, info, container, deinterlaced=settings.deinterlace)
    keep = chosen_range(reader, settings)
    reader.losses, reader.strict, reader.losing = lost_later(encoder.encoder, info), settings.strict, keep
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
    space = 2 * estimated_bytes(encoder, frames_to_write(info, settings))
    if streams.copied:
        space += item.path.stat().st_size // 20  # sound and subtitles, where they are not most of the file
    return VideoPlan(reader, keep, output, container, encoder, streams, warnings, space)


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
        MeasuringStoppedError: the result has its name.
    """
    plan = plan_video(item, output, settings)
    report = Report(str(item.path), str(plan.output), notes=list(plan.streams.notes), warnings=list(plan.warnings))
    for told in (*plan.streams.notes, *plan.warnings):
        progress.note(told)
    encode, name = partial(encode_frames, plan.encoder), repr(plan.encoder)
    with rendered(
        item, plan.output, plan.reader, plan.keep, settings, models, encode, name=name, space=plan.space, report=report, progress=progress
    ) as done:
        tags = {"restored_by": f"gpenvid {__version__}, {models.restorer.card.name}"} if settings.tag else {}
        written = _assemble(item, plan, tags, done, overwrite=settings.overwrite)
        if written.moved:
            told = f"{written.moved} packets beside the picture had times that were missing or fell back, and were moved"
            report.warnings.append(told)
    if settings.stability:
        with report.timed("measure"):
            meter = StabilityMeter(
                done.tracks, models.restorer, models.template, blend_settings(settings), models.detector, models.embedder
            )
            try:
                progress.stage("measure", 0)
                report.stability += meter.measure(frames_in(plan.reader.frames(), plan.keep))
            except StoppedError as stopped:
                report.warnings.append("its steadiness was not measured: that was stopped")
                raise MeasuringStoppedError(stopped, report) from stopped
    return report


def _assemble(item: Input, plan: VideoPlan, tags: dict[str, str], done: Rendered, *, overwrite: bool) -> Written:
    """Put the result together, check it, and give it its name. Returns what went into it."""
    result = done.work.path / f"result{plan.container.suffix}"
    try:
        written = assemble(
            result,
            source=item.path,
            info=plan.reader.info,
            segments=done.segments,
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
        done.work.save_result(result)
        result.replace(plan.output)
    except BaseException:
        # The segments stay; half a file is of no use and may be what fills the disk.
        result.unlink(missing_ok=True)
        raise
    sync(plan.output.parent)
    return written
