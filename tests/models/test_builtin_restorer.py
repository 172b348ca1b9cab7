"""The built-in restorer: a worse file cannot slip in."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from gpenvid.restore.fused import FusedGenerator
from gpenvid.restore.gpen import GpenGenerator, generator_from_state_dict
from weights.training.colour import keep_source_colour, low_pass
from weights.training.damage_faces import LEVELS
from weights.training.data import Image, load_portraits, portrait_files
from weights.training.evaluate_restorer import Judge, damaged, flicker, restore, to_network

# What the shipped file reaches on these eight faces, less a little; raise them when a better file ships.
GAIN = {"light": 0.7, "medium": 1.12, "heavy": 0.98}
FEATURES = {"light": 0.87, "medium": 0.8, "heavy": 0.775}
SHARP = 42.0


@pytest.fixture(scope="module")
def net(weights: Path) -> GpenGenerator:
    return generator_from_state_dict(dict(load_file(weights / "gpen-lite-256.safetensors")))


@pytest.fixture(scope="module")
def originals(shared: Path) -> Image:
    return load_portraits(portrait_files(evaluation=True, shared=shared)[::22])


@pytest.fixture(scope="module")
def judge(shared: Path) -> Judge:
    return Judge(shared, identity=False)


def test_colour_step_takes_the_low_frequencies_of_the_source() -> None:
    torch.manual_seed(0)
    source = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(keep_source_colour(source + 0.3, source), source)
    assert low_pass(source).std() < 0.3 * source.std()


def test_held_out_portraits_are_a_tenth_and_never_trained_on(shared: Path) -> None:
    evaluation = portrait_files(evaluation=True, shared=shared)
    training = portrait_files(evaluation=False, shared=shared)
    assert not set(evaluation) & set(training)
    assert 0.07 < len(evaluation) / (len(evaluation) + len(training)) < 0.13


@pytest.mark.parametrize("level", LEVELS)
def test_damaged_faces_come_closer_to_their_originals(net: GpenGenerator, judge: Judge, originals: Image, level: str) -> None:
    source = damaged(originals, level)
    before, after = judge.quality(source, originals), judge.quality(restore(net, source), originals)
    assert after.psnr - before.psnr >= GAIN[level]
    assert after.features / before.features <= FEATURES[level]


def test_a_sharp_face_is_left_in_peace(net: GpenGenerator, judge: Judge, originals: Image) -> None:
    assert judge.quality(restore(net, originals), originals).psnr >= SHARP


def test_fresh_noise_does_not_flicker(net: GpenGenerator, originals: Image) -> None:
    assert flicker(net, originals) < 2.0


def test_batch_and_order_do_not_change_a_face(net: GpenGenerator, originals: Image) -> None:
    together = restore(net, originals[:3])
    alone = restore(net, originals[1:2])
    assert np.abs(together[1].astype(int) - alone[0]).max() <= 1


@pytest.mark.parametrize("level", ["sharp", *LEVELS])
def test_bf16_gives_the_pictures_of_float32(net: GpenGenerator, originals: Image, level: str) -> None:
    source = to_network(damaged(originals[:3], level))
    exact = FusedGenerator(net)(source)
    compiled = pytest.importorskip("gpenvid.restore.compiled").CompiledGenerator(net, torch.bfloat16, at_once=1, threads=1)
    for fast in FusedGenerator(net, torch.bfloat16)(source), compiled(source):
        assert ((fast - exact).flatten(1).norm(dim=1) / exact.flatten(1).norm(dim=1)).max() <= 1.5e-2
        error = (fast - exact).div(2).square().flatten(1).mean(1)  # pictures in [-1, 1]: a peak of 2
        assert (-10 * error.log10()).min() >= 40


@torch.inference_mode()
def test_the_form_for_gpus_keeps_the_picture_and_the_style_in_float32(net: GpenGenerator, originals: Image) -> None:
    source = to_network(damaged(originals[:1], "medium"))
    exact = net(source)
    found = deepcopy(net).fold(torch.bfloat16)(source.bfloat16())
    assert found.dtype == torch.float32
    # All in bf16 it is 2.1 times as far off as the form for CPUs, with the style in bf16 1.8 times.
    assert (found - exact).norm() < 1.6 * (FusedGenerator(net, torch.bfloat16)(source) - exact).norm()
