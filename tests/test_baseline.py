"""The plain way that gpenvid is compared with computes what gpenvid computes."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from gpenvid.restore.gpen import GpenGenerator, GpenShape, generator_from_state_dict
from gpenvid.restore.weights import read_state_dict

FILE = Path(__file__).parent.parent / "benchmarks" / "baseline.py"


@pytest.fixture(scope="module")
def baseline() -> ModuleType:
    spec = importlib.util.spec_from_file_location("baseline", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["baseline"] = module
    spec.loader.exec_module(module)
    return module


@torch.inference_mode()
def test_the_plain_generator_gives_the_same_pictures(baseline: ModuleType) -> None:
    torch.manual_seed(2)
    network = GpenGenerator(GpenShape(64, 16, 2, (12, 10, 8, 6, 4))).eval()
    for name, values in network.named_parameters():
        if name.endswith("bias") or "noise" in name:
            values.normal_(std=0.3)
    x = torch.rand(2, 3, 64, 64) * 2 - 1
    expected = network(x)
    assert float((baseline.PlainGenerator(network)(x) - expected).norm() / expected.norm()) <= 2e-6


@pytest.mark.parametrize("detector", ["builtin", "retinaface-resnet50"])
def test_a_clip_is_restored_both_ways(detector: str, baseline: ModuleType, tiny_model: Path) -> None:
    row = baseline.compare_clips("tiny", tiny_model, detector, 320, 180, 4, "ultrafast")
    assert row.startswith(f"| tiny | {detector} | 320x180, 4 |")
    assert all(stage in row for stage in ("decode", "detect", "restore", "blend", "encode"))


def test_generators_are_compared(baseline: ModuleType, tiny_model: Path) -> None:
    row = baseline.compare_generators("tiny", generator_from_state_dict(read_state_dict(tiny_model)), 1)
    assert row.count("|") == 11
