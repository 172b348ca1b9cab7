"""What a render depends on: if any of it changes, finished segments are worth nothing, and perhaps the tracks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import av
import cv2
import torch

from gpenvid import __version__
from gpenvid.errors import InputError
from gpenvid.job.sidecar import hash_tracks
from gpenvid.restore.cards import find_card
from gpenvid.restore.restorer import Restorer
from gpenvid.restore.weights import file_sha256, locate
from gpenvid.settings import RestoreSettings, is_weight_file

_BLOCKS, _BLOCK = 16, 1 << 16  # sampled parts of the source, and their bytes: a megabyte tells files apart at once

# These do not touch the pixels, or stand in the key in another form (the model by its hash, the codec in the encoder).
_ELSEWHERE = {"overwrite", "strict", "restart", "keep_work", "stability", "tag", "tracks", "model", "detector", "device", "dtype"}
_ELSEWHERE |= {"identity", "codec", "crf", "preset", "engine"}

# What the analysis knows nothing of. Anything else, a setting that is yet to come as well, concerns the tracks too.
_AFTER_ANALYSIS = {"the model", "--dtype", "the engine", "the encoder's settings", "--batch"}
_AFTER_ANALYSIS |= {
    "--strength",
    "--keep-colour",
    "--deflicker",
    "--grain",
    "--mask",
    "--only",
    "--exclude",
    "--identity",
    "--least-likeness",
}

Key = dict[str, str]


def fingerprint(source: Path) -> str:
    """Size, time of change and sampled content of a file, as text.

    Raises:
        InputError: if it cannot be read.
    """
    content = sampled(source)
    return f"{content}, {source.stat().st_mtime_ns} ns"


def sampled(source: Path) -> str:
    """Size and sampled content of a file, as text.

    Raises:
        InputError: if it cannot be read.
    """
    try:
        facts = source.stat()
        digest = hashlib.sha256()
        with source.open("rb") as file:
            for i in range(_BLOCKS):
                file.seek(max(0, facts.st_size - _BLOCK) * i // (_BLOCKS - 1))
                digest.update(file.read(_BLOCK))
    except OSError as error:
        raise InputError(f"{source}: cannot be read ({error.strerror})", "check the path; run the same command again") from error
    return f"{facts.st_size} bytes, {digest.hexdigest()}"


def job_key(source: Path, settings: RestoreSettings, detector: str, restorer: Restorer, encoder: str) -> Key:
    """Everything a segment's bytes depend on, by the names users know.

    Args:
        detector: the detector that was opened, by name.
        encoder: everything that frames are encoded with.
    """
    key = {
        "the source": fingerprint(source),
        "the model": _model_sha256(settings.model),
        "--detector": detector,
        "--identity": _hash(settings.identity) if settings.identity else "",
        "--tracks": _hash(settings.tracks, hash_tracks) if settings.tracks else "",
        "the device": restorer.device.type,
        "--dtype": restorer.dtype,
        "the engine": restorer.engine,
        "the encoder's settings": encoder,
        "the installed gpenvid, PyTorch, PyAV or OpenCV": f"{__version__} {torch.__version__} {av.__version__} {cv2.__version__}",
    }
    for field in fields(settings):
        if field.name not in _ELSEWHERE:
            key[f"--{field.name.replace('_', '-')}"] = repr(getattr(settings, field.name))
    return key


def changes(before: Key, now: Key) -> list[str]:
    """Names of what differs between two keys."""
    return [name for name in {**before, **now} if before.get(name) != now.get(name)]


def concern_tracks(names: list[str]) -> bool:
    """Whether tracks found before these changes (see `changes`) are worth nothing after them."""
    return not _AFTER_ANALYSIS.issuperset(names)


def _model_sha256(model: str) -> str:
    named = Path(model)
    path = named if is_weight_file(named) else locate(find_card(model, "restorer"))
    return _hash(path) if path else ""


def _hash(path: Path, hashed: Callable[[Path], str] = file_sha256) -> str:
    try:
        return hashed(path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", "check the path") from error
