"""The built-in detector's looks: which faces the smaller one adds, what doubts cost, and how a face is cut out for a close look."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from scenes import face_at

from gpenvid.faces.builtin import BuiltinDetector, close_up
from gpenvid.faces.builtin_net import CLOSE_UP, VALUES, DetectorNet, DetectorShape, LandmarkNet, cells
from gpenvid.geometry import Face

SMALL = DetectorShape(widths=(8, 8, 16, 16, 16, 16), depths=(0, 1, 0, 0, 1), pyramid=16)
SCORE = 0.9


class SeesOne(DetectorNet):
    """Finds one face of a given width in the middle of every picture of at most so many pixels."""

    def __init__(self, width: float, largest: int, refine: LandmarkNet | None = None) -> None:
        super().__init__(SMALL)
        self.refine = refine
        self._width, self._largest = width, largest

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        where = cells(*x.shape[2:])
        raw = torch.zeros(len(x), len(where), VALUES)
        raw[..., 0] = -20.0
        if max(x.shape[2:]) <= self._largest:
            middle = torch.tensor([x.shape[3] / 2, x.shape[2] / 2])
            best = int(((where[:, :2] - middle).norm(dim=1) - where[:, 2]).argmin())
            raw[:, best, 0] = float(np.log(SCORE / (1 - SCORE)))
            raw[:, best, 3:5] = torch.log(self._width / (4 * where[best, 2]))
            raw[:, best, 5:] = torch.from_numpy(face_at(0, 0, 0.15).landmarks.ravel()).float()
        return raw


class Believes(LandmarkNet):
    """Leaves landmarks where they are, and believes in every face alike."""

    def __init__(self, belief: float) -> None:
        super().__init__()
        self._logit = float(np.log(belief / (1 - belief)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.zeros(len(x), 10), torch.full((len(x), 1), self._logit)], dim=1)


def _found(net: DetectorNet, side: int) -> list[Face]:
    (faces,) = BuiltinDetector(net, threshold=0.1).detect([np.zeros((side, side, 3), np.uint8)])
    return faces


@pytest.mark.parametrize(("width", "counts"), [(80.0, False), (180.0, True)])
def test_the_smaller_look_at_a_large_picture_is_for_faces_that_fill_it(width: float, counts: bool) -> None:
    faces = _found(SeesOne(width, largest=640), 800)
    assert [round(float(f.box[2] - f.box[0])) for f in faces] == ([2 * width] if counts else [])


def test_a_face_of_any_size_is_found_where_one_look_suffices() -> None:
    for width in (20.0, 80.0, 180.0):
        assert [round(float(f.box[2] - f.box[0])) for f in _found(SeesOne(width, largest=640), 640)] == [width]


@pytest.mark.parametrize(("belief", "least", "most"), [(0.99, 0.91, 0.97), (0.9, 0.42, 0.65), (0.7, 0.0, 0.2)])
def test_a_face_keeps_its_score_where_looks_are_sure_of_it_and_loses_half_where_one_in_ten_doubts(
    belief: float, least: float, most: float
) -> None:
    scores = [f.score / SCORE for f in _found(SeesOne(100.0, 640, Believes(belief)), 320)]
    assert least < max(scores, default=0.05) < most


@pytest.mark.parametrize("times", [2.5, 3.7, 7.3])
def test_detail_of_single_pixels_of_a_large_face_does_not_alias_in_a_close_up(times: float) -> None:
    y, x = np.mgrid[0:900, 0:900]
    checker = np.repeat(((x + y) % 2 * 255).astype(np.uint8)[:, :, None], 3, axis=2)
    crop, _ = close_up(checker, face_at(450, 450, 19.2 * times).landmarks)
    assert crop.std() < 4
    assert crop.mean() == pytest.approx(127.5, abs=3)


@pytest.mark.parametrize("times", [2.5, 3.7, 7.3])
def test_detail_that_a_close_up_can_show_is_kept_from_a_large_face(times: float) -> None:
    x = np.arange(900)
    stripes = np.round(127.5 + 100 * np.sin(2 * np.pi * x / (4 * times))).astype(np.uint8)  # four pixels of the close-up
    crop, _ = close_up(
        np.ascontiguousarray(np.broadcast_to(stripes[None, :, None], (900, 900, 3))), face_at(450, 450, 19.2 * times).landmarks
    )
    assert crop.std() > 0.6 * 100 / np.sqrt(2)


@pytest.mark.parametrize("times", [0.8, 2.3, 4.5, 9.7])
@pytest.mark.parametrize("angle", [0.0, 0.5])
def test_a_face_of_any_size_lies_at_the_same_place_of_its_close_up(times: float, angle: float) -> None:
    cos, sin = np.cos(angle), np.sin(angle)
    turned = np.array([[cos, -sin], [sin, cos]])
    points = (CLOSE_UP - CLOSE_UP.mean(axis=0)) * times @ turned.T + [401.3, 380.7]
    y, x = np.mgrid[0:800, 0:800]
    for k, (px, py) in enumerate(points):
        spot = 255 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * (2.0 * times) ** 2))
        crop, matrix = close_up(np.repeat(spot.round().astype(np.uint8)[:, :, None], 3, axis=2), points)
        weight = crop[..., 0].astype(float)
        seen = np.array([np.average(np.arange(64), weights=weight.sum(axis=0)), np.average(np.arange(64), weights=weight.sum(axis=1))])
        assert matrix @ [px, py, 1] == pytest.approx(CLOSE_UP[k], abs=1e-6)
        assert seen == pytest.approx(CLOSE_UP[k], abs=0.1)


def test_a_large_face_looks_from_close_by_as_it_does_small(astronaut: np.ndarray) -> None:
    face = np.array([[203.72, 102.80], [244.97, 104.22], [224.41, 129.08], [202.65, 139.02], [244.84, 140.11]])
    crop, _ = close_up(astronaut, face)
    large = cv2.resize(astronaut, None, fx=3.7, fy=3.7, interpolation=cv2.INTER_CUBIC)
    again, _ = close_up(large, (face + 0.5) * 3.7 - 0.5)
    assert np.abs(again.astype(int) - crop).mean() < 4
