"""Chapters of a clip, and of a part of it."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from av.container import InputContainer

from gpenvid.media.time_range import TimeRange

if TYPE_CHECKING:
    from av.container.core import Chapter


def chapters_of(file: InputContainer, keep: TimeRange, delay: Fraction) -> list[Chapter]:
    """The chapters of the kept part, on the result's clock.

    Args:
        delay: seconds by which the result's clock is later than the part's begin.
    """
    found: list[Chapter] = []
    for chapter in file.chapters():
        base = chapter["time_base"] or Fraction(1, 1000)
        begin, end = chapter["start"] * base, chapter["end"] * base
        if keep.start is not None:
            begin, end = max(begin, keep.start) - keep.start, end - keep.start
        if keep.end is not None:
            end = min(end, keep.end - (keep.start or 0))
        if begin < end or keep.is_whole:
            first, last = round((begin + delay) / base), round((end + delay) / base)
            found.append({"id": chapter["id"], "start": first, "end": last, "time_base": base, "metadata": chapter["metadata"]})
    return found
