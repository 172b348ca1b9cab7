"""The main job on every real file: exit without error, and an audit of the two containers finds nothing lost."""

from __future__ import annotations

from pathlib import Path

import pytest

import gpenvid
from gpenvid import RestoreSettings
from gpenvid.errors import InputError
from gpenvid.media.audit import audit

SHARED = Path(__file__).parent.parent.parent / "shared"
FILES = sorted(p for folder in ("clips", "formats") for p in (SHARED / "media" / folder).glob("*"))
NO_VIDEO = "androidx_sample_eac3.mp4"
FAST = {".webm": None}  # x264's preset names mean nothing to the encoders of WebM


@pytest.mark.skipif(not FILES, reason="the shared media folder is not beside the project")
@pytest.mark.parametrize("source", [p for p in FILES if p.name != NO_VIDEO], ids=lambda p: p.name)
def test_a_real_file_keeps_everything(source: Path, retinaface: Path, tiny_model: Path, tmp_path: Path) -> None:
    link = tmp_path / source.name
    link.symlink_to(source)
    before = source.stat()
    settings = RestoreSettings(model=str(tiny_model), preset=FAST.get(source.suffix, "ultrafast"))
    report = gpenvid.restore(link, None, settings)
    result = audit(source, Path(report.output))
    assert result.passed, [f for f in result.findings if f.outcome == "differs"]
    after = source.stat()
    assert (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size)
    assert {p.name for p in tmp_path.iterdir()} == {source.name, Path(report.output).name}


def test_a_file_without_video_is_refused(shared: Path, tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no video stream"):
        gpenvid.restore(shared / "media" / "formats" / NO_VIDEO, tmp_path / "out.mp4", RestoreSettings(model=str(tiny_model)))
    assert not list(tmp_path.iterdir())
