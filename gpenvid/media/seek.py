"""Any frame of a file, exactly as reading from the beginning gives it."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from gpenvid.errors import InputError
from gpenvid.media.frame import Frame
from gpenvid.media.reader import VideoReader

_PASS_OVER = 64  # frames that are decoded and passed over rather than sought across
_STEPS_BACK = (0, 16, 64, 256, 1024)  # frames before the one wanted to begin at, if a nearer beginning gives other pictures


class FrameIndex:
    """The time and a checksum of every frame, learnt while the file is read once from the beginning.

    Seeking is guesswork in most containers: a stream may not begin cleanly at the keyframe, frames may lack times, a demuxer may
    land elsewhere. With a checksum of each picture a wrong one is noticed instead of shown: 2 ms a frame of 1080p, once.
    """

    def __init__(self) -> None:
        self._pts: list[int] = []
        self._checks: list[int] = []
        self._places: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._checks)

    def watch(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Pass frames on, from the first one, and remember them."""
        for frame in frames:
            self._places[frame.pts] = len(self._pts)
            self._pts.append(frame.pts)
            self._checks.append(checksum(frame))
            yield frame

    def pts(self, index: int) -> int:
        """The presentation time of a frame."""
        return self._pts[index]

    def place(self, frame: Frame) -> int | None:
        """The index of a frame whose time is the container's own, None where no frame has that time."""
        return self._places.get(frame.pts)

    def is_right(self, index: int, frame: Frame) -> bool:
        """Whether a picture is the one that was seen there."""
        return checksum(frame) == self._checks[index]


def checksum(frame: Frame) -> int:
    """A checksum of all samples of a frame."""
    value = 0
    for plane in frame.planes:
        value = zlib.crc32(np.ascontiguousarray(plane).data, value)
    return value


class FrameSeeker:
    """Decodes from as near before a frame as gives the right pictures. For one thread at a time.

    Args:
        reader: of the same file, and set up in the same way, as the one that `index` watched.
    """

    def __init__(self, reader: VideoReader, index: FrameIndex) -> None:
        self._reader = reader
        self._index = index
        self._run: Iterator[Frame] | None = None
        self._next = 0  # the index that the run is about to give, where it goes on without a gap

    def frames_to(self, wanted: int) -> Iterator[Frame]:
        """Right frames in order, the last of which is `wanted`: those before it come by on the way.

        Raises:
            IndexError: the index does not know the frame (yet).
            InputError: the file gives it no more.
        """
        if not 0 <= wanted < len(self._index):
            raise IndexError(wanted)
        if self._run is not None and self._next <= wanted <= self._next + _PASS_OVER:
            yield from (found := _Last(self._checked(self._run, wanted)))
            if found.index == wanted:
                return
        for back in _STEPS_BACK:
            if wanted - back <= 0:
                break
            yield from (found := _Last(self._checked(self._sought(wanted - back), wanted)))
            if found.index == wanted:
                return
        # Read from the beginning the picture is right by definition.
        yield from (found := _Last(self._taken(self._reader.frames(), wanted)))
        if found.index != wanted:
            raise InputError(
                f"{self._reader.path}: ends earlier than when it was opened", "leave it alone while it is looked at; open it again"
            )

    def _sought(self, begin: int) -> Iterator[Frame]:
        for frame in self._reader.frames_from(self._index.pts(begin)):
            place = self._index.place(frame)
            if place is not None:
                yield replace(frame, index=place)

    def _checked(self, run: Iterator[Frame], wanted: int) -> Iterator[Frame]:
        return (frame for frame in self._taken(run, wanted) if self._index.is_right(frame.index, frame))

    def _taken(self, run: Iterator[Frame], wanted: int) -> Iterator[Frame]:
        """The frames of a run up to the one wanted; the run stays open behind it."""
        self._run = None
        for frame in run:
            if frame.index > wanted:
                return
            if frame.index == wanted:
                self._run, self._next = run, wanted + 1
            yield frame
            if frame.index == wanted:
                return


class _Last:
    """Passes frames on and remembers the index of the last."""

    def __init__(self, frames: Iterator[Frame]) -> None:
        self._frames = frames
        self.index = -1

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._frames:
            self.index = frame.index
            yield frame
