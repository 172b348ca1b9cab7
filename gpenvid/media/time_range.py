"""The part of a clip that is kept."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from gpenvid.errors import UsageError


@dataclass(frozen=True)
class TimeRange:
    """The part of the source that is kept, in seconds of its own clock; None means to its end.

    A range shifts all streams by the same amount, so that it begins at zero.
    """

    start: Fraction | None = None
    end: Fraction | None = None

    @classmethod
    def counted_from(cls, first: Fraction, start: float | None, end: float | None) -> TimeRange:
        """The range between two moments in seconds from the first frame, which lies at `first` on the source's clock.

        Raises:
            UsageError: if they are no numbers, or the end is not after the start.
        """
        given = [moment for moment in (start, end) if moment is not None]
        if not all(map(math.isfinite, given)) or min(given, default=0) < 0 or (end is not None and end <= (start or 0)):
            raise UsageError(f"--start {start} and --end {end} are no part", "give seconds from the first frame, the end after the start")
        begin, last = (None if moment is None else first + Fraction(moment).limit_denominator(1_000_000) for moment in (start, end))
        return cls(begin, last)

    def holds(self, time: Fraction) -> bool:
        """Whether a moment lies in the range (end excluded)."""
        return (self.start is None or time >= self.start) and (self.end is None or time < self.end)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is cut."""
        return self.start is None and self.end is None
