"""`gpenvid verify` of picture files: what was made of a picture, a folder, a sequence or a film is complete, or it is said what is not."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from films import encode, portraits
from typer.testing import CliRunner

import gpenvid
from gpenvid import RestoreSettings
from gpenvid.cli import app
from gpenvid.errors import UsageError
from gpenvid.media.audit import audit
from gpenvid.media.still_extras import Resolution, StillExtras
from gpenvid.media.stills import encode_still

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'


def _differing(source: Path, output: Path) -> list[str]:
    return [f.what for f in audit(source, output).findings if f.outcome == "differs"]


def test_a_picture_that_lost_depth_size_or_metadata_fails(astronaut: np.ndarray, settings: RestoreSettings, tmp_path: Path) -> None:
    source, out = tmp_path / "a.png", tmp_path / "b.png"
    deep = astronaut[:, :, ::-1].astype(np.uint16) * 257
    source.write_bytes(cv2.imencodeWithMetadata(".png", deep, [int(cv2.IMAGE_METADATA_XMP)], [np.frombuffer(XMP, np.uint8)])[1])
    gpenvid.restore(source, out, settings)
    assert _differing(source, out) == []
    cv2.imwrite(str(out), astronaut[:, :, ::-1])
    assert _differing(source, out) == ["bit depth of b.png", "XMP of b.png"]
    cv2.imwrite(str(out), np.dstack([deep[:-1], deep[:-1, :, :1]]))
    assert _differing(source, out) == ["size of b.png", "colour and alpha of b.png", "XMP of b.png"]


@pytest.mark.parametrize("kind", ["grey", "opaque alpha", "alpha"])
def test_a_webp_that_holds_all_it_can_passes(kind: str, astronaut: np.ndarray, settings: RestoreSettings, tmp_path: Path) -> None:
    alpha = np.full((*astronaut.shape[:2], 1), 255, np.uint8)
    if kind == "alpha":
        alpha[:50] = 100
    picture = cv2.cvtColor(astronaut, cv2.COLOR_RGB2GRAY) if kind == "grey" else np.concatenate([astronaut[..., ::-1], alpha], axis=2)
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    gpenvid.restore(tmp_path / "a.png", tmp_path / "b.webp", settings)
    assert _differing(tmp_path / "a.png", tmp_path / "b.webp") == []


@pytest.mark.parametrize("channel", [0, 1, 2, 3])
def test_a_change_of_any_channel_is_counted(channel: int, astronaut: np.ndarray, tmp_path: Path) -> None:
    picture = np.dstack([astronaut, np.full((512, 512), 255, np.uint8)])
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    picture[:, :, channel] ^= 1
    cv2.imwrite(str(tmp_path / "b.png"), picture)
    told = audit(tmp_path / "a.png", tmp_path / "b.png", pixels=True).findings
    assert any("75.0% of the samples are identical" in f.detail for f in told)


@pytest.mark.parametrize(("suffix", "lost"), [(".bmp", {"XMP", "resolution"}), (".webp", {"resolution"}), (".tif", set[str]())])
def test_what_is_lost_is_not_called_the_same(
    suffix: str, lost: set[str], astronaut: np.ndarray, settings: RestoreSettings, tmp_path: Path
) -> None:
    extras = StillExtras(xmp=XMP, resolution=Resolution(Fraction(300), Fraction(300), "inch"))
    (tmp_path / "a.png").write_bytes(encode_still([astronaut[..., i] for i in (1, 2, 0)], "rgb", extras, ".png"))
    gpenvid.restore(tmp_path / "a.png", tmp_path / f"b{suffix}", settings)
    result = audit(tmp_path / "a.png", tmp_path / f"b{suffix}")
    told = {f.what: f.outcome for f in result.findings}
    assert result.passed
    assert {what for what in ("EXIF", "XMP", "ICC profile", "resolution", "text") if told[what] == "noted"} == lost


def test_a_folder_must_have_the_same_pictures(astronaut: np.ndarray, settings: RestoreSettings, tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "in_restored"
    source.mkdir()
    cv2.imwrite(str(source / "one.png"), astronaut[:, :, ::-1])
    cv2.imwrite(str(source / "two.jpg"), astronaut[:300, :400, 0])
    gpenvid.restore(source, None, settings)
    assert _differing(source, out) == []
    (out / "two.jpg").unlink()
    assert _differing(source, out) == ["file names"]


def test_pictures_of_a_folder_are_compared_by_name(astronaut: np.ndarray, tmp_path: Path) -> None:
    for folder, names in (("in", "abcd"), ("out", "acd")):
        (tmp_path / folder).mkdir()
        for name in names:
            cv2.imwrite(str(tmp_path / folder / f"{name}.png"), astronaut[: 2 * ord(name)])
    assert _differing(tmp_path / "in", tmp_path / "out") == ["file names"]


def test_a_sequence_must_have_the_same_numbers(shared: Path, settings: RestoreSettings, tmp_path: Path) -> None:
    scan, out = shared / "media" / "film_scan" / "%03d.png", tmp_path / "out_%d.png"
    gpenvid.restore(scan, out, settings)
    assert _differing(scan, out) == []
    (tmp_path / "out_110.png").rename(tmp_path / "out_111.png")
    assert _differing(scan, out) == ["frame numbers"]


@pytest.mark.parametrize(("pixel_format", "bits"), [("yuv420p10le", 16), ("yuv444p", 8), ("gray", 8)])
def test_pictures_of_a_film_are_all_there_upright_and_deep_enough(
    pixel_format: str, bits: int, settings: RestoreSettings, tmp_path: Path
) -> None:
    source, out = encode(tmp_path / "film.mkv", "ffv1", pixel_format, portraits(5)), tmp_path / "out_%03d.png"
    gpenvid.restore(source, out, replace(settings, strength=0))
    done = CliRunner().invoke(app, ["verify", str(source), str(out), "--pixels", "--json"])
    told = json.loads(done.stdout)
    assert done.exit_code == 0
    assert told["passed"]
    assert any(f["what"] == "pixels" and "100.0% of the samples are identical" in f["detail"] for f in told["findings"])
    last = cv2.imread(str(tmp_path / "out_005.png"), cv2.IMREAD_UNCHANGED)
    assert last.dtype.itemsize * 8 == bits
    cv2.imwrite(str(tmp_path / "out_005.png"), last.swapaxes(0, 1))
    assert _differing(source, out) == ["size of out_005.png"]
    (tmp_path / "out_002.png").unlink()
    assert _differing(source, out)[:1] == ["frame numbers"]
    assert CliRunner().invoke(app, ["verify", str(source), str(out)]).exit_code == 1


def test_a_video_is_not_made_of_a_picture(astronaut: np.ndarray, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), astronaut)
    with pytest.raises(UsageError, match=r"is a picture, and film\.mkv is a video"):
        audit(tmp_path / "a.png", encode(tmp_path / "film.mkv", "ffv1", "gray", portraits(1)))
