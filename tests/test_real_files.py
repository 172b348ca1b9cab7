"""The main job on every real file: exit without error, and an audit of the two containers finds nothing lost.

`pytest --formats=DIR` does the same with any folder: every file passes, or ends with the one
documented error for input that cannot be restored, and leaves nothing behind.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import gpenvid
from gpenvid import RestoreSettings
from gpenvid.errors import InputError, UsageError
from gpenvid.media.audit import audit
from gpenvid.media.stills import is_still

SHARED = Path(__file__).parent.parent.parent / "shared"
LONG = ("facefusion_dance-360p.mp4", "keep_real_1.mp4", "keep_synthetic_1.mp4", "latentsync_demo1_video.mp4", "liveportrait_d10.mp4")
"""Plain clips of 250 frames and more: 40 seconds that show little about containers; they run in the slow session."""
NO_VIDEO = "androidx_sample_eac3.mp4"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each file, and one that is skipped where there are none."""
    if "real_file" not in metafunc.fixturenames:
        return
    folder = metafunc.config.getoption("--formats")
    folders = [folder] if folder else [SHARED / "media" / "clips", SHARED / "media" / "formats"]
    files = sorted(p for one in folders if one.is_dir() for p in one.rglob("*") if p.is_file() and not is_still(p))
    absent = pytest.param(None, marks=pytest.mark.skip(reason=f"no files in {folder or 'the shared media folder'}"))
    cases = [pytest.param(p, marks=pytest.mark.slow) if not folder and p.name in LONG else p for p in files]
    metafunc.parametrize("real_file", cases or [absent], ids=lambda p: p.name if isinstance(p, Path) else "none")


def test_a_real_file_keeps_everything_or_is_refused(
    real_file: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if (SHARED / "weights").is_dir():
        monkeypatch.setenv("GPENVID_WEIGHTS", str(SHARED / "weights"))
    link = tmp_path / real_file.name
    link.symlink_to(real_file.resolve())
    before = real_file.stat()
    settings = RestoreSettings(model=str(tiny_model), preset="ultrafast")
    try:
        report = gpenvid.restore(link, None, settings)
    except UsageError:  # the encoder that suits this file has other words for its speed
        report = gpenvid.restore(link, None, RestoreSettings(model=str(tiny_model)))
    except InputError:
        if SHARED in real_file.parents and real_file.name != NO_VIDEO:
            raise
        assert [p.name for p in tmp_path.iterdir()] == [real_file.name]
        return
    result = audit(real_file, Path(report.output))
    assert result.passed, [f for f in result.findings if f.outcome == "differs"]
    after = real_file.stat()
    assert (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size)
    assert {p.name for p in tmp_path.iterdir()} == {real_file.name, Path(report.output).name}


def test_a_file_without_video_is_refused(shared: Path, tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no video stream"):
        gpenvid.restore(shared / "media" / "formats" / NO_VIDEO, tmp_path / "out.mp4", RestoreSettings(model=str(tiny_model)))
    assert not list(tmp_path.iterdir())
