"""Shared fixtures: a network small enough to run in milliseconds, clips made on the spot, and the shared media if present."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import hypothesis
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from turns import turn

from gpenvid import RestoreSettings
from gpenvid.restore.gpen import GpenGenerator, GpenShape

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"
SAMPLES = ROOT / "samples"

# A disk that is busy for a moment is no failure.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real media and reference numbers beside the project."""
    if not SHARED.is_dir():
        pytest.skip("the shared media folder is not beside the project")
    return SHARED


@pytest.fixture(autouse=True)
def _turn(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hold back what other processes (`pytest -n 2`) run while a test catches a job half-way."""
    if not hasattr(request.config, "workerinput"):
        yield
        return
    with turn(tmp_path_factory.getbasetemp().parent, alone=request.node.get_closest_marker("alone") is not None):
        yield


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's own weights."""
    monkeypatch.setenv("GPENVID_WEIGHTS", str(tmp_path_factory.getbasetemp() / "weights"))


@pytest.fixture
def retinaface(shared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """facexlib's published RetinaFace file, where gpenvid finds it."""
    monkeypatch.setenv("GPENVID_WEIGHTS", str(shared / "weights"))
    return shared / "weights" / "detection_mobilenet0.25_Final.pth"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPEN network of 32 x 32 pixels with random weights: wrong colours, right plumbing, two milliseconds a face."""
    torch.manual_seed(0)
    network = GpenGenerator(GpenShape(32, 16, 2, (8, 8, 8, 8)))
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, path)
    return path


@pytest.fixture
def settings(tiny_model: Path) -> RestoreSettings:
    """For a few faces at a time: with an engine that need not be compiled, a sixth of a second in each job."""
    return RestoreSettings(model=str(tiny_model), detector="builtin", engine="torch")


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    """scikit-image's public-domain portrait, (512, 512, 3) uint8 RGB."""
    data = pytest.importorskip("skimage.data")
    return np.asarray(data.astronaut())


MakeClip = Callable[..., Path]


@pytest.fixture
def make_clip(tmp_path: Path) -> MakeClip:
    """Write frames as a lossless or lossy clip."""

    def make(
        frames: list[np.ndarray],
        name: str = "clip.mkv",
        *,
        codec: str = "ffv1",
        pixel_format: str = "yuv420p",
        pts: list[int] | None = None,
        time_base: Fraction = Fraction(1, 25),
        options: dict[str, str] | None = None,
    ) -> Path:
        path = tmp_path / name
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=Fraction(25), options=options or {})
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt = pixel_format
            stream.time_base = stream.codec_context.time_base = time_base
            for i, rgb in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), "rgb24").reformat(format=pixel_format)
                frame.pts, frame.time_base = (pts[i] if pts else round(i * Fraction(1, 25) / time_base)), time_base
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return make


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let users audit their own files."""
    parser.addoption(
        "--formats",
        metavar="DIR",
        type=lambda text: Path(text).expanduser(),
        help="restore and verify every file of this folder, and run nothing else; with an equals sign: --formats=DIR",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Whoever audits a folder of their own wants nothing else."""
    if config.getoption("--formats") is None:
        return
    other = [item for item in items if "real_file" not in getattr(item, "fixturenames", ())]
    config.hook.pytest_deselected(items=other)
    items[:] = [item for item in items if item not in other]


def pytest_configure() -> None:
    """Keep FFmpeg's own log out of test output, and let threads that wait for each other give way.

    Where two processes share the cores, those that spin instead take ten times as long for the same.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read by processes that start later: of `pytest -n 2`, and of tests
    av.logging.set_level(None)
    os.environ.setdefault("SVT_LOG", "1")
