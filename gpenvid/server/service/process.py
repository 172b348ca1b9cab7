"""The server's end of a child process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gpenvid
from gpenvid.server.service.child import STOP_SECONDS

_ROOT = str(Path(gpenvid.__file__).parent.parent)
# -P: the folder the server was started in is no place to import from.
_BOOT = "import sys; sys.path.append(sys.argv[1]); from gpenvid.server.service.child import main; main()"


class Child:
    """A process that does tasks one after the other. `send` a task, then read its `messages`.

    Args:
        max_pixels: pictures larger than that are refused before memory is set aside for them.
    """

    def __init__(self, max_pixels: int) -> None:
        environment = {**os.environ, "OPENCV_IO_MAX_IMAGE_PIXELS": str(max_pixels)}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _BOOT, _ROOT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        self._lock = threading.Lock()

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def send(self, **task: object) -> None:
        """Give it a task. If it died, `messages` ends at once."""
        assert self._process.stdin is not None
        with self._lock:
            try:
                self._process.stdin.write(json.dumps(task).encode() + b"\n")
                self._process.stdin.flush()
            except (BrokenPipeError, ValueError):
                return

    def messages(self) -> Iterator[dict[str, Any]]:
        """What it says about the current task. The last is `done`, `error` or `stopped`; none of these if it died."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if not line.endswith(b"\n"):
                return  # it died in the middle of a word
            message = json.loads(line)
            yield message
            if message["event"] in ("done", "error", "stopped"):
                return

    def stop(self) -> None:
        """Ask it to stop what it does; it is killed if it does not."""
        self.send(do="stop")
        self.kill_after(STOP_SECONDS + 5)

    def kill_after(self, seconds: float) -> threading.Timer:
        """Kill it after a while, unless the timer is cancelled."""
        timer = threading.Timer(seconds, self._process.kill)
        timer.daemon = True
        timer.start()
        return timer

    def close(self) -> None:
        """End it, at once and whatever it does, and wait until it is gone."""
        self._process.kill()
        self._process.wait()
        with self._lock:
            for pipe in (self._process.stdin, self._process.stdout):
                try:
                    if pipe is not None:
                        pipe.close()
                except BrokenPipeError:
                    continue  # what was still to be sent has no reader
