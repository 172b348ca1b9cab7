"""A carried path bent towards close looks: slowly, not far, and only as far as they are believed."""

from __future__ import annotations

import numpy as np
import pytest
from scenes import face_at

from gpenvid.faces.verify import Seen, bend

COUNT = 33
ENDS = (0, COUNT - 1)
FACE = face_at(100, 100, 40.0)
PATH = np.repeat(np.asarray(FACE.landmarks)[None], COUNT, axis=0)


def _bent(shift: np.ndarray, belief: np.ndarray | float = 1.0) -> np.ndarray:
    """How far the path goes to the right where looks are shifted so much, both in eye distances."""
    seen = PATH + shift[:, None, None] * np.array([FACE.eye_distance, 0.0])
    bent = bend(PATH, Seen(seen, np.broadcast_to(np.asarray(belief, float), COUNT).copy()), ENDS) - PATH
    assert np.allclose(bent[..., 1], 0)
    assert np.allclose(bent[..., 0], bent[:, :1, 0])
    return np.asarray(bent[:, 0, 0] / FACE.eye_distance)


def _in_between(shift: float) -> np.ndarray:
    """Nothing at the two ends, and so much everywhere else."""
    values = np.full(COUNT, shift)
    values[list(ENDS)] = 0
    return values


def test_where_the_detector_has_spoken_the_path_stays_as_it_is() -> None:
    bent = _bent(_in_between(0.2))
    assert bent[0] == bent[-1] == 0
    assert bent[1] > 0.05


def test_a_path_goes_to_where_close_looks_see_the_face_and_no_farther_than_a_quarter_of_the_eye_distance() -> None:
    middle = COUNT // 2
    assert _bent(_in_between(0.2))[middle] == pytest.approx(0.2)
    assert 0.2 < _bent(_in_between(1.0))[middle] < 0.35


def test_what_changes_slowly_is_followed_and_trembling_is_not() -> None:
    t = np.arange(COUNT)
    slow, quick = 0.1 * np.sin(2 * np.pi * t / 16), 0.1 * np.sin(2 * np.pi * t / 4)  # both 0 at the ends
    assert 0.7 < np.abs(_bent(slow)).max() / 0.1 < 0.95
    assert np.abs(_bent(quick)[3:-3]).max() < 0.15 * 0.1


@pytest.mark.parametrize(("belief", "share"), [(0.4, 0.0), (0.5, 0.0), (0.75, 0.5), (1.0, 1.0)])
def test_looks_count_from_an_even_chance_upwards(belief: float, share: float) -> None:
    everywhere = _bent(_in_between(0.2), belief)
    ends_only = np.ones(COUNT)
    ends_only[0] = belief  # the looks' own bias is known no better than the face at either end
    assert everywhere[COUNT // 2] == pytest.approx(0.2 * share)
    assert _bent(_in_between(0.2), ends_only)[COUNT // 2] == pytest.approx(0.2 * share)


def test_a_look_that_is_not_believed_moves_nothing_though_those_around_it_do() -> None:
    belief = np.ones(COUNT)
    belief[12:21] = 0.3
    bent = _bent(_in_between(0.2), belief)
    assert bent[6] > 0.19
    assert bent[16] < 0.01


def test_a_bias_that_grows_from_one_end_to_the_other_moves_nothing() -> None:
    assert np.abs(_bent(np.linspace(-0.1, 0.2, COUNT))).max() < 1e-9
