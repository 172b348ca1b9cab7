"""Detection reuse by bisection: detect at the ends of a window, carry faces from both ends, trust only agreement.

Between two detections landmarks travel by flow forward from the first and backward from the second. Where both arrive at
the same place, the frames between need no detector. Where they do not, or a face is at one end only, the window is
halved and its middle detected. Geometry is reused, never pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from gpenvid.faces.detector import CloseLook
from gpenvid.faces.flow import Trajectory, follow
from gpenvid.faces.join import Stretch, apart, joined
from gpenvid.faces.verify import Seen, bend, look_along
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
        meet: the same between a face carried forth and one carried back, in the frames that both came to; no detector tells
            two faces apart that lie over each other like this.
        carry: most frames a face that only one end knows is carried towards the other where nothing looks at it.
        belief: least belief of a close look for a carried face to be one.
        least_eyes: pixels between the eyes, in the analysed picture, from which a close look is worth more than flow.
        fading: what is left of a carried face's score after each frame, so that nothing lives on unseen for long.
        slip: largest distance between where a face was carried and where it is seen there, in eye distances.
    """

    window: int = 14
    agreement: float = 0.12
    pixel_slack: float = 1.0
    least_span: int = 7
    link: float = 0.55
    meet: float = 1.0
    carry: int = 7
    belief: float = 0.6
    slip: float = 0.3
    least_eyes: float = 3.0
    fading: float = 0.99


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
        belief: of a close look that it is a face, None where none was taken.
        sharpness: see `sharpness`, None where it was not measured.
    """

    face: Face
    source: Source
    previous: int | None = None
    belief: float | None = None
    sharpness: float | None = None


Detect = Callable[[SmallFrame], list[Face]]


def match_faces(carried: Sequence[NDArray[np.float64]], faces: Sequence[Face], limit: float) -> list[tuple[int, int]]:
    """Pairs (i, j) of landmarks carried to a frame and faces detected there that are the same face.

    Hungarian assignment on the mean landmark distance in eye distances of the detected face; pairs beyond `limit` do not count.
    """
    if not carried or not faces:
        return []
    cost = np.array([[np.hypot(*(c - f.landmarks).T).mean() / f.unit for f in faces] for c in carried])
    rows, columns = linear_sum_assignment(np.minimum(cost, 10.0))
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if cost[i, j] <= limit]


@dataclass(frozen=True)
class _Path:
    """A stretch, the face of the window's first frame that it goes on from, and the detected one of the last frame that it leads to."""

    stretch: Stretch
    previous: int | None
    last: int | None = None


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
        closely: verifies carried faces; without it only the agreement of both ends does.
    """

    def __init__(self, detect: Detect, sure: float, settings: ReuseSettings | None = None, closely: CloseLook | None = None) -> None:
        self._detect = detect
        self._sure = sure
        self._closely = closely
        self.settings = settings or ReuseSettings()
        self.calls = 0
        self.looks = 0

    def detect(self, frame: SmallFrame) -> list[Face]:
        """Call the detector, counted."""
        self.calls += 1
        return self._detect(frame)

    def fill(self, frames: Sequence[SmallFrame], first: list[Face]) -> list[list[Sighting]]:
        """Faces of `frames[1:]`, given those of `frames[0]`; the last frame is detected.

        `Sighting.previous` of the first result counts in `first`; the last result is in the detector's order, then what was carried there.
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
        rows = self._solve(_Span(early, span.first, found, into, _travel(early[::-1], found)))
        # Not only what was found there: a face that was carried past the middle goes on from there too.
        known = [s.face for s in rows[-1]]
        return rows + self._solve(_Span(late, known, span.last, _travel(late, known), back))

    def _settled(self, span: _Span, pairs: list[tuple[int, int]]) -> bool:
        """Whether both ends tell the same story of every face that matters."""
        matched_first, matched_last = {i for i, _ in pairs}, {j for _, j in pairs}
        gone = [(f, span.frames[0]) for i, f in enumerate(span.first) if i not in matched_first and f.score >= self._sure]
        come = [(f, span.frames[-1]) for j, f in enumerate(span.last) if j not in matched_last and f.score >= self._sure]
        # A face that leaves or comes is carried as long as it is seen; if one leaves and one comes, they may be the same one.
        # A weak face that the other end does not know flickers in the detector; more calls would not settle it.
        if (gone and come) or not all(self._recognisable(face, frame) for face, frame in gone + come):
            return False
        return all(self._agree(span.forward[i], span.backward[j], span.last[j]) or self._witnessed(span, i, j) for i, j in pairs)

    def _can_look(self, face: Face) -> bool:
        """Whether a close look at a face is worth more than the flow's word."""
        return self._closely is not None and face.eye_distance >= self.settings.least_eyes

    def _recognisable(self, face: Face, frame: SmallFrame) -> bool:
        """Whether a close look knows a face that the detector found for one."""
        if not self._can_look(face):
            return False
        return float(self._look([frame], np.asarray(face.landmarks, np.float64)[None]).belief[0]) >= self.settings.belief

    def _witnessed(self, span: _Span, i: int, j: int) -> bool:
        """Whether close looks confirm in every frame what the two ends do not agree about."""
        if not self._can_look(span.last[j]):
            return False
        path = _between_ends(span, i, j)[0]
        return bool(self._confirmed(self._look(span.frames, path), path, span.last[j]).all())

    def _confirmed(self, seen: Seen, path: NDArray[np.float64], face: Face) -> NDArray[np.bool_]:
        """In which frames (N,) a close look finds a face, and finds it where it was carried to."""
        slip = np.hypot(*np.moveaxis(seen.landmarks - path, -1, 0)).mean(axis=1) / face.unit
        return np.asarray((seen.belief >= self.settings.belief) & (slip <= self.settings.slip))

    def _look(self, frames: Sequence[SmallFrame], path: NDArray[np.float64]) -> Seen:
        assert self._closely is not None
        self.looks += len(path)
        return look_along(self._closely, [f.rgb for f in frames[: len(path)]], path)

    def _agree(self, forward: Trajectory, backward: Trajectory, face: Face) -> bool:
        count = len(forward.landmarks)
        if forward.lost < count or backward.lost < count:
            return False
        distance = np.hypot(*np.moveaxis(forward.landmarks - backward.landmarks[::-1], -1, 0)).mean(axis=1)
        slack = self.settings.pixel_slack / face.unit
        return bool(distance.max() / face.unit <= max(self.settings.agreement, slack))

    def _paths(self, span: _Span, pairs: list[tuple[int, int]]) -> list[_Path]:
        matched_first, matched_last = {i for i, _ in pairs}, {j for _, j in pairs}
        gone = {i: self._leaving(span, i) for i in range(len(span.first)) if i not in matched_first}
        come = {j: self._arriving(span, j) for j in range(len(span.last)) if j not in matched_last}
        paths = [self._between(span, i, j) for i, j in pairs]
        for i, j in _met(gone, come, self.settings.meet):
            paths.append(_Path(joined(gone.pop(i).head(span.length), come.pop(j)), i, j))
        paths += [_Path(stretch, i) for i, stretch in gone.items() if stretch.faces]
        paths += [_Path(stretch, None, j) for j, stretch in come.items()]
        return paths

    def _leaving(self, span: _Span, i: int) -> Stretch:
        faces, beliefs = self._carried(span.first[i], span.forward[i], span.frames, span.last)
        return Stretch(1, faces, beliefs)

    def _arriving(self, span: _Span, j: int) -> Stretch:
        faces, beliefs = self._carried(span.last[j], span.backward[j], span.frames[::-1], span.first)
        faces, beliefs = faces[: span.length - 1][::-1], beliefs[: span.length - 1][::-1]
        return Stretch(span.length - len(faces), [*faces, span.last[j]], beliefs)

    def _between(self, span: _Span, i: int, j: int) -> _Path:
        """One face between two detections of it."""
        first, last = span.first[i], span.last[j]
        landmarks, boxes = _between_ends(span, i, j)
        beliefs: list[float] = []
        if self._can_look(last) and span.length > 1:
            seen = self._look(span.frames, landmarks)
            landmarks, beliefs = bend(landmarks, seen, (0, span.length)), seen.belief[1:].tolist()
        faces = [
            Face(boxes[t], (1 - t / span.length) * first.score + t / span.length * last.score, landmarks[t]) for t in range(1, span.length)
        ]
        return _Path(Stretch(1, [*faces, last], beliefs), i, j)

    def _carried(self, face: Face, path: Trajectory, frames: Sequence[SmallFrame], there: Sequence[Face]) -> tuple[list[Face], list[float]]:
        """A face that one end alone knows, as long as close looks confirm it, or without them a few frames; and the beliefs.

        Args:
            there: what the detector found at the other end.
        """
        until = min(len(frames), path.lost)
        landmarks = path.landmarks[:until]
        beliefs: list[float] = []
        if not self._can_look(face):
            until = min(until, (len(frames) - 1) // 2 + 1, self.settings.carry + 1)
        else:
            seen = self._look(frames, landmarks)
            until = min([until, *np.flatnonzero(~self._confirmed(seen, landmarks, face)).tolist()])
            landmarks, beliefs = bend(landmarks, seen, (0,)), seen.belief[1:until].tolist()
            # Where the other end knows a face so near, it is most likely this one, and half of the way is the other's.
            if until == len(frames) and any(np.hypot(*(landmarks[-1] - o.landmarks).T).mean() < 1.5 * face.unit for o in there):
                until = len(frames) // 2
        fading = self.settings.fading
        return [Face(_moved_box(face, path, t), face.score * fading**t, landmarks[t]) for t in range(1, until)], beliefs[: until - 1]


def _met(gone: Mapping[int, Stretch], come: Mapping[int, Stretch], limit: float) -> list[tuple[int, int]]:
    """Which of the faces carried from the first frame and of those from the last are the same, nearest pairs first."""
    near = sorted((apart(early, late), i, j) for i, early in gone.items() for j, late in come.items())
    pairs: list[tuple[int, int]] = []
    for distance, i, j in near:
        if distance <= limit and all(i != k and j != m for k, m in pairs):
            pairs.append((i, j))
    return pairs


def _between_ends(span: _Span, i: int, j: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Landmarks (N, 5, 2) and boxes (N, 4) of one face from end to end: each end's trajectory, weighted by nearness, unless lost."""
    forward, backward, first, last = span.forward[i], span.backward[j], span.first[i], span.last[j]
    landmarks, boxes = [np.asarray(first.landmarks, np.float64)], [np.asarray(first.box, np.float64)]
    for t in range(1, span.length):
        weight, back = t / span.length, span.length - t
        if t >= forward.lost and back < backward.lost:
            weight = 1.0
        elif back >= backward.lost and t < forward.lost:
            weight = 0.0
        landmarks.append((1 - weight) * forward.landmarks[t] + weight * backward.landmarks[back])
        boxes.append((1 - weight) * _moved_box(first, forward, t) + weight * _moved_box(last, backward, back))
    return np.stack([*landmarks, np.asarray(last.landmarks, np.float64)]), np.stack([*boxes, np.asarray(last.box, np.float64)])


def _travel(frames: Sequence[SmallFrame], faces: list[Face]) -> list[Trajectory]:
    return follow([f.gray for f in frames], faces) if faces else []


def _rows(paths: list[_Path], length: int) -> list[list[Sighting]]:
    """Paths as rows of linked sightings; the last row in the order of the detector, then what was carried there."""
    rows: list[list[Sighting]] = []
    before: dict[int, int] = {}
    for t in range(1, length + 1):
        present = [k for k, p in enumerate(paths) if p.stretch.holds(t)]
        if t == length:
            present.sort(key=lambda k: len(paths) if (last := paths[k].last) is None else last)
        row = []
        for k in present:
            path = paths[k]
            previous = path.previous if t == 1 else before.get(k)
            source: Source = "detected" if t == length and path.last is not None else "flow"
            row.append(Sighting(path.stretch.at(t), source, previous, path.stretch.belief(t)))
        before = {k: n for n, k in enumerate(present)}
        rows.append(row)
    return rows


def _moved_box(face: Face, path: Trajectory, t: int) -> NDArray[np.float64]:
    corners = np.asarray(face.box, np.float64).reshape(2, 2)
    middle, half = corners.mean(axis=0), (corners[1] - corners[0]) / 2
    motion = path.motions[t]
    centre, factor = apply_affine(motion, middle[None])[0], float(np.hypot(motion[0, 0], motion[1, 0]))
    return np.concatenate([centre - factor * half, centre + factor * half])
