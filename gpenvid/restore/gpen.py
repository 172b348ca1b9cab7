"""The GPEN generator in plain PyTorch, in a form that batches and runs channels-last.

Architecture: Yang, Ren, Xie, Zhang, "GAN Prior Embedded Network for Blind Face Restoration in the Wild",
CVPR 2021, and its published code (repository yangxy/GPEN, `face_model/gpen_model.py`), whose `.pth` key layout
loads unchanged. The numbers are the same; the computation is not: StyleGAN2's modulated convolution is written as
scale the input, convolve with weights shared by the whole batch, scale the output. That needs no per-sample weights,
so a batch is one ordinary convolution.

The "noise" inputs of this generator are encoder features, so inference is deterministic.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpenvid.errors import WeightsError

_LEAK = 0.2
_GAIN = math.sqrt(2.0)
_EPS = 1e-8
_WIDEST = 2**16  # a wider layer than any network has: sizes that are computed from it could not be counted
_LR_MLP = 0.01  # learning-rate multiplier of the style network, folded into its weights at run time


def _blur_kernel(channels: int, gain: float) -> Tensor:
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    kernel = torch.outer(taps, taps)
    return (kernel / kernel.sum() * gain).expand(channels, 1, 4, 4).contiguous()


def _activate(x: Tensor, bias: Tensor) -> Tensor:
    """Bias, leaky ReLU and gain: StyleGAN2's fused activation. `bias` is (C,).

    The gain is positive, so it may come first: one pass adds bias and gain, one more bends. Such passes cost as much as
    the convolutions on a CPU.
    """
    shape = (1, -1) + (1,) * (x.dim() - 2)
    return F.leaky_relu(torch.add((bias * _GAIN).view(shape), x, alpha=_GAIN), _LEAK, inplace=True)


class Bias(nn.Module):
    """Holds the bias of a fused activation under the key the published files use."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return _activate(x, self.bias)


class Blur(nn.Module):
    """Depthwise [1, 3, 3, 1] low-pass. The kernel is a constant, not a parameter; published files carry it too."""

    kernel: Tensor

    def __init__(self, channels: int, padding: int, gain: float) -> None:
        super().__init__()
        self.padding = padding
        self.register_buffer("kernel", _blur_kernel(channels, gain), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.kernel, padding=self.padding, groups=x.shape[1])


class Linear(nn.Module):
    """Equalised linear layer, with the fused activation on request."""

    def __init__(self, inputs: int, outputs: int, *, bias: float = 0.0, lr: float = 1.0, activate: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr)
        self.bias = nn.Parameter(torch.full((outputs,), bias))
        self.scale = lr / math.sqrt(inputs)
        self.lr = lr
        self.activate = activate

    def forward(self, x: Tensor) -> Tensor:
        y = F.linear(x.to(self.weight.dtype), self.weight * self.scale, self.bias * self.lr)
        # Not `_activate`: torch.compile (2.13, CPU) merges its scaled sum into the product and drops the scale.
        return F.leaky_relu(y * _GAIN, _LEAK) if self.activate else y


class _PixelNorm(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + _EPS)


class EncoderConv(nn.Module):
    """Equalised convolution without bias (the activation that follows has it)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.scale = 1.0 / math.sqrt(inputs * kernel * kernel)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.scale, stride=self.stride)


class _ModulatedConv(nn.Module):
    """Style-modulated convolution with weights shared by the batch.

    `y = d * conv(s * x, w)` where `s` is the style's scale per input channel and `d` the demodulation per output
    channel, `1 / sqrt(sum_i s_i^2 sum_k w_oik^2)`.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, style_dim: int, *, demodulate: bool, upsample: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, outputs, inputs, kernel, kernel))
        self.modulation = Linear(style_dim, inputs, bias=1.0)
        self.scale = 1.0 / math.sqrt(inputs * kernel * kernel)
        self.demodulate = demodulate
        self.padding = kernel // 2
        self.blur = Blur(outputs, padding=1, gain=4.0) if upsample else None
        self._folded: tuple[Tensor, Tensor] | None = None

    def fold(self) -> None:
        """Keep the scaled weights and their energies, which never change while restoring: at 512 they are 70 million numbers."""
        self._folded = self._weights()

    def _weights(self) -> tuple[Tensor, Tensor]:
        """Scaled weights (O, I, k, k), channels-last, and their energy per input and output channel (O, I)."""
        weight = (self.weight[0] * self.scale).contiguous(memory_format=torch.channels_last)
        # In float32 whatever the network runs in: squares of bf16 sums lose the small channels.
        return weight, weight.float().square().sum(dim=(2, 3))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        s = self.modulation(style)
        weight, energy = self._folded or self._weights()
        x = x * s.to(x.dtype)[:, :, None, None]
        if self.blur is None:
            y = F.conv2d(x, weight, padding=self.padding)
        else:
            y = self.blur(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2))
        if self.demodulate:
            d = torch.rsqrt(F.linear(s.float().square(), energy) + _EPS).to(y.dtype)
            y = y * d[:, :, None, None]
        return y


class _NoiseWeight(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))


class StyledConv(nn.Module):
    """Modulated convolution, encoder features concatenated behind it, fused activation over both."""

    def __init__(self, inputs: int, outputs: int, style_dim: int, features: int, *, upsample: bool = False) -> None:
        super().__init__()
        self.conv = _ModulatedConv(inputs, outputs, 3, style_dim, demodulate=True, upsample=upsample)
        self.noise = _NoiseWeight()
        self.activate = Bias(outputs + features)

    def forward(self, x: Tensor, style: Tensor, features: Tensor) -> Tensor:
        y: Tensor = self.activate(torch.cat((self.conv(x, style), features * self.noise.weight), dim=1))
        return y


class ToRGB(nn.Module):
    kernel: Tensor

    def __init__(self, inputs: int, style_dim: int) -> None:
        super().__init__()
        self.conv = _ModulatedConv(inputs, 3, 1, style_dim, demodulate=False, upsample=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))
        self.register_buffer("kernel", _blur_kernel(3, gain=4.0), persistent=False)

    def forward(self, x: Tensor, style: Tensor, skip: Tensor | None) -> Tensor:
        # The sum over the levels is kept in float32 whatever they run in: near white a step of bf16 is half a level of 8 bit.
        rgb: Tensor = self.conv(x, style).float() + self.bias.float()
        if skip is None:
            return rgb
        # upfirdn2d(up=2, pad=(2, 1)) with zero borders: the transposed form of the same filter, cropped by one.
        return rgb + F.conv_transpose2d(skip, self.kernel.float(), stride=2, padding=1, groups=3)


class _Constant(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.randn(1, channels, 4, 4))


@dataclass(frozen=True)
class GpenShape:
    """What determines a GPEN network: everything else follows.

    Attributes:
        size: side of the square input and output in pixels, a power of two.
        style_dim: width of the style vector.
        n_mlp: layers of the style network.
        channels: width at each resolution, from 4x4 up to `size`.
    """

    size: int
    style_dim: int
    n_mlp: int
    channels: tuple[int, ...]

    @classmethod
    def official(cls, size: int, *, style_dim: int = 512, n_mlp: int = 8, channel_multiplier: int = 2, narrow: float = 1.0) -> GpenShape:
        """The published family: widths as in yangxy/GPEN for `channel_multiplier` and `narrow`."""
        widths = [512, 512, 512, 512, *(w * channel_multiplier for w in (256, 128, 64, 32, 16, 8))]
        return cls(size, style_dim, n_mlp, tuple(int(w * narrow) for w in widths[: int(math.log2(size)) - 1]))


class _Prior(nn.Module):
    """StyleGAN2's synthesis network, taking encoder features where StyleGAN2 takes noise."""

    def __init__(self, shape: GpenShape) -> None:
        super().__init__()
        dim, widths = shape.style_dim, shape.channels
        mlp = [Linear(dim, dim, lr=_LR_MLP, activate=True) for _ in range(shape.n_mlp)]
        self.style = nn.Sequential(_PixelNorm(), *mlp)
        self.input = _Constant(widths[0])
        self.conv1 = StyledConv(widths[0], widths[0], dim, widths[0])
        self.to_rgb1 = ToRGB(2 * widths[0], dim)
        self.convs = nn.ModuleList()
        self.to_rgbs = nn.ModuleList()
        for before, width in itertools.pairwise(widths):
            self.convs.append(StyledConv(2 * before, width, dim, width, upsample=True))
            self.convs.append(StyledConv(2 * width, width, dim, width))
            self.to_rgbs.append(ToRGB(2 * width, dim))

    def forward(self, code: Tensor, features: list[Tensor]) -> Tensor:
        """`features` run from 4x4 to full size."""
        style = self.style(code)
        x = self.input.input.expand(code.shape[0], -1, -1, -1).contiguous(memory_format=torch.channels_last)
        x = self.conv1(x, style, features[0])
        rgb: Tensor = self.to_rgb1(x, style, None)
        for level, to_rgb in enumerate(self.to_rgbs):
            feature = features[level + 1]
            x = self.convs[2 * level](x, style, feature)
            x = self.convs[2 * level + 1](x, style, feature)
            rgb = to_rgb(x, style, rgb)
        return rgb


class GpenGenerator(nn.Module):
    """GPEN: an encoder whose features steer a StyleGAN2 prior.

    `forward` takes and returns RGB float tensors in [-1, 1], (N, 3, size, size). The output is not clipped.
    """

    def __init__(self, shape: GpenShape) -> None:
        super().__init__()
        self.shape = shape
        widths = shape.channels[::-1]
        self.generator = _Prior(shape)
        self.ecd0 = nn.Sequential(nn.Sequential(EncoderConv(3, widths[0], 1), Bias(widths[0])))
        for i, (before, width) in enumerate(itertools.pairwise(widths), start=1):
            stage = nn.Sequential(Blur(before, padding=2, gain=1.0), EncoderConv(before, width, 3, stride=2), Bias(width))
            setattr(self, f"ecd{i}", nn.Sequential(stage))
        self.final_linear = nn.Sequential(Linear(shape.channels[0] * 16, shape.style_dim, activate=True))

    def encoder_stage(self, index: int) -> nn.Sequential:
        """The encoder's stage that gives features of `size >> index`."""
        stages: nn.Sequential = getattr(self, f"ecd{index}")
        stage = stages[0]
        assert isinstance(stage, nn.Sequential)
        return stage

    def fold(self, dtype: torch.dtype = torch.float32) -> GpenGenerator:
        """Prepare for inference on the device where the network now is; weights must not change afterwards.

        Args:
            dtype: of all that works on pixels, and of the input. The style stays in float32: its few numbers steer all of them, and
                its rounding is a fifth of the difference that bf16 makes.
        """
        for module in self.modules():
            for own in () if isinstance(module, Linear) else (*module.parameters(recurse=False), *module.buffers(recurse=False)):
                own.data = own.data.to(dtype)
        for module in self.modules():
            if isinstance(module, _ModulatedConv):
                module.fold()
        return self

    def forward(self, x: Tensor) -> Tensor:
        features: list[Tensor] = []
        for i in range(len(self.shape.channels)):
            x = getattr(self, f"ecd{i}")(x)
            features.append(x)
        # The code is the 4x4 feature flattened in channel-first order, whatever the memory format.
        code = self.final_linear(x.flatten(1))
        y: Tensor = self.generator(code, features[::-1])
        return y


def shape_of_state_dict(state: Mapping[str, Tensor]) -> GpenShape:
    """Read the hyper-parameters from a state dict in the official key layout.

    Raises:
        WeightsError: if the keys are not those of a GPEN generator.
    """
    try:
        levels = 1 + len({k.split(".")[2] for k in state if k.startswith("generator.to_rgbs.")})
        channels = [state["generator.conv1.conv.weight"].shape[1]]
        channels += [state[f"generator.convs.{2 * i}.conv.weight"].shape[1] for i in range(levels - 1)]
        style_dim = state["final_linear.0.weight"].shape[0]
    except KeyError as error:
        raise WeightsError("not the weights of a GPEN generator", f"key {error} is missing; choose a GPEN file") from error
    except IndexError as error:
        raise WeightsError("not the weights of a GPEN generator", "a layer is a single number; choose a GPEN file") from error
    if not all(0 < width <= _WIDEST for width in (style_dim, *channels)):
        raise WeightsError("not the weights of a GPEN generator", "layers without channels, or with too many; choose a GPEN file")
    n_mlp = sum(1 for k in state if k.startswith("generator.style.") and k.endswith(".weight"))
    return GpenShape(2 ** (levels + 1), style_dim, n_mlp, tuple(channels))


def generator_size(state_dict: Mapping[str, object]) -> int:
    """Side of the crop that a published state dict is for.

    Raises:
        WeightsError: if the keys are not those of a GPEN generator.
    """
    return shape_of_state_dict(_unwrap(state_dict)).size


def _unwrap(state: Mapping[str, object]) -> dict[str, Tensor]:
    """Find the generator inside a checkpoint: plain, `g_ema`, `params_ema`, `params` or `state_dict`, with or without `module.`."""
    for key in ("g_ema", "state_dict", "params_ema", "params"):
        inner = state.get(key)
        if isinstance(inner, Mapping):
            return _unwrap(inner)
    tensors = {k.removeprefix("module."): v for k, v in state.items() if isinstance(k, str) and isinstance(v, Tensor)}
    return {k: v for k, v in tensors.items() if not k.endswith(".kernel")}


def _least_numbers(shape: GpenShape) -> int:
    """How many numbers the largest layers of a network have: those of the style, and the prior's convolutions."""
    dim, widths = shape.style_dim, shape.channels
    convolutions = widths[0] ** 2 + sum(2 * width * (before + width) for before, width in itertools.pairwise(widths))
    return 9 * convolutions + dim * (shape.n_mlp * dim + 16 * widths[0])


def _is_whole(tensor: Tensor) -> bool:
    """Whether every number of a tensor is in memory."""
    return not tensor.is_meta and not tensor.is_sparse and tensor.untyped_storage().nbytes() >= tensor.numel() * tensor.element_size()


def generator_from_state_dict(state_dict: Mapping[str, object]) -> GpenGenerator:
    """Build a GPEN generator from a published state dict, in float32 and evaluation mode.

    Args:
        state_dict: tensors by key, in the official layout; a training checkpoint that holds them under `g_ema`
            (or `params_ema`, `params`, `state_dict`, `module.`) is unwrapped. Size, widths and depth are read from the shapes.

    Raises:
        WeightsError: if keys are missing or left over, or hold what is no finite number, naming the first of them.
    """
    state = _unwrap(state_dict)
    shape = shape_of_state_dict(state)
    held = sum(tensor.numel() for tensor in state.values() if _is_whole(tensor))
    # A file may promise more than memory holds. Where it differs is found without memory then; loading what does that takes seconds.
    with torch.device("meta") if _least_numbers(shape) > held else nullcontext():
        model = GpenGenerator(shape)
    expected = model.state_dict()
    for key, tensor in expected.items():
        if key not in state:
            raise WeightsError("not the weights of a GPEN generator", f"key {key} is missing; choose a GPEN file")
        if state[key].shape != tensor.shape:
            found, wanted = tuple(state[key].shape), tuple(tensor.shape)
            raise WeightsError(f"GPEN weights of an unknown form: {key} is {found}, not {wanted}", "choose a published GPEN file")
    extra = sorted(set(state) - set(expected))
    if extra:
        raise WeightsError(f"GPEN weights with an unknown key {extra[0]}", "choose a published GPEN file")
    for key, tensor in state.items():
        if not _is_whole(tensor) or not tensor.is_floating_point() or not torch.isfinite(tensor).all():
            raise WeightsError(
                f"GPEN weights that cannot be computed with: {key} holds something else than finite numbers", "export them anew"
            )
    model.load_state_dict({k: v.float() for k, v in state.items()})
    return model.eval().requires_grad_(False)
