"""Which encoder writes the restored pictures, and with what settings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction

import av
import cv2
from av.codec import Codec, find_best_pix_fmt_of_list
from av.codec.codec import UnknownCodecError
from av.codec.context import Flags
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from gpenvid.errors import InputError, UsageError
from gpenvid.media.color import FULL, LIMITED, ColorSpec
from gpenvid.media.containers import CONTAINERS, Container, needs_global_header, supported_codecs
from gpenvid.media.deinterlace import FieldMarker, FieldOrder
from gpenvid.media.frame import Frame
from gpenvid.media.layout import layout_of
from gpenvid.media.probe import VideoInfo

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

_ALIASES = {"hevc": "h265", "x264": "h264", "x265": "h265", "avc": "h264", "nvenc": "h264_nvenc"}
_AVX_512F = 13  # CV_CPU_AVX_512F, which OpenCV's Python module does not name
_STREAM_CODEC = {"libx264": "h264", "libx264rgb": "h264", "libx265": "hevc", "libsvtav1": "av1", "libvpx-vp9": "vp9", "prores_ks": "prores"}
_STREAM_CODEC |= {"dnxhd": "dnxhd", "ffv1": "ffv1", "png": "png", "h264_nvenc": "h264", "hevc_nvenc": "hevc", "av1_nvenc": "av1"}
_EVEN_SIZES = ("libx264", "libx265")
_INTERLACED_ENCODERS = ("libx264", "prores_ks", "ffv1")
_LIMITED_ONLY = ("prores_ks", "dnxhd")
# They write alpha beside the packets (VP9) or refuse it when they open (x265).
_NO_ALPHA = ("libvpx-vp9", "libx265")
_MOST_CRF = {"libsvtav1": 63, "libvpx-vp9": 63}  # of others 51
_DEFAULT_CRF = {"libx264": 16, "libx264rgb": 16, "libx265": 16, "libsvtav1": 20, "libvpx-vp9": 18}

# Bits per pixel at the default quality. Grainy film measures 0.63 (x264) and 0.74 (x265), clean video far less; the others are
# guesses. Lossless and mastering codecs: share of the samples' own bits; FFV1 measures 0.32 on that film and more on noise.
_LEAST_SIDE = {"libsvtav1": 64}  # pixels: with less it hangs on some shapes, for ever and deaf to signals
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
        return _STREAM_CODEC[self.encoder]

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


def choose_encoder(
    request: EncoderRequest, info: VideoInfo, container: Container, *, deinterlaced: bool = False
) -> tuple[EncoderSettings, list[str]]:
    """Settle on an encoder that keeps the source's depth and sampling in this container.

    Returns:
        the settings, and warnings about what could not be kept.

    Raises:
        UsageError: unknown codec, or one that this container or this machine does not have.
    """
    interlaced = info.field_order != "progressive" and not deinterlaced
    encoder = _named_encoder(request.codec) if request.codec else _default_encoder(info, container, interlaced=interlaced)
    _check_container(encoder, container)
    if min(info.geometry.width, info.geometry.height) < (least := _LEAST_SIDE.get(encoder, 1)):
        raise UsageError(f"{encoder} needs at least {least} pixels on either side", "choose another --codec, such as ffv1")
    warnings = []
    pixel_format, color = info.layout.name, info.color
    offered = offered_formats(encoder)
    if pixel_format not in offered:
        best, loss = find_best_pix_fmt_of_list(_of_a_kind(offered, info), pixel_format, info.layout.alpha)
        if best is None:
            raise UsageError(f"{encoder} cannot hold {pixel_format}", "choose --codec ffv1")
        # Colour space changes between RGB orders are no loss.
        if loss & ~0x4 or layout_of(best.name).model != info.layout.model:
            warnings.append(f"{encoder} cannot hold {pixel_format}; the picture is converted to {best.name} (--codec ffv1 keeps it)")
        pixel_format = best.name
        held = layout_of(pixel_format)
        if encoder == "png" and info.layout.model == "yuv":
            raise UsageError(f"png cannot hold {info.layout.name}", "choose --codec ffv1, or an image sequence: -o frames_%05d.png")
        if info.layout.model == "rgb" and held.model == "yuv":
            # What the source states of RGB is no truth about these samples.
            color = replace(color, matrix=1 if info.geometry.height >= 720 else 6, range=LIMITED)
    if encoder in _LIMITED_ONLY and color.is_full_range and info.layout.model != "rgb":
        color = replace(color, range=LIMITED)
        warnings.append(f"{encoder} has no full range; the samples are squeezed into the limited one (--codec ffv1 keeps them)")
    matrix = color.resolved_matrix(info.geometry.height)
    if encoder == "dnxhd" and info.layout.model == "yuv" and matrix != 1:
        stated = "BT.2020" if matrix in (9, 10) else "BT.601"
        warnings.append(
            f"dnxhd always states BT.709 and the source is {stated}: players will show other colours (--codec prores keeps them)"
        )
    if _halves_a_sample(info) and encoder in _EVEN_SIZES:
        pixel_format = pixel_format.replace("420", "444").replace("422", "444")
        warnings.append(f"{encoder} needs even sizes; chroma is stored at full size, as {pixel_format} (--codec ffv1 or vp9 keeps it)")
    if interlaced and encoder not in _INTERLACED_ENCODERS:
        warnings.append(f"{encoder} cannot mark frames as interlaced (--codec h264 can; --deinterlace makes them progressive)")
    warnings += [f"{what} of the source cannot be carried over{how}" for what, how in _lost_marks(encoder, info)]
    if info.mastering and encoder != "libx265":
        warnings.append(f"{encoder} cannot carry the HDR10 light levels of the source (--codec h265 does)")
    settings = EncoderSettings(
        encoder=encoder,
        pixel_format=pixel_format,
        width=info.geometry.width,
        height=info.geometry.height,
        time_base=info.time_base,
        frame_rate=info.frame_rate,
        aspect=info.geometry.aspect,
        color=color,
        interlaced=interlaced and encoder in _INTERLACED_ENCODERS,
        bottom_first=info.field_order == "bottom first",
        global_header=needs_global_header(container.muxer),
        options=tuple(sorted(_options(encoder, pixel_format, request, info, interlaced).items())),
    )
    return settings, warnings


_CAPTIONS = "A53_CC"
_NEVER_CARRIED = {
    "DOVI_METADATA": "the Dolby Vision metadata",
    "DYNAMIC_HDR_PLUS": "the HDR10+ metadata",
    "DYNAMIC_HDR_VIVID": "the HDR Vivid metadata",
    "STEREO3D": "the mark for stereo pictures",
    "SPHERICAL": "the mark for spherical pictures",
}
_CARRY_CAPTIONS = ("libx264", "libx264rgb", "libx265", "h264_nvenc", "hevc_nvenc")


def _lost_marks(encoder: str, info: VideoInfo) -> Iterator[tuple[str, str]]:
    """What frames carry beside their samples and this encoder does not write, and what does."""
    if _CAPTIONS in info.embedded and encoder not in _CARRY_CAPTIONS:
        yield "the closed captions inside the picture", " (--codec h264 and h265 keep them)"
    for name, told in _NEVER_CARRIED.items():
        if name in info.embedded:
            yield told, ""


def estimated_bytes(settings: EncoderSettings, frames: int) -> int:
    """About how many bytes so many frames take; right within a factor of two for most film and video."""
    pixels = settings.width * settings.height * frames
    if settings.encoder in _SHARE:
        layout = layout_of(settings.pixel_format)
        samples = layout.colour_planes if layout.model != "yuv" else 1 + 2 / (1 << (layout.shift_x + layout.shift_y))
        return round(pixels * (samples + layout.alpha) * layout.bits * _SHARE[settings.encoder] / 8)
    default = _DEFAULT_CRF.get(settings.encoder, 18)
    options = dict(settings.options)
    # Six steps of quality double the bytes.
    factor = 2 ** ((default - float(options.get("crf", options.get("cq", default)))) / 6)
    return round(pixels * _BITS_PER_PIXEL.get(settings.encoder, 0.7) * min(factor, 8.0) / 8)


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


def _of_a_kind(offered: list[str], info: VideoInfo) -> list[str]:
    """The formats of the source's own colour model, or where there are none, all. Grey is luma, and none of RGB's."""
    model = "rgb" if info.layout.model == "rgb" else "yuv"
    return [name for name in offered if (model == "rgb") == name.startswith(("gbr", "rgb", "bgr"))] or offered


def _named_encoder(name: str) -> str:
    key = _ALIASES.get(name.lower(), name.lower())
    if key not in CODECS:
        raise UsageError(f"unknown codec {name}", f"choose one of {', '.join(CODECS)}")
    return CODECS[key]


def _halves_a_sample(info: VideoInfo) -> bool:
    """Whether a chroma sample at the right or lower edge covers less than it should: odd sizes, which VP9, AV1 and FFV1 hold."""
    geometry, layout = info.geometry, info.layout
    return bool(geometry.width % (1 << layout.shift_x) or geometry.height % (1 << layout.shift_y))


def _default_encoder(info: VideoInfo, container: Container, *, interlaced: bool) -> str:
    layout = info.layout
    if container.muxer == "webm":
        # Not every build of libvpx has its deep formats; AV1 is WebM's other codec.
        return "libvpx-vp9" if layout.name in offered_formats("libvpx-vp9") else "libsvtav1"
    if layout.alpha or layout.bits > 12:
        if container.muxer == "mov":
            return "prores_ks" if layout.model == "yuv" else "png"
        return "ffv1"
    if _halves_a_sample(info) and layout.name in offered_formats("libvpx-vp9") and container_holds(container, "vp9"):
        return "libvpx-vp9"
    if layout.model == "rgb":
        return "libx264rgb" if layout.bits == 8 else "libx265"
    if interlaced and layout.name in offered_formats("libx264"):
        return "libx264"  # of the two, the one that can mark fields
    return "libx264" if layout.bits == 8 else "libx265"


def _check_container(encoder: str, container: Container) -> None:
    codec = _STREAM_CODEC[encoder]
    if not container_holds(container, codec):
        fitting = " or ".join(dict.fromkeys(c.suffix for c in CONTAINERS if container_holds(c, codec)))
        raise UsageError(f"{container.suffix} cannot hold {codec} video", f"name an output that ends in {fitting}")


def container_holds(container: Container, codec: str) -> bool:
    """Whether FFmpeg's muxer for this container takes a codec (by its stream name)."""
    return codec in supported_codecs(container.muxer)


def _options(encoder: str, pixel_format: str, request: EncoderRequest, info: VideoInfo, interlaced: bool) -> dict[str, str]:
    options: dict[str, str] = {}
    crf = request.crf if request.crf is not None else _DEFAULT_CRF.get(encoder)
    if crf is not None and crf > (most := _MOST_CRF.get(encoder, 51)):
        raise UsageError(f"--crf {crf:g} is out of range for {encoder}", f"choose 0 (best) to {most}")
    if encoder in ("libx264", "libx264rgb", "libx265"):
        options |= {"crf": f"{crf:g}", "preset": request.preset or "medium"}
    parameters: list[str] = []
    if encoder in ("libx264", "libx264rgb"):
        # How many threads there are changes the bytes, and a render may go on under another number of cores. Four cost 1% in
        # size on film with grain and up to 10% on a still, clean picture against the three that two cores would choose.
        options["threads"] = "4"
        if cv2.checkHardwareSupport(_AVX_512F):
            # With AVX-512, macroblock tree rate control gives other bytes at every run (five of five differed); with AVX2 none
            # of five did, at the same speed and size. Leaving the tree out instead costs 50% in size on a still picture.
            parameters.append("asm=avx2")
    if encoder == "libx265":
        options["a53cc"] = "1"  # closed captions; x264 writes them unasked
        # Pool and frame threads change the bytes too.
        parameters += ["log-level=error", "pools=4", "frame-threads=2"]
        parameters += info.mastering.x265_parameters() if info.mastering else []
    if encoder == "libsvtav1":
        options |= {"crf": f"{crf:g}", "preset": request.preset or "8"}
    if encoder == "libvpx-vp9":
        options |= {"crf": f"{crf:g}", "b": "0", "row-mt": "1", "deadline": "good", "cpu-used": request.preset or "4"}
    if encoder == "ffv1":
        options |= {"level": "3", "g": "1", "slices": "4", "slicecrc": "1"}
    if encoder == "png":
        options["pred"] = "mixed"
    if encoder == "prores_ks":
        options["profile"] = request.preset or ("4444" if "444" in pixel_format else "hq")
    if encoder == "dnxhd":
        deep = info.layout.bits > 8
        options["profile"] = request.preset or ("dnxhr_444" if "444" in pixel_format else "dnxhr_hqx" if deep else "dnxhr_hq")
    if encoder.endswith("_nvenc"):
        options |= {"rc": "vbr", "cq": f"{request.crf if request.crf is not None else 18:g}", "preset": request.preset or "p5"}
    if encoder == "libx264" and interlaced:
        parameters.append("bff=1" if info.field_order == "bottom first" else "tff=1")
    if parameters:
        options["x265-params" if encoder == "libx265" else "x264-params"] = ":".join(parameters)
    return options


def encode_frames(settings: EncoderSettings, frames: Iterator[Frame]) -> Iterator[Packet[VideoStream]]:
    """Encode frames with an encoder of their own, from its first keyframe to its last packet.

    Raises:
        UsageError: if the encoder does not open.
        InputError: if it fails on a frame.
    """
    context = settings.open()
    marker = FieldMarker()
    try:
        for frame in frames:
            picture = frame.to_av()
            same = picture.format.name == settings.pixel_format or picture.format.name.startswith("yuvj")
            if not same or frame.color.is_full_range != settings.color.is_full_range:
                picture = _converted(picture, settings, frame)
            fields = _fields_for(settings, frame)
            if settings.encoder in _INTERLACED_ENCODERS and (fields != "progressive" or picture.interlaced_frame):
                picture = marker.mark(picture, fields)
            yield from context.encode(picture)
        yield from context.encode(None)
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
