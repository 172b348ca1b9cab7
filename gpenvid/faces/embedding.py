"""Is it still the same person? An identity embedding of aligned crops."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gpenvid.errors import WeightsError
from gpenvid.faces.align import Template, fit_similarity
from gpenvid.geometry import compose, invert, resize_affine

_SIDE = 112
_LEAST_NUMBERS = 32
# The five points that embedding networks of the ArcFace family are trained with, in a 112 x 112 crop.
_POINTS = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])


class FaceEmbedder:
    """Runs an ONNX embedding network (MobileFaceNet and its like: 112 x 112 RGB, (x - 127.5) / 127.5) with OpenCV.

    Raises:
        WeightsError: if the file cannot be read as such a network.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._net = cv2.dnn.readNetFromONNX(str(path))
            vector = self._forward(np.zeros((_SIDE, _SIDE, 3), np.float32))
        except cv2.error as error:
            raise WeightsError(f"{path}: not a network OpenCV can run ({error.err})", "choose an ONNX embedding network") from error
        if vector.size < _LEAST_NUMBERS:
            raise WeightsError(f"{path}: gives {vector.size} numbers for a face, which is no embedding", "choose an ONNX embedding network")

    def embed(self, crop: NDArray[np.float32], template: Template) -> NDArray[np.float32]:
        """The embedding, of length 1, of an aligned crop (S, S, 3) float32 RGB in [0, 1]."""
        side = crop.shape[0]
        to_face = fit_similarity(template.at(side), _POINTS)
        smaller = round(side * float(np.hypot(*to_face[:, 0])))
        if smaller < side:  # sampling would alias: `warpAffine` averages no areas, whatever it is asked for
            crop = np.asarray(cv2.resize(crop, (smaller, smaller), interpolation=cv2.INTER_AREA), np.float32)
            to_face = compose(to_face, invert(resize_affine(smaller / side, smaller / side)))
        face = cv2.warpAffine(crop, to_face, (_SIDE, _SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        vector = self._forward(np.asarray(face * np.float32(2) - np.float32(1), np.float32))
        return vector / max(float(np.linalg.norm(vector)), 1e-9)

    def _forward(self, face: NDArray[np.float32]) -> NDArray[np.float32]:
        self._net.setInput(cv2.dnn.blobFromImage(face))
        return np.asarray(self._net.forward(), np.float32).ravel()

    def likeness(self, a: NDArray[np.float32], b: NDArray[np.float32], template: Template) -> float:
        """Cosine between the embeddings of two aligned crops; the same person is about 0.8, another under 0.3."""
        return float(self.embed(a, template) @ self.embed(b, template))
