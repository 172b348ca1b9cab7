"""Chapters of a clip, and of a part of it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

from av.container import InputContainer

from gpenvid.media.time_range import TimeRange

if TYPE_CHECKING:
    from av.container.core import Chapter


_TOLD = Fraction(1, 1000)  # seconds: what a chapter must move by to be worth a word


def chapters_of(file: InputContainer, keep: TimeRange, delay: Fraction, *, without_gaps: bool) -> list[Chapter]:
    """The chapters of the kept part, on the result's clock.

    Args:
        delay: seconds by which the result's clock is later than the part's begin.
        without_gaps: as MP4 and QuickTime hold them, see `joined`.
    """
    found: list[Chapter] = []
    for chapter in file.chapters():
        base = _base(chapter)
        begin, end = chapter["start"] * base, chapter["end"] * base
        if keep.start is not None:
            begin, end = max(begin, keep.start) - keep.start, end - keep.start
        if keep.end is not None:
            end = min(end, keep.end - (keep.start or 0))
        if begin < end or keep.is_whole:
            first, last = round((begin + delay) / base), round((end + delay) / base)
            found.append({"id": chapter["id"], "start": first, "end": last, "time_base": base, "metadata": chapter["metadata"]})
    return joined(found) if without_gaps else found


def joined(chapters: Sequence[Chapter]) -> list[Chapter]:
    """Chapters one behind the other: the first begins at zero, each ends where the next one begins, the last where it ended.

    In MP4 and QuickTime chapters are a track of texts, each shown until the next; FFmpeg would begin it with the first chapter.
    """
    found = [chapter.copy() for chapter in _sorted(chapters)]
    for chapter, following in pairwise(found):
        chapter["end"] = round(_begin(following) / _base(chapter))
    for chapter in found[:1]:
        chapter["start"] = 0
    return found


def moved_by_joining(chapters: Sequence[Chapter]) -> int:
    """How many of a file's chapters begin or end elsewhere once they are `joined`."""
    changes = (
        max(abs(a[edge] - b[edge]) * _base(a) for edge in ("start", "end"))
        for a, b in zip(_sorted(chapters), joined(chapters), strict=True)
    )
    return sum(change > _TOLD for change in changes)


def _sorted(chapters: Sequence[Chapter]) -> list[Chapter]:
    return sorted(chapters, key=lambda c: (_begin(c), -c["end"]))


def _base(chapter: Chapter) -> Fraction:
    return chapter["time_base"] or Fraction(1, 1000)


def _begin(chapter: Chapter) -> Fraction:
    return chapter["start"] * _base(chapter)
