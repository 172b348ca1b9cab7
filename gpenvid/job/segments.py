"""Rendering a clip segment by segment, each as if it were the only one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from av.packet import Packet
from av.video.stream import VideoStream

from gpenvid.errors import GpenvidError, InputError
from gpenvid.faces.tracks import Tracks
from gpenvid.job.parts import cut_segments
from gpenvid.job.pipeline import QUEUE_BYTES, Pipeline, frame_bytes
from gpenvid.job.progress import Progress
from gpenvid.job.render import FrameJob, Renderer
from gpenvid.job.report import Report
from gpenvid.job.work import SegmentRecord, Work
from gpenvid.media.frame import Frame
from gpenvid.media.segments import write_segment

Encode = Callable[[Iterator[Frame]], "Iterator[Packet[VideoStream]]"]
"""Encodes a segment's frames by themselves; the first packet is of the first frame."""

OpenRenderer = Callable[[Report], Renderer]
"""Makes a renderer that counts into the given report."""


class FrameFeed:
    """Hands out runs of consecutive frames of one pass over a file, runs that overlap by a few frames included.

    Args:
        source: their file, for messages.
        frames: all frames, from index 0.
        reach: most frames that a run goes back behind the end of the one before it, or ahead of its own end.
    """

    def __init__(self, source: Path, frames: Iterable[Frame], reach: int) -> None:
        self._source = source
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
        raise InputError(f"{self._source}: ends earlier than when it was analysed", "leave it alone while it is restored; run again")


def _untouched(frame: Frame) -> Frame:
    # Two frames a segment: a picture's planes, not its decoder's buffer, because that one is written to.
    return replace(frame, _av=None, _planes=[plane.copy() for plane in frame.planes], _writable=True)


@dataclass(frozen=True)
class _Part:
    """A segment on its way through the stages, with a renderer and counts of its own."""

    number: int
    begin: int
    end: int
    renderer: Renderer
    counts: Report


@dataclass(frozen=True)
class _End:
    """Marks that all of a segment has come: an error after it is not that segment's."""


_Flow = Iterator[FrameJob | _End]


def render_segments(
    source: Path,
    frames: Iterable[Frame],
    tracks: Tracks,
    open_renderer: OpenRenderer,
    encode: Encode,
    work: Work,
    report: Report,
    progress: Progress,
    *,
    queue_bytes: int = QUEUE_BYTES,
) -> None:
    """Render what is not finished yet; the frames of finished segments are decoded and passed over.

    Decoding, restoring, blending and encoding run at the same time, across the borders of segments.

    A segment is rendered by a renderer of its own with its own neighbours, so that its bytes, down to how crops fall into
    batches, are the same whatever was rendered before it. A segment that continues a shot pays for that with `reach` frames
    that are restored twice on either side: eight in a hundred where a shot is a little longer than a segment, and fewer in longer ones.

    Raises:
        InputError: the source has fewer frames than tracks, or the encoder fails.
        OSError: the disk is full or fails.
        GpenvidError: anything else, with the frames it happened in.
    """
    segments = cut_segments(tracks.shots)
    finished = work.finished(segments)
    if finished:
        progress.note(f"continuing: {len(finished)} of {len(segments)} segments are finished")
    parts: list[_Part] = []
    for number, (begin, end) in enumerate(segments):
        if number not in finished:
            counts = Report("", "")
            parts.append(_Part(number, begin, end, open_renderer(counts), counts))
    by_number = {part.number: part for part in parts}
    pipeline = Pipeline("encode", queue_bytes)
    try:
        with pipeline:
            decoded = pipeline.run("decode", frames, frame_bytes)
            restored = pipeline.run("restore", _restore(source, decoded, tracks, parts, pipeline.check), _weight)
            blended = pipeline.run("blend", _blend(restored, parts), _weight)
            for number, (begin, end) in enumerate(segments):
                record = finished.get(number)
                if record is None:
                    record = _encode(by_number[number], blended, encode, work)
                else:
                    progress.advance(end - begin, record.faces)
                report.frames += end - begin
                report.faces += record.faces
                for reason, count in record.skipped.items():
                    report.skip(reason, count)
    finally:
        report.stages += pipeline.stages


def _weight(item: FrameJob | _End) -> int:
    return item.nbytes if isinstance(item, FrameJob) else 0


def _restore(source: Path, frames: Iterable[Frame], tracks: Tracks, parts: list[_Part], check: Callable[[], None]) -> _Flow:
    feed = FrameFeed(source, frames, max((part.renderer.reach for part in parts), default=0))
    for part in parts:
        shot = next(s for s in tracks.shots if s.start <= part.begin < s.end)
        reach = part.renderer.reach
        first, last = max(shot.start, part.begin - reach), min(shot.end, part.end + reach)
        yield from part.renderer.restored(feed.run(first, part.end, last), first, check)
        yield _End()


def _until_end(flow: _Flow) -> Iterator[FrameJob]:
    for item in flow:
        if isinstance(item, _End):
            return
        yield item


def _blend(restored: _Flow, parts: list[_Part]) -> _Flow:
    for part in parts:
        yield from part.renderer.finished(_until_end(restored), part.begin, part.end)
        yield _End()


def _encode(part: _Part, blended: _Flow, encode: Encode, work: Work) -> SegmentRecord:
    try:
        done = (part.renderer.count(job) for job in _until_end(blended))
        digest = write_segment(work.segment_path(part.number), encode(done))
    except (GpenvidError, OSError):
        raise
    except Exception as error:
        raise GpenvidError(
            f"frames {part.begin} to {part.end - 1} could not be rendered ({type(error).__name__}: {error})",
            "the same command tries again from there; --debug shows where it happened",
        ) from error
    record = SegmentRecord(part.number, part.begin, part.end, digest, part.counts.faces, part.counts.skipped)
    work.save_segment(record)
    return record
