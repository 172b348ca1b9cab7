"""Heads turned: a portrait seen from another side, by the depth of an average head. The portraits are frontal, films are not.

Only as good as a first guess at a face's depth can be: where landmarks come to lie is for the teacher to say, not for the map.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from weights.training.data import Image

# In eye distances: half the head's width and height, its depth, and the nose before it.
_WIDE, _HIGH, _DEEP = 1.5, 1.9, 1.3
_NOSE, _NOSE_WIDE, _NOSE_HIGH = 0.35, 0.2, 0.3


def depth(side: int, landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Height (side, side) in pixels of a frontal head over its picture, from its five landmarks (5, 2)."""
    eye = float(np.linalg.norm(landmarks[1] - landmarks[0]))
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    middle = landmarks[[0, 1, 3, 4]].mean(axis=0)
    u, v = (x - middle[0]) / (_WIDE * eye), (y - middle[1]) / (_HIGH * eye)
    head = _DEEP * np.sqrt(np.clip(1 - u * u - v * v, 0, 1))
    u, v = (x - landmarks[2, 0]) / (_NOSE_WIDE * eye), (y - landmarks[2, 1]) / (_NOSE_HIGH * eye)
    nose = _NOSE * np.exp(-0.5 * (u * u + v * v))
    return np.asarray(cv2.GaussianBlur(((head + nose) * eye).astype(np.float32), (0, 0), 0.06 * eye), np.float32)


def turned(image: Image, landmarks: NDArray[np.float32], yaw: float, pitch: float) -> Image:
    """A frontal portrait, (S, S, 3) uint8 square, as seen with the head turned by `yaw` and `pitch` (radians)."""
    high = depth(image.shape[0], landmarks)
    image, high = _sheared(image, high, yaw, landmarks[2, 0])
    # A nod is a turn of the picture laid on its side.
    image, _ = _sheared(np.ascontiguousarray(image.transpose(1, 0, 2)), np.ascontiguousarray(high.T), pitch, landmarks[2, 1])
    return np.ascontiguousarray(image.transpose(1, 0, 2))


def _sheared(image: Image, high: NDArray[np.float32], angle: float, axis: float) -> tuple[Image, NDArray[np.float32]]:
    """Picture and heights after a turn about an upright axis: every row on its own, what is nearer hides what is behind it."""
    side = image.shape[0]
    x = np.arange(side, dtype=np.float32)
    there = (x - axis) * np.cos(angle) + high * np.sin(angle) + axis
    order = np.maximum.accumulate(there, axis=1) if angle > 0 else np.minimum.accumulate(there[:, ::-1], axis=1)[:, ::-1]
    order = order + np.float32(1e-4) * x  # strictly rising, for the inverse
    columns = np.stack([np.interp(x, row, x) for row in order]).astype(np.float32)
    rows = np.repeat(np.arange(side, dtype=np.float32)[:, None], side, axis=1)
    out, moved = (cv2.remap(p, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT) for p in (image, high))
    return np.asarray(out, np.uint8), np.asarray(moved * np.cos(angle), np.float32)
