"""What a source holds, before anything is decoded."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.codec.codec import UnknownCodecError
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from gpenvid.errors import InputError
from gpenvid.media.color import FULL, UNSPECIFIED, ColorSpec
from gpenvid.media.deinterlace import FieldOrder, FieldReader
from gpenvid.media.hdr import Mastering, mastering_of
from gpenvid.media.layout import PixelLayout, layout_of
from gpenvid.media.orientation import DisplayGeometry, Orientation, unpack_display_matrix
from gpenvid.media.side_data import SideDataType, side_data_of


def _as_windows_does(error: UnicodeError) -> tuple[str, int]:
    """Bytes of a tag that are no UTF-8, which old programs wrote in their own code page."""
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


TAG_ERRORS = "gpenvid.cp1252"
"""How tags that are not UTF-8 are read: as Western Windows' code page, which nearly all AVI files of the West have."""
codecs.register_error(TAG_ERRORS, _as_windows_does)

OPEN_TIMEOUT = 60.0  # seconds a demuxer may take to open or to give a packet: damaged files must not hang a batch


@dataclass(frozen=True)
class VideoInfo:
    """The video stream that gpenvid restores.

    Attributes:
        path: the file.
        container: FFmpeg's demuxer name, such as `mov,mp4,m4a,3gp,3g2,mj2`.
        stream_index: index of the stream in the file.
        codec: FFmpeg's decoder name.
        pixel_format: as decoded, before the planar twin is taken.
        layout: the planar layout that gpenvid computes in.
        geometry: size, pixel shape and orientation.
        color: colour properties as stated.
        time_base: seconds per tick of pts.
        frame_rate: average or guessed rate; None where unknown.
        frame_count: estimate from the container, for progress only; 0 where unknown.
        duration: seconds, 0 where unknown.
        display_matrix: the nine numbers to copy, None where there are none.
        field_order: of the first frame.
        mastering: HDR10's static metadata, None where there is none.
        sounds: FFmpeg's names of the codecs of its sound.
        embedded: names of what the first frame carries beside its samples, such as `A53_CC` (closed captions).
    """

    path: Path
    container: str
    stream_index: int
    codec: str
    pixel_format: str
    layout: PixelLayout
    geometry: DisplayGeometry
    color: ColorSpec
    time_base: Fraction
    frame_rate: Fraction | None
    frame_count: int
    duration: float
    display_matrix: tuple[int, ...] | None
    field_order: FieldOrder
    mastering: Mastering | None = None
    sounds: frozenset[str] = frozenset()
    embedded: frozenset[str] = frozenset()

    @property
    def display_size(self) -> tuple[int, int]:
        """(width, height) as shown, rounded to whole pixels."""
        width, height = self.geometry.display_size
        return round(width), round(height)


def ffmpeg_name(path: Path) -> str:
    """A file's name for FFmpeg, absolute: in a relative one it takes what stands before a colon (`10:30.mp4`) for a protocol."""
    return str(path.absolute())


def open_input(path: Path) -> InputContainer:
    """Open a file for demuxing.

    Raises:
        InputError: if there is no such file, or FFmpeg does not know its format.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file", "check the path")
    if path.is_dir():
        raise InputError(f"{path}: is a folder without pictures in it", "name a video, a picture or a folder of pictures")
    try:
        return av.open(ffmpeg_name(path), "r", timeout=OPEN_TIMEOUT, metadata_errors=TAG_ERRORS)
    except PermissionError as error:
        raise InputError(f"{path}: permission denied", "make the file readable") from error
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise InputError(
            f"{path}: not a video or picture that FFmpeg can read ({_reason(error)})", "check the file, or remux it"
        ) from error


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).splitlines()[0][:120]


def packets_of(container: InputContainer, streams: Sequence[Stream]) -> Iterator[Packet[Any]]:
    """The packets of some streams in the file's order, then an empty one for each.

    Raises:
        av.error.FFmpegError, OSError: where the file is damaged or cut.
    """
    packets = container.demux(streams)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, IndexError):
            # At the end PyAV looks up every stream, and fails on those that came up on the way.
            return
        yield packet


def is_attached_picture(stream: Stream) -> bool:
    """Whether a stream is cover art or a thumbnail."""
    return isinstance(stream, VideoStream) and bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))


def main_video_stream(container: InputContainer, path: Path) -> VideoStream:
    """The stream to restore: the first that is no cover art, those marked default before others.

    Raises:
        InputError: if there is no video stream, or no decoder for it.
    """
    videos = [s for s in container.streams.video if not is_attached_picture(s)]
    if not videos:
        raise InputError(f"{path}: no video stream", "choose a file that has pictures")
    stream = max(videos, key=lambda s: bool(s.disposition & Disposition.default))
    if stream.codec_context is None:
        raise InputError(f"{path}: no decoder for its video stream", "convert it with FFmpeg first")
    stream.thread_type = "AUTO"
    return stream


def alpha_decoder(stream: VideoStream) -> VideoCodecContext | None:
    """A decoder that sees the alpha of WebM's VP8 and VP9, which FFmpeg's own leaves out; None where there is none."""
    name = stream.codec_context.name
    if name not in ("vp8", "vp9") or _tag(stream, "ALPHA_MODE") != "1":
        return None
    try:
        context = av.CodecContext.create({"vp8": "libvpx", "vp9": "libvpx-vp9"}[name], "r")
    except UnknownCodecError as error:
        raise InputError(
            f"{stream.container.name}: its {name} video has alpha, which this FFmpeg cannot decode", "install PyAV from its own wheels"
        ) from error
    assert isinstance(context, VideoCodecContext)
    return context


def _tag(stream: VideoStream, name: str) -> str:
    """One of the tags that Matroska's muxers write for a stream, whatever its case and language; empty where there is none."""
    return next((value for key, value in stream.metadata.items() if key.upper().split("-")[0] == name), "")


_LONGEST = 1e9  # seconds: thirty years


def _tagged_duration(stream: VideoStream) -> float:
    """Seconds by the tag that Matroska's muxers write for every stream, as 00:01:02.5; 0 where there is none."""
    try:
        hours, minutes, seconds = map(float, _tag(stream, "DURATION").split(":"))
    except ValueError:
        return 0.0
    length = 3600 * hours + 60 * minutes + seconds
    return length if 0 <= length < _LONGEST else 0.0


def spans_all_codes(picture: VideoFrame) -> bool:
    """Whether a decoded picture has full range. As in FFmpeg's scaler, grey has unless it is stated otherwise.

    Decoders keep a yuvj format where only the range changes.
    """
    stated = int(picture.color_range)
    return stated == FULL or (not stated and picture.format.name.startswith(("yuvj", "gray", "ya", "mono")))


def _is_of_ffmpeg(container: InputContainer) -> bool:
    tags = {key.lower(): value for key, value in container.metadata.items()}
    return tags.get("encoder", "").startswith("Lavf")


def describe(path: Path, container: InputContainer, stream: VideoStream, first: VideoFrame) -> VideoInfo:
    """Put together what the container says and what the first decoded frame shows.

    Raises:
        InputError: if the pixel format is not supported.
    """
    side_data = side_data_of(first)
    turned = side_data.get(SideDataType.DISPLAYMATRIX)
    matrix = None if turned is None else unpack_display_matrix(bytes(turned))
    aspect = stream.sample_aspect_ratio or Fraction(1)
    geometry = DisplayGeometry(
        first.width,
        first.height,
        aspect if aspect > 0 else Fraction(1),
        Orientation.from_display_matrix(matrix) if matrix else Orientation(),
    )
    context = stream.codec_context
    # Only the stream says it in some files, only the frame in others.
    primaries, transfer = (
        int(on_frame) if on_stream == UNSPECIFIED else int(on_stream)
        for on_stream, on_frame in ((context.color_primaries, first.color_primaries), (context.color_trc, first.color_trc))
    )
    color = ColorSpec(int(first.colorspace), primaries, transfer, FULL if spans_all_codes(first) else int(first.color_range))
    time_base = stream.time_base or Fraction(1, 1000)
    duration = (
        float(stream.duration * time_base) if stream.duration else _tagged_duration(stream) or (container.duration or 0) / av.time_base
    )
    begin = float((stream.start_time or 0) * time_base)
    if "matroska" in container.format.name and 0 < begin < duration and _is_of_ffmpeg(container):
        duration -= begin  # FFmpeg counts it from zero on, mkvmerge from the first picture
    rate = stream.average_rate or stream.guessed_rate
    if rate and rate * time_base >= 1:
        rate = stream.guessed_rate or rate  # some demuxers (DV) count ticks for frames
    return VideoInfo(
        path=path,
        container=container.format.name,
        stream_index=stream.index,
        codec=context.name,
        pixel_format=first.format.name,
        layout=layout_of(first.format.name),
        geometry=geometry,
        color=color,
        time_base=time_base,
        frame_rate=rate,
        frame_count=stream.frames or round(duration * rate if rate else 0),
        duration=duration,
        display_matrix=matrix,
        field_order=FieldReader().order(first),
        mastering=mastering_of(side_data),
        sounds=frozenset(s.codec_context.codec.canonical_name for s in container.streams.audio if s.codec_context),
        embedded=frozenset(kind.name for kind in side_data),
    )
