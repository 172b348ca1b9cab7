"""Pictures that are damaged and decode all the same, or do not: what is said of them by `restore` and by `verify`."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import gpenvid
from gpenvid import RestoreSettings
from gpenvid.errors import BatchError, InputError
from gpenvid.media.audit import audit
from gpenvid.media.still_jpeg import is_damaged

image = pytest.importorskip("PIL.Image")
WAYS = ({}, {"progressive": True}, {"optimize": True}, {"subsampling": 0}, {"subsampling": 1}, {"restart_marker_rows": 1}, {"quality": 100})


def _jpeg(picture: Any, **ways: object) -> bytes:
    data = io.BytesIO()
    (image.fromarray(picture) if isinstance(picture, np.ndarray) else picture).save(data, "JPEG", **ways)
    return data.getvalue()


def _noisy(picture: np.ndarray) -> bytes:
    """A JPEG file with 200 wrong bytes, which decodes all the same."""
    data = _jpeg(picture, progressive=True)
    return data[: len(data) // 2] + random.Random(0).randbytes(200) + data[len(data) // 2 + 200 :]


def _findings(source: Path, output: Path) -> dict[str, tuple[str, str]]:
    return {f.what: (f.outcome, f.detail) for f in audit(source, output).findings}


@pytest.mark.parametrize("ways", WAYS)
@pytest.mark.parametrize("kind", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize(
    "wrapped",
    [
        lambda data: data,
        lambda data: data + bytes(99),
        lambda data: data + data,
        lambda data: data[:-2],
        lambda data: data[:-2] + b"\xff" * 5 + data[-2:],
        lambda data: data[:-2] + bytes(7) + data[-2:],
        lambda data: data[:2] + b"\xff\xfe\0\4ab" + data[2:],
    ],
    ids=["plain", "padded", "another behind", "no end", "fill", "zeros before the end", "comment"],
)
def test_a_whole_jpeg_is_not_suspected(wrapped: Callable[[bytes], bytes], kind: str, ways: dict[str, object]) -> None:
    for width, height in ((131, 77), (8, 8), (1, 1)):
        picture = image.effect_mandelbrot((width, height), (-3, -2.5, 2, 2.5), 100).convert("RGB").convert(kind)
        assert not is_damaged(wrapped(_jpeg(picture, **ways)))


def test_the_shared_pictures_are_not_suspected(shared: Path) -> None:
    files = [file for file in (shared / "media").rglob("*") if file.suffix.lower() in (".jpg", ".jpeg")]
    assert files
    assert [file.name for file in files if is_damaged(file.read_bytes())] == []


def test_what_ffmpeg_does_not_know_is_not_suspected(astronaut: np.ndarray) -> None:
    data = bytearray(_jpeg(astronaut))
    frame = data.index(b"\xff\xc0")
    data[frame + 1] = 0xC9  # arithmetic coding
    assert not is_damaged(bytes(data))
    data[frame + 1], data[frame + 13] = 0xC0, data[frame + 10]  # two components of one name, which libjpeg takes by their order
    assert not is_damaged(bytes(data))
    assert not is_damaged(b"\xff\xd8\xff\xd9")
    assert not is_damaged(b"\xff\xd8\xff")


@pytest.mark.parametrize("ways", WAYS)
def test_most_noise_in_a_jpeg_is_seen_and_a_missing_end_always(ways: dict[str, object], astronaut: np.ndarray) -> None:
    data, chance = _jpeg(astronaut, **ways), random.Random(0)
    seen = 0
    for _ in range(20):
        place = chance.randrange(len(data) // 3, len(data) - 300)
        seen += is_damaged(data[:place] + chance.randbytes(200) + data[place + 200 :])
        assert is_damaged(data[:place])
    assert seen >= 12


def test_a_damaged_jpeg_is_restored_and_named_and_refused_where_all_must_be_kept(
    astronaut: np.ndarray, settings: RestoreSettings, tmp_path: Path
) -> None:
    source, out = tmp_path / "a.jpg", tmp_path / "b.png"
    source.write_bytes(_noisy(astronaut))
    with pytest.raises(InputError, match=r"a\.jpg: its data is damaged.*another copy"):
        gpenvid.restore(source, out, replace(settings, strict=True))
    assert not out.exists()
    report = gpenvid.restore(source, out, settings)
    assert report.warnings == ["a.jpg: its data is damaged; it is taken as it decodes"]
    assert _findings(source, out)["decoding of the source"] == ("noted", "a.jpg: its data is damaged")
    assert audit(source, out).passed


def test_a_damaged_result_fails(astronaut: np.ndarray, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), astronaut)
    (tmp_path / "b.jpg").write_bytes(_noisy(astronaut))
    assert _findings(tmp_path / "a.png", tmp_path / "b.jpg")["decoding"] == ("differs", "b.jpg: its data is damaged")


@pytest.fixture
def folder(astronaut: np.ndarray, tmp_path: Path) -> Path:
    """Three pictures, the second of which cannot be read."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name in "ac":
        cv2.imwrite(str(folder / f"{name}.png"), astronaut[:, :, ::-1])
    (folder / "b.png").write_bytes(b"no picture")
    return folder


def test_a_picture_that_was_passed_over_is_noted(folder: Path, settings: RestoreSettings) -> None:
    out = folder.with_name("in_restored")
    with pytest.raises(BatchError):
        gpenvid.restore(folder, None, settings)
    told = _findings(folder, out)
    assert told["passed over"][0] == "noted"
    assert "b.png" in told["passed over"][1]
    assert audit(folder, out).passed
    (out / "c.png").unlink()
    assert _findings(folder, out)["file names"][0] == "differs"


@pytest.mark.parametrize("damaged", [["source"], ["result"], ["source", "result"]])
def test_a_picture_that_cannot_be_read_fails_its_folder_and_not_the_audit(damaged: list[str], folder: Path, tmp_path: Path) -> None:
    good, bad = (folder / "a.png").read_bytes(), b"no picture"
    (folder / "b.png").write_bytes(bad if "source" in damaged else good)
    out = tmp_path / "out"
    out.mkdir()
    for name in "abc":
        (out / f"{name}.png").write_bytes(bad if name == "b" and "result" in damaged else good)
    told = [f for f in audit(folder, out).findings if f.outcome == "differs"]
    assert [f.what for f in told] == ["reading"] * len(damaged)
    assert all("b.png: not a picture" in f.detail for f in told)


def test_a_frame_that_cannot_be_read_fails_its_sequence(folder: Path, tmp_path: Path) -> None:
    for number, name in enumerate("abc", start=1):
        (folder / f"{name}.png").rename(folder / f"{number}.png")
        (tmp_path / f"out_{number}.png").write_bytes((folder / "1.png").read_bytes())
    assert [f.what for f in audit(folder / "%d.png", tmp_path / "out_%d.png").findings if f.outcome == "differs"] == ["reading"]


def test_a_single_picture_that_cannot_be_read_is_an_error(folder: Path) -> None:
    with pytest.raises(InputError, match=r"b\.png: not a picture"):
        audit(folder / "a.png", folder / "b.png")


def test_a_picture_that_is_named_like_a_pattern_is_a_picture(astronaut: np.ndarray, settings: RestoreSettings, tmp_path: Path) -> None:
    source = tmp_path / "100%d.png"
    cv2.imwrite(str(source), astronaut)
    gpenvid.restore(source, tmp_path / "b.png", settings)
    assert audit(source, tmp_path / "b.png").passed
