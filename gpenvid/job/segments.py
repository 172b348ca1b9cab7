"""Rendering a clip segment by segment, each as if it were the only one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from gpenvid.errors import GpenvidError, InputError
from gpenvid.faces.tracks import Tracks
from gpenvid.job.parts import cut_segments
from gpenvid.job.progress import Progress
from gpenvid.job.render import Renderer
from gpenvid.job.report import Report
from gpenvid.job.work import SegmentRecord, Work
from gpenvid.media.encoders import EncoderSettings, encode_frames
from gpenvid.media.frame import Frame
from gpenvid.media.segments import write_segment

OpenRenderer = Callable[[Report], Renderer]
"""Makes a renderer that counts into the given report."""


class FrameFeed:
    """Hands out runs of consecutive frames of one pass over a file, runs that overlap by a few frames included.

    Args:
        frames: all frames, from index 0.
        reach: most frames that a run goes back behind the end of the one before it, or ahead of its own end.
    """

    def __init__(self, frames: Iterable[Frame], reach: int) -> None:
        self._frames = enumerate(frames)
        self._reach = reach
        self._held: dict[int, Frame] = {}

    def run(self, first: int, end: int, last: int) -> Iterator[Frame]:
        """The frames from `first` up to, not including, `last`.

        Args:
            end: where the part ends whose frames will be changed in place; those of its end that the next run may want are copied.

        Raises:
            InputError: if there are not so many.
        """
        self._held = {i: f for i, f in self._held.items() if i >= first}
        for index in range(first, last):
            frame = self._held.get(index) or self._read(index)
            if index >= end:
                self._held[index] = frame
            elif index >= end - self._reach:
                self._held[index] = _untouched(frame)
            yield frame

    def _read(self, wanted: int) -> Frame:
        for index, frame in self._frames:
            if index == wanted:
                return frame
        raise InputError("the source ends earlier than when it was analysed", "leave it alone while it is restored; run again")


def _untouched(frame: Frame) -> Frame:
    # Two frames a segment: a picture's planes, not its decoder's buffer, because that one is written to.
    return replace(frame, _av=None, _planes=[plane.copy() for plane in frame.planes], _writable=True)


def render_segments(
    frames: Iterable[Frame],
    tracks: Tracks,
    open_renderer: OpenRenderer,
    encoder: EncoderSettings,
    work: Work,
    report: Report,
    progress: Progress,
) -> None:
    """Render what is not finished yet; the frames of finished segments are decoded and passed over.

    A segment is rendered by a renderer of its own with its own neighbours, so that its bytes, down to how crops fall into
    batches, are the same whatever was rendered before it. A segment that continues a shot pays for that with `reach` frames
    that are restored twice on either side: four in a hundred.

    Raises:
        InputError: the source has fewer frames than tracks, or the encoder fails.
        OSError: the disk is full or fails.
        GpenvidError: anything else, with the frames it happened in.
    """
    segments = cut_segments(tracks.shots)
    finished = work.finished(segments)
    if finished:
        progress.note(f"continuing: {len(finished)} of {len(segments)} segments are finished")
    feed = FrameFeed(frames, open_renderer(Report("", "")).reach)
    for number, (begin, end) in enumerate(segments):
        record = finished.get(number)
        if record is None:
            shot = next(s for s in tracks.shots if s.start <= begin < s.end)
            record = _render(number, (begin, end), (shot.start, shot.end), feed, open_renderer, encoder, work)
        else:
            progress.advance(end - begin, record.faces)
        report.frames += end - begin
        report.faces += record.faces
        for reason, count in record.skipped.items():
            report.skip(reason, count)


def _render(
    number: int,
    part: tuple[int, int],
    shot: tuple[int, int],
    feed: FrameFeed,
    open_renderer: OpenRenderer,
    encoder: EncoderSettings,
    work: Work,
) -> SegmentRecord:
    begin, end = part
    counts = Report("", "")
    renderer = open_renderer(counts)
    first, last = max(shot[0], begin - renderer.reach), min(shot[1], end + renderer.reach)
    try:
        rendered = renderer.render(feed.run(first, end, last), first, begin, end)
        digest = write_segment(work.segment_path(number), encode_frames(encoder, rendered))
    except (GpenvidError, OSError):
        raise
    except Exception as error:
        raise GpenvidError(
            f"frames {begin} to {end - 1} could not be rendered ({type(error).__name__}: {error})",
            "the same command tries again from there; --debug shows where it happened",
        ) from error
    record = SegmentRecord(number, begin, end, digest, counts.faces, counts.skipped)
    work.save_segment(record)
    return record
