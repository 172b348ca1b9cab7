"""Tracks: the contract between analysing a clip and rendering it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gpenvid.faces.shots import Shot


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
    """

    id: int
    start: int
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    landmarks: NDArray[np.float64]
    detected: NDArray[np.bool_]
    parameters: NDArray[np.float64]

    @property
    def end(self) -> int:
        """The frame after the last."""
        return self.start + len(self.landmarks)

    def holds(self, frame: int) -> bool:
        """Whether the face is present in a frame."""
        return self.start <= frame < self.end


@dataclass(frozen=True, eq=False)
class Tracks:
    """Everything the analysis found.

    Attributes:
        frames: number of frames analysed.
        width, height: display size in pixels that coordinates refer to.
        detector: name of the detector.
        detector_calls: frames given to it.
        shots: consecutive, covering all frames.
        tracks: by id.
    """

    frames: int
    width: int
    height: int
    detector: str
    detector_calls: int
    shots: list[Shot] = field(default_factory=list)
    tracks: list[Track] = field(default_factory=list)

    def at(self, frame: int) -> list[Track]:
        """The tracks present in a frame."""
        return [t for t in self.tracks if t.holds(frame)]
