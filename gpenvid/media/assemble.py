"""Putting the result together: encoded segments as the video stream, every other stream copied packet by packet."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain, islice, pairwise
from math import lcm
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Stream
from av.video.stream import VideoStream

from gpenvid.errors import InputError
from gpenvid.media.chapters import chapters_of
from gpenvid.media.check import Written, kinds_of
from gpenvid.media.containers import Container, another
from gpenvid.media.copying import copied_packets
from gpenvid.media.encoders import EncoderSettings
from gpenvid.media.languages import three_letters
from gpenvid.media.last_picture import stands
from gpenvid.media.matroska import ROOM, state_pixel_shape
from gpenvid.media.probe import VideoInfo, ffmpeg_name, open_input
from gpenvid.media.quicktime import state_chapters, state_languages
from gpenvid.media.segments import EncodedPacket, read_segment
from gpenvid.media.streams import OWN_STREAM_TAGS, OWN_TAGS, UNKNOWN_KIND, StreamPlan, file_tags, language_in
from gpenvid.media.time_range import TimeRange
from gpenvid.media.transport import service_of_source

_USUAL_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}

_SECOND_VIDEO = 0x1B00
"""Number of the second video stream on a Blu-ray disc; FFmpeg numbers only one video stream of an .m2ts file by itself."""

_BEGINNING = 256
"""Packets held until the earliest time of all streams is known."""


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
            av.open(ffmpeg_name(target), "w", format=container.muxer, options=_muxer_options(file, info, container, plan)) as output,
        ):
            video = _add_video(output, file, info, settings, container)
            others = _add_others(output, file, container, plan)
            written.kinds = kinds_of(output)
            written.covers = _add_covers(output, source, plan)
            _copy_tags(output, file, tags, plan)
            title = video.metadata.get("title", "")
            shaped = settings.aspect != 1 and container.is_matroska
            if shaped:
                video.metadata["title"] = title + ROOM
            if not keep.is_whole:
                video.metadata.pop("timecode", None)  # it tells of the first frame
            languages = [three_letters(stream.metadata.get("language", "")) for stream in (video, *others.values())]
            zero = keep.start if keep.start is not None else _beginning(segments, settings.time_base, container)
            streams = [_video_packets(segments, settings, video, keep, zero)]
            if others:
                streams.append(_other_packets(file, source, others, keep, zero, written, container))
            merged = heapq.merge(*streams, key=lambda item: item[0])
            begin = list(islice(merged, _BEGINNING))
            delay = _delay([packet for _, packet in begin], file, container) + (keep.start or 0) - zero
            chapters = chapters_of(file, keep, delay, without_gaps=container.is_quicktime) if plan.chapters else []
            output.set_chapters(chapters)
            output.start_encoding()
            for _, packet in chain(begin, merged):
                if packet.stream_index == video.index and packet.pts is not None:
                    written.times.append(packet.pts * packet.time_base)
                else:
                    written.count(packet)
                output.mux(packet)
        if shaped:
            state_pixel_shape(target, settings.width, settings.height, settings.aspect, title)
        if container.muxer == "mov":
            state_languages(target, languages)
        if container.is_quicktime and any(chapter["metadata"].get("title") for chapter in chapters):
            state_chapters(target)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{target}: cannot be written ({reason})", f"check free space and permissions, or {another(container.suffix)}"
        ) from error
    return written


def rehearse(source: Path, info: VideoInfo, settings: EncoderSettings, container: Container, plan: StreamPlan) -> None:
    """Write the result's header to nowhere: a muxer that refuses a stream must do so before the work and not after.

    Raises:
        InputError: if it does.
    """
    try:
        with open_input(source) as file:
            output = av.open(os.devnull, "w", format=container.muxer, options=_muxer_options(file, info, container, plan))
            with output:
                _add_video(output, file, info, settings, container)
                _add_others(output, file, container, plan)
                _copy_tags(output, file, {}, plan)
                if plan.chapters:
                    output.set_chapters(file.chapters())
                output.start_encoding()
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{source}: {container.suffix} cannot hold its streams ({reason})", f"{another(container.suffix)}, and report it"
        ) from error


def _muxer_options(file: InputContainer, info: VideoInfo, container: Container, plan: StreamPlan) -> dict[str, str]:
    options = {} if plan.itunes else dict(container.options)
    if container.is_matroska and "matroska" in file.format.name:
        options["default_mode"] = "passthrough"  # elsewhere the first track of a kind is the default one
    if container.is_quicktime:
        # Start offsets are written in the movie's own clock, a millisecond by default; one that all streams share is exact.
        clocks = [_clock_in_mp4(file.streams[i]) for i in (info.stream_index, *plan.copied)]
        clock = lcm(*clocks)
        options["movie_timescale"] = str(clock if clock < 2**31 else max(clocks))
    return options


def _clock_in_mp4(stream: Stream) -> int:
    """Ticks in a second of a track that FFmpeg writes of a stream: sound counts samples, pictures at least ten thousand."""
    if isinstance(stream, AudioStream) and stream.rate:
        return int(stream.rate)
    ticks = (stream.time_base or Fraction(1, 1000)).denominator
    while isinstance(stream, VideoStream) and ticks < 10_000:
        ticks *= 2
    return ticks


def _add_video(
    output: OutputContainer, file: InputContainer, info: VideoInfo, settings: EncoderSettings, container: Container
) -> VideoStream:
    # An encoder with the segments' settings is opened only for the headers it puts into the container.
    stream = output.add_stream(settings.encoder, rate=settings.frame_rate)
    assert isinstance(stream, VideoStream)
    settings.apply(stream.codec_context)
    if settings.codec == "hevc" and output.format.name in ("mp4", "mov"):
        stream.codec_context.codec_tag = "hvc1"  # headers lie in the container; QuickTime plays no other tag
    stream.time_base = settings.time_base
    origin = file.streams[info.stream_index]
    stream.disposition = origin.disposition
    stream.metadata.update(_stream_tags(origin, container))
    if info.display_matrix:
        stream.set_display_matrix(info.display_matrix)
    return stream


def _add_others(output: OutputContainer, file: InputContainer, container: Container, plan: StreamPlan) -> dict[int, Stream]:
    others: dict[int, Stream] = {}
    for index in plan.copied:
        origin = file.streams[index]
        stream = output.add_stream_from_template(origin, opaque=True)
        if isinstance(stream, AudioStream) and container.muxer == "mp4" and stream.codec_context.layout.name.endswith(" channels"):
            # Matroska and AVI do not say which channels PCM has, and MP4 must: those that all programs take them for.
            stream.codec_context.layout = _USUAL_LAYOUTS.get(stream.codec_context.layout.nb_channels, stream.codec_context.layout)
        if isinstance(stream, VideoStream) and container.suffix == ".m2ts":
            stream.id = _SECOND_VIDEO + len(others)
        stream.disposition = origin.disposition
        stream.metadata.update(_stream_tags(origin, container))
        others[index] = stream
    for index in plan.attachments:
        attachment = file.streams[index]
        assert isinstance(attachment, AttachmentStream)
        name = attachment.metadata.get("filename") or f"attachment-{index}"
        copy = output.add_attachment(name, attachment.mimetype or UNKNOWN_KIND, attachment.data)
        copy.metadata.update(file_tags(attachment))
    return others


def _stream_tags(stream: Stream, container: Container) -> dict[str, str]:
    tags = {k: v for k, v in stream.metadata.items() if k.lower().split("-")[0] not in OWN_STREAM_TAGS}
    if "language" in tags:
        tags["language"] = language_in(container, stream)
    if "name" in tags:  # how FFmpeg reads a QuickTime track's name, which it writes from the title
        tags.setdefault("title", tags["name"])
    return tags


def _add_covers(output: OutputContainer, source: Path, plan: StreamPlan) -> int:
    """Attach cover pictures as files, which is how Matroska keeps them. Returns how many."""
    for index in plan.covers:
        with open_input(source) as file:  # one of its own: reading moves on
            stream = file.streams[index]
            picture = next((p for p in file.demux(stream) if p.size), None)
            if picture is not None and stream.codec_context is not None:
                kind = {"mjpeg": "jpeg"}.get(stream.codec_context.name, stream.codec_context.name)
                name = stream.metadata.get("filename") or f"cover.{kind.replace('jpeg', 'jpg')}"
                copy = output.add_attachment(name, stream.metadata.get("mimetype") or f"image/{kind}", bytes(picture))
                copy.metadata.update(file_tags(stream))
    return len(plan.covers)


def _copy_tags(output: OutputContainer, file: InputContainer, tags: dict[str, str], plan: StreamPlan) -> None:
    output.metadata.update({k: v for k, v in file.metadata.items() if k.lower() not in OWN_TAGS})
    output.metadata.update(tags)
    if plan.itunes and tags:
        output.metadata["encoding_tool"] = "; ".join(tags.values())  # iTunes has no tag of our own
    if output.format.name == "mpegts":
        service = service_of_source(file)
        if service.name:
            output.metadata["service_name"] = service.name
        # Transport streams have only these two, and no tag of our own either.
        provider = "; ".join(part for part in (service.provider, *tags.values()) if part)
        if provider:
            output.metadata["service_provider"] = provider


def _delay(packets: list[Packet[Any]], file: InputContainer, container: Container) -> Fraction:
    """Seconds by which the muxer will move all streams: Matroska has no times before zero.

    Sound whose first samples are to be skipped begins before zero without that where Matroska has its own word for them:
    in Matroska itself, and in Opus.
    """
    if not container.is_matroska or "matroska" in file.format.name:
        return Fraction(0)
    moving = [p for p in packets if p.stream.codec_context is None or p.stream.codec_context.name not in ("opus", "libopus")]
    return max(Fraction(0), -min((p.pts * p.time_base for p in moving if p.pts is not None), default=Fraction(0)))


def _beginning(segments: Iterable[Path], base: Fraction, container: Container) -> Fraction:
    """What becomes zero of a whole film's clock, in seconds: less than zero where a picture would be hidden, as MP4 hides such.

    FFmpeg counts the times of a transport stream down from the moment at which its clock overflows.
    """
    if not container.is_quicktime:
        return Fraction(0)
    return min(Fraction(0), *(packet.pts * base for path in islice(segments, 1) for packet in read_segment(path)))


def _video_packets(
    segments: Iterable[Path], settings: EncoderSettings, stream: VideoStream, keep: TimeRange, zero: Fraction
) -> Iterator[tuple[Fraction, Packet[Any]]]:
    base = settings.time_base
    ticks = round(zero / base)
    step = max(1, round(1 / (settings.frame_rate * base))) if settings.frame_rate else 1
    # Packets stay on disk; only their times are held: 130 bytes a frame, 22 MB for two hours.
    stated = [(packet.pts, packet.duration) for path in segments for packet in read_segment(path)]
    times = [pts for pts, _ in stated]
    shown, decoded = sorted(times), decoding_times(times, step)
    # A frame lasts until the next one, and the last as long as in the source, but not beyond the part.
    lasting = {a: b - a for a, b in pairwise(shown)}
    lasting[shown[-1]] = stands(stated, base, keep, usual=step)
    for number, encoded in enumerate(chain.from_iterable(map(read_segment, segments))):
        packet = _packet(encoded, stream, base)
        packet.pts, packet.dts = encoded.pts - ticks, decoded[number] - ticks
        packet.duration = lasting[encoded.pts]
        if number == len(times) - 1:
            # MP4 counts on from one decoding time to the next, and from the last one by this: to the end of what is shown.
            end = shown[-1] + lasting[shown[-1]]
            rest = end - shown[0] - (decoded[-1] - decoded[0])
            packet.duration = max(packet.duration, min(rest, end - encoded.pts))
        yield packet.dts * base, packet


def _packet(encoded: EncodedPacket, stream: VideoStream, base: Fraction) -> Packet[Any]:
    packet: Packet[Any] = Packet(encoded.data)
    packet.time_base = base
    packet.is_keyframe = encoded.keyframe
    packet.stream = stream
    return packet


def _other_packets(
    file: InputContainer, source: Path, others: dict[int, Stream], keep: TimeRange, zero: Fraction, written: Written, container: Container
) -> Iterator[tuple[Fraction, Packet[Any]]]:
    for copied in copied_packets(file, source, list(others), keep, container, zero):
        written.moved += copied.moved
        copied.packet.stream = others[copied.packet.stream_index]
        yield copied.moment, copied.packet
