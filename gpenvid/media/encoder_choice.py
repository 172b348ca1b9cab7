"""Which encoder keeps most of a source in a container, and what it cannot keep."""

from __future__ import annotations

from dataclasses import replace

from av.codec import find_best_pix_fmt_of_list

from gpenvid.errors import UsageError
from gpenvid.media.color import LIMITED, ColorSpec, usual_matrix
from gpenvid.media.containers import CONTAINERS, Container, needs_global_header
from gpenvid.media.encoder_options import options_for
from gpenvid.media.encoders import (
    CODECS,
    INTERLACED_ENCODERS,
    STREAM_CODEC,
    EncoderRequest,
    EncoderSettings,
    container_holds,
    offered_formats,
)
from gpenvid.media.layout import layout_of
from gpenvid.media.probe import VideoInfo
from gpenvid.media.side_data import CAPTIONS, LIGHT_LEVELS, NEVER_CARRIED

_ALIASES = {"hevc": "h265", "x264": "h264", "x265": "h265", "avc": "h264", "nvenc": "h264_nvenc"}
_EVEN_SIZES = ("libx264", "libx265")
_LIMITED_ONLY = ("prores_ks", "dnxhd")
_LEAST_SIDE = {"libsvtav1": 64}  # pixels: with less it hangs on some shapes, for ever and deaf to signals
_CARRY_CAPTIONS = ("libx264", "libx264rgb", "libx265", "h264_nvenc", "hevc_nvenc")


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
    pixel_format, color, warnings = _samples_of(encoder, info)
    if interlaced and encoder not in INTERLACED_ENCODERS:
        warnings.append(f"{encoder} cannot mark frames as interlaced (--codec h264 can; --deinterlace makes them progressive)")
    warnings += dict.fromkeys(told for kind, told in _not_carried(encoder).items() if kind in info.embedded)
    settings = EncoderSettings(
        encoder=encoder,
        pixel_format=pixel_format,
        width=info.geometry.width,
        height=info.geometry.height,
        time_base=info.time_base,
        frame_rate=info.frame_rate,
        aspect=info.geometry.aspect,
        color=color,
        interlaced=interlaced and encoder in INTERLACED_ENCODERS,
        bottom_first=info.field_order == "bottom first",
        global_header=needs_global_header(container.muxer),
        options=tuple(sorted(options_for(encoder, pixel_format, request, info, interlaced=interlaced).items())),
    )
    return settings, warnings


def _samples_of(encoder: str, info: VideoInfo) -> tuple[str, ColorSpec, list[str]]:
    """The pixel format nearest to the source's that an encoder takes, what it states of colour, and warnings about what is lost."""
    warnings: list[str] = []
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
            color = replace(color, matrix=usual_matrix(info.geometry.height), range=LIMITED)
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
    return pixel_format, color, warnings


def lost_later(encoder: str, info: VideoInfo) -> dict[str, str]:
    """What is lost of what later frames carry beside their samples and the first one does not: FFmpeg's name of it, and a sentence."""
    late = "HDR10 light levels that do not begin with the picture cannot be carried over"
    later = dict.fromkeys(LIGHT_LEVELS, late) | _not_carried(encoder)
    return {kind: told for kind, told in later.items() if kind not in info.embedded}


def _not_carried(encoder: str) -> dict[str, str]:
    """What an encoder does not write of what frames carry beside their samples."""
    lost = {kind: f"{told} of the source cannot be carried over" for kind, told in NEVER_CARRIED.items()}
    if encoder not in _CARRY_CAPTIONS:
        lost[CAPTIONS] = "the closed captions inside the picture of the source cannot be carried over (--codec h264 and h265 keep them)"
    if encoder != "libx265":
        lost |= dict.fromkeys(LIGHT_LEVELS, f"{encoder} cannot carry the HDR10 light levels of the source (--codec h265 does)")
    return lost


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
    codec = STREAM_CODEC[encoder]
    if not container_holds(container, codec):
        fitting = " or ".join(dict.fromkeys(c.suffix for c in CONTAINERS if container_holds(c, codec)))
        raise UsageError(f"{container.suffix} cannot hold {codec} video", f"name an output that ends in {fitting}")
