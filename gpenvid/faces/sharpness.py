"""How sharp a face is, whatever its size and contrast."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from gpenvid.faces.align import GPEN, fit_similarity
from gpenvid.geometry import FloatArray

_SIDE = 64
_FACE = np.s_[12:60, 14:50]  # of the crop: from brows to chin, without hair and background
_NOISE = 4.0  # grey levels: contrast below this says nothing


def sharpness(gray: NDArray[np.uint8], landmarks: FloatArray) -> float:
    """Spread of the Laplacian over spread of the grey values in the face, upright at 64 pixels a side.

    Real faces reach 0.2 (ten pixels between the eyes) to 0.8, out-of-focus ones fall under 0.1. Comparable between frames of one
    person, hardly between people.

    Args:
        gray: (H, W) uint8.
        landmarks: (5, 2) in its pixels.
    """
    matrix = fit_similarity(landmarks, np.array(GPEN.points) * _SIDE)
    factor = float(np.hypot(*matrix[:, 0]))
    low, high = np.floor(landmarks.min(axis=0)), np.ceil(landmarks.max(axis=0))
    margin = 1.5 * float((high - low).max()) + 4
    left, top = (max(0, int(v - margin)) for v in low)
    right, bottom = (int(v + margin) + 1 for v in high)
    region = gray[top:bottom, left:right]
    if min(region.shape) < 2:
        return 0.0
    if factor < 1:  # shrunk without this, large faces would alias into sharpness
        region = np.asarray(cv2.GaussianBlur(region, (0, 0), 0.4 / factor), np.uint8)
    matrix[:, 2] += matrix[:, :2] @ (left, top)
    crop = cv2.warpAffine(region, matrix, (_SIDE, _SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[_FACE]
    crop = crop.astype(np.float32)
    return float(cv2.Laplacian(crop, cv2.CV_32F).std() / (crop.std() + _NOISE))
