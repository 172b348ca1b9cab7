"""What a JPEG file carries beside its samples, in segments before the first scan."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av

from gpenvid.media.still_extras import Entry, Resolution, StillExtras, StillFile, listed, resolution_of

MAGIC = b"\xff\xd8\xff"
_EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_MORE_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_ICC = b"ICC_PROFILE\0"
_ICC_ROOM = 65519
_NOT_FRAMES = (0xC4, 0xC8, 0xCC)  # tables among the numbers of frame headers
_HUFFMAN = (0xC0, 0xC1, 0xC2)  # baseline, extended and progressive; others are rare, and FFmpeg does not know all of them
_COMMENT = 0xFE
_STRUCTURE = (b"Adobe", b"Ducky")  # how the samples were compressed


def read_jpeg(data: bytes) -> StillFile:
    """Extras of a JPEG file, as far as it is undamaged. Only its first picture counts."""
    exif = xmp = b""
    profile: dict[int, bytes] = {}
    resolution: Resolution | None = None
    entries: list[Entry] = []
    lost: list[str] = []
    remarks: list[str] = []
    for marker, body in _segments(data):
        whole = struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body
        if 0xC0 <= marker <= 0xCF and marker not in _NOT_FRAMES and len(body) > 5 and body[5] == 4:
            remarks.append("the picture is CMYK and is written as RGB, without a profile's help")
        elif marker == 0xE0 and body.startswith(b"JFIF\0") and len(body) >= 12:
            resolution = _density(body)
        elif marker == 0xE1 and body.startswith(_EXIF):
            exif = exif or body[len(_EXIF) :]
        elif marker == 0xE1 and body.startswith(_XMP):
            xmp = xmp or body[len(_XMP) :]
        elif marker == 0xE1 and body.startswith(_MORE_XMP):
            entries.append(Entry("extended XMP", whole))
        elif marker == 0xE2 and body.startswith(_ICC) and len(body) > 14:
            profile[body[12]] = body[14:]
        elif marker == 0xE2 and body.startswith(b"MPF\0"):
            lost.append("further pictures (MPF)")
        elif marker == 0xED:
            entries.append(Entry("IPTC (APP13)", whole))
        elif marker == _COMMENT:
            entries.append(Entry("comment", whole))
        elif 0xE1 <= marker <= 0xEF and not body.startswith(_STRUCTURE):
            lost.append(f"APP{marker - 0xE0}")
    if lost:
        remarks.append(f"{listed(dict.fromkeys(lost))} cannot be carried over")
    icc = b"".join(profile[n] for n in sorted(profile))
    return StillFile(1, StillExtras(exif, xmp, icc, resolution, "jpeg", tuple(entries), tuple(remarks)))


def is_damaged(data: bytes) -> bool:
    """Whether the compressed data of a JPEG file cannot be what its writer made; False where that is not known.

    OpenCV decodes such files without a word, as libjpeg guesses. FFmpeg's decoder is asked, which ends at codes that there are not and
    at data that is missing. Damage that leaves valid codes is not seen. 10 ms for a megapixel.
    """
    frame = next(((marker, body) for marker, body in _segments(data) if 0xC0 <= marker <= 0xCF and marker not in _NOT_FRAMES), None)
    if frame is None or frame[0] not in _HUFFMAN or frame[1][:1] != b"\x08":
        return False
    components = frame[1][6::3]
    if len(set(components)) < len(components):  # libjpeg takes them by their order
        return False
    decoder: Any = av.CodecContext.create("mjpeg", "r")
    decoder.options, decoder.thread_count = {"err_detect": "explode"}, 1
    try:
        decoder.decode(av.Packet(data))
    except av.error.InvalidDataError:
        return True
    except av.error.FFmpegError:  # a kind or size that it does not know
        return False
    return False


def add_to_jpeg(data: bytes, extras: StillExtras) -> bytes:
    """A JPEG file with extras, which must be such as JPEG holds.

    Args:
        data: a file that begins with a JFIF segment.
    """
    end = 4 + struct.unpack_from(">H", data, 4)[0]
    header = bytearray(data[:end])
    if extras.resolution:
        struct.pack_into(">BHH", header, 13, *_as_density(extras.resolution))
    segments: list[tuple[int, bytes]] = []
    if extras.exif:
        segments.append((0xE1, _EXIF + extras.exif))
    if extras.xmp:
        segments.append((0xE1, _XMP + extras.xmp))
    parts = [extras.icc[i : i + _ICC_ROOM] for i in range(0, len(extras.icc), _ICC_ROOM)]
    segments += [(0xE2, _ICC + bytes([n, len(parts)]) + part) for n, part in enumerate(parts, start=1)]
    written = b"".join(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body for marker, body in segments)
    return bytes(header) + written + b"".join(e.data for e in extras.entries) + data[end:]


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and content of every segment before the first scan."""
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xFF:
            place += 1
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:
            place += 2
            continue
        (size,) = struct.unpack_from(">H", data, place + 2)
        if marker in (0xDA, 0xD9) or size < 2 or place + 2 + size > len(data):
            return
        yield marker, data[place + 4 : place + 2 + size]
        place += 2 + size


def _density(body: bytes) -> Resolution | None:
    unit, x, y = struct.unpack_from(">BHH", body, 7)
    return resolution_of(Fraction(x), Fraction(y), "inch" if unit == 1 else "cm" if unit == 2 else "")


def _as_density(resolution: Resolution) -> tuple[int, int, int]:
    """Unit and whole numbers, in the unit that needs no rounding where there is one."""
    x, y, unit = resolution.x, resolution.y, 1 if resolution.unit else 0
    if resolution.unit == "cm" and x.denominator == y.denominator == 1:
        unit = 2
    elif resolution.unit:
        x, y = resolution.per_inch
    else:
        ratio = (x / y).limit_denominator(2**15)
        x, y = Fraction(ratio.numerator), Fraction(ratio.denominator)
    return unit, min(max(round(x), 1), 65535), min(max(round(y), 1), 65535)
