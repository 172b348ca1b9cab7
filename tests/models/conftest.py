"""Where the built-in models' tests find the training code and the real files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real files beside the project; tests that need it are skipped where it is absent."""
    folder = ROOT.parent / "shared"
    if not (folder / "faces").is_dir():
        pytest.skip("needs the real files in ../shared (portraits, clips, the teacher's weights)")
    return folder


@pytest.fixture(scope="session")
def weights() -> Path:
    """The folder of shipped models."""
    return ROOT / "weights"
