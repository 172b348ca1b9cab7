"""GPEN's forward pass arranged for a CPU: one crop at a time, and as few passes over memory as the algebra allows.

The numbers are those of `gpen.py` up to rounding, in float32 or in bf16. What differs:

- Gain and noise weight are folded into weights and biases once, when the generator is prepared.
- A styled convolution is `d * conv(s * x, w)`. For one crop both factors may sit in the weights instead of in the pictures.
  At high resolutions weights are a hundred times smaller than pictures, so they go there and the convolution's own
  bias is all that is left; at low ones they stay with the pictures.
- Encoder features are never joined to the picture for a convolution at full size: a convolution of two parts is the sum of two.
- In bf16 pictures and convolutions are bf16; the style network, demodulation and the sum of the RGB pictures stay float32.
- Where a value per channel is broadcast over a channels-last picture, it is repeated and the picture is seen as fewer, longer rows:
  PyTorch's loop over 16 channels runs at a fifth of the speed of its loop over a thousand numbers.

Measured against eager `gpen.py`, one thread: docs/benchmarks.md. Only public operators are used: fused ones of oneDNN
(`torch.ops.mkldnn`) measured the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from gpenvid.restore import gpen
from gpenvid.restore.gpen import GpenGenerator

_GAIN = math.sqrt(2.0)
_EPS = 1e-8
_LEAK = 0.2
_IN_WEIGHTS = 18  # style goes into the weights from this many pixels per output channel: both cost the same there
_LONG = 2048  # numbers in a row from which PyTorch's loop over a row runs at full speed


def _bend(x: Tensor) -> Tensor:
    return F.leaky_relu_(x, _LEAK)


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _column(x: Tensor) -> Tensor:
    """One value per output channel, for weights (O, I, k, k)."""
    return x.view(-1, 1, 1, 1)


def _row(x: Tensor) -> Tensor:
    """One value per input channel, for weights (O, I, k, k) and pictures (1, C, H, W)."""
    return x.view(1, -1, 1, 1)


def _rows(x: Tensor) -> Tensor:
    """A channels-last picture (1, C, H, W) as a matrix (H * W, C), without copying."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


class _Dense:
    """An equalised linear layer with its constants folded."""

    def __init__(self, layer: gpen.Linear) -> None:
        self.bends = layer.activate
        gain = _GAIN if layer.activate else 1.0
        self.weight = (layer.weight * (layer.scale * gain)).detach().contiguous()
        self.bias = (layer.bias * (layer.lr * gain)).detach().contiguous()

    def __call__(self, x: Tensor) -> Tensor:
        y = F.linear(x, self.weight, self.bias)
        return _bend(y) if self.bends else y


class _Encoder:
    """One encoder stage: blur, convolution, activation."""

    def __init__(self, stage: torch.nn.Sequential, dtype: torch.dtype, *, first: bool) -> None:
        blur, conv, bias = (None, *stage) if first else stage
        self.kernel = None if blur is None else cast(gpen.Blur, blur).kernel.to(dtype)
        conv, bias = cast(gpen.EncoderConv, conv), cast(gpen.Bias, bias)
        self.stride = conv.stride
        self.weight = _channels_last((conv.weight * (conv.scale * _GAIN)).detach().to(dtype))
        self.bias = (bias.bias * _GAIN).detach().to(dtype)

    def __call__(self, x: Tensor) -> Tensor:
        if self.kernel is not None:
            x = F.conv2d(x, self.kernel, padding=2, groups=x.shape[1])
        return _bend(F.conv2d(x, self.weight, self.bias, stride=self.stride))


class _Styled:
    """A styled convolution at a known resolution."""

    def __init__(self, layer: gpen.StyledConv, resolution: int, dtype: torch.dtype) -> None:
        conv = layer.conv
        self.dtype = dtype
        weight = (conv.weight[0] * conv.scale).detach()
        self.outputs, inputs = weight.shape[:2]
        self.style = _Dense(conv.modulation)
        self.energy = weight.square().sum(dim=(2, 3))
        self.in_weights = resolution**2 >= _IN_WEIGHTS * self.outputs
        self.kernel = conv.blur.kernel.to(dtype) if conv.blur else None
        parts = [inputs] if self.kernel is not None or inputs == self.outputs else [self.outputs, inputs - self.outputs]
        self.parts = parts
        enlarges = self.kernel is not None
        # Each as its operator wants it, or it is copied into that form at every call; styled in float32 and rounded once.
        kept = torch.float32 if self.in_weights else dtype
        self.weights = [_channels_last(w.transpose(0, 1) if enlarges else w).to(kept) for w in torch.split(weight, parts, dim=1)]
        bias = (layer.activate.bias * _GAIN).detach().to(dtype)
        self.bias, feature_bias = bias[: self.outputs].contiguous(), bias[self.outputs :]
        self.noise = float(layer.noise.weight) * _GAIN
        # Repeated a power of two times, as rows must divide the pixels evenly.
        times = 1 << max(1, _LONG // len(feature_bias)).bit_length() - 1
        self.feature_bias = feature_bias.repeat(min(resolution**2, times))

    def feature(self, x: Tensor) -> Tensor:
        """Encoder features as they stand beside this layer's output."""
        height, width = x.shape[2:]
        y = torch.add(self.feature_bias, _rows(x).view(-1, len(self.feature_bias)), alpha=self.noise)
        return _bend(y).view(1, height, width, -1).permute(0, 3, 1, 2)

    def __call__(self, code: Tensor, *pictures: Tensor) -> Tensor:
        """The layer's output without features. Two pictures are an output and its features, one is both joined, or the constant."""
        style = self.style(code)[0]
        scale = torch.rsqrt(self.energy.mv(style.square()) + _EPS) * _GAIN
        styles = torch.split(style, self.parts)
        if self.in_weights:
            weights = [self._styled(w, s, scale) for w, s in zip(self.weights, styles, strict=True)]
            return _bend(self._convolve(pictures, weights, self.bias))
        scaled = [x * _row(s.to(self.dtype)) for x, s in zip(pictures, styles, strict=True)]
        y = self._convolve(scaled, self.weights, None)
        return _bend(torch.addcmul(_row(self.bias), y, _row(scale.to(self.dtype))))

    def _styled(self, weight: Tensor, style: Tensor, scale: Tensor) -> Tensor:
        if self.kernel is not None:
            style, scale = scale, style
        return (weight * _row(style) * _column(scale)).to(self.dtype)

    def _convolve(self, pictures: list[Tensor] | tuple[Tensor, ...], weights: list[Tensor], bias: Tensor | None) -> Tensor:
        if self.kernel is not None:
            y = F.conv_transpose2d(pictures[0], weights[0], stride=2)
            return F.conv2d(y, self.kernel, bias, padding=1, groups=self.outputs)
        y = F.conv2d(pictures[0], weights[0], bias, padding=1)
        for x, weight in zip(pictures[1:], weights[1:], strict=True):
            y += F.conv2d(x, weight, padding=1)
        return y


class _ToPicture:
    """A layer to RGB, added to the enlarged picture of the level before it."""

    def __init__(self, layer: gpen.ToRGB) -> None:
        conv = layer.conv
        self.weight = (conv.weight[0, :, :, 0, 0] * conv.scale).detach().contiguous()
        self.style = _Dense(conv.modulation)
        self.bias = layer.bias.detach().view(1, 3)
        self.kernel = layer.kernel

    def __call__(self, code: Tensor, x: Tensor, features: Tensor, before: Tensor | None) -> Tensor:
        weight = (self.weight * self.style(code)).t().to(x.dtype)
        half, (height, width) = x.shape[1], x.shape[2:]
        y = torch.addmm(self.bias.to(x.dtype), _rows(x), weight[:half]).addmm_(_rows(features), weight[half:])
        rgb = y.view(1, height, width, 3).permute(0, 3, 1, 2).float()
        if before is None:
            return rgb
        return rgb + F.conv_transpose2d(before, self.kernel, stride=2, padding=1, groups=3)


class FusedGenerator:
    """A GPEN generator for inference on a CPU.

    Args:
        network: in float32, on the CPU; its weights are copied and it is not needed afterwards.
        dtype: what pictures are computed in, `torch.float32` or `torch.bfloat16`.

    Calling it takes and returns RGB float tensors in [-1, 1], (N, 3, size, size), as `GpenGenerator` does. A crop gives the
    same bytes in every batch, because crops are computed one by one: larger batches leave the caches and measure slower.
    """

    def __init__(self, network: GpenGenerator, dtype: torch.dtype = torch.float32) -> None:
        prior = network.generator
        self.size = network.shape.size
        self.dtype = dtype
        self._encoder = [_Encoder(network.encoder_stage(i), dtype, first=i == 0) for i in range(len(network.shape.channels))]
        self._code = _Dense(cast(gpen.Linear, network.final_linear[0]))
        self._style = [_Dense(cast(gpen.Linear, layer)) for layer in list(prior.style)[1:]]
        self._constant = _channels_last(prior.input.input.detach().to(dtype))
        self._first = _Styled(prior.conv1, 4, dtype)
        layers = [cast(gpen.StyledConv, layer) for layer in prior.convs]
        self._styled = [_Styled(layer, 4 << (i + 1) // 2, dtype) for i, layer in enumerate(layers)]
        self._to_picture = [_ToPicture(cast(gpen.ToRGB, layer)) for layer in (prior.to_rgb1, *prior.to_rgbs)]

    @torch.inference_mode()
    def __call__(self, x: Tensor, check: Callable[[], None] = lambda: None) -> Tensor:
        """Restore crops; `check` is called between layers, and what it raises ends the work."""
        # Copied, not made contiguous: the strides of one crop may be called contiguous in both orders, and a convolution take the other.
        crops = (torch.empty_like(one, dtype=self.dtype, memory_format=torch.channels_last).copy_(one) for one in torch.split(x, 1))
        return torch.cat([self._restore(crop, check) for crop in crops])

    def _restore(self, x: Tensor, check: Callable[[], None]) -> Tensor:
        features: list[Tensor] = []
        for stage in self._encoder:
            x = stage(x)
            features.insert(0, x)
        code = self._code(x.flatten(1).float())
        code = code * torch.rsqrt(code.square().mean(dim=1, keepdim=True) + _EPS)
        for layer in self._style:
            code = layer(code)
        x, beside = self._first(code, self._constant), self._first.feature(features[0])
        rgb = self._to_picture[0](code, x, beside, None)
        for level, feature in enumerate(features[1:]):
            check()
            enlarge, refine = self._styled[2 * level : 2 * level + 2]
            x = enlarge(code, torch.cat((x, beside), dim=1))
            x = refine(code, x, enlarge.feature(feature))
            beside = refine.feature(feature)
            rgb = self._to_picture[level + 1](code, x, beside, rgb)
        return rgb
