"""What is installed: everything a first run needs, and not more than a small download."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_the_wheel_holds_models_samples_and_pages(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("gpenvid-*.whl")
    assert wheel.stat().st_size < 15e6
    with zipfile.ZipFile(wheel) as archive:
        held = {i.filename: i.file_size for i in archive.infolist()}
    for name in ("gpen-lite-256", "face-det"):
        assert held[f"gpenvid/weights/{name}.safetensors"] == (ROOT / "weights" / f"{name}.safetensors").stat().st_size
        assert f"gpenvid/weights/{name}.json" in held
    for clip in ("interview.mp4", "old_film.mp4"):
        assert held[f"gpenvid/samples/{clip}"] == (ROOT / "samples" / clip).stat().st_size
    assert "gpenvid/py.typed" in held
    tracked = subprocess.run(["git", "ls-files", "gpenvid"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    assert set(tracked) <= set(held), sorted(set(tracked) - set(held))
    assert not [name for name in held if name.startswith(("tests/", "benchmarks/")) or "node_modules" in name]
