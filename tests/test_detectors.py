"""Detectors find what facexlib finds."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from gpenvid.errors import WeightsError
from gpenvid.faces.nms import non_maximum_suppression
from gpenvid.faces.retinaface import RetinaFaceDetector
from gpenvid.faces.retinaface_net import RetinaFaceNet, retinaface_from_state_dict
from gpenvid.job.models import open_detector
from gpenvid.job.progress import Silent
from gpenvid.restore.weights import read_state_dict, tensors_of

# facexlib 0.3.0, RetinaFace mobile0.25, threshold 0.5, on scikit-image's astronaut: box, score, five landmarks.
FACEXLIB_ASTRONAUT = [
    177.4888, 56.3874, 270.1356, 176.3808, 0.9998, 203.7209, 102.8011, 244.9730, 104.2151, 224.4128, 129.0836, 202.6524, 139.0234, 244.8419,
    140.1126,
]  # fmt: skip


@pytest.fixture
def detector(retinaface) -> RetinaFaceDetector:
    return RetinaFaceDetector(retinaface_from_state_dict(tensors_of(read_state_dict(retinaface))))


def test_retinaface_equals_facexlib_to_a_hundredth_of_a_pixel(detector: RetinaFaceDetector, astronaut: np.ndarray) -> None:
    (face,) = detector.detect([astronaut])[0]
    found = np.concatenate([face.box, [face.score], face.landmarks.ravel()])
    assert np.abs(found - FACEXLIB_ASTRONAUT).max() < 0.01


def test_a_batch_gives_what_single_pictures_give(detector: RetinaFaceDetector, astronaut: np.ndarray) -> None:
    pictures = [astronaut, np.ascontiguousarray(astronaut[:, ::-1]), np.zeros_like(astronaut)]
    together = detector.detect(pictures)
    for picture, faces in zip(pictures, together, strict=True):
        alone = detector.detect([picture])[0]
        assert len(alone) == len(faces)
        for a, b in zip(alone, faces, strict=True):
            assert np.abs(a.landmarks - b.landmarks).max() < 1e-3


def test_no_pictures_give_no_faces(detector: RetinaFaceDetector) -> None:
    assert detector.detect([]) == []


def test_retinaface_agrees_with_yunet(detector: RetinaFaceDetector, astronaut: np.ndarray, shared) -> None:
    yunet = cv2.FaceDetectorYN.create(str(shared / "weights" / "face_detection_yunet_2023mar.onnx"), "", (512, 512))
    _, rows = yunet.detect(np.ascontiguousarray(astronaut[:, :, ::-1]))
    theirs = rows[0][4:14].reshape(5, 2)
    # YuNet names sides as the sitter's.
    (face,) = detector.detect([astronaut])[0]
    assert np.hypot(*(np.sort(theirs[:2], axis=0) - np.sort(face.landmarks[:2], axis=0)).T).max() < 0.1 * face.eye_distance


def test_resnet_layout_loads_and_runs() -> None:
    net = RetinaFaceNet("resnet50")
    loaded = retinaface_from_state_dict({f"module.{k}": v for k, v in net.state_dict().items()})
    boxes, logits, landmarks = loaded(torch.zeros(1, 3, 64, 96))
    anchors = 2 * (8 * 12 + 4 * 6 + 2 * 3)
    assert boxes.shape == (1, anchors, 4)
    assert logits.shape == (1, anchors, 2)
    assert landmarks.shape == (1, anchors, 10)


def test_other_weights_are_refused() -> None:
    with pytest.raises(WeightsError, match="RetinaFace"):
        retinaface_from_state_dict({"conv.weight": torch.zeros(1)})


def test_suppression_keeps_the_best_of_overlapping_boxes() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]], np.float32)
    assert non_maximum_suppression(boxes, np.array([0.5, 0.9, 0.7], np.float32), 0.4) == [1, 2]


def test_the_built_in_detector_finds_the_astronaut(astronaut: np.ndarray) -> None:
    detector = open_detector("builtin", "cpu", Silent())
    assert detector.name == "builtin"
    (face,) = [f for f in detector.detect([astronaut])[0] if f.score >= detector.sure]
    expected = np.array(FACEXLIB_ASTRONAUT[5:]).reshape(5, 2)
    assert np.hypot(*(face.landmarks - expected).T).mean() < 0.06 * 41


def test_auto_is_retinaface_where_its_file_is_here(retinaface: object) -> None:
    assert open_detector("auto", "cpu", Silent()).name == "retinaface-mobilenet"


def test_auto_is_the_built_in_detector_elsewhere() -> None:
    assert open_detector("auto", "cpu", Silent()).name == "builtin"
