"""Streams beside the picture, packet by packet: one clock, the kept part, times that rise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream

from gpenvid.media.probe import packets_of
from gpenvid.media.streams import is_empty_text
from gpenvid.media.time_range import TimeRange
from gpenvid.media.timeline import FollowingTimeline, jump_offsets


@dataclass(frozen=True)
class Copied:
    """A packet of a stream beside the picture.

    Attributes:
        packet: as it goes into the result, its times shifted so that the kept part begins at zero; its stream is the source's.
        moment: decoding time in seconds, rising over all packets as a heap merge needs it; files are interleaved only roughly.
        moved: its times were missing or fell back.
    """

    packet: Packet[Any]
    moment: Fraction
    moved: bool


def copied_packets(file: InputContainer, source: Path, indices: Sequence[int], keep: TimeRange, *, strict: bool) -> Iterator[Copied]:
    """The packets of some streams that belong into the kept part.

    Where the source is cut short, they end: the reader has said so.

    Args:
        file: the source, opened, nothing read.
        indices: which of its streams.
        strict: decoding times of a stream must not stand still either, as in MP4.
    """
    offsets = jump_offsets(source) if indices else [Fraction(0)]
    lines = {index: _Line(file.streams[index], FollowingTimeline(offsets), strict=strict) for index in indices}
    cuts = {index: cut_of(file.streams[index], keep) for index in indices}
    shift = keep.start or Fraction(0)
    last = Fraction(-(10**9))
    packets = packets_of(file, [file.streams[i] for i in indices])
    while True:
        try:
            packet = next(packets, None)
        except (av.error.FFmpegError, OSError):
            return
        if packet is None:
            return
        if packet.size == 0:
            continue
        packet = _without_header(packet)
        if packet.stream.disposition & Disposition.attached_pic:
            packet.pts = packet.dts = 0
            last = max(last, Fraction(0))
            yield Copied(packet, last, False)
            continue
        if is_empty_text(packet.stream, bytes(packet)):
            continue  # MP4's muxer writes its own where a text ends
        line = lines[packet.stream_index]
        moved = line.join(packet)
        if not cuts[packet.stream_index].take(packet):
            continue
        moved |= line.rise(packet)
        ticks = round(shift / packet.time_base)
        if ticks:
            packet.pts = None if packet.pts is None else packet.pts - ticks
            packet.dts = None if packet.dts is None else packet.dts - ticks
        last = max(last, decoded_at(packet))
        yield Copied(packet, last, moved)


def shown_at(packet: Packet[Any]) -> Fraction:
    """When a packet is shown, in seconds."""
    return ((packet.pts if packet.pts is not None else packet.dts) or 0) * packet.time_base


def decoded_at(packet: Packet[Any]) -> Fraction:
    """When a packet is decoded, in seconds."""
    return ((packet.dts if packet.dts is not None else packet.pts) or 0) * packet.time_base


class Cut:
    """What of a stream a part keeps: packets that begin in it."""

    def __init__(self, keep: TimeRange) -> None:
        self.keep = keep

    def take(self, packet: Packet[Any]) -> bool:
        """Whether the packet belongs into the part; its times are changed in place where only some of it does."""
        return self.keep.holds(shown_at(packet))


class _SubtitleCut(Cut):
    """Subtitles that are on screen when the part begins are kept from there on, and end with it.

    Bitmaps of Blu-ray discs and broadcasts state no duration: of these, only the ones that begin in the part.
    """

    def take(self, packet: Packet[Any]) -> bool:
        if not packet.duration:
            return super().take(packet)
        begin, base = shown_at(packet), packet.time_base
        end = begin + packet.duration * base
        first = begin if self.keep.start is None else max(begin, self.keep.start)
        last = end if self.keep.end is None else min(end, self.keep.end)
        if first >= last:
            return False
        if first > begin:
            packet.pts = packet.dts = round(first / base)
        if (first, last) != (begin, end):
            packet.duration = max(1, round((last - first) / base))
        return True


class _PictureCut(Cut):
    """A copied video stream begins with a keyframe; what refers to pictures before it is left out.

    At the end, pictures that others are predicted from are kept: in the order of decoding they lie before the end.
    """

    def __init__(self, keep: TimeRange) -> None:
        super().__init__(keep)
        self._begin: Fraction | None = None

    def take(self, packet: Packet[Any]) -> bool:
        if self.keep.is_whole:
            return True
        shown = shown_at(packet)
        if self._begin is None and packet.is_keyframe and self.keep.holds(shown):
            self._begin = shown
        if self._begin is None or shown < self._begin:
            return False
        return self.keep.end is None or decoded_at(packet) < self.keep.end


def cut_of(stream: Stream, keep: TimeRange) -> Cut:
    """How a stream is cut to a part."""
    kind = {"video": _PictureCut, "subtitle": _SubtitleCut}.get(stream.type, Cut)
    return kind(keep)


def _without_header(packet: Packet[Any]) -> Packet[Any]:
    """The packet without a codec header of its own; what each stream begins with stands in the container's header.

    FFmpeg's Matroska muxer writes such a header over the one at the beginning, and behind it where it is longer.
    """
    if not packet.has_sidedata("new_extradata"):
        return packet
    plain: Packet[Any] = Packet(bytes(packet))
    plain.stream, plain.time_base = packet.stream, packet.time_base
    plain.pts, plain.dts, plain.duration, plain.is_keyframe = packet.pts, packet.dts, packet.duration, packet.is_keyframe
    for beside in packet.iter_sidedata():
        if beside.data_type != "new_extradata":
            plain.set_sidedata(beside)
    return plain


class _Line:
    """The times of one stream: on one clock, none missing, decoding times never falling, nor standing still where the muxer is `strict`."""

    def __init__(self, stream: Stream, timeline: FollowingTimeline, *, strict: bool) -> None:
        self._lasts = stream.type in ("audio", "video")
        self._timeline = timeline
        self._least = int(strict)
        self._last: int | None = None
        self._end = 0

    def join(self, packet: Packet[Any]) -> bool:
        """Put a packet on the joined clock, in place; whether it had no time at all. To be called with every packet."""
        self._timeline.mend(packet)
        missing = packet.pts is None and packet.dts is None
        if missing:
            packet.pts = packet.dts = self._end
        if packet.dts is not None:
            self._end = packet.dts + (packet.duration or 1)
        return missing

    def rise(self, packet: Packet[Any]) -> bool:
        """Move a packet that is kept behind the one before it, in place; whether that was needed."""
        if packet.dts is None:
            return False  # the first packets of Matroska's reordered streams; the muxer knows what to do
        falls = self._last is not None and packet.dts < self._last + self._least
        if self._last is not None and falls:
            packet.dts = self._last + self._least
            if packet.pts is not None:
                packet.pts = max(packet.pts, packet.dts)
        if self._lasts and not packet.duration and self._last is not None:
            packet.duration = packet.dts - self._last  # Matroska may state none, and MP4 hides a last packet that lasts no time
        self._last = packet.dts
        return falls
