"""A disk that is full, in a segment and while the result is put together; then there is room again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from stopping import command_for, packets

from gpenvid.job.work_folder import work_folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
ROOT = ["sudo", "-n"] if hasattr(os, "geteuid") and os.geteuid() else []  # as machines for continuous integration let everybody
CLIP = Path(__file__).parent.parent.parent / "samples" / "old_film.mp4"


@pytest.fixture
def whole(tiny_model: Path, tmp_path: Path) -> Path:
    source = Path(shutil.copy2(CLIP, tmp_path / "film.mp4"))
    subprocess.run(command_for(source, tmp_path / "whole.mp4", tiny_model), check=True, capture_output=True)
    return tmp_path / "whole.mp4"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    command = [*ROOT, "mount", "-t", "tmpfs", "-o", "size=200k", "none", str(folder)]
    if not shutil.which(command[0]) or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("no right to mount a file system")
    yield folder
    subprocess.run([*ROOT, "umount", str(folder)], check=False)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts a Linux file system")
def test_a_full_file_system(small_disk: Path, whole: Path, tiny_model: Path) -> None:
    out = small_disk / "out.mp4"
    command = command_for(whole.with_name("film.mp4"), out, tiny_model, check_room=False)
    failures = 0
    for kilobytes in (200, 450, 700, 1000, 5000):
        subprocess.run([*ROOT, "mount", "-o", f"remount,size={kilobytes}k", str(small_disk)], check=True)
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode == 0:
            break
        failures += 1
        assert done.returncode == 3, done.stderr
        assert "No space left" in done.stderr
        assert "Traceback" not in done.stderr
        assert not out.exists()
        assert not list(work_folder(out).glob("result*"))
    assert failures >= 2
    assert packets(out) == packets(whole)
    assert not work_folder(out).exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limits on file sizes")
@pytest.mark.parametrize("kilobytes", [40, 300])  # less than a segment; more than a segment and less than the result
def test_a_file_that_may_not_grow(kilobytes: int, whole: Path, tiny_model: Path, tmp_path: Path) -> None:
    import resource

    out = tmp_path / "out.mp4"
    command = command_for(whole.with_name("film.mp4"), out, tiny_model)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes * 1000, resource.RLIM_INFINITY))

    done = subprocess.run(command, check=False, capture_output=True, text=True, preexec_fn=limit)
    assert done.returncode == 3, done.stderr
    assert "File too large" in done.stderr
    assert not out.exists()
    assert bool(list(work_folder(out).glob("*.seg"))) == (kilobytes > 100)
    subprocess.run(command, check=True, capture_output=True)
    assert packets(out) == packets(whole)
