"""Extras of any kind of picture file: told apart by content for reading, by name for writing."""

from __future__ import annotations

import re

from gpenvid.media import still_jpeg, still_png, still_tiff
from gpenvid.media.still_extras import StillExtras, StillFile, family_of
from gpenvid.media.still_webp import is_webp, read_webp

_NETPBM = re.compile(rb"P[2356](?:(?:\s|#[^\n]*\n)+\d{1,9}){2}(?:\s|#[^\n]*\n)+(\d{1,9})\s")
"""PGM and PPM: width, height, and the value that stands for white."""


def read_file(data: bytes) -> StillFile:
    """What a picture file is, without decoding it. Kinds that carry nothing beside samples have no extras."""
    if data.startswith(still_png.MAGIC):
        return still_png.read_png(data)
    if data.startswith(still_jpeg.MAGIC):
        return still_jpeg.read_jpeg(data)
    if data.startswith(still_tiff.MAGIC):
        return still_tiff.read_tiff(data)
    if is_webp(data):
        return read_webp(data)
    if (largest := _NETPBM.match(data)) and int(largest[1]) not in (255, 65535):
        return StillFile(1, StillExtras(), refused=f"its largest value is {int(largest[1])}, which would be lost")
    moving = data.startswith(b"GIF8") or data[4:8] == b"ftyp"  # GIF and AVIF under another name
    return StillFile(None if moving else 1, StillExtras())


def add_extras(data: bytes, extras: StillExtras, suffix: str) -> bytes:
    """A PNG, JPEG or TIFF file with extras, which must be such as that kind holds; others as they are."""
    family = family_of(suffix)
    if family == "png":
        return still_png.add_to_png(data, extras)
    if family == "jpeg":
        return still_jpeg.add_to_jpeg(data, extras)
    return still_tiff.add_to_tiff(data, extras) if family == "tiff" else data
