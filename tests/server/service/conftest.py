"""Services with the tiny model."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from serving import SAMPLES, Served


def _need_posix() -> None:
    if sys.platform == "win32":
        pytest.skip("the service is tested where there are links and signals")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Served]:
    """A service that all tests of a file share."""
    _need_posix()
    server = Served(tmp_path_factory.mktemp("service"), tiny_model, "--queue", "4", "--max-upload", "3", "--max-picture", "2")
    yield server
    assert server.end() == 0
    assert "Traceback" not in server.text, server.text


@pytest.fixture
def serve(tmp_path: Path, tiny_model: Path) -> Iterator[Callable[..., Served]]:
    """Start services in a folder of the test's own."""
    _need_posix()
    servers: list[Served] = []

    def start(*options: str, headers: dict[str, str] | None = None) -> Served:
        servers.append(Served(tmp_path, tiny_model, *options, headers=headers))
        return servers[-1]

    yield start
    for server in servers:
        server.process.kill()
        server.process.wait()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A copy of a sample clip."""
    return Path(shutil.copy2(SAMPLES / "interview.mp4", tmp_path / "interview.mp4"))
