"""`gpenvid bench` measures, and says what it measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from gpenvid.cli import app
from gpenvid.errors import GpenvidError, UsageError
from gpenvid.job.bench import run
from gpenvid.job.bench.child import in_own_process
from gpenvid.job.bench.clip import official_shape, write_clip
from gpenvid.job.bench.jobs import measure_endurance, measure_still
from gpenvid.job.bench.machine import Machine, examine_machine, floor_of
from gpenvid.job.bench.run import BenchSettings
from gpenvid.job.report import peak_resident_bytes
from gpenvid.media.reader import VideoReader
from gpenvid.restore.choices import fast_bf16, openvino_version
from gpenvid.restore.gpen import GpenShape


@pytest.fixture
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting Python for each measurement takes longer than measuring a tiny network."""
    threads = torch.get_num_threads()
    monkeypatch.setattr(run, "in_own_process", lambda work, *arguments: work(*arguments))
    monkeypatch.setattr(run, "examine_machine", lambda _device: MACHINE)
    yield
    torch.set_num_threads(threads)


MACHINE = Machine("a processor", 2, 2, "cpu", "a system", "3", "2", 0.0, {"fp32": 100.0, "bf16": 200.0}, 10.0)


@pytest.mark.usefixtures("_in_this_process")
def test_a_quick_bench_writes_tables_and_json(tiny_model: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["bench", "--quick", "--model", str(tiny_model), "--dtype", "fp32,bf16", "-o", str(tmp_path / "out"), "-q"]
    )
    assert done.exit_code == 0, done.output
    page = (tmp_path / "out" / "bench.md").read_text()
    assert page in done.output
    for part in ("Generator", "Stills", "Endurance", "Clips", "a processor", "10 of 10 pictures"):
        assert part in page
    result = json.loads((tmp_path / "out" / "bench.json").read_text())
    measured = {(g["dtype"], g["engine"].split()[0]): g["relative_error"] for g in result["generators"]}
    assert measured.pop(("fp32", "torch")) is None
    assert 0 < measured["bf16", "torch"] < 0.1
    assert not openvino_version() or max(error for (_, engine), error in measured.items() if engine == "openvino") < 0.1
    assert [still["side"] for still in result["stills"]] == [256, 512]
    (clip,) = result["clips"]
    assert clip["restored"] == clip["frames"] == 24
    assert set(clip["busy_ms"]) == {"decode", "reduce", "follow", "restore", "blend", "encode"}


@pytest.mark.slow
def test_a_bench_in_processes_of_its_own(tiny_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    done = CliRunner().invoke(app, ["bench", "--quick", "--model", str(tiny_model), "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "out" / "bench.png").stat().st_size > 1000


def test_the_machine_is_described_with_its_rates() -> None:
    machine = in_own_process(examine_machine, torch.device("cpu"))
    assert set(machine.gflops) == ({"fp32", "bf16"} if fast_bf16(torch.device("cpu")) else {"fp32"})
    assert min(machine.gflops.values()) > 0.1
    assert machine.bandwidth_gb > 0.1
    assert machine.cores >= 1


@pytest.mark.skipif(sys.platform == "win32", reason="not measured there")
def test_a_process_does_not_count_the_memory_of_the_one_that_started_it() -> None:
    held = np.ones(2 * 10**8)
    assert 10**7 < in_own_process(peak_resident_bytes) < held.nbytes


def _die() -> None:
    import os

    os.abort()


def test_a_killed_measurement_is_an_error_in_one_line() -> None:
    with pytest.raises(GpenvidError, match="was killed"):
        in_own_process(_die)


@pytest.mark.parametrize(("size", "gflop"), [(256, 17.4), (512, 276)])
def test_the_floor_counts_the_published_networks_operations(size: int, gflop: float) -> None:
    floor = floor_of(official_shape(size), MACHINE, "fp32")
    assert floor.gflop == pytest.approx(gflop, rel=0.02)
    assert floor.milliseconds == pytest.approx(floor.gflop * 10, rel=0.01)
    assert floor_of(official_shape(size), MACHINE, "bf16").milliseconds == pytest.approx(floor.milliseconds / 2)


def test_the_floor_of_a_network_without_work_is_memory() -> None:
    floor = floor_of(GpenShape(16, 512, 8, (2, 2, 2)), MACHINE, "fp32")
    assert floor.milliseconds == pytest.approx(floor.megabytes / 10)


@pytest.mark.parametrize("faces", [1, 4])
def test_clips_hold_the_faces_asked_for(faces: int, tmp_path: Path) -> None:
    from gpenvid.job.models import open_detector
    from gpenvid.job.progress import Silent

    reader = VideoReader(write_clip(tmp_path / "clip.mp4", 640, 360, faces=faces, frames=3))
    frames = [frame.thumbnail(640, 360) for frame in reader.frames()]
    detector = open_detector("builtin", "cpu", Silent())
    assert [sum(face.score >= detector.sure for face in found) for found in detector.detect(frames)] == [faces] * 3


def test_a_still_that_does_not_fit_is_said_and_not_raised(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise UsageError("the network does not fit into memory", "choose a smaller one")

    monkeypatch.setattr("gpenvid.job.bench.jobs.restore", full)
    assert "does not fit" in measure_still(256, str(tiny_model), "cpu").error


def test_endurance_counts_pictures_and_memory(tiny_model: Path) -> None:
    result = measure_endurance(3, 0.0, str(tiny_model), "cpu")
    assert (result.pictures, result.succeeded, len(result.resident)) == (3, 3, 3)


def test_an_unknown_size_is_refused_of_a_quick_run_too() -> None:
    assert isinstance(CliRunner().invoke(app, ["bench", "--quick", "--sizes", "300"]).exception, UsageError)


def test_unknown_sizes_and_formats_are_refused() -> None:
    with pytest.raises(UsageError, match="size 300"):
        BenchSettings(sizes=(300,))
    with pytest.raises(UsageError, match="fp16"):
        BenchSettings(dtypes=("fp16",))
