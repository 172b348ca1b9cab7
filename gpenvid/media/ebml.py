"""The elements that a Matroska or WebM file consists of, and whether they are all there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SEGMENT = 0x18538067
"""The number of the element that holds all but the file's head."""

_HEAD = 1 << 16  # bytes in which the segment must begin


@dataclass(frozen=True)
class Element:
    """An EBML element: its number, and where in the data it and its content lie, in bytes."""

    number: int
    start: int
    content: int
    end: int


def elements(data: bytes | bytearray, position: int, end: int) -> Iterator[Element]:
    """The elements between two places, as far as they are whole; the last may go beyond the data, as a segment does."""
    while position < end:
        start = position
        length = 9 - data[position].bit_length()
        number = int.from_bytes(data[position : position + length])
        position += length
        width = 9 - data[position].bit_length()
        size = int.from_bytes(data[position : position + width]) & (1 << 7 * width) - 1
        position += width
        unknown = size == (1 << 7 * width) - 1
        yield Element(number, start, position, end if unknown else position + size)
        position = end if unknown else position + size


def is_cut(path: Path) -> bool:
    """Whether a file ends before it says it does. Recordings that were never finished do not say."""
    with path.open("rb") as file:
        data = file.read(_HEAD)
    try:
        segment = next(e for e in elements(data, 0, len(data)) if e.number == SEGMENT)
    except (StopIteration, IndexError):
        return False
    return segment.end > path.stat().st_size
