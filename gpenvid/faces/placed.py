"""Close looks at what a detector has found, which place its landmarks anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpenvid.faces.detector import CloseLook, Detector, RGBImage
from gpenvid.geometry import Face

_LOOKS = 2  # the second starts from better landmarks: errors fall by another twentieth, for a millisecond
_BELIEF = (0.3, 0.7)  # up to which the detector's landmarks stay, and from which the looks' count
_FRONTAL = (0.8, 1.0)  # the same of the eye distance in the face's unit, a fifth of the box: looks see two eyes in a profile too


@dataclass(frozen=True)
class Placed:
    """A found face after its close looks.

    Attributes:
        face: as the detector found it.
        landmarks: (5, 2) pixels, as seen closely.
        belief: of all looks together that it is a face, in [0, 1].
    """

    face: Face
    landmarks: NDArray[np.float64]
    belief: float


def look_again(closely: CloseLook, image: RGBImage, faces: Sequence[Face]) -> list[Placed]:
    """Look closely at each face of a picture, each time from where the last look saw it."""
    if not faces:
        return []
    points = [np.asarray(face.landmarks, np.float64) for face in faces]
    belief = np.ones(len(faces))
    for _ in range(_LOOKS):
        placed, seen = closely.look([image] * len(faces), points)
        points, belief = list(placed), belief * seen
    return [Placed(f, p, float(b)) for f, p, b in zip(faces, points, belief, strict=True)]


class PlacedDetector:
    """A detector that finds faces well and places their landmarks less well, with close looks that do.

    RetinaFace on MobileNet places landmarks elsewhere by 3.5% of the eye distance in a picture that is moved by a few pixels, two close
    looks by 0.5%, and nearer to where YuNet does (`weights.training.evaluate_detector`). Faces in which they do not believe, and
    profiles, keep the detector's landmarks.

    Args:
        detector: finds the faces.
        closely: looks at them, and at carried ones between its calls.
    """

    def __init__(self, detector: Detector, closely: CloseLook) -> None:
        self.detector = detector
        self.close_look = closely

    @property
    def name(self) -> str:
        """See `Detector.name`."""
        return self.detector.name

    @property
    def sure(self) -> float:
        """See `Detector.sure`."""
        return self.detector.sure

    def detect(self, images: Sequence[RGBImage]) -> list[list[Face]]:
        """See `Detector.detect`."""
        found = self.detector.detect(images)
        return [[_settled(p) for p in look_again(self.close_look, image, faces)] for image, faces in zip(images, found, strict=True)]


def _settled(placed: Placed) -> Face:
    old = np.asarray(placed.face.landmarks, np.float64)
    share = _ramp(placed.belief, *_BELIEF) * _ramp(placed.face.eye_distance / placed.face.unit, *_FRONTAL)
    return Face(placed.face.box, placed.face.score, old + share * (placed.landmarks - old))


def _ramp(value: float, low: float, high: float) -> float:
    return min(max((value - low) / (high - low), 0.0), 1.0)
