"""Where the training data lies, and which tenth of it is never trained on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""(H, W, 3) uint8, RGB."""

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
WEIGHTS = ROOT / "weights"


def read_image(path: Path) -> Image:
    """Read a picture as (H, W, 3) uint8 RGB.

    Raises:
        FileNotFoundError: if there is no readable picture.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise FileNotFoundError(path)
    return np.ascontiguousarray(image[..., ::-1])


def write_image(path: Path, image: Image) -> None:
    """Write (H, W, 3) uint8 RGB."""
    cv2.imwrite(str(path), np.ascontiguousarray(image[..., ::-1]))


def held_out(path: Path) -> bool:
    """Whether a file belongs to the tenth that is kept for evaluation: decided by its folder and name alone."""
    digest = hashlib.sha256(f"{path.parent.name}/{path.name}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % 10 == 0


def portrait_files(*, evaluation: bool, shared: Path = SHARED) -> list[Path]:
    """The aligned portraits to train on, or those of the held-out tenth, in a fixed order."""
    return [p for p in sorted((shared / "faces").glob("*/*.webp")) if held_out(p) == evaluation]


def load_portraits(files: list[Path]) -> Image:
    """All portraits as one array (N, 256, 256, 3) uint8 RGB."""
    return np.stack([read_image(p) for p in files])


def video_frames(path: Path, every: int = 1) -> Iterator[Image]:
    """Each `every`-th frame of a video as RGB, in stored orientation; nothing where there is no video stream."""
    with av.open(str(path)) as container:
        if not container.streams.video:
            return
        container.streams.video[0].thread_type = "AUTO"
        for index, frame in enumerate(container.decode(container.streams.video[0])):
            if index % every == 0:
                yield frame.to_ndarray(format="rgb24")


def fit(image: Image, longer: int) -> Image:
    """Resize so that the longer side is `longer` pixels."""
    scale = longer / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR), np.uint8)
