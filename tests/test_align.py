"""Alignment to the published templates."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpenvid.faces.align import FFHQ, GPEN, crop_affine, fit_similarity, similarity_parameters
from gpenvid.geometry import apply_affine, compose, invert

similarities = st.tuples(st.floats(0.1, 8), st.floats(-3, 3), st.floats(-500, 1500), st.floats(-500, 1500))


@pytest.mark.parametrize(("name", "template"), [("gpen-512", GPEN), ("ffhq-512", FFHQ)])
def test_templates_are_the_published_ones(shared: Path, name: str, template) -> None:
    points = json.loads((shared / "reference" / "align.json").read_text())[name]
    assert np.allclose(template.at(512), points)


def test_eye_distance_is_the_stated_share_of_the_crop() -> None:
    assert GPEN.eye_distance == pytest.approx(0.2097, abs=1e-4)
    assert FFHQ.eye_distance == pytest.approx(0.2459, abs=1e-4)


def _matrix(scale: float, angle: float, x: float, y: float) -> np.ndarray:
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[c, -s, x], [s, c, y]])


@given(similarities)
def test_a_similarity_is_recovered_exactly(values) -> None:
    matrix = _matrix(*values)
    points = GPEN.at(256)
    assert np.allclose(fit_similarity(points, apply_affine(matrix, points)), matrix, atol=1e-6)


@given(similarities)
def test_crop_parameters_carry_the_landmarks_onto_the_template(values) -> None:
    landmarks = apply_affine(_matrix(*values), GPEN.at(100))
    matrix = crop_affine(similarity_parameters(landmarks), 512)
    assert np.allclose(apply_affine(matrix, landmarks), GPEN.at(512), atol=1e-6)


def test_the_places_of_many_faces_are_those_of_each_to_the_last_bit() -> None:
    faces = GPEN.at(200) + np.random.default_rng(1).normal(0, 20, (50, 5, 2))
    faces[7] = 3.0  # all points in one place
    with np.errstate(divide="ignore"):
        assert np.array_equal(similarity_parameters(faces), [similarity_parameters(f) for f in faces], equal_nan=True)


def test_fit_equals_opencv_on_noisy_points() -> None:
    random = np.random.default_rng(1)
    points = GPEN.at(512)
    noisy = apply_affine(_matrix(0.4, 0.3, 20, 30), points) + random.normal(0, 0.5, (5, 2))
    expected, _ = cv2.estimateAffinePartial2D(points, noisy, method=cv2.LMEDS)
    assert np.abs(apply_affine(fit_similarity(points, noisy), points) - apply_affine(expected, points)).max() < 2.0
    # Least squares is no worse than any other similarity.
    ours = np.square(apply_affine(fit_similarity(points, noisy), points) - noisy).sum()
    assert ours <= np.square(apply_affine(expected, points) - noisy).sum() + 1e-9


@given(similarities, similarities)
def test_maps_compose_and_invert(a, b) -> None:
    outer, inner = _matrix(*a), _matrix(*b)
    points = GPEN.at(64)
    assert np.allclose(apply_affine(compose(outer, inner), points), apply_affine(outer, apply_affine(inner, points)))
    assert np.allclose(apply_affine(invert(outer), apply_affine(outer, points)), points, atol=1e-6)
