"""Which kind of picture file can hold what of a picture's extras."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from gpenvid.media.exif import parts_of
from gpenvid.media.still_extras import BLOCKS, Family, StillExtras, family_of, listed
from gpenvid.media.still_tiff import for_tiff, from_tiff

_HOLDS: dict[Family, frozenset[str]] = {
    "png": frozenset(("exif", "xmp", "icc", "resolution")),
    "jpeg": frozenset(("exif", "xmp", "icc", "resolution")),
    "webp": frozenset(("exif", "xmp", "icc")),
    "tiff": frozenset(("exif", "xmp", "icc", "resolution")),
    "": frozenset(),
}
_JPEG_ROOM = {"exif": 65527, "xmp": 65504, "icc": 255 * 65519}  # bytes that JPEG's segments have room for

_SPACES = {b"RGB ": "rgb", b"GRAY": "gray"}
_XMP_TURN = re.compile(rb"(tiff:Orientation(?:\s*=\s*[\"']|\s*>\s*))[2-8]")


def kept_in(extras: StillExtras, suffix: str, model: str) -> tuple[StillExtras, list[str]]:
    """What a file of a kind will hold of a picture's extras, and sentences that name the rest.

    Where the orientation is not among it, the samples have to be turned upright.

    Args:
        suffix: of the file to write, lower case, with its dot.
        model: `gray` or `rgb`, of the samples.
    """
    family, told = family_of(suffix), list(extras.remarks)
    held, lost = replace(extras, remarks=()), list[str]()
    if family == "tiff" != extras.family:
        lost += dict.fromkeys(e.name for e in held.entries if not e.implied)
        held, without = for_tiff(held)
        lost += without
    elif extras.family == "tiff" != family and "exif" in _HOLDS[family]:
        held = from_tiff(held)
    if extras.icc and (reason := _unfit(extras.icc, "rgb" if family == "webp" else model)):
        held = replace(held, icc=b"")
        told.append(reason)
    for block, name in BLOCKS.items():
        content = getattr(held, block)
        if content and (block not in _HOLDS[family] or (family == "jpeg" and len(content) > _JPEG_ROOM[block])):
            held = _without(held, block)
            lost.append(name)
    if held.resolution and "resolution" not in _HOLDS[family]:
        held = replace(held, resolution=None)
        lost.append("resolution")
    if held.entries and family != held.family:
        lost += dict.fromkeys(e.name for e in held.entries if not e.implied)
        held = replace(held, entries=())
    held = replace(held, family=family)
    if held.exif and "tiff" in (family, extras.family) and parts_of(held.exif).has_maker_note:
        told.append("the maker's note in EXIF is kept, but places in the file that it refers to have moved")
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
