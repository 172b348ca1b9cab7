"""Tracks: the contract between analysing a clip and rendering it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from gpenvid.errors import UsageError
from gpenvid.faces.shots import Shot


@dataclass(frozen=True)
class Flag:
    """Why a face is restored less, or not at all, in some frames.

    Attributes:
        start, end: first frame, and the frame after the last.
        reason: such as `too small`.
    """

    start: int
    end: int
    reason: str


@dataclass(frozen=True, eq=False)
class Track:
    """One person in one shot, on consecutive frames. Coordinates are in display space of the full picture.

    Attributes:
        id: number from 1, in order of appearance.
        start: first frame.
        boxes: (N, 4) x0, y0, x1, y1.
        scores: (N,) in [0, 1].
        landmarks: (N, 5, 2).
        detected: (N,) whether the detector saw the face there; elsewhere the flow carried it.
        parameters: (N, 4) smoothed place of the aligned crop: log scale, angle, centre x, centre y.
        weights: (N,) share of the change in each frame, 0 to 1: eased at the track's ends and by the guards.
        strength: the user's share for this person, 0 to 1.
        flags: why a guard keeps the weight below a half, where one does.
    """

    id: int
    start: int
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    landmarks: NDArray[np.float64]
    detected: NDArray[np.bool_]
    parameters: NDArray[np.float64]
    weights: NDArray[np.float64]
    strength: float = 1.0
    flags: list[Flag] = field(default_factory=list)

    @property
    def end(self) -> int:
        """The frame after the last."""
        return self.start + len(self.landmarks)

    def holds(self, frame: int) -> bool:
        """Whether the face is present in a frame."""
        return self.start <= frame < self.end

    def reason(self, frame: int) -> str:
        """Why the weight of a frame is what it is; empty where nothing is flagged."""
        return next((f.reason for f in self.flags if f.start <= frame < f.end), "")


@dataclass(frozen=True, eq=False)
class Tracks:
    """Everything the analysis found.

    Attributes:
        frames: number of frames analysed.
        width, height: display size in pixels that coordinates refer to.
        detector: name of the detector.
        detector_calls: frames given to it.
        close_looks: faces that were looked at closely between its calls.
        shots: consecutive, covering all frames.
        tracks: by id.
        begin: seconds after the clip's first frame that the frames begin at, as asked for; None where that is not known.
    """

    frames: int
    width: int
    height: int
    detector: str
    detector_calls: int
    shots: list[Shot] = field(default_factory=list)
    tracks: list[Track] = field(default_factory=list)
    close_looks: int = 0
    begin: float | None = None

    def at(self, frame: int) -> list[Track]:
        """The tracks present in a frame."""
        return [t for t in self.tracks if t.holds(frame)]

    def chosen(self, only: Collection[int] = (), exclude: Collection[int] = ()) -> Tracks:
        """The same with some people left as they are: those not in `only` (none, if empty), and those in `exclude`, by track id.

        Raises:
            UsageError: if there is no such track.
        """
        known = [t.id for t in self.tracks]
        unknown = sorted({*only, *exclude} - set(known))
        if unknown:
            listed = ", ".join(map(str, known))
            remedy = f"tracks are {listed}; `gpenvid analyse --sheet` shows them" if known else "no face was found"
            raise UsageError(f"there is no track {unknown[0]}", remedy)
        left_out = {i for i in known if (only and i not in only) or i in exclude}
        return replace(self, tracks=[_left_out(t) if t.id in left_out else t for t in self.tracks])


def _left_out(track: Track) -> Track:
    return replace(track, strength=0.0, flags=[Flag(track.start, track.end, "left out"), *track.flags])
