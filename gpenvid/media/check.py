"""Is an assembled file what was put into it? Asked before it gets its name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
from av.container import Container, InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream

from gpenvid.errors import InputError
from gpenvid.media.bitmaps import is_further_segment
from gpenvid.media.containers import another
from gpenvid.media.probe import open_input
from gpenvid.media.streams import is_empty_text

_TICKS = 2  # a time, and the one it is measured against, are both rounded to the container's clock


@dataclass
class Written:
    """What went into a file.

    Attributes:
        times: presentation times of the pictures in seconds, in the order of decoding.
        packets: per stream index in the result, the number of packets copied.
        starts: per stream index, the presentation time in seconds of its first packet.
        covers: cover pictures.
        moved: packets of other streams whose times were missing or fell back, and were moved.
        kinds: `audio`, `video` or `subtitle` of every stream in the header, cover pictures left out; None where not known.
    """

    times: list[Fraction] = field(default_factory=list)
    packets: dict[int, int] = field(default_factory=dict)
    starts: dict[int, Fraction] = field(default_factory=dict)
    covers: int = 0
    moved: int = 0
    kinds: list[str] | None = None

    def count(self, packet: Packet[av.stream.Stream]) -> None:
        """Count a copied packet, before the muxer takes it."""
        if packet.stream.disposition & Disposition.attached_pic:
            self.covers += 1  # not by index: their place among the streams is the muxer's to choose
            return
        if packet.stream.type == "subtitle" and is_further_segment(bytes(packet)):
            return
        index = packet.stream_index
        self.packets[index] = self.packets.get(index, 0) + 1
        time = packet.pts if packet.pts is not None else packet.dts
        if time is not None:
            moment = time * packet.time_base
            self.starts[index] = min(self.starts.get(index, moment), moment)


def check_result(path: Path, written: Written) -> None:
    """Read a file back: number and times of its pictures, packets of every other stream, first and last pictures decoded.

    Raises:
        InputError: if anything is not as it was written.
    """
    try:
        with open_input(path) as file:
            _check(file, written)
        _check_pictures(path)
    except (av.error.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"the assembled file is not right ({reason})", f"{another(path.suffix)}; if it happens again, report it"
        ) from error


def _check(file: InputContainer, written: Written) -> None:
    video = file.streams.video[0]
    found = Written(kinds=kinds_of(file))
    if written.kinds is not None and found.kinds != written.kinds:
        raise ValueError(f"its streams are {found.kinds} instead of {written.kinds}")
    for packet in file.demux():
        if not packet.size or is_empty_text(packet.stream, bytes(packet)):
            continue
        if packet.stream_index == video.index:
            if packet.pts is None:
                raise ValueError("a picture has no time")
            found.times.append(packet.pts * packet.time_base)
        else:
            found.count(packet)
    if len(found.times) != len(written.times):
        raise ValueError(f"{len(found.times)} pictures instead of {len(written.times)}")
    tick = _TICKS * (video.time_base or Fraction(1, 1000))
    shift = _shift(found.times, written.times)
    if any(abs(a - b - shift) > tick for a, b in zip(sorted(found.times), sorted(written.times), strict=True)):
        raise ValueError("the times of its pictures differ")
    if found.covers < written.covers:
        raise ValueError(f"{found.covers} cover pictures instead of {written.covers}")
    for index, packets in written.packets.items():
        if found.packets.get(index, 0) < packets:
            raise ValueError(f"stream {index} has {found.packets.get(index, 0)} packets instead of {packets}")
    for index, start in written.starts.items():
        limit = tick + _TICKS * (file.streams[index].time_base or Fraction(1, 1000))
        if abs(found.starts[index] - start - shift) > limit:
            raise ValueError(f"stream {index} has moved by {float(found.starts[index] - start - shift) * 1e3:.1f} ms against the picture")


def kinds_of(container: Container) -> list[str]:
    """The kinds of the streams of a file that is read or begun, for `Written.kinds`."""
    counted = [s for s in container.streams if s.type in ("audio", "video", "subtitle") and not s.disposition & Disposition.attached_pic]
    return sorted(s.type for s in counted)


def _shift(found: Iterable[Fraction], written: Iterable[Fraction]) -> Fraction:
    return min(found, default=Fraction(0)) - min(written, default=Fraction(0))


def _check_pictures(path: Path) -> None:
    """Decode the first picture, and everything from the last keyframe on."""
    with open_input(path) as file:
        if not _count(islice(file.decode(video=0), 1)):
            raise ValueError("its first picture does not decode")
        video = file.streams.video[0]
        if video.duration and _seeks(file, video, (video.start_time or 0) + video.duration) and _count(file.decode(video)):
            return
    # Transport streams have no index: a search by time can end behind the last keyframe, or fail where they are short.
    with open_input(path) as file:
        _count(file.decode(video=0))


def _seeks(file: InputContainer, stream: Stream, time: int) -> bool:
    try:
        file.seek(time, stream=stream)
    except av.error.FFmpegError:
        return False
    return True


def _count(pictures: Iterable[object]) -> int:
    return sum(1 for _ in pictures)
