"""The real facexlib against ours, on the same RetinaFace weights: boxes and landmarks agree to 0.01 pixels.

On a CPU-only torch, torchvision's compiled operators are missing; two are declared so that it imports, and its
suppression is replaced by a plain one, which is what facexlib calls it for.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import skimage.data
import torch

from gpenvid.faces.retinaface import RetinaFaceDetector
from gpenvid.faces.retinaface_net import retinaface_from_state_dict
from gpenvid.job.models import fetch
from gpenvid.job.progress import Silent
from gpenvid.restore.cards import find_card
from gpenvid.restore.weights import read_state_dict, tensors_of

_LIBRARY = torch.library.Library("torchvision", "FRAGMENT")


def declare_missing_operators() -> None:
    """Let torchvision import beside a torch without its operators."""
    for name in ("nms", "qnms"):
        try:
            _LIBRARY.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        except RuntimeError:
            return  # a complete torchvision brings its own


def plain_suppression(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """What torchvision.ops.nms does, by its definition."""
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    order, keep = scores.argsort(descending=True).tolist(), []
    while order:
        best = order.pop(0)
        keep.append(best)
        low, high = torch.maximum(boxes[order, :2], boxes[best, :2]), torch.minimum(boxes[order, 2:], boxes[best, 2:])
        shared = (high - low).clamp(min=0).prod(dim=1)
        order = [i for i, s in zip(order, (shared / (area[order] + area[best] - shared)).tolist(), strict=True) if s <= iou_threshold]
    return torch.tensor(keep)


def main() -> int:
    """Compare on the astronaut, at three sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, help="facexlib's detection_mobilenet0.25_Final.pth; downloaded if not given")
    path = parser.parse_args().weights or fetch(find_card("retinaface-mobilenet", "detector"), Silent())
    state = tensors_of(read_state_dict(path))
    declare_missing_operators()
    import torchvision
    from facexlib.detection.retinaface import RetinaFace

    torchvision.ops.nms = plain_suppression
    theirs = RetinaFace("mobile0.25", device=torch.device("cpu"))
    theirs.load_state_dict({k.removeprefix("module."): v for k, v in state.items()})
    ours = RetinaFaceDetector(retinaface_from_state_dict(state))
    worst = 0.0
    for step in (1, 2, 3):
        picture = np.ascontiguousarray(skimage.data.astronaut()[::step, ::step])
        with torch.no_grad():
            expected = theirs.detect_faces(np.ascontiguousarray(picture[:, :, ::-1]), 0.5)
        found = np.array([[*f.box, f.score, *f.landmarks.ravel()] for f in ours.detect([picture])[0]])
        assert found.shape == expected.shape, (found.shape, expected.shape)
        worst = max(worst, float(np.abs(found - expected).max()))
    print(f"largest difference to facexlib: {worst:.6f} pixels")
    return int(worst > 0.01)


if __name__ == "__main__":
    sys.exit(main())
