"""Detection reuse by bisection: detect at the ends of a window, carry faces from both ends, trust only agreement.

Between two detections landmarks travel by flow forward from the first and backward from the second. Where both arrive at
the same place, the frames between need no detector. Where they do not, or a face is at one end only, the window is
halved and its middle detected. Geometry is reused, never pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from gpenvid.faces.flow import Trajectory, follow
from gpenvid.geometry import Face, apply_affine

Source = Literal["detected", "flow"]


@dataclass(frozen=True)
class ReuseSettings:
    """How far detections are trusted.

    Attributes:
        window: most frames between two detector calls where there are faces.
        empty_window: the same where both ends are empty, so that a face that comes and goes is not missed.
        agreement: largest distance between the two trajectories, in eye distances.
        link: largest distance between a face carried to a frame and one detected there for them to be the same.
    """

    window: int = 32
    empty_window: int = 16
    agreement: float = 0.10
    link: float = 0.55


@dataclass
class SmallFrame:
    """A frame reduced for analysis: (h, w, 3) uint8 RGB and its grey version (h, w)."""

    rgb: NDArray[np.uint8]
    gray: NDArray[np.uint8]


@dataclass
class Sighting:
    """A face in one frame, linked to the same face in the frame before.

    Attributes:
        face: where it is, in pixels of the analysed picture.
        source: whether the detector saw it or the flow carried it.
        previous: index into the previous frame's sightings, None at a track's first frame.
    """

    face: Face
    source: Source
    previous: int | None = None


Detect = Callable[[SmallFrame], list[Face]]


def match_faces(carried: Sequence[NDArray[np.float64]], faces: Sequence[Face], limit: float) -> list[tuple[int, int]]:
    """Pairs (i, j) of landmarks carried to a frame and faces detected there that are the same face.

    Hungarian assignment on the mean landmark distance in eye distances of the detected face; pairs beyond `limit` do not count.
    """
    if not carried or not faces:
        return []
    cost = np.array([[np.hypot(*(c - f.landmarks).T).mean() / _scale(f) for f in faces] for c in carried])
    rows, columns = linear_sum_assignment(np.minimum(cost, 10.0))
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if cost[i, j] <= limit]


def _scale(face: Face) -> float:
    """Eye distance, but not less than a fifth of the box, which a profile's eye distance can be."""
    return max(face.eye_distance, 0.2 * float(face.box[2] - face.box[0]), 1.0)


class WindowAnalyser:
    """Fills windows of one shot; keeps only counters between calls.

    Args:
        detect: the detector, one frame at a time.
    """

    def __init__(self, detect: Detect, settings: ReuseSettings | None = None) -> None:
        self._detect = detect
        self.settings = settings or ReuseSettings()
        self.calls = 0

    def detect(self, frame: SmallFrame) -> list[Face]:
        """Call the detector, counted."""
        self.calls += 1
        return self._detect(frame)

    def fill(self, frames: Sequence[SmallFrame], first: list[Face]) -> list[list[Sighting]]:
        """Faces of `frames[1:]`, given those of `frames[0]`; the last frame is detected.

        `Sighting.previous` of the first result counts in `first`.
        """
        if len(frames) < 2:
            return []
        return self._solve(frames, first, self.detect(frames[-1]))

    def _solve(self, frames: Sequence[SmallFrame], first: list[Face], last: list[Face]) -> list[list[Sighting]]:
        span = len(frames) - 1
        if not first and not last:
            if span > self.settings.empty_window:
                return self._halve(frames, first, last)
            return [[] for _ in range(span)]
        if span == 1:
            return [self._link(first, last, frames)]
        forward, backward = self._travel(frames, first), self._travel(frames[::-1], last)
        pairs = match_faces([t.landmarks[-1] for t in forward], last, self.settings.link)
        if len(pairs) < max(len(first), len(last)) or not all(self._agree(forward[i], backward[j], last[j]) for i, j in pairs):
            return self._halve(frames, first, last)
        return self._blend(span, pairs, first, last, forward, backward)

    def _halve(self, frames: Sequence[SmallFrame], first: list[Face], last: list[Face]) -> list[list[Sighting]]:
        middle = (len(frames) - 1) // 2
        found = self.detect(frames[middle])
        return self._solve(frames[: middle + 1], first, found) + self._solve(frames[middle:], found, last)

    @staticmethod
    def _travel(frames: Sequence[SmallFrame], faces: list[Face]) -> list[Trajectory]:
        return follow([f.gray for f in frames], faces) if faces else []

    def _agree(self, forward: Trajectory, backward: Trajectory, face: Face) -> bool:
        count = len(forward.landmarks)
        if forward.lost < count or backward.lost < count:
            return False
        distance = np.hypot(*np.moveaxis(forward.landmarks - backward.landmarks[::-1], -1, 0)).mean(axis=1)
        return bool(distance.max() / _scale(face) <= self.settings.agreement)

    def _link(self, first: list[Face], last: list[Face], frames: Sequence[SmallFrame]) -> list[Sighting]:
        carried = [t.landmarks[-1] for t in self._travel(frames, first)]
        before = {j: i for i, j in match_faces(carried, last, self.settings.link)}
        return [Sighting(face, "detected", before.get(j)) for j, face in enumerate(last)]

    @staticmethod
    def _blend(
        span: int,
        pairs: list[tuple[int, int]],
        first: list[Face],
        last: list[Face],
        forward: list[Trajectory],
        backward: list[Trajectory],
    ) -> list[list[Sighting]]:
        result: list[list[Sighting]] = []
        for t in range(1, span + 1):
            weight = t / span
            row: list[Sighting] = []
            for k, (i, j) in enumerate(pairs):
                back = backward[j]
                landmarks = (1 - weight) * forward[i].landmarks[t] + weight * back.landmarks[span - t]
                box = (1 - weight) * _moved_box(first[i], forward[i], t) + weight * _moved_box(last[j], back, span - t)
                score = (1 - weight) * first[i].score + weight * last[j].score
                face = last[j] if t == span else Face(box, score, landmarks)
                row.append(Sighting(face, "detected" if t == span else "flow", i if t == 1 else k))
            result.append(row)
        # Later windows count faces in the detector's order.
        order = np.argsort([j for _, j in pairs])
        result[-1] = [result[-1][k] for k in order]
        return result


def _moved_box(face: Face, path: Trajectory, t: int) -> NDArray[np.float64]:
    corners = np.asarray(face.box, np.float64).reshape(2, 2)
    middle, half = corners.mean(axis=0), (corners[1] - corners[0]) / 2
    motion = path.motions[t]
    centre, factor = apply_affine(motion, middle[None])[0], float(np.hypot(motion[0, 0], motion[1, 0]))
    return np.concatenate([centre - factor * half, centre + factor * half])
