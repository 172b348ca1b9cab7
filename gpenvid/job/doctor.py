"""What this machine has, and what to do about what it lacks."""

from __future__ import annotations

import os
import platform
import shutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import av
import torch
from av.codec import Codec, codecs_available

from gpenvid import __version__
from gpenvid.errors import GpenvidError
from gpenvid.media.encoders import CODECS, encoder_opens
from gpenvid.restore.cards import all_cards
from gpenvid.restore.choices import choose_device, fast_bf16, openvino_trouble, openvino_version
from gpenvid.restore.weights import cache_folder, check_file, locate

State = Literal["ok", "note", "problem"]
_LOW_SPACE = 2 * 10**9  # bytes: less than an hour of 1080p at CRF 16


@dataclass(frozen=True)
class Diagnosis:
    """One thing looked at."""

    state: State
    what: str
    detail: str


def examine() -> list[Diagnosis]:
    """Look at versions, devices, encoders, weights and disk."""
    return [*_versions(), *_devices(), _encoders(), *_weights(), *_disk()]


def _versions() -> list[Diagnosis]:
    found = [Diagnosis("ok", "gpenvid", f"{__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}")]
    for package in ("torch", "av", "opencv-python", "numpy", "scipy"):
        try:
            found.append(Diagnosis("ok", package, metadata.version(package)))
        except metadata.PackageNotFoundError:
            found.append(Diagnosis("note", package, "not installed under this name (a headless or system build may serve)"))
    found.append(_openvino())
    libraries = av.library_versions
    found.append(Diagnosis("ok", "FFmpeg", ", ".join(f"{k} {'.'.join(map(str, v))}" for k, v in list(libraries.items())[:3])))
    return found


def _openvino() -> Diagnosis:
    installed = openvino_version()
    if installed is None:
        return Diagnosis("note", "openvino", 'not installed; `pip install "gpenvid[openvino]"` restores faster on CPUs')
    if trouble := openvino_trouble():
        return Diagnosis("problem", "openvino", f"{installed} is installed, but does not work ({trouble}): install it anew, or remove it")
    return Diagnosis("ok", "openvino", installed)


def _devices() -> list[Diagnosis]:
    cpu = choose_device("cpu")
    found = [
        Diagnosis(
            "ok", "cpu", f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, bf16 in hardware: {'yes' if fast_bf16(cpu) else 'no'}"
        )
    ]
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            found.append(
                Diagnosis("ok", f"cuda:{index}", f"{torch.cuda.get_device_name(index)}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free")
            )
    elif torch.version.cuda is None:
        found.append(
            Diagnosis("note", "cuda", "this torch is built for the CPU; with an NVIDIA card install torch's CUDA build (see README)")
        )
    else:
        found.append(Diagnosis("note", "cuda", "no usable NVIDIA device; check the driver with nvidia-smi"))
    return found


def _encoders() -> Diagnosis:
    def there(encoder: str) -> bool:
        if encoder not in codecs_available or not Codec(encoder, "w").is_encoder:
            return False
        # FFmpeg lists NVENC whether or not there is a card; only opening it tells.
        return not encoder.endswith("_nvenc") or encoder_opens(encoder)

    have = [name for name, encoder in CODECS.items() if there(encoder)]
    lack = [name for name in CODECS if name not in have]
    state: State = "problem" if "h264" in lack else "ok"
    missing = f"; not here: {', '.join(lack)} (those of nvenc need an NVIDIA card with an encoder)" if lack else ""
    return Diagnosis(state, "encoders", ", ".join(have) + missing)


def _weights() -> list[Diagnosis]:
    found: list[Diagnosis] = []
    for card in all_cards().values():
        path = locate(card)
        if path is None:
            remedy = "reinstall gpenvid" if card.built_in else f"`gpenvid models get {card.name}` ({card.licence})"
            found.append(Diagnosis("problem" if card.built_in else "note", card.name, f"not here: {remedy}"))
            continue
        try:
            trust = check_file(card, path)
            found.append(Diagnosis("ok", card.name, f"{path} ({trust})"))
        except GpenvidError as error:
            found.append(Diagnosis("problem", card.name, str(error)))
    return found


def _disk() -> list[Diagnosis]:
    found: list[Diagnosis] = []
    for what, folder in (("this folder", Path.cwd()), ("weights folder", cache_folder())):
        try:
            existing = next(p for p in (folder, *folder.parents) if p.exists())
            (existing / "any").exists()
        except PermissionError:
            found.append(
                Diagnosis("problem", what, f"{folder} may not be entered: change its mode, or set GPENVID_WEIGHTS to another folder")
            )
            continue
        if not existing.is_dir():
            found.append(Diagnosis("problem", what, f"{existing} is no folder: remove it, or set GPENVID_WEIGHTS to a folder"))
            continue
        if not os.access(existing, os.W_OK):
            found.append(Diagnosis("note", what, f"{folder} cannot be written to"))
            continue
        free = shutil.disk_usage(existing).free
        state: State = "note" if free < _LOW_SPACE else "ok"
        found.append(
            Diagnosis(state, what, f"{folder}, {free / 1e9:.1f} GB free" + ("; make room before a long job" if state == "note" else ""))
        )
    return found
