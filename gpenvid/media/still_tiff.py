"""What a TIFF file carries beside its samples, in tags of its first directory."""

from __future__ import annotations

import struct
from dataclasses import replace
from fractions import Fraction

from gpenvid.media.exif import DIRECTORIES, ORIENTATION_TAG, POINTERS, TEXTS, block_of, called, directories_among, parts_of
from gpenvid.media.still_extras import Entry, Resolution, StillExtras, StillFile, Unit, listed, resolution_of
from gpenvid.media.tiff_directory import TiffTag, count_pictures, read_directory, with_number, with_tags

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_ICC, _XMP = 34675, 700
_X, _Y, _UNIT = 282, 283, 296
_BLOCKS = {_ICC: "the ICC profile", _XMP: "XMP", _X: "the resolution", _Y: "the resolution", _UNIT: "the resolution's unit"}
_NAMES = {
    **TEXTS,
    269: "DocumentName",
    285: "PageName",
    316: "HostComputer",
    33723: "IPTC",
    34377: "Photoshop's settings",
}
_BYTES = (1, 2, 7, 129)  # types that are the same in either byte order
_LOST = {301: "TransferFunction", 318: "WhitePoint", 319: "PrimaryChromaticities", 330: "SubIFDs", **DIRECTORIES}
_ALPHA = 338
_UNSAID, _MULTIPLIED, _APART = 0, 1, 2  # what it says of alpha: nothing, that colours are multiplied by it, that they are not
# They say how the samples lie in this file, which the result does in its own way.
_STRUCTURE = {
    *(254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, ORIENTATION_TAG, 277, 278, 279, 280, 281, 284, 288, 289),
    *(290, 291, 292, 293, 297, 317, 320, 321, 322, 323, 324, 325, _ALPHA, 339, 340, 341, 347, *range(512, 522), 529, 530, 531, 532),
}
_PHOTOMETRIC, _SAMPLES = 262, 277
_REFUSED = {5: "CMYK", 8: "CIELab", 9: "ICCLab", 10: "ITULab"}


def read_tiff(data: bytes) -> StillFile:
    """Number of pictures and extras of a TIFF file, as far as it is undamaged.

    Its orientation is not among them: OpenCV turns the samples upright when it decodes.
    """
    directory = read_directory(data, POINTERS)
    tags = {t.tag: t for t in directory.tags}
    entries: list[Entry] = []
    lost: list[str] = []
    for number, tag in tags.items():
        if number in (_ICC, _XMP, _X, _Y, _UNIT) or number in _STRUCTURE or tag.below:
            continue
        if number in _NAMES and tag.kind in _BYTES:
            entries.append(_entry_of(tag))
        else:
            lost.append(_LOST.get(number) or _NAMES.get(number) or f"tag {number}")
    lost += (called(t, {**_BLOCKS, **_NAMES, **_LOST}) for t in directory.unread if t.within or t.tag not in _STRUCTURE)
    grey = _number(tags, _PHOTOMETRIC, 2) in (0, 1)
    if grey and _number(tags, _SAMPLES, 1) == 2:
        lost.append("the alpha of a grey picture")
    elif _number(tags, _SAMPLES, 1) == 4 and (alpha := _number(tags, _ALPHA, _APART)) != _APART:
        entries.append(Entry("the meaning of alpha", _entry_data(tags[_ALPHA].little), implied=alpha != _MULTIPLIED))
    directories, large = directories_among(tags.values())
    lost += large
    remarks = (f"{listed(dict.fromkeys(lost))} cannot be carried over from TIFF",) if lost else ()
    icc, xmp = (tags[n].data if n in tags else b"" for n in (_ICC, _XMP))
    extras = StillExtras(block_of(directories), xmp, icc, _resolution(tags), "tiff", tuple(entries), remarks)
    kind = _REFUSED.get(_number(tags, _PHOTOMETRIC, 2))
    return StillFile(count_pictures(data), extras, f"its samples are {kind}, which is not supported" if kind else "")


def as_stored(data: bytes) -> bytes:
    """A TIFF file from which OpenCV decodes the samples as they are: it would multiply 8-bit colours by alpha that says it stands apart."""
    tags = {t.tag: t for t in read_directory(data).tags}
    return with_number(data, _ALPHA, _UNSAID) if _number(tags, _ALPHA, _UNSAID) == _APART else data


def for_tiff(extras: StillExtras) -> tuple[StillExtras, list[str]]:
    """Extras of another kind of file with their EXIF as TIFF holds it, in directories and texts of its own; and names of what is lost."""
    parts = parts_of(extras.exif)
    texts = tuple(_entry_of(tag) for tag in parts.texts if tag.kind in _BYTES)
    unusual = [_NAMES[tag.tag] for tag in parts.texts if tag.kind not in _BYTES]
    return replace(extras, exif=block_of(parts.directories), entries=texts, family="tiff"), [*parts.lost, *unusual]


def from_tiff(extras: StillExtras) -> StillExtras:
    """Extras of a TIFF file with its texts in the EXIF block, as far as EXIF has them, for other kinds of file."""
    tags = {entry: _tag_of(entry) for entry in extras.entries}
    texts = [tag for tag in tags.values() if tag.tag in TEXTS]
    rest = tuple(entry for entry, tag in tags.items() if tag.tag not in TEXTS)
    return replace(extras, exif=block_of(texts, extras.exif), entries=rest)


def _entry_of(tag: TiffTag) -> Entry:
    return Entry(_NAMES[tag.tag], _entry_data(tag))


def _entry_data(tag: TiffTag) -> bytes:
    return struct.pack("<HHI", tag.tag, tag.kind, tag.count) + tag.data


def _tag_of(entry: Entry) -> TiffTag:
    number, kind, count = struct.unpack_from("<HHI", entry.data)
    return TiffTag(number, kind, count, entry.data[8:])


def add_to_tiff(data: bytes, extras: StillExtras) -> bytes:
    """A TIFF file with extras, which must be such as TIFF holds.

    Args:
        data: a little-endian file with one picture.
    """
    tags = [*map(_tag_of, extras.entries), *parts_of(extras.exif).directories]
    if _number({t.tag: t for t in read_directory(data).tags}, _SAMPLES, 1) == 4:
        tags.insert(0, TiffTag(_ALPHA, 3, 1, struct.pack("<H", _APART)))  # OpenCV says nothing, and readers guess
    if extras.icc:
        tags.append(TiffTag(_ICC, 7, len(extras.icc), extras.icc))
    if extras.xmp:
        tags.append(TiffTag(_XMP, 1, len(extras.xmp), extras.xmp))
    if extras.resolution:
        unit = {"": 1, "inch": 2, "cm": 3}[extras.resolution.unit]
        tags += [TiffTag(n, 5, 1, _fraction(v)) for n, v in ((_X, extras.resolution.x), (_Y, extras.resolution.y))]
        tags.append(TiffTag(_UNIT, 3, 1, struct.pack("<H", unit)))
    return with_tags(data, tags) if tags else data


def _number(tags: dict[int, TiffTag], number: int, default: int) -> int:
    found = tags[number].numbers if number in tags else ()
    return found[0] if found else default


def _fraction(value: Fraction) -> bytes:
    near = value.limit_denominator(2**16)
    return struct.pack("<II", min(near.numerator, 2**32 - 1), near.denominator)


def _resolution(tags: dict[int, TiffTag]) -> Resolution | None:
    """The resolution of the upright picture."""
    across, down = (tags[n].numbers if n in tags else () for n in (_X, _Y))
    if len(across) != 2 or len(down) != 2 or not (across[1] and down[1]):
        return None
    units: dict[int, Unit] = {1: "", 2: "inch", 3: "cm"}
    x, y = Fraction(*across), Fraction(*down)
    if _number(tags, ORIENTATION_TAG, 1) >= 5:
        x, y = y, x
    return resolution_of(x, y, units.get(_number(tags, _UNIT, 2), ""))
