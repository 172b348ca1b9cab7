"""The source's grain on top of a restored face: as fine as the picture's pixels, whatever the size of the crop."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gpenvid.blend.grain import source_grain
from gpenvid.blend.paste import BlendSettings, masked_change

SHAPE = (256, 256, 3)


def _grain(pixels: int) -> np.ndarray:
    """Grain of a picture of which each pixel has become so many of the crop's."""
    side = 256 // pixels
    noise = np.random.default_rng(0).normal(0, 0.03, (side, side, 3)).astype(np.float32)
    return np.asarray(cv2.resize(noise, SHAPE[:2], interpolation=cv2.INTER_CUBIC), np.float32)


def _stripes(period: int) -> np.ndarray:
    wave = 0.05 * np.sin(2 * np.pi * np.arange(256) / period)
    return np.broadcast_to(wave[None, :, None], SHAPE).astype(np.float32)


def _kept(part: np.ndarray, rest: np.ndarray, factor: float) -> float:
    """The share of one part of a picture that comes through as grain."""
    return float((source_grain(np.float32(0.4) + part + rest, factor) * part).sum() / np.square(part).sum())


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_most_of_the_grain_is_kept_where_a_crop_enlarges_it(factor: int) -> None:
    assert 0.48 < _kept(_grain(factor), np.zeros(SHAPE, np.float32), factor) < 0.76


def test_grain_finer_than_the_crop_is_kept_as_fine_as_the_crop_can_show_it() -> None:
    assert 0.45 < _kept(_grain(1), np.zeros(SHAPE, np.float32), 0.25) < 0.64


@pytest.mark.parametrize("factor", [1, 4])
def test_what_is_a_dozen_pixels_of_the_picture_wide_is_no_grain(factor: int) -> None:
    assert abs(_kept(_stripes(12 * factor), 0.3 * _grain(factor), factor)) < 0.25


def test_a_speck_far_brighter_than_the_grain_is_no_grain() -> None:
    speck = np.zeros(SHAPE, np.float32)
    speck[100, 100] = 0.2
    clean = source_grain(np.float32(0.4) + _grain(1), 1.0)[100, 100]
    assert np.abs(source_grain(np.float32(0.4) + _grain(1) + speck, 1.0)[100, 100] - clean).max() < 0.05


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_so_much_of_the_grain_is_added_as_was_asked_for(share: float) -> None:
    source, residual = np.float32(0.4) + _grain(2), np.full(SHAPE, 0.1, np.float32)
    everywhere = np.ones(SHAPE[:2], np.float32)
    plain, grainy = (
        masked_change(residual, source, BlendSettings(grain=grain), everywhere, weight=1.0, monochrome=False, factor=2.0)
        for grain in (0.0, share)
    )
    assert np.array_equal(plain, residual)
    np.testing.assert_allclose(grainy - plain, share * source_grain(source, 2.0), atol=1e-6)
