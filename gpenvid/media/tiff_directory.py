"""The directories of a TIFF file: tags and their bytes. EXIF blocks are built the same way."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

import numpy as np

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8, 129: 1}
_NUMBERS = {1: "B", 3: "H", 4: "I", 5: "II", 13: "I", 16: "Q", 18: "Q"}
_SWAPPED = {3: 2, 4: 4, 5: 4, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8, 13: 4}  # bytes that change places between the byte orders
_LARGE = (16, 17, 18)  # types that only BigTIFF has
_MOST_PAGES, _MOST_TAGS = 1000, 4096  # more are damage, or meant to take long
_WIDTH = 256
_DAMAGE = (struct.error, OverflowError)  # an offset behind the file's end, or behind what memory has


@dataclass(frozen=True)
class TiffTag:
    """One tag of a directory.

    Attributes:
        tag: its number.
        kind: TIFF's number of its type (1 bytes, 2 text, 3 short, 4 long, 5 fraction, 7 undefined, 129 text in UTF-8).
        count: values of that type.
        data: the values as they lie in the file, in its byte order.
        order: `<` or `>`.
        below: the tags of the directory that it points to, where it was read as a pointer; `data` is empty then.
    """

    tag: int
    kind: int
    count: int
    data: bytes
    order: str = "<"
    below: tuple[TiffTag, ...] | None = None

    @property
    def little(self) -> TiffTag:
        """The same in little-endian order."""
        if self.below is not None:
            return replace(self, order="<", below=tuple(tag.little for tag in self.below))
        size, data = _SWAPPED.get(self.kind, 1), self.data
        if self.order == ">" and size > 1:
            data = np.frombuffer(data, f">u{size}").astype(f"<u{size}").tobytes()
        return replace(self, order="<", data=data)

    @property
    def is_classic(self) -> bool:
        """Whether a TIFF file that is no BigTIFF can hold it."""
        return self.kind not in _LARGE

    @property
    def numbers(self) -> tuple[int, ...]:
        """The first values as whole numbers, two for each fraction; none where the type is another."""
        code = _NUMBERS.get(self.kind)
        return struct.unpack_from(f"{self.order}{code * min(self.count, 16)}", self.data) if code else ()


@dataclass(frozen=True)
class UnreadTag:
    """A tag of an unknown type, or with values or a directory that cannot be read, or behind damage in its own directory.

    Attributes:
        tag: its number; None for all that stand behind the damage.
        within: number of the tag that points to its directory; None in the first.
    """

    tag: int | None
    within: int | None


@dataclass(frozen=True)
class TiffDirectory:
    """What could be read of a directory and of those that it points to, and what could not."""

    tags: tuple[TiffTag, ...] = ()
    unread: tuple[UnreadTag, ...] = ()


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


def read_directory(data: bytes, pointers: AbstractSet[int] = frozenset()) -> TiffDirectory:
    """The first directory, as far as it is undamaged; an empty one where it is no TIFF.

    Args:
        data: a TIFF file, or an EXIF block.
        pointers: numbers of tags that point to further directories, which are read as well.
    """
    shape = _shape_of(data)
    try:
        return _read(data, shape, _first(data, shape), pointers) if shape else TiffDirectory()
    except _DAMAGE:
        return TiffDirectory(unread=(UnreadTag(None, None),))


def _read(data: bytes, shape: _Shape, start: int, pointers: AbstractSet[int], within: int | None = None) -> TiffDirectory:
    found: list[TiffTag] = []
    unread: list[UnreadTag] = []
    room = len(data)
    try:
        for tag, kind, count, field in _entries(data, shape, start):
            offset = struct.unpack(shape.offset, field)[0]
            if tag in pointers:
                pointers = pointers - {tag}  # each once, so that directories that point to each other end
                below = _read(data, shape, offset, pointers, tag)
                if below.tags:
                    found.append(TiffTag(tag, 4, 1, b"", shape.order, below.tags))
                    unread += below.unread
                elif below.unread:
                    unread.append(UnreadTag(tag, within))
                continue
            size = _SIZES.get(kind, 0) * count
            content = field[:size] if size <= len(field) else data[offset : offset + size] if size <= room else b""
            room -= len(content)
            if size and len(content) == size:
                found.append(TiffTag(tag, kind, count, content, shape.order))
            elif count:  # one without values says nothing
                unread.append(UnreadTag(tag, within))
    except _DAMAGE:
        unread.append(UnreadTag(None, within))
    return TiffDirectory(tuple(found), tuple(unread))


def count_directories(data: bytes) -> int:
    """How many directories the chain has; 0 where it is no TIFF."""
    return sum(1 for _ in _chain(data))


def count_pictures(data: bytes) -> int:
    """How many directories of the chain describe a picture; 0 where it is no TIFF."""
    return sum(_WIDTH in tags for tags in _chain(data))


def _chain(data: bytes) -> Iterator[set[int]]:
    """The numbers of the tags of every directory of the chain, up to its end or where it is damaged."""
    shape, seen = _shape_of(data), set[int]()
    try:
        start = _first(data, shape) if shape else 0
        while shape and start and start not in seen and len(seen) < _MOST_PAGES:
            seen.add(start)
            yield {tag for tag, *_ in _entries(data, shape, start)}
            (count,) = struct.unpack_from(shape.count, data, start)
            (start,) = struct.unpack_from(shape.offset, data, start + struct.calcsize(shape.count) + count * struct.calcsize(shape.entry))
    except _DAMAGE:
        return


def _first(data: bytes, shape: _Shape) -> int:
    return int(struct.unpack_from(shape.offset, data, 8 if shape.big else 4)[0])


def _entries(data: bytes, shape: _Shape, start: int) -> Iterator[tuple[int, int, int, bytes]]:
    """Tag, type, count and value field of every entry of the directory at an offset, up to where it is damaged."""
    if start < 2 * struct.calcsize(shape.offset):
        raise struct.error("a directory inside the file's header")
    (count,) = struct.unpack_from(shape.count, data, start)
    place, step = start + struct.calcsize(shape.count), struct.calcsize(shape.entry)
    for i in range(min(count, _MOST_TAGS)):
        yield struct.unpack_from(shape.entry, data, place + i * step)


def with_number(data: bytes, tag: int, number: int) -> bytes:
    """A TIFF file of any kind whose first directory has another number as the first value of a tag, if that lies in the directory.

    Args:
        data: with that tag among those that `read_directory` finds.
    """
    shape = _shape_of(data)
    if shape is None:
        return data
    start, out = _first(data, shape), bytearray(data)
    field = start + struct.calcsize(shape.count) + struct.calcsize(shape.entry) - struct.calcsize(shape.offset)
    for i, (found, kind, count, content) in enumerate(_entries(data, shape, start)):
        if found == tag:
            if kind in (1, 3, 4) and 0 < _SIZES[kind] * count <= len(content):
                struct.pack_into(shape.order + _NUMBERS[kind], out, field + i * struct.calcsize(shape.entry), number)
            break
    return bytes(out)


EMPTY = b"II*\0\x08\0\0\0" + bytes(6)
"""A TIFF structure whose directory is empty, for `with_tags`."""


def with_tags(data: bytes, tags: Iterable[TiffTag]) -> bytes:
    """A TIFF structure whose first directory has these tags as well; they replace those of the same number.

    The directory is written anew behind the structure's end, so no offset in it changes.

    Args:
        data: in little-endian order and no BigTIFF, with one directory.
        tags: with values in that order.
    """
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    entries = {struct.unpack_from("<H", e)[0]: e for e in (data[start + 2 + 12 * i : start + 14 + 12 * i] for i in range(count))}
    out = bytearray(data)
    entries |= {tag.tag: _entry(out, tag) for tag in tags}
    struct.pack_into("<I", out, 4, _append(out, entries))
    return bytes(out)


def _entry(out: bytearray, tag: TiffTag) -> bytes:
    """A tag's twelve bytes in a directory; what has no room there is added to the file."""
    field = tag.data
    if tag.below is not None:
        field = struct.pack("<I", _append(out, {t.tag: _entry(out, t) for t in tag.below}))
    elif len(field) > 4:
        out += b"\0" * (len(out) % 2)
        field = struct.pack("<I", len(out))
        out += tag.data
    return struct.pack("<HHI4s", tag.tag, tag.kind, tag.count, field)


def _append(out: bytearray, entries: Mapping[int, bytes]) -> int:
    """Add a directory to the file; where it lies."""
    out += b"\0" * (len(out) % 2)
    start = len(out)
    out += struct.pack("<H", len(entries)) + b"".join(entries[n] for n in sorted(entries)) + b"\0\0\0\0"
    return start
