"""What a picture file carries beside its samples, and which kind of file can hold what of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from gpenvid.media.orientation import Orientation
from gpenvid.media.tiff_directory import read_directory

Family = Literal["png", "jpeg", "webp", "tiff", ""]
Unit = Literal["inch", "cm", ""]

ORIENTATION_TAG = 0x0112
_FAMILIES: dict[str, Family] = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".tif": "tiff", ".tiff": "tiff"}
_HOLDS: dict[Family, frozenset[str]] = {
    "png": frozenset(("exif", "xmp", "icc", "resolution")),
    "jpeg": frozenset(("exif", "xmp", "icc", "resolution")),
    "webp": frozenset(("exif", "xmp", "icc")),
    "tiff": frozenset(("xmp", "icc", "resolution")),
    "": frozenset(),
}
BLOCKS = {"exif": "EXIF", "xmp": "XMP", "icc": "ICC profile"}
"""The blocks of bytes among `StillExtras`, and what they are called."""

JPEG_ROOM = {"exif": 65527, "xmp": 65504, "icc": 255 * 65519}
"""Bytes of a block that JPEG's segments have room for."""

_SPACES = {b"RGB ": "rgb", b"GRAY": "gray"}
_XMP_TURN = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|\s*>\s*))[2-8]")


@dataclass(frozen=True)
class Resolution:
    """Samples across and down per inch or centimetre; without a unit only their ratio, the shape of a sample, means anything."""

    x: Fraction
    y: Fraction
    unit: Unit

    @property
    def per_inch(self) -> tuple[Fraction, Fraction]:
        """Samples per inch; as they are where there is no unit."""
        scale = Fraction(254, 100) if self.unit == "cm" else Fraction(1)
        return self.x * scale, self.y * scale

    def agrees(self, other: Resolution) -> bool:
        """Whether two say the same, up to the rounding that PNG and JPEG do (one in a hundred)."""
        if bool(self.unit) != bool(other.unit):
            return False
        return all(abs(a - b) <= max(a, b) / 100 for a, b in zip(self.per_inch, other.per_inch, strict=True))

    def __str__(self) -> str:
        x, y = self.per_inch
        return f"{float(x):.6g} x {float(y):.6g} {'per inch' if self.unit else 'without a unit'}"


def resolution_of(x: Fraction, y: Fraction, unit: Unit) -> Resolution | None:
    """A resolution; None where it says nothing."""
    return Resolution(x, y, unit) if x > 0 and y > 0 and (unit or x != y) else None


@dataclass(frozen=True)
class Entry:
    """What only files of one family hold.

    Attributes:
        name: for a person.
        data: as that family writes it.
        implied: whether the samples of every other family mean the same without it.
    """

    name: str
    data: bytes
    implied: bool = False


@dataclass(frozen=True)
class StillExtras:
    """What a picture file carries beside its samples.

    Attributes:
        exif: a TIFF structure, without the `Exif` mark before it; empty where there is none. So are the next two.
        xmp: the packet.
        icc: the profile.
        resolution: samples per inch or centimetre.
        family: of the file they were read from.
        entries: text, comments and colour marks that only this family holds.
        remarks: what is in the file and in no result, as sentences.
    """

    exif: bytes = b""
    xmp: bytes = b""
    icc: bytes = b""
    resolution: Resolution | None = None
    family: Family = ""
    entries: tuple[Entry, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def orientation(self) -> Orientation:
        """From the EXIF block; upright where there is none, or it is damaged."""
        return Orientation.from_exif(next((n for t in read_directory(self.exif) if t.tag == ORIENTATION_TAG for n in t.numbers), 1))


@dataclass(frozen=True)
class StillFile:
    """What is known of a picture file before it is decoded.

    Attributes:
        pages: pictures in it; None where the kind of file is not known here.
        extras: what it carries beside its samples.
        refused: why it cannot be restored, as a sentence without its end; empty where it can.
    """

    pages: int | None
    extras: StillExtras
    refused: str = ""


def family_of(suffix: str) -> Family:
    """The family of a file name's ending (lower case, with its dot); empty for those that hold nothing beside samples."""
    return _FAMILIES.get(suffix, "")


def kept_in(extras: StillExtras, suffix: str, model: str) -> tuple[StillExtras, list[str]]:
    """What a file of a kind will hold of a picture's extras, and sentences that name the rest.

    Where the orientation is not among it, the samples have to be turned upright.

    Args:
        suffix: of the file to write, lower case, with its dot.
        model: `gray` or `rgb`, of the samples.
    """
    family, told = family_of(suffix), list(extras.remarks)
    held, lost = replace(extras, family=family, remarks=()), []
    if extras.icc and (reason := _unfit(extras.icc, "rgb" if family == "webp" else model)):
        held = replace(held, icc=b"")
        told.append(reason)
    for block, name in BLOCKS.items():
        content = getattr(held, block)
        if content and (block not in _HOLDS[family] or (family == "jpeg" and len(content) > JPEG_ROOM[block])):
            held = _without(held, block)
            lost.append(name)
    if held.resolution and "resolution" not in _HOLDS[family]:
        held = replace(held, resolution=None)
        lost.append("resolution")
    if held.entries and family != extras.family:
        lost += dict.fromkeys(e.name for e in held.entries if not e.implied)
        held = replace(held, entries=())
    if lost:
        told.append(f"{suffix} cannot hold {listed(lost)}, which {'is' if len(lost) == 1 else 'are'} lost")
    turned = held.orientation != extras.orientation
    if turned:
        told.append(f"the picture is turned upright, because {suffix} cannot hold its EXIF orientation")
        if held.resolution and extras.orientation.swaps_axes:
            held = replace(held, resolution=replace(held.resolution, x=held.resolution.y, y=held.resolution.x))
    if turned or extras.family == "tiff":  # TIFF's own orientation is undone in decoding
        held = replace(held, xmp=_XMP_TURN.sub(rb"\g<1>1", held.xmp))
    return held, told


def listed(names: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def about(names: Sequence[str], sentence: str) -> str:
    """A sentence that is true of some files, told once; what is no UTF-8 in a name is written in numbers."""
    others = f" and {len(names) - 1} other{'s' if len(names) > 2 else ''}" if len(names) > 1 else ""
    return f"{names[0].encode('utf-8', 'backslashreplace').decode()}{others}: {sentence}"


def _without(extras: StillExtras, block: str) -> StillExtras:
    if block == "exif":
        return replace(extras, exif=b"")
    return replace(extras, xmp=b"") if block == "xmp" else replace(extras, icc=b"")


def _unfit(icc: bytes, model: str) -> str:
    """Why a profile cannot stand beside such samples; empty where it can."""
    if int.from_bytes(icc[:4], "big") > len(icc):
        return "the ICC profile is damaged and is left out"
    space = icc[16:20]
    if _SPACES.get(space) == model:
        return ""
    kind = space.decode("latin-1").strip()
    if len(icc) < 128 or not (kind.isascii() and kind.isprintable() and kind):
        return "the ICC profile is damaged and is left out"
    return f"the ICC profile is for {kind} samples, and the result has {'grey' if model == 'gray' else 'RGB'} ones; it is left out"
