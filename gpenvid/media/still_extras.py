"""What a picture file carries beside its samples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from gpenvid.media.exif import ORIENTATION_TAG
from gpenvid.media.orientation import Orientation
from gpenvid.media.tiff_directory import read_directory

Family = Literal["png", "jpeg", "webp", "tiff", ""]
Unit = Literal["inch", "cm", ""]

_FAMILIES: dict[str, Family] = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".tif": "tiff", ".tiff": "tiff"}
BLOCKS = {"exif": "EXIF", "xmp": "XMP", "icc": "ICC profile"}
"""The blocks of bytes among `StillExtras`, and what they are called."""


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
        damaged: whether the samples were decoded from data that is known to be damaged.
    """

    exif: bytes = b""
    xmp: bytes = b""
    icc: bytes = b""
    resolution: Resolution | None = None
    family: Family = ""
    entries: tuple[Entry, ...] = ()
    remarks: tuple[str, ...] = ()
    damaged: bool = False

    @property
    def orientation(self) -> Orientation:
        """From the EXIF block; upright where there is none, or it is damaged."""
        return Orientation.from_exif(next((n for t in read_directory(self.exif).tags if t.tag == ORIENTATION_TAG for n in t.numbers), 1))


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


def listed(names: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
