"""What a wrong restoration costs: pixels at several sizes, edges, and what a frozen face network sees."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpenvid.faces.retinaface_net import RetinaFaceNet
from weights.training.colour import keep_source_colour
from weights.training.identity import Identity

_MEAN_BGR = (104.0, 117.0, 123.0)
_TYPICAL, _LEAST = 0.06, 0.02
"""Pixel error of an ordinary damaged face, and what is added so that an undamaged one does not count without end."""


class FaceFeatures(nn.Module):
    """The backbone of RetinaFace (mobilenet) as a frozen eye for faces.

    `forward` takes RGB in [-1, 1], (N, 3, H, W), and returns features at strides 4, 8, 16 and 32.
    """

    mean: Tensor

    def __init__(self, net: RetinaFaceNet) -> None:
        super().__init__()
        stage1 = net.body.stage1
        assert isinstance(stage1, nn.Sequential)
        self.parts = nn.ModuleList([stage1[:4], stage1[4:], net.body.stage2, net.body.stage3])
        self.register_buffer("mean", torch.tensor(_MEAN_BGR).view(1, 3, 1, 1))

    def forward(self, x: Tensor) -> list[Tensor]:
        x = (x.flip(1) + 1) * 127.5 - self.mean
        features = []
        for part in self.parts:
            x = part(x)
            features.append(x)
        return features


def feature_distance(found: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """Mean over the levels of the mean absolute difference, relative to the mean size of the wanted features. (N,)."""
    parts = [(a - b).abs().mean((1, 2, 3)) / b.abs().mean((1, 2, 3)) for a, b in zip(found, wanted, strict=True)]
    return torch.stack(parts).mean(0)


def pyramid_l1(found: Tensor, wanted: Tensor, levels: int = 4) -> Tensor:
    """Mean over `levels` halvings of the mean absolute difference. (N,)."""
    difference = found - wanted
    total = difference.abs().mean((1, 2, 3))
    for _ in range(levels - 1):
        difference = F.avg_pool2d(difference, 2)
        total = total + difference.abs().mean((1, 2, 3))
    return total / levels


def gradient_l1(found: Tensor, wanted: Tensor) -> Tensor:
    """Mean absolute difference of the differences between neighbours. (N,)."""
    d = found - wanted
    return (d[..., 1:] - d[..., :-1]).abs().mean((1, 2, 3)) + (d[..., 1:, :] - d[..., :-1, :]).abs().mean((1, 2, 3))


@dataclass(frozen=True)
class LossWeights:
    """How much each part counts against the pixels.

    Attributes:
        features: distance of RetinaFace features.
        identity: one minus the cosine of the identities.
        even: 0 sums plain errors, which heavy damage dominates; 1 divides each face's loss by how damaged it came in, as PSNR gains
            and feature ratios do.
    """

    features: float = 0.5
    identity: float = 0.0
    even: float = 0.0


def restorer_loss(
    output: Tensor, source: Tensor, clean: Tensor, features: FaceFeatures, identity: Identity | None, weights: LossWeights
) -> tuple[Tensor, Tensor]:
    """The loss to train on, and its parts (pixels, gradients, features, identity) for the log; all after the colour step.

    Args:
        output: of the network, (N, 3, H, W) in [-1, 1].
        source: what went in.
        clean: what should come out.
        features: the frozen face network.
        identity: the frozen identity network; needed where its weight is not 0.
        weights: of the parts.
    """
    restored = keep_source_colour(output, source)
    pixels, edges = pyramid_l1(restored, clean), gradient_l1(restored, clean)
    with torch.no_grad():
        wanted = features(clean)
        worth = (_TYPICAL / (pyramid_l1(source, clean) + _LEAST)) ** weights.even
    seen = feature_distance(features(restored), wanted)
    total = pixels + 0.5 * edges + weights.features * seen
    parts = [pixels, edges, seen]
    if identity is not None:
        # Every second face stands for two: identity costs as much as the generator's own forward pass.
        with torch.no_grad():
            person = identity(clean[::2])
        parts.append((1 - (identity(restored[::2]) * person).sum(1)).repeat_interleave(2)[: len(clean)])
        total = total + weights.identity * parts[-1]
    return (worth * total).mean(), torch.stack([p.mean() for p in parts]).detach()
