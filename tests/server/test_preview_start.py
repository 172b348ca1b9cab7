"""`gpenvid preview` from the shell."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the server's packages are not installed")
SAMPLES = Path(__file__).parent.parent.parent / "samples"
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are another thing there")


def run(*arguments: str | Path, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "gpenvid", "preview", *map(str, arguments), "--no-browser"]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )


def test_it_says_where_it_is_asks_for_the_token_and_ends_when_told(tmp_path: Path, tiny_model: Path) -> None:
    clip = shutil.copy(SAMPLES / "interview.mp4", tmp_path)
    process = run(clip, "--model", tiny_model, "--detector", "builtin", "-q", folder=tmp_path)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("preview of interview.mp4: http://127.0.0.1:"), line + process.communicate()[1]
        address = line.split()[-1]
        base, token = address.split("/?token=")
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(base, timeout=10)
        asked = urllib.request.Request(f"{base}/api/events", headers={"authorization": f"Bearer {token}"})
        with urllib.request.urlopen(asked, timeout=10) as stream:
            assert stream.readline().startswith(b"data: ")
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
    finally:
        process.kill()
    assert not list(tmp_path.glob("*.json"))


def test_what_cannot_be_previewed_is_refused_in_one_line(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "bad.json").write_text('{"gpenvid_tracks": 1}')
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    shutil.copy(SAMPLES / "interview.mp4", tmp_path)
    refusals = [
        (["missing.mp4"], 3, "no such file"),
        (["picture.png"], 2, "is no video"),
        (["interview.mp4", "-o", "interview.mp4"], 2, "the output is the source"),
        (["interview.mp4", "--tracks", "interview.mp4"], 2, "is a source"),
        (["interview.mp4", "--tracks", "a.mp4", "-o", "a.mp4"], 2, "a.mp4: is something else that this command reads or writes"),
        (["interview.mp4", "--tracks", "bad.json"], 3, "bad.json"),
        (["interview.mp4", "-o", "out.avi"], 2, "cannot write .avi"),
    ]
    started = [run(*arguments, "--model", tiny_model, folder=tmp_path) for arguments, _, _ in refusals]
    for process, (_, code, word) in zip(started, refusals, strict=True):
        _, said = process.communicate(timeout=120)
        assert process.returncode == code, said
        assert word in said
        assert len(said.strip().splitlines()) == 1
