"""How each kind of stream is cut to a part: what begins in it, what is still seen or heard, and what that needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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

    What it refers to was sent since the last composition that needs nothing before it, and is sent with it. So is what the first
    composition of the part refers to, although it is not seen before. Packets without a composition belong to the one before them.
    """

    def __init__(self, keep: TimeRange, read: Callable[[bytes], Composition | None]) -> None:
        super().__init__(keep)
        self._read = read
        self._held: list[Packet[Any]] = []
        self._seen = False  # whether there is anything on screen as of what is held
        self._sent = False
        self._free = -(2**62)  # tick behind what was sent at the part's beginning
        self._inside = False  # whether the last composition begins in the part or behind it
        self._taken = False  # whether in it

    def take(self, packet: Packet[Any]) -> list[Packet[Any]]:
        start = self.keep.start
        if start is None:
            return super().take(packet)
        composition = self._read(bytes(packet))
        if composition is not None:
            self._inside = shown_at(packet) >= start
        if not self._inside:
            self._hold(packet, composition, start)
            return []
        if composition is None:
            placed = self._place(packet, start) if shown_at(packet) < start else self._behind(packet)
            return [placed] if self._taken else []
        self._taken = self.keep.holds(shown_at(packet))
        needed = composition.visible and not composition.complete
        released = self._release(start) if needed or self._seen or self._sent else []
        self._held.clear()
        return [*released, *super().take(self._behind(packet))]

    def _behind(self, packet: Packet[Any]) -> Packet[Any]:
        """The packet, decoded after what was sent at the part's beginning."""
        if packet.dts is not None and packet.dts < self._free:
            packet.dts, self._free = self._free, self._free + 1
        return packet

    def _place(self, packet: Packet[Any], start: Fraction) -> Packet[Any]:
        """The packet at the next free tick from the part's beginning on."""
        self._free = max(self._free, round(start / packet.time_base))
        self._show(packet, self._free * packet.time_base)
        self._free += 1
        return packet

    def _hold(self, packet: Packet[Any], composition: Composition | None, start: Fraction) -> None:
        if composition is not None:
            if composition.complete:
                self._held.clear()
            lasts = packet.duration * packet.time_base if packet.duration else composition.lasts
            self._seen = composition.visible and shown_at(packet) + min(lasts, composition.lasts) > start
        self._held.append(packet)

    def standing(self) -> list[Packet[Any]]:
        return self._release(self.keep.start or Fraction(0)) if self._seen or self._sent else []

    def _release(self, start: Fraction) -> list[Packet[Any]]:
        """What is held, one tick after the other from the part's beginning on; afterwards nothing is."""
        held, self._held = self._held, []
        self._sent |= bool(held)
        return [self._place(packet, start) for packet in held]


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


def _cut_of(stream: Stream, keep: TimeRange) -> Cut:
    """How a stream is cut to a part."""
    codec = stream.codec_context.codec.canonical_name if stream.type == "subtitle" and stream.codec_context else ""
    if codec in COMPOSITIONS:
        return BitmapCut(keep, COMPOSITIONS[codec])
    return {"video": _PictureCut, "subtitle": _SubtitleCut}.get(stream.type, Cut)(keep)


class Cuts:
    """How the streams of a file are cut to a part, together: what is seen when it begins is sent when the first of them gets there.

    Args:
        streams: of which packets will come.
        keep: the part.
    """

    def __init__(self, streams: Iterable[Stream], keep: TimeRange) -> None:
        self._start = keep.start
        self._cuts = {stream.index: _cut_of(stream, keep) for stream in streams}

    def take(self, packet: Packet[Any]) -> list[Packet[Any]]:
        """What belongs into the part as of the next packet of the file."""
        kept: list[Packet[Any]] = []
        if self._start is not None and decoded_at(packet) >= self._start:
            self._start = None
            kept = self.standing()
        return [*kept, *self._cuts[packet.stream_index].take(packet)]

    def standing(self) -> list[Packet[Any]]:
        """What is still to be sent, at the end of the file at the latest."""
        return [packet for cut in self._cuts.values() for packet in cut.standing()]
