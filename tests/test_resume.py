"""A render that is stopped, at any moment and by anything, continues; the result is the one of a render that was not stopped."""

from __future__ import annotations

import errno
import os
import random
import shutil
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import cv2
import pytest
import torch
from stopping import SHORT, command_for, killed_after, packets

import gpenvid
from gpenvid import RestoreSettings
from gpenvid.errors import GpenvidError, InputError, UsageError
from gpenvid.faces.shots import Shot
from gpenvid.faces.tracks import Tracks
from gpenvid.job.frames import restore_to_pictures
from gpenvid.job.identity import job_key
from gpenvid.job.inputs import classify
from gpenvid.job.parts import cut_segments
from gpenvid.job.sidecar import write_sidecar
from gpenvid.job.video import restore_video
from gpenvid.job.work_folder import work_folder
from gpenvid.lock import FileLock
from gpenvid.media.audit import audit
from gpenvid.media.check import Written, check_result
from gpenvid.restore.restorer import Restorer

SAMPLES = Path(__file__).parent.parent / "samples"
CLIP = SAMPLES / "old_film.mp4"


@dataclass
class Notes:
    """Remembers what a job says."""

    notes: list[str] = field(default_factory=list)

    def stage(self, name: str, total: int) -> None:
        """Not remembered."""

    def advance(self, frames: int, faces: int = 0) -> None:
        """Not remembered."""

    def note(self, text: str) -> None:
        """Remember."""
        self.notes.append(text)


@pytest.fixture
def settings(tiny_model: Path) -> RestoreSettings:
    """Fast, with the default encoder and engine: of the presets the first that looks ahead and has pictures between others."""
    return RestoreSettings(model=str(tiny_model), detector="builtin", preset="veryfast")


@pytest.fixture(autouse=True)
def _short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six segments in a hundred frames, most of them in the middle of a shot."""
    monkeypatch.setattr(cut_segments, "__defaults__", (SHORT,))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A hundred frames with a cut in the middle and a face throughout."""
    return Path(shutil.copy2(CLIP, tmp_path / "film.mp4"))


def _stop_after(monkeypatch: pytest.MonkeyPatch, crops: int, error: BaseException) -> None:
    """Let the restorer fail once it has restored so many crops."""
    real, done = Restorer.restore, 0

    def restore(self: Restorer, batch: list, *check: object) -> list:
        nonlocal done
        done += len(batch)
        if done > crops:
            raise error
        return real(self, batch, *check)

    monkeypatch.setattr(Restorer, "restore", restore)


def test_a_continued_render_gives_the_same_packets_and_counts(
    source: Path, settings: RestoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = gpenvid.restore(source, tmp_path / "whole.mp4", settings)
    out = tmp_path / "out.mp4"
    for crops in (0, whole.faces // 3, whole.faces // 3):
        with monkeypatch.context() as patch:
            _stop_after(patch, crops, RuntimeError("a tensor has the wrong mood"))
            with pytest.raises(GpenvidError, match=r"frames \d+ to \d+ .*wrong mood.*the same command"):
                gpenvid.restore(source, out, settings)
        assert not out.exists()
        assert work_folder(out).is_dir()
    said = Notes()
    report = gpenvid.restore(source, out, settings, said)
    assert any("continuing" in note for note in said.notes)
    assert packets(out) == packets(tmp_path / "whole.mp4")
    assert (report.frames, report.faces, report.skipped) == (whole.frames, whole.faces, whole.skipped)
    assert not work_folder(out).exists()
    assert audit(source, out).passed


def test_a_lossless_render_continues_with_the_neighbours_it_had(
    settings: RestoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(settings, end=2.0, codec="ffv1")
    clip = SAMPLES / "interview.mp4"
    whole = gpenvid.restore(clip, tmp_path / "whole.mkv", settings)
    assert whole.faces > 30
    with monkeypatch.context() as patch:
        _stop_after(patch, whole.faces // 2, RuntimeError())
        with pytest.raises(GpenvidError):
            gpenvid.restore(clip, tmp_path / "out.mkv", settings)
    gpenvid.restore(clip, tmp_path / "out.mkv", settings)
    assert packets(tmp_path / "out.mkv") == packets(tmp_path / "whole.mkv")


def test_numbered_pictures_are_continued_even_while_they_get_their_names(
    source: Path, settings: RestoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(settings, end=1.5, preset=None)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole, out = tmp_path / "a" / "f_%02d.png", tmp_path / "b" / "f_%02d.png"
    frames = gpenvid.restore(source, whole, settings).frames
    with monkeypatch.context() as patch:
        _stop_after(patch, 20, RuntimeError())
        with pytest.raises(GpenvidError):
            gpenvid.restore(source, out, settings)
    assert [p.name for p in out.parent.iterdir()] == ["f_%02d.png.gpenvid"]
    real = Path.replace

    def stopping(self: Path, target: Path) -> Path:
        if target.name == "f_05.png":
            raise KeyboardInterrupt
        return real(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stopping)
        with pytest.raises(KeyboardInterrupt):
            gpenvid.restore(source, out, settings)
    assert len(list(out.parent.glob("*.png"))) == 4
    said = Notes()
    gpenvid.restore(source, out, replace(settings, keep_work=True), said)
    assert any("continuing" in note for note in said.notes)
    found = {p.name: p.read_bytes() for p in out.parent.glob("*.png")}
    assert found == {p.name: p.read_bytes() for p in whole.parent.iterdir()}
    assert len(found) == frames
    with pytest.raises(UsageError, match="exists already"):
        gpenvid.restore(source, out, settings)


def _unfinished(source: Path, out: Path, settings: RestoreSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        _stop_after(patch, 20, RuntimeError())
        with pytest.raises(GpenvidError):
            gpenvid.restore(source, out, settings)


@pytest.mark.parametrize("change", [{"least_eyes": 9.0}, {"end": 3.0}], ids=str)
def test_a_changed_analysis_starts_over_and_says_why(
    change: dict[str, Any], source: Path, settings: RestoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.mp4"
    _unfinished(source, out, settings, monkeypatch)
    said = Notes()
    gpenvid.restore(source, out, replace(settings, **change), said)
    assert any("starting over" in note and f"--{next(iter(change)).replace('_', '-')}" in note for note in said.notes)
    assert not any("continuing" in note for note in said.notes)


@pytest.mark.parametrize("change", [{"strength": 0.5}, {"exclude": (1,)}, {"crf": 30.0}], ids=str)
def test_what_the_analysis_does_not_know_of_is_rendered_anew_from_the_tracks_that_are_there(
    change: dict[str, Any], source: Path, settings: RestoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, changed = tmp_path / "out.mp4", replace(settings, end=2.5, **change)
    _unfinished(source, out, replace(settings, end=2.5), monkeypatch)
    said = Notes()
    with monkeypatch.context() as patch:
        patch.setattr("gpenvid.job.rendered.analyse_frames", None)
        report = gpenvid.restore(source, out, changed, said)
    assert any("rendering anew, from the tracks" in note for note in said.notes)
    assert not any("continuing" in note for note in said.notes)
    whole = gpenvid.restore(source, tmp_path / "whole.mp4", changed)
    assert packets(out) == packets(tmp_path / "whole.mp4")
    assert (report.faces, report.skipped, report.analysis.frames) == (whole.faces, whole.skipped, whole.analysis.frames)


def test_a_mistyped_track_number_does_not_cost_the_analysis(
    source: Path, settings: RestoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, said = tmp_path / "out.mp4", Notes()
    with pytest.raises(UsageError, match="there is no track 9"):
        gpenvid.restore(source, out, replace(settings, only=(9,)), said)
    assert said.notes == [f"what is finished is kept in {work_folder(out)}; a corrected command continues, --restart starts over"]
    monkeypatch.setattr("gpenvid.job.rendered.analyse_frames", None)
    gpenvid.restore(source, out, replace(settings, only=(1,)))
    assert not work_folder(out).exists()


def test_a_mistyped_track_number_does_not_cost_the_segments(
    source: Path, settings: RestoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, said = tmp_path / "out.mp4", Notes()
    with monkeypatch.context() as patch:
        _stop_after(patch, 60, RuntimeError())
        with pytest.raises(GpenvidError):
            gpenvid.restore(source, out, settings)
    before = sorted(work_folder(out).glob("*.seg"))
    with pytest.raises(UsageError, match="there is no track 9"):
        gpenvid.restore(source, out, replace(settings, only=(9,)))
    assert before
    assert sorted(work_folder(out).glob("*.seg")) == before
    gpenvid.restore(source, out, settings, said)
    assert any("continuing" in note for note in said.notes)


def test_another_embedding_under_the_same_name_renders_anew_from_the_tracks_that_are_there(
    source: Path, settings: RestoreSettings, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedding, said = Path(shutil.copy2(shared / "weights" / "foamliu_MobileFaceNet.onnx", tmp_path / "e.onnx")), Notes()
    settings, out = replace(settings, identity=embedding), tmp_path / "out.mp4"
    _unfinished(source, out, settings, monkeypatch)
    with embedding.open("ab") as file:
        file.write(b"\x8a\x06\x04mark")  # a field that readers pass over
    gpenvid.restore(source, out, settings, said)
    assert any("rendering anew" in note and "--identity" in note for note in said.notes)


def test_what_the_preview_page_keeps_beside_the_tracks_costs_no_segment(tiny_model: Path, tmp_path: Path) -> None:
    settings = RestoreSettings(model=str(tiny_model), tracks=tmp_path / "tracks.json")
    restorer: Any = SimpleNamespace(device=torch.device("cpu"), dtype="", engine="")
    keys = []
    for people, preview in (("a", None), ("a", {"looks": [{"grain": 0.5}], "preview": 1}), ("a", {"looks": []}), ("b", {"looks": []})):
        write_sidecar(Tracks(6, 99, 99, people, 0, [Shot(0, 6)]), tmp_path / "tracks.json", preview)
        keys.append(job_key(CLIP, settings, "", restorer, "")["--tracks"])
    assert [key == keys[0] for key in keys] == [True, True, True, False]


@pytest.mark.parametrize("content", ["no json", "of another film"])
@pytest.mark.parametrize("restart", [False, True])
def test_a_sidecar_that_does_not_fit_does_not_cost_the_segments(
    content: str, restart: bool, source: Path, settings: RestoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, sidecar = tmp_path / "out.mp4", tmp_path / "tracks.json"
    with monkeypatch.context() as patch:
        _stop_after(patch, 60, RuntimeError())
        with pytest.raises(GpenvidError):
            gpenvid.restore(source, out, settings)
    before = sorted(work_folder(out).glob("*.seg"))
    sidecar.write_text(content)
    if content == "of another film":
        write_sidecar(gpenvid.analyse(source, replace(settings, end=1.0)), sidecar)
    with pytest.raises(InputError, match=r"tracks\.json"):
        gpenvid.restore(source, out, replace(settings, tracks=sidecar, restart=restart))
    assert before
    assert sorted(work_folder(out).glob("*.seg")) == before


def test_damaged_tracks_are_not_rendered_from(
    source: Path, settings: RestoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, said = tmp_path / "out.mp4", Notes()
    _unfinished(source, out, settings, monkeypatch)
    (work_folder(out) / "tracks.json").write_text("{}")
    gpenvid.restore(source, out, replace(settings, strength=0.5), said)
    assert any("starting over" in note for note in said.notes)


def test_a_changed_source_starts_over_and_says_why(
    source: Path, settings: RestoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.mp4"
    _unfinished(source, out, settings, monkeypatch)
    os.utime(source, ns=(1, 1))
    said = Notes()
    gpenvid.restore(source, out, settings, said)
    assert any("starting over" in note and "the source changed" in note for note in said.notes)


def test_another_release_of_what_makes_the_pixels_starts_over_and_says_so(
    source: Path, settings: RestoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.mp4"
    _unfinished(source, out, settings, monkeypatch)
    monkeypatch.setattr(cv2, "__version__", "99.0")
    said = Notes()
    gpenvid.restore(source, out, settings, said)
    assert any("starting over" in note and "the installed gpenvid, PyTorch, PyAV or OpenCV changed" in note for note in said.notes)


def test_restart_starts_over(source: Path, settings: RestoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out.mp4"
    _unfinished(source, out, settings, monkeypatch)
    said = Notes()
    gpenvid.restore(source, out, replace(settings, restart=True), said)
    assert any("as asked" in note for note in said.notes)
    assert not any("continuing" in note for note in said.notes)


def test_a_damaged_segment_is_rendered_again(
    source: Path, settings: RestoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.mp4"
    gpenvid.restore(source, tmp_path / "whole.mp4", settings)
    gpenvid.restore(source, out, replace(settings, keep_work=True))
    out.unlink()
    segment = sorted(work_folder(out).glob("*.seg"))[1]
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1
    segment.write_bytes(content)
    gpenvid.restore(source, out, settings)
    assert packets(out) == packets(tmp_path / "whole.mp4")


def test_the_tag_can_be_left_out(source: Path, settings: RestoreSettings, tmp_path: Path) -> None:
    for tag in (True, False):
        out = tmp_path / f"{tag}.mkv"
        gpenvid.restore(source, out, replace(settings, tag=tag, end=0.3))
        with av.open(str(out)) as file:
            assert any(k.lower() == "restored_by" for k in file.metadata) == tag


def test_a_source_that_changes_during_the_job_is_noticed(
    source: Path, settings: RestoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Restorer.restore

    def touching(self: Restorer, batch: list, *check: object) -> list:
        with source.open("ab") as file:
            file.write(b"grown")
        return real(self, batch, *check)

    monkeypatch.setattr(Restorer, "restore", touching)
    with pytest.raises(InputError, match="changed while"):
        gpenvid.restore(source, tmp_path / "out.mp4", settings)
    assert not (tmp_path / "out.mp4").exists()


def test_a_source_that_vanishes_during_the_job_is_noticed(
    source: Path, settings: RestoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Restorer.restore

    def removing(self: Restorer, batch: list, *check: object) -> list:
        source.unlink(missing_ok=True)
        return real(self, batch, *check)

    monkeypatch.setattr(Restorer, "restore", removing)
    with pytest.raises(InputError, match=r"film.mp4: cannot be read"):
        gpenvid.restore(source, tmp_path / "out.mp4", settings)
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("rest", [0.5, 0.0])
def test_a_source_that_is_cut_during_the_job_is_named(
    rest: float, source: Path, settings: RestoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Restorer.restore

    def cutting(self: Restorer, batch: list, *check: object) -> list:
        os.truncate(source, int(rest * (SAMPLES / "old_film.mp4").stat().st_size))
        return real(self, batch, *check)

    monkeypatch.setattr(Restorer, "restore", cutting)
    with pytest.raises(InputError, match=r"film.mp4: (ends earlier|has changed)"):
        gpenvid.restore(source, tmp_path / "out.mp4", settings)
    assert not (tmp_path / "out.mp4").exists()


def test_a_file_that_was_put_there_during_the_job_is_not_replaced(
    source: Path, settings: RestoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, out = Restorer.restore, tmp_path / "out.mp4"

    def putting(self: Restorer, batch: list, *check: object) -> list:
        out.write_text("mine")
        return real(self, batch, *check)

    with monkeypatch.context() as patch:
        patch.setattr(Restorer, "restore", putting)
        with pytest.raises(UsageError, match=r"out\.mp4: exists already"):
            gpenvid.restore(source, out, settings)
    assert out.read_text() == "mine"
    said = Notes()
    gpenvid.restore(source, out, replace(settings, overwrite=True), said)
    assert any("6 of 6 segments" in note for note in said.notes)


def test_a_picture_that_was_put_there_during_the_job_is_not_replaced(
    source: Path, settings: RestoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, real, out = replace(settings, end=0.5, preset=None), Restorer.restore, tmp_path / "f_%02d.png"

    def putting(self: Restorer, batch: list, *check: object) -> list:
        (tmp_path / "f_03.png").write_text("mine")
        return real(self, batch, *check)

    with monkeypatch.context() as patch:
        patch.setattr(Restorer, "restore", putting)
        with pytest.raises(UsageError, match=r"f_03\.png: exists already"):
            gpenvid.restore(source, out, settings)
    assert [p.read_text() for p in tmp_path.glob("*.png")] == ["mine"]


@pytest.mark.parametrize("name", ["out.mp4", "f_%02d.png"])
def test_what_is_left_of_a_run_that_was_killed_after_its_last_word_goes_and_what_was_to_be_kept_stays(
    name: str, source: Path, settings: RestoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "to").mkdir()
    settings, out = replace(settings, end=0.3, preset=None), tmp_path / "to" / name
    with monkeypatch.context() as patch:
        patch.setattr("gpenvid.job.work._clear", lambda _: None)
        gpenvid.restore(source, out, settings)
    assert work_folder(out).is_dir()
    with pytest.raises(UsageError, match="exists already"):
        gpenvid.restore(source, out, settings)
    assert not work_folder(out).exists()
    gpenvid.restore(source, out, replace(settings, keep_work=True, overwrite=True))
    with pytest.raises(UsageError, match="exists already"):
        gpenvid.restore(source, out, settings)
    assert work_folder(out).is_dir()


def test_a_second_process_on_one_output_refuses(source: Path, settings: RestoreSettings, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    lock = FileLock(work_folder(out) / "lock", out)
    with pytest.raises(UsageError, match="another gpenvid"):
        gpenvid.restore(source, out, settings)
    lock.release(remove=True)
    gpenvid.restore(source, out, replace(settings, end=0.3))


def test_a_journal_that_cannot_be_opened_leaves_no_lock(source: Path, settings: RestoreSettings, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    journal = work_folder(out) / "journal.jsonl"
    journal.mkdir(parents=True)
    with pytest.raises(InputError):
        gpenvid.restore(source, out, replace(settings, end=0.3))
    journal.rmdir()
    gpenvid.restore(source, out, replace(settings, end=0.3))


def test_a_folder_of_the_users_own_is_left_alone(source: Path, settings: RestoreSettings, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    work_folder(out).mkdir()
    (work_folder(out) / "letters.txt").write_text("mine")
    gpenvid.restore(source, out, replace(settings, end=0.3))
    assert [p.name for p in work_folder(out).iterdir()] == ["letters.txt"]


@pytest.mark.parametrize("name", ["out.mp4", "f_%02d.png"])
@pytest.mark.parametrize("kind", ["source", "a link to it", "tracks", "identity", "model"])
def test_what_a_job_reads_is_not_cleared_with_its_work_folder(
    name: str, kind: str, source: Path, settings: RestoreSettings, tmp_path: Path
) -> None:
    inside = work_folder(tmp_path / name) / "result.pth"
    inside.parent.mkdir()
    shutil.copy(source, inside)
    link = tmp_path / "link.mp4"
    link.symlink_to(inside)
    film = {"source": inside, "a link to it": link}.get(kind, source)
    if film is source:
        settings = replace(settings, **{kind: str(inside) if kind == "model" else inside})
    job: Any = restore_to_pictures if "%" in name else restore_video
    with pytest.raises(UsageError, match="which is cleared for the work: move it elsewhere, or name another -o"):
        job(classify(film), tmp_path / name, settings, None, Notes())
    assert [p.name for p in inside.parent.iterdir()] == [inside.name]


def test_a_disk_that_fills_up_while_the_result_is_put_together_costs_no_segment(
    source: Path, settings: RestoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.mp4"

    def full(_path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("gpenvid.job.video.sync", full)
        with pytest.raises(InputError, match=r"No space left.*same command again"):
            gpenvid.restore(source, out, settings)
    assert not out.exists()
    assert not list(work_folder(out).glob("result*"))
    said = Notes()
    gpenvid.restore(source, out, settings, said)
    assert any("6 of 6 segments" in note for note in said.notes)


def test_an_encoder_that_does_not_open_is_said_before_any_work(
    source: Path, settings: RestoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpenvid.media.encoder_options._PRESETS", {})  # so that the encoder sees it
    with pytest.raises(UsageError, match="does not open"):
        gpenvid.restore(source, tmp_path / "out.mp4", replace(settings, preset="sideways"))
    assert [p.name for p in tmp_path.iterdir()] == ["film.mp4"]


def test_an_assembled_file_that_lacks_pictures_gets_no_name(source: Path, settings: RestoreSettings, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    gpenvid.restore(source, out, replace(settings, end=0.5))
    with av.open(str(out)) as file:
        times = [p.pts * p.time_base for p in file.demux(video=0) if p.size]
    check_result(out, Written(times))
    with pytest.raises(InputError, match=f"{len(times)} pictures instead of {len(times) + 1}"):
        check_result(out, Written([*times, times[-1] + 1]))
    with pytest.raises(InputError, match=r"its streams are \['video'\] instead of"):
        check_result(out, Written(times, kinds=["audio", "audio", "video"]))
    with pytest.raises(InputError, match="the times of its pictures differ"):
        check_result(out, Written([*times[:-1], times[-1] + 1]))


@pytest.mark.alone
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_render_survives_being_killed(source: Path, tiny_model: Path, tmp_path: Path) -> None:
    began = time.monotonic()
    assert not killed_after(250, command_for(source, tmp_path / "whole.mp4", tiny_model))
    took = time.monotonic() - began
    chance, out = random.Random(6), tmp_path / "out.mp4"
    command = command_for(source, out, tiny_model)
    for moment in (0.5, 0.75, 0.9):
        if not killed_after(took * (moment + chance.uniform(-0.1, 0.1)), command):
            break
        assert not out.exists() or audit(source, out).passed
    assert not killed_after(250, command)
    assert packets(out) == packets(tmp_path / "whole.mp4")
    assert not work_folder(out).exists()
