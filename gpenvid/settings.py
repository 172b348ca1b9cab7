"""What a user may choose."""

from __future__ import annotations

import errno
import math
import os
from dataclasses import dataclass, fields
from numbers import Integral, Real
from pathlib import Path
from typing import Literal, get_args

from gpenvid.errors import InputError, UsageError

Mask = Literal["ellipse", "hull"]
MASKS: tuple[Mask, ...] = get_args(Mask)

_KINDS: dict[str, tuple[type, str]] = {
    "str": (str, "text"),
    "Mask": (str, "text"),
    "bool": (bool, "True or False"),
    "int": (Integral, "a whole number"),
    "float": (Real, "a number"),
    "Path": (Path, "a path"),
}
"""What annotations of fields stand for: the type a value must have, and its name for people."""


_MOST_BATCH = 1024
WEIGHT_SUFFIXES = (".pth", ".pt", ".safetensors")


def is_weight_file(model: str | Path) -> bool:
    """Whether a model is named by a file of weights, told by its extension, and not by its own name."""
    return Path(model).suffix in WEIGHT_SUFFIXES


@dataclass(frozen=True)
class RestoreSettings:
    """Choices of one restoration.

    Attributes:
        model: restorer by name, or the path of a GPEN weight file.
        detector: detector by name.
        strength: share of the change that is applied, 0 to 1.
        keep_colour: keep the source's low frequencies, so that no tint or brightness drift comes in.
        deflicker: average the change over neighbouring frames where the faces agree.
        grain: share of the source's own fine noise that is kept on restored faces, 0 to 1.
        mask: what of a face is changed: a soft `ellipse` from the hairline to under the chin, or a soft `hull` around its landmarks.
        tracks: a file written by `gpenvid analyse`, instead of analysing the clip.
        only, exclude: people by track number; none in `only` means all.
        identity: an ONNX face embedding; restored faces that no longer look like the same person to it are left alone.
        least_eyes: faces whose eyes are nearer than this many pixels are left alone.
        most_turn: faces whose nose is further than this many eye distances from the middle of the eyes are left alone.
        least_sharpness: faces blurred to less than this share of their usual sharpness are left alone; 0 for none.
        least_likeness: with `identity`, the least cosine between source and restored face, -1 to 1.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        dtype: `auto`, `fp32` or `bf16`.
        batch: crops per network call, 0 for automatic.
        engine: what computes the network on a CPU: `auto`, `torch` or `openvino`.
        codec, crf, preset: of the video encoder; None for the default.
        start, end: part of the clip in seconds from its first frame; None for its ends.
        deinterlace: make interlaced frames progressive.
        overwrite: replace an existing result.
        strict: turn warnings about what cannot be kept into errors.
        restart: start over, even if an earlier run of the same job can be continued.
        keep_work: keep the folder of finished segments after success.
        stability: measure afterwards how steady faces are, against restoring every frame by itself.
        tag: write a tag that says what restored the faces.
    """

    model: str = "gpen-lite-256"
    detector: str = "auto"
    strength: float = 1.0
    keep_colour: bool = True
    deflicker: bool = True
    grain: float = 0.0
    mask: Mask = "ellipse"
    tracks: Path | None = None
    only: tuple[int, ...] = ()
    exclude: tuple[int, ...] = ()
    identity: Path | None = None
    least_eyes: float = 6.0
    most_turn: float = 0.75
    least_sharpness: float = 0.35
    least_likeness: float = 0.25
    device: str = "auto"
    dtype: str = "auto"
    batch: int = 0
    engine: str = "auto"
    codec: str | None = None
    crf: float | None = None
    preset: str | None = None
    start: float | None = None
    end: float | None = None
    deinterlace: bool = False
    overwrite: bool = False
    strict: bool = False
    restart: bool = False
    keep_work: bool = False
    stability: bool = False
    tag: bool = True

    def __post_init__(self) -> None:
        """Check types and ranges; paths may be given as text and the other way round, track numbers as a list.

        Raises:
            UsageError: naming the option and its range.
            InputError: a path that no file can have.
        """
        for option in ("tracks", "identity"):
            if isinstance(value := getattr(self, option), str | Path):
                object.__setattr__(self, option, named(value, f"--{option}"))
        if isinstance(self.model, os.PathLike):
            object.__setattr__(self, "model", os.fspath(self.model))
        for option in ("only", "exclude"):
            object.__setattr__(self, option, _track_numbers(option, getattr(self, option)))
        self._check_types()
        named(self.model, "--model")
        for option in ("start", "end", "crf", "least_eyes", "most_turn", "least_sharpness", "least_likeness"):
            value = getattr(self, option)
            if value is not None and not math.isfinite(value):
                raise UsageError(f"--{option.replace('_', '-')} {value} is no number", "give a finite one")
        if not 0 <= self.strength <= 1:
            raise UsageError(f"--strength {self.strength:g} is out of range", "choose 0 to 1")
        if not 0 <= self.grain <= 1:
            raise UsageError(f"--grain {self.grain:g} is out of range", "choose 0 to 1")
        if self.mask not in MASKS:
            raise UsageError(f"unknown --mask {self.mask}", f"choose {' or '.join(MASKS)}")
        for option, low, high in (("least_eyes", 0, 1000), ("most_turn", 0, 10), ("least_sharpness", 0, 1), ("least_likeness", -1, 1)):
            if not low <= getattr(self, option) <= high:
                name = option.replace("_", "-")
                raise UsageError(f"--{name} {getattr(self, option):g} is out of range", f"choose {low} to {high}")
        if not 0 <= self.batch <= _MOST_BATCH:
            raise UsageError(f"--batch {self.batch} is out of range", f"choose 1 to {_MOST_BATCH}, or 0 for automatic")
        if self.crf is not None and not 0 <= self.crf <= 63:
            raise UsageError(f"--crf {self.crf:g} is out of range", "choose 0 (best) to 51, 63 for av1 and vp9")
        if self.start is not None and self.start < 0:
            raise UsageError(f"--start {self.start:g} is negative", "give seconds from the first frame")
        if self.end is not None and self.end <= (self.start or 0):
            raise UsageError(f"--end {self.end:g} is not after --start", "give seconds from the first frame")

    def _check_types(self) -> None:
        for field in fields(self):
            annotation, _, nothing = str(field.type).partition(" | ")
            value = getattr(self, field.name)
            if annotation not in _KINDS or (value is None and nothing):
                continue
            kind, name = _KINDS[annotation]
            if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):  # to Python, True is a number
                raise UsageError(f"--{field.name.replace('_', '-')} is {value!r}", f"give {name}")
            if isinstance(value, Real) and not isinstance(value, bool):  # NumPy's own overflow, and are written in another way
                object.__setattr__(self, field.name, int(value) if isinstance(value, Integral) and kind is Integral else float(value))


def named(path: str | Path, what: str = "an INPUT") -> Path:
    """A path that somebody gave.

    Raises:
        UsageError: it is empty, which Python takes for the current folder.
        InputError: no file can be called that.
    """
    if not str(path):
        raise UsageError(f"{what} without a name", "is a variable not set?")
    try:
        os.lstat(path)
    except ValueError as error:  # a zero byte
        raise InputError(f"{what} with a name that no file can have: {str(path)!r}", "check how it was put together") from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InputError(f"{path}: {error.strerror}", "name a shorter one") from error
    return Path(path)


def _track_numbers(option: str, value: object) -> tuple[int, ...]:
    if isinstance(value, tuple | list) and all(isinstance(n, Integral) and not isinstance(n, bool) for n in value):
        return tuple(int(n) for n in value)
    raise UsageError(f"--{option} is {value!r}", "give track numbers in a tuple, such as (1, 3)")
