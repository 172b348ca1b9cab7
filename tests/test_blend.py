"""Masks, colour, warps, de-flicker, grain."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpenvid.blend.color import keep_source_colour, low_pass, luma_only
from gpenvid.blend.deflicker import REACH, Moment, steady_residual
from gpenvid.blend.grain import source_grain
from gpenvid.blend.mask import ellipse_box, face_ellipse, landmark_hull
from gpenvid.blend.overlap import overlap_share
from gpenvid.blend.paste import BlendSettings, masked_change, residual_of
from gpenvid.blend.warp import cut_crop, return_change, source_bounds
from gpenvid.faces.align import GPEN, TEMPLATES, Template, crop_affine, similarity_parameters
from gpenvid.geometry import compose, invert, resize_affine
from weights.training.colour import low_pass as training_low_pass

LANDMARKS = np.array([[203.72, 102.80], [244.97, 104.22], [224.41, 129.08], [202.65, 139.02], [244.84, 140.11]])
MASK = face_ellipse(64, 0.2097)


@pytest.fixture
def crop(astronaut: np.ndarray) -> np.ndarray:
    """The aligned face, (256, 256, 3) float32."""
    image = astronaut.astype(np.float32) / np.float32(255)
    return cut_crop(image, crop_affine(similarity_parameters(LANDMARKS), 256), 256)


def test_the_crop_equals_opencvs_when_it_is_not_shrunk(astronaut: np.ndarray) -> None:
    image = astronaut.astype(np.float32) / np.float32(255)
    matrix = crop_affine(similarity_parameters(LANDMARKS), 256)
    expected = cv2.warpAffine(image, matrix, (256, 256), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101).clip(0, 1)
    assert np.array_equal(cut_crop(image, matrix, 256), expected)


def test_a_large_face_is_averaged_before_it_is_shrunk() -> None:
    y, x = np.mgrid[0:948, 0:948]
    checker = np.repeat((((x + y) % 2) * np.float32(1.0))[:, :, None], 3, axis=2)
    # Not a quarter: there every sample would lie half-way between pixels, where even plain sampling averages.
    matrix = resize_affine(0.27, 0.27)
    assert cv2.warpAffine(checker, matrix, (256, 256), flags=cv2.INTER_CUBIC).std() > 0.2
    assert cut_crop(checker, matrix, 256).std() < 0.02


@pytest.mark.parametrize("factor", [1.3, 0.94, 0.7, 0.45, 0.3, 0.24, 0.16])
@pytest.mark.parametrize("more", [(2, 0), (5, 3)])
def test_a_crop_does_not_depend_on_the_part_of_the_picture_that_is_given(factor: float, more: tuple[int, int]) -> None:
    picture = np.random.default_rng(3).random((400, 420, 3), np.float32)
    centre = np.array([190.0, 200.0])
    turn = factor * np.array([[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]])
    to_crop = np.hstack([turn, (31.5 - turn @ centre)[:, None]])

    def cut(x: int, y: int) -> np.ndarray:
        x0, y0, x1, y1 = source_bounds(to_crop, 64)
        left, top = max(0, int(np.floor(x0)) - x), max(0, int(np.floor(y0)) - y)
        part = picture[top : int(np.ceil(y1)) + 1 + y, left : int(np.ceil(x1)) + 1 + x]
        return cut_crop(part, compose(to_crop, np.array([[1.0, 0.0, left], [0.0, 1.0, top]])), 64, (left, top))

    assert np.abs(cut(0, 0) - cut(*more)).max() < 1e-5
    assert np.abs(cut(0, 0) - cut_crop(picture, to_crop, 64)).max() < 1e-5


@pytest.mark.parametrize("factor", [0.95, 0.7, 0.25, 1 / 6])
def test_no_size_of_a_face_makes_a_step(factor: float, astronaut: np.ndarray) -> None:
    picture = cv2.resize(astronaut, (1024, 1024), interpolation=cv2.INTER_CUBIC).astype(np.float32) / np.float32(255)
    sizes = [resize_affine(k, k) for k in factor * np.array([0.9992, 0.9996, 0.99999, 1.00001, 1.0004])]
    crops = [cut_crop(picture, size, 128) for size in sizes]
    growing, across, after = (np.abs(crops[k + 1] - crops[k]).mean() for k in (0, 2, 3))
    assert across < 2 * min(growing, after)


def test_a_face_at_the_edge_of_a_small_picture_is_cut() -> None:
    for side in (1, 3, 7, 20):
        crop = cut_crop(np.full((side, side, 3), 0.5, np.float32), resize_affine(0.1, 0.1), 32, (side, 1))
        assert crop == pytest.approx(0.5)


def test_a_small_face_gets_no_aliased_detail_back() -> None:
    y, x = np.mgrid[0:256, 0:256]
    fine = np.repeat((((x // 2 + y // 2) % 2) * np.float32(0.5) - np.float32(0.25))[:, :, None], 3, axis=2)
    change, matrix = fine * face_ellipse(256, GPEN.eye_distance)[:, :, None], resize_affine(7, 7)
    sampled = cv2.warpAffine(change, matrix, (36, 36), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    assert np.abs(sampled).max() > 0.2
    assert np.abs(return_change(change, matrix, 36, 36)).max() < 0.03


def test_a_small_face_keeps_what_it_can_show() -> None:
    # Stripes of six of its own pixels pass the filter that keeps finer ones out.
    x = np.arange(256)[None, :, None] * np.ones((256, 1, 3))
    coarse = (0.25 * np.sin(2 * np.pi * x / 42)).astype(np.float32)
    back = return_change(coarse * face_ellipse(256, GPEN.eye_distance)[:, :, None], resize_affine(7, 7), 36, 36)
    assert np.abs(back).max() > 0.15


def test_a_change_comes_back_to_where_it_was_cut(crop: np.ndarray, astronaut: np.ndarray) -> None:
    matrix = crop_affine(similarity_parameters(LANDMARKS), 256)
    mask = face_ellipse(256, GPEN.eye_distance)[:, :, None]
    there = return_change(mask * crop, matrix, 512, 512)
    seen = return_change(np.ascontiguousarray(np.repeat(mask, 3, axis=2)), matrix, 512, 512)
    sure = seen[:, :, 0] > 0.999
    assert np.abs(there - astronaut.astype(np.float32) / 255)[sure].mean() < 0.02


@pytest.mark.parametrize("size", [32, 256, 512])
@pytest.mark.parametrize("template", TEMPLATES.values(), ids=lambda t: t.name)
def test_the_mask_is_one_on_the_face_and_exactly_zero_at_the_border(size: int, template: Template) -> None:
    mask = face_ellipse(size, template.eye_distance)
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    assert np.all(border == 0)
    points = (template.at(size)).round().astype(int)
    assert np.all(mask[points[:, 1], points[:, 0]] == 1)
    assert np.abs(np.diff(mask, axis=1)).max() < 24 / size


def test_tint_and_brightness_drift_are_taken_out(crop: np.ndarray) -> None:
    tinted = np.clip(crop * np.float32([1.1, 0.95, 0.9]) + np.float32(0.05), 0, 1)
    kept = keep_source_colour(tinted, crop)
    assert np.abs(low_pass(kept) - low_pass(crop)).max() < 0.03
    assert np.abs(kept.mean(axis=(0, 1)) - crop.mean(axis=(0, 1))).max() < 2e-3


def test_fine_detail_passes_the_colour_step(crop: np.ndarray) -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, crop.shape).astype(np.float32)
    change = residual_of(crop + noise, crop, keep_colour=True)
    assert np.corrcoef(change.ravel(), noise.ravel())[0, 1] > 0.99


def _steady(sources: list[np.ndarray], residuals: list[np.ndarray], centre: int) -> np.ndarray:
    return steady_residual({k - centre: Moment(*pair) for k, pair in enumerate(zip(sources, residuals, strict=True))})


def _change(residual: np.ndarray, source: np.ndarray, **settings: object) -> np.ndarray:
    return masked_change(
        residual, source, BlendSettings(**settings), face_ellipse(256, GPEN.eye_distance), weight=1.0, monochrome=False, factor=1.0
    )


def test_strength_scales_the_change(crop: np.ndarray) -> None:
    residual = np.full_like(crop, 0.1)
    assert np.allclose(_change(residual, crop, strength=0.5), 0.5 * _change(residual, crop))
    assert not _change(residual, crop, strength=0.0).any()


def test_black_and_white_gets_no_tint(crop: np.ndarray) -> None:
    residual = np.random.default_rng(0).normal(0, 0.1, crop.shape).astype(np.float32)
    settings = BlendSettings()
    change = masked_change(residual, crop, settings, face_ellipse(256, GPEN.eye_distance), weight=1.0, monochrome=True, factor=1.0)
    assert np.array_equal(change[:, :, 0], change[:, :, 1])
    assert np.array_equal(change[:, :, 0], change[:, :, 2])


def test_noise_is_averaged_over_frames_where_the_face_stands_still(crop: np.ndarray) -> None:
    random = np.random.default_rng(0)
    sources = [crop] * 5
    residuals = [random.normal(0, 0.05, crop.shape).astype(np.float32) for _ in range(5)]
    steady = _steady(sources, residuals, 2)
    assert steady.std() < 0.6 * residuals[2].std()


def test_what_restores_to_the_same_picture_stays_that_picture(crop: np.ndarray) -> None:
    # Five noisy sources of one face, all restored to the same crop: the average must be that crop, free of any source's noise.
    random = np.random.default_rng(1)
    sources = [crop + random.normal(0, 0.02, crop.shape).astype(np.float32) for _ in range(5)]
    residuals = [crop - s for s in sources]
    # The flow between noisy crops is off by a fraction of a pixel; the noise itself, 0.02, must not come through.
    assert np.abs(sources[2] + _steady(sources, residuals, 2) - crop).mean() < 0.004


def test_a_mouth_that_opens_is_left_alone(crop: np.ndarray) -> None:
    opened = crop.copy()
    opened[175:200, 110:150] = 0.05
    sources = [crop, crop, opened, crop, crop]
    residuals = [np.zeros_like(crop)] * 2 + [np.full_like(crop, 0.1)] + [np.zeros_like(crop)] * 2
    steady = _steady(sources, residuals, 2)
    assert steady[180:195, 118:142].mean() > 0.09
    assert steady[60:90, 60:90].mean() < 0.04


def test_a_face_that_moves_inside_its_crop_is_averaged_along_its_motion(crop: np.ndarray) -> None:
    random = np.random.default_rng(3)
    moved = [np.roll(crop, 2 * k, axis=1) for k in (-2, -1, 0, 1, 2)]
    residuals = [random.normal(0, 0.02, crop.shape).astype(np.float32) for _ in moved]
    steady = moved[2] + _steady(moved, residuals, 2)
    inner = np.s_[60:200, 60:200]
    assert np.abs(steady - crop)[inner].mean() < 0.7 * np.abs(residuals[2])[inner].mean()


def test_neighbours_beyond_the_reach_do_not_count(crop: np.ndarray) -> None:
    residuals = [np.zeros_like(crop) for _ in range(2 * REACH + 3)]
    residuals[0] += 1.0
    residuals[-1] += 1.0
    assert not _steady([crop] * len(residuals), residuals, REACH + 1).any()


def test_one_frame_alone_is_its_own_average(crop: np.ndarray) -> None:
    residual = np.full_like(crop, 0.03)
    assert np.array_equal(_steady([crop], [residual], 0), residual)


def test_grain_is_the_noise_and_not_the_edges() -> None:
    random = np.random.default_rng(0)
    noise = random.normal(0, 0.03, (256, 256, 3)).astype(np.float32)
    edge = np.zeros((256, 256, 3), np.float32)
    edge[:, 128:] = 0.6
    grain = source_grain(0.2 + edge + noise, 1.0)
    away = np.r_[20:110, 150:240]
    assert np.corrcoef(grain[:, away].ravel(), noise[:, away].ravel())[0, 1] > 0.8
    assert np.abs(grain[:, 127:129].mean(axis=(0, 2))).max() < 0.02


def test_a_shift_of_the_region_shifts_the_crop_map() -> None:
    matrix = crop_affine(similarity_parameters(LANDMARKS), 64)
    moved = compose(matrix, np.array([[1.0, 0.0, 10], [0.0, 1.0, 20]]))
    assert np.allclose(moved @ [5, 6, 1], matrix @ [15, 26, 1])


@pytest.mark.parametrize("size", [32, 256])
@pytest.mark.parametrize("eyes", [0.2097, 0.2459])
def test_the_box_of_a_mask_holds_all_of_it(size: int, eyes: float) -> None:
    mask = face_ellipse(size, eyes).copy()
    rows, columns = ellipse_box(size, eyes)
    assert (rows.stop - rows.start) * (columns.stop - columns.start) < 0.9 * size**2
    mask[rows, columns] = 0
    assert not mask.any()


def test_a_part_of_a_crop_is_steadied_like_the_whole() -> None:
    random = np.random.default_rng(5)
    source = cv2.GaussianBlur(random.random((256, 256, 3), np.float32), (0, 0), 4)
    frames = {k: (source, random.standard_normal(source.shape).astype(np.float32) * np.float32(0.1)) for k in range(-2, 3)}
    part = np.s_[32:, 40:216]
    whole = steady_residual({k: Moment(*pair) for k, pair in frames.items()})
    found = steady_residual({k: Moment(crop[part], residual[part], 256) for k, (crop, residual) in frames.items()})
    assert np.abs(found - whole[part])[16:-16, 16:-16].max() < 1e-2


@pytest.mark.parametrize("size", [32, 256, 512])
@pytest.mark.parametrize("template", TEMPLATES.values(), ids=lambda t: t.name)
def test_the_hull_is_one_on_the_features_and_lies_within_the_ellipse(size: int, template: Template) -> None:
    hull, ellipse = (landmark_hull(size, template.eye_distance, template.at(size)), face_ellipse(size, template.eye_distance))
    assert np.all(hull <= ellipse)
    points = template.at(size).round().astype(int)
    assert hull[points[:, 1], points[:, 0]].min() > 0.999
    assert 0.35 < hull.sum() / ellipse.sum() < 0.75
    assert np.abs(np.diff(hull, axis=1)).max() < 24 / size


def test_the_hull_goes_with_the_features_of_a_turned_head_and_moves_by_less_than_pixels() -> None:
    points = GPEN.at(256)
    turned = points.copy()
    turned[:, 0] = 128 + 0.5 * (points[:, 0] - 128) + np.array([20, 20, 36, 20, 20])
    straight, away = landmark_hull(256, GPEN.eye_distance, points), landmark_hull(256, GPEN.eye_distance, turned)
    columns = np.arange(256)
    centre = [float((m.sum(axis=0) * columns).sum() / m.sum()) for m in (straight, away)]
    assert centre[1] - centre[0] > 10
    assert away[:, :84].max() < straight[:, :84].max() - 0.4
    nudged = landmark_hull(256, GPEN.eye_distance, points + np.array([0.25, 0]))
    moved = float((nudged.sum(axis=0) * columns).sum() / nudged.sum()) - centre[0]
    assert moved == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize("name", ["one point", "a line"])
def test_landmarks_that_fall_together_still_give_a_mask(name: str) -> None:
    points = np.full((5, 2), 128.0) if name == "one point" else np.column_stack([np.full(5, 128.0), np.linspace(100, 170, 5)])
    hull = landmark_hull(256, GPEN.eye_distance, points)
    assert hull[128, 128] == 1
    assert np.isfinite(hull).all()
    assert not hull[:, :20].any()


def _at(x: float, size: int = 64) -> np.ndarray:
    """The map from a picture to a crop of the same scale whose middle is x to the right of the origin's crop."""
    return np.array([[1.0, 0, -x], [0, 1, 0]])


@given(shift=st.floats(0.5, 60), weights=st.tuples(st.floats(0.05, 1), st.floats(0.05, 1)))
@settings(max_examples=25)
def test_parts_of_overlapping_faces_add_up_to_one_where_both_are(shift: float, weights: tuple[float, float]) -> None:
    shift = float(round(shift))  # whole pixels: the two grids meet
    first, second = _at(0), _at(shift)
    ours = overlap_share(0.2097, MASK, weights[0], [(compose(second, invert(first)), MASK, weights[1])])
    theirs = overlap_share(0.2097, MASK, weights[1], [(compose(first, invert(second)), MASK, weights[0])])
    mask, step = face_ellipse(64, 0.2097), int(shift)
    both = (mask[:, step:] > 1e-3) & (mask[:, : 64 - step] > 1e-3)
    np.testing.assert_allclose((ours[:, step:] + theirs[:, : 64 - step])[both], 1, atol=1e-4)


def test_a_pixel_belongs_to_the_nearer_face_and_alone_a_face_owns_its_crop() -> None:
    ours = overlap_share(0.2097, MASK, 1.0, [(_at(24.0), MASK, 1.0)])
    middle = 36
    assert ours[middle, 32] > 0.95
    assert ours[middle, 48] < 0.3
    assert ours[middle, 43:45].mean() == pytest.approx(0.5, abs=0.01)
    assert np.all(ours[:, :12] == 1)
    assert np.all(overlap_share(0.2097, MASK, 1.0, [(_at(200.0), MASK, 1.0)]) == 1)


def test_colour_is_kept_by_the_very_step_the_restorer_was_trained_through(crop: np.ndarray) -> None:
    tensor = torch.from_numpy(crop).permute(2, 0, 1)[None]
    trained = training_low_pass(tensor)[0].permute(1, 2, 0).numpy()
    assert np.abs(low_pass(crop) - trained).max() < 1e-5


def test_luma_is_opencvs(crop: np.ndarray) -> None:
    assert np.abs(luma_only(crop) - cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)[:, :, None]).max() < 1e-6
