"""Guards that leave faces alone: what a profile is, and how long a guard must trip, or rest, to count."""

from __future__ import annotations

import numpy as np
import pytest
from scenes import face_at

from gpenvid.faces.ease import GuardSettings, face_weights

FRONT = np.asarray(face_at(200, 200, 40.0).landmarks)
AWAY = FRONT + np.array([[0.0, 0.0], [0.0, 0.0], [50.0, 0.0], [0.0, 0.0], [0.0, 0.0]])


def _weights(landmarks: np.ndarray) -> np.ndarray:
    """Of a track that lasts as long as its shot."""
    return face_weights(landmarks, 0, (0, len(landmarks)), GuardSettings())[0]


def _trips(*spells: tuple[int, int], count: int = 80) -> np.ndarray:
    """Weights of a face that is turned away in these frames."""
    landmarks = np.repeat(FRONT[None], count, axis=0)
    for start, end in spells:
        landmarks[start:end] = AWAY
    return _weights(landmarks)


@pytest.mark.parametrize(("nose", "weight"), [(8.0, 1.0), (16.0, 0.0)])
def test_where_the_eyes_fall_together_a_turn_is_measured_by_the_height_of_the_face(nose: float, weight: float) -> None:
    side = np.array(
        [[198.0, 180], [202, 180], [200 + nose, 200], [199, 220], [201, 220]]
    )  # four pixels from eye to eye, forty to the mouth
    assert _weights(np.repeat(side[None], 20, axis=0)) == pytest.approx(weight)


@pytest.mark.parametrize(("frames", "counts"), [(3, False), (8, True)])
def test_a_guard_that_trips_for_a_moment_is_ignored(frames: int, counts: bool) -> None:
    weights = _trips((30, 30 + frames))
    assert weights.min() < 0.3 if counts else weights.min() == 1


@pytest.mark.parametrize(("rest", "stays"), [(7, True), (13, False)])
def test_a_guard_that_trips_twice_within_a_few_frames_stays_on(rest: int, stays: bool) -> None:
    weights = _trips((10, 25), (25 + rest, 40 + rest))
    middle = weights[25 : 25 + rest].max()
    assert middle < 0.02 if stays else middle > 0.95


def test_a_face_is_flagged_for_just_the_frames_in_which_it_is_turned_away() -> None:
    landmarks = np.repeat(FRONT[None], 80, axis=0)
    landmarks[30:50] = AWAY
    _, flags = face_weights(landmarks, 100, (100, 180), GuardSettings())
    assert [(f.start, f.end, f.reason) for f in flags] == [(130, 150, "turned away")]


def test_a_guard_fades_over_some_frames_and_is_done_within_ten() -> None:
    weights = _trips((40, 80))
    assert 0.12 < np.abs(np.diff(weights)).max() < 0.3
    assert (weights[:33] > 0.99).all()
    assert (weights[47:] < 0.01).all()
