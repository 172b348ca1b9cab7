"""From a video to finished segments in its work folder: what every result of a video has in common."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from gpenvid.errors import InputError, NoRoomError
from gpenvid.faces.detector import Detector
from gpenvid.faces.tracks import Tracks
from gpenvid.job.analyse import analyse_frames, tracker_settings
from gpenvid.job.identity import fingerprint, job_key
from gpenvid.job.inputs import Input, check_space
from gpenvid.job.models import Models
from gpenvid.job.parts import cut_segments, frames_in
from gpenvid.job.pipeline import StageTimes
from gpenvid.job.progress import Progress
from gpenvid.job.render import Renderer, blend_settings
from gpenvid.job.report import Report, describe_tracks
from gpenvid.job.segments import Encode, render_segments
from gpenvid.job.sidecar import check_tracks_of, read_sidecar
from gpenvid.job.work import Work, opened_work
from gpenvid.media.probe import VideoInfo
from gpenvid.media.reader import VideoReader
from gpenvid.media.time_range import TimeRange
from gpenvid.settings import RestoreSettings

_ROOM = "make room, then run the same command again: it continues; or choose another -o"


@dataclass(frozen=True)
class Rendered:
    """All frames of a part, restored and encoded.

    Attributes:
        tracks: of the people that were wanted.
        work: the folder of the segments.
        segments: their files, in order.
    """

    tracks: Tracks
    work: Work
    segments: list[Path]


@contextmanager
def rendered(
    item: Input,
    output: Path,
    reader: VideoReader,
    keep: TimeRange,
    settings: RestoreSettings,
    models: Models,
    encode: Encode,
    *,
    name: str,
    space: int,
    report: Report,
    progress: Progress,
) -> Iterator[Rendered]:
    """Analyse and render a video, continuing what an earlier run has finished; the block gives the result its name.

    Args:
        output: where the result goes; the work folder lies beside it.
        keep: the chosen part.
        encode: a segment's frames to packets.
        name: of the encoding: segments of another one are of no use.
        space: bytes that segments and result are likely to take, side by side as they stand for a moment.

    Raises:
        InputError: the source cannot be read, or has changed meanwhile, or the place cannot be written to.
        NoRoomError: the disk is full, or will be.
        UsageError: another process works on this output, or there are no such people.
    """
    key = job_key(item.path, settings, models.finder, models.restorer, name)
    named = None if settings.tracks is None else cache(partial(_from_sidecar, item, reader, keep, settings, settings.tracks))

    def fits(saved: Tracks | None) -> None:
        if tracks := saved or (named and named()):
            _choose_people(settings, tracks)

    try:
        with opened_work(output, key, restart=settings.restart, keep=settings.keep_work, fits=fits, note=progress.note) as work:
            check_space(output.parent, space - work.size(), progress.note)
            with report.timed("analyse"):
                find = named or partial(_analyse, item, reader, keep, settings, models.detector, report.stages, progress)
                tracks = _kept_tracks(find, item, reader, settings, work, report, progress)

            def open_renderer(counts: Report) -> Renderer:
                return Renderer(tracks, models.restorer, models.template, blend_settings(settings), counts, progress, models.embedder)

            with report.timed("render"):
                progress.stage("render", tracks.frames)
                render_segments(item.path, frames_in(reader.frames(), keep), tracks, open_renderer, encode, work, report, progress)
            if fingerprint(item.path) != key["the source"]:
                raise InputError(f"{item.path}: has changed while it was restored", "leave it alone; the same command starts over")
            with report.timed("assemble"):
                progress.stage("assemble", 0)
                yield Rendered(tracks, work, [work.segment_path(i) for i in range(len(cut_segments(tracks.shots)))])
    except OSError as error:
        kind = NoRoomError if error.errno in (errno.ENOSPC, errno.EDQUOT) else InputError
        raise kind(f"{output}: cannot be written ({error.strerror})", _ROOM) from error


def frames_to_write(info: VideoInfo, settings: RestoreSettings) -> int:
    """An estimate of how many frames the chosen part has, by what the container says."""
    rate = float(info.frame_rate or 25)
    whole = info.frame_count or round(info.duration * rate)
    first = round((settings.start or 0) * rate)
    last = whole if settings.end is None else round(settings.end * rate)
    return max(1, min(whole or last, last) - first)


def _choose_people(settings: RestoreSettings, tracks: Tracks) -> Tracks:
    return tracks.chosen(settings.only, settings.exclude)


def _kept_tracks(
    find: Callable[[], Tracks],
    item: Input,
    reader: VideoReader,
    settings: RestoreSettings,
    work: Work,
    report: Report,
    progress: Progress,
) -> Tracks:
    """The tracks to render, from an earlier run where there was one."""
    saved = work.saved_tracks()
    if saved is None:
        found = find()
        faults = reader.faults.sentences(item.path)
        saved = work.save_tracks(found, faults), faults
    tracks, faults = saved
    for fault in faults:
        report.warnings.append(fault)
        progress.note(fault)
    tracks = _choose_people(settings, tracks)
    describe_tracks(report, tracks)
    return tracks


def _analyse(
    item: Input,
    reader: VideoReader,
    keep: TimeRange,
    settings: RestoreSettings,
    detector: Detector | None,
    stages: list[StageTimes],
    progress: Progress,
) -> Tracks:
    """The tracks of the chosen part.

    Raises:
        InputError: no frame lies in it.
    """
    assert detector is not None, "there is one wherever no sidecar is named"
    progress.stage("analyse", reader.info.frame_count if keep.is_whole else 0)
    wanted, chosen = frames_in(reader.frames(), keep), tracker_settings(settings)
    tracks = analyse_frames(wanted, reader.info.geometry, detector, progress, settings=chosen, stages=stages)
    if not tracks.frames:
        raise InputError(f"{item.path}: no frame lies in the chosen part", "check --start and --end")
    return tracks


def _from_sidecar(item: Input, reader: VideoReader, keep: TimeRange, settings: RestoreSettings, path: Path) -> Tracks:
    """The tracks that a sidecar tells of.

    Raises:
        InputError: it cannot be read, or tells of another clip.
    """
    # Before the frames are counted, which takes its time: the render goes by what stood there when it was started.
    tracks = read_sidecar(path)
    frames = sum(1 for _ in frames_in(reader.frames(), keep))
    check_tracks_of(tracks, path, item.path, frames, reader.info.display_size, settings.start)
    return tracks
