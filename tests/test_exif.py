"""EXIF on its way between TIFF, which keeps it in directories, and other files, which keep it in a block. Pillow reads the results."""

from __future__ import annotations

import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gpenvid
from gpenvid import RestoreSettings
from gpenvid.media.audit import audit
from gpenvid.media.exif import block_of, parts_of
from gpenvid.media.still_extras import StillExtras
from gpenvid.media.still_kept import kept_in
from gpenvid.media.still_tiff import read_tiff
from gpenvid.media.tiff_directory import EMPTY, TiffDirectory, TiffTag, UnreadTag, read_directory, with_tags

image = pytest.importorskip("PIL.Image")

EXIF, GPS, INTEROP, MAKER_NOTE = 34665, 34853, 40965, 37500
TEXTS = {270: "At the lake", 271: "Maker", 272: "Model 1", 306: "1999:12:31 23:59:59", 315: "Me", 33432: "Nobody"}
TAKEN = {33434: 0.008, 34855: 400, 36867: "1999:12:31 23:59:58", 37377: -1.5, 37510: b"ASCII\0\0\0a word", 41986: 1}
PLACE = {1: "N", 2: (60.0, 10.0, 30.25), 3: "E", 4: (24.0, 56.0, 15.5), 6: 12.5}


def _photograph(path: Path, picture: np.ndarray, order: str = "<", **beside: Any) -> Path:
    """A picture as cameras write it, by Pillow."""
    exif = image.Exif()
    exif.endian = order
    for tag, value in TEXTS.items():
        exif[tag] = value
    for pointer, content in ((EXIF, {**TAKEN, INTEROP: {1: "R98"}, **beside.get("more", {})}), (GPS, PLACE)):
        exif.get_ifd(pointer).update(content)
        exif[pointer] = 0  # Pillow writes where it lies, and a TIFF file nothing without it
    image.fromarray(picture[::4, ::4]).save(path, exif=exif)
    return path


def _known(path: Path) -> tuple[dict[int, Any], ...]:
    """What Pillow reads of the first directory's texts, of EXIF, GPS and interoperability."""
    exif = image.open(path).getexif()
    taken = dict(exif.get_ifd(EXIF))
    interop = taken.pop(INTEROP, None)
    first = {tag: exif[tag] for tag in TEXTS if tag in exif}
    return first, taken, dict(exif.get_ifd(GPS)), dict(exif.get_ifd(INTEROP)) if interop is not None else {}


def _differing(source: Path, output: Path) -> list[str]:
    return [f.what for f in audit(source, output).findings if f.outcome == "differs"]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("before", "after"), [("jpg", "tif"), ("png", "tif"), ("webp", "tif"), ("tif", "tif"), ("tif", "jpg"), ("tif", "webp")]
)
def test_when_where_and_how_a_picture_was_taken_goes_into_tiff_and_out_of_it(
    before: str, after: str, order: str, astronaut: np.ndarray, settings: RestoreSettings, tmp_path: Path
) -> None:
    source, out = _photograph(tmp_path / f"a.{before}", astronaut, order), tmp_path / f"b.{after}"
    report = gpenvid.restore(source, out, settings)
    assert report.warnings == []
    first, taken, place, interop = _known(out)
    assert _known(source) == (first, taken, place, interop)
    assert first == TEXTS
    assert {tag: taken[tag] for tag in TAKEN} == TAKEN
    assert place == PLACE
    assert interop == {1: "R98"}
    assert _differing(source, out) == []


def test_a_result_without_the_exif_fails(astronaut: np.ndarray, settings: RestoreSettings, tmp_path: Path) -> None:
    source = _photograph(tmp_path / "a.jpg", astronaut)
    gpenvid.restore(source, tmp_path / "b.tif", settings)
    plain = image.open(tmp_path / "b.tif")
    image.fromarray(np.asarray(plain)).save(tmp_path / "b.tif")
    assert _differing(source, tmp_path / "b.tif") == ["EXIF of b.tif", "text of b.tif"]


def test_a_makers_note_that_moves_is_named(astronaut: np.ndarray, settings: RestoreSettings, tmp_path: Path) -> None:
    source = _photograph(tmp_path / "a.jpg", astronaut, more={MAKER_NOTE: b"makers only"})
    report = gpenvid.restore(source, tmp_path / "b.tif", settings)
    assert report.warnings == ["a.jpg: the maker's note in EXIF is kept, but places in the file that it refers to have moved"]
    assert _known(tmp_path / "b.tif")[1][MAKER_NOTE] == b"makers only"
    assert gpenvid.restore(source, tmp_path / "b.png", settings).warnings == []


def test_what_tiff_does_not_take_of_exif_is_named() -> None:
    block = with_tags(EMPTY, [TiffTag(18246, 3, 1, b"\5\0"), TiffTag(274, 3, 1, b"\1\0"), TiffTag(315, 2, 3, b"me\0")])
    thumbnail = bytearray(block)
    struct.pack_into("<I", thumbnail, len(thumbnail) - 4, 8)  # the empty directory as one more
    held, told = kept_in(StillExtras(bytes(thumbnail), family="jpeg"), ".tif", "rgb")
    assert told == [".tif cannot hold EXIF's tag 18246 and EXIF's thumbnail, which are lost"]
    assert [e.name for e in held.entries] == ["Artist"]
    assert kept_in(StillExtras(b"no exif", family="jpeg"), ".tif", "rgb")[1] == [".tif cannot hold EXIF, which is lost"]


def test_texts_in_utf_8_are_texts() -> None:
    """Exif 3.0 has a type of its own for them."""
    name, title = TiffTag(271, 129, 6, b"L\xc3\xa9ca\0"), TiffTag(0xA436, 129, 6, b"hello\0")
    block = block_of([name, TiffTag(EXIF, 4, 1, b"", below=(title,))])
    held, told = kept_in(StillExtras(block, family="jpeg"), ".tif", "rgb")
    assert told == []
    assert [e.name for e in held.entries] == ["Make"]
    assert parts_of(held.exif).directories[0].below == (title,)
    unusual = block_of([TiffTag(271, 3, 1, b"\1\0")])
    assert kept_in(StillExtras(unusual, family="jpeg"), ".tif", "rgb")[1] == [".tif cannot hold Make, which is lost"]


def test_a_block_taken_apart_and_put_together_is_the_same() -> None:
    taken = TiffTag(
        EXIF, 4, 1, b"", below=(TiffTag(34855, 3, 1, b"\x90\1"), TiffTag(INTEROP, 4, 1, b"", below=(TiffTag(1, 2, 4, b"R98\0"),)))
    )
    block = block_of([taken, TiffTag(GPS, 4, 1, b"", below=(TiffTag(1, 2, 2, b"N\0"),))])
    assert block_of(parts_of(block).directories) == block


def _damaged(block: bytes, tag: int, order: str, **fields: int) -> bytes:
    """A block whose entry of a tag states another type, count or offset."""
    broken = bytearray(block)
    entry = next(e for kind in (4, 2, 7, 5, 12, 1) if (e := struct.pack(order + "HH", tag, kind)) in block)
    for name, value in fields.items():
        code, beside = {"kind": ("H", 2), "count": ("I", 4), "offset": ("I", 8)}[name]
        struct.pack_into(order + code, broken, block.index(entry) + beside, value)
    return bytes(broken)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("tag", "fields", "named"),
    [
        (37510, {"offset": 2**31}, "EXIF's tag 37510"),
        (36867, {"count": 2**30}, "EXIF's tag 36867"),
        (33434, {"kind": 99}, "EXIF's tag 33434"),
        (6, {"kind": 77}, "GPS's tag 6"),
        (INTEROP, {"offset": 2**31}, "EXIF's tag 40965"),
        (GPS, {"offset": 0}, "GPS"),
        (271, {"offset": 2**31}, "Make"),
    ],
)
@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_a_damaged_tag_is_named(
    suffix: str, tag: int, fields: dict[str, int], named: str, order: str, astronaut: np.ndarray, settings: RestoreSettings, tmp_path: Path
) -> None:
    source = _photograph(tmp_path / f"a.{suffix}", astronaut, order)
    source.write_bytes(_damaged(source.read_bytes(), tag, ">" if order == ">" and suffix == "jpg" else "<", **fields))
    whole = gpenvid.restore(_photograph(tmp_path / f"whole.{suffix}", astronaut, order), tmp_path / "c.tif", settings).warnings
    report = gpenvid.restore(source, tmp_path / "b.tif", settings)
    assert whole == []
    assert [named in warning for warning in report.warnings] == [True]


def test_what_stands_behind_damage_in_a_directory_is_named() -> None:
    block = bytearray(block_of([TiffTag(315, 2, 5, b"anon\0"), TiffTag(EXIF, 4, 1, b"", below=(TiffTag(34855, 3, 1, b"\x90\1"),))]))
    place = block.index(struct.pack("<HHI", 34855, 3, 1))
    struct.pack_into("<H", block, place - 2, 900)
    read = read_directory(bytes(block), {EXIF})
    assert [t.tag for t in read.tags] == [315, EXIF]
    assert "the damaged rest of EXIF" in parts_of(bytes(block)).lost


def test_what_says_nothing_is_not_missed() -> None:
    padding, empty, unknown = TiffTag(0, 0, 0, b""), TiffTag(315, 2, 0, b""), TiffTag(40000, 99, 1, b"")
    assert [t.tag for t in read_directory(block_of([padding, empty, unknown])).unread] == [40000]
    assert read_directory(block_of([padding, empty])).unread == ()
    assert parts_of(block_of([TiffTag(315, 2, 5, b"anon\0"), TiffTag(GPS, 4, 1, b"", below=())])).lost == ()


def test_damaged_structure_is_not_missed_and_what_belongs_to_the_picture_is() -> None:
    """How the samples lie is stated anew in every result."""
    beyond = struct.pack("<I", 2**31)
    block = block_of([TiffTag(315, 2, 5, b"anon\0"), TiffTag(282, 99, 1, beyond)])
    assert parts_of(block).lost == ()
    told = read_tiff(block_of([TiffTag(n, 99, 1, beyond) for n in (254, 258, 282, 283, 296, 700, 34675)])).extras.remarks
    assert told == ("the resolution, the resolution's unit, XMP and the ICC profile cannot be carried over from TIFF",)


def test_a_directory_does_not_lie_in_the_header() -> None:
    assert read_directory(b"II*\0" + bytes(1 << 19)) == TiffDirectory((), (UnreadTag(None, None),))
    assert read_directory(b"II+\0\x08\0\0\0") == TiffDirectory((), (UnreadTag(None, None),))


def test_what_only_bigtiff_holds_is_named() -> None:
    large = TiffTag(40962, 16, 1, struct.pack("<Q", 7))
    assert parts_of(block_of([TiffTag(EXIF, 4, 1, b"", below=(TiffTag(34855, 3, 1, b"\x90\1"), large))])).lost == ("EXIF's tag 40962",)
    only = read_tiff(block_of([TiffTag(EXIF, 4, 1, b"", below=(large,))])).extras
    assert (only.exif, only.remarks) == (b"", ("EXIF's tag 40962 cannot be carried over from TIFF",))


def test_a_name_is_said_once() -> None:
    block = bytearray(block_of([TiffTag(315, 2, 5, b"anon\0"), *(TiffTag(n, 99, 1, b"") for n in (40000, 40001))]))
    place = block.index(struct.pack("<HH", 40001, 99))
    struct.pack_into("<H", block, place, 40000)
    assert kept_in(StillExtras(bytes(block), family="jpeg"), ".tif", "rgb")[1] == [".tif cannot hold EXIF's tag 40000, which is lost"]


def test_a_large_tag_in_the_other_byte_order_takes_no_time() -> None:
    values = np.arange(2**24).astype(">u2")
    begin = time.process_time()
    little = TiffTag(700, 3, values.size, values.tobytes(), ">").little
    assert time.process_time() - begin < 1.5  # byte by byte, three seconds and more
    assert np.array_equal(np.frombuffer(little.data, "<u2"), values)


def test_directories_that_point_to_each_other_end() -> None:
    """A thousand pointers to a directory of a thousand pointers, and to itself."""
    entries = b"".join(struct.pack("<HHII", (EXIF, GPS, INTEROP)[i % 3], 4, 1, 8) for i in range(4000))
    bomb = b"II*\0\x08\0\0\0" + struct.pack("<H", 4000) + entries + bytes(4)
    begin = time.process_time()
    assert [t.tag for t in read_directory(bomb, {EXIF, GPS, INTEROP}).tags if t.below] == [EXIF, GPS, INTEROP]
    assert parts_of(bomb).lost
    assert time.process_time() - begin < 5
