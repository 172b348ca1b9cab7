"""The directories of a TIFF file: tags and their bytes. EXIF blocks are built the same way."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_NUMBERS = {1: "B", 3: "H", 4: "I", 5: "II", 13: "I", 16: "Q", 18: "Q"}
_MOST_PAGES, _MOST_TAGS = 1000, 4096  # more are damage, or meant to take long
_WIDTH = 256
_DAMAGE = (struct.error, OverflowError)  # an offset behind the file's end, or behind what memory has


@dataclass(frozen=True)
class TiffTag:
    """One tag of a directory.

    Attributes:
        tag: its number.
        kind: TIFF's number of its type (1 bytes, 2 text, 3 short, 4 long, 5 fraction, 7 undefined).
        count: values of that type.
        data: the values as they lie in the file, in its byte order.
        order: `<` or `>`.
    """

    tag: int
    kind: int
    count: int
    data: bytes
    order: str = "<"

    @property
    def numbers(self) -> tuple[int, ...]:
        """The first values as whole numbers, two for each fraction; none where the type is another."""
        code = _NUMBERS.get(self.kind)
        return struct.unpack_from(f"{self.order}{code * min(self.count, 16)}", self.data) if code else ()


@dataclass(frozen=True)
class _Shape:
    """How numbers and offsets lie in a file: its byte order, and whether it is a BigTIFF."""

    order: str
    big: bool

    @property
    def offset(self) -> str:
        return self.order + ("Q" if self.big else "I")

    @property
    def count(self) -> str:
        return self.order + ("Q" if self.big else "H")

    @property
    def entry(self) -> str:
        return self.order + ("HHQ8s" if self.big else "HHI4s")


def _shape_of(data: bytes) -> _Shape | None:
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8:
        return None
    return _Shape(order, struct.unpack_from(order + "H", data, 2)[0] == 43)


def read_directory(data: bytes) -> list[TiffTag]:
    """The tags of the first directory, as far as it is undamaged; none where it is no TIFF."""
    shape = _shape_of(data)
    found: list[TiffTag] = []
    room = len(data)
    try:
        for tag, kind, count, field in _entries(data, shape, _first(data, shape)) if shape else ():
            size = _SIZES.get(kind, 0) * count
            offset = struct.unpack(shape.offset, field)[0] if shape else 0
            content = field[:size] if size <= len(field) else data[offset : offset + size] if size <= room else b""
            room -= len(content)
            if size and len(content) == size:
                found.append(TiffTag(tag, kind, count, content, shape.order if shape else "<"))
    except _DAMAGE:
        return found
    return found


def count_pictures(data: bytes) -> int:
    """How many directories of the chain describe a picture; 0 where it is no TIFF."""
    shape = _shape_of(data)
    pictures, seen = 0, set[int]()
    try:
        start = _first(data, shape) if shape else 0
        while shape and start and start not in seen and len(seen) < _MOST_PAGES:
            seen.add(start)
            pictures += any(tag == _WIDTH for tag, *_ in _entries(data, shape, start))
            (count,) = struct.unpack_from(shape.count, data, start)
            (start,) = struct.unpack_from(shape.offset, data, start + struct.calcsize(shape.count) + count * struct.calcsize(shape.entry))
    except _DAMAGE:
        return pictures  # the chain's end is damaged or missing
    return pictures


def _first(data: bytes, shape: _Shape) -> int:
    return int(struct.unpack_from(shape.offset, data, 8 if shape.big else 4)[0])


def _entries(data: bytes, shape: _Shape, start: int) -> Iterator[tuple[int, int, int, bytes]]:
    """Tag, type, count and value field of every entry of the directory at an offset."""
    (count,) = struct.unpack_from(shape.count, data, start)
    place, step = start + struct.calcsize(shape.count), struct.calcsize(shape.entry)
    for i in range(min(count, _MOST_TAGS)):
        yield struct.unpack_from(shape.entry, data, place + i * step)


def with_tags(data: bytes, tags: Iterable[TiffTag]) -> bytes:
    """A TIFF file whose first directory has these tags as well; they replace those of the same number.

    The directory is written anew behind the file's end, so no offset in it changes.

    Args:
        data: a TIFF file in little-endian order that is no BigTIFF, with one directory.
        tags: with values in that order.
    """
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    entries = {struct.unpack_from("<H", e)[0]: e for e in (data[start + 2 + 12 * i : start + 14 + 12 * i] for i in range(count))}
    out = bytearray(data)
    for tag in tags:
        field = tag.data
        if len(field) > 4:
            out += b"\0" * (len(out) % 2)
            field = struct.pack("<I", len(out))
            out += tag.data
        entries[tag.tag] = struct.pack("<HHI4s", tag.tag, tag.kind, tag.count, field)
    out += b"\0" * (len(out) % 2)
    struct.pack_into("<I", out, 4, len(out))
    out += struct.pack("<H", len(entries)) + b"".join(entries[n] for n in sorted(entries)) + b"\0\0\0\0"
    return bytes(out)
