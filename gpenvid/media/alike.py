"""A picture brought to the form of a film's first one: what changes on the way has no place in a result."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from av.video.frame import VideoFrame

from gpenvid.media.color import FULL, LIMITED, chroma_scale, luma_scale, luma_weights, scaler_matrix
from gpenvid.media.frame import view_planes
from gpenvid.media.layout import layout_of, planar_twin
from gpenvid.media.probe import VideoInfo, spans_all_codes


@dataclass(frozen=True)
class Alike:
    """A picture in the first one's form, and what it took.

    Attributes:
        resized, reformatted, recoloured: its size, pixel format, or range or matrix was another one.
    """

    picture: VideoFrame
    resized: bool
    reformatted: bool
    recoloured: bool


def alike(picture: VideoFrame, info: VideoInfo) -> Alike:
    """Bring a decoded picture to the size, layout, range and matrix of the first one.

    With another range all codes are right to one. With another matrix FFmpeg's scaler is 1.6 of 256 codes off in luma on average in 4:2:0,
    and 0.3 in 4:4:4; left as they are colours would be wrong by ten times that.
    """
    name, layout, size = picture.format.name, info.layout, (info.geometry.width, info.geometry.height)
    resized, reformatted = (picture.width, picture.height) != size, planar_twin(name) != layout.name
    full, matrix = spans_all_codes(picture), info.color.resolved_matrix(info.geometry.height)
    stated = int(picture.colorspace) if luma_weights(int(picture.colorspace)) else matrix
    coloured = layout.model != "rgb" and not picture.format.is_rgb
    grey = layout.model == "gray" and name.startswith("gray")
    recoloured = coloured and (full != info.color.is_full_range or (not grey and luma_weights(stated) != luma_weights(matrix)))
    scaled = resized or reformatted or recoloured
    # FFmpeg's scaler takes yuvj formats for full whatever they state, and grey of any range for the same.
    if scaled and ((name.startswith("yuvj") and not full) or (grey and recoloured)):
        full = not full
        _stretch(picture, full=full)
    if scaled:
        picture = picture.reformat(
            *size,
            layout.name,
            scaler_matrix(stated),
            scaler_matrix(matrix),
            src_color_range=FULL if full else LIMITED,
            dst_color_range=FULL if info.color.is_full_range else LIMITED,
        )
    # yuvj formats already lie as their twins do; converting them would copy, or worse, squeeze the range.
    elif name != layout.name and not name.startswith("yuvj"):
        picture = picture.reformat(format=layout.name)
    return Alike(picture, resized, reformatted, recoloured)


def _stretch(picture: VideoFrame, *, full: bool) -> None:
    """Bring a picture's codes to full or limited range from the other one, in place; alpha has no range."""
    picture.make_writable()
    layout = layout_of(picture.format.name)
    most = 2**layout.bits - 1
    for index, plane in enumerate(view_planes(picture, layout)[: layout.colour_planes]):
        scale = chroma_scale if index else luma_scale
        (low, span), (start, whole) = scale(layout.bits, not full), scale(layout.bits, full)
        table = np.rint(np.clip((np.arange(most + 1) - low) / span * whole + start, 0, most)).astype(plane.dtype)
        plane[:] = table[plane]
