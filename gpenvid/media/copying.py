"""Streams beside the picture, packet by packet: one clock, the kept part, times that rise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream

from gpenvid.media.containers import Container
from gpenvid.media.cuts import Cuts, decoded_at
from gpenvid.media.hidden import heard_packets
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


def copied_packets(
    file: InputContainer, source: Path, indices: Sequence[int], keep: TimeRange, container: Container, zero: Fraction = Fraction(0)
) -> Iterator[Copied]:
    """The packets of some streams that belong into the kept part.

    Where the source is cut short, they end: the reader has said so.

    Args:
        file: the source, opened, nothing read.
        indices: which of its streams.
        container: of the result.
        zero: the moment of a whole film that becomes zero, in seconds; a part begins there.
    """
    strict = not container.is_matroska  # decoding times of a stream must not stand still either
    offsets = jump_offsets(source) if indices else [Fraction(0)]
    lines = {index: _Line(file.streams[index], FollowingTimeline(offsets), strict=strict) for index in indices}
    shift, last = zero if keep.start is None else keep.start, Fraction(-(10**9))
    packets = heard_packets(_whole_packets(file, indices), hides=container.is_quicktime)
    for packet, missing in _kept_packets(file, packets, indices, keep, lines):
        if packet.stream.disposition & Disposition.attached_pic:
            packet.pts = packet.dts = 0
            last = max(last, Fraction(0))
            yield Copied(packet, last, False)
            continue
        moved = lines[packet.stream_index].rise(packet) or missing
        ticks = round(shift / packet.time_base)
        if ticks:
            packet.pts = None if packet.pts is None else packet.pts - ticks
            packet.dts = None if packet.dts is None else packet.dts - ticks
        last = max(last, decoded_at(packet))
        yield Copied(packet, last, moved)


def _kept_packets(
    file: InputContainer, packets: Iterable[Packet[Any]], indices: Sequence[int], keep: TimeRange, lines: Mapping[int, _Line]
) -> Iterator[tuple[Packet[Any], bool]]:
    """Covers, and what belongs into the kept part, on one clock; and whether it had no time at all."""
    cuts = Cuts((file.streams[index] for index in indices), keep)
    for packet in packets:
        if packet.stream.disposition & Disposition.attached_pic:
            yield packet, False
            continue
        if is_empty_text(packet.stream, bytes(packet)):
            continue  # MP4's muxer writes its own where a text ends
        missing = lines[packet.stream_index].join(packet)
        yield from ((one, missing and one is packet) for one in cuts.take(packet))
    yield from ((one, False) for one in cuts.standing())


def _whole_packets(file: InputContainer, indices: Sequence[int]) -> Iterator[Packet[Any]]:
    """Packets with anything in them, up to where the source is cut short."""
    packets = packets_of(file, [file.streams[i] for i in indices])
    while True:
        try:
            packet = next(packets, None)
        except (av.error.FFmpegError, OSError):
            return
        if packet is None:
            return
        if packet.size:
            yield _without_header(packet)


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
