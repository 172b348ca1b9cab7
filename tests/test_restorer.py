"""How crops are handed to the network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from gpenvid.job.models import open_restorer
from gpenvid.job.progress import Silent
from gpenvid.restore.cards import ModelCard
from gpenvid.restore.graphs import WORTH_IT, RecordedForward
from gpenvid.restore.heap import keep_freed_memory
from gpenvid.restore.restorer import Restorer, load_restorer
from gpenvid.settings import RestoreSettings

CARD = ModelCard("tiny", "restorer", "tiny.safetensors", "", "")


@pytest.fixture
def restorer(tiny_model: Path) -> Restorer:
    return load_restorer(CARD, tiny_model, device="cpu", dtype="fp32", batch=3)


def _crops(count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(0).random((count, 32, 32, 3), np.float32))


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_crops_give_the_same_bytes_in_any_company_and_order(batch: int, tiny_model: Path, restorer: Restorer) -> None:
    crops = _crops(7)
    together = restorer.restore(crops)
    other = load_restorer(CARD, tiny_model, device="cpu", dtype="fp32", batch=batch)
    assert all(np.array_equal(a, other.restore([crop])[0]) for a, crop in zip(together, crops, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(reversed(together), other.restore(crops[::-1]), strict=True))
    assert restorer.report.crops == 7


def test_a_check_that_raises_ends_the_work(restorer: Restorer) -> None:
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls > 5:
            raise InterruptedError("enough")

    with pytest.raises(InterruptedError, match="enough"):
        restorer.restore(_crops(50), check)
    assert calls < 100  # each crop asks several times, but once it is over only once
    assert len(restorer.restore(_crops(2))) == 2


def _recorder(log: list[torch.Size], make: Callable[[Callable], Callable]) -> Callable:
    def record(forward, example):
        log.append(example.shape)
        return make(forward)

    return record


def test_a_shape_is_recorded_when_it_has_come_often() -> None:
    log: list[torch.Size] = []
    network = RecordedForward(lambda x: 2 * x, _recorder(log, lambda forward: lambda x: forward(x) * 1.001))
    many, few = torch.ones(4, 3), torch.ones(2, 3)
    for _ in range(WORTH_IT):
        assert torch.equal(network(many), 2 * many)
    network(few)
    assert log == [many.shape]
    assert torch.equal(network(many), 2 * many * 1.001)
    network.forget()
    assert torch.equal(network(many), 2 * many)


def _no_memory(_forward: Callable) -> Callable:
    raise torch.OutOfMemoryError("none left")


@pytest.mark.parametrize("make", [_no_memory, lambda forward: lambda x: forward(x) + 1])
def test_what_cannot_be_recorded_or_comes_out_different_runs_directly(make: Callable) -> None:
    log: list[torch.Size] = []
    network = RecordedForward(lambda x: 2 * x, _recorder(log, make))
    x = torch.ones(1, 3)
    for _ in range(2 * WORTH_IT):
        assert torch.equal(network(x), 2 * x)
    assert len(log) == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_gives_the_cpus_pictures_directly_and_recorded(tiny_model: Path, restorer: Restorer) -> None:
    expected = restorer.restore(_crops(4))
    on_gpu = load_restorer(CARD, tiny_model, device="cuda", dtype="fp32", batch=2)
    for _ in range(WORTH_IT):
        found = on_gpu.restore(_crops(4))
        assert max(float(np.abs(a - b).max()) for a, b in zip(found, expected, strict=True)) < 2e-3


@pytest.mark.skipif(not keep_freed_memory(), reason="the C library is not glibc")
def test_a_second_crop_takes_the_memory_of_the_first() -> None:
    resource = pytest.importorskip("resource")  # not on Windows
    restorer, _ = open_restorer(RestoreSettings(device="cpu", dtype="fp32", batch=1), Silent())
    crop = np.zeros((restorer.size, restorer.size, 3), np.float32)
    for _ in range(2):
        restorer.restore([crop])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    restorer.restore([crop])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 1000  # 2,900 where every block is mapped afresh
