"""Where one shot ends and the next begins: hard cuts only, not flashes, flicker or fades."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

_SIGNATURE = (48, 27)
_LOOK_AHEAD = 3  # frames a flash may last
_LARGE = 0.55  # a change of this size is a cut whatever is around it
_ALONE = 0.22  # one of this size is a cut if it stands alone
_STANDS_OUT = 5.0  # times the changes before and after
_CONTRAST = 0.25  # least energy of a signature that says anything


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


def change_between(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """One minus correlation of two signatures, 0 (same) to 2; a blank picture resembles none that has contrast."""
    size = max(float((a * a).sum()), float((b * b).sum()))
    return 1.0 - float((a * b).sum()) / size if size >= _CONTRAST else 0.0


@dataclass
class CutFinder:
    """Says for every frame whether a shot begins there, three frames later.

    A frame begins a shot if the change to it is large, or stands alone among the changes around it (two views of one studio
    share colours and light; a shaking camera changes much at every frame), and if none of the next three frames returns to
    what was before: that would be a flash. Fades change little from frame to frame, so they never cut.
    """

    _before: NDArray[np.float32] | None = None
    _last_changes: tuple[float, float] = (0.0, 0.0)
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
        change = change_between(before, current)
        following = [change_between(a, b) for a, b in pairwise([current, *self._pending[:2]])]
        around = max(*self._last_changes, *following, 0.0)
        self._last_changes = (self._last_changes[1], change)
        if change < _ALONE or (change < _LARGE and change < _STANDS_OUT * around):
            return False
        # A flash over a static picture comes back; a real cut does not.
        if any(change_between(before, later) < 0.5 * change for later in self._pending):
            self._before = before
            return False
        return True
