"""The generator computes what the official one computes."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import gpenvid.restore.gpen
from gpenvid.errors import WeightsError
from gpenvid.restore.choices import fast_bf16
from gpenvid.restore.fused import FusedGenerator
from gpenvid.restore.gpen import GpenGenerator, GpenShape, generator_from_state_dict

Form = Callable[[torch.Tensor], torch.Tensor]


def _reference_state(folder: Path) -> dict[str, torch.Tensor]:
    layout = json.loads((folder / "gpen-bfr-256.json").read_text())
    state = {}
    for key, shape in layout["keys"]:
        random = np.random.RandomState((zlib.crc32(key.encode()) + layout["seed"]) & 0x7FFFFFFF)
        values = random.standard_normal(shape).astype(np.float32)
        if key.endswith("noise.weight"):
            values = np.float32(0.3) + np.float32(0.1) * values
        elif key.endswith(".bias"):
            values = np.float32(0.1) * values + np.float32("modulation" in key)
        state[key] = torch.from_numpy(np.asarray(values))
    return state


def _reference_input(size: int = 256) -> torch.Tensor:
    y, x = np.mgrid[0:size, 0:size] / size
    first = 0.9 * np.stack([np.sin(6 * x + 2 * y), np.cos(5 * y - 3 * x * y), np.sin(9 * x * y + 1)])
    return torch.from_numpy(np.stack([first, 0.7 * first[:, ::-1]]).astype(np.float32))


@pytest.fixture(scope="module")
def reference(shared: Path) -> tuple[GpenGenerator, np.ndarray]:
    folder = shared / "reference" / "gpen"
    return generator_from_state_dict(_reference_state(folder)), np.load(folder / "gpen-bfr-256.npz")["expected"]


def _error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@torch.inference_mode()
def test_float32_equals_the_official_output(reference: tuple[GpenGenerator, np.ndarray]) -> None:
    network, expected = reference
    assert _error(network(_reference_input()).numpy(), expected) <= 2e-6


def _compiled(network: GpenGenerator, dtype: torch.dtype = torch.float32) -> Form:
    return pytest.importorskip("gpenvid.restore.compiled").CompiledGenerator(network, dtype, at_once=2, threads=2)


forms_for_cpus = pytest.mark.parametrize("form", [FusedGenerator, _compiled], ids=["fused", "compiled"])


@forms_for_cpus
def test_every_form_equals_the_official_output(form: Callable[..., Form], reference: tuple[GpenGenerator, np.ndarray]) -> None:
    network, expected = reference
    assert _error(form(network)(_reference_input()).numpy(), expected) <= 2e-6


@forms_for_cpus
@pytest.mark.parametrize("channels", [(8, 8, 8), (64, 32, 16, 8, 4), (3, 5, 7, 2), (8, 8, 8, 12, 6)])
def test_every_form_equals_the_plain_one_for_any_widths(form: Callable[..., Form], channels: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    size = 2 << len(channels)
    network = GpenGenerator(GpenShape(size, 16, 3, channels)).eval().requires_grad_(False)
    for name, values in network.named_parameters():
        if name.endswith("bias") or "noise" in name:
            values.normal_(std=0.3)
    x = torch.rand(2, 3, size, size) * 2 - 1
    assert _error(form(network)(x).numpy(), network(x).numpy()) <= 2e-6


@forms_for_cpus
@torch.inference_mode()
def test_every_form_gives_the_same_bytes_in_any_batch(form: Callable[..., Form], reference: tuple[GpenGenerator, np.ndarray]) -> None:
    prepared = form(reference[0])
    both = _reference_input()
    assert torch.equal(prepared(both)[1:], prepared(both[1:]))


@torch.inference_mode()
def test_bfloat16_stays_within_its_tolerance(reference: tuple[GpenGenerator, np.ndarray], shared: Path) -> None:
    _, expected = reference
    network = generator_from_state_dict(_reference_state(shared / "reference" / "gpen")).fold(torch.bfloat16)
    assert _error(network(_reference_input()[:1].bfloat16()).float().numpy(), expected[:1]) <= 1.5e-2


@forms_for_cpus
@torch.inference_mode()
def test_every_form_stays_within_bfloat16s_tolerance(form: Callable[..., Form], reference: tuple[GpenGenerator, np.ndarray]) -> None:
    network, expected = reference
    found = form(network, torch.bfloat16)(_reference_input())
    assert found.dtype == torch.float32
    # OpenVINO computes in float32 where there is no bf16 in hardware; PyTorch emulates it.
    least = 1e-4 if form is FusedGenerator or fast_bf16(torch.device("cpu")) else 0
    assert least <= _error(found.numpy(), expected) <= 1.5e-2


@forms_for_cpus
def test_the_order_of_a_crop_in_memory_does_not_matter(form: Callable[..., Form]) -> None:
    network = GpenGenerator(GpenShape(16, 8, 1, (4, 4, 4))).eval().requires_grad_(False)
    crop = torch.rand(16, 16, 3).permute(2, 0, 1)[None]  # its strides are called contiguous in both orders
    assert _error(form(network)(crop).numpy(), network(crop.contiguous()).numpy()) <= 2e-6


@torch.inference_mode()
def test_folding_changes_nothing() -> None:
    network = GpenGenerator(GpenShape(16, 8, 1, (4, 4, 4)))
    x = torch.rand(2, 3, 16, 16)
    before = network(x)
    assert torch.equal(network.fold()(x), before)


@torch.inference_mode()
def test_a_crop_gives_the_same_result_in_any_batch(reference: tuple[GpenGenerator, np.ndarray]) -> None:
    network, _ = reference
    both = _reference_input()
    assert torch.allclose(network(both)[:1], network(both[:1]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("size", "narrow"), [(256, 0.5), (512, 1.0)])
def test_shape_is_read_from_the_keys(size: int, narrow: float) -> None:
    shape = GpenShape.official(size, narrow=narrow, style_dim=64, n_mlp=2)
    with torch.device("meta"):
        state = GpenGenerator(shape).state_dict()
    assert gpenvid.restore.gpen.shape_of_state_dict(state) == shape


@pytest.mark.parametrize("size", [256, 512, 1024, 2048])
def test_all_published_sizes_can_be_built(size: int) -> None:
    with torch.device("meta"):
        network = GpenGenerator(GpenShape.official(size))
        assert network(torch.empty(1, 3, size, size)).shape == (1, 3, size, size)


def test_training_checkpoints_are_unwrapped() -> None:
    network = GpenGenerator(GpenShape(16, 8, 1, (4, 4, 4)))
    state = {"g_ema": {f"module.{k}": v for k, v in network.state_dict().items()}, "iteration": 3}
    loaded = generator_from_state_dict(state)
    x = torch.rand(1, 3, 16, 16)
    assert torch.equal(loaded(x), network(x))


def test_a_missing_key_is_named() -> None:
    state = GpenGenerator(GpenShape(16, 8, 1, (4, 4, 4))).state_dict()
    del state["ecd1.0.1.weight"]
    with pytest.raises(WeightsError, match=r"ecd1\.0\.1\.weight"):
        generator_from_state_dict(state)


@pytest.mark.parametrize(
    ("key", "tensor", "said"),
    [
        ("final_linear.0.weight", torch.zeros(60000, 1), "of an unknown form"),
        ("final_linear.0.weight", torch.zeros(10**12, 0), "too many"),
        ("generator.conv1.conv.weight", torch.zeros(1).expand(1, 10**6, 1, 3, 3), "too many"),
        ("generator.conv1.conv.weight", torch.tensor(1.0), "single number"),
        ("generator.conv1.conv.weight", torch.zeros(1).expand(1, 8, 8, 3, 3), "cannot be computed with"),
    ],
)
def test_shapes_that_no_file_of_its_size_has_are_refused(key: str, tensor: torch.Tensor, said: str) -> None:
    state = GpenGenerator(GpenShape(16, 16, 1, (8, 8, 8))).state_dict()
    with pytest.raises(WeightsError, match=said):
        generator_from_state_dict({**state, key: tensor})


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(WeightsError, match="GPEN"):
        generator_from_state_dict({"conv.weight": torch.zeros(3, 3)})
