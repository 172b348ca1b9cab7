"""The shape of pixels, written into a finished Matroska or WebM file.

PyAV hands a muxer no sample aspect ratio, and Matroska keeps it in a track header of its own. H.264 and H.265 state it in
their packets as well; FFV1, VP9 and AV1 do not, and anamorphic film would be shown in the wrong shape. The bytes are changed
in place: the track's name is written longer than it is, and what that leaves over makes the room.
"""

from __future__ import annotations

import zlib
from fractions import Fraction
from pathlib import Path

from gpenvid.errors import InputError
from gpenvid.media.ebml import SEGMENT, Element, elements

ROOM = " " * 24
"""To be put behind the name (the tag `title`) of the first track before the file is written."""

_TRACKS, _TRACK = 0x1654AE6B, 0xAE
_NAME, _VIDEO, _VOID, _CRC = 0x536E, 0xE0, 0xEC, 0xBF
_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT = 0x54B0, 0x54BA, 0x54B2
_RATIO = 3  # DisplayUnit: width and height are a ratio, not pixels
_BEGINNING = 1 << 24  # bytes in which the tracks must have come; before them stands only an index of sections


def state_pixel_shape(path: Path, width: int, height: int, aspect: Fraction, title: str) -> None:
    """Write the sample aspect ratio into the first track of a file, and its name without `ROOM`.

    Args:
        width, height: stored size of the picture in samples.
        aspect: width of a sample over its height.
        title: the track's name; empty for none.

    Raises:
        InputError: if the file is not as FFmpeg writes it.
    """
    with path.open("r+b") as file:
        data = bytearray(file.read(_BEGINNING))
        try:
            segment = next(e for e in elements(data, 0, len(data)) if e.number == SEGMENT)
            tracks = next(e for e in elements(data, segment.content, len(data)) if e.number == _TRACKS)
            track = next(e for e in elements(data, tracks.content, tracks.end) if e.number == _TRACK)
            data[track.content : track.end] = _new_track(data, track, _shape(width, height, aspect), title)
        except (StopIteration, ValueError) as error:
            raise InputError(f"{path}: the pixel shape cannot be written into it", "choose a .mov or .mp4 output, and report it") from error
        first = next(elements(data, tracks.content, tracks.end))
        if first.number == _CRC:
            data[first.content : first.end] = zlib.crc32(data[first.end : tracks.end]).to_bytes(4, "little")
        file.seek(tracks.start)
        file.write(data[tracks.start : tracks.end])


def _shape(width: int, height: int, aspect: Fraction) -> bytes:
    shown = width * aspect
    if shown.denominator == 1:
        return _number(_DISPLAY_WIDTH, int(shown)) + _number(_DISPLAY_HEIGHT, height)
    ratio = shown / height
    shape = _number(_DISPLAY_WIDTH, ratio.numerator) + _number(_DISPLAY_HEIGHT, ratio.denominator)
    return shape + _number(_DISPLAY_UNIT, _RATIO)


def _new_track(data: bytes | bytearray, track: Element, shape: bytes, title: str) -> bytes:
    """The content of a track entry with the shape in it, as long as it was."""
    parts, video = b"", b""
    for element in elements(data, track.content, track.end):
        if element.number == _VIDEO:
            inner = elements(data, element.content, element.end)
            kept = [e for e in inner if e.number not in (_DISPLAY_WIDTH, _DISPLAY_HEIGHT, _DISPLAY_UNIT, _VOID)]
            video = _wrapped(_VIDEO, b"".join(bytes(data[e.start : e.end]) for e in kept) + shape)
        elif element.number not in (_NAME, _VOID):
            parts += bytes(data[element.start : element.end])
    if not video:
        raise ValueError("the first track has no picture")
    parts += video + (_wrapped(_NAME, title.encode()) if title else b"")
    left = track.end - track.content - len(parts)
    if left < 2 or left > 120:
        raise ValueError("no room for the shape")
    return parts + bytes([_VOID, 0x80 | left - 2]) + bytes(left - 2)


def _wrapped(number: int, content: bytes) -> bytes:
    size = len(content)
    width = 1 if size < 127 else 2
    return _identifier(number) + (size | 1 << 7 * width).to_bytes(width) + content


def _number(number: int, value: int) -> bytes:
    return _wrapped(number, value.to_bytes(max(1, -(-value.bit_length() // 8))))


def _identifier(number: int) -> bytes:
    return number.to_bytes(-(-number.bit_length() // 8))
