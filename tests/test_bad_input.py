"""Bad input: one line that names the file and the remedy, the documented exit code, nothing half-written."""

from __future__ import annotations

import errno
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import Mock

import av
import numpy as np
import pytest
import torch
from av.stream import Disposition
from films import Film, held
from PIL import Image

import gpenvid
from gpenvid import RestoreSettings
from gpenvid.cli import main
from gpenvid.errors import GpenvidError, InputError, WeightsError
from gpenvid.media.reader import VideoReader
from gpenvid.restore.cards import all_cards
from gpenvid.restore.weights import read_state_dict

SAMPLES = Path(__file__).parent.parent / "samples"


@dataclass
class _Done:
    returncode: int
    stderr: str


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., _Done]:
    """The command line in this process: starting Python and torch anew would take three seconds a case."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GPENVID_WEIGHTS", str(folder / "weights"))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def call(*arguments: object) -> _Done:
        monkeypatch.setattr(sys, "argv", ["gpenvid", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        for number, handler in handlers.items():
            signal.signal(number, handler)
        return _Done(int(stopped.value.code or 0), capsys.readouterr().err)

    return call


class _Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch executed",)


def _broken_pickle(path: Path) -> None:
    with path.open("wb") as file:
        pickle.dump({"weight": _Code()}, file)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder with one of every kind of bad input."""
    (tmp_path / "text.mp4").write_text("this is no film\n" * 50)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "nothing").mkdir()
    (tmp_path / "noise.png").write_bytes(os.urandom(5000))
    shutil.copy(SAMPLES / "interview.mp4", tmp_path / "clip.mp4")
    _broken_pickle(tmp_path / "evil.pth")
    (tmp_path / "noise.pth").write_bytes(os.urandom(5000))
    (tmp_path / "noise.safetensors").write_bytes(os.urandom(5000))
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "other.pth")
    (tmp_path / "headonly.mp4").write_bytes((SAMPLES / "interview.mp4").read_bytes()[:64] + os.urandom(3000))
    with av.open(str(tmp_path / "noframes.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.start_encoding()
    (tmp_path / "picture.png").write_bytes((SAMPLES.parent / "docs" / "pictures" / "people.png").read_bytes())
    with av.open(str(tmp_path / "narrow.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 16, 64, "yuv420p"
        container.mux(stream.encode(av.VideoFrame(16, 64, "yuv420p")))
        container.mux(stream.encode(None))
    Image.new("RGB", (64, 64)).save(tmp_path / "photo.jfif", "JPEG")
    Image.new("RGB", (64, 64)).save(tmp_path / "photo.tga")
    for name in ("pipe.mp4", "pipe", "pipe.pth"):
        os.mkfifo(tmp_path / name)
    for length in (236, 250):
        shutil.copy(SAMPLES / "interview.mp4", tmp_path / f"{'n' * length}.mp4")
    return tmp_path


CASES = {
    "no such file": (["absent.mp4"], 3, "absent.mp4"),
    "folder without pictures": (["nothing"], 3, "nothing"),
    "text called mp4": (["text.mp4"], 3, "text.mp4"),
    "empty file": (["empty.mp4"], 3, "empty.mp4"),
    "no frames": (["noframes.mkv"], 3, "noframes.mkv"),
    "noise called png": (["noise.png"], 3, "noise.png"),
    "a picture under another name": (["photo.jfif"], 3, "rename it to photo.jpg"),
    "a picture of a kind that is not restored": (["photo.tga"], 3, "convert it to PNG"),
    "header only": (["headonly.mp4"], 3, "headonly.mp4"),
    "output equals input": (["clip.mp4", "-o", "clip.mp4", "--overwrite"], 2, "clip.mp4"),
    "destination folder missing": (["clip.mp4", "-o", "no/where/out.mp4"], 3, "no/where"),
    "unknown model": (["clip.mp4", "--model", "GPEN-9000"], 2, "GPEN-9000"),
    "unknown detector": (["clip.mp4", "--detector", "magic"], 2, "magic"),
    "unknown codec": (["clip.mp4", "--codec", "cinepak9"], 2, "cinepak9"),
    "unknown container": (["clip.mp4", "-o", "out.xyz"], 2, ".xyz"),
    "codec and container do not fit": (["clip.mp4", "-o", "out.mp4", "--codec", "prores"], 2, ".mp4"),
    "strength out of range": (["clip.mp4", "--strength", "3"], 2, "strength"),
    "quality beyond the encoder's scale": (["clip.mp4", "--codec", "h264", "--crf", "60"], 2, "choose 0 (best) to 51"),
    "unknown mask": (["clip.mp4", "--mask", "square"], 2, "choose ellipse or hull"),
    "end before start": (["clip.mp4", "--start", "3", "--end", "1"], 2, "--end"),
    "a timecode with frames": (["clip.mp4", "--start", "00:00:01:12"], 2, "--start 00:00:01:12 is no time"),
    "seventy seconds": (["clip.mp4", "--end", "1:70"], 2, "--end 1:70 is no time"),
    "no number": (["clip.mp4", "--end", "nan"], 2, "--end nan is no number"),
    "beyond the end": (["clip.mp4", "--start", "300"], 3, "clip.mp4"),
    "no such device": (["clip.mp4", "--device", "cuda:7"], 2, "cuda:7"),
    "unknown option": (["clip.mp4", "--bogus"], 2, "--bogus"),
    "no input": ([], 2, "INPUT"),
    "weights with code in them": (["clip.mp4", "--model", "evil.pth"], 4, "evil.pth"),
    "unknown preset": (["clip.mp4", "--preset", "bogus"], 2, "--preset bogus is none of libx264's: choose one of ultrafast"),
    "damaged weights": (["clip.mp4", "--model", "noise.pth"], 4, "noise.pth"),
    "damaged safetensors": (["clip.mp4", "--model", "noise.safetensors"], 4, "noise.safetensors"),
    "weights of another network": (["clip.mp4", "--model", "other.pth"], 4, "GPEN"),
    "a report over the result": (["clip.mp4", "-o", "out.mp4", "--report", "out.mp4"], 2, "out.mp4"),
    "a report over the result's own name": (["clip.mp4", "--report", "clip_restored.mp4"], 2, "clip_restored.mp4"),
    "a report over a numbered picture": (["clip.mp4", "-o", "f_%03d.png", "--report", "f_002.png"], 2, "f_002.png"),
    "a report over the sidecar": (["clip.mp4", "--tracks", "text.mp4", "--report", "text.mp4"], 2, "text.mp4"),
    "an input without a name": ([""], 2, "without a name"),
    "an output without a name": (["clip.mp4", "-o", ""], 2, "without a name"),
    "a list of nobody": (["clip.mp4", "--only", ","], 2, "--only"),
    "a name that is too long": (["x" * 300 + ".mp4"], 3, "File name too long"),
    "av1 for a picture that is too narrow": (["narrow.mkv", "--codec", "av1", "-o", "o.mkv"], 2, "at least 64 pixels"),
    "a picture has no stability": (["picture.png", "--stability"], 2, "--stability"),
    "frames as pictures have no stability": (["clip.mp4", "-o", "f_%03d.png", "--stability"], 2, "--stability"),
    "a pipe": (["pipe.mp4"], 3, "pipe.mp4"),
    "a sidecar from a pipe": (["clip.mp4", "--tracks", "pipe"], 3, "pipe: is no file: write it to a file first"),
    "weights from a pipe": (["clip.mp4", "--model", "pipe.pth"], 3, "pipe.pth: is no file: write it to a file first"),
    "an embedding from a pipe": (["clip.mp4", "--identity", "pipe"], 3, "pipe: is no file: write it to a file first"),
    "a work folder whose name is too long": (["n" * 236 + ".mp4"], 3, "too long: name a shorter -o"),
    "a result whose name is too long": (["n" * 250 + ".mp4"], 3, "_restored.mp4: File name too long: name a shorter one"),
    "no such embedding": (["clip.mp4", "--identity", "absent.onnx"], 4, "absent.onnx"),
    "no such weight file": (["clip.mp4", "--model", "absent.pth"], 4, "absent.pth"),
    "weights without their ending": (["clip.mp4", "--model", "./picture.png"], 2, "must end in .pth, .pt, .safetensors"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_line_and_leaves_nothing(case: str, folder: Path, run: Callable[..., _Done]) -> None:
    arguments, code, named = CASES[case]
    before = {p: p.stat().st_mtime_ns for p in folder.iterdir()}
    done = run("restore", *arguments)
    assert done.returncode == code, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("gpenvid:")]
    assert len(lines) == 1
    assert named in lines[0]
    assert "Traceback" not in done.stderr
    assert {p: p.stat().st_mtime_ns for p in folder.iterdir()} == before


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["absent.mp4"], 3, "no such file"),
        (["picture.png"], 2, "is no video"),
        (["clip.mp4", "-o", "clip.mp4"], 2, "the output is the source"),
        (["clip.mp4", "--tracks", "clip.mp4"], 2, "is a source"),
        (["clip.mp4", "--tracks", "a.mp4", "-o", "a.mp4"], 2, "a.mp4: is something else that this command reads or writes"),
        (["clip.mp4", "--tracks", "bad.json"], 3, "bad.json"),
        (["clip.mp4", "-o", "out.avi"], 2, "cannot write .avi"),
        (["clip.mp4", "--detector", "magic"], 2, "unknown detector magic"),
        (["clip.mp4", "--tracks", "pipe"], 3, "pipe: is no file"),
        (["work.mp4.gpenvid/clip.mp4", "-o", "work.mp4"], 2, "work.mp4.gpenvid/clip.mp4: lies in work.mp4.gpenvid"),
    ],
)
def test_what_cannot_be_previewed_is_refused_in_one_line(arguments: list[str], code: int, word: str, run: Callable[..., _Done]) -> None:
    pytest.importorskip("fastapi", reason="the server's packages are not installed")
    Path("bad.json").write_text('{"gpenvid_tracks": 1}')
    Path("work.mp4.gpenvid").mkdir()
    shutil.copy("clip.mp4", "work.mp4.gpenvid")
    done = run("preview", *arguments, "--no-browser")
    assert done.returncode == code, done.stderr
    assert word in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_sheet_is_a_png_and_replaces_nothing_unasked(run: Callable[..., _Done]) -> None:
    Path("mine.png").write_text("mine")
    for sheet, said in (("mine.png", "exists already"), ("people.jpg", "name it .png")):
        done = run("analyse", "clip.mp4", "-o", "t.json", "--sheet", sheet)
        assert done.returncode == 2
        assert said in done.stderr
    assert Path("mine.png").read_text() == "mine"
    assert not Path("t.json").exists()


def test_a_file_of_another_model_is_not_to_be_deleted(run: Callable[..., _Done]) -> None:
    done = run("models", "import", SAMPLES.parent / "weights" / "gpen-lite-256.safetensors", "--as", "retinaface-mobilenet")
    assert done.returncode == 4
    assert "another name with --as" in done.stderr
    assert "delete" not in done.stderr


def test_a_sheet_does_not_replace_the_sidecar(run: Callable[..., _Done]) -> None:
    done = run("analyse", "clip.mp4", "-o", "both.png", "--sheet", "both.png")
    assert done.returncode == 2
    assert "both.png" in done.stderr
    assert not Path("both.png").exists()


def test_a_network_that_is_no_embedding_is_refused_before_anything_is_analysed(run: Callable[..., _Done], shared: Path) -> None:
    done = run("restore", "clip.mp4", "--identity", shared / "weights" / "face_detection_yunet_2023mar.onnx")
    assert done.returncode == 4
    assert "face_detection_yunet_2023mar.onnx" in done.stderr.splitlines()[-1]
    assert not Path("clip_restored.mp4.gpenvid").exists()


def test_a_wrong_command_is_not_said_to_continue(run: Callable[..., _Done]) -> None:
    done = run("restore", "clip.mp4", "--only", "77", "--end", "0.2", "-o", "out.mp4")
    assert done.returncode == 2
    assert "the same command continues" not in done.stderr


def test_names_with_a_colon_are_names(folder: Path, run: Callable[..., _Done], capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "clip.mp4").rename(folder / "2024-01-01T12:30.mp4")
    assert run("restore", "2024-01-01T12:30.mp4", "--end", "0.1", "-o", "12:31.mp4").returncode == 0
    assert run("verify", "12:31.mp4", "12:31.mp4").returncode == 0


def test_names_of_models_are_never_cut(
    run: Callable[..., _Done], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(sys, "argv", ["gpenvid", "models", "list"])
    with pytest.raises(SystemExit):
        main()
    shown = capsys.readouterr().out
    assert all(name in shown for name in all_cards())


def test_a_folder_that_was_deleted_is_said_in_one_line(folder: Path, run: Callable[..., _Done], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder / "nothing")
    (folder / "nothing").rmdir()
    done = run("doctor")
    assert (done.returncode, done.stderr) == (3, "gpenvid: this folder: has been deleted: change to another\n")


def test_a_source_that_may_not_be_read_is_bad_input_and_no_wrong_option(run: Callable[..., _Done], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda _path, mode, **_: mode != os.R_OK)
    monkeypatch.setattr(av, "open", Mock(side_effect=PermissionError))
    assert [run(command, "clip.mp4", *rest).returncode for command, *rest in (("verify", "clip.mp4"), ("analyse",))] == [3, 3]


def test_debug_shows_the_traceback(run: Callable[..., _Done]) -> None:
    assert "Traceback" in run("--debug", "restore", "absent.mp4").stderr


def test_an_existing_result_is_not_replaced_without_being_asked(folder: Path, run: Callable[..., _Done]) -> None:
    (folder / "clip_restored.mp4").write_text("mine")
    done = run("restore", "clip.mp4")
    assert done.returncode == 2
    assert "--overwrite" in done.stderr
    assert (folder / "clip_restored.mp4").read_text() == "mine"


def test_no_network_says_what_to_fetch_and_where_to_put_it(
    folder: Path, run: Callable[..., _Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A proxy that is not there is the same as no network.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    done = run("restore", "clip.mp4", "--model", "GPEN-BFR-512")
    assert done.returncode == 4
    assert "GPEN-BFR-512.pth" in done.stderr
    assert str(folder / "weights") in done.stderr
    assert "non-commercial" in done.stderr
    assert not list(folder.glob("*_restored*"))


def test_a_pickle_with_code_is_not_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(WeightsError, match="holds code"):
        read_state_dict(folder / "evil.pth")
    assert not (folder / "executed").exists()


def test_a_truncated_file_is_restored_as_far_as_it_goes(settings: RestoreSettings, tmp_path: Path, make_clip, astronaut) -> None:
    whole = make_clip([astronaut[:240, :320]] * 40, "whole.mkv", codec="libx264", options={"g": "5"})
    data = whole.read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(data[: len(data) * 2 // 3])
    report = gpenvid.restore(cut, tmp_path / "out.mkv", settings)
    assert 5 < report.frames < 40


@pytest.mark.skipif(sys.platform == "win32", reason="folders have no such mode there")
def test_an_unwritable_folder_is_said_before_any_work(tmp_path: Path, tiny_model: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    with pytest.raises(InputError, match="not writable"):
        gpenvid.restore(SAMPLES / "interview.mp4", locked / "out.mp4", RestoreSettings(model=str(tiny_model)))


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    with pytest.raises(InputError, match="needed"):
        gpenvid.restore(SAMPLES / "interview.mp4", tmp_path / "out.mp4", RestoreSettings(model=str(tiny_model)))
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_up_during_the_job_leaves_nothing(
    tmp_path: Path, settings: RestoreSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left"):
        gpenvid.restore(SAMPLES / "interview.mp4", tmp_path / "out.mp4", replace(settings, end=0.5))
    assert not list(tmp_path.iterdir())


def test_strict_refuses_what_a_container_cannot_hold(shared: Path, tmp_path: Path, tiny_model: Path) -> None:
    source = shared / "media" / "formats" / "androidx_sample_with_ass_subtitles.mkv"
    with pytest.raises(GpenvidError, match="subtitle"):
        gpenvid.restore(source, tmp_path / "out.mp4", RestoreSettings(model=str(tiny_model), strict=True))
    assert not list(tmp_path.iterdir())


def test_without_strict_the_loss_is_a_warning(shared: Path, tmp_path: Path, settings: RestoreSettings) -> None:
    source = shared / "media" / "formats" / "androidx_sample_with_ass_subtitles.mkv"
    report = gpenvid.restore(source, tmp_path / "out.mp4", replace(settings, preset="ultrafast"))
    assert any("subtitle" in w and ".mkv" in w for w in report.warnings)


@pytest.mark.alone
@pytest.mark.skipif(sys.platform == "win32", reason="signals cannot be sent to a process there")
@pytest.mark.parametrize("signal_name", ["SIGINT", "SIGTERM"])
def test_an_interrupted_job_stops_soon_and_leaves_nothing_under_the_name(signal_name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gpenvid", "restore", str(SAMPLES / "interview.mp4"), "-o", str(tmp_path / "out.mp4")]
    environment = {**os.environ, "GPENVID_WEIGHTS": str(tmp_path / "weights")}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("render"):
            break
    time.sleep(0.5)
    process.send_signal(getattr(signal, signal_name))
    began = time.monotonic()
    assert process.wait(timeout=60) == 130
    print(f"stopped after {time.monotonic() - began:.2f} s")
    # What is finished stays, to be continued; nothing has the result's name.
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith("out")] == ["out.mp4.gpenvid"]
    said = process.stderr.read()
    assert "interrupted" in said
    assert "the same command continues" in said
    assert "Traceback" not in said


@pytest.mark.skipif(sys.platform == "win32", reason="signals cannot be sent to a process there")
def test_an_interrupt_after_the_result_has_its_name_keeps_the_report_and_says_what_is_true(
    run: Callable[..., _Done], tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpenvid.job.video.StabilityMeter.measure", lambda *_: os.kill(os.getpid(), signal.SIGINT))
    done = run("restore", "clip.mp4", "--end", "0.2", "-o", "out.mp4", "--model", tiny_model, "--stability", "--report", "done.json")
    assert done.returncode == 130
    assert "interrupted; what is finished stays, and nothing unfinished has a result's name" in done.stderr
    assert Path("out.mp4").exists()
    report = json.loads(Path("done.json").read_text())
    assert (report["frames"], report["stability"], len(report["warnings"])) == (5, [], 1)


def test_an_mp4_whose_index_promises_more_frames_is_said_to_be_cut(settings: RestoreSettings, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mp4"
    cut.write_bytes((SAMPLES / "interview.mp4").read_bytes()[:40_000])
    report = gpenvid.restore(cut, tmp_path / "out.mp4", settings)
    assert 20 < report.frames < 150
    assert any("cut" in w for w in report.warnings)


def test_damage_that_the_decoder_passes_over_in_silence_is_said(settings: RestoreSettings, tmp_path: Path) -> None:
    settings = replace(settings, preset="ultrafast")
    whole = Film(frames=60, sounds=()).write(tmp_path / "whole.ts")
    with av.open(str(whole)) as file:
        position = [packet.pos for packet in file.demux(video=0) if packet.size][40]
    data = whole.read_bytes()
    (tmp_path / "hole.ts").write_bytes(data[:position] + bytes(range(250)) * 8 + data[position + 2000 :])
    report = gpenvid.restore(tmp_path / "hole.ts", tmp_path / "out.ts", settings)
    assert report.frames < 60
    assert any("damaged video packets gave no picture" in w for w in report.warnings)
    whole = Film(frames=100, sounds=()).write(tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) // 3])
    report = gpenvid.restore(tmp_path / "cut.mkv", tmp_path / "out.mkv", settings)
    assert report.frames < 70
    assert any("s before the file's stated length" in w for w in report.warnings)
    assert gpenvid.restore(tmp_path / "whole.mkv", tmp_path / "fine.mkv", settings).warnings == []
    (tmp_path / "cut.mkv").write_bytes(whole[:-2000])  # less than a tolerance in seconds would show
    assert any("the file is truncated" in w for w in gpenvid.restore(tmp_path / "cut.mkv", tmp_path / "short.mkv", settings).warnings)


def test_a_recording_that_was_never_finished_is_not_said_to_be_cut(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "live.mkv"), "w", options={"live": "1"}) as file:
        stream = file.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(5):
            file.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        file.mux(stream.encode(None))
    reader = VideoReader(tmp_path / "live.mkv")
    assert len(list(reader.frames())) == 5
    assert reader.faults.sentences(tmp_path) == []


def test_a_sound_that_damage_made_up_is_named_and_left_out(settings: RestoreSettings, tmp_path: Path) -> None:
    film = bytearray(Film(sounds=(("eng", "", Disposition(0)),) * 2).write(tmp_path / "film.ts").read_bytes())
    for at in range(0, len(film), 188):
        if int.from_bytes(film[at + 1 : at + 3]) & 0x1FFF == 0x102:  # the second sound
            film[at + 4 : at + 188] = bytes(184)
    (tmp_path / "film.ts").write_bytes(film)
    report = gpenvid.restore(tmp_path / "film.ts", tmp_path / "out.mkv", settings)
    assert any("stream 2 (audio, aac) states no sampling rate and cannot be copied" in w for w in report.warnings)
    assert len(held(tmp_path / "out.mkv")) == 1


def test_a_video_into_a_folder_gets_the_extension_of_its_container(shared: Path, tmp_path: Path, settings: RestoreSettings) -> None:
    source = shared / "media" / "formats" / "fate_law-and-order-partial.wtv"
    report = gpenvid.restore(source, tmp_path, replace(settings, preset="ultrafast"))
    assert report.output == str(tmp_path / "fate_law-and-order-partial_restored.mkv")


def test_video_options_are_refused_for_pictures(folder: Path, run: Callable[..., _Done]) -> None:
    import cv2

    cv2.imwrite(str(folder / "a.png"), np.zeros((64, 64, 3), np.uint8))
    done = run("restore", "a.png", "--crf", "20")
    assert done.returncode == 2
    assert "--crf" in done.stderr


def test_weights_with_code_in_them_cannot_be_imported(folder: Path, run: Callable[..., _Done]) -> None:
    done = run("models", "import", "evil.pth", "--as", "GPEN-BFR-512")
    assert done.returncode == 4
    assert "holds code" in done.stderr
    assert not list((folder / "weights").glob("*.pth"))


def test_pictures_are_no_matter_for_verify(folder: Path, run: Callable[..., _Done]) -> None:
    done = run("verify", "noise.png", "clip.mp4")
    assert done.returncode == 2
    assert "picture" in done.stderr


@pytest.mark.parametrize("told", ["nan:00:00", "inf:00:00", "-1:00:00", "1:2", "x:y:z"])
def test_a_length_that_is_none_is_not_believed(told: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.mkv"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for i in range(5):
            frame = av.VideoFrame(64, 64, "yuv420p")
            frame.pts = i
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    data = path.read_bytes()
    tag = re.search(rb"\d\d:\d\d:\d\d\.\d{9}", data)
    assert tag is not None
    path.write_bytes(data.replace(tag[0], told.encode().ljust(len(tag[0]), b"\0")))
    assert 0 <= VideoReader(path).info.duration < 1
