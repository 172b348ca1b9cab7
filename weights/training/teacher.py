"""What the teacher (RetinaFace, mobilenet) says about portraits and frames: the labels the detector learns from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gpenvid.faces.detector import Detector
from gpenvid.faces.retinaface import RetinaFaceDetector
from gpenvid.faces.retinaface_net import retinaface_from_state_dict
from gpenvid.geometry import Face, FloatArray
from weights.training.data import SHARED, Image, fit, video_frames

MIRROR = [1, 0, 2, 4, 3]
"""Which landmark each one is in the mirror."""
SURE = 0.5
"""Teacher score from which a face is taught; between `DOUBT` and this a region is left out of the loss."""
DOUBT = 0.08


@dataclass(frozen=True)
class Labelled:
    """A picture and the faces in it.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        boxes: (N, 4) pixels.
        landmarks: (N, 5, 2) pixels.
        sure: (N,) whether the face is to be found; where not, its region is neither right nor wrong.
    """

    image: Image
    boxes: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    sure: NDArray[np.bool_]


def load_teacher(threshold: float = DOUBT, shared: Path = SHARED) -> RetinaFaceDetector:
    """RetinaFace (mobilenet-0.25), reporting from a low score."""
    state = torch.load(shared / "weights" / "detection_mobilenet0.25_Final.pth", map_location="cpu", weights_only=True)
    return RetinaFaceDetector(retinaface_from_state_dict(state), threshold=threshold)


def label(image: Image, faces: list[Face]) -> Labelled:
    """A picture with the teacher's findings."""
    boxes = np.array([f.box for f in faces], np.float32).reshape(-1, 4)
    landmarks = np.array([f.landmarks for f in faces], np.float32).reshape(-1, 5, 2)
    return Labelled(image, boxes, landmarks, np.array([f.score >= SURE for f in faces], bool))


def label_portraits(teacher: Detector, portraits: Image, batch: int = 16) -> list[Labelled]:
    """Label aligned portraits; where the mirrored picture is seen too, the two opinions are averaged.

    Portraits in which the teacher is not sure of a face near the middle are left out.
    """
    labelled = []
    for start in range(0, len(portraits), batch):
        images = list(portraits[start : start + batch])
        mirrored = teacher.detect([np.ascontiguousarray(i[:, ::-1]) for i in images])
        for image, faces, others in zip(images, teacher.detect(images), mirrored, strict=True):
            if faces and faces[0].score >= 0.8 and np.abs(faces[0].landmarks[2] - 128).max() < 70:
                labelled.append(label(image, [_average(f, others, image.shape[1]) for f in faces]))
    return labelled


def mirrored(landmarks: FloatArray, width: int) -> NDArray[np.float64]:
    """Landmarks (5, 2) of a mirrored picture in the picture `width` pixels wide itself, or the other way round."""
    return np.asarray((np.array([width - 1, 0]) - landmarks * np.array([1, -1]))[MIRROR])


def _average(face: Face, others: list[Face], width: int) -> Face:
    for other in others:
        x0, y0, x1, y1 = other.box
        box = np.array([width - 1 - x1, y0, width - 1 - x0, y1])
        points = mirrored(other.landmarks, width)
        if np.abs(points - face.landmarks).max() < 0.25 * face.eye_distance:
            return Face((face.box + box) / 2, face.score, (face.landmarks + points) / 2)
    return face


def label_frames(teacher: Detector, frames: Iterable[Image]) -> list[Labelled]:
    """Label frames of any size."""
    return [label(frame, teacher.detect([frame])[0]) for frame in frames]


def training_frames(shared: Path = SHARED, every: int = 4) -> Iterable[Image]:
    """Frames of the format samples (never of the test clips), at 640 and at 320 pixels."""
    for path in sorted((shared / "media" / "formats").iterdir()):
        for frame in video_frames(path, every):
            yield fit(frame, 640)
            yield fit(frame, 320)
