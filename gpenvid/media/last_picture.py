"""How long the last picture of a film stands. That of any other is told by when the next one comes."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from fractions import Fraction

from gpenvid.media.time_range import TimeRange

_LONGEST = 3600
"""Seconds that it stands at the most: damage can state more than a container can hold."""


def stands(stated: Iterable[tuple[int, int]], base: Fraction, keep: TimeRange, *, usual: int = 0) -> int:
    """How long the last picture of a part stands, in units of `base`.

    Durations are trusted if that of the picture before the last one reaches about to the last one: some Matroska files state a tick
    for all. It may reach further, as MP4 gives the time at the end to the picture that is decoded last, which often is not the last
    one; but not where all state the same.

    Args:
        stated: when the pictures of the part come and how long they last, in units of `base`, in any order.
        base: seconds of a tick.
        keep: the part, which it does not outlast.
        usual: how long it is taken to stand where its source does not say, or states what is not to be trusted.
    """
    (last, duration), *before = heapq.nlargest(2, stated)
    trusted = all(last - moment <= 2 * lasts and (lasts != duration or 2 * lasts <= 3 * (last - moment)) for moment, lasts in before)
    longest = round(_LONGEST / base) if keep.end is None else max(1, round(keep.end / base) - last)
    return min((duration if trusted else 0) or usual, longest)
