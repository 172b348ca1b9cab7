"""Does resident memory stay flat? Restores a long 720p clip and records resident memory as frames go by.

Prints a Markdown table; exits with 1 if memory after the last frame is more than 10% above that after 200 frames.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import psutil
import skimage.data

import gpenvid
from gpenvid import RestoreSettings

ALLOWED = 1.10


def write_clip(path: Path, frames: int) -> None:
    """A 1280 x 720 clip of the public-domain astronaut portrait moving slowly."""
    portrait = skimage.data.astronaut()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for t in range(frames):
            matrix = np.array([[1.4, 0, 280 + 40 * np.sin(t / 40)], [0, 1.4, 10 * np.cos(t / 55)]])
            picture = cv2.warpAffine(portrait, matrix, (1280, 720), borderMode=cv2.BORDER_REFLECT_101)
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = t, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


class MemoryByFrame:
    """Progress that records resident memory in the render stage."""

    def __init__(self) -> None:
        self.process = psutil.Process()
        self.stage_name, self.frames = "", 0
        self.resident: dict[int, int] = {}

    def stage(self, name: str, total: int) -> None:
        """Begin counting anew."""
        self.stage_name, self.frames = name, 0

    def advance(self, frames: int, faces: int = 0) -> None:
        """Record every hundred frames."""
        self.frames += frames
        if self.stage_name == "render" and self.frames % 100 == 0:
            self.resident[self.frames] = self.process.memory_info().rss

    def note(self, text: str) -> None:
        """Nothing."""


def main() -> int:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--model", default="gpen-lite-256")
    parser.add_argument("--detector", default="auto")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "long.mp4"
        write_clip(source, options.frames)
        watch = MemoryByFrame()
        settings = RestoreSettings(model=options.model, detector=options.detector, preset="veryfast")
        report = gpenvid.restore(source, Path(folder) / "out.mp4", settings, watch)
    first, last = watch.resident[200], watch.resident[max(watch.resident)]
    print(f"{platform.processor() or platform.machine()}, {psutil.cpu_count()} cores; {report.restorer.name} {report.restorer.dtype}\n")
    print("| frames | resident MiB |\n|---|---|")
    for frames in sorted(watch.resident):
        if frames in (200, 500, 1000, 1500) or frames == max(watch.resident):
            print(f"| {frames} | {watch.resident[frames] / 2**20:.0f} |")
    print(f"\nratio {last / first:.3f} (allowed {ALLOWED}); {report.frames / report.timing['wall']:.1f} fps end to end")
    return int(last > ALLOWED * first)


if __name__ == "__main__":
    sys.exit(main())
