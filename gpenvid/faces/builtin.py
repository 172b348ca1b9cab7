"""The built-in detector: batched, no download, an eighth of the size of the smallest RetinaFace."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpenvid.faces.builtin_net import DetectorNet, cells, decode
from gpenvid.faces.detector import RGBImage
from gpenvid.faces.nms import box_overlap
from gpenvid.geometry import Face

_SAME_FACE = 0.4  # overlap above which two candidates are one face
_AVERAGED = 0.6  # overlap above which a candidate adds its opinion to the best one's box and landmarks


def merge_candidates(boxes: NDArray[np.float32], scores: NDArray[np.float32], landmarks: NDArray[np.float32]) -> list[Face]:
    """One face per group of overlapping candidates, best score first.

    Box and landmarks are the score-weighted mean over the close candidates: neighbouring cells err independently, so their
    mean jitters less from frame to frame than the single best cell.

    Args:
        boxes: (N, 4) pixels.
        scores: (N,) in [0, 1].
        landmarks: (N, 5, 2) pixels.
    """
    faces: list[Face] = []
    order = np.argsort(-scores, kind="stable")
    while order.size:
        overlap = box_overlap(boxes[order[:1]], boxes[order])[0]
        close = order[overlap >= _AVERAGED]
        weight = scores[close] / scores[close].sum()
        box = np.einsum("n,ni->i", weight, boxes[close])
        points = np.einsum("n,nij->ij", weight, landmarks[close])
        faces.append(Face(box.astype(np.float32), float(scores[order[0]]), points.astype(np.float32)))
        order = order[overlap <= _SAME_FACE]
    return faces


class BuiltinDetector:
    """Detector over the built-in network.

    Args:
        net: the network, in evaluation mode.
        threshold: least score in [0, 1] of a face that is reported.
        device: where the network runs.
    """

    def __init__(self, net: DetectorNet, *, threshold: float = 0.5, device: torch.device | None = None) -> None:
        self.device = device or torch.device("cpu")
        self.net = net.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.threshold = threshold

    @property
    def name(self) -> str:
        """`builtin`."""
        return "builtin"

    @torch.inference_mode()
    def detect(self, images: Sequence[RGBImage]) -> list[list[Face]]:
        """Find faces in pictures of one size; see `Detector.detect`."""
        if not images:
            return []
        batch = torch.from_numpy(np.stack(images)).to(self.device)
        x = (batch.permute(0, 3, 1, 2).float() - 127.5) / 64.0
        where = cells(images[0].shape[0], images[0].shape[1]).to(self.device)
        return [self._decode(raw, where) for raw in self.net(x)]

    def _decode(self, raw: Tensor, where: Tensor) -> list[Face]:
        chosen = torch.nonzero(torch.sigmoid(raw[:, 0]) > self.threshold)[:, 0]
        logits, boxes, landmarks = decode(raw[chosen], where[chosen])
        return merge_candidates(boxes.cpu().numpy(), torch.sigmoid(logits).cpu().numpy(), landmarks.cpu().numpy())
