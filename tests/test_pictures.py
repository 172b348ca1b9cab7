"""Stills, folders and numbered sequences."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

import gpenvid
from gpenvid import RestoreSettings
from gpenvid.cli import app
from gpenvid.errors import InputError, UsageError
from gpenvid.job.sidecar import read_sidecar, write_sidecar
from gpenvid.media.orientation import DisplayGeometry, Orientation
from gpenvid.media.sequence import sequence_files
from gpenvid.media.stills import read_frame, read_still
from gpenvid.restore.restorer import Restorer


@pytest.fixture
def settings(settings: RestoreSettings, retinaface: Path) -> RestoreSettings:
    return replace(settings, detector="auto")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp", "a.bmp"])
def test_a_picture_comes_back_as_its_own_kind(name: str, astronaut: np.ndarray, settings: RestoreSettings, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / name), astronaut[:, :, ::-1])
    report = gpenvid.restore(tmp_path / name, None, settings)
    out = tmp_path / f"a_restored{Path(name).suffix}"
    assert report.output == str(out)
    assert report.faces == 1
    assert cv2.imread(str(out)).shape == (512, 512, 3)


def test_sixteen_bits_stay_sixteen_bits_and_untouched_pixels_stay_exact(
    astronaut: np.ndarray, settings: RestoreSettings, tmp_path: Path
) -> None:
    deep = astronaut.astype(np.uint16) * 257 + 3
    cv2.imwrite(str(tmp_path / "a.png"), deep[:, :, ::-1])
    gpenvid.restore(tmp_path / "a.png", tmp_path / "b.png", settings)
    out = cv2.imread(str(tmp_path / "b.png"), cv2.IMREAD_UNCHANGED)[:, :, ::-1]
    assert out.dtype == np.uint16
    assert np.array_equal(out[300:], deep[300:])
    assert not np.array_equal(out[60:170], deep[60:170])


def test_alpha_is_kept(astronaut: np.ndarray, settings: RestoreSettings, tmp_path: Path) -> None:
    alpha = np.tile(np.arange(512, dtype=np.uint8), (512, 1))
    cv2.imwrite(str(tmp_path / "a.png"), np.dstack([astronaut[:, :, ::-1], alpha]))
    gpenvid.restore(tmp_path / "a.png", tmp_path / "b.png", settings)
    assert np.array_equal(cv2.imread(str(tmp_path / "b.png"), cv2.IMREAD_UNCHANGED)[:, :, 3], alpha)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_what_alpha_hides_is_kept(suffix: str, astronaut: np.ndarray, settings: RestoreSettings, tmp_path: Path) -> None:
    hidden = np.dstack([astronaut[:, :, ::-1], np.full((512, 512), 255, np.uint8)])
    hidden[300:, :, 3] = 0
    cv2.imwrite(str(tmp_path / "a.png"), hidden)
    gpenvid.restore(tmp_path / "a.png", tmp_path / f"b{suffix}", settings)
    with pytest.importorskip("PIL.Image").open(tmp_path / f"b{suffix}") as written:  # OpenCV would multiply TIFF's colours by alpha
        assert np.array_equal(np.asarray(written)[300:], hidden[300:, :, [2, 1, 0, 3]])


@pytest.mark.parametrize(
    ("kind", "name", "told"),
    [
        ("colour", "b.pgm", "b.pgm: .pgm holds grey only"),
        ("grey", "b.ppm", "b.ppm: .ppm holds colour only"),
        ("alpha", "b.ppm", "b.ppm: .ppm cannot hold alpha"),
        ("alpha", "b.jpg", "b.jpg: .jpg cannot hold alpha"),
        ("deep", "b.webp", "b.webp: .webp cannot hold 16-bit samples"),
    ],
)
def test_samples_that_a_result_cannot_hold_are_named_before_the_work(
    kind: str,
    name: str,
    told: str,
    astronaut: np.ndarray,
    settings: RestoreSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    pictures = {
        "colour": astronaut,
        "grey": astronaut[:, :, 0],
        "alpha": astronaut[:, :, [0, 1, 2, 0]],
        "deep": astronaut.astype(np.uint16) << 8,
    }
    for number in (1, 2):
        cv2.imwrite(str(tmp_path / f"a{number}.png"), pictures[kind])
    monkeypatch.setattr("gpenvid.job.stills.analyse_frames", None)
    for source, target in ((tmp_path / "a1.png", tmp_path / name), (tmp_path / "a%d.png", tmp_path / name.replace("b.", "b%d."))):
        with pytest.raises(UsageError, match=told.replace("b.", r"b1?\.")):
            gpenvid.restore(source, target, settings)
    assert {p.name for p in tmp_path.iterdir()} == {"a1.png", "a2.png"}
    assert capfd.readouterr().err == ""


def test_metadata_is_kept(shared: Path, settings: RestoreSettings, tmp_path: Path) -> None:
    source = shared / "media" / "stills" / "test.jpg"
    gpenvid.restore(source, tmp_path / "out.jpg", settings)
    (_, before), (_, after) = read_still(source), read_still(tmp_path / "out.jpg")
    assert before.exif
    assert after == before


@pytest.mark.parametrize("tag", range(1, 9))
def test_a_turned_picture_is_seen_upright_and_stays_turned(
    tag: int, astronaut: np.ndarray, settings: RestoreSettings, tmp_path: Path
) -> None:
    orientation = Orientation.from_exif(tag)
    # Undo the display turn: what a camera held that way would have stored.
    inverse = next(o for o in map(Orientation.from_exif, range(1, 9)) if np.array_equal(orientation.apply(o.apply(astronaut)), astronaut))
    stored = inverse.apply(astronaut)
    exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + bytes([tag, 0, 0, 0]) + b"\0\0\0\0"
    done, data = cv2.imencodeWithMetadata(".png", stored[:, :, ::-1], [cv2.IMAGE_METADATA_EXIF], [np.frombuffer(exif, np.uint8)])
    assert done
    (tmp_path / "a.png").write_bytes(bytes(data))
    report = gpenvid.restore(tmp_path / "a.png", tmp_path / "b.png", settings)
    assert report.faces == 1
    frame, _ = read_still(tmp_path / "b.png")
    assert frame.geometry.orientation == orientation
    upright = frame.thumbnail(512, 512)
    changed = np.abs(upright.astype(int) - astronaut).sum(axis=2) > 0
    rows, columns = np.nonzero(changed)
    assert 40 < columns.mean() - 180 < 50
    assert 100 < rows.mean() < 135


@pytest.mark.parametrize("tag", range(1, 9))
def test_display_maps_agree_with_turning_the_picture(tag: int) -> None:
    image = np.zeros((5, 9), np.uint8)
    image[1, 6] = 1
    geometry = DisplayGeometry(9, 5, orientation=Orientation.from_exif(tag))
    x, y = geometry.to_display() @ np.array([6, 1, 1])
    assert Orientation.from_exif(tag).apply(image)[round(y), round(x)] == 1


def test_a_folder_gives_a_folder(astronaut: np.ndarray, settings: RestoreSettings, tmp_path: Path) -> None:
    folder = tmp_path / "portraits"
    folder.mkdir()
    cv2.imwrite(str(folder / "one.png"), astronaut[:, :, ::-1])
    cv2.imwrite(str(folder / "two.jpg"), astronaut[:300, :400, ::-1])
    (folder / "notes.txt").write_text("not a picture")
    report = gpenvid.restore(folder, None, settings)
    assert sorted(p.name for p in (tmp_path / "portraits_restored").iterdir()) == ["one.png", "two.jpg"]
    assert [note.split(": ")[1] for note in report.notes] == [
        "1 files that are not named as pictures are left out (name videos one by one)"
    ]
    assert report.frames == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["portraits", "portraits_restored"]


@pytest.mark.parametrize("kind", ["still", "folder", "sequence"])
def test_what_was_put_there_meanwhile_is_not_replaced(
    kind: str, astronaut: np.ndarray, settings: RestoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    cv2.imwrite(str(tmp_path / "a" / "f_1.png"), astronaut[:, :, ::-1])
    places = {
        "still": ("a/f_1.png", "b.png", "b.png"),
        "folder": ("a", "b", "b/f_1.png"),
        "sequence": ("a/f_%d.png", "b_%d.png", "b_1.png"),
    }
    source, output, result = (tmp_path / name for name in places[kind])
    real = Restorer.restore

    def putting(self: Restorer, batch: list, *check: object) -> list:
        result.parent.mkdir(exist_ok=True)
        result.write_text("mine")
        return real(self, batch, *check)

    monkeypatch.setattr(Restorer, "restore", putting)
    with pytest.raises(UsageError, match="exists already"):
        gpenvid.restore(source, output, settings)
    assert result.read_text() == "mine"
    assert {p.name for p in tmp_path.iterdir()} == {"a", output.name if kind != "sequence" else "b_1.png"}


def test_the_result_of_what_is_named_by_a_link_lies_beside_the_link(
    astronaut: np.ndarray, settings: RestoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("archive/scans", "work"):
        (tmp_path / folder).mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "archive" / "scans" / "p.png"), astronaut[:, :, ::-1])
    (tmp_path / "work" / "one.png").symlink_to(tmp_path / "archive" / "scans" / "p.png")
    (tmp_path / "work" / "all").symlink_to(tmp_path / "archive" / "scans")
    gpenvid.restore(tmp_path / "work" / "one.png", None, settings)
    gpenvid.restore(tmp_path / "work" / "all", None, settings)
    assert {p.name for p in (tmp_path / "work").iterdir()} == {"one.png", "one_restored.png", "all", "all_restored"}
    assert [p.name for p in (tmp_path / "archive").iterdir()] == ["scans"]
    monkeypatch.chdir(tmp_path / "archive" / "scans")
    gpenvid.restore(".", None, settings)
    assert {p.name for p in (tmp_path / "archive").iterdir()} == {"scans", "scans_restored"}


def test_a_folder_does_not_take_the_place_of_a_file(settings: RestoreSettings, tmp_path: Path, astronaut: np.ndarray) -> None:
    (tmp_path / "a").mkdir()
    cv2.imwrite(str(tmp_path / "a" / "p.png"), astronaut)
    (tmp_path / "b").write_text("mine")
    with pytest.raises(UsageError, match="b: is a file: name a folder"):
        gpenvid.restore(tmp_path / "a", tmp_path / "b", replace(settings, overwrite=True))


@pytest.mark.parametrize("name", ["film.mov", "x.MP4", "x.png", "x_%03d.png"])
def test_a_folder_gives_no_film_and_no_picture(name: str, astronaut: np.ndarray, settings: RestoreSettings, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in" / "one.png"), astronaut)
    with pytest.raises(UsageError, match="a folder of pictures gives a folder"):
        gpenvid.restore(tmp_path / "in", tmp_path / name, settings)
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_a_place_written_like_a_folder_is_one_or_is_not_there(astronaut: np.ndarray, settings: RestoreSettings, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), astronaut)
    with pytest.raises(InputError, match="out/: no such folder: make it first"):
        gpenvid.restore(tmp_path / "a.png", f"{tmp_path}/out/", settings)
    done = CliRunner().invoke(app, ["restore", str(tmp_path / "a.png"), "-o", f"{tmp_path}/out/"])
    assert "no such folder" in str(done.exception)
    (tmp_path / "out").mkdir()
    gpenvid.restore(tmp_path / "a.png", f"{tmp_path}/out/", settings)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a_restored.png"]
    gpenvid.restore(tmp_path / "out", f"{tmp_path}/made/", settings)  # a folder's result is made
    assert [p.name for p in (tmp_path / "made").iterdir()] == ["a_restored.png"]


def test_a_pattern_means_the_numbers_that_it_would_write(tmp_path: Path) -> None:
    for name in ("scan_007.png", "scan_0008.png", "scan_1009.png", "scan_10.png", "scan_0.png"):
        (tmp_path / name).touch()
    assert [p.name for p in sequence_files(tmp_path / "scan_%03d.png")] == ["scan_007.png", "scan_1009.png"]
    assert [p.name for p in sequence_files(tmp_path / "scan_%02d.png")] == ["scan_10.png", "scan_1009.png"]


def test_a_film_scan_gives_a_numbered_sequence(shared: Path, settings: RestoreSettings, tmp_path: Path) -> None:
    report = gpenvid.restore(shared / "media" / "film_scan" / "%03d.png", tmp_path / "out_%05d.png", settings)
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"out_{n:05d}.png" for n in range(100, 111, 2)]
    assert report.frames == 6
    assert report.tracks >= 1
    for number in range(100, 111, 2):
        before = cv2.imread(str(shared / "media" / "film_scan" / f"{number}.png"))
        after = cv2.imread(str(tmp_path / f"out_{number:05d}.png"))
        assert before.shape == after.shape


def test_a_film_scan_is_analysed_edited_and_restored_from_its_tracks(shared: Path, settings: RestoreSettings, tmp_path: Path) -> None:
    scan, sidecar, sheet = shared / "media" / "film_scan" / "%03d.png", tmp_path / "scan.json", tmp_path / "people.png"
    settings = replace(settings, detector="builtin")
    command = ["analyse", str(scan), "-o", str(sidecar), "--sheet", str(sheet), "--detector", "builtin", "-q"]
    assert CliRunner().invoke(app, command).exit_code == 0
    assert cv2.imread(str(sheet)) is not None
    tracks = read_sidecar(sidecar)
    assert tracks.frames == 6
    as_found = gpenvid.restore(scan, tmp_path / "a_%03d.png", settings)
    from_tracks = gpenvid.restore(scan, tmp_path / "b_%03d.png", replace(settings, tracks=sidecar))
    assert as_found.faces == from_tracks.faces > 0
    for number in range(100, 111, 2):
        assert (tmp_path / f"a_{number:03d}.png").read_bytes() == (tmp_path / f"b_{number:03d}.png").read_bytes()
    write_sidecar(replace(tracks, width=tracks.width + 1), sidecar)
    with pytest.raises(InputError, match="tells of 6 frames"):
        gpenvid.restore(scan, tmp_path / "c_%03d.png", replace(settings, tracks=sidecar))


def test_grey_levels_of_other_depths_are_refused_and_not_darkened(settings: RestoreSettings, tmp_path: Path) -> None:
    (tmp_path / "m.pgm").write_bytes(b"P5\n# ten bits\n64 64\n1023\n" + (512).to_bytes(2, "big") * 4096)
    with pytest.raises(InputError, match="largest value is 1023"):
        gpenvid.restore(tmp_path / "m.pgm", tmp_path / "r.pgm", settings)
    for largest, size in ((255, 1), (65535, 2)):
        (tmp_path / "m.pgm").write_bytes(b"P5 64 64 %d\n" % largest + bytes(4096 * size))
        gpenvid.restore(tmp_path / "m.pgm", tmp_path / f"r{size}.pgm", settings)


def test_a_transparent_grey_that_is_lost_is_said(settings: RestoreSettings, tmp_path: Path) -> None:
    pytest.importorskip("PIL.Image").linear_gradient("L").save(tmp_path / "l.png", transparency=7)
    report = gpenvid.restore(tmp_path / "l.png", tmp_path / "r.png", settings)
    assert any("transparency" in warning for warning in report.warnings)


@pytest.mark.parametrize(("data", "codes"), [(b"P2 2 1 255 7 9", [[7, 9]]), (b"P3 1 1 255 1 2 3", [[1, 2, 3]])])
def test_pictures_in_plain_numbers_need_no_last_line_break(data: bytes, codes: list[list[int]], tmp_path: Path) -> None:
    (tmp_path / "a.ppm").write_bytes(data)
    planes = read_frame(tmp_path / "a.ppm").planes
    assert (planes[0].tolist() if len(planes) == 1 else [[int(planes[i][0, 0]) for i in (2, 0, 1)]]) == codes


def test_a_picture_of_another_size_in_a_sequence_is_named(settings: RestoreSettings, tmp_path: Path) -> None:
    for number, size in ((1, 32), (2, 32), (3, 24)):
        cv2.imwrite(str(tmp_path / f"scan_{number}.png"), np.full((size, 32, 3), 90, np.uint8))
    with pytest.raises(InputError, match=r"scan_3\.png: has another size than scan_1\.png: restore them as a folder"):
        gpenvid.restore(tmp_path / "scan_%d.png", tmp_path / "out_%d.png", settings)


def test_hidden_files_of_a_folder_are_no_pictures(settings: RestoreSettings, tmp_path: Path, astronaut: np.ndarray) -> None:
    (tmp_path / "f").mkdir()
    cv2.imwrite(str(tmp_path / "f" / "a.png"), astronaut)
    (tmp_path / "f" / "._a.jpg").write_bytes(b"resource fork")
    assert gpenvid.restore(tmp_path / "f", tmp_path / "out", settings).frames == 1


def test_a_picture_that_its_file_cannot_hold_is_named(settings: RestoreSettings, tmp_path: Path, astronaut: np.ndarray) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), astronaut.astype(np.uint16) * 257)
    with pytest.raises(UsageError, match=r"x\.jpg: \.jpg cannot hold 16-bit samples"):
        gpenvid.restore(tmp_path / "a.png", tmp_path / "x.jpg", settings)


def test_a_link_that_leads_nowhere_is_not_replaced(settings: RestoreSettings, tmp_path: Path, astronaut: np.ndarray) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), astronaut)
    (tmp_path / "l.png").symlink_to("nowhere.png")
    with pytest.raises(UsageError, match="exists already"):
        gpenvid.restore(tmp_path / "a.png", tmp_path / "l.png", settings)


def test_sequence_files_come_in_numeric_order(tmp_path: Path) -> None:
    for number in (10, 9, 100):
        (tmp_path / f"f{number}.png").touch()
    (tmp_path / "f.png").touch()
    assert [p.name for p in sequence_files(tmp_path / "f%d.png")] == ["f9.png", "f10.png", "f100.png"]
    with pytest.raises(InputError, match="no file matches"):
        sequence_files(tmp_path / "g%04d.png")
    (tmp_path / "f010.png").touch()
    with pytest.raises(InputError, match=r"f10\.png: has the number of f010\.png"):
        sequence_files(tmp_path / "f%d.png")


def test_a_picture_gives_no_video(astronaut: np.ndarray, settings: RestoreSettings, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), astronaut)
    with pytest.raises(UsageError, match="a picture gives a picture"):
        gpenvid.restore(tmp_path / "a.png", tmp_path / "out.mp4", settings)


def test_every_face_of_a_group_is_found(shared: Path, settings: RestoreSettings, tmp_path: Path) -> None:
    report = gpenvid.restore(shared / "media" / "stills" / "Solvay_conference_1927.png", tmp_path / "out.png", settings)
    assert report.faces >= 27  # 29 people, two of them turned away
