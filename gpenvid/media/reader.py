"""Decoding a video file into frames, in order, with exact times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from fractions import Fraction
from math import ceil
from pathlib import Path

import av
from av.video.frame import VideoFrame

from gpenvid.errors import InputError, UsageError
from gpenvid.media.alike import alike
from gpenvid.media.deinterlace import Deinterlacer, FieldReader
from gpenvid.media.ebml import is_cut
from gpenvid.media.frame import Frame
from gpenvid.media.misnamed import is_picture_format, single_picture
from gpenvid.media.probe import (
    VideoInfo,
    alpha_decoder,
    describe,
    main_video_stream,
    open_input,
    packets_of,
)
from gpenvid.media.side_data import side_data_of
from gpenvid.media.time_range import TimeRange
from gpenvid.media.timeline import LeadingTimeline, may_jump

_MOST_UNTIMED = 32  # pictures without a time that may come before the first that has one; more are a stream without any


@dataclass
class ReadFaults:
    """What went wrong while decoding, counted.

    Attributes:
        undecodable: packets the decoder refused.
        corrupt: frames the decoder marked as damaged; kept as they are.
        guessed_times: frames whose pts was missing, repeated or went backwards; shown a millisecond or one frame later.
        resized: frames whose size differs from the first one's; scaled to it.
        interlaced: frames that are interlaced where the first one is not.
        progressive: frames that are not where the first one is.
        reshaped: frames whose pixels have another shape than the first one's, give or take the decoder's delay; written as the first.
        reformatted: frames whose pixel format differs from the first one's; converted to it.
        recoloured: frames whose range or matrix differs from the first one's; converted to it.
        relit: frames whose primaries or transfer differ from the first one's; written as the first.
        lost: frames that carry beside their samples what the result cannot and the first one does not, by the sentence that names it.
        truncated: the file ended in an error, or before the end that it states.
        missing: packets that the container's index promises and the file does not hold.
        short: seconds by which the pictures end before the length that the file states, where that is more than a second.
        jumps: times the file's clock starts over; the parts were joined.
        packets: video packets read, for comparison.
        broken: those among them that the container gives as damaged.
    """

    undecodable: int = 0
    corrupt: int = 0
    guessed_times: int = 0
    resized: int = 0
    reshaped: int = 0
    interlaced: int = 0
    progressive: int = 0
    reformatted: int = 0
    recoloured: int = 0
    relit: int = 0
    lost: Counter[str] = dataclass_field(default_factory=Counter)
    truncated: bool = False
    missing: int = 0
    short: float = 0.0
    jumps: int = 0
    packets: int = 0
    broken: int = 0

    def sentences(self, path: Path, *, fields: bool = True) -> list[str]:
        """The faults as warnings for a person.

        Args:
            fields: also say where interlaced and progressive frames are mixed, which is no damage.
        """
        keep = "--deinterlace makes all progressive, --codec ffv1 keeps their marks"
        found = [
            (self.undecodable, f"{path}: {self.undecodable} damaged video packets gave no picture"),
            (self.corrupt, f"{path}: {self.corrupt} pictures are damaged and were kept as decoded"),
            (self.guessed_times, f"{path}: {self.guessed_times} frames had no usable timestamp and were given the next one"),
            (self.resized, f"{path}: {self.resized} frames change size mid-stream and were scaled to the first frame's size"),
            (self.reshaped, f"{path}: the shape of its pixels changes mid-stream; the result has that of the first frame throughout"),
            (self.reformatted, f"{path}: {self.reformatted} frames change pixel format mid-stream and were converted to the first frame's"),
            (
                self.recoloured,
                f"{path}: {self.recoloured} frames change colour range or matrix mid-stream and were converted to the first's",
            ),
            (self.relit, f"{path}: {self.relit} frames change primaries or transfer mid-stream; the result states the first's throughout"),
            *((count, f"{path}: {told}: in {count} frames, the first one not among them") for told, count in self.lost.items()),
            (fields and self.interlaced, f"{path}: {self.interlaced} frames are interlaced, and the first one is not ({keep})"),
            (fields and self.progressive, f"{path}: {self.progressive} frames are progressive, and the first one is not ({keep})"),
            (self.truncated, f"{path}: the file is truncated; everything up to there was used"),
            (self.jumps, f"{path}: the clock starts over {self.jumps} times; the parts were joined"),
            (
                self.short,
                f"{path}: its pictures end {self.short:.1f} s before the file's stated length: cut, damaged, or its sound goes on",
            ),
            (self.missing, f"{path}: the file lacks {self.missing} frames that its index lists; it is cut off or damaged"),
        ]
        return [text for count, text in found if count]


@dataclass
class VideoReader:
    """Reads one video stream from first to last frame, as often as asked, always the same frames.

    Args:
        path: the file.
        deinterlace: turn each interlaced frame into one progressive frame (bwdif).
        losses: FFmpeg's names of what a result cannot carry of what frames carry beside their samples, each with a sentence.
        strict: reading ends with an error at the first frame that carries such.
        losing: the part of the film that goes into the result.

    Raises:
        InputError: no such file, unknown format, no video stream, or not one frame that decodes.
    """

    path: Path
    deinterlace: bool = False
    losses: Mapping[str, str] = dataclass_field(default_factory=dict)
    strict: bool = False
    losing: TimeRange = dataclass_field(default_factory=TimeRange)
    faults: ReadFaults = dataclass_field(default_factory=ReadFaults)

    def __post_init__(self) -> None:
        with open_input(self.path) as container:
            stream = main_video_stream(container, self.path)
            pictures = self._decode(container, stream, ReadFaults())
            first = next(pictures, None)
            if first is None:
                raise InputError(f"{self.path}: no frame of the video stream could be decoded", "check the file with a player")
            if is_picture_format(container) and next(pictures, None) is None:
                raise single_picture(self.path)
            self.info: VideoInfo = describe(self.path, container, stream, first)

    def frames(self) -> Iterator[Frame]:
        """All frames in presentation order. Starts over, with fresh fault counts, at each call.

        Raises:
            UsageError: `strict`, and a frame carries something that is lost.
        """
        self.faults = ReadFaults()
        info, fields_of = self.info, FieldReader()
        first = 0
        last: int | None = None
        shape: Fraction | None = None
        light: tuple[int, int] | None = None
        lasts = step = round(1 / (info.frame_rate * info.time_base)) if info.frame_rate else 1
        # Two times nearer to each other than a millisecond would become one in Matroska.
        least = ceil(Fraction(1, 1000) / info.time_base)
        with open_input(self.path) as container:
            stream = main_video_stream(container, self.path)
            matroska = "matroska" in container.format.name
            ends = (stream.start_time or 0) + stream.duration if "mp4" in container.format.name and stream.duration else None
            decoded = self._decode(container, stream, self.faults)
            if self.deinterlace:
                decoded = Deinterlacer().apply(decoded)
            for index, picture in enumerate(self._begun(decoded, step)):
                pts = picture.pts
                if pts is not None and picture.time_base not in (None, info.time_base):
                    pts = round(pts * picture.time_base / info.time_base)
                if pts is None or (last is not None and pts <= last):
                    self.faults.guessed_times += 1
                    pts = 0 if last is None else last + (max(step, least) if pts is None else least)
                first, last = (pts if last is None else first), pts
                self.faults.corrupt += picture.is_corrupt
                # Only the decoder tells that of each picture; the container may state another, for all.
                coded = stream.codec_context.sample_aspect_ratio
                shape = shape or coded
                self.faults.reshaped += bool(coded) and coded != shape
                shown = int(picture.color_primaries), int(picture.color_trc)
                light = light or shown
                self.faults.relit += shown != light
                if self.losses and self.losing.holds(pts * info.time_base):
                    self._count_losses(picture)
                frame = self._frame(index, pts, picture, fields_of)
                lasts = max(step, frame.duration)
                if ends is not None and ends > pts:
                    # MP4 states times between decoding two pictures: where they are reordered, another one's.
                    frame.duration = ends - pts if index + 1 == stream.frames else min(frame.duration, ends - pts)
                if not self.deinterlace:
                    self.faults.interlaced += frame.fields != "progressive" == info.field_order
                    self.faults.progressive += frame.fields == "progressive" != info.field_order
                yield frame
            # Decoders drop some damaged packets without a word.
            self.faults.undecodable += max(0, self.faults.broken - self.faults.corrupt - self.faults.undecodable)
            # Packets, because edit lists hide frames on purpose; and a little tolerance, because some indices count wrongly.
            promised, found = stream.frames, self.faults.packets
            # What lies behind the end of an edit list is not even handed out.
            edited = ends is not None and last is not None and last + lasts >= ends
            if promised - found > max(2, promised // 50) and not edited:
                self.faults.missing = promised - found
            elif last is not None and not (promised or self.faults.truncated):
                reached = last - first if matroska else max(last, last - first)
                missing = info.duration - (reached + lasts) * float(info.time_base)
                self.faults.short = missing if missing > max(1, info.duration / 50) else 0
            if matroska:
                self.faults.truncated |= is_cut(self.path)

    def _count_losses(self, picture: VideoFrame) -> None:
        told = {self.losses[kind.name] for kind in side_data_of(picture) if kind.name in self.losses}
        self.faults.lost.update(told)
        if told and self.strict:
            raise UsageError(f"{self.path}: {min(told)}", "choose another output or leave out --strict")

    def _begun(self, decoded: Iterator[VideoFrame], step: int) -> Iterator[VideoFrame]:
        """The same pictures; the first ones, where they have no times, count back from the first that has one."""
        waiting: list[VideoFrame] = []
        for picture in decoded:
            waiting.append(picture)
            if picture.pts is not None:
                for before, untimed in enumerate(reversed(waiting[:-1]), start=1):
                    untimed.pts, untimed.time_base = picture.pts - before * step, picture.time_base
                    self.faults.guessed_times += 1
            if picture.pts is not None or len(waiting) == _MOST_UNTIMED:
                break
        yield from waiting
        yield from decoded

    def frames_from(self, pts: int) -> Iterator[Frame]:
        """Frames from where the demuxer can begin at or before a time, in units of `info.time_base`; empty where it cannot seek.

        Their `index` is -1 and their pts is the container's own: frames without one are left out, and the first ones may be
        broken where the stream does not begin cleanly there. `media.seek` tells which they are.
        """
        with open_input(self.path) as container:
            stream = main_video_stream(container, self.path)
            try:
                container.seek(pts, backward=True, any_frame=False, stream=stream)
            except av.error.FFmpegError:
                return
            decoded = self._decode(container, stream, ReadFaults())
            if self.deinterlace:
                decoded = Deinterlacer().apply(decoded)
            fields_of = FieldReader()
            for picture in decoded:
                if picture.pts is not None:
                    base = picture.time_base or self.info.time_base
                    yield self._frame(-1, round(picture.pts * base / self.info.time_base), picture, fields_of)

    def _frame(self, index: int, pts: int, picture: VideoFrame, fields_of: FieldReader) -> Frame:
        info = self.info
        fields = fields_of.order(picture)  # conversions lose it
        form = alike(picture, info)
        self.faults.resized += form.resized
        self.faults.reformatted += form.reformatted and not form.resized
        self.faults.recoloured += form.recoloured
        picture = form.picture
        duration = round((picture.duration or 0) * (picture.time_base or info.time_base) / info.time_base)
        return Frame(index, pts, info.time_base, duration, info.layout, info.color, info.geometry, fields, _av=picture)

    @staticmethod
    def _decode(container: av.container.InputContainer, stream: av.VideoStream, faults: ReadFaults) -> Iterator[VideoFrame]:
        packets = packets_of(container, [stream])
        decoder = alpha_decoder(stream) or stream
        timeline = LeadingTimeline() if may_jump(container) else None
        # AVI states no presentation times, and those that FFmpeg makes up for it do not rise where pictures are reordered.
        by_decoding = container.format.name == "avi"
        last: int | None = None
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError):
                # Damaged lengths make a demuxer ask for more memory than there is, too.
                faults.truncated = True
                packet = None
            if packet is not None and packet.size:
                faults.packets += 1
                faults.broken += packet.is_corrupt
                if timeline is not None:
                    timeline.mend(packet)
                    faults.jumps = len(timeline.offsets) - 1
            try:
                for picture in decoder.decode(packet):
                    if by_decoding:
                        following = picture.pts if last is None else last + 1  # its tick is a frame
                        picture.pts = last = following if picture.dts is None else picture.dts
                    yield picture
            except av.error.EOFError:
                return
            except av.error.FFmpegError:
                faults.undecodable += 1
            if packet is None:
                return
