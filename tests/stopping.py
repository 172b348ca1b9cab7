"""Starting renders in processes of their own, stopping them, and comparing what came of it."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
from pathlib import Path

import av

SHORT = 18
"""Frames of a segment in these tests: a hundred frames are six segments."""

_DRIVER = f"""
from gpenvid.job import parts, rendered
parts.cut_segments.__defaults__ = ({SHORT},)
if not %(room)s:
    rendered.check_space = lambda *_: None
from gpenvid.cli import main
main()
"""


def packets(path: Path) -> str:
    """A hash of all packets of a file, with their streams and times."""
    digest = hashlib.sha256()
    with av.open(str(path)) as file:
        for packet in file.demux():
            digest.update(repr((packet.stream_index, packet.pts, packet.dts)).encode() + bytes(packet))
    return digest.hexdigest()


def killed_after(seconds: float, command: list[str], kind: signal.Signals | None = None) -> bool:
    """Start a command and stop it after a while, by a signal or else for good; whether it was still running then."""
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill() if kind is None else process.send_signal(kind)
        process.wait(timeout=60)
        return True
    return False


def command_for(source: Path, out: Path, model: Path, *, check_room: bool = True) -> list[str]:
    """The command line of one render.

    Args:
        check_room: estimate the space first; without, a disk fills up in the middle.
    """
    arguments = ["restore", str(source), "-o", str(out), "--model", str(model), "--detector", "builtin", "--overwrite"]
    return [sys.executable, "-c", _DRIVER % {"room": check_room}, *arguments]
