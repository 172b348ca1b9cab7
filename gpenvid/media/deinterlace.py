"""Deinterlacing with FFmpeg's bwdif, one frame out for each frame in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import av
from av.filter import Graph
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
