"""What the chosen part of a clip holds of its other streams, known before the work."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from gpenvid.media.chapters import chapters_of, moved_by_joining
from gpenvid.media.containers import Container
from gpenvid.media.copying import copied_packets
from gpenvid.media.cuts import shown_at
from gpenvid.media.hidden import heard_packets
from gpenvid.media.probe import is_attached_picture, open_input, packets_of
from gpenvid.media.streams import StreamPlan, is_empty_text, name_of
from gpenvid.media.time_range import TimeRange


def plan_part(source: Path, plan: StreamPlan, container: Container, keep: TimeRange) -> StreamPlan:
    """The plan for a part of the source: without streams that have nothing in it where the container has no empty ones.

    Reads until every stream has been seen, which takes a moment unless one is empty.

    Raises:
        InputError: if the source cannot be opened.
    """
    with open_input(source) as file:
        streams = [file.streams[i] for i in plan.copied]
        cut = [s.index for s in streams if isinstance(s, VideoStream) and not is_attached_picture(s) and not keep.is_whole]
        begin = _first_times(source, cut if container.is_matroska else plan.copied, keep, container)
        where = "" if keep.is_whole else " in the chosen part"
        copied, dropped = list(plan.copied), list(plan.dropped)
        for stream in streams:
            if begin.get(stream.index, Fraction(0)) is None:
                what = "keyframe" if stream.index in cut else "packets"
                dropped.append(f"{name_of(stream)} has no {what}{where}; nothing of it is kept")
                if not container.is_matroska:
                    copied.remove(stream.index)
            elif stream.index in cut and (late := _late(stream, begin[stream.index], keep)):
                dropped.append(f"{name_of(stream)} begins {float(late):.2f} s after the chosen part does, with its first keyframe there")
        chapters = chapters_of(file, keep, Fraction(0), without_gaps=False) if plan.chapters and container.is_quicktime else []
        if moved := moved_by_joining(chapters):
            dropped.append(f"{container.suffix} holds chapters without gaps: {moved} begin or end elsewhere (a .mkv output keeps them)")
    return replace(plan, copied=copied, dropped=dropped)


def _first_times(source: Path, indices: list[int], keep: TimeRange, container: Container) -> dict[int, Fraction | None]:
    """When the first packet of each stream is shown, in seconds after the part's begin; None for those without one."""
    begin: dict[int, Fraction | None] = dict.fromkeys(indices)
    missing = set(indices)
    with open_input(source) as file:
        for packet in _packets(file, source, indices, keep, container) if missing else ():
            if packet.stream_index in missing:
                begin[packet.stream_index] = shown_at(packet)
                missing.remove(packet.stream_index)
            if not missing:
                break
    return begin


def _packets(file: InputContainer, source: Path, indices: list[int], keep: TimeRange, container: Container) -> Iterator[Packet[Any]]:
    if not keep.is_whole:
        yield from (copied.packet for copied in copied_packets(file, source, indices, keep, container))
        return
    # Whether there are any does not depend on joined clocks, which cost a pass over the whole file.
    try:
        for packet in heard_packets(packets_of(file, [file.streams[i] for i in indices]), hides=container.is_quicktime):
            if packet.size and not is_empty_text(packet.stream, bytes(packet)):
                yield packet
    except (av.error.FFmpegError, OSError):
        return  # a truncated source: what is missing has no packets


def _late(stream: VideoStream | Stream, begin: Fraction | None, keep: TimeRange) -> Fraction:
    """Seconds of pictures that are lost before the first keyframe of the part; 0 where that is less than a frame."""
    assert isinstance(stream, VideoStream)
    start = keep.start or Fraction(0)
    own = (stream.start_time or 0) * (stream.time_base or Fraction(0)) - start
    late = (begin or Fraction(0)) - max(own, Fraction(0))
    return late if late > 1 / (stream.average_rate or Fraction(25)) else Fraction(0)
