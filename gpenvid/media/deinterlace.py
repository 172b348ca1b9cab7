"""Fields: deinterlacing with FFmpeg's bwdif, one frame out for each frame in, and marking which field comes first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
from av.filter import Graph
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.stream import VideoStream


class Deinterlacer:
    """bwdif over frames marked interlaced; frames marked progressive pass. Looks one frame back and one ahead."""

    def __init__(self, stream: VideoStream) -> None:
        self._graph = Graph()
        source = self._graph.add_buffer(template=stream, time_base=stream.time_base)
        bwdif = self._graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
        sink = self._graph.add("buffersink")
        source.link_to(bwdif)
        bwdif.link_to(sink)
        self._graph.configure()

    def apply(self, frames: Iterable[VideoFrame]) -> Iterator[VideoFrame]:
        """Deinterlace in order; as many frames come out as go in, with their times."""
        for frame in frames:
            self._graph.push(frame)
            yield from self._pull()
        self._graph.push(None)
        yield from self._pull()

    def _pull(self) -> Iterator[VideoFrame]:
        while True:
            try:
                frame = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            assert isinstance(frame, VideoFrame)
            yield frame


class FieldMarker:
    """Marks frames as interlaced. Encoders read the order of fields from every frame, and conversions lose it."""

    def __init__(self, pixel_format: str, width: int, height: int, bottom_first: bool) -> None:
        self._graph = Graph()
        # Times pass as they are: the clock given here is not used.
        source = self._graph.add_buffer(width=width, height=height, format=VideoFormat(pixel_format), time_base=Fraction(1, 1000))
        marker = self._graph.add("setfield", "bff" if bottom_first else "tff")
        sink = self._graph.add("buffersink")
        source.link_to(marker)
        marker.link_to(sink)
        self._graph.configure()

    def mark(self, frame: VideoFrame) -> VideoFrame:
        """The same picture, marked."""
        self._graph.push(frame)
        marked = self._graph.pull()
        assert isinstance(marked, VideoFrame)
        marked.pts, marked.time_base, marked.duration, marked.pict_type = frame.pts, frame.time_base, frame.duration, frame.pict_type
        return marked
