"""Parts of a clip: the range a user chose, and the segments work is cut into."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import pairwise

from gpenvid.faces.shots import Shot
from gpenvid.media.frame import Frame
from gpenvid.media.reader import VideoReader
from gpenvid.media.time_range import TimeRange
from gpenvid.settings import RestoreSettings

SEGMENT_FRAMES = 120
"""Longest segment: five seconds of film. Shorter ones cost keyframes and faces restored twice, longer ones more work after a crash."""


def chosen_range(reader: VideoReader, settings: RestoreSettings) -> TimeRange:
    """The chosen part on the source's own clock."""
    if settings.start is None and settings.end is None:
        return TimeRange()
    first = next(reader.frames(), None)
    origin = first.pts * first.time_base if first else Fraction(0)
    return TimeRange.counted_from(origin, settings.start, settings.end)


def frames_in(frames: Iterable[Frame], keep: TimeRange) -> Iterator[Frame]:
    """The frames of a range; reading stops at its end."""
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
        segments += pairwise(shot.start + length * i // parts for i in range(parts + 1))
    return segments
