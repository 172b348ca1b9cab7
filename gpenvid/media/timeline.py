"""Recordings whose clock starts over: their parts are joined, so that time always goes on.

Recordings may be glued together, or cut from a broadcast or live stream that restarts its clock. Forward jumps are gaps and
stay; backward ones would fold the film onto itself.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet

from gpenvid.media.probe import main_video_stream, open_input, packets_of

BACKWARDS = Fraction(1)
"""Seconds that decoding times must fall back to count as another clock; less than that is a muxer's carelessness."""

# Formats that count durations up, or frames, and so cannot state a time that falls.
_ALWAYS_RISING = frozenset({"mov", "avi"})


def may_jump(container: InputContainer) -> bool:
    """Whether a file of this format can hold a clock that starts over."""
    return not _ALWAYS_RISING & set(container.format.name.split(","))


class LeadingTimeline:
    """Joins the video stream's times.

    Attributes:
        offsets: seconds that were added to the first, second, ... part; the first is 0.
    """

    def __init__(self) -> None:
        self.offsets = [Fraction(0)]
        self._last: Fraction | None = None
        self._step = Fraction(1, 25)

    def mend(self, packet: Packet[Any]) -> None:
        """Move a packet's times into the joined time, in place. To be called with every packet, in the file's order."""
        time = _time(packet)
        if time is not None:
            if self._last is not None:
                step = time + self.offsets[-1] - self._last
                if step < -BACKWARDS:
                    self.offsets.append(self._last + self._step - time)
                elif 0 < step < BACKWARDS:
                    self._step = step
            self._last = time + self.offsets[-1]
        _move(packet, self.offsets[-1])


class FollowingTimeline:
    """Moves the times of another stream by what the video stream's were moved, part by part."""

    def __init__(self, offsets: list[Fraction]) -> None:
        self._offsets = offsets
        self._part = 0
        self._last: Fraction | None = None

    def mend(self, packet: Packet[Any]) -> None:
        """Move a packet's times into the joined time, in place."""
        time = _time(packet)
        if time is not None:
            fallen = self._last is not None and time + self._offsets[self._part] < self._last - BACKWARDS
            if fallen and self._part + 1 < len(self._offsets):
                self._part += 1
            self._last = time + self._offsets[self._part]
        _move(packet, self._offsets[self._part])


def jump_offsets(source: Path) -> list[Fraction]:
    """What is added to the parts of a file, from its video packets; [0] where the clock never starts over.

    Raises:
        InputError: if the file cannot be opened.
    """
    with open_input(source) as container:
        line = LeadingTimeline()
        if may_jump(container):
            packets = packets_of(container, [main_video_stream(container, source)])
            try:
                for packet in packets:
                    line.mend(packet)
            except (av.error.FFmpegError, OSError):
                pass  # a truncated file, read as far as it goes
        return line.offsets


def _time(packet: Packet[Any]) -> Fraction | None:
    # Presentation times fall by themselves where pictures are reordered, by seconds where frames are slow.
    return None if packet.dts is None or not packet.size else packet.dts * packet.time_base


def _move(packet: Packet[Any], seconds: Fraction) -> None:
    if seconds:
        ticks = round(seconds / packet.time_base)
        packet.pts = None if packet.pts is None else packet.pts + ticks
        packet.dts = None if packet.dts is None else packet.dts + ticks
