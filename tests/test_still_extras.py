"""What a picture file carries beside its samples is kept, or it is said what is not; and `verify` sees it."""

from __future__ import annotations

import random
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

import gpenvid
from gpenvid import RestoreSettings
from gpenvid.errors import InputError, UsageError
from gpenvid.media.audit import audit
from gpenvid.media.exif import parts_of
from gpenvid.media.orientation import Orientation
from gpenvid.media.still_extras import Resolution, StillExtras
from gpenvid.media.still_files import read_file
from gpenvid.media.still_kept import kept_in
from gpenvid.media.stills import encode_still, read_still
from gpenvid.media.tiff_directory import TiffTag, with_tags

XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/' tiff:Orientation=\"6\"/>"
UPRIGHT_XMP = XMP.replace(b'"6"', b'"1"')
DPI = Resolution(Fraction(300), Fraction(150), "inch")
TEXTS = {270: b"At the lake\0", 305: b"scanner 1\0", 306: b"1999:12:31 23:59:59\0"}


def _exif(tag: int) -> bytes:
    return b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + bytes([tag, 0, 0, 0]) + b"\0\0\0\0"


def _icc(space: bytes) -> bytes:
    return struct.pack(">I", 132) + b"\0" * 8 + b"mntr" + space + b"XYZ " + b"\0" * 108


def _planes(image: np.ndarray) -> list[np.ndarray]:
    return [np.ascontiguousarray(image[:, :, i]) for i in (1, 2, 0, 3)[: image.shape[2]]]


def _still(path: Path, image: np.ndarray, extras: StillExtras) -> Path:
    path.write_bytes(encode_still(_planes(image), "rgb", extras, path.suffix))
    return path


def _tiff(path: Path, image: np.ndarray, tags: dict[int, TiffTag]) -> Path:
    path.write_bytes(with_tags(bytes(cv2.imencode(".tif", image[:, :, ::-1])[1]), tags.values()))
    return path


def _scan(path: Path, image: np.ndarray) -> Path:
    """A TIFF as scanners write it."""
    tags = {n: TiffTag(n, 2, len(t), t) for n, t in TEXTS.items()}
    tags[700], tags[34675] = TiffTag(700, 1, len(UPRIGHT_XMP), UPRIGHT_XMP), TiffTag(34675, 7, 132, _icc(b"RGB "))
    tags |= {n: TiffTag(n, 5, 1, struct.pack("<II", dpi * 10, 10)) for n, dpi in ((282, 300), (283, 150))}
    tags[296] = TiffTag(296, 3, 1, struct.pack("<H", 2))
    return _tiff(path, image, tags)


def _with_chunks(png: bytes, *chunks: bytes) -> bytes:
    written = b"".join(struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
    return png[:33] + written + png[33:]


def _differing(source: Path, output: Path) -> list[str]:
    return [f.what for f in audit(source, output).findings if f.outcome == "differs"]


def test_a_picture_whose_name_is_no_utf8_is_read(tmp_path: Path) -> None:
    name = tmp_path / "bad\udcff.png"
    try:
        name.write_bytes(bytes(cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1]))
    except (OSError, UnicodeError):
        pytest.skip("this file system has no such names")
    code = "import sys; from pathlib import Path; from gpenvid.media.stills import read_still; read_still(Path(sys.argv[1]))"
    assert subprocess.run([sys.executable, "-c", code, str(name)], check=False).returncode == 0


@pytest.mark.parametrize(("kind", "name"), [("PNG", "a.png"), ("WEBP", "a.webp"), ("TIFF", "a.tif"), ("GIF", "a.png"), ("TIFF", "a.jpg")])
def test_several_pictures_in_one_file_are_refused(kind: str, name: str, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    pictures = [image.fromarray(np.full((8, 8, 3), value, np.uint8)) for value in (0, 90, 200)]
    pictures[0].save(tmp_path / name, kind, save_all=True, append_images=pictures[1:])
    with pytest.raises(InputError, match=r"holds [23] pictures"):
        read_still(tmp_path / name)
    pictures[0].save(tmp_path / name, kind)
    read_still(tmp_path / name)


@pytest.mark.parametrize(("suffix", "tag"), [(".tif", n) for n in range(1, 9)] + [(s, 6) for s in (".bmp", ".ppm", ".jp2")])
def test_a_turned_picture_lies_right_in_a_format_without_exif(
    suffix: str, tag: int, astronaut: np.ndarray, settings: RestoreSettings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shown = astronaut[:400]
    orientation = Orientation.from_exif(tag)
    inverse = next(o for o in map(Orientation.from_exif, range(1, 9)) if np.array_equal(orientation.apply(o.apply(shown)), shown))
    source = _still(tmp_path / "a.png", inverse.apply(shown), StillExtras(_exif(tag), XMP, _icc(b"RGB "), DPI, "png"))
    report = gpenvid.restore(source, tmp_path / f"b{suffix}", replace(settings, strength=0))
    frame, extras = read_still(tmp_path / f"b{suffix}")
    assert frame.geometry.orientation == Orientation()
    assert np.abs(frame.thumbnail(512, 400).astype(int) - shown).mean() < 0.01
    assert any(f"{suffix} cannot hold EXIF" in w for w in report.warnings) == (suffix != ".tif")
    assert any("turned upright" in w for w in report.warnings) == (tag > 1)
    if suffix == ".tif":
        assert (extras.xmp, extras.icc) == (UPRIGHT_XMP if tag > 1 else XMP, _icc(b"RGB "))
        assert extras.resolution is not None
        assert extras.resolution.agrees(DPI) == (tag < 5)
    assert _differing(source, tmp_path / f"b{suffix}") == []
    assert "WARN" not in capfd.readouterr().err
    if tag == 6:
        (tmp_path / f"c{suffix}").write_bytes(bytes(cv2.imencode(suffix, inverse.apply(shown)[:, :, ::-1])[1]))
        assert f"size of c{suffix}" in _differing(source, tmp_path / f"c{suffix}")


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".png"])
def test_a_turned_picture_stays_turned_where_exif_can_say_so(
    suffix: str, astronaut: np.ndarray, settings: RestoreSettings, tmp_path: Path
) -> None:
    source = _still(tmp_path / "a.jpg", astronaut[:400], StillExtras(_exif(6), XMP, _icc(b"RGB "), DPI, "jpeg"))
    report = gpenvid.restore(source, tmp_path / f"b{suffix}", settings)
    _, extras = read_still(tmp_path / f"b{suffix}")
    assert (extras.exif, extras.xmp, extras.icc) == (_exif(6), XMP, _icc(b"RGB "))
    assert report.warnings == (["a.jpg: .webp cannot hold resolution, which is lost"] if suffix == ".webp" else [])
    assert _differing(source, tmp_path / f"b{suffix}") == []


def test_tags_of_a_scan_are_kept_in_tiff(astronaut: np.ndarray, settings: RestoreSettings, tmp_path: Path) -> None:
    source, out = _scan(tmp_path / "a.tif", astronaut), tmp_path / "b.tif"
    report = gpenvid.restore(source, out, settings)
    assert report.warnings == []
    (_, before), (_, after) = read_still(source), read_still(out)
    assert (before.xmp, before.icc, before.resolution) == (UPRIGHT_XMP, _icc(b"RGB "), DPI)
    assert [e.data[8:] for e in before.entries] == list(TEXTS.values())
    assert after == before
    assert _differing(source, out) == []
    cv2.imwrite(str(out), cv2.imread(str(out)))
    assert _differing(source, out) == ["XMP of b.tif", "ICC profile of b.tif", "resolution of b.tif", "text of b.tif"]


def test_tags_that_a_result_cannot_hold_are_named(astronaut: np.ndarray, settings: RestoreSettings, tmp_path: Path) -> None:
    source, out = _scan(tmp_path / "a.tif", astronaut), tmp_path / "b.png"
    tags = {n: TiffTag(n, 4, 1, b"\0\0\0\xf0") for n in (34665, 34853, 42112)}
    tags[285] = TiffTag(285, 2, 4, b"one\0")
    source.write_bytes(with_tags(source.read_bytes(), tags.values()))
    report = gpenvid.restore(source, out, settings)
    assert report.warnings == [
        "a.tif: tag 42112, EXIF and GPS cannot be carried over from TIFF",
        "a.tif: .png cannot hold PageName, which is lost",
    ]
    _, extras = read_still(out)
    assert [(t.tag, t.data) for t in parts_of(extras.exif).texts] == list(TEXTS.items())
    assert (extras.xmp, extras.icc) == (UPRIGHT_XMP, _icc(b"RGB "))
    assert extras.resolution is not None
    assert extras.resolution.agrees(DPI)
    told = audit(source, out)
    assert told.passed
    assert [f"{f.detail}".replace("b.png", "a.tif") for f in told.findings if f.what == "what is lost"] == report.warnings
    with pytest.raises(UsageError, match="leave out --strict"):
        gpenvid.restore(source, tmp_path / "c.png", replace(settings, strict=True))
    assert not (tmp_path / "c.png").exists()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_tags_are_read_in_either_byte_order_and_from_large_files(order: str, big: bool) -> None:
    entry, offset = (order + "HHQ8s", order + "Q") if big else (order + "HHI4s", order + "I")
    start = 16 if big else 8
    fields = [(256, 3, 1, struct.pack(order + "H", 9)), (270, 2, 12, b""), (282, 5, 1, b""), (283, 5, 1, b"")]
    values = {270: TEXTS[270], 282: struct.pack(order + "II", 300, 1), 283: struct.pack(order + "II", 150, 1)}
    place = start + struct.calcsize(order + ("Q" if big else "H")) + len(fields) * struct.calcsize(entry) + struct.calcsize(offset)
    directory, behind = struct.pack(order + ("Q" if big else "H"), len(fields)), b""
    for tag, kind, count, field in fields:
        content = values.get(tag, field)
        inside = content if len(content) <= struct.calcsize(offset) else struct.pack(offset, place + len(behind))
        behind += content if inside is not content else b""
        directory += struct.pack(entry, tag, kind, count, inside)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if big else 42)
    head += struct.pack(order + "HHQ", 8, 0, start) if big else struct.pack(offset, start)
    known = read_file(head + directory + struct.pack(offset, 0) + behind)
    assert known.pages == 1
    assert known.extras.resolution == DPI
    assert [(e.name, e.data[8:]) for e in known.extras.entries] == [("ImageDescription", TEXTS[270])]


def test_tiffs_own_orientation_is_undone_with_all_that_depends_on_it(
    astronaut: np.ndarray, settings: RestoreSettings, tmp_path: Path
) -> None:
    source = _scan(tmp_path / "a.tif", astronaut[:400])
    turned = (TiffTag(274, 3, 1, b"\x06\0"), TiffTag(700, 1, len(XMP), XMP))
    source.write_bytes(with_tags(source.read_bytes(), turned))
    gpenvid.restore(source, tmp_path / "b.tif", settings)
    frame, extras = read_still(tmp_path / "b.tif")
    assert (frame.width, frame.height) == (400, 512)
    assert extras.resolution == Resolution(DPI.y, DPI.x, "inch")
    assert extras.xmp == UPRIGHT_XMP
    assert _differing(source, tmp_path / "b.tif") == []


def test_text_colour_and_resolution_of_png_are_kept_in_png(astronaut: np.ndarray, settings: RestoreSettings, tmp_path: Path) -> None:
    source, out = tmp_path / "a.png", tmp_path / "b.png"
    plain = bytes(cv2.imencode(".png", astronaut[:, :, ::-1])[1])
    text, colour, size = b"tEXtAuthor\0me", b"gAMA" + struct.pack(">I", 45455), b"pHYs" + struct.pack(">IIB", 11811, 11811, 1)
    source.write_bytes(_with_chunks(plain, text, colour, size, b"caBXmanifest"))
    report = gpenvid.restore(source, out, settings)
    assert report.warnings == ["a.png: what the chunks caBX say may not hold for changed samples; they are left out"]
    for chunk in (text, colour, size):
        assert chunk in out.read_bytes()
    assert _differing(source, out) == []
    out.write_bytes(bytes(cv2.imencode(".png", cv2.imread(str(out)))[1]))
    assert _differing(source, out) == ["resolution of b.png", "text of b.png"]
    report = gpenvid.restore(source, tmp_path / "c.jpg", settings)
    assert "a.png: .jpg cannot hold text 'Author' and chunk gAMA, which are lost" in report.warnings


def test_srgb_needs_no_mark_in_other_formats(astronaut: np.ndarray) -> None:
    plain = bytes(cv2.imencode(".png", astronaut)[1])
    marked = read_file(_with_chunks(plain, b"sRGB\0", b"gAMA" + struct.pack(">I", 45455))).extras
    assert kept_in(marked, ".jpg", "rgb")[1] == []
    assert kept_in(marked, ".png", "rgb")[0] == marked


def test_comment_and_iptc_of_jpeg_are_kept_in_jpeg(astronaut: np.ndarray, settings: RestoreSettings, tmp_path: Path) -> None:
    source, out = tmp_path / "a.jpg", tmp_path / "b.jpg"
    data = bytes(cv2.imencode(".jpg", astronaut[:, :, ::-1])[1])
    segments = [struct.pack(">BBH", 0xFF, m, len(b) + 2) + b for m, b in ((0xFE, b"hello"), (0xED, b"Photoshop 3.0\0"), (0xE2, b"MPF\0"))]
    source.write_bytes(data[:20] + b"".join(segments) + data[20:])
    report = gpenvid.restore(source, out, settings)
    assert report.warnings == ["a.jpg: further pictures (MPF) cannot be carried over"]
    assert b"".join(segments[:2]) in out.read_bytes()
    assert _differing(source, out) == []
    report = gpenvid.restore(source, tmp_path / "c.png", settings)
    assert report.warnings[1:] == ["a.jpg: .png cannot hold comment and IPTC (APP13), which are lost"]


def test_blocks_of_any_size_fit_or_are_named() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    large = StillExtras(_exif(6) + b"\0" * 70000, b"x" * 70000, struct.pack(">I", 200000) + _icc(b"RGB ")[4:] + b"\0" * 199868, None, "png")
    assert read_file(encode_still(_planes(image), "rgb", large, ".png")).extras == large
    held, told = kept_in(large, ".jpg", "rgb")
    assert told == [
        ".jpg cannot hold EXIF and XMP, which are lost",
        "the picture is turned upright, because .jpg cannot hold its EXIF orientation",
    ]
    found = read_file(encode_still(_planes(image), "rgb", large, ".jpg")).extras
    assert (found.exif, found.xmp, found.icc) == (held.exif, held.xmp, held.icc) == (b"", b"", large.icc)


def test_a_cmyk_jpeg_leaves_its_profile_behind_and_says_so(astronaut: np.ndarray, settings: RestoreSettings, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    source, out = tmp_path / "a.jpg", tmp_path / "b.jpg"
    image.fromarray(astronaut).convert("CMYK").save(source, icc_profile=_icc(b"CMYK"))
    report = gpenvid.restore(source, out, settings)
    assert any("is CMYK and is written as RGB" in w for w in report.warnings)
    assert any("for CMYK samples" in w for w in report.warnings)
    assert read_still(out)[1].icc == b""
    assert audit(source, out).passed


@pytest.mark.parametrize("suffix", [".tif", ".png"])
@pytest.mark.parametrize(("mode", "told"), [("CMYK", "CMYK"), ("LAB", "CIELab")])
def test_a_tiff_in_other_colours_than_rgb_is_refused(mode: str, told: str, suffix: str, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    image.fromarray(np.full((8, 8, len(mode)), 90, np.uint8), mode).save(tmp_path / f"a{suffix}", "TIFF")
    with pytest.raises(InputError, match=f"{told}, which is not supported: convert it to RGB"):
        read_still(tmp_path / f"a{suffix}")


def test_alpha_of_a_grey_tiff_is_named(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    image.fromarray(np.full((8, 8, 2), 90, np.uint8), "LA").save(tmp_path / "a.tif")
    assert "the alpha of a grey picture" in read_still(tmp_path / "a.tif")[1].remarks[0]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("meaning", [0, 1, 2])
def test_alpha_of_a_tiff_means_what_it_did_and_leaves_colours_alone(
    meaning: int, order: str, settings: RestoreSettings, tmp_path: Path
) -> None:
    image = pytest.importorskip("PIL.Image")
    samples, source = np.random.default_rng(0).integers(0, 256, (16, 16, 4), np.uint8), tmp_path / "a.tif"
    numbers = ((256, 16), (257, 16), (258, 8), (259, 1), (262, 2), (273, 134), (277, 4), (278, 16), (279, 1024), (338, meaning))
    fields = b"".join(struct.pack(order + "HHIHH", tag, 3, 1, number, 0) for tag, number in numbers)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HIH", 42, 8, 10)
    source.write_bytes(head + fields + bytes(4) + samples.tobytes())
    for suffix in (".tif", ".png"):
        report = gpenvid.restore(source, out := tmp_path / f"b{suffix}", settings)
        assert report.warnings == ["a.tif: .png cannot hold the meaning of alpha, which is lost"] * ((suffix, meaning) == (".png", 1))
        assert audit(source, out, pixels=True).passed
        assert np.array_equal(read_still(out)[0].planes, np.moveaxis(samples[:, :, [1, 2, 0, 3]], 2, 0))
    with image.open(tmp_path / "b.tif") as written:
        assert written.tag_v2[338] == (meaning,)
        assert meaning != 2 or np.array_equal(written, samples)
    gpenvid.restore(tmp_path / "b.png", tmp_path / "c.tif", settings)
    with image.open(tmp_path / "c.tif") as written:
        assert written.tag_v2[338] == (2,)
        assert np.array_equal(written, samples)


def test_a_grey_profile_stays_with_grey_samples_only(astronaut: np.ndarray, settings: RestoreSettings, tmp_path: Path) -> None:
    grey = astronaut[:, :, 0]
    chunk = b"iCCPname\0\0" + zlib.compress(_icc(b"GRAY"))
    for name, image, kept in (("a.png", grey, True), ("b.png", np.dstack([grey] * 3), False)):
        source, out = tmp_path / name, tmp_path / f"out_{name}"
        source.write_bytes(_with_chunks(bytes(cv2.imencode(".png", image)[1]), chunk))
        report = gpenvid.restore(source, out, settings)
        assert read_still(out)[1].icc == (_icc(b"GRAY") if kept else b"")
        assert any("for GRAY samples" in w for w in report.warnings) != kept
        assert audit(source, out).passed


def test_a_profile_that_is_cut_off_is_left_out() -> None:
    held, told = kept_in(StillExtras(icc=_icc(b"RGB ")[:-1]), ".png", "rgb")
    assert (held.icc, told) == (b"", ["the ICC profile is damaged and is left out"])


def test_verify_names_a_block_and_its_size(astronaut: np.ndarray, tmp_path: Path) -> None:
    source = _still(tmp_path / "a.png", astronaut, StillExtras(_exif(6), XMP, _icc(b"RGB ")))
    out = _still(tmp_path / "b.png", astronaut, StillExtras(_exif(8), b"", _icc(b"RGB ")))
    told = {f.what: f.detail for f in audit(source, out).findings if f.outcome == "differs"}
    assert list(told) == ["EXIF of b.png", "XMP of b.png"]
    assert told["EXIF of b.png"].startswith("26 bytes (checksum ")
    assert told["XMP of b.png"] == f"{len(XMP)} bytes (checksum {zlib.crc32(XMP):08x}) became none"


def test_what_many_pictures_lose_is_told_once(astronaut: np.ndarray, settings: RestoreSettings, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        _still(tmp_path / f"a{number}.png", astronaut, StillExtras(_exif(1)))
    report = gpenvid.restore(tmp_path / "a%d.png", tmp_path / "b%d.bmp", settings)
    assert report.warnings == ["a1.png and 2 others: .bmp cannot hold EXIF, which is lost"]


def test_older_ways_to_write_exif_and_xmp_into_png_are_read() -> None:
    plain = bytes(cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1])
    words = b"\nexif\n      32\n" + (b"Exif\0\0" + _exif(6)).hex().encode()
    raw = b"zTXtRaw profile type exif\0\0" + zlib.compress(words)
    packed = b"iTXtXML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(XMP)
    extras = read_file(_with_chunks(plain, raw, packed)).extras
    assert (extras.exif, extras.xmp, extras.entries) == (_exif(6), XMP, ())
    assert extras.orientation == Orientation.from_exif(6)


@pytest.mark.parametrize("keyword", [b"Raw profile type exif\0", b"XML:com.adobe.xmp\0"])
@pytest.mark.parametrize("broken", [0, 4])
def test_many_bombs_in_one_png_cost_no_more_than_one(keyword: bytes, broken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = bytes(cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1])
    packed = zlib.compress(b"a" * 2**25, 1)
    bomb, made = b"zTXt" + keyword + b"\0" + packed[: len(packed) - broken] + b"\xff" * broken, []
    real = zlib.decompressobj

    class Counting:
        def __init__(self) -> None:
            self.real = real()

        def decompress(self, data: bytes, most: int) -> bytes:
            made.append(min(most, 2**25))
            return self.real.decompress(data, most)

        @property
        def eof(self) -> bool:
            return self.real.eof

    monkeypatch.setattr("zlib.decompressobj", Counting)
    read_file(_with_chunks(plain, *[bomb] * 9))
    assert sum(made) <= 2**26


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_damaged_files_are_looked_at_without_a_crash(suffix: str, tmp_path: Path) -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    extras = StillExtras(_exif(6), XMP, _icc(b"RGB "), DPI)
    data = encode_still(_planes(picture), "rgb", extras, suffix)
    chance = random.Random(0)
    for size in range(len(data)):
        assert read_file(data[:size]).extras.orientation
    for _ in range(3000):
        broken = bytearray(data)
        for _ in range(chance.randint(1, 6)):
            broken[chance.randrange(len(data))] = chance.choice((0, 1, 127, 255, chance.randrange(256)))
        found = read_file(bytes(broken))
        kept_in(found.extras, ".tif", "rgb")
        assert found.extras.orientation


def test_an_offset_beyond_all_memory_is_damage() -> None:
    assert read_file(b"II+\0\x08\0\0\0" + b"\xff" * 8).pages == 0
