"""The hull around landmarks: which parts of a face it holds whole, and where it ends."""

from __future__ import annotations

import numpy as np
import pytest

from gpenvid.blend.mask import landmark_hull
from gpenvid.faces.align import GPEN

SIZE = 256
POINTS = GPEN.at(SIZE)
EYES, MOUTH = POINTS[:2].mean(axis=0), POINTS[3:].mean(axis=0)
HEIGHT, WIDTH = MOUTH[1] - EYES[1], POINTS[1, 0] - POINTS[0, 0]


def _hull(x: float, y: float) -> float:
    return float(landmark_hull(SIZE, GPEN.eye_distance, POINTS)[round(y), round(x)])


@pytest.mark.parametrize(
    ("place", "x", "y", "held"),
    [
        ("the brows", EYES[0], EYES[1] - 0.42 * HEIGHT, True),
        ("the hairline", EYES[0], EYES[1] - 0.85 * HEIGHT, False),
        ("the chin", MOUTH[0], MOUTH[1] + 0.3 * HEIGHT, True),
        ("the neck", MOUTH[0], MOUTH[1] + 0.75 * HEIGHT, False),
        ("the outer corner of an eye", POINTS[1, 0] + 0.25 * WIDTH, EYES[1], True),
        ("an ear", POINTS[1, 0] + 0.7 * WIDTH, EYES[1], False),
    ],
)
def test_the_hull_holds_brows_eyes_and_chin_and_leaves_hair_ears_and_neck(place: str, x: float, y: float, held: bool) -> None:
    assert (_hull(x, y) > 0.95) if held else (_hull(x, y) < 0.01), place


def test_the_hull_fades_over_a_quarter_of_the_height_of_a_face() -> None:
    column = landmark_hull(SIZE, GPEN.eye_distance, POINTS)[: int(EYES[1]), round(EYES[0])]
    fading = np.flatnonzero((column > 0.05) & (column < 0.95))
    assert 0.17 < len(fading) / HEIGHT < 0.35
