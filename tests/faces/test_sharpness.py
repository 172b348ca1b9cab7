"""Sharpness as a face's own, not its size's."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gpenvid.faces.sharpness import sharpness

LANDMARKS = np.array([[203.72, 102.80], [244.97, 104.22], [224.41, 129.08], [202.65, 139.02], [244.84, 140.11]])


def _sharpness(gray: np.ndarray, size: float) -> float:
    """Of the portrait shrunk or enlarged."""
    picture = cv2.resize(gray, None, fx=size, fy=size, interpolation=cv2.INTER_AREA if size < 1 else cv2.INTER_CUBIC)
    return sharpness(picture, (LANDMARKS + 0.5) * size - 0.5)


@pytest.mark.parametrize("size", [0.5, 1.0, 4.0])
def test_a_large_face_is_as_sharp_as_the_same_face_small(astronaut: np.ndarray, size: float) -> None:
    gray = cv2.cvtColor(astronaut, cv2.COLOR_RGB2GRAY)
    assert _sharpness(gray, size) == pytest.approx(_sharpness(gray, 0.33), rel=0.28)  # 0.33: not shrunk any further


def test_a_face_out_of_focus_is_not_sharp_at_any_size(astronaut: np.ndarray) -> None:
    soft = cv2.GaussianBlur(cv2.cvtColor(astronaut, cv2.COLOR_RGB2GRAY), (0, 0), 8.0)
    assert max(_sharpness(soft, size) for size in (0.33, 1.0, 4.0)) < 0.2
