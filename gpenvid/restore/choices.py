"""Where and in what a restorer runs: what `auto` stands for, and what is not to be had."""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

import torch

from gpenvid.errors import UnsupportedDtypeError, UsageError
from gpenvid.restore.cards import ModelCard

Dtype = Literal["fp32", "bf16"]
Engine = Literal["torch", "openvino"]
ENGINES = ("auto", "torch", "openvino")
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


def openvino_version() -> str | None:
    """The installed OpenVINO, None where there is none."""
    try:
        return version("openvino")
    except PackageNotFoundError:
        return None


def reason_of(error: Exception) -> str:
    """The last line of what a library says went wrong, or the error's name where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__


def openvino_trouble() -> str:
    """Why an installed OpenVINO cannot be loaded, in one line; empty where it can be."""
    try:
        importlib.import_module("gpenvid.restore.quiet_openvino")
    except (ImportError, RuntimeError) as error:
        return reason_of(error)
    return ""


def choose_engine(name: str, device: torch.device, *, few: bool = False) -> Engine:
    """The engine behind `auto`, `torch` or `openvino`: OpenVINO where it is installed and a CPU has more than a few faces to restore.

    Args:
        few: whether few faces are expected, so that a third of a second of compiling is not made up for.

    Raises:
        UsageError: if it is unknown, not installed, or not for this device.
    """
    if name not in ENGINES:
        raise UsageError(f"unknown engine {name}", f"choose {', '.join(ENGINES[:-1])} or {ENGINES[-1]}")
    installed = openvino_version() is not None
    if name == "auto":
        return "openvino" if installed and device.type == "cpu" and not few else "torch"
    if name == "torch":
        return "torch"
    if device.type != "cpu":
        raise UsageError(f"the engine openvino is for CPUs, not for {device.type}", "choose --engine torch or --device cpu")
    if not installed:
        raise UsageError("OpenVINO is not installed", 'pip install "gpenvid[openvino]", or choose --engine torch')
    return "openvino"
