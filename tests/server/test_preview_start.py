"""`gpenvid preview` from the shell."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the server's packages are not installed")
SAMPLES = Path(__file__).parent.parent.parent / "samples"
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are another thing there")


def run(*arguments: str | Path, folder: Path, browser: Path | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "gpenvid", "preview", *map(str, arguments), *([] if browser else ["--no-browser"])]
    env = {**os.environ, "PYTHONUNBUFFERED": "1", "BROWSER": f"{browser} %s"}
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)


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


def test_the_browser_is_started_with_an_address_that_works_once(tmp_path: Path, tiny_model: Path) -> None:
    browser, given = tmp_path / "browser", tmp_path / "given"
    browser.write_text(f'#!/bin/sh\necho "$1" > {given}.part; mv {given}.part {given}\n')
    browser.chmod(0o755)
    clip = shutil.copy(SAMPLES / "interview.mp4", tmp_path)
    process = run(clip, "--model", tiny_model, "--detector", "builtin", "-q", folder=tmp_path, browser=browser)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().split()[-1]
        while not given.exists():
            assert process.poll() is None
            time.sleep(0.05)
        once = given.read_text().strip()
        assert once.split("=")[0] == address.split("=")[0]
        assert address.split("=")[1] not in once
        visit = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        assert visit.open(once).status == 200
        assert visit.open(once.split("?")[0]).status == 200
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.build_opener().open(once)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        process.kill()
