"""Faces carried by optical flow: motions of known amount are followed, changes of light are none, and what cannot be followed says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest
from scenes import face_at, moved, texture

from gpenvid.faces import flow
from gpenvid.faces.flow import follow
from gpenvid.geometry import Face


def _error(grays: Sequence[np.ndarray], face: Face, step: float) -> float:
    """Largest distance, in pixels, of any landmark from where a motion of `step` pixels a frame to the right takes it."""
    (path,) = follow(grays, [face])
    assert path.lost == len(grays)
    truth = np.stack([np.add(face.landmarks, (step * t, 0.0)) for t in range(len(grays))])
    return float(np.abs(path.landmarks - truth).max())


def _spots(face: Face, count: int) -> np.ndarray:
    """Nothing but grey, save around the first landmarks."""
    picture, mask = texture(3).astype(np.float32), np.zeros((240, 320), np.float32)
    for x, y in face.landmarks[:count]:
        cv2.circle(mask, (round(x), round(y)), 12, 1.0, -1)
    return (128 + cv2.GaussianBlur(mask, (0, 0), 2) * (picture - 128)).round().astype(np.uint8)


def _with_the_mouth_down_by(face: Face, pixels: int) -> np.ndarray:
    """The mouth and what is around it slides over a face that stands still."""
    picture = texture()
    (left, right), y = (round(v) for v in face.landmarks[3:, 0]), round(face.landmarks[3, 1])
    columns = slice(left - 18, right + 19)
    slid = picture.copy()
    slid[y - 14 + pixels : y + 15 + pixels, columns] = picture[y - 14 : y + 15, columns]
    return slid


@pytest.mark.parametrize("step", [0.4, 3.0, 8.0, 15.0])
def test_a_face_is_followed_at_any_speed_up_to_fifteen_pixels_a_frame(step: float) -> None:
    assert _error([moved(texture(), step * t) for t in range(4)], face_at(100, 120), step) < 0.1


def test_a_small_face_is_followed_over_more_than_its_own_width() -> None:
    noise = np.random.default_rng(0).normal(0, 1, (240, 320)).astype(np.float32)
    layers = [cv2.GaussianBlur(noise, (0, 0), sigma) for sigma in (2, 5, 10, 20)]
    picture = np.clip(128 + 20 * sum(layer / layer.std() for layer in layers), 0, 255).astype(np.uint8)
    assert _error([picture, moved(picture, 18.0)], face_at(120, 120, 8.0), 18.0) < 1.0


@pytest.mark.parametrize(
    "lit",
    [
        pytest.param(lambda p: 0.5 * p + 64, id="half the contrast"),
        pytest.param(lambda p: 0.5 * p, id="half the light"),
        pytest.param(lambda p: 0.85 * p + 19.2, id="a little less contrast"),
        pytest.param(lambda p: p + 20, id="brighter"),
        pytest.param(lambda p: p + 5, id="a little brighter"),
    ],
)
def test_light_that_changes_at_every_frame_moves_nothing(lit: Callable[[np.ndarray], np.ndarray]) -> None:
    grays = [moved(texture(), 2.5 * t) for t in range(6)]
    grays[1::2] = [np.clip(lit(g.astype(float)), 0, 255).round().astype(np.uint8) for g in grays[1::2]]
    assert _error(grays, face_at(120, 120), 2.5) < 0.06


def test_a_mouth_that_opens_takes_its_corners_most_of_the_way_and_nothing_else() -> None:
    face = face_at(160, 120, 40.0)
    (path,) = follow([_with_the_mouth_down_by(face, t) for t in range(7)], [face])
    went = path.landmarks[-1] - face.landmarks
    assert np.abs(went[:3]).max() < 0.3
    assert np.abs(went[3:, 0]).max() < 0.3
    assert (went[3:, 1] > 0.55 * 6).all()
    assert (went[3:, 1] < 0.9 * 6).all()


def test_what_slides_over_a_face_does_not_take_the_mouth_along() -> None:
    face = face_at(160, 110, 40.0)
    (path,) = follow([_with_the_mouth_down_by(face, 4 * t) for t in range(11)], [face])
    went = (path.landmarks[-1] - face.landmarks)[3:, 1] / face.eye_distance
    assert (went > 0.14).all()
    assert (went < 0.3).all()


@pytest.mark.parametrize(("landmarks", "followed"), [(0, False), (1, False), (2, True)])
def test_a_face_of_which_only_one_landmark_shows_is_not_followed(landmarks: int, followed: bool) -> None:
    face = face_at(160, 120, 40.0)
    face = replace(face, box=np.array([150.0, 100.0, 170.0, 101.0]))  # no place for corners of its own
    picture = _spots(face, landmarks)
    (path,) = follow([moved(picture, 2.0 * t) for t in range(4)], [face])
    assert path.lost == (4 if followed else 1)
    assert path.landmarks[-1] - face.landmarks == pytest.approx(np.tile([6.0 if followed else 0.0, 0.0], (5, 1)), abs=0.05)


def test_a_face_without_features_is_followed_by_what_is_around_them() -> None:
    face = face_at(120, 120, 40.0)
    plain = (texture(3).astype(int) + 128 - _spots(face, 5)).astype(np.uint8)
    for x, y in face.landmarks:
        cv2.circle(plain, (round(x), round(y)), 8, 128, -1)
    assert _error([moved(plain, 2.0 * t) for t in range(4)], face, 2.0) < 0.3


def test_points_that_were_lost_have_no_say_in_where_a_landmark_is(monkeypatch: pytest.MonkeyPatch) -> None:
    step, lost = flow._step, slice(0, 3)  # of the five about the first landmark

    def losing(before: np.ndarray, after: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        there, found = (values.copy() for values in step(before, after, points))
        there[lost], found[lost] = points[lost], False
        return there, found

    monkeypatch.setattr(flow, "_step", losing)
    assert _error([moved(texture(), 4.0 * t) for t in range(4)], face_at(120, 120), 4.0) < 0.1


def test_a_face_stays_where_it_was_lost() -> None:
    face, picture = face_at(100, 120), texture()
    blank = np.full_like(picture, 128)
    (path,) = follow([picture, moved(picture, 3.0), blank, blank, moved(picture, 6.0)], [face])
    assert 2 <= path.lost <= 3
    assert (path.landmarks[path.lost :] == path.landmarks[path.lost - 1]).all()
    assert all((m == path.motions[path.lost - 1]).all() for m in path.motions[path.lost :])
    assert path.head(2).lost == len(path.head(2).motions) == 2
