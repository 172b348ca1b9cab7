"""The built-in detector's networks: single shot, anchor-free, five landmarks, small enough to ship.

A depthwise-separable backbone feeds a top-down pyramid on strides 8 to 64; on each level a small tower predicts, per cell,
one score, one box and five points relative to the cell. The wide levels see far (5x5 depthwise kernels), so that a face that
fills the picture is found as well as a face of a dozen pixels. A second, tiny network looks once more at every found face, turned
upright at 64x64, and moves its landmarks: one cell in thirty-two pixels cannot place an eye to a pixel, a look from close by can.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpenvid.errors import WeightsError

VALUES = 15
"""Raw numbers per cell: score logit, box centre (2), log box size (2), landmarks (10)."""

UNIT = 4.0
"""Regressions are in units of this many strides: a level's typical face is one to two units wide."""


@dataclass(frozen=True)
class DetectorShape:
    """What determines the network.

    Attributes:
        widths: channels at strides 2, 4, 8, 16, 32, 64.
        depths: residual blocks at strides 4, 8, 16, 32, 64.
        pyramid: channels of the pyramid and the heads.
    """

    widths: tuple[int, ...] = (16, 32, 64, 96, 128, 128)
    depths: tuple[int, ...] = (1, 2, 3, 2, 1)
    pyramid: int = 64


class _Unit(nn.Module):
    """Convolution, normalisation while training (folded into the convolution in shipped files), ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, *, groups: int = 1, relu: bool = True, normalise: bool = False
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=not normalise)
        self.norm = nn.BatchNorm2d(outputs) if normalise else None
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if self.norm is not None:
            x = self.norm(x)
        return F.relu(x, inplace=True) if self.relu else x


class _Separable(nn.Module):
    """Depthwise then pointwise; a residual block where shapes allow."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, *, normalise: bool = False) -> None:
        super().__init__()
        self.depthwise = _Unit(inputs, inputs, kernel, stride, groups=inputs, relu=False, normalise=normalise)
        self.pointwise = _Unit(inputs, outputs, 1, normalise=normalise)
        self.residual = inputs == outputs and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pointwise(self.depthwise(x))
        return x + y if self.residual else y


class LandmarkNet(nn.Module):
    """Moves the landmarks of a face that is roughly in place.

    `forward` takes upright faces (N, 3, 64, 64), valued as for `DetectorNet`, and returns (N, 11): the offsets of the five
    landmarks from `CLOSE_UP` in units of `OFFSET` pixels of the 64x64 crop, and the logit that this is a face.
    """

    def __init__(self, *, normalise: bool = False) -> None:
        super().__init__()
        n = normalise
        self.convs = nn.ModuleList(
            [
                _Unit(3, 16, 3, 2, normalise=n),
                _Unit(16, 32, 3, 2, normalise=n),
                _Unit(32, 32, 3, normalise=n),
                _Unit(32, 64, 3, 2, normalise=n),
                _Unit(64, 64, 3, normalise=n),
                _Unit(64, 64, 3, 2, normalise=n),
            ]
        )
        self.hidden = nn.Linear(64 * 4 * 4, 96)
        self.output = nn.Linear(96, 11)

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = conv(x)
        y: Tensor = self.output(F.relu(self.hidden(x.flatten(1))))
        return y


CLOSE_UP_SIDE = 64
"""Side in pixels of the crops that `LandmarkNet` sees."""

OFFSET = 8.0

CLOSE_UP = np.array([[22.4, 25.6], [41.6, 25.6], [32.0, 36.5], [24.1, 47.7], [39.9, 47.7]])
"""Where the five landmarks of an average face lie in such a crop: GPEN's template, 1.45 times closer."""


class DetectorNet(nn.Module):
    """The network. `refine`, where present, holds the second network; it has no part in `forward`.

    `forward` takes (N, 3, H, W) float RGB as `(value - 127.5) / 64` with values 0..255, any H and W, and returns raw
    predictions (N, A, `VALUES`), levels in order of `strides`, cells row by row; `decode` turns them into pixels.

    Args:
        shape: widths and depths.
        normalise: with batch normalisation, for training; shipped files have it folded in.
        refine: with the second network.
    """

    strides = (8, 16, 32, 64)

    def __init__(self, shape: DetectorShape, *, normalise: bool = False, refine: bool = False) -> None:
        super().__init__()
        self.shape = shape
        self.refine = LandmarkNet(normalise=normalise) if refine else None
        w, n = shape.widths, normalise
        self.stem = _Unit(3, w[0], 3, 2, normalise=n)
        self.stages = nn.ModuleList()
        for level, depth in enumerate(shape.depths):
            kernel = 3 if level < 2 else 5
            # On stride 4 a dense convolution is as fast as a separable one and sees edges better.
            first = _Unit(w[0], w[1], 3, 2, normalise=n) if level == 0 else _Separable(w[level], w[level + 1], kernel, 2, normalise=n)
            blocks = [_Separable(w[level + 1], w[level + 1], kernel, normalise=n) for _ in range(depth)]
            self.stages.append(nn.Sequential(first, *blocks))
        self.laterals = nn.ModuleList(_Unit(width, shape.pyramid, 1, normalise=n) for width in w[2:])
        self.merges = nn.ModuleList(_Separable(shape.pyramid, shape.pyramid, 3, normalise=n) for _ in w[2:-1])
        self.towers = nn.ModuleList(
            nn.Sequential(*(_Separable(shape.pyramid, shape.pyramid, 3, normalise=n) for _ in range(2))) for _ in self.strides
        )
        self.outputs = nn.ModuleList(nn.Conv2d(shape.pyramid, VALUES, 1) for _ in self.strides)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages[0](self.stem(x))
        features: list[Tensor] = []
        for stage, lateral in zip(list(self.stages)[1:], self.laterals, strict=True):
            x = stage(x)
            features.append(lateral(x))
        for level in range(len(features) - 2, -1, -1):
            wide = F.interpolate(features[level + 1], size=features[level].shape[-2:], mode="nearest")
            features[level] = self.merges[level](features[level] + wide)
        raw = [output(tower(f)) for f, tower, output in zip(features, self.towers, self.outputs, strict=True)]
        return torch.cat([r.permute(0, 2, 3, 1).flatten(1, 2) for r in raw], dim=1)


@lru_cache(maxsize=16)
def cells(height: int, width: int) -> Tensor:
    """The cells (A, 3) of a height x width picture as centre x, centre y and stride, in pixels."""
    parts = []
    for stride in DetectorNet.strides:
        y, x = np.mgrid[0 : -(-height // stride), 0 : -(-width // stride)]
        centres = (np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5) * stride - 0.5
        parts.append(np.concatenate([centres, np.full((len(centres), 1), stride)], axis=1))
    return torch.from_numpy(np.concatenate(parts)).float()


def decode(raw: Tensor, where: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Raw predictions (..., 15) and their cells (..., 3) as score logits (...), boxes (..., 4) and landmarks (..., 5, 2) in pixels."""
    centre, unit = where[..., :2], where[..., 2:] * UNIT
    middle = centre + raw[..., 1:3] * unit
    half = torch.exp(raw[..., 3:5].clamp(-6, 4)) * unit / 2
    points = centre[..., None, :] + raw[..., 5:].reshape(*raw.shape[:-1], 5, 2) * unit[..., None]
    return raw[..., 0], torch.cat([middle - half, middle + half], dim=-1), points


def detector_from_state_dict(state: Mapping[str, Tensor]) -> DetectorNet:
    """Build the network that a shipped file belongs to, in float32 and evaluation mode; widths and depths are read from the shapes.

    Raises:
        WeightsError: if the keys or shapes are of another network.
    """
    try:
        widths = [state["stem.conv.weight"].shape[0], state["stages.0.0.conv.weight"].shape[0]]
        widths += [state[f"stages.{i}.0.pointwise.conv.weight"].shape[0] for i in range(1, 5)]
        depths = tuple(len({k.split(".")[2] for k in state if k.startswith(f"stages.{i}.")}) - 1 for i in range(5))
        net = DetectorNet(
            DetectorShape(tuple(widths), depths, state["laterals.0.conv.weight"].shape[0]), refine="refine.output.weight" in state
        )
        net.load_state_dict({k: v.float() for k, v in state.items()})
    except (KeyError, IndexError, RuntimeError) as error:
        raise WeightsError("not the weights of the built-in detector", "choose the shipped face-det file") from error
    return net.eval().requires_grad_(False)
