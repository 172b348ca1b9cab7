"""How crops are handed to the network."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from gpenvid.errors import UsageError
from gpenvid.job import doctor
from gpenvid.job.models import open_restorer
from gpenvid.job.progress import Silent
from gpenvid.restore import choices
from gpenvid.restore.cards import ModelCard
from gpenvid.restore.choices import ENGINES, choose_engine
from gpenvid.restore.gpen import GpenGenerator, GpenShape
from gpenvid.restore.graphs import WORTH_IT, RecordedForward
from gpenvid.restore.heap import keep_freed_memory
from gpenvid.restore.restorer import Restorer, load_restorer
from gpenvid.settings import RestoreSettings

CARD = ModelCard("tiny", "restorer", "tiny.safetensors", "", "")


@pytest.fixture(params=ENGINES[1:])
def engine(request: pytest.FixtureRequest) -> str:
    if request.param == "openvino":
        pytest.importorskip("gpenvid.restore.quiet_openvino")
    return str(request.param)


@pytest.fixture
def restorer(tiny_model: Path, engine: str) -> Restorer:
    return load_restorer(CARD, tiny_model, device="cpu", dtype="fp32", batch=3, engine=engine)


def _crops(count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(0).random((count, 32, 32, 3), np.float32))


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_crops_give_the_same_bytes_in_any_company_and_order(batch: int, tiny_model: Path, engine: str, restorer: Restorer) -> None:
    crops = _crops(7)
    together = restorer.restore(crops)
    other = load_restorer(CARD, tiny_model, device="cpu", dtype="fp32", batch=batch, engine=engine)
    assert all(np.array_equal(a, other.restore([crop])[0]) for a, crop in zip(together, crops, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(reversed(together), other.restore(crops[::-1]), strict=True))
    assert restorer.report.crops == 7


def test_a_batch_that_does_not_fit_is_halved_and_one_crop_that_does_not_is_said(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    restorer, tried, room = load_restorer(CARD, tiny_model, device="cpu", dtype="fp32", batch=16), [], 2
    run = restorer._run

    def on_a_gpu(crops: list[np.ndarray], *rest: Callable[[], None]) -> list[np.ndarray]:
        tried.append(len(crops))
        if len(crops) > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run(crops, *rest)

    monkeypatch.setattr(restorer, "_pool", None)
    monkeypatch.setattr(restorer, "_run", on_a_gpu)
    assert len(restorer.restore(_crops(5))) == 5
    assert tried == [5, 2, 2, 1]
    assert (restorer.report.shrunk, restorer.batch) == (1, 2)
    tried, room = [], 0
    with pytest.raises(UsageError, match="does not fit into the memory"):
        restorer.restore(_crops(1))
    assert tried == [1]


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


def test_openvino_ends_in_the_middle_of_a_crop_and_restores_the_next() -> None:
    pytest.importorskip("gpenvid.restore.quiet_openvino")
    torch.manual_seed(0)
    network = GpenGenerator(GpenShape.official(256)).requires_grad_(False)  # a crop takes several looks
    restorer = Restorer(network, CARD, device=torch.device("cpu"), dtype="fp32", batch=1, engine="openvino")
    crop = np.random.default_rng(0).random((256, 256, 3), np.float32)
    expected = restorer.restore([crop])[0]
    looks = iter([True, True, False])

    def check() -> None:
        if not next(looks):
            raise InterruptedError("enough")

    with pytest.raises(InterruptedError, match="enough"):
        restorer.restore([1 - crop], check)
    assert np.array_equal(restorer.restore([crop])[0], expected)


def test_openvino_is_for_cpus_with_more_than_a_few_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    monkeypatch.setattr(choices, "openvino_version", lambda: "2026.4.0")
    assert choose_engine("auto", cpu) == "openvino"
    assert choose_engine("auto", cpu, few=True) == choose_engine("auto", gpu) == "torch"
    assert choose_engine("openvino", cpu, few=True) == "openvino"
    with pytest.raises(UsageError, match="for CPUs"):
        choose_engine("openvino", gpu)
    with pytest.raises(UsageError, match="unknown engine tensorrt"):
        choose_engine("tensorrt", cpu)


def test_without_openvino_pytorch_restores_and_asking_for_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choices, "openvino_version", lambda: None)
    assert choose_engine("auto", torch.device("cpu")) == "torch"
    with pytest.raises(UsageError) as caught:
        choose_engine("openvino", torch.device("cpu"))
    assert 'pip install "gpenvid[openvino]"' in caught.value.remedy


def test_openvino_reports_to_nobody() -> None:
    pytest.importorskip("gpenvid.restore.quiet_openvino")
    program = "import sys, gpenvid.restore.compiled; sys.exit(any(name.startswith('openvino_telemetry') for name in sys.modules))"
    result = subprocess.run([sys.executable, "-c", program], check=False, timeout=60)
    assert result.returncode == 0


def test_an_openvino_that_does_not_work_is_named(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gpenvid.restore.quiet_openvino")
    monkeypatch.setitem(sys.modules, "gpenvid.restore.compiled", None)  # as if its libraries could not be loaded
    with pytest.raises(UsageError, match="OpenVINO cannot be used here") as caught:
        load_restorer(CARD, tiny_model, device="cpu", engine="openvino")
    assert "--engine torch" in caught.value.remedy


def test_pytorch_restores_and_says_so_where_an_openvino_that_nobody_asked_for_does_not_work(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choices, "openvino_version", lambda: "2026.4.0")
    monkeypatch.setitem(sys.modules, "gpenvid.restore.compiled", None)
    monkeypatch.setitem(sys.modules, "gpenvid.restore.quiet_openvino", None)
    told: list[str] = []

    class Told(Silent):
        def note(self, text: str) -> None:
            told.append(text)

    restorer, _ = open_restorer(RestoreSettings(model=str(tiny_model), device="cpu"), Told())
    assert restorer.engine == "torch"
    assert len(told) == 1
    assert "OpenVINO cannot be used here" in told[0]
    [diagnosis] = [d for d in doctor.examine() if d.what == "openvino"]
    assert diagnosis.state == "problem"


def test_the_doctor_sees_that_the_weights_folder_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "weights").touch()
    monkeypatch.setenv("GPENVID_WEIGHTS", str(tmp_path / "weights"))
    [diagnosis] = [d for d in doctor.examine() if d.what == "weights folder"]
    assert (diagnosis.state, "is no folder" in diagnosis.detail) == ("problem", True)


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


def _stale(forward: Callable) -> Callable:
    return lambda _x: forward(torch.ones(1, 3))  # right for what was recorded, and for nothing else


@pytest.mark.parametrize("make", [_no_memory, _stale, lambda forward: lambda x: forward(x) + 1])
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
def test_a_second_crop_takes_the_memory_of_the_first(engine: str) -> None:
    resource = pytest.importorskip("resource")  # not on Windows
    restorer, _ = open_restorer(RestoreSettings(device="cpu", dtype="fp32", batch=1, engine=engine), Silent())
    crop = np.zeros((restorer.size, restorer.size, 3), np.float32)
    faults = [resource.getrusage(resource.RUSAGE_SELF).ru_minflt]
    for _ in range(6):
        restorer.restore([crop])
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
    # The least, because threads of other tests may still be ending; 2,900 each time where every block is mapped afresh.
    assert min(np.diff(faults)) < 1000
