"""Training runs from scratch, resumes where it stopped, and learns something within seconds."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from gpenvid.faces.builtin import close_up
from gpenvid.faces.builtin_net import CLOSE_UP, cells, detector_from_state_dict
from gpenvid.geometry import apply_affine
from gpenvid.restore.gpen import GpenGenerator, GpenShape, generator_from_state_dict
from weights.training import train_detector, train_landmarks, train_restorer
from weights.training.average import average
from weights.training.backgrounds import background, photos
from weights.training.composites import SIDE, Sources, sample
from weights.training.damage_faces import LEVELS, degrade_face, training_level, training_pair
from weights.training.data import load_portraits, portrait_files
from weights.training.detector_loss import assign, detector_loss, pack
from weights.training.rounding import round_mantissa, round_weights
from weights.training.teacher import Labelled
from weights.training.turn import turned

TINY = GpenShape(size=256, style_dim=16, n_mlp=2, channels=(16, 16, 16, 16, 8, 8, 8))


def doll() -> Labelled:
    """A drawn portrait with known landmarks: enough to train on without any file."""
    image = np.full((256, 256, 3), 90, np.uint8)
    points = np.array([[101, 121], [155, 121], [128, 152], [106, 183], [150, 183]], np.float32)
    cv2.ellipse(image, (128, 148), (52, 70), 0, 0, 360, (220, 180, 160), -1)
    for x, y in points[:2]:
        cv2.circle(image, (int(x), int(y)), 7, (40, 30, 20), -1)
    cv2.line(image, (106, 183), (150, 183), (150, 60, 60), 5)
    return Labelled(image, np.array([[76, 78, 180, 218]], np.float32), points[None], np.array([True]))


@pytest.fixture
def sources() -> Sources:
    return Sources([doll()], [], photos()[:3])


def test_composites_are_reproducible_and_inside_the_picture(sources: Sources) -> None:
    first, again = (sample(np.random.default_rng(5), sources) for _ in range(2))
    np.testing.assert_array_equal(first.image, again.image)
    rng = np.random.default_rng(1)
    for _ in range(12):
        picture = sample(rng, sources)
        assert picture.image.shape == (SIDE, SIDE, 3)
        assert picture.boxes.min(initial=0) >= 0
        assert picture.boxes.max(initial=0) < SIDE


def test_backgrounds_have_the_asked_size() -> None:
    rng = np.random.default_rng(0)
    assert {background(rng, photos()[:2], 96).shape for _ in range(20)} == {(96, 96, 3)}


@pytest.mark.parametrize("width", [16, 48, 100, 220])
def test_every_face_size_has_a_cell_that_answers_for_it(width: int) -> None:
    box = np.array([[60, 60, 60 + width, 60 + 1.2 * width]], np.float32)
    picture = Labelled(np.zeros((SIDE, SIDE, 3), np.uint8), box, np.zeros((1, 5, 2), np.float32), np.array([True]))
    _, faces, state = pack([picture])
    index, counts = assign(faces, state, cells(SIDE, SIDE))
    assert (index == 0).any()
    assert counts[index == 0].all()


def test_perfect_prediction_costs_next_to_nothing() -> None:
    box = np.array([[100, 100, 132, 132]], np.float32)
    picture = Labelled(np.zeros((SIDE, SIDE, 3), np.uint8), box, np.full((1, 5, 2), 116, np.float32), np.array([True]))
    _, faces, state = pack([picture])
    where = cells(SIDE, SIDE)
    index, _ = assign(faces, state, where)
    unit = where[:, 2:] * 4
    raw = torch.zeros(1, len(where), 15)
    raw[0, :, 0] = torch.where(index[0] >= 0, 12.0, -12.0)
    raw[0, :, 1:3] = (116 - where[:, :2]) / unit
    raw[0, :, 3:5] = torch.log(32 / unit)
    raw[0, :, 5:] = ((116 - where[:, :2]) / unit).repeat(1, 5)
    assert detector_loss(raw, faces, state, where)["total"] < 0.01


def test_detector_trains_from_scratch_and_resumes(tmp_path: Path, sources: Sources) -> None:
    train_detector.train(tmp_path, sources, steps=2, batch=2, workers=0)
    train_detector.train(tmp_path, sources, steps=4, batch=2, workers=0)
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert saved["step"] == 4
    detector_from_state_dict(load_file(tmp_path / "face-det.safetensors"))


def test_face_damage_is_reproducible() -> None:
    image = doll().image
    for level in LEVELS.values():
        pictures = [degrade_face(np.random.default_rng(3), image, level) for _ in range(2)]
        np.testing.assert_array_equal(*pictures)
        assert pictures[0].shape == image.shape
    damaged, clean = training_pair(np.random.default_rng(0), image)
    assert damaged.shape == clean.shape == image.shape


def test_restorer_trains_from_scratch_and_resumes(tmp_path: Path, shared: Path) -> None:
    portraits = load_portraits(portrait_files(evaluation=False, shared=shared)[:8])
    train_restorer.train(tmp_path, portraits, steps=2, shape=TINY, batch=2, workers=0)
    net = train_restorer.train(tmp_path, portraits, steps=4, shape=TINY, batch=2, workers=0)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 4
    shipped = generator_from_state_dict(dict(load_file(tmp_path / "gpen-lite-256.safetensors")))
    assert shipped.shape == TINY
    x = torch.zeros(1, 3, 256, 256)
    torch.testing.assert_close(shipped(x), net(x).detach(), atol=5e-2, rtol=5e-2)


def test_frozen_layers_stay_as_they_were_byte_for_byte(tmp_path: Path, shared: Path) -> None:
    begin = tmp_path / "begin.safetensors"
    save_file({k: v.half() for k, v in GpenGenerator(TINY).state_dict().items()}, begin)
    portraits = load_portraits(portrait_files(evaluation=False, shared=shared)[:4])
    train_restorer.train(tmp_path, portraits, steps=3, begin=begin, batch=2, workers=0, light=1.0, freeze_below=64)
    before, after = load_file(begin), load_file(tmp_path / "gpen-lite-256.safetensors")
    assert before.keys() == after.keys()
    changed = {key for key in before if not torch.equal(before[key].view(torch.int16), after[key].view(torch.int16))}
    assert {"ecd0.0.0.weight", "generator.convs.7.conv.weight", "generator.to_rgbs.5.conv.weight"} <= changed
    assert {train_restorer.resolution(key, 256) for key in changed} == {64, 128, 256}


def test_averaging_leaves_equal_tensors_as_they_are() -> None:
    torch.manual_seed(0)
    same, one, other = (torch.randn(200).half() for _ in range(3))
    mixed = average({"same": same, "free": one}, {"same": same, "free": other}, 0.6)
    assert torch.equal(mixed["same"], same)
    torch.testing.assert_close(mixed["free"].float(), 0.4 * one.float() + 0.6 * other.float(), atol=2e-3, rtol=1e-3)
    with pytest.raises(ValueError, match="one network"):
        average({"same": same}, {}, 0.5)


@pytest.mark.parametrize("bits", [1, 2, 5, 9])
def test_rounding_takes_the_nearest_value_with_so_many_bits(bits: int) -> None:
    values = torch.tensor([0.0, 1.0, -1.0, 1.26, -1.26, 1.999, 1e-3, 7e-8, -300.0]).half()
    rounded = round_mantissa(values, bits)
    assert not (rounded.view(torch.int16) & ((1 << (10 - bits)) - 1)).any()
    normal = values.abs() >= 6.2e-5
    assert ((rounded - values).abs() <= values.abs() * 2.0 ** -(bits + 1))[normal].all()
    assert torch.equal(round_mantissa(-values, bits), -rounded)
    assert torch.equal(round_mantissa(rounded, bits), rounded)


def test_other_numbers_of_bits_are_refused() -> None:
    with pytest.raises(ValueError, match="10 bits"):
        round_mantissa(torch.zeros(1).half(), 10)


def test_only_large_tensors_are_rounded_and_fine_layers_less() -> None:
    torch.manual_seed(0)
    state = {k: v.half() for k, v in GpenGenerator(GpenShape(64, 16, 2, (16, 16, 16, 16, 16))).state_dict().items()}
    rounded = round_weights(state, 64, coarse=2, fine=5)
    small, coarse, fine = "generator.conv1.activate.bias", "generator.convs.0.conv.weight", "generator.convs.7.conv.weight"
    assert torch.equal(rounded[small], state[small])
    assert torch.equal(rounded[coarse], round_mantissa(state[coarse], 2))
    assert torch.equal(rounded[fine], round_mantissa(state[fine], 5))


def test_every_tensor_has_a_resolution() -> None:
    sides = {key: train_restorer.resolution(key, 256) for key in GpenGenerator(TINY).state_dict()}
    assert set(sides.values()) == {0, 4, 8, 16, 32, 64, 128, 256}
    assert sides["ecd2.0.1.weight"] == sides["generator.convs.6.conv.weight"] == sides["generator.to_rgbs.3.bias"] == 64
    assert sides["final_linear.0.weight"] == sides["generator.style.1.bias"] == 0


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_network_computes_what_the_plain_one_does() -> None:
    torch.manual_seed(0)
    net = GpenGenerator(GpenShape(size=32, style_dim=16, n_mlp=2, channels=(16, 16, 8, 8))).requires_grad_(False)
    x = torch.randn(1, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(torch.compile(net)(x), net(x), rtol=1e-3, atol=1e-3)


def test_share_of_light_damage_is_kept() -> None:
    rng = np.random.default_rng(0)
    levels = [training_level(rng, light=1.0) for _ in range(60)]
    assert any(level is None for level in levels)
    assert all(level.shrink[1] < 2.5 for level in levels if level)


def test_second_look_trains_from_scratch(sources: Sources) -> None:
    rng = np.random.default_rng(2)
    faces = train_landmarks.views(sources, None, rng, 6)
    net = train_landmarks.train(faces, photos()[:1], [doll().image[:64, :64]], steps=4, batch=8)
    assert net.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 11)
    assert {v.dtype for v in train_detector.fold(net).values()} == {torch.float16}


def test_views_keep_their_landmarks_on_the_face() -> None:
    rng = np.random.default_rng(4)
    for _ in range(12):
        seen = train_landmarks.view(rng, doll(), None)
        eyes = float(np.linalg.norm(seen.points[1] - seen.points[0]))
        assert 8 < eyes < 75
        assert np.abs(seen.points.mean(axis=0) - seen.image.shape[0] / 2).max() < 0.5 * eyes


def test_what_the_second_look_learns_from_is_told_from_what_is_no_face() -> None:
    rng = np.random.default_rng(5)
    faces = [train_landmarks.view(rng, doll(), None) for _ in range(4)]
    drawn = [train_landmarks.close_up_sample(rng, faces, photos()[:1]) for _ in range(60)]
    assert {known for _, _, known in drawn} == {0.0, 1.0}
    off = [np.abs(points - CLOSE_UP).mean() for _, points, known in drawn if known]
    assert 0.3 < np.median(off) < 6.0  # the guess errs, and still looks at the face


def test_a_turned_head_moves_the_nose_more_than_the_eyes() -> None:
    face = doll()
    marked = np.zeros_like(face.image)
    for channel, point in ((0, face.landmarks[0][2]), (1, face.landmarks[0][:2].mean(axis=0))):
        marked[int(point[1]) - 2 : int(point[1]) + 3, int(point[0]) - 2 : int(point[0]) + 3, channel] = 255
    right = turned(marked, face.landmarks[0], 0.4, 0.0)
    nose, eyes = (np.average(np.arange(256), weights=right[..., c].sum(axis=0)) for c in (0, 1))
    assert nose - 128 > (eyes - 128) + 4 > 10
    assert np.abs(turned(face.image, face.landmarks[0], 0.0, 0.0).astype(int) - face.image).mean() < 1


def test_close_up_puts_the_landmarks_on_the_template() -> None:
    face = doll()
    crop, matrix = close_up(face.image, face.landmarks[0])
    assert crop.shape == (64, 64, 3)
    assert np.abs(apply_affine(matrix, face.landmarks[0]) - CLOSE_UP).max() < 1.5
    again, _ = close_up(cv2.resize(face.image, None, fx=4, fy=4), face.landmarks[0] * 4 + 1.5)
    assert np.abs(again.astype(int) - crop).mean() < 6  # the same face from a larger picture
