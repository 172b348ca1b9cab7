"""Pictures and faces made up for tests: a texture that flow can hold on to, and a face of average shape anywhere in it."""

from __future__ import annotations

import cv2
import numpy as np

from gpenvid.faces.align import GPEN
from gpenvid.faces.reuse import SmallFrame
from gpenvid.geometry import Face

SIZE = (320, 240)
SHAPE = (np.array(GPEN.points) - np.mean(GPEN.points, axis=0)) / GPEN.eye_distance
"""The five landmarks about their mean, in eye distances."""


def texture(seed: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Soft spots of a few pixels, (H, W) uint8."""
    noise = np.random.default_rng(seed).normal(0, 1, size[::-1]).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 2.0)
    return np.asarray(np.clip(128 + 40 * soft / soft.std(), 0, 255), np.uint8)


def face_at(x: float, y: float, eyes: float = 30.0, score: float = 0.95) -> Face:
    """A face whose landmarks lie about (x, y)."""
    middle = np.array([x, y])
    half = eyes * np.array([1.1, 1.4])
    return Face(np.concatenate([middle - half, middle + half]), score, middle + eyes * SHAPE)


def small(gray: np.ndarray) -> SmallFrame:
    """A grey picture as the analysis takes it."""
    return SmallFrame(np.repeat(gray[:, :, None], 3, axis=2), gray)


def moved(picture: np.ndarray, x: float, y: float = 0.0) -> np.ndarray:
    """The picture's content shifted, mirrored at the border."""
    height, width = picture.shape[:2]
    shift = np.array([[1.0, 0.0, x], [0.0, 1.0, y]])
    return np.asarray(cv2.warpAffine(picture, shift, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101))
