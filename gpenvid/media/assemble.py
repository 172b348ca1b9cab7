"""Putting the result together: encoded segments as the video stream, every other stream copied packet by packet."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from math import lcm
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Stream
from av.video.stream import VideoStream

from gpenvid.errors import InputError
from gpenvid.media.check import Written
from gpenvid.media.containers import Container, supported_codecs
from gpenvid.media.encoders import EncoderSettings
from gpenvid.media.probe import VideoInfo, open_input
from gpenvid.media.segments import EncodedPacket, read_segment

# Written by the muxer itself, or about the file's own bytes.
OWN_TAGS = {"major_brand", "minor_version", "compatible_brands", "encoder"}
OWN_STREAM_TAGS = {"encoder", "duration", "number_of_frames", "number_of_bytes", "bps", "_statistics_writing_app", "_statistics_tags"}
OWN_STREAM_TAGS |= {"_statistics_writing_date_utc"}


@dataclass(frozen=True)
class TimeRange:
    """The part of the source that is kept, in seconds of its own clock; None means to its end.

    A range shifts all streams by the same amount, so that it begins at zero.
    """

    start: Fraction | None = None
    end: Fraction | None = None

    def holds(self, time: Fraction) -> bool:
        """Whether a moment lies in the range (end excluded)."""
        return (self.start is None or time >= self.start) and (self.end is None or time < self.end)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is cut."""
        return self.start is None and self.end is None


@dataclass
class StreamPlan:
    """Which streams of the source go where.

    Attributes:
        copied: indices of streams copied as packets.
        dropped: sentences about those that cannot be.
        chapters: whether the source has any.
    """

    copied: list[int] = field(default_factory=list)
    attachments: list[int] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    chapters: bool = False


def plan_streams(source: Path, info: VideoInfo, container: Container) -> StreamPlan:
    """Decide which streams the container can hold, without writing anything."""
    plan = StreamPlan()
    supported = supported_codecs(container.muxer)
    with open_input(source) as file:
        has_chapters = plan.chapters = bool(file.chapters())
        for stream in file.streams:
            if stream.index == info.stream_index:
                continue
            name = stream.codec_context.name if stream.codec_context else stream.type
            what = f"stream {stream.index} ({stream.type}, {name})"
            if isinstance(stream, AttachmentStream):
                if container.muxer == "matroska":
                    plan.attachments.append(stream.index)
                else:
                    plan.dropped.append(f"{what} does not fit into {container.suffix} (a .mkv output keeps it)")
            elif stream.type == "data" and has_chapters and "mov" in file.format.name:
                continue  # QuickTime's chapter track: chapters are written as chapters
            elif stream.type not in ("audio", "subtitle", "video") or stream.codec_context is None:
                plan.dropped.append(f"{what} cannot be copied")
            elif isinstance(stream, VideoStream) and not stream.codec_context.width:
                plan.dropped.append(f"{what} states no picture size and cannot be copied")
            elif stream.codec_context.codec.canonical_name not in supported and name not in supported:
                plan.dropped.append(f"{what} does not fit into {container.suffix} (a .mkv output may keep it)")
            else:
                plan.copied.append(stream.index)
    return plan


def decoding_times(pts: list[int], step: int) -> list[int]:
    """Decoding times for packets whose presentation times are given in decoding order.

    The times are the presentation times in rising order, delayed by the least number of frames that lets every packet
    be decoded before it is shown; the first ones count back from the first presentation time by `step` ticks.
    """
    shown = sorted(pts)
    delay = 0
    for position, moment in enumerate(pts):
        while position >= delay and shown[position - delay] > moment:
            delay += 1
    lead = [shown[0] - (delay - i) * step for i in range(min(delay, len(pts)))] if pts else []
    return lead + shown[: len(pts) - len(lead)]


def assemble(
    target: Path,
    *,
    source: Path,
    info: VideoInfo,
    segments: list[Path],
    settings: EncoderSettings,
    container: Container,
    plan: StreamPlan,
    keep: TimeRange,
    tags: dict[str, str],
) -> Written:
    """Write the result: one pass over the segments and over the source's other streams, nothing re-encoded.

    Returns:
        what went into it, for `check_result`.

    Raises:
        InputError: if the destination cannot be written or the container refuses a stream.
    """
    written = Written()
    try:
        with (
            open_input(source) as file,
            av.open(str(target), "w", format=container.muxer, options=_muxer_options(file, info, container, plan)) as output,
        ):
            video = _add_video(output, file, info, settings)
            others = _add_others(output, file, plan)
            _copy_tags(output, file, keep, tags)
            output.start_encoding()
            shift = keep.start or Fraction(0)
            streams = [_video_packets(segments, settings, video, shift)]
            if others:
                streams.append(_other_packets(file, others, keep, shift))
            for _, packet in heapq.merge(*streams, key=lambda item: item[0]):
                if packet.stream_index == video.index and packet.pts is not None:
                    written.times.append(packet.pts * packet.time_base)
                else:
                    written.count(packet)
                output.mux(packet)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{target}: cannot be written ({reason})", "check free space and permissions, or try a .mkv output") from error
    return written


def _muxer_options(file: InputContainer, info: VideoInfo, container: Container, plan: StreamPlan) -> dict[str, str]:
    options = dict(container.options)
    if container.muxer in ("mp4", "mov"):
        # Start offsets are written in the movie's own clock, a millisecond by default; one that all streams share is exact.
        bases = [info.time_base, *(file.streams[i].time_base for i in plan.copied)]
        clock = lcm(*(base.denominator for base in bases if base))
        options["movie_timescale"] = str(clock if clock < 2**31 else max(base.denominator for base in bases if base))
    return options


def _add_video(output: OutputContainer, file: InputContainer, info: VideoInfo, settings: EncoderSettings) -> VideoStream:
    # An encoder with the segments' settings is opened only for the headers it puts into the container.
    stream = output.add_stream(settings.encoder, rate=settings.frame_rate)
    assert isinstance(stream, VideoStream)
    settings.apply(stream.codec_context)
    if settings.codec == "hevc" and output.format.name in ("mp4", "mov"):
        stream.codec_context.codec_tag = "hvc1"  # headers lie in the container; QuickTime plays no other tag
    stream.time_base = settings.time_base
    origin = file.streams[info.stream_index]
    stream.disposition = origin.disposition
    stream.metadata.update(_stream_tags(origin))
    if info.display_matrix:
        stream.set_display_matrix(info.display_matrix)
    return stream


def _add_others(output: OutputContainer, file: InputContainer, plan: StreamPlan) -> dict[int, Stream]:
    others: dict[int, Stream] = {}
    for index in plan.copied:
        origin = file.streams[index]
        stream = output.add_stream_from_template(origin, opaque=True)
        stream.disposition = origin.disposition
        stream.metadata.update(_stream_tags(origin))
        others[index] = stream
    for index in plan.attachments:
        attachment = file.streams[index]
        assert isinstance(attachment, AttachmentStream)
        name = attachment.metadata.get("filename") or f"attachment-{index}"
        copy = output.add_attachment(name, attachment.mimetype or "application/octet-stream", attachment.data)
        copy.metadata.update({k: v for k, v in attachment.metadata.items() if k not in ("filename", "mimetype")})
    return others


def _stream_tags(stream: Stream) -> dict[str, str]:
    tags = {k: v for k, v in stream.metadata.items() if k.lower().split("-")[0] not in OWN_STREAM_TAGS}
    if "name" in tags:  # how FFmpeg reads a QuickTime track's name, which it writes from the title
        tags.setdefault("title", tags["name"])
    return tags


def _copy_tags(output: OutputContainer, file: InputContainer, keep: TimeRange, tags: dict[str, str]) -> None:
    output.metadata.update({k: v for k, v in file.metadata.items() if k.lower() not in OWN_TAGS})
    output.metadata.update(tags)
    chapters = file.chapters()
    if chapters and keep.is_whole:
        output.set_chapters(chapters)


def _video_packets(
    segments: Iterable[Path], settings: EncoderSettings, stream: VideoStream, shift: Fraction
) -> Iterator[tuple[Fraction, Packet[Any]]]:
    base = settings.time_base
    ticks = round(shift / base)
    step = max(1, round(1 / (settings.frame_rate * base))) if settings.frame_rate else 1
    # Packets stay on disk; only their times are held: 40 bytes a frame, 7 MB for two hours.
    times = [packet.pts for path in segments for packet in read_segment(path)]
    delays = iter(decoding_times(times, step))
    # Not every encoder hands durations through; a frame lasts until the next one.
    lasting = {a: b - a for a, b in pairwise(sorted(times))}
    for path in segments:
        for encoded in read_segment(path):
            packet = _packet(encoded, stream, base)
            packet.pts, packet.dts = encoded.pts - ticks, next(delays) - ticks
            packet.duration = lasting.get(encoded.pts, encoded.duration or step)
            yield packet.dts * base, packet


def _packet(encoded: EncodedPacket, stream: VideoStream, base: Fraction) -> Packet[Any]:
    packet: Packet[Any] = Packet(encoded.data)
    packet.time_base = base
    packet.is_keyframe = encoded.keyframe
    packet.stream = stream
    return packet


def _other_packets(
    file: InputContainer, others: dict[int, Stream], keep: TimeRange, shift: Fraction
) -> Iterator[tuple[Fraction, Packet[Any]]]:
    last = Fraction(-(10**9))
    packets = file.demux([file.streams[i] for i in others])
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:
            return  # a truncated source: what could be read has been copied, and the reader has said so
        if packet is None:
            return
        time = packet.dts if packet.dts is not None else packet.pts
        if time is None or packet.size == 0:
            continue
        moment = time * packet.time_base
        shown = (packet.pts if packet.pts is not None else time) * packet.time_base
        if not keep.holds(shown):
            continue
        ticks = round(shift / packet.time_base)
        if ticks:
            packet.pts = None if packet.pts is None else packet.pts - ticks
            packet.dts = None if packet.dts is None else packet.dts - ticks
        packet.stream = others[packet.stream_index]
        # A heap merge needs rising keys; files are interleaved only roughly.
        last = max(last, moment - shift)
        yield last, packet
