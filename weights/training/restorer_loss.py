"""What a wrong restoration costs: pixels at several sizes, edges, and what a frozen face network sees."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpenvid.faces.retinaface_net import RetinaFaceNet
from weights.training.colour import keep_source_colour

_MEAN_BGR = (104.0, 117.0, 123.0)


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
    """Mean over `levels` halvings of the mean absolute difference."""
    difference = found - wanted
    total = difference.abs().mean()
    for _ in range(levels - 1):
        difference = F.avg_pool2d(difference, 2)
        total = total + difference.abs().mean()
    return total / levels


def gradient_l1(found: Tensor, wanted: Tensor) -> Tensor:
    """Mean absolute difference of the differences between neighbours."""
    d = found - wanted
    return (d[..., 1:] - d[..., :-1]).abs().mean() + (d[..., 1:, :] - d[..., :-1, :]).abs().mean()


def restorer_loss(output: Tensor, source: Tensor, clean: Tensor, features: FaceFeatures, weight: float) -> tuple[Tensor, Tensor]:
    """The loss to train on, and its parts (pixels, gradients, features) for the log; all after the colour step.

    Args:
        output: of the network, (N, 3, H, W) in [-1, 1].
        source: what went in.
        clean: what should come out.
        features: the frozen face network.
        weight: of the feature distance against the pixels.
    """
    restored = keep_source_colour(output, source)
    pixels, edges = pyramid_l1(restored, clean), gradient_l1(restored, clean)
    with torch.no_grad():
        wanted = features(clean)
    seen = feature_distance(features(restored), wanted).mean()
    return pixels + 0.5 * edges + weight * seen, torch.stack([pixels, edges, seen]).detach()
