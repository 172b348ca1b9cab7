"""MobileFaceNet as a frozen eye for who a face is, in PyTorch so that a loss can be computed through it.

The published file is an ONNX graph of six kinds of nodes; it is run node by node. Reading it needs the package `onnx`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDE = 112
_SPAN = 170
"""Pixels of the aligned 256x256 portrait that fill the network's crop."""
_LEFT, _TOP = 42, 41


def _crop(x: Tensor) -> Tensor:
    """The part of an aligned portrait (N, 3, 256, 256) that ArcFace's template covers, (N, 3, 112, 112)."""
    part = x[..., _TOP : _TOP + _SPAN, _LEFT : _LEFT + _SPAN]
    return F.interpolate(part, size=(SIDE, SIDE), mode="bilinear", align_corners=False)


class Identity(nn.Module):
    """Embeds aligned portraits.

    `forward` takes RGB in [-1, 1], (N, 3, 256, 256), aligned to the template `gpen`, and returns unit vectors (N, D).

    Raises:
        ImportError: without the package `onnx`.
        NotImplementedError: for a graph with other kinds of nodes.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        import onnx
        from onnx import numpy_helper

        graph = onnx.load(str(path)).graph
        self._weights = {t.name: f"w{i}" for i, t in enumerate(graph.initializer)}
        for tensor in graph.initializer:
            self.register_buffer(self._weights[tensor.name], torch.from_numpy(numpy_helper.to_array(tensor).copy()))
        self._steps: list[tuple[Callable[[list[Tensor]], Tensor], list[str], str]] = []
        constants: dict[str, float] = {}
        for node in graph.node:
            options = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            names = list(node.input)
            step: Callable[[list[Tensor]], Tensor]
            if node.op_type == "Constant":
                value = numpy_helper.to_array(options["value"])
                if value.ndim == 0:
                    constants[node.output[0]] = float(value)
                continue
            if node.op_type == "Conv":
                step = _convolution(options["strides"], options["pads"], options["group"])
            elif node.op_type == "Clip":
                step = _clip(constants[names[1]], constants[names[2]])
                names = names[:1]
            elif node.op_type == "Relu":
                step = _relu
            elif node.op_type == "Add":
                step = _add
            elif node.op_type == "Reshape":
                step = _flatten
                names = names[:1]
            else:
                raise NotImplementedError(f"a node of kind {node.op_type} in {path.name}")
            self._steps.append((step, names, node.output[0]))
        self._input, self._output = graph.input[0].name, graph.output[0].name

    def forward(self, x: Tensor) -> Tensor:
        values = {name: getattr(self, attribute) for name, attribute in self._weights.items()}
        values[self._input] = _crop(x)
        for step, names, output in self._steps:
            values[output] = step([values[name] for name in names])
        return F.normalize(values[self._output])


def _convolution(strides: list[int], pads: list[int], groups: int) -> Callable[[list[Tensor]], Tensor]:
    stride, padding = (strides[0], strides[1]), (pads[0], pads[1])
    return lambda x: F.conv2d(x[0], x[1], x[2], stride, padding, 1, groups)


def _clip(low: float, high: float) -> Callable[[list[Tensor]], Tensor]:
    return lambda x: x[0].clamp(low, high)


def _relu(x: list[Tensor]) -> Tensor:
    return F.relu(x[0])


def _add(x: list[Tensor]) -> Tensor:
    return x[0] + x[1]


def _flatten(x: list[Tensor]) -> Tensor:
    return x[0].flatten(1)
