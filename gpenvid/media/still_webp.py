"""What a WebP file carries beside its samples, in RIFF chunks."""

from __future__ import annotations

import struct

from gpenvid.media.still_extras import StillExtras, StillFile, listed

_PICTURE = (b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF")


def is_webp(data: bytes) -> bool:
    """Whether a file is WebP, by its first twelve bytes."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def read_webp(data: bytes) -> StillFile:
    """Number of pictures and extras of a WebP file, as far as it is undamaged."""
    blocks: dict[bytes, bytes] = {}
    place, moving = 12, 0
    while place + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, place)
        moving += kind == b"ANMF"
        if kind not in _PICTURE and place + 8 + size <= len(data):
            blocks.setdefault(kind, data[place + 8 : place + 8 + size])
        place += 8 + size + size % 2
    exif, xmp, icc = (blocks.pop(k, b"") for k in (b"EXIF", b"XMP ", b"ICCP"))
    others = [k.decode("latin-1").strip() for k in blocks]
    remarks = (f"the chunks {listed(others)} cannot be carried over",) if others else ()
    return StillFile(max(moving, 1), StillExtras(exif.removeprefix(b"Exif\0\0"), xmp, icc, None, "webp", (), remarks))
