"""Where and in what a restorer runs: what `auto` stands for, and what is not to be had."""

from __future__ import annotations

from typing import Literal

import torch

from gpenvid.errors import UnsupportedDtypeError, UsageError
from gpenvid.restore.cards import ModelCard

Dtype = Literal["fp32", "bf16"]
DTYPES: dict[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}


def choose_device(name: str) -> torch.device:
    """The device behind `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises:
        UsageError: if there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"unknown device {name}", "choose auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"device {name} is not supported", "choose auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and not (torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count()):
        raise UsageError(f"no device {name} here", "`gpenvid doctor` says which there are; --device cpu works everywhere")
    return device


def fast_bf16(device: torch.device) -> bool:
    """Whether bf16 is computed in hardware; elsewhere it is slower than float32 (five times, on AVX-512 without BF16)."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def choose_dtype(name: str, card: ModelCard, device: torch.device) -> Dtype:
    """The number format behind `auto`, `fp32` or `bf16`: bf16 where it is computed in hardware, else float32.

    Raises:
        UnsupportedDtypeError: if the card does not list it.
    """
    if name == "auto":
        return "bf16" if "bf16" in card.dtypes and fast_bf16(device) else "fp32"
    if name not in DTYPES or name not in card.dtypes:
        raise UnsupportedDtypeError(f"{card.name} does not run in {name}", f"choose one of auto, {', '.join(card.dtypes)}")
    return "bf16" if name == "bf16" else "fp32"
