""": landmarks placed anew where they know the face, doubts where the detector is not sure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scenes import face_at

from gpenvid.faces.detector import CloseLook
from gpenvid.faces.placed import PlacedDetector
from gpenvid.geometry import Face
from gpenvid.job.models import open_detector
from gpenvid.job.progress import Silent

PICTURE = np.zeros((240, 320, 3), np.uint8)
TRUTH = face_at(160, 120)


class Finds:
    """Finds the same faces in every picture."""

    name, sure = "finds", 0.8
    close_look: CloseLook | None = None

    def __init__(self, *faces: Face) -> None:
        self.faces = list(faces)

    def detect(self, images: Sequence[np.ndarray]) -> list[list[Face]]:
        return [list(self.faces) for _ in images]


class Halves:
    """Goes half of the way from where it looks to the truth."""

    def __init__(self, belief: float) -> None:
        self.belief = belief

    def look(self, images: Sequence[np.ndarray], landmarks: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        return (np.stack(landmarks) + TRUTH.landmarks) / 2, np.full(len(images), self.belief)


def _found(belief: float, *faces: Face) -> list[Face]:
    return PlacedDetector(Finds(*faces), Halves(belief)).detect([PICTURE])[0]


@pytest.mark.parametrize(("belief", "left"), [(1.0, 0.25), (0.9, 0.25), (0.5**0.5, 0.625), (0.5, 1.0), (0.0, 1.0)])
def test_landmarks_are_placed_by_two_looks_as_far_as_both_together_believe(belief: float, left: float) -> None:
    (face,) = _found(belief, face_at(168, 120))
    assert face.landmarks - TRUTH.landmarks == pytest.approx(np.tile([8.0 * left, 0.0], (5, 1)), abs=1e-6)
    assert face.box == pytest.approx(face_at(168, 120).box)


@pytest.mark.parametrize(("squeeze", "placed"), [(1.0, True), (0.1, False)])
def test_a_profile_keeps_the_detectors_landmarks_whatever_looks_believe(squeeze: float, placed: bool) -> None:
    wide = face_at(168, 120)
    middle = wide.landmarks.mean(axis=0)
    profile = Face(wide.box, wide.score, middle + (wide.landmarks - middle) * (squeeze, 1.0))
    (face,) = _found(1.0, profile)
    assert (np.abs(face.landmarks - profile.landmarks).max() > 1) == placed


def test_no_faces_and_no_pictures_are_nothing_to_look_at() -> None:
    assert _found(1.0) == []
    assert PlacedDetector(Finds(), Halves(1.0)).detect([]) == []


def test_retinaface_on_mobilenet_places_the_same_landmarks_in_a_moved_picture(retinaface: object, astronaut: np.ndarray) -> None:
    detector = open_detector("retinaface-mobilenet", "cpu", Silent())
    assert isinstance(detector, PlacedDetector)
    right, down = 5, 3
    moved = np.pad(astronaut, ((down, 0), (right, 0), (0, 0)), mode="edge")

    def tremble(faces: tuple[Face, Face]) -> float:
        here, there = faces
        return float(np.hypot(*(there.landmarks - (right, down) - here.landmarks).T).mean() / here.eye_distance)

    raw = [detector.detector.detect([picture])[0][0] for picture in (astronaut, moved)]
    ours = [detector.detect([picture])[0][0] for picture in (astronaut, moved)]
    assert tremble((ours[0], ours[1])) < min(0.01, tremble((raw[0], raw[1])))
    assert np.hypot(*(ours[0].landmarks - raw[0].landmarks).T).mean() < 0.06 * raw[0].eye_distance
    assert ours[0].box == pytest.approx(raw[0].box)
