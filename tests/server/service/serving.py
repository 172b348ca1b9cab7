"""Running services in processes of their own, on free ports of this machine."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

SAMPLES = Path(__file__).parent.parent.parent.parent / "samples"
FINISHED = ("done", "failed", "cancelled")


class Served:
    """A running service.

    Attributes:
        data, media: its folders.
        client: asks it.
        said: what it wrote, line by line.
    """

    def __init__(self, folder: Path, model: Path, *options: str, headers: dict[str, str] | None = None) -> None:
        self.data, self.media = folder / "data", folder / "media"
        self.media.mkdir(parents=True, exist_ok=True)
        arguments = ["serve", "--port", "0", "--data", self.data, "--media-root", self.media, "--detector", "builtin"]
        models = ["--model", model, "--model", "gpen-lite-256"]
        environment = {**os.environ, "GPENVID_WEIGHTS": str(folder / "weights"), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gpenvid", *map(str, (*arguments, *models, *options))],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        )
        self.said: list[str] = []
        self._answers = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._answers.wait(timeout=120), self.said
        found = re.search(r"(http://127\.0\.0\.1:\d+)/v1", self.text)
        assert found, self.text
        self.url = found[1]
        self.client = httpx.Client(base_url=self.url, timeout=120, headers=headers, trust_env=False)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if "answers at" in line:
                self._answers.set()
        self._answers.set()

    @property
    def text(self) -> str:
        """All it wrote."""
        return "".join(self.said)

    def submit(self, path: Path, name: str | None = None, **fields: str) -> dict[str, Any]:
        """Upload a file; the job."""
        with path.open("rb") as file:
            answer = self.client.post("/v1/jobs", files={"file": (name or path.name, file)}, data=fields)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def job(self, job_id: str) -> dict[str, Any]:
        """A job."""
        return dict(self.client.get(f"/v1/jobs/{job_id}").json())

    def until(self, job_id: str, good: Callable[[dict[str, Any]], bool], seconds: float = 120) -> dict[str, Any]:
        """A job once it is as wanted."""
        deadline = time.monotonic() + seconds
        while not good(job := self.job(job_id)):
            assert time.monotonic() < deadline, job
            assert job["state"] not in FINISHED, job
            time.sleep(0.05)
        return job

    def finished(self, job_id: str, seconds: float = 120) -> dict[str, Any]:
        """A job once it is finished."""
        return self.until(job_id, lambda j: j["state"] in FINISHED, seconds)

    def rendering(self, job_id: str, frames: int = 1) -> dict[str, Any]:
        """A job once it has rendered so many frames."""
        return self.until(job_id, lambda j: (p := j["progress"]) is not None and p["stage"] == "render" and p["done"] >= frames)

    def end(self, kind: signal.Signals = signal.SIGTERM) -> int:
        """Stop the server; its exit status."""
        self.client.close()
        self.process.send_signal(kind)
        status = self.process.wait(timeout=60)
        self._reader.join(timeout=60)
        return status
