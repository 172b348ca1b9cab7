"""The detector that needs no weight file: OpenCV's Haar cascades, with landmarks at an average face's places."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gpenvid.errors import WeightsError
from gpenvid.faces.detector import RGBImage
from gpenvid.geometry import Face

# Landmarks as fractions of the cascade's box, averaged over the aligned portraits of a public face set.
_MEAN_SHAPE = np.array([[0.31, 0.385], [0.69, 0.385], [0.50, 0.60], [0.345, 0.775], [0.655, 0.775]])
_LEAST_FACE = 24  # pixels


class HaarDetector:
    """Frontal faces by Viola and Jones (CVPR 2001); eyes refined by a second cascade.

    A weak detector: frontal faces only, false positives, rough landmarks, 0.1 s and more for a 640 x 480 picture.
    """

    name = "haar"

    def __init__(self) -> None:
        folder = Path(cv2.__file__).parent / "data"
        self._faces = cv2.CascadeClassifier(str(folder / "haarcascade_frontalface_alt2.xml"))
        self._eyes = cv2.CascadeClassifier(str(folder / "haarcascade_eye.xml"))
        if self._faces.empty() or self._eyes.empty():
            raise WeightsError("OpenCV's Haar cascades are missing", "install opencv-python 4.12 to 4.x")

    def detect(self, images: Sequence[RGBImage]) -> list[list[Face]]:
        """Find faces; see `Detector.detect`. Scores are squashed cascade weights and not comparable to a network's."""
        return [self._detect_one(image) for image in images]

    def _detect_one(self, image: RGBImage) -> list[Face]:
        gray = cv2.equalizeHist(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
        boxes, _, weights = self._faces.detectMultiScale3(
            gray, scaleFactor=1.1, minNeighbors=5, minSize=(_LEAST_FACE, _LEAST_FACE), outputRejectLevels=True
        )
        faces = [self._face(np.asarray(gray, np.uint8), box, float(w)) for box, w in zip(boxes, np.ravel(weights), strict=True)]
        return sorted(faces, key=lambda f: -f.score)

    def _face(self, gray: NDArray[np.uint8], box: Sequence[int], weight: float) -> Face:
        x, y, w, h = (int(v) for v in box)
        landmarks = np.array([x, y]) + _MEAN_SHAPE * [w, h]
        upper = gray[y : y + h // 2 + h // 8, x : x + w]
        eyes = self._eyes.detectMultiScale(upper, 1.1, 4, minSize=(w // 6, w // 6), maxSize=(w // 2, w // 2))
        centres = np.array([[x + ex + ew / 2, y + ey + eh / 2] for ex, ey, ew, eh in eyes]).reshape(-1, 2)
        if len(centres) == 2:
            centres = centres[np.argsort(centres[:, 0])]
            shift = centres - landmarks[:2]
            if np.abs(shift).max() < 0.12 * w:
                landmarks = landmarks + shift.mean(axis=0)
                landmarks[:2] = centres
        score = 0.75 + 0.25 * float(np.tanh(weight / 4))
        return Face(np.array([x, y, x + w, y + h], float), score, landmarks)
