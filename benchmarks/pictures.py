"""Makes the pictures of the documentation: frames of the sample clips before and after, by the tool itself."""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2
import numpy as np

import gpenvid
from gpenvid import RestoreSettings
from gpenvid.media.reader import VideoReader

ROOT = Path(__file__).parent.parent
# Clip, frame, and the part of it that is shown: left, top, right, bottom.
SHOWN = {"interview": (62, (190, 30, 450, 290)), "old_film": (70, (60, 0, 300, 240))}
HEIGHT = 420


def picture(clip: Path, frame: int) -> np.ndarray:
    """One frame of a clip, (H, W, 3) uint8 BGR."""
    for found in VideoReader(clip).frames():
        if found.index == frame:
            return np.ascontiguousarray(found.thumbnail(found.width, found.height)[:, :, ::-1])
    raise SystemExit(f"{clip} has no frame {frame}")


def main() -> None:
    """Restore the samples and write `docs/pictures`."""
    target = ROOT / "docs" / "pictures"
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, (frame, (left, top, right, bottom)) in SHOWN.items():
            source, result = ROOT / "samples" / f"{name}.mp4", Path(folder) / f"{name}.mkv"
            gpenvid.restore(source, result, RestoreSettings(codec="ffv1"))
            parts = [picture(p, frame)[top:bottom, left:right] for p in (source, result)]
            factor = HEIGHT / (bottom - top)
            large = [cv2.resize(p, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC) for p in parts]
            cv2.imwrite(str(target / f"{name}.png"), np.hstack(large), [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main()
