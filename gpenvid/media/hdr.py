"""HDR10's static metadata: the light of the display a film was mastered on, and of the film itself."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gpenvid.media.side_data import SideDataType

_CHROMATICITY, _LUMINANCE = 50_000, 10_000  # units of SMPTE ST 2086 in 1 and in 1 cd/m2


@dataclass(frozen=True)
class Mastering:
    """Static metadata in the units of SMPTE ST 2086.

    Attributes:
        display: x and y of green, blue, red and white, then greatest and least luminance; empty where not stated.
        light: greatest luminance of a pixel and of a frame's average, in cd/m2; empty where not stated.
    """

    display: tuple[int, ...] = ()
    light: tuple[int, ...] = ()

    def x265_parameters(self) -> list[str]:
        """The same in x265's words."""
        found = []
        if self.display:
            g, b, r, w, level = (f"({x},{y})" for x, y in zip(self.display[::2], self.display[1::2], strict=True))
            found.append(f"master-display=G{g}B{b}R{r}WP{w}L{level}")
        if self.light:
            found.append(f"max-cll={self.light[0]},{self.light[1]}")
        return found


def mastering_of(side_data: Mapping[Any, Any]) -> Mastering | None:
    """What a decoded frame's side data states, None where nothing."""
    display = _display(side_data.get(SideDataType.MASTERING_DISPLAY_METADATA))
    light = side_data.get(SideDataType.CONTENT_LIGHT_LEVEL)
    found = Mastering(display, struct.unpack_from("=2I", bytes(light)) if light is not None else ())
    return found if found != Mastering() else None


def _display(data: Any) -> tuple[int, ...]:
    """FFmpeg's AVMasteringDisplayMetadata: ten fractions (red, green, blue, white, least, greatest), and what of it is stated."""
    if data is None or len(bytes(data)) < 88:
        return ()
    *numbers, colours_stated, light_stated = struct.unpack_from("=22i", bytes(data))
    if not (colours_stated and light_stated) or 0 in numbers[1::2]:
        return ()
    parts = [n / d for n, d in zip(numbers[::2], numbers[1::2], strict=True)]
    red, green, blue, white = (tuple(round(v * _CHROMATICITY) for v in parts[i : i + 2]) for i in (0, 2, 4, 6))
    least, greatest = (round(v * _LUMINANCE) for v in parts[8:10])
    return (*green, *blue, *red, *white, greatest, least)
