"""What a PNG file carries beside its samples, in chunks."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from gpenvid.media.still_extras import Entry, Resolution, StillExtras, StillFile, listed, resolution_of

MAGIC = b"\x89PNG\r\n\x1a\n"
_LARGEST = 2**26  # bytes that the compressed blocks of a file may have in all; larger ones are more likely bombs
_DENSEST = 1032  # bytes that one of DEFLATE makes at most
_HEADER_END = len(MAGIC) + 25  # behind IHDR
_XMP = b"XML:com.adobe.xmp\0"
_COLOUR = (b"sRGB", b"gAMA", b"cHRM", b"cICP", b"mDCV", b"cLLI")
_TEXT = (b"tEXt", b"zTXt", b"iTXt")
# They say how the samples lie in this file, which the result does in its own way.
_STRUCTURE = (b"tRNS", b"sBIT", b"bKGD", b"hIST", b"sPLT", b"acTL", b"fcTL", b"fdAT", b"iDOT")


def read_png(data: bytes) -> StillFile:
    """Number of pictures and extras of a PNG file, as far as it is undamaged."""
    exif = xmp = icc = raw = b""
    resolution: Resolution | None = None
    entries: list[Entry] = []
    lost: list[str] = []
    remarks: list[str] = []
    pages, damaged, room = 1, False, _Room()
    grey = data[len(MAGIC) + 17 : len(MAGIC) + 18] == b"\0"
    for kind, body in _chunks(data):
        if kind == b"tRNS" and grey:
            remarks.append("the grey value that stands for transparency is left out")  # of other kinds the decoder makes alpha
        elif kind == b"acTL" and len(body) >= 4:
            pages = struct.unpack_from(">I", body)[0]
        elif kind == b"iCCP":
            icc = room.inflated(body.partition(b"\0")[2][1:])
            damaged = not icc
        elif kind == b"eXIf":
            exif = body.removeprefix(b"Exif\0\0")
        elif kind in _TEXT and body.startswith(_XMP):
            xmp = xmp or _text(kind, body, room)
        elif kind == b"pHYs" and len(body) == 9:
            x, y, unit = struct.unpack(">IIB", body)
            resolution = resolution_of(Fraction(x, 100), Fraction(y, 100), "cm") if unit else resolution_of(Fraction(x), Fraction(y), "")
        elif kind in _TEXT and (found := _raw_exif(kind, body, room)):
            raw = found
        elif kind in _TEXT:
            entries.append(Entry(f"text '{body.partition(bytes(1))[0].decode('latin-1')}'", kind + body))
        elif kind in _COLOUR or (kind[3] & 32 and kind not in _STRUCTURE and kind[0] & 32):
            entries.append(Entry(f"chunk {kind.decode('latin-1')}", kind + body))
        elif kind[0] & 32 and kind not in _STRUCTURE and kind != b"tIME":
            lost.append(kind.decode("latin-1"))
    if any(e.data.startswith(b"sRGB") for e in entries):
        entries = [replace(e, implied=e.data.startswith((b"sRGB", b"gAMA", b"cHRM"))) for e in entries]
    if lost:
        remarks.append(f"what the chunks {listed(dict.fromkeys(lost))} say may not hold for changed samples; they are left out")
    if damaged:
        remarks.append("the ICC profile is damaged and is left out")
    return StillFile(pages, StillExtras(exif or raw, xmp, icc, resolution, "png", tuple(entries), tuple(remarks)))


def add_to_png(data: bytes, extras: StillExtras) -> bytes:
    """A PNG file with extras, which must be such as PNG holds."""
    chunks = [e.data for e in extras.entries]
    if extras.icc:
        chunks.append(b"iCCPICC profile\0\0" + zlib.compress(extras.icc))
    if extras.resolution:
        chunks.append(b"pHYs" + _physical(extras.resolution))
    if extras.exif:
        chunks.append(b"eXIf" + extras.exif)
    if extras.xmp:
        chunks.append(b"iTXt" + _XMP + b"\0\0\0\0" + extras.xmp)
    written = b"".join(struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
    return data[:_HEADER_END] + written + data[_HEADER_END:]


def _physical(resolution: Resolution) -> bytes:
    if resolution.unit:
        metre = [min(round(v / Fraction(254, 10000)), 2**31 - 1) for v in resolution.per_inch]
        return struct.pack(">IIB", *metre, 1)
    ratio = (resolution.x / resolution.y).limit_denominator(2**15)
    return struct.pack(">IIB", ratio.numerator, ratio.denominator, 0)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and body of every chunk but those that every PNG has."""
    place = len(MAGIC)
    while place + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, place)
        kind = data[place + 4 : place + 8]
        if kind == b"IEND" or place + 12 + size > len(data):
            return
        if kind not in (b"IHDR", b"PLTE", b"IDAT"):
            yield kind, data[place + 8 : place + 8 + size]
        place += 12 + size


class _Room:
    """What the compressed blocks of one file may still take."""

    def __init__(self) -> None:
        self._left = _LARGEST

    def inflated(self, packed: bytes) -> bytes:
        """What was compressed; empty where it is damaged or there is no room for it."""
        if not self._left:
            return b""
        unpacker = zlib.decompressobj()
        try:
            found = unpacker.decompress(packed, self._left)
        except zlib.error:
            self._left = max(0, self._left - _DENSEST * len(packed))  # as much as it may have made before it broke
            return b""
        self._left -= len(found)
        return found if unpacker.eof else b""


def _text(kind: bytes, body: bytes, room: _Room) -> bytes:
    """The text of a chunk, as bytes in its own encoding."""
    _, _, rest = body.partition(b"\0")
    if kind == b"tEXt":
        return rest
    if kind == b"zTXt":
        return room.inflated(rest[1:])
    text = rest[2:].split(b"\0", 2)[-1]
    return room.inflated(text) if rest[:1] == b"\1" else text


def _raw_exif(kind: bytes, body: bytes, room: _Room) -> bytes:
    """The EXIF block that older programs write as hexadecimal text; empty where this is none."""
    if not body.startswith((b"Raw profile type exif\0", b"Raw profile type APP1\0")):
        return b""
    words = _text(kind, body, room).split()
    try:
        block = bytes.fromhex(b"".join(words[2:]).decode("ascii"))
    except ValueError:
        return b""
    return block.removeprefix(b"Exif\0\0") if block.startswith((b"Exif\0\0", b"II", b"MM")) else b""
