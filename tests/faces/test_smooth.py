"""The smoothed place and shape of a face: what a short motion, a full turn of the picture and a single bad frame do to them."""

from __future__ import annotations

import numpy as np
import pytest

from gpenvid.faces.align import GPEN, similarity_parameters
from gpenvid.faces.smooth import smooth_parameters, steady_shape
from gpenvid.faces.tracks import Track

SIDE = 200.0
EYES = GPEN.eye_distance * SIDE


def _places(x: np.ndarray, angle: np.ndarray | float = 0.0) -> np.ndarray:
    ones = np.ones(len(x))
    return np.column_stack([np.log(SIDE) * ones, angle * ones, x, 80 * ones])


def _track(landmarks: np.ndarray) -> Track:
    """A track of faces that are aligned by one and the same place."""
    count = len(landmarks)
    place = similarity_parameters(GPEN.at(200))
    return Track(
        id=1,
        start=10,
        boxes=np.zeros((count, 4)),
        scores=np.ones(count),
        landmarks=landmarks,
        detected=np.ones(count, bool),
        parameters=np.repeat(place[None], count, axis=0),
        weights=np.ones(count),
    )


def test_smoothing_lets_go_before_a_nod_begins() -> None:
    nod = 100 + 12 * np.exp(-(((np.arange(90) - 45) / 2.5) ** 2))  # more than a quarter of the eye distance, and back
    off = np.abs(smooth_parameters(_places(nod)) - _places(nod)).max(axis=1) / EYES
    assert off[:44].max() < 0.032
    assert off.max() < 0.043


def test_a_head_is_still_ten_frames_after_one_nod_and_before_another() -> None:
    t = np.arange(90)
    nods = 100 + 12 * (np.exp(-(((t - 25) / 2.5) ** 2)) + np.exp(-(((t - 61) / 2.5) ** 2)))
    noise = np.random.default_rng(0).normal(0, 0.4, 90)
    before, after = (np.diff(v[39:47], n=2).std() for v in (noise, smooth_parameters(_places(nods + noise))[:, 2]))
    assert after < 0.025 * before


def test_a_head_that_rolls_over_is_smoothed_along_the_way_it_went() -> None:
    angle = np.linspace(2.6, 3.8, 60)  # past half a turn, where angles begin anew
    wrapped = np.arctan2(np.sin(angle), np.cos(angle))
    assert wrapped[0] > 0 > wrapped[-1]
    smooth = smooth_parameters(_places(np.full(60, 100.0), wrapped))[:, 1]
    assert np.abs(np.exp(1j * smooth) - np.exp(1j * angle)).max() < 1e-6


def test_one_bad_frame_counts_for_a_third_of_its_own_shape_and_less_the_farther_off() -> None:
    landmarks = np.repeat(GPEN.at(200)[None], 15, axis=0)
    landmarks[7] += [8.0, 0.0]
    shift = np.array([steady_shape(_track(landmarks), 10 + t, 200) - GPEN.at(200) for t in range(15)])[..., 0].mean(axis=1) / 8.0
    assert shift[:7] == pytest.approx(shift[:7:-1])
    assert shift.sum() == pytest.approx(1)
    assert 0.25 < shift[7] < 0.4
    assert (np.diff(shift[3:8]) > 0).all()
    assert 0.15 < shift[6] < 0.3
    assert 0.05 < shift[5] < 0.15
    assert 0 < shift[4] < 0.05
    assert shift[3] == pytest.approx(0, abs=1e-9)


def test_a_shape_that_changes_steadily_is_not_late() -> None:
    landmarks = GPEN.at(200)[None] + np.arange(15)[:, None, None] * np.array([1.0, 0.0])
    for t in range(3, 12):
        assert steady_shape(_track(landmarks), 10 + t, 200) == pytest.approx(landmarks[t])


def test_the_shape_at_the_ends_of_a_track_is_the_average_of_the_frames_there_are() -> None:
    landmarks = np.repeat(GPEN.at(200)[None], 4, axis=0)
    for t in range(4):
        assert steady_shape(_track(landmarks), 10 + t, 200) == pytest.approx(GPEN.at(200))
