"""EXIF between a block of its own, as in PNG, JPEG and WebP, and the directories of a TIFF file.

Standard: CIPA DC-008 (Exif 3.0), section 4.6: an EXIF block is a TIFF structure. What says when, where and how a picture was taken
lies in directories that tags of the first one point to; the first one itself holds what TIFF files have there too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from gpenvid.media.tiff_directory import EMPTY, TiffTag, UnreadTag, count_directories, read_directory, with_tags

ORIENTATION_TAG = 0x0112
DIRECTORIES = {34665: "EXIF", 34853: "GPS"}
TEXTS = {
    270: "ImageDescription",
    271: "Make",
    272: "Model",
    305: "Software",
    306: "DateTime",
    315: "Artist",
    33432: "Copyright",
}
"""Tags that both an EXIF block and a TIFF file have in the first directory."""
_OWNERS = {**DIRECTORIES, 40965: "EXIF's interoperability"}
POINTERS = frozenset(_OWNERS)
"""Numbers of the tags that point to directories; the last stands inside EXIF's own."""
_MAKER_NOTE = 37500
# About the samples, which the result states in its own way.
_STRUCTURE = frozenset({256, 257, 258, 259, 262, ORIENTATION_TAG, 277, 282, 283, 284, 296, 301, 318, 319, 529, 530, 531, 532})


@dataclass(frozen=True)
class ExifParts:
    """What a first directory has of EXIF, in little-endian order.

    Attributes:
        directories: EXIF and GPS, as tags that point to them.
        texts: those of `TEXTS`.
        lost: names of what is neither, nor about the samples.
    """

    directories: tuple[TiffTag, ...]
    texts: tuple[TiffTag, ...]
    lost: tuple[str, ...]

    @property
    def has_maker_note(self) -> bool:
        """Whether a maker's own notes are in it, which may refer to places in the file they come from."""
        return any(tag.tag == _MAKER_NOTE for directory in self.directories for tag in directory.below or ())


def parts_of(block: bytes) -> ExifParts:
    """Take an EXIF block apart, as far as it is undamaged."""
    read = read_directory(block, POINTERS)
    tags = read.tags
    others = [t.tag for t in tags if t.tag not in _STRUCTURE and t.tag not in TEXTS and not t.below]
    lost = [DIRECTORIES.get(n, f"EXIF's tag {n}") for n in others]
    if tags:
        lost += (called(t, {**TEXTS, **DIRECTORIES}, "EXIF") for t in read.unread if t.within or t.tag not in _STRUCTURE)
    elif block:
        lost.append("EXIF")
    if count_directories(block) > 1:
        lost.append("EXIF's thumbnail")
    directories, large = directories_among(tags)
    return ExifParts(directories, tuple(t.little for t in tags if t.tag in TEXTS), tuple(dict.fromkeys([*lost, *large])))


def called(unread: UnreadTag, names: Mapping[int, str], owner: str = "") -> str:
    """The name of a tag that could not be read.

    Args:
        names: of tags of the first directory.
        owner: whose those are that have none.
    """
    if unread.tag is not None and unread.within is None and unread.tag in names:
        return names[unread.tag]
    owner = owner if unread.within is None else _OWNERS[unread.within]
    if unread.tag is None:
        return f"the damaged rest of {owner or 'the tags'}"
    return f"{owner}'s tag {unread.tag}" if owner else f"tag {unread.tag}"


def directories_among(tags: Iterable[TiffTag]) -> tuple[tuple[TiffTag, ...], list[str]]:
    """The tags that point to a directory with anything in it, in little-endian order, and the names of what only BigTIFF can hold of it."""
    found = [tag for tag in tags if tag.below]
    classic = (_classic(tag.little) for tag in found)
    return tuple(tag for tag in classic if tag.below), [called(tag, {}) for pointer in found for tag in _large(pointer)]


def block_of(tags: Iterable[TiffTag], beside: bytes = b"") -> bytes:
    """An EXIF block with these tags in its first directory; empty where there are none.

    Args:
        tags: in little-endian order, with the directories they point to.
        beside: a block made by this function, whose tags it has as well.
    """
    tags = tuple(tags)
    return with_tags(beside or EMPTY, tags) if tags else beside


def _large(pointer: TiffTag) -> Iterator[UnreadTag]:
    for tag in pointer.below or ():
        if not tag.is_classic:
            yield UnreadTag(tag.tag, pointer.tag)
        yield from _large(tag)


def _classic(tag: TiffTag) -> TiffTag:
    return tag if tag.below is None else replace(tag, below=tuple(_classic(t) for t in tag.below if t.is_classic))
