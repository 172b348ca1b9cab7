"""The RetinaFace networks, in the key layout of facexlib's published files.

Architecture: Deng et al., "RetinaFace: Single-shot Multi-level Face Localisation in the Wild", CVPR 2020; layers as in
facexlib 0.3.0 (repository xinntao/facexlib, after biubug6/Pytorch_Retinaface), backbones MobileNetV1 x 0.25 and ResNet-50.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpenvid.errors import WeightsError


def _conv_bn(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, leak: float | None = None, groups: int = 1) -> list[nn.Module]:
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    if leak is not None:
        layers.append(nn.LeakyReLU(leak, inplace=True))
    return layers


def _separable(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    depthwise = _conv_bn(inputs, inputs, 3, stride, leak=0.1, groups=inputs)
    return nn.Sequential(*depthwise, *_conv_bn(inputs, outputs, 1, leak=0.1))


class _MobileNet(nn.Module):
    widths = (64, 128, 256)

    def __init__(self) -> None:
        super().__init__()
        steps = [(8, 16, 1), (16, 32, 2), (32, 32, 1), (32, 64, 2), (64, 64, 1)]
        first = nn.Sequential(*_conv_bn(3, 8, 3, 2, leak=0.1))
        self.stage1 = nn.Sequential(first, *(_separable(*s) for s in steps))
        self.stage2 = nn.Sequential(_separable(64, 128, 2), *(_separable(128, 128, 1) for _ in range(5)))
        self.stage3 = nn.Sequential(_separable(128, 256, 2), _separable(256, 256, 1))

    def forward(self, x: Tensor) -> list[Tensor]:
        first = self.stage1(x)
        second = self.stage2(first)
        return [first, second, self.stage3(second)]


class _Bottleneck(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width
        self.conv1, self.bn1 = _conv_bn(inputs, width, 1)
        self.conv2, self.bn2 = _conv_bn(width, width, 3, stride)
        self.conv3, self.bn3 = _conv_bn(width, outputs, 1)
        self.downsample = nn.Sequential(*_conv_bn(inputs, outputs, 1, stride)) if inputs != outputs or stride != 1 else None

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + (x if self.downsample is None else self.downsample(x)))


class _ResNet50(nn.Module):
    widths = (512, 1024, 2048)

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        inputs = 64
        for i, (width, blocks) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)], start=1):
            layer = [_Bottleneck(inputs, width, 1 if i == 1 else 2)]
            layer += [_Bottleneck(4 * width, width, 1) for _ in range(blocks - 1)]
            setattr(self, f"layer{i}", nn.Sequential(*layer))
            inputs = 4 * width

    def forward(self, x: Tensor) -> list[Tensor]:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        features = []
        for i in range(1, 5):
            x = getattr(self, f"layer{i}")(x)
            features.append(x)
        return features[1:]


class _FeaturePyramid(nn.Module):
    def __init__(self, widths: tuple[int, ...], outputs: int, leak: float) -> None:
        super().__init__()
        for i, width in enumerate(widths, start=1):
            setattr(self, f"output{i}", nn.Sequential(*_conv_bn(width, outputs, 1, leak=leak)))
        self.merge1 = nn.Sequential(*_conv_bn(outputs, outputs, leak=leak))
        self.merge2 = nn.Sequential(*_conv_bn(outputs, outputs, leak=leak))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        fine, middle, coarse = (getattr(self, f"output{i}")(x) for i, x in enumerate(features, start=1))
        middle = self.merge2(middle + F.interpolate(coarse, size=middle.shape[-2:], mode="nearest"))
        fine = self.merge1(fine + F.interpolate(middle, size=fine.shape[-2:], mode="nearest"))
        return [fine, middle, coarse]


class _ContextHead(nn.Module):
    """SSH: 3x3, 5x5 and 7x7 context, the larger ones as stacks of 3x3."""

    def __init__(self, width: int, leak: float) -> None:
        super().__init__()
        quarter = width // 4
        self.conv3X3 = nn.Sequential(*_conv_bn(width, width // 2))
        self.conv5X5_1 = nn.Sequential(*_conv_bn(width, quarter, leak=leak))
        self.conv5X5_2 = nn.Sequential(*_conv_bn(quarter, quarter))
        self.conv7X7_2 = nn.Sequential(*_conv_bn(quarter, quarter, leak=leak))
        self.conv7x7_3 = nn.Sequential(*_conv_bn(quarter, quarter))

    def forward(self, x: Tensor) -> Tensor:
        middle = self.conv5X5_1(x)
        wide = self.conv7x7_3(self.conv7X7_2(middle))
        return F.relu(torch.cat((self.conv3X3(x), self.conv5X5_2(middle), wide), dim=1))


class _Head(nn.Module):
    def __init__(self, inputs: int, values: int) -> None:
        super().__init__()
        self.conv1x1 = nn.Conv2d(inputs, 2 * values, 1)
        self.values = values

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv1x1(x)
        return y.permute(0, 2, 3, 1).reshape(y.shape[0], -1, self.values)


class RetinaFaceNet(nn.Module):
    """RetinaFace with two anchors per cell on strides 8, 16, 32.

    `forward` takes (N, 3, H, W) float, **BGR**, 0..255 minus (104, 117, 123), and returns raw regressions per anchor:
    boxes (N, A, 4), class logits (N, A, 2), landmarks (N, A, 10).
    """

    strides = (8, 16, 32)

    def __init__(self, backbone: str) -> None:
        super().__init__()
        body = _MobileNet() if backbone == "mobilenet" else _ResNet50()
        width = 64 if backbone == "mobilenet" else 256
        leak = 0.1 if width <= 64 else 0.0
        self.backbone = backbone
        self.body = body
        self.fpn = _FeaturePyramid(body.widths, width, leak)
        for i in (1, 2, 3):
            setattr(self, f"ssh{i}", _ContextHead(width, leak))
        self.ClassHead = nn.ModuleList(_Head(width, 2) for _ in self.strides)
        self.BboxHead = nn.ModuleList(_Head(width, 4) for _ in self.strides)
        self.LandmarkHead = nn.ModuleList(_Head(width, 10) for _ in self.strides)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        pyramid = self.fpn(self.body(x))
        features = [getattr(self, f"ssh{i}")(p) for i, p in enumerate(pyramid, start=1)]
        boxes, logits, landmarks = (
            torch.cat([head(f) for head, f in zip(heads, features, strict=True)], dim=1)
            for heads in (self.BboxHead, self.ClassHead, self.LandmarkHead)
        )
        return boxes, logits, landmarks


def retinaface_from_state_dict(state_dict: Mapping[str, Tensor]) -> RetinaFaceNet:
    """Build the network that a published facexlib file belongs to (backbone read from its keys), in evaluation mode.

    Raises:
        WeightsError: if the keys or shapes are of another network.
    """
    state = {k.removeprefix("module."): v for k, v in state_dict.items()}
    net = RetinaFaceNet("mobilenet" if "body.stage1.0.0.weight" in state else "resnet50")
    try:
        net.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise WeightsError("not the weights of a RetinaFace detector", "choose facexlib's published file") from error
    return net.eval().requires_grad_(False)
