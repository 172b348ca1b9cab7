"""One render, killed at 25 random moments and continued each time."""

from __future__ import annotations

import random
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest
from stopping import command_for, killed_after, packets

from gpenvid.job.work_folder import work_folder
from gpenvid.media.audit import audit

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500), pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")]
CLIP = Path(__file__).parent.parent.parent / "samples" / "old_film.mp4"
KILLS = 25


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return Path(shutil.copy2(CLIP, tmp_path / "film.mp4"))


def test_every_kill_is_survived_with_the_same_packets(source: Path, tiny_model: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.mp4"
    began = time.monotonic()
    assert not killed_after(250, command_for(source, whole, tiny_model))
    took = time.monotonic() - began
    chance, kills, finished = random.Random(25), 0, 0
    out = tmp_path / "out.mp4"
    command = command_for(source, out, tiny_model)
    while kills < KILLS:
        # Most of a run is start-up; what is written is written in its second half.
        if killed_after(took * chance.uniform(0.35, 1.05), command):
            kills += 1
            assert not out.exists() or audit(source, out).passed
        else:
            finished += 1
            assert packets(out) == packets(whole)
            out.unlink()
    assert not killed_after(250, command)
    assert packets(out) == packets(whole)
    assert not work_folder(out).exists()
    print(f"{kills} kills, {finished + 1} results, a run takes {took:.1f} s")


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_a_polite_stop_is_continued_too(kind: signal.Signals, source: Path, tiny_model: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole.mp4", tmp_path / "out.mp4"
    began = time.monotonic()
    assert not killed_after(250, command_for(source, whole, tiny_model))
    took = time.monotonic() - began
    for moment in (0.6, 0.8):
        killed_after(took * moment, command_for(source, out, tiny_model), kind)
    assert not killed_after(250, command_for(source, out, tiny_model))
    assert packets(out) == packets(whole)
