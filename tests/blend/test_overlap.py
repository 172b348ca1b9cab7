"""Shares of two faces that overlap."""

from __future__ import annotations

import numpy as np
import pytest

from gpenvid.blend.mask import face_ellipse
from gpenvid.blend.overlap import overlap_share

EYES = 0.2097
MASK = face_ellipse(64, EYES)
ROW = 36  # through the middle of the face


def _share(pixels: int, weights: tuple[float, float] = (1.0, 1.0)) -> np.ndarray:
    """What a face owns of that row where another lies so many pixels to its right."""
    beside = np.array([[1.0, 0, -pixels], [0, 1, 0]])
    return overlap_share(EYES, MASK, weights[0], [(beside, MASK, weights[1])])[ROW]


@pytest.mark.parametrize(("ours", "theirs"), [(1.0, 1.0), (1.0, 0.25), (0.3, 0.9)])
def test_half_way_between_two_faces_each_owns_its_share_of_their_weights(ours: float, theirs: float) -> None:
    assert _share(13, (ours, theirs))[38] == pytest.approx(ours / (ours + theirs), abs=0.01)


def test_two_finds_of_one_face_share_it_and_two_faces_do_not() -> None:
    at_our_centre = [float(_share(pixels)[32]) for pixels in (1, 2, 6, 13)]
    assert at_our_centre == sorted(at_our_centre)
    assert at_our_centre[0] == pytest.approx(0.5, abs=0.02)
    assert at_our_centre[1] == pytest.approx(0.5, abs=0.07)
    assert at_our_centre[2] > 0.8
    assert at_our_centre[3] > 0.97


def test_what_a_face_owns_falls_from_its_own_middle_to_the_others() -> None:
    share = _share(13)[31:46]
    assert (np.diff(share) < 1e-6).all()
    assert share[0] > 0.95
    assert share[-1] < 0.05
