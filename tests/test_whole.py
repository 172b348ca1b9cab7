"""Reports and sidecars are whole or not there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gpenvid.errors import InputError
from gpenvid.job.report import Report, write_reports
from gpenvid.job.whole import write_whole

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes and links are other things there")


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    for old in (None, "older"):
        if old:
            (tmp_path / "r.json").write_text(old)
        with pytest.raises(UnicodeEncodeError):
            write_whole(tmp_path / "r.json", "a lone surrogate \udcff")
        assert {p.name: p.read_text() for p in tmp_path.iterdir()} == ({"r.json": old} if old else {})


def test_a_full_disk_leaves_no_empty_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_to_a_full_disk(part: Path, data: bytes) -> int:
        part.touch()
        with Path("/dev/full").open("wb") as full:
            return full.write(data)

    monkeypatch.setattr(Path, "write_bytes", write_to_a_full_disk)
    with pytest.raises(InputError, match=r"r\.json: the report cannot be written \(No space left on device\)"):
        write_reports(tmp_path / "r.json", [Report("a", "b")], several=False)
    assert list(tmp_path.iterdir()) == []


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("older")
    (tmp_path / "link.json").symlink_to("real.json")
    write_whole(tmp_path / "link.json", "newer")
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "real.json").read_text() == "newer"


def test_a_pipe_is_written_to() -> None:
    code = "from pathlib import Path; from gpenvid.job.whole import write_whole; write_whole(Path('/dev/stdout'), 'told')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "told"
    assert Path("/dev/stdout").is_symlink()
