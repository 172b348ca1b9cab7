"""How each kind of stream is cut to a part: what begins in it, what is still seen or heard, and what that needs."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from av.packet import Packet
from av.stream import Stream

from gpenvid.media.bitmaps import COMPOSITIONS, Composition
from gpenvid.media.time_range import TimeRange


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

    def take(self, packet: Packet[Any]) -> list[Packet[Any]]:
        """What of the stream belongs into the part as of its next packet, whose times are changed in place where only some of it does."""
        return [packet] if self.keep.holds(shown_at(packet)) else []

    def standing(self) -> list[Packet[Any]]:
        """What began before the part and is seen when it begins, with the times of its beginning; each is handed out once."""
        return []


class _SubtitleCut(Cut):
    """Subtitles that are on screen when the part begins are kept from there on, and end with it, if they state how long they last."""

    def take(self, packet: Packet[Any]) -> list[Packet[Any]]:
        if not packet.duration:
            return super().take(packet)
        begin, end = shown_at(packet), _ends_at(packet)
        first = begin if self.keep.start is None else max(begin, self.keep.start)
        last = end if self.keep.end is None else min(end, self.keep.end)
        if first >= last:
            return []
        if (first, last) != (begin, end):
            self._show(packet, first)
        return [packet]

    def _show(self, packet: Packet[Any], moment: Fraction) -> Packet[Any]:
        """The packet shown at a moment, and as long as before or to the part's end if it states how long."""
        base = packet.time_base
        if packet.duration:
            end = _ends_at(packet)
            last = end if self.keep.end is None else min(end, self.keep.end)
            packet.duration = max(1, round((last - moment) / base))
        if moment != shown_at(packet):
            packet.pts = packet.dts = round(moment / base)
        return packet


def _ends_at(packet: Packet[Any]) -> Fraction:
    return shown_at(packet) + (packet.duration or 0) * packet.time_base


class BitmapCut(_SubtitleCut):
    """Bitmap subtitles last until the next composition: the one that is on screen when the part begins is sent then.

    What it refers to was sent since the last composition that needs nothing before it, and is sent with it.
    """

    def __init__(self, keep: TimeRange, read: Callable[[bytes], Composition | None]) -> None:
        super().__init__(keep)
        self._read = read
        self._held: list[Packet[Any]] = []
        self._until: Fraction | None = None
        self._begun = False

    def take(self, packet: Packet[Any]) -> list[Packet[Any]]:
        start = self.keep.start
        if start is None or shown_at(packet) >= start:
            return [*self.standing(), *super().take(packet)]
        if self._begun:  # it lies behind its time in the file
            return [self._show(packet, start)]
        composition = self._read(bytes(packet))
        if composition is not None:
            if composition.complete:
                self._held.clear()
            stated = packet.duration * packet.time_base if packet.duration else composition.lasts
            self._until = shown_at(packet) + min(stated, composition.lasts) if composition.visible else start
        self._held.append(packet)
        return []

    def standing(self) -> list[Packet[Any]]:
        start, held = self.keep.start, self._held
        self._held, self._begun = [], True
        if start is None or self._until is None or self._until <= start:
            return []
        return [self._show(packet, start) for packet in held]


class _PictureCut(Cut):
    """A copied video stream begins with a keyframe; what refers to pictures before it is left out.

    At the end, pictures that others are predicted from are kept: in the order of decoding they lie before the end.
    """

    def __init__(self, keep: TimeRange) -> None:
        super().__init__(keep)
        self._begin: Fraction | None = None

    def take(self, packet: Packet[Any]) -> list[Packet[Any]]:
        if self.keep.is_whole:
            return [packet]
        shown = shown_at(packet)
        if self._begin is None and packet.is_keyframe and self.keep.holds(shown):
            self._begin = shown
        if self._begin is None or shown < self._begin:
            return []
        return [packet] if self.keep.end is None or decoded_at(packet) < self.keep.end else []


def cut_of(stream: Stream, keep: TimeRange) -> Cut:
    """How a stream is cut to a part."""
    codec = stream.codec_context.codec.canonical_name if stream.type == "subtitle" and stream.codec_context else ""
    if codec in COMPOSITIONS:
        return BitmapCut(keep, COMPOSITIONS[codec])
    return {"video": _PictureCut, "subtitle": _SubtitleCut}.get(stream.type, Cut)(keep)
