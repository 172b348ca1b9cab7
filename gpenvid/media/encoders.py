"""The encoders that write restored pictures: their names, how one is opened, and what it takes and needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import av
from av.codec import Codec
from av.codec.codec import UnknownCodecError
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext

from gpenvid.errors import UsageError
from gpenvid.media.color import ColorSpec
from gpenvid.media.containers import Container, supported_codecs
from gpenvid.media.layout import layout_of

CODECS = {
    "h264": "libx264",
    "h265": "libx265",
    "av1": "libsvtav1",
    "vp9": "libvpx-vp9",
    "ffv1": "ffv1",
    "prores": "prores_ks",
    "dnxhr": "dnxhd",
    "png": "png",
    "h264_nvenc": "h264_nvenc",
    "hevc_nvenc": "hevc_nvenc",
    "av1_nvenc": "av1_nvenc",
}
"""Names of `--codec` and the FFmpeg encoders behind them."""

STREAM_CODEC = {"libx264": "h264", "libx264rgb": "h264", "libx265": "hevc", "libsvtav1": "av1", "libvpx-vp9": "vp9", "prores_ks": "prores"}
STREAM_CODEC |= {"dnxhd": "dnxhd", "ffv1": "ffv1", "png": "png", "h264_nvenc": "h264", "hevc_nvenc": "hevc", "av1_nvenc": "av1"}
"""The codec of the stream that an encoder writes, in FFmpeg's terms."""

INTERLACED_ENCODERS = ("libx264", "prores_ks", "ffv1")
"""Those that can mark frames as interlaced."""

DEFAULT_CRF = {"libx264": 16, "libx264rgb": 16, "libx265": 16, "libsvtav1": 20, "libvpx-vp9": 18}

# They write alpha beside the packets (VP9) or refuse it when they open (x265).
_NO_ALPHA = ("libvpx-vp9", "libx265")

# Bits per pixel at the default quality. Grainy film measures 0.63 (x264) and 0.74 (x265), clean video far less; the others are
# guesses. Lossless and mastering codecs: share of the samples' own bits; FFV1 measures 0.32 on that film and more on noise.
_BITS_PER_PIXEL = {"libx264": 0.7, "libx264rgb": 1.4, "libx265": 0.8, "libsvtav1": 0.5, "libvpx-vp9": 0.5}
_SHARE = {"ffv1": 0.5, "png": 0.6, "prores_ks": 0.25, "dnxhd": 0.25}


@dataclass(frozen=True)
class EncoderSettings:
    """Everything an encoder is opened with; two encoders with equal settings write streams that join without a seam.

    Attributes:
        encoder: FFmpeg's encoder name.
        pixel_format: what frames are handed over as.
        options: encoder options.
        global_header: whether headers go into the container.
    """

    encoder: str
    pixel_format: str
    width: int
    height: int
    time_base: Fraction
    frame_rate: Fraction | None
    aspect: Fraction
    color: ColorSpec
    interlaced: bool
    bottom_first: bool
    global_header: bool
    options: tuple[tuple[str, str], ...] = field(default=())

    @property
    def codec(self) -> str:
        """The stream's codec, in FFmpeg's terms (`h264`)."""
        return STREAM_CODEC[self.encoder]

    def open(self) -> VideoCodecContext:
        """Open an encoder.

        Raises:
            UsageError: if it does not open with these settings on this machine.
        """
        context = av.CodecContext.create(self.encoder, "w")
        assert isinstance(context, VideoCodecContext)
        self.apply(context)
        try:
            context.open()
        except av.error.FFmpegError as error:
            raise UsageError(f"encoder {self.encoder} does not open ({error.strerror})", "choose another --codec or --preset") from error
        return context

    def apply(self, context: VideoCodecContext) -> None:
        """Set every property on a context that is not open yet."""
        context.width, context.height, context.pix_fmt = self.width, self.height, self.pixel_format
        context.time_base = self.time_base
        if self.frame_rate:
            context.framerate = self.frame_rate
        context.sample_aspect_ratio = self.aspect
        context.colorspace, context.color_primaries, context.color_trc = self.color.matrix, self.color.primaries, self.color.transfer
        context.color_range = self.color.range
        context.options = dict(self.options)
        if self.interlaced:
            context.flags |= Flags.interlaced_dct | Flags.interlaced_me
        if self.global_header:
            context.flags |= Flags.global_header


@dataclass(frozen=True)
class EncoderRequest:
    """What the user asked for: a name of `CODECS` or None for the default, quality and speed."""

    codec: str | None = None
    crf: float | None = None
    preset: str | None = None


def offered_formats(encoder: str) -> list[str]:
    """Names of the pixel formats an encoder takes, without those whose alpha would get lost.

    Raises:
        UsageError: if this FFmpeg has no such encoder.
    """
    try:
        names = [f.name for f in Codec(encoder, "w").video_formats or []]
    except UnknownCodecError as error:
        raise UsageError(f"this FFmpeg has no encoder {encoder}", "choose another --codec; `gpenvid doctor` lists them") from error
    return [n for n in names if not (encoder in _NO_ALPHA and n.startswith(("yuva", "gbrap")))]


def container_holds(container: Container, codec: str) -> bool:
    """Whether FFmpeg's muxer for this container takes a codec (by its stream name)."""
    return codec in supported_codecs(container)


def estimated_bytes(settings: EncoderSettings, frames: int) -> int:
    """About how many bytes so many frames take; right within a factor of two for most film and video."""
    pixels = settings.width * settings.height * frames
    if settings.encoder in _SHARE:
        layout = layout_of(settings.pixel_format)
        samples = layout.colour_planes if layout.model != "yuv" else 1 + 2 / (1 << (layout.shift_x + layout.shift_y))
        return round(pixels * (samples + layout.alpha) * layout.bits * _SHARE[settings.encoder] / 8)
    default = DEFAULT_CRF.get(settings.encoder, 18)
    options = dict(settings.options)
    # Six steps of quality double the bytes.
    factor = 2 ** ((default - float(options.get("crf", options.get("cq", default)))) / 6)
    return round(pixels * _BITS_PER_PIXEL.get(settings.encoder, 0.7) * min(factor, 8.0) / 8)


def encoder_opens(encoder: str) -> bool:
    """Whether an encoder opens on this machine, tried with a small picture."""
    context = av.CodecContext.create(encoder, "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt, context.time_base = 256, 256, "yuv420p", Fraction(1, 25)
    try:
        context.open()
    except av.error.FFmpegError:
        return False
    return True
