"""Frames into packets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import av
from av.packet import Packet
from av.video.stream import VideoStream

from gpenvid.errors import InputError
from gpenvid.media.color import FULL, LIMITED
from gpenvid.media.deinterlace import FieldMarker, FieldOrder
from gpenvid.media.encoders import INTERLACED_ENCODERS, EncoderSettings
from gpenvid.media.frame import Frame
from gpenvid.media.layout import layout_of


def encode_frames(settings: EncoderSettings, frames: Iterator[Frame]) -> Iterator[Packet[VideoStream]]:
    """Encode frames with an encoder of their own, from its first keyframe to its last packet; each lasts as long as its frame.

    Raises:
        UsageError: if the encoder does not open.
        InputError: if it fails on a frame.
    """
    context = settings.open()
    marker = FieldMarker()
    lasting: dict[int | None, int] = {}

    def timed(packets: Iterable[Packet[VideoStream]]) -> Iterator[Packet[VideoStream]]:
        # Not every encoder hands durations through, and x264 makes up its own.
        for packet in packets:
            packet.duration = lasting.pop(packet.pts, 0)
            yield packet

    try:
        for frame in frames:
            ticks = frame.time_base / settings.time_base
            lasting[round(frame.pts * ticks)] = round(frame.duration * ticks)
            picture = frame.to_av()
            same = picture.format.name == settings.pixel_format or picture.format.name.startswith("yuvj")
            if not same or frame.color.is_full_range != settings.color.is_full_range:
                picture = _converted(picture, settings, frame)
            fields = _fields_for(settings, frame)
            if settings.encoder in INTERLACED_ENCODERS and (fields != "progressive" or picture.interlaced_frame):
                picture = marker.mark(picture, fields)
            yield from timed(context.encode(picture))
        yield from timed(context.encode(None))
    except av.error.FFmpegError as error:
        raise InputError(f"encoder {settings.encoder} failed ({error.strerror})", "try another --codec") from error


def _fields_for(settings: EncoderSettings, frame: Frame) -> FieldOrder:
    if frame.fields == "progressive" and settings.interlaced and settings.encoder != "ffv1":
        # Only FFV1 marks pictures one by one; the others would see the fields change their order.
        return "bottom first" if settings.bottom_first else "top first"
    return frame.fields


def _converted(picture: av.VideoFrame, settings: EncoderSettings, frame: Frame) -> av.VideoFrame:
    model = layout_of(settings.pixel_format).model
    if frame.layout.model == "rgb" and model == "yuv":
        # FFmpeg's scaler knows BT.709 as 1 and BT.601 as 5, and would take the latter whatever the encoder states.
        colorspace = 1 if settings.color.matrix == 1 else 5
        converted = picture.reformat(format=settings.pixel_format, dst_colorspace=colorspace, dst_color_range=LIMITED)
        converted.colorspace, converted.color_range = settings.color.matrix, settings.color.range
    elif frame.color.is_full_range and not settings.color.is_full_range:
        converted = picture.reformat(format=settings.pixel_format, src_color_range=FULL, dst_color_range=LIMITED)
        converted.color_range = LIMITED
    else:
        converted = picture.reformat(format=settings.pixel_format)
    converted.pts, converted.time_base, converted.duration = frame.pts, frame.time_base, frame.duration
    converted.pict_type = 0
    return converted
