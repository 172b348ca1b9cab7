"""RetinaFace as a detector: batched, with its own anchors, decoding and non-maximum suppression."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpenvid.faces.detector import CloseLook, RGBImage
from gpenvid.faces.nms import non_maximum_suppression
from gpenvid.faces.retinaface_net import RetinaFaceNet
from gpenvid.geometry import Face

_ANCHOR_SIZES = ((16, 32), (64, 128), (256, 512))
_VARIANCE = (0.1, 0.2)
_MEAN_BGR = (104.0, 117.0, 123.0)


@lru_cache(maxsize=8)
def _anchors(height: int, width: int) -> Tensor:
    """Anchors (A, 3) as centre x, centre y, side, in pixels of a height x width picture."""
    levels = []
    for stride, sizes in zip(RetinaFaceNet.strides, _ANCHOR_SIZES, strict=True):
        rows, columns = -(-height // stride), -(-width // stride)
        y, x = np.mgrid[0:rows, 0:columns]
        centres = (np.stack([x, y], axis=-1) + 0.5).reshape(-1, 1, 2).repeat(len(sizes), axis=1) * stride
        sides = np.broadcast_to(np.array(sizes, float)[None, :, None], (rows * columns, len(sizes), 1))
        levels.append(np.concatenate([centres, sides], axis=-1).reshape(-1, 3))
    return torch.from_numpy(np.concatenate(levels)).float()


class RetinaFaceDetector:
    """Detector over RetinaFace weights.

    Args:
        net: the network, in evaluation mode.
        threshold: least score in [0, 1] of a face that is reported.
        overlap: intersection over union above which the weaker of two boxes is dropped.
        device: where the network runs.
        close_look: see `Detector.close_look`.
    """

    def __init__(
        self,
        net: RetinaFaceNet,
        *,
        threshold: float = 0.5,
        overlap: float = 0.4,
        device: torch.device | None = None,
        close_look: CloseLook | None = None,
    ) -> None:
        self.device = device or torch.device("cpu")
        self.net = net.to(self.device)
        self.threshold = threshold
        self.overlap = overlap
        self.close_look = close_look

    @property
    def name(self) -> str:
        """`retinaface-mobilenet` or `retinaface-resnet50`."""
        return f"retinaface-{self.net.backbone}"

    @property
    def sure(self) -> float:
        """See `Detector.sure`."""
        return 0.8

    @torch.inference_mode()
    def detect(self, images: Sequence[RGBImage]) -> list[list[Face]]:
        """Find faces in pictures of one size; see `Detector.detect`."""
        if not images:
            return []
        batch = torch.from_numpy(np.stack(images)).to(self.device)
        x = batch.flip(-1).permute(0, 3, 1, 2).float() - torch.tensor(_MEAN_BGR, device=self.device).view(1, 3, 1, 1)
        boxes, logits, landmarks = self.net(x)
        scores = torch.softmax(logits, dim=-1)[..., 1]
        anchors = _anchors(images[0].shape[0], images[0].shape[1]).to(self.device)
        return [self._decode(anchors, *parts) for parts in zip(boxes, scores, landmarks, strict=True)]

    def _decode(self, anchors: Tensor, boxes: Tensor, scores: Tensor, landmarks: Tensor) -> list[Face]:
        chosen = torch.nonzero(scores > self.threshold)[:, 0]
        centre, side = anchors[chosen, :2], anchors[chosen, 2:]
        middle = centre + boxes[chosen, :2] * _VARIANCE[0] * side
        half = side * torch.exp(boxes[chosen, 2:] * _VARIANCE[1]) / 2
        points = centre[:, None] + landmarks[chosen].view(-1, 5, 2) * _VARIANCE[0] * side[:, None]
        corners: NDArray[np.float32] = torch.cat([middle - half, middle + half], dim=1).cpu().numpy()
        shape: NDArray[np.float32] = points.cpu().numpy()
        confidence: NDArray[np.float32] = scores[chosen].cpu().numpy()
        keep = non_maximum_suppression(corners, confidence, self.overlap)
        return [Face(corners[i], float(confidence[i]), shape[i]) for i in keep]
