"""One face that was carried into the same frames from both ends of a window, although neither carried it to where the other knows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gpenvid.geometry import Face, between


@dataclass(frozen=True)
class Stretch:
    """A face in consecutive frames.

    Attributes:
        start: first frame, counted from the window's first.
        faces: one a frame.
        beliefs: of close looks, one a frame; empty where none were taken.
    """

    start: int
    faces: Sequence[Face]
    beliefs: Sequence[float | None] = ()

    @property
    def end(self) -> int:
        """The first frame after it."""
        return self.start + len(self.faces)

    def head(self, end: int) -> Stretch:
        """Its frames before `end`."""
        count = max(0, end - self.start)
        return Stretch(self.start, self.faces[:count], self.beliefs[:count])

    def holds(self, t: int) -> bool:
        """Whether frame `t` is one of its."""
        return self.start <= t < self.end

    def at(self, t: int) -> Face:
        """The face in frame `t`."""
        return self.faces[t - self.start]

    def belief(self, t: int) -> float | None:
        """What the close look at frame `t` said."""
        return self.beliefs[t - self.start] if t - self.start < len(self.beliefs) else None


def apart(early: Stretch, late: Stretch) -> float:
    """How near two stretches come in the frames that both hold: mean landmark distance in eye distances, infinite where there are none."""
    return min(
        (
            float(np.hypot(*(a.landmarks - b.landmarks).T).mean()) / max(a.unit, b.unit)
            for t in range(max(early.start, late.start), min(early.end, late.end))
            for a, b in [(early.at(t), late.at(t))]
        ),
        default=float("inf"),
    )


def joined(early: Stretch, late: Stretch) -> Stretch:
    """One stretch that goes over from the early one to the late one, which begins no earlier and ends no earlier.

    It does so in the frames that both hold, step by step.
    """
    common = early.end - late.start
    over = [between(early.at(late.start + k), late.at(late.start + k), (k + 1) / (common + 1)) for k in range(common)]
    faces = [*early.head(late.start).faces, *over, *late.faces[common:]]
    middle = late.start + common // 2
    beliefs = [early.belief(t) if t < middle else late.belief(t) for t in range(early.start, late.end)]
    return Stretch(early.start, faces, beliefs)
