"""Averaging over neighbouring frames: how far it reaches, what counts as the same look, and how motion is followed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gpenvid.blend import deflicker
from gpenvid.blend.deflicker import Moment, steady_residual


def _texture(size: int, *sigmas: float, seed: int = 0) -> np.ndarray:
    """Soft spots, the same in all channels, (S, S, 3) float32 about 0 with a spread of 1."""
    noise = np.random.default_rng(seed).normal(0, 1, (size, size)).astype(np.float32)
    layers = [cv2.GaussianBlur(noise, (0, 0), sigma) for sigma in sigmas]
    total = np.asarray(sum(layer / layer.std() for layer in layers), np.float32)
    return np.repeat((total / total.std())[:, :, None], 3, axis=2)


def _source(size: int) -> np.ndarray:
    return np.clip(np.float32(0.5) + np.float32(0.15) * _texture(size, size / 128, size / 43), 0, 1)


def _turned(crop: np.ndarray, degrees: float) -> np.ndarray:
    size = len(crop)
    matrix = cv2.getRotationMatrix2D((size / 2 - 0.5, size / 2 - 0.5), degrees, 1.0)
    turned = cv2.warpAffine(crop, matrix, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(turned, np.float32)


SOURCE = _source(256)


def _parts() -> np.ndarray:
    """The part that the residual of each frame has in the average, from twelve frames before to twelve after."""
    nothing, one = np.zeros_like(SOURCE), np.ones_like(SOURCE)
    parts = []
    for at in range(-12, 13):
        frames = {k: Moment(SOURCE, one if k == at else nothing) for k in range(-12, 13)}
        parts.append(float(steady_residual(frames).mean()))
    return np.array(parts)


def test_a_still_face_is_averaged_over_five_frames_on_either_side_the_near_ones_first() -> None:
    parts = _parts()
    assert np.flatnonzero(parts > 1e-6).tolist() == list(range(12 - 5, 12 + 5 + 1))
    assert parts.sum() == pytest.approx(1, abs=1e-4)
    assert parts == pytest.approx(parts[::-1], abs=1e-5)
    later = parts[12:18] / parts[12]
    assert (np.diff(later) <= 1e-5).all()
    assert later[1] > 0.9  # the next frame counts like this one,
    assert 0.8 < later[4] < 0.95  # and one at the far end less
    assert 0.5 < later[5] < 0.8


@pytest.mark.parametrize(("brighter", "least", "most"), [(0.0, 0.99, 1.01), (0.02, 0.85, 1.0), (0.09, 0.45, 0.6), (0.2, 0.0, 0.02)])
def test_a_part_of_a_neighbour_counts_as_far_as_it_is_as_bright(brighter: float, least: float, most: float) -> None:
    base = SOURCE * np.float32(0.6) + np.float32(0.15)
    lit = base.copy()
    lit[:, :80] += np.float32(brighter)
    part = steady_residual({0: Moment(base, np.zeros_like(base)), 1: Moment(lit, base + np.float32(0.5) - lit)}) / 0.5
    assert least <= 2 * float(np.median(part[:, 10:60])) <= most  # alone with this frame a neighbour counts for a half


@pytest.mark.parametrize("levels", [6, 20, 40])
def test_light_that_changes_in_one_frame_changes_in_the_face_as_in_what_is_around_it(levels: int) -> None:
    base, nothing = SOURCE * np.float32(0.6), np.zeros_like(SOURCE)
    frames = {k: Moment(base + np.float32(0 if k else levels / 255), nothing) for k in range(-5, 6)}
    assert np.abs(steady_residual(frames)).max() * 255 < 0.5


def test_grain_is_no_disagreement_and_a_closed_eye_is_one() -> None:
    random = np.random.default_rng(1)
    grainy = [SOURCE + random.normal(0, 0.12, SOURCE.shape).astype(np.float32) for _ in range(3)]
    target = SOURCE + np.float32(0.5)
    frames = {k: Moment(g, (target if k else SOURCE) - g) for k, g in zip((-1, 0, 1), grainy, strict=True)}
    seen = steady_residual(frames) + frames[0].source - SOURCE
    assert float(seen.mean()) > 0.94 * 0.5 * 2 / 3

    closed = SOURCE.copy()
    closed[120:128, 100:156] -= np.float32(0.25)
    moments = {k: Moment(SOURCE, np.zeros_like(SOURCE)) for k in range(-3, 4)} | {0: Moment(closed, np.ones_like(SOURCE))}
    assert float(steady_residual(moments)[122:126, 110:146].mean()) > 0.93


def test_a_shadow_that_comes_over_the_face_is_no_grain() -> None:
    base = SOURCE * np.float32(0.6) + np.float32(0.2)
    lit = base + np.linspace(-0.1, 0.1, 256, dtype=np.float32)[None, :, None]
    part = steady_residual({0: Moment(base, np.zeros_like(base)), 1: Moment(lit, base + np.float32(0.5) - lit)}) / 0.5
    seen = [2 * float(np.median(part[:, at : at + 20])) for at in (10, 118, 226)]
    assert max(seen[0], seen[2]) < 0.7
    assert seen[1] > 0.98


def test_a_line_of_two_pixels_that_only_the_neighbours_have_leaves_no_ghost() -> None:
    lined, one = SOURCE.copy(), np.zeros_like(SOURCE)
    lined[120:122, 60:196] += np.float32(0.25)
    one[120:122, 60:196] = 1
    frames = {k: Moment(lined, one) for k in range(-5, 6)} | {0: Moment(SOURCE, np.zeros_like(SOURCE))}
    assert float(steady_residual(frames)[120:122, 80:176].mean()) < 0.3


def test_detail_stays_sharp_on_a_head_that_rolls_by_four_degrees_a_frame() -> None:
    detail = np.float32(0.05) * _texture(256, 1.2, seed=9)
    frames = {k: Moment(_turned(SOURCE, 4.0 * k), _turned(detail, 4.0 * k)) for k in range(-5, 6)}
    inner = np.s_[50:206, 50:206]
    assert np.corrcoef(steady_residual(frames)[inner].ravel(), detail[inner].ravel())[0, 1] > 0.96


def test_detail_stays_sharp_on_a_head_that_sets_off() -> None:
    detail = np.float32(0.05) * _texture(256, 1.2, seed=9)
    way = {k: max(0, k) * (max(0, k) + 1) // 2 for k in range(-5, 6)}  # faster by a pixel with every frame
    frames = {k: Moment(np.roll(SOURCE, x, axis=1), np.roll(detail, x, axis=1)) for k, x in way.items()}
    inner = np.s_[50:206, 50:206]
    assert np.corrcoef(steady_residual(frames)[inner].ravel(), detail[inner].ravel())[0, 1] > 0.98


def test_between_two_pixels_their_mean_is_seen_and_beyond_the_border_the_border() -> None:
    ramp = np.repeat(np.broadcast_to(np.arange(100) / np.float32(100), (80, 100))[:, :, None], 3, axis=2).astype(np.float32)
    moment = Moment(ramp, np.full_like(ramp, 0.1))
    where = np.stack(np.meshgrid(np.arange(100) + 0.5, np.arange(80)), axis=2).astype(np.float32)
    restored, soft = moment.seen_at(where)
    assert np.abs(restored[:, :-1] - (ramp[:, :-1] + 0.105)).max() < 1e-5
    assert np.abs(restored[:, -1] - (ramp[:, -1] + 0.1)).max() < 1e-5
    assert soft[:, -1].min() > 0.9


def test_detail_stays_sharp_in_a_part_of_a_hundred_pixels_that_moves() -> None:
    source, detail = _source(256)[:100, :100], np.float32(0.05) * _texture(256, 1.2, seed=9)[:100, :100]
    frames = {k: Moment(np.roll(source, 2 * k, axis=1), np.roll(detail, 2 * k, axis=1)) for k in range(-2, 3)}
    inner = np.s_[20:80, 20:80]
    assert np.corrcoef(steady_residual(frames)[inner].ravel(), detail[inner].ravel())[0, 1] > 0.95


@pytest.mark.parametrize("size", [256, 512])
def test_flow_knows_a_mouth_that_opens_to_a_tenth_of_its_motion(size: int) -> None:
    source = _source(size)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    lips = np.exp(-((x - size / 2) ** 2 + (y - 0.7 * size) ** 2) / (2 * (0.06 * size) ** 2)).astype(np.float32)
    down = np.float32(0.01 * size) * lips
    after = np.asarray(cv2.remap(source, x, y - down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101), np.float32)
    flow = Moment(source, np.zeros_like(source)).flow_to(1, Moment(after, np.zeros_like(source)))
    error = np.hypot(flow[..., 0], flow[..., 1] - down)[lips > 0.3]
    assert float(error.mean()) < 0.1 * 0.01 * size


def test_flow_of_a_small_enlarged_face_follows_its_noise_less() -> None:
    noisy = [np.clip(SOURCE + np.float32(0.03) * _texture(256, 2.0, seed=seed), 0, 1) for seed in (1, 2)]

    def astray(across: float) -> float:
        before, after = (Moment(picture, np.zeros_like(picture), 256, across) for picture in noisy)
        return float(np.hypot(*np.moveaxis(before.flow_to(1, after), 2, 0)).mean())

    assert astray(50) < 0.95 * astray(100) < 0.9 * astray(400)
    assert astray(200) == astray(400)


@pytest.mark.parametrize(("height", "width"), [(1024, 1024), (1000, 437), (600, 150)], ids=["whole", "part", "sliver"])
def test_motion_in_a_crop_wider_than_its_face_in_the_frame_is_followed_in_the_crops_own_pixels(height: int, width: int) -> None:
    large = cv2.resize(_source(256), (1024, 1024), interpolation=cv2.INTER_CUBIC)
    before, after = (np.ascontiguousarray(np.roll(large, shift, axis=(0, 1))[:height, :width]) for shift in ((0, 0), (7, -5)))
    flow = Moment(before, np.zeros_like(before), 1024, 256).flow_to(1, Moment(after, np.zeros_like(after), 1024, 256))
    assert flow.shape == (height, width, 2)
    assert np.median(np.hypot(*np.moveaxis(flow - (-5, 7), -1, 0))) < 0.5


@pytest.mark.parametrize(
    ("size", "across", "part", "searched"), [(256, 200, 180, 180), (256, 100, 180, 90), (1024, 500, 720, 360), (2048, 4000, 720, 180)]
)
def test_flow_is_looked_for_at_about_the_pixels_of_the_frame_and_512_for_the_whole_crop(
    size: int, across: float, part: int, searched: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides: list[int] = []
    monkeypatch.setattr(deflicker, "_dense_flow", lambda gray, *_: sides.append(len(gray)) or np.zeros((*gray.shape, 2)))
    crop = np.zeros((part, part, 3), np.float32)
    Moment(crop, crop, size, across).flow_to(1, Moment(crop, crop, size, across))
    assert sides == [searched]


def test_the_edge_of_a_lip_is_followed_to_a_part_of_a_pixel() -> None:
    y, x = np.mgrid[0:256, 0:256].astype(np.float32)
    down = 3 * np.exp(-((x - 128) ** 2 + (y - 180) ** 2) / (2 * 9.0**2)).astype(np.float32)
    after = np.asarray(cv2.remap(SOURCE, x, y - down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101), np.float32)
    flow = Moment(SOURCE, np.zeros_like(SOURCE)).flow_to(1, Moment(after, np.zeros_like(SOURCE)))
    back = np.asarray(cv2.remap(after, x + flow[..., 0], y + flow[..., 1], cv2.INTER_CUBIC), np.float32)
    assert np.abs(back - SOURCE)[160:200, 108:148].mean() < 1.15 / 255


def test_a_crop_too_small_for_flow_is_averaged_where_it_lies() -> None:
    small = cv2.resize(SOURCE, (32, 32), interpolation=cv2.INTER_AREA)
    moment = Moment(small, np.zeros_like(small))
    assert not moment.flow_to(1, Moment(np.roll(small, 3, axis=1), np.zeros_like(small))).any()
