"""GPEN's forward pass as an OpenVINO graph, written out operator by operator.

The same algebra as `gpen.py` (scale the input, convolve with constant weights, scale the output) with gain and noise weight folded as in
`fused.py`. Written out and not traced: a trace of the 512 layout took 16 seconds and three times its weights in memory, this
takes a quarter of a second, and there is nothing to keep between runs.

Operators: https://docs.openvino.ai, operation set 13.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpenvid.restore import gpen
from gpenvid.restore.gpen import GpenGenerator
from gpenvid.restore.quiet_openvino import Node, openvino
from gpenvid.restore.quiet_openvino import opset13 as ops

_GAIN = math.sqrt(2.0)
_EPS = 1e-8
_LEAK = 0.2


def gpen_graph(network: GpenGenerator) -> openvino.Model:
    """The graph of a generator: one input and one output, both RGB float32 in [-1, 1], (1, 3, size, size)."""
    prior = network.generator
    size = network.shape.size
    crop = x = ops.parameter([1, 3, size, size], np.float32, name="crop")
    features: list[Node] = []
    for index in range(len(network.shape.channels)):
        x = _encode(x, network.encoder_stage(index))
        features.insert(0, x)
    code = _normalise(_dense(ops.reshape(x, np.array([1, -1]), False), cast(gpen.Linear, network.final_linear[0])))
    for layer in list(prior.style)[1:]:
        code = _dense(code, cast(gpen.Linear, layer))
    x = _styled(_constant(prior.input.input), code, prior.conv1, features[0])
    rgb = _to_picture(x, code, prior.to_rgb1, None)
    layers = [cast(gpen.StyledConv, layer) for layer in prior.convs]
    for level, to_rgb in enumerate(prior.to_rgbs):
        for layer in layers[2 * level : 2 * level + 2]:
            x = _styled(x, code, layer, features[level + 1])
        rgb = _to_picture(x, code, cast(gpen.ToRGB, to_rgb), rgb)
    return openvino.Model([rgb], [crop], "gpen")


def _constant(values: Tensor | NDArray[np.float32]) -> Node:
    array = values.detach().numpy() if isinstance(values, Tensor) else values
    return ops.constant(np.ascontiguousarray(array, np.float32))


def _number(value: float) -> Node:
    return ops.constant(np.array(value, np.float32))


def _bend(x: Node) -> Node:
    return ops.prelu(x, ops.constant(np.array([_LEAK], np.float32)))


def _row(x: Node, channels: int) -> Node:
    """Numbers (1, C) as a factor for pictures (1, C, H, W)."""
    return ops.reshape(x, np.array([1, channels, 1, 1]), False)


def _rsqrt(x: Node) -> Node:
    return ops.power(ops.add(x, _number(_EPS)), _number(-0.5))


def _convolve(x: Node, weight: Tensor, *, stride: int = 1, padding: int = 0) -> Node:
    return ops.convolution(x, _constant(weight), [stride] * 2, [padding] * 2, [padding] * 2, [1, 1])


def _blur(x: Node, kernel: Tensor, padding: int) -> Node:
    return ops.group_convolution(x, _constant(kernel[:, None]), [1, 1], [padding] * 2, [padding] * 2, [1, 1])


def _dense(x: Node, layer: gpen.Linear) -> Node:
    gain = _GAIN if layer.activate else 1.0
    y = ops.matmul(x, _constant(layer.weight * (layer.scale * gain)), False, True)
    y = ops.add(y, _constant(layer.bias[None] * (layer.lr * gain)))
    return _bend(y) if layer.activate else y


def _normalise(x: Node) -> Node:
    return ops.multiply(x, _rsqrt(ops.reduce_mean(ops.multiply(x, x), np.array([1]), True)))


def _encode(x: Node, stage: torch.nn.Sequential) -> Node:
    *blur, conv, bias = stage
    if blur:
        x = _blur(x, cast(gpen.Blur, blur[0]).kernel, padding=2)
    conv, bias = cast(gpen.EncoderConv, conv), cast(gpen.Bias, bias)
    y = _convolve(x, conv.weight * (conv.scale * _GAIN), stride=conv.stride)
    return _bend(ops.add(y, _constant(bias.bias.view(1, -1, 1, 1) * _GAIN)))


def _styled(x: Node, code: Node, layer: gpen.StyledConv, feature: Node) -> Node:
    """A styled convolution with its features behind it."""
    conv = layer.conv
    weight = conv.weight[0] * conv.scale
    outputs, inputs = weight.shape[:2]
    style = _dense(code, conv.modulation)
    energy = ops.matmul(ops.multiply(style, style), _constant(weight.square().sum(dim=(2, 3))), False, True)
    scale = ops.multiply(_rsqrt(energy), _number(_GAIN))
    x = ops.multiply(x, _row(style, inputs))
    if conv.blur is None:
        y = _convolve(x, weight, padding=1)
    else:
        y = ops.convolution_backprop_data(x, _constant(weight.transpose(0, 1)), [2, 2])
        y = _blur(y, conv.blur.kernel, padding=1)
    bias, feature_bias = torch.split(layer.activate.bias.view(1, -1, 1, 1) * _GAIN, [outputs, len(layer.activate.bias) - outputs], dim=1)
    y = ops.add(ops.multiply(y, _row(scale, outputs)), _constant(bias))
    beside = ops.add(ops.multiply(feature, _number(float(layer.noise.weight) * _GAIN)), _constant(feature_bias))
    return ops.concat([_bend(y), _bend(beside)], 1)


def _to_picture(x: Node, code: Node, layer: gpen.ToRGB, before: Node | None) -> Node:
    conv = layer.conv
    weight = conv.weight[0] * conv.scale
    y = _convolve(ops.multiply(x, _row(_dense(code, conv.modulation), weight.shape[1])), weight)
    y = ops.add(y, _constant(layer.bias))
    if before is None:
        return y
    larger = ops.group_convolution_backprop_data(before, _constant(layer.kernel[:, None]), [2, 2], None, [1, 1], [1, 1])
    return ops.add(y, larger)
