"""Where one shot ends and the next begins: hard cuts only, not flashes, flicker or fades."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

_SIGNATURE = (48, 27)
_LOOK_AHEAD = 3  # frames a flash may last
_DISSIMILAR = 0.45


@dataclass(frozen=True)
class Shot:
    """A run of frames from one camera position.

    Attributes:
        start, end: first frame, and the frame after the last.
        monochrome: whether no frame of it has colour.
    """

    start: int
    end: int
    monochrome: bool = False


def signature(gray: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What is compared: a small blurred picture, brightness and contrast taken out so that flicker does not count."""
    small = cv2.GaussianBlur(cv2.resize(gray, _SIGNATURE, interpolation=cv2.INTER_AREA), (0, 0), 1.0).astype(np.float32)
    small -= small.mean()
    # Below a few grey levels of contrast there is only noise; dividing by it would turn black leader into cuts.
    return np.asarray(small / max(float(np.linalg.norm(small)), 4.0 * np.sqrt(small.size)), np.float32)


def _differ(a: NDArray[np.float32], b: NDArray[np.float32]) -> bool:
    """One minus correlation, on pictures of some contrast; a blank picture resembles none that has contrast."""
    size_a, size_b = float((a * a).sum()), float((b * b).sum())
    if max(size_a, size_b) < 0.25:
        return False
    return 1.0 - float((a * b).sum()) / max(size_a, size_b) > _DISSIMILAR


@dataclass
class CutFinder:
    """Says for every frame whether a shot begins there, three frames later.

    A frame begins a shot if it differs from the one before, and none of the next three returns to what was before: that
    would be a flash. Fades change little from frame to frame, so they never cut.
    """

    _before: NDArray[np.float32] | None = None
    _pending: list[NDArray[np.float32]] = field(default_factory=list)

    def push(self, gray: NDArray[np.uint8]) -> list[bool]:
        """Take the next frame (H, W) uint8; returns the decisions that are ripe, in order."""
        self._pending.append(signature(gray))
        return [self._decide()] if len(self._pending) > _LOOK_AHEAD else []

    def finish(self) -> list[bool]:
        """The decisions still owed after the last frame."""
        return [self._decide() for _ in range(len(self._pending))]

    def _decide(self) -> bool:
        current = self._pending.pop(0)
        before = self._before
        self._before = current
        if before is None:
            return True
        if not _differ(before, current):
            return False
        # A flash over a static picture comes back; a real cut does not.
        returns = any(not _differ(before, later) for later in self._pending)
        if returns:
            self._before = before
        return not returns
