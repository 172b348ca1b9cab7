"""Fields: which of them comes first, marking that, and deinterlacing with FFmpeg's bwdif, one frame out for each frame in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Literal

import av
from av.filter import Graph
from av.video.format import VideoFormat
from av.video.frame import VideoFrame

FieldOrder = Literal["progressive", "top first", "bottom first"]

_CLOCK = Fraction(1, 1000)  # of a graph whose frames keep the times they have
_MARKS: dict[FieldOrder, str] = {"progressive": "prog", "top first": "tff", "bottom first": "bff"}


class _Filter:
    """One FFmpeg filter, whatever size and format the frames turn to."""

    def __init__(self, name: str, arguments: str) -> None:
        self._filter = name, arguments
        self._graph: Graph | None = None
        self._made_for: tuple[int, int, str, Fraction] | None = None

    def frames(self, frame: VideoFrame) -> Iterator[VideoFrame]:
        """Those that are finished once this one has come."""
        wanted = frame.width, frame.height, frame.format.name, frame.time_base or _CLOCK
        if self._graph is None or wanted != self._made_for:
            yield from self.rest()
            self._graph, self._made_for = self._made(*wanted), wanted
        self._graph.push(frame)
        yield from self._pull(self._graph)

    def rest(self) -> Iterator[VideoFrame]:
        """Those that waited for the next one."""
        if self._graph is not None:
            self._graph.push(None)
            yield from self._pull(self._graph)
            self._graph = None

    def _made(self, width: int, height: int, pixel_format: str, clock: Fraction) -> Graph:
        graph = Graph()
        source = graph.add_buffer(width=width, height=height, format=VideoFormat(pixel_format), time_base=clock)
        graph.link_nodes(source, graph.add(*self._filter), graph.add("buffersink")).configure()
        return graph

    @staticmethod
    def _pull(graph: Graph) -> Iterator[VideoFrame]:
        while True:
            try:
                frame = graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            assert isinstance(frame, VideoFrame)
            yield frame


class Deinterlacer:
    """bwdif over frames marked interlaced; frames marked progressive pass. Looks one frame back and one ahead."""

    def __init__(self) -> None:
        self._bwdif = _Filter("bwdif", "mode=send_frame:parity=auto:deint=interlaced")

    def apply(self, frames: Iterable[VideoFrame]) -> Iterator[VideoFrame]:
        """Deinterlace in order; as many frames come out as go in, with their times."""
        for frame in frames:
            yield from self._bwdif.frames(frame)
        yield from self._bwdif.rest()


class FieldReader:
    """Tells a frame's order of fields. Decoders do not all say it of their stream, and PyAV not of a frame; a filter can ask."""

    def __init__(self) -> None:
        self._select = _Filter("select", "eq(interlace_type,BOTTOMFIRST)")

    def order(self, frame: VideoFrame) -> FieldOrder:
        """The order of the fields of a decoded frame."""
        if not frame.interlaced_frame:
            return "progressive"
        return "bottom first" if list(self._select.frames(frame)) else "top first"


class FieldMarker:
    """Marks frames as interlaced or not. Encoders read the order of fields from every frame, and conversions lose it."""

    def __init__(self) -> None:
        self._setfield = {order: _Filter("setfield", mark) for order, mark in _MARKS.items()}

    def mark(self, frame: VideoFrame, order: FieldOrder) -> VideoFrame:
        """The same picture, marked."""
        (marked,) = self._setfield[order].frames(frame)
        marked.pts, marked.time_base, marked.duration, marked.pict_type = frame.pts, frame.time_base, frame.duration, frame.pict_type
        return marked
