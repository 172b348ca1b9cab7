"""How the samples of a picture lie in memory: the planar formats gpenvid computes in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from av.video.format import VideoFormat

from gpenvid.errors import InputError

Model = Literal["yuv", "rgb", "gray"]


@dataclass(frozen=True)
class PixelLayout:
    """A planar pixel format.

    Attributes:
        name: FFmpeg's name (`yuv420p10le`, `gbrp`, `gray`).
        model: `yuv` (planes Y, U, V), `rgb` (planes G, B, R) or `gray` (plane Y).
        bits: significant bits of a sample, 8 to 16.
        shift_x, shift_y: log2 of the chroma subsampling.
        alpha: whether one more plane, full size, holds alpha.
    """

    name: str
    model: Model
    bits: int
    shift_x: int
    shift_y: int
    alpha: bool

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        """The array type of a plane."""
        return np.uint8 if self.bits == 8 else np.uint16

    @property
    def colour_planes(self) -> int:
        """Planes that hold colour (alpha not counted)."""
        return 1 if self.model == "gray" else 3

    def plane_shape(self, plane: int, width: int, height: int) -> tuple[int, int]:
        """(rows, columns) of a plane of a width x height picture; odd sizes round up, as in FFmpeg."""
        if self.model == "yuv" and plane in (1, 2):
            return -(-height >> self.shift_y), -(-width >> self.shift_x)
        return height, width


# Packed and oddly stored formats, and the planar one that holds exactly the same samples.
_PLANAR_TWIN = {
    "nv12": "yuv420p", "nv21": "yuv420p", "nv16": "yuv422p", "nv20le": "yuv422p10le", "nv24": "yuv444p", "nv42": "yuv444p",
    "yuyv422": "yuv422p", "uyvy422": "yuv422p", "yvyu422": "yuv422p", "y210le": "yuv422p10le", "y212le": "yuv422p12le",
    "p010le": "yuv420p10le", "p210le": "yuv422p10le", "p410le": "yuv444p10le", "p012le": "yuv420p12le", "p212le": "yuv422p12le",
    "p412le": "yuv444p12le", "p016le": "yuv420p16le", "p216le": "yuv422p16le", "p416le": "yuv444p16le",
    "vuyx": "yuv444p", "ayuv": "yuva444p", "vuya": "yuva444p", "uyva": "yuva444p", "ayuv64le": "yuva444p16le",
    "xv30le": "yuv444p10le", "v30xle": "yuv444p10le", "xv36le": "yuv444p12le",
    "yuv444p10msble": "yuv444p10le", "yuv444p12msble": "yuv444p12le",
    "yuvj420p": "yuv420p", "yuvj422p": "yuv422p", "yuvj444p": "yuv444p", "yuvj440p": "yuv440p", "yuvj411p": "yuv411p",
    "rgb24": "gbrp", "bgr24": "gbrp", "rgb0": "gbrp", "bgr0": "gbrp", "0rgb": "gbrp", "0bgr": "gbrp",
    "rgba": "gbrap", "bgra": "gbrap", "argb": "gbrap", "abgr": "gbrap", "pal8": "gbrap",
    "rgb48le": "gbrp16le", "bgr48le": "gbrp16le", "rgba64le": "gbrap16le", "bgra64le": "gbrap16le",
    "monow": "gray", "monob": "gray", "ya8": "gbrap", "ya16le": "gbrap16le", "x2rgb10le": "gbrp10le", "x2bgr10le": "gbrp10le",
}  # fmt: skip

_UNREADABLE = ("v30x", "x2rgb", "x2bgr", "xv30", "y210", "y212")  # big-endian forms that FFmpeg's scaler does not convert


@lru_cache(maxsize=64)
def planar_twin(name: str) -> str:
    """The planar little-endian format that holds the same samples as pixel format `name` (often `name` itself)."""
    if name.endswith("be") and not name.startswith(_UNREADABLE):
        name = name[:-2] + "le"
    return _PLANAR_TWIN.get(name, name)


@lru_cache(maxsize=64)
def layout_of(name: str) -> PixelLayout:
    """Describe a pixel format by FFmpeg's name.

    Raises:
        InputError: for formats gpenvid cannot compute in (Bayer, XYZ, floating point, hardware surfaces).
    """
    twin = planar_twin(name)
    form = VideoFormat(twin, 64, 64)
    components = form.components
    unsupported = form.is_bayer or form.is_big_endian or form.has_palette or form.is_bit_stream or not components
    unsupported = unsupported or twin.startswith(("xyz", "gbrpf", "gbrapf", "grayf", "yaf")) or components[0].bits > 16
    unsupported = unsupported or "msb" in twin  # samples in the upper bits; FFmpeg's scaler does not convert RGB of that kind exactly
    colours = [c for c in components if not c.is_alpha]
    planar = len({c.plane for c in components}) == len(components)
    if unsupported or not planar or len(colours) not in (1, 3) or components[0].bits < 8:
        raise InputError(f"pixel format {name} is not supported", "convert the source to yuv420p, yuv422p10le or gbrp first")
    model: Model = "gray" if len(colours) == 1 else "rgb" if form.is_rgb else "yuv"
    shift_x = (64 // form.chroma_width()).bit_length() - 1 if model == "yuv" else 0
    shift_y = (64 // form.chroma_height()).bit_length() - 1 if model == "yuv" else 0
    return PixelLayout(twin, model, components[0].bits, shift_x, shift_y, any(c.is_alpha for c in components))
