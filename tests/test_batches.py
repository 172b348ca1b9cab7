"""Several inputs: one that fails ends nothing but itself."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from films import Film, moving_portrait, png

import gpenvid
from gpenvid import RestoreSettings
from gpenvid.cli import main
from gpenvid.errors import BatchError, ExitCode, InputError, StoppedError, UsageError, WeightsError
from gpenvid.job.report import Report
from gpenvid.job.work_folder import work_folder
from gpenvid.restore.restorer import Restorer


@pytest.fixture
def settings(settings: RestoreSettings) -> RestoreSettings:
    return replace(settings, preset="ultrafast")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two good films, a damaged one, an empty one, and room for results."""
    Film(frames=4).write(tmp_path / "a.mp4")
    (tmp_path / "b.mp4").write_text("no film\n" * 99)
    (tmp_path / "c.mp4").touch()
    Film(frames=4).write(tmp_path / "d.mkv")
    (tmp_path / "out").mkdir()
    return tmp_path


def test_the_others_are_finished_and_reported(folder: Path, settings: RestoreSettings) -> None:
    done: list[Report] = []
    sources = [folder / name for name in ("a.mp4", "b.mp4", "c.mp4", "absent.mp4", "d.mkv")]
    with pytest.raises(BatchError, match="3 of 5 inputs failed") as failed:
        gpenvid.restore_many(sources, folder / "out", settings, finished=done.append)
    assert failed.value.exit_code == ExitCode.INPUT
    assert [bool(r.error) for r in done] == [False, True, True, True, False]
    assert "no film" not in done[1].error
    assert [Path(r.source).name in r.error for r in done[1:4]] == [True] * 3
    assert sorted(p.name for p in (folder / "out").iterdir()) == ["a_restored.mp4", "d_restored.mkv"]


def test_every_failure_names_its_input(folder: Path, settings: RestoreSettings) -> None:
    """Also where what is wrong is an option."""
    cv2.imwrite(str(folder / "still.png"), np.zeros((64, 64, 3), np.uint8))
    done: list[Report] = []
    with pytest.raises(BatchError):
        gpenvid.restore_many([folder / "still.png", folder / "a.mp4"], folder / "out", replace(settings, end=0.1), finished=done.append)
    assert done[0].error == f"{folder / 'still.png'}: --preset is for videos: leave it out for pictures"


def test_several_inputs_need_a_folder_whether_all_of_them_are_there_or_not(folder: Path, settings: RestoreSettings) -> None:
    with pytest.raises(UsageError, match="several inputs need a folder"):
        gpenvid.restore_many([folder / "a.mp4", folder / "absent.mkv"], folder / "x.mp4", settings)
    assert not (folder / "x.mp4").exists()


def test_the_command_line_writes_the_reports_and_ends_with_the_gravest_code(
    folder: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(folder / n) for n in ("a.mp4", "b.mp4", "d.mkv")]
    arguments += ["-o", str(folder / "out"), "--model", str(tiny_model), "--detector", "builtin", "--report", str(folder / "r.json")]
    monkeypatch.setattr(sys, "argv", ["gpenvid", "restore", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == ExitCode.INPUT
    reports = json.loads((folder / "r.json").read_text())
    assert [bool(r["error"]) for r in reports] == [False, True, False]
    said = capsys.readouterr()
    assert "1 of 3 inputs failed" in said.err
    assert "Traceback" not in said.err


def test_a_bug_in_one_is_graver_than_a_bad_file(folder: Path, settings: RestoreSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    real = gpenvid.media.reader.VideoReader.frames

    def frames(self: object) -> object:
        if "a.mp4" in str(self.path):
            raise ZeroDivisionError
        return real(self)

    monkeypatch.setattr("gpenvid.media.reader.VideoReader.frames", frames)
    with pytest.raises(BatchError) as failed:
        gpenvid.restore_many([folder / "a.mp4", folder / "b.mp4", folder / "d.mkv"], folder / "out", settings)
    assert failed.value.exit_code == ExitCode.BUG
    assert (folder / "out" / "d_restored.mkv").exists()


def test_stopping_stops_all_and_keeps_the_reports(folder: Path, settings: RestoreSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Report] = []

    def stopped(report: Report) -> None:
        done.append(report)
        monkeypatch.setattr("gpenvid.job.restore.restore_video", _stop)

    with pytest.raises(StoppedError):
        gpenvid.restore_many([folder / "a.mp4", folder / "d.mkv"], folder / "out", settings, finished=stopped)
    assert [Path(r.source).name for r in done] == ["a.mp4"]


def _stop(*_: object) -> None:
    raise StoppedError("interrupted")


@pytest.mark.parametrize("beside", [True, False])
def test_two_results_of_one_name_are_refused_before_anything_is_done(beside: bool, folder: Path, settings: RestoreSettings) -> None:
    # The AVI becomes Matroska, and then has the name of the other.
    Film(videos=("mpeg4",), sounds=(), frames=4).write(folder / "d.avi")
    with pytest.raises(UsageError, match=r"d_restored\.mkv: both .*d\.mkv and .*d\.avi"):
        gpenvid.restore_many([folder / n for n in ("a.mp4", "d.mkv", "d.avi")], None if beside else folder / "out", settings)
    assert not list(folder.rglob("*_restored*"))


def test_a_source_in_the_work_folder_of_another_is_refused_before_anything_is_done(folder: Path, settings: RestoreSettings) -> None:
    inside = work_folder(folder / "a_restored.mp4") / "result.mp4"
    inside.parent.mkdir()
    shutil.copy(folder / "a.mp4", inside)
    with pytest.raises(UsageError, match=r"result\.mp4: lies in .*a_restored\.mp4\.gpenvid"):
        gpenvid.restore_many([folder / "a.mp4", inside], None, settings)
    assert inside.exists()


def test_results_that_only_look_alike_are_none(folder: Path, settings: RestoreSettings) -> None:
    shutil.copy(folder / "a.mp4", folder / "d.mp4")
    gpenvid.restore_many([folder / "d.mkv", folder / "d.mp4"], folder / "out", settings)
    assert sorted(p.name for p in (folder / "out").iterdir()) == ["d_restored.mkv", "d_restored.mp4"]


def test_with_tracks_no_detector_is_opened(folder: Path, settings: RestoreSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    from gpenvid.job.sidecar import write_sidecar

    tracks = gpenvid.analyse(folder / "a.mp4", settings)
    write_sidecar(tracks, folder / "a.tracks.json")
    monkeypatch.setattr("gpenvid.job.models.open_detector", _stop)
    report = gpenvid.restore(folder / "a.mp4", None, replace(settings, tracks=folder / "a.tracks.json"))
    assert report.analysis.detector == ""
    assert report.faces == 4


def test_a_link_that_leads_nowhere_is_a_picture_that_failed(folder: Path, settings: RestoreSettings) -> None:
    pictures = folder / "pictures"
    pictures.mkdir()
    (pictures / "still.png").write_bytes(png())
    (pictures / "gone.png").symlink_to("nowhere.png")
    with pytest.raises(BatchError, match="1 of 2 pictures"):
        gpenvid.restore(pictures, None, replace(settings, preset=None))


def test_a_model_that_is_missing_is_said_once_and_before_the_work(folder: Path, settings: RestoreSettings) -> None:
    with pytest.raises(WeightsError, match="no such embedding file"):
        gpenvid.restore_many([folder / "a.mp4", folder / "d.mkv"], folder / "out", replace(settings, identity=folder / "absent.onnx"))


@pytest.mark.parametrize("option", ["only", "exclude"])
def test_a_person_who_is_not_there_is_named(option: str, folder: Path, settings: RestoreSettings) -> None:
    with pytest.raises(UsageError, match=r"99"):
        gpenvid.restore(folder / "a.mp4", None, replace(settings, **{option: (1, 99)}))
    assert not (folder / "a_restored.mp4").exists()


def test_a_sidecar_never_replaces_its_source(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    before = (folder / "a.mp4").read_bytes()
    monkeypatch.setattr(sys, "argv", ["gpenvid", "analyse", str(folder / "a.mp4"), "-o", str(folder / "a.mp4"), "--overwrite"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == ExitCode.USAGE
    assert "is a source" in capsys.readouterr().err
    assert (folder / "a.mp4").read_bytes() == before


def test_a_file_of_many_pictures_is_refused(tmp_path: Path, settings: RestoreSettings) -> None:
    page = np.zeros((40, 40, 3), np.uint8)
    cv2.imwritemulti(str(tmp_path / "scan.tif"), [page, page, page])
    with pytest.raises(InputError, match=r"scan\.tif: holds 3 pictures.*numbered"):
        gpenvid.restore(tmp_path / "scan.tif", None, replace(settings, preset=None))
    assert [p.name for p in tmp_path.iterdir()] == ["scan.tif"]


def test_a_picture_that_would_fill_the_memory_is_refused_before_it_is_decoded(tmp_path: Path, settings: RestoreSettings) -> None:
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    (tmp_path / "bomb.png").write_bytes(
        png()[:8] + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )
    with pytest.raises(InputError, match="more than 268435456 pixels"):
        gpenvid.restore(tmp_path / "bomb.png", None, replace(settings, preset=None))


def test_memory_that_runs_out_shrinks_the_batch_and_the_report_says_so(
    folder: Path, settings: RestoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    real, restore = Restorer._run, Restorer.restore

    def on_a_device(self: Restorer, *arguments: object) -> list:
        self._pool = None  # on a processor crops go one by one
        return restore(self, *arguments)

    def run(self: Restorer, crops: list, *rest: object) -> list:
        if len(crops) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, crops, *rest)

    whole = gpenvid.restore(folder / "a.mp4", folder / "whole.mp4", replace(settings, batch=1))
    monkeypatch.setattr(Restorer, "_run", run)
    monkeypatch.setattr(Restorer, "restore", on_a_device)
    report = gpenvid.restore(folder / "a.mp4", folder / "shrunk.mp4", replace(settings, batch=4))
    assert report.faces == whole.faces
    assert any("halved 1 times" in w for w in report.warnings)


def test_a_work_folder_that_cannot_be_read_is_an_error_of_one_line(
    folder: Path, settings: RestoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = folder / "out.mp4"
    gpenvid.restore(folder / "a.mp4", out, replace(settings, keep_work=True))
    (work_folder(out) / "journal.jsonl").touch()

    def denied(*_: object) -> None:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("gpenvid.job.work.Journal", denied)
    with pytest.raises(InputError, match="Permission denied"):
        gpenvid.restore(folder / "a.mp4", out, replace(settings, overwrite=True))


def test_pictures_and_films_go_to_one_folder(folder: Path, settings: RestoreSettings) -> None:
    cv2.imwrite(str(folder / "still.png"), moving_portrait(1)[0][:, :, ::-1])
    reports = gpenvid.restore_many([folder / "a.mp4", folder / "still.png"], folder / "out", replace(settings, preset=None))
    assert [r.faces for r in reports] == [4, 1]
    assert sorted(p.name for p in (folder / "out").iterdir()) == ["a_restored.mp4", "still_restored.png"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three good pictures and two that are damaged."""
    folder = tmp_path / "photos"
    folder.mkdir()
    picture = cv2.imencode(".png", moving_portrait(1)[0])[1].tobytes()
    for name in ("1.png", "3.png", "5.png"):
        (folder / name).write_bytes(picture)
    (folder / "2.png").write_bytes(b"no picture")
    (folder / "4.png").write_bytes(b"")
    return folder


def test_a_damaged_picture_does_not_end_its_folder(photos: Path, settings: RestoreSettings) -> None:
    with pytest.raises(BatchError, match=r"2 of 5 pictures of .*photos failed") as failed:
        gpenvid.restore(photos, None, replace(settings, preset=None))
    assert failed.value.exit_code == ExitCode.INPUT
    assert [Path(str(e).split(":")[0]).name for e in failed.value.errors] == ["2.png", "4.png"]
    assert {p.name for p in (photos.parent / "photos_restored").iterdir()} == {"1.png", "3.png", "5.png"}
    assert {p.name for p in photos.parent.iterdir()} == {"photos", "photos_restored"}


def test_a_strict_folder_is_whole_or_not_there(photos: Path, settings: RestoreSettings) -> None:
    with pytest.raises(InputError, match=r"2\.png"):
        gpenvid.restore(photos, None, replace(settings, preset=None, strict=True))
    assert {p.name for p in photos.parent.iterdir()} == {"photos"}


def test_a_folder_with_a_damaged_picture_is_reported_with_those_that_are_done(
    photos: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = photos.parent / "r.json"
    arguments = [str(photos), "--model", str(tiny_model), "--report", str(report)]
    monkeypatch.setattr(sys, "argv", ["gpenvid", "restore", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == ExitCode.INPUT
    told = json.loads(report.read_text())
    assert (told["frames"], told["faces"]) == (3, 3)
    assert told["error"].startswith(f"2 of 5 pictures of {photos} failed")
    assert [w.split(":")[0] for w in told["warnings"]] == [str(photos / name) for name in ("2.png", "4.png")]
    said = capsys.readouterr()
    assert said.err.count("\nfailed: ") == 2
    assert "frames    3 in" in said.out


def test_an_error_inside_a_library_ends_only_its_picture(
    photos: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def encode(planes: object, model: str, extras: object, suffix: str) -> bytes:
        encoded.append(suffix)
        if len(encoded) == 2:
            raise ZeroDivisionError("in a library")
        return b"a picture"

    encoded: list[str] = []
    monkeypatch.setattr("gpenvid.job.stills.encode_still", encode)
    monkeypatch.setattr(sys, "argv", ["gpenvid", "restore", str(photos), "--model", str(tiny_model), "--debug"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == ExitCode.BUG
    said = capsys.readouterr().err
    assert f"failed: {photos / '3.png'}: unexpected ZeroDivisionError: in a library: run it alone with --debug" in said
    assert 'raise ZeroDivisionError("in a library")' in said
    assert {p.name for p in (photos.parent / "photos_restored").iterdir()} == {"1.png", "5.png"}


def test_an_error_without_words_is_told_by_its_name_and_kept_for_who_asks(
    photos: Path, settings: RestoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encode(*_: object) -> bytes:
        raise AssertionError

    monkeypatch.setattr("gpenvid.job.stills.encode_still", encode)
    with pytest.raises(BatchError) as failed:
        gpenvid.restore_many([photos / "1.png", photos / "3.png"], photos.parent, replace(settings, preset=None))
    assert str(failed.value.errors[0]) == f"{photos / '1.png'}: unexpected AssertionError: run it alone with --debug and report it"
    assert failed.value.__cause__ is failed.value.errors[0]
    assert isinstance(failed.value.errors[0].__cause__, AssertionError)


def test_a_folder_ends_where_results_cannot_be_written(photos: Path, settings: RestoreSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="cannot be written to"):
        gpenvid.restore(photos, None, replace(settings, preset=None))
    assert {p.name for p in photos.parent.iterdir()} == {"photos"}


def test_a_stopped_folder_leaves_nothing(photos: Path, settings: RestoreSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> bytes:
        raise StoppedError("interrupted")

    monkeypatch.setattr("gpenvid.job.stills.encode_still", stopped)
    with pytest.raises(StoppedError):
        gpenvid.restore(photos, None, replace(settings, preset=None))
    assert {p.name for p in photos.parent.iterdir()} == {"photos"}


def test_a_folder_of_damaged_pictures_has_no_others(photos: Path, settings: RestoreSettings) -> None:
    for name in ("1.png", "3.png", "5.png"):
        (photos / name).unlink()
    with pytest.raises(BatchError, match="2 of 2 pictures") as failed:
        gpenvid.restore(photos, None, replace(settings, preset=None))
    assert "the others" not in str(failed.value)
    assert {p.name for p in photos.parent.iterdir()} == {"photos"}


def test_a_picture_of_another_kind_than_its_name_says_is_named_and_not_counted(photos: Path, settings: RestoreSettings) -> None:
    clear = cv2.imencode(".png", np.zeros((64, 64, 4), np.uint8))[1].tobytes()
    (photos / "2.png").unlink()
    (photos / "4.png").rename(photos / "4.jpg")
    (photos / "4.jpg").write_bytes(clear)
    with pytest.raises(BatchError) as failed:
        gpenvid.restore(photos, None, replace(settings, preset=None))
    assert [str(e) for e in failed.value.errors] == [f"{photos / '4.jpg'}: .jpg cannot hold alpha: choose .png"]
    assert failed.value.report.frames == 3
