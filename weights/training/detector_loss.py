"""Which cell answers for which face, and what a wrong answer costs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from gpenvid.faces.builtin_net import decode
from weights.training.teacher import Labelled

# Face sizes (square root of the box area, pixels) each stride answers for; they overlap, so that no size falls between.
_RANGES = {8: (0.0, 56.0), 16: (40.0, 120.0), 32: (88.0, 240.0), 64: (176.0, 1e9)}
_TOLERANCE = 1.4  # beyond its range by this factor a level may answer or not


def pack(samples: Sequence[Labelled], most: int = 32) -> tuple[Tensor, Tensor, Tensor]:
    """Samples as images (N, 3, H, W) uint8, faces (N, most, 14) as box and landmarks, and state (N, most): 1 sure, 2 doubtful, 0 none."""
    images = torch.stack([torch.from_numpy(s.image.transpose(2, 0, 1).copy()) for s in samples])
    faces = torch.zeros(len(samples), most, 14)
    state = torch.zeros(len(samples), most, dtype=torch.uint8)
    for i, s in enumerate(samples):
        n = min(most, len(s.boxes))
        faces[i, :n, :4] = torch.from_numpy(s.boxes[:n])
        faces[i, :n, 4:] = torch.from_numpy(s.landmarks[:n].reshape(n, 10))
        state[i, :n] = torch.where(torch.from_numpy(s.sure[:n]), 1, 2)
    return images, faces, state


def assign(faces: Tensor, state: Tensor, where: Tensor) -> tuple[Tensor, Tensor]:
    """For every cell the index (N, A) of the face it answers for, or -1; and whether its score counts (N, A).

    A cell answers if it lies near the centre of a face of its level's size. Cells inside a face that is doubtful, or that a
    neighbouring level answers for, are left out of the score loss.
    """
    box = faces[:, None, :, :4]
    centre = (box[..., :2] + box[..., 2:]) / 2
    extent = (box[..., 2:] - box[..., :2]).clamp(min=1e-3)
    size = extent.prod(-1).sqrt()
    points, stride = where[None, :, None, :2], where[None, :, None, 2]
    low = torch.zeros_like(stride)
    high = torch.zeros_like(stride)
    for level, (least, most) in _RANGES.items():
        low = torch.where(stride == level, least, low)
        high = torch.where(stride == level, most, high)
    offset = (points - centre).abs()
    radius = torch.maximum(stride * 0.5, torch.minimum(stride * 1.5, size * 0.3))
    near = (offset <= radius[..., None]).all(-1)
    inside = (offset <= extent / 2).all(-1)
    sure, doubtful = (state == 1)[:, None], (state == 2)[:, None]
    fits = (size >= low) & (size <= high)
    nearly = (size >= low / _TOLERANCE) & (size <= high * _TOLERANCE)
    positive = near & sure & fits
    distance = torch.where(positive, offset.square().sum(-1), torch.inf)
    best, index = distance.min(-1)
    index = torch.where(torch.isfinite(best), index, -1)
    unclear = (inside & doubtful).any(-1) | (near & sure & nearly).any(-1)
    return index, (index >= 0) | ~unclear


def overlap_loss(boxes: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Generalised IoU loss (N,) and the plain IoU (N,) of paired boxes (N, 4)."""
    low, high = torch.maximum(boxes[:, :2], targets[:, :2]), torch.minimum(boxes[:, 2:], targets[:, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    union = (boxes[:, 2:] - boxes[:, :2]).prod(-1) + (targets[:, 2:] - targets[:, :2]).prod(-1) - shared
    hull = (torch.maximum(boxes[:, 2:], targets[:, 2:]) - torch.minimum(boxes[:, :2], targets[:, :2])).prod(-1)
    iou = shared / union.clamp(min=1e-6)
    return 1 - iou + (hull - union) / hull.clamp(min=1e-6), iou


def detector_loss(raw: Tensor, faces: Tensor, state: Tensor, where: Tensor) -> dict[str, Tensor]:
    """Losses of raw predictions (N, A, 15): `score` (quality focal loss, its target the overlap reached), `box`, `points`, `total`."""
    index, counts = assign(faces, state, where)
    n, a = torch.nonzero(index >= 0, as_tuple=True)
    positives = max(1, len(n))
    target = faces[n, index[n, a]]
    _, boxes, points = decode(raw[n, a], where[a])
    box, iou = overlap_loss(boxes, target[:, :4])
    width = (target[:, 2:4] - target[:, :2]).prod(-1).clamp(min=1).sqrt()
    error = (points - target[:, 4:].view(-1, 5, 2)).abs() / width[:, None, None]
    # Linear well below the tolerance (5% of the eye distance is 2% of the face), so that small errors keep shrinking.
    landmark = torch.where(error < 0.01, error.square() / 0.02, error - 0.005).mean((1, 2))

    quality = torch.zeros_like(raw[..., 0])
    quality[n, a] = iou.detach().clamp(min=0.1)
    logit = raw[..., 0]
    focal = (torch.sigmoid(logit).detach() - quality).abs().square()
    score = F.binary_cross_entropy_with_logits(logit, quality, reduction="none") * focal * counts
    losses = {"score": score.sum() / positives, "box": box.sum() / positives, "points": landmark.sum() / positives}
    losses["total"] = 2 * losses["score"] + losses["box"] + 12 * losses["points"]
    return losses
