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
        window: most frames between two detector calls.
        agreement: largest distance between the two trajectories, in eye distances.
        pixel_slack: the same in pixels of the analysed picture, for faces so small that detection itself is coarser.
        least_span: windows this short are not halved again.
        link: largest distance between a face carried to a frame and one detected there for them to be the same.
        carry: most frames a face that only one end knows is carried towards the other.
    """

    window: int = 16
    agreement: float = 0.12
    pixel_slack: float = 1.0
    least_span: int = 4
    link: float = 0.55
    carry: int = 8


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


@dataclass
class _Path:
    """One face over some of a window's frames: `faces[k]` is in frame `start + k`, counted from the window's first."""

    start: int
    faces: list[Face]
    previous: int | None
    last: int | None = None

    def holds(self, t: int) -> bool:
        return self.start <= t < self.start + len(self.faces)


@dataclass(frozen=True)
class _Span:
    """The frames between two detections, and what was carried into them from either end."""

    frames: Sequence[SmallFrame]
    first: list[Face]
    last: list[Face]
    forward: list[Trajectory]
    backward: list[Trajectory]

    @property
    def length(self) -> int:
        return len(self.frames) - 1


class WindowAnalyser:
    """Fills windows of one shot; keeps only counters between calls.

    Args:
        detect: the detector, one frame at a time.
        sure: least score of a face whose absence at the other end of a window is looked into.
    """

    def __init__(self, detect: Detect, sure: float, settings: ReuseSettings | None = None) -> None:
        self._detect = detect
        self._sure = sure
        self.settings = settings or ReuseSettings()
        self.calls = 0

    def detect(self, frame: SmallFrame) -> list[Face]:
        """Call the detector, counted."""
        self.calls += 1
        return self._detect(frame)

    def fill(self, frames: Sequence[SmallFrame], first: list[Face]) -> list[list[Sighting]]:
        """Faces of `frames[1:]`, given those of `frames[0]`; the last frame is detected.

        `Sighting.previous` of the first result counts in `first`; the last result is in the detector's order.
        """
        if len(frames) < 2:
            return []
        last = self.detect(frames[-1])
        return self._solve(_Span(frames, first, last, _travel(frames, first), _travel(frames[::-1], last)))

    def _solve(self, span: _Span) -> list[list[Sighting]]:
        if not span.first and not span.last:
            return [[] for _ in range(span.length)]
        pairs = match_faces([t.landmarks[-1] for t in span.forward], span.last, self.settings.link)
        if span.length > self.settings.least_span and not self._settled(span, pairs):
            return self._halve(span)
        return _rows(self._paths(span, pairs), span.length)

    def _halve(self, span: _Span) -> list[list[Sighting]]:
        middle = span.length // 2
        early, late = span.frames[: middle + 1], span.frames[middle:]
        found = self.detect(span.frames[middle])
        # What already travelled from the ends is kept; only the middle's faces set out anew.
        into = [t.head(len(early)) for t in span.forward]
        back = [t.head(len(late)) for t in span.backward]
        before = _Span(early, span.first, found, into, _travel(early[::-1], found))
        after = _Span(late, found, span.last, _travel(late, found), back)
        return self._solve(before) + self._solve(after)

    def _settled(self, span: _Span, pairs: list[tuple[int, int]]) -> bool:
        """Whether both ends tell the same story of every face that matters."""
        matched_first, matched_last = {i for i, _ in pairs}, {j for _, j in pairs}
        alone = [f for i, f in enumerate(span.first) if i not in matched_first]
        alone += [f for j, f in enumerate(span.last) if j not in matched_last]
        # A weak face that the other end does not know flickers in the detector; more calls would not settle it.
        if any(face.score >= self._sure for face in alone):
            return False
        return all(self._agree(span.forward[i], span.backward[j], span.last[j]) for i, j in pairs)

    def _agree(self, forward: Trajectory, backward: Trajectory, face: Face) -> bool:
        count = len(forward.landmarks)
        if forward.lost < count or backward.lost < count:
            return False
        distance = np.hypot(*np.moveaxis(forward.landmarks - backward.landmarks[::-1], -1, 0)).mean(axis=1)
        slack = self.settings.pixel_slack / _scale(face)
        return bool(distance.max() / _scale(face) <= max(self.settings.agreement, slack))

    def _paths(self, span: _Span, pairs: list[tuple[int, int]]) -> list[_Path]:
        paths = [self._blend(span, i, j) for i, j in pairs]
        matched_first, matched_last = {i for i, _ in pairs}, {j for _, j in pairs}
        reach = min(span.length // 2, self.settings.carry)
        for i, face in enumerate(span.first):
            if i not in matched_first:
                faces = _carried(face, span.forward[i], reach)
                if faces:
                    paths.append(_Path(1, faces, i))
        for j, face in enumerate(span.last):
            if j not in matched_last:
                faces = _carried(face, span.backward[j], min(reach, span.length - 1))
                paths.append(_Path(span.length - len(faces), [*faces[::-1], face], None, j))
        return paths

    @staticmethod
    def _blend(span: _Span, i: int, j: int) -> _Path:
        """Between two detections of one face: each end's trajectory, weighted by nearness, whichever are not lost."""
        forward, backward, first, last = span.forward[i], span.backward[j], span.first[i], span.last[j]
        faces: list[Face] = []
        for t in range(1, span.length):
            weight, back = t / span.length, span.length - t
            if t >= forward.lost and back < backward.lost:
                weight = 1.0
            elif back >= backward.lost and t < forward.lost:
                weight = 0.0
            landmarks = (1 - weight) * forward.landmarks[t] + weight * backward.landmarks[back]
            box = (1 - weight) * _moved_box(first, forward, t) + weight * _moved_box(last, backward, back)
            faces.append(Face(box, (1 - weight) * first.score + weight * last.score, landmarks))
        return _Path(1, [*faces, last], i, j)


def _travel(frames: Sequence[SmallFrame], faces: list[Face]) -> list[Trajectory]:
    return follow([f.gray for f in frames], faces) if faces else []


def _carried(face: Face, path: Trajectory, reach: int) -> list[Face]:
    """A face that one end alone knows, as far as the flow follows it and no further than `reach`."""
    until = min(reach + 1, path.lost)
    return [Face(_moved_box(face, path, t), face.score, path.landmarks[t]) for t in range(1, until)]


def _rows(paths: list[_Path], length: int) -> list[list[Sighting]]:
    """Paths as rows of linked sightings, the last row in the order of the detector."""
    rows: list[list[Sighting]] = []
    before: dict[int, int] = {}
    for t in range(1, length + 1):
        present = [k for k, p in enumerate(paths) if p.holds(t)]
        if t == length:
            present.sort(key=lambda k: _order(paths[k]))
        row = []
        for k in present:
            path = paths[k]
            previous = path.previous if t == 1 else before.get(k)
            row.append(Sighting(path.faces[t - path.start], "detected" if t == length and path.last is not None else "flow", previous))
        before = {k: n for n, k in enumerate(present)}
        rows.append(row)
    return rows


def _order(path: _Path) -> int:
    return -1 if path.last is None else path.last


def _moved_box(face: Face, path: Trajectory, t: int) -> NDArray[np.float64]:
    corners = np.asarray(face.box, np.float64).reshape(2, 2)
    middle, half = corners.mean(axis=0), (corners[1] - corners[0]) / 2
    motion = path.motions[t]
    centre, factor = apply_affine(motion, middle[None])[0], float(np.hypot(motion[0, 0], motion[1, 0]))
    return np.concatenate([centre - factor * half, centre + factor * half])
