"""The preview shows what the render gives the encoder, to the bit."""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from gpenvid import RestoreSettings
from gpenvid.errors import InputError, StoppedError, UsageError
from gpenvid.faces.tracks import Shot, Tracks
from gpenvid.job import video
from gpenvid.job.analyse import analyse
from gpenvid.job.preview.cache import ByteCache
from gpenvid.job.preview.clip import PreviewClip
from gpenvid.job.preview.desk import Desk, SupersededError
from gpenvid.job.preview.look import Look
from gpenvid.job.preview.models import usual_name
from gpenvid.job.preview.pictures import display_picture
from gpenvid.job.preview.rendering import RenderJob, RenderStatus, command_line
from gpenvid.job.progress import Progress, Silent
from gpenvid.job.restore import restore
from gpenvid.job.sidecar import read_sidecar, write_sidecar
from gpenvid.media.frame import Frame
from gpenvid.media.reader import VideoReader
from gpenvid.media.seek import FrameIndex, FrameSeeker, checksum
from gpenvid.restore import choices
from gpenvid.restore.restorer import _crop_threads
from gpenvid.settings import MASKS, Mask

SAMPLES = Path(__file__).parent.parent / "samples"
MakeClip = Callable[..., Path]


def opened(source: Path, settings: RestoreSettings) -> PreviewClip:
    clip = PreviewClip(source, settings)
    clip.analyse(Silent())
    return clip


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> dict[int, list[np.ndarray]]:
    """The planes that a render hands to its encoder, by frame."""
    planes: dict[int, list[np.ndarray]] = {}
    encode = video.encode_frames

    def seen(settings: object, frames: Iterator[Frame]) -> object:
        def watched() -> Iterator[Frame]:
            for frame in frames:
                planes[frame.index] = [p.copy() for p in frame.planes]
                yield frame

        return encode(settings, watched())  # type: ignore[arg-type]

    monkeypatch.setattr(video, "encode_frames", seen)
    return planes


def assert_equal(clip: PreviewClip, look: Look, rendered: dict[int, list[np.ndarray]], indices: list[int]) -> int:
    changed = 0
    for index in indices:
        frame, source = clip.restored(index, look), clip.frame(index)
        assert all(np.array_equal(a, b) for a, b in zip(frame.planes, rendered[index], strict=True)), index
        changed += any(not np.array_equal(a, b) for a, b in zip(frame.planes, source.planes, strict=True))
    return changed


def test_a_model_is_known_by_the_name_of_its_card(tiny_model: Path) -> None:
    assert usual_name("GPEN-LITE-256") == "gpen-lite-256"
    assert usual_name(str(tiny_model)) == str(tiny_model)
    with pytest.raises(UsageError, match="unknown restorer nobody"):
        usual_name("nobody")


@pytest.mark.parametrize("name", ["old_film", "interview"])
def test_previewed_frames_equal_the_rendered_ones(name: str, tiny_model: Path, tmp_path: Path, rendered: dict) -> None:
    source = SAMPLES / f"{name}.mp4"
    settings = RestoreSettings(model=str(tiny_model), detector="builtin", device="cpu")
    restore(source, tmp_path / "out.mp4", settings)
    clip = opened(source, settings)
    cuts = [s.start for s in clip.tracks.shots]
    some = random.Random(3).sample(range(clip.tracks.frames), 12)
    near_cuts = [i for c in cuts for i in (c - 1, c, c + 1) if 0 <= i < clip.tracks.frames]
    assert assert_equal(clip, Look.of(settings), rendered, [*some, *near_cuts, clip.tracks.frames - 1]) > 5


@pytest.mark.parametrize("mask", MASKS)
def test_choices_are_the_render_s(mask: Mask, tiny_model: Path, tmp_path: Path, rendered: dict) -> None:
    source = SAMPLES / "interview.mp4"
    settings = RestoreSettings(
        model=str(tiny_model), detector="builtin", device="cpu", strength=0.6, grain=0.4, keep_colour=False, deflicker=False, mask=mask
    )
    sidecar = tmp_path / "mine.json"
    found = analyse(source, settings)
    people = tuple((t.id, 0.3 * (i % 2)) for i, t in enumerate(found.tracks))
    look = replace(Look.of(settings), people=people)
    write_sidecar(look.tracks(found), sidecar)
    restore(source, tmp_path / "out.mp4", replace(settings, tracks=sidecar))
    write_sidecar(found, sidecar)
    clip = opened(source, replace(settings, tracks=sidecar))
    assert_equal(clip, look, rendered, [40, 3, 41, 0])


def test_times_that_vary_and_turned_pictures(
    tiny_model: Path, tmp_path: Path, rendered: dict, make_clip: MakeClip, astronaut: np.ndarray
) -> None:
    small = astronaut[:320, 80:400]
    frames = [np.roll(small, i // 2, axis=1) for i in range(14)]
    pts = [0, 3, 4, 9, 10, 11, 20, 21, 22, 30, 31, 40, 41, 50]
    source = make_clip(frames, "vfr.mkv", codec="libx264", pts=pts, time_base=Fraction(1, 100), options={"crf": "12", "g": "5", "bf": "2"})
    settings = RestoreSettings(model=str(tiny_model), detector="builtin", device="cpu")
    restore(source, tmp_path / "out.mkv", settings)
    clip = opened(source, settings)
    assert [round(100 * clip.time(i)) for i in range(14)] == pts
    assert assert_equal(clip, Look.of(settings), rendered, [9, 2, 13, 0, 6]) > 2


def test_a_turned_clip(tiny_model: Path, tmp_path: Path, rendered: dict, astronaut: np.ndarray) -> None:
    source = tmp_path / "turned.mkv"
    with av.open(str(source), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"crf": "14"})
        stream.width, stream.height, stream.pix_fmt = 240, 320, "yuv420p"
        stream.set_display_matrix((0, -65536, 0, 65536, 0, 0, 0, 0, 1 << 30))
        for i in range(8):
            stored = np.rot90(np.roll(astronaut[:240, 60:380], i, axis=1), -1)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(stored), "rgb24")))
        output.mux(stream.encode(None))
    settings = RestoreSettings(model=str(tiny_model), detector="builtin", device="cpu")
    restore(source, tmp_path / "out.mkv", settings)
    clip = opened(source, settings)
    assert clip.info.display_size == (320, 240)
    assert assert_equal(clip, Look.of(settings), rendered, [6, 0, 3]) == 3


def test_a_real_clip_with_a_display_matrix(tiny_model: Path, tmp_path: Path, rendered: dict, shared: Path) -> None:
    source = shared / "media" / "formats" / "androidx_sample_rotate_and_reflect.mp4"
    settings = RestoreSettings(model=str(tiny_model), detector="builtin", device="cpu", end=0.5)
    restore(source, tmp_path / "out.mp4", settings)
    assert_equal(opened(source, replace(settings, end=None)), Look.of(settings), rendered, [8, 0, 5])


@pytest.mark.parametrize("options", [{"g": "12", "bf": "3"}, {"g": "250", "x264-params": "open-gop=1:keyint=10:bframes=3"}])
def test_any_frame_is_found_in_any_order(options: dict[str, str], make_clip: MakeClip, astronaut: np.ndarray) -> None:
    frames = [np.roll(astronaut[:96, 200:328], 3 * i, axis=1) for i in range(60)]
    source = make_clip(frames, "long.mp4", codec="libx264", options=options)
    index = FrameIndex()
    want = [checksum(f) for f in index.watch(VideoReader(source).frames())]
    seeker = FrameSeeker(VideoReader(source), index)
    order = list(range(60)) * 2
    random.Random(1).shuffle(order)
    for wanted in order:
        *_, frame = seeker.frames_to(wanted)
        assert (frame.index, checksum(frame)) == (wanted, want[wanted])


def test_a_broken_index_is_seen_through(make_clip: MakeClip, astronaut: np.ndarray) -> None:
    source = make_clip([np.roll(astronaut[:64, :64], i, axis=0) for i in range(9)], "cut.ts", codec="mpeg2video")
    damaged = bytearray(source.read_bytes())
    damaged[len(damaged) // 2 : len(damaged) // 2 + 300] = bytes(300)
    source.write_bytes(damaged)
    index = FrameIndex()
    want = [checksum(f) for f in index.watch(VideoReader(source).frames())]
    seeker = FrameSeeker(VideoReader(source), index)
    for wanted in reversed(range(len(want))):
        *_, frame = seeker.frames_to(wanted)
        assert checksum(frame) == want[wanted]


def test_an_engine_that_does_not_work_is_told(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choices, "openvino_version", lambda: "2026.4.0")
    monkeypatch.setitem(sys.modules, "gpenvid.restore.compiled", None)
    monkeypatch.setitem(sys.modules, "gpenvid.restore.quiet_openvino", None)
    told: list[str] = []

    class Told(Silent):
        def note(self, text: str) -> None:
            told.append(text)

    PreviewClip(SAMPLES / "old_film.mp4", RestoreSettings(model=str(tiny_model), detector="builtin", device="cpu"), Told())
    assert len(told) == 1
    assert "PyTorch restores, more slowly" in told[0]


def test_frames_can_be_seen_before_the_analysis_is_complete(tiny_model: Path) -> None:
    clip = PreviewClip(SAMPLES / "old_film.mp4", RestoreSettings(model=str(tiny_model), detector="builtin", device="cpu"))
    seen: list[tuple[int, int]] = []

    def going() -> bool:
        tracks = clip.tracks
        if tracks.frames and not seen:
            seen.append((tracks.frames, len(tracks.shots)))
            clip.restored(tracks.frames - 1, Look(model=str(tiny_model)))
            with pytest.raises(IndexError):
                clip.restored(tracks.frames, Look(model=str(tiny_model)))
        return True

    clip.analyse(Silent(), going)
    assert clip.complete
    assert 0 < seen[0][0] < clip.tracks.frames
    first = [t for t in clip.tracks.tracks if t.end <= seen[0][0]]
    assert [t.id for t in first] == list(range(1, len(first) + 1))


@pytest.mark.parametrize("width", [0, 160, 320, 480])
def test_what_is_not_changed_looks_the_same_in_every_size(width: int) -> None:
    frame = next(iter(VideoReader(SAMPLES / "interview.mp4").frames()))
    assert np.array_equal(display_picture(frame, width), display_picture(frame.own(), width))


def test_a_change_of_strength_asks_the_network_for_nothing(tiny_model: Path) -> None:
    clip = opened(SAMPLES / "interview.mp4", RestoreSettings(model=str(tiny_model), detector="builtin", device="cpu"))
    index = next(i for i in range(clip.tracks.frames) if clip.tracks.at(i))
    look = Look(model=str(tiny_model))
    clip.restored(index, look)
    network = clip.restorer(look.model)[0].report.crops
    assert network
    for other in (
        replace(look, strength=0.5),
        replace(look, grain=0.5),
        replace(look, mask="hull"),
        replace(look, deflicker=False),
        replace(look, people=((1, 0.2),)),
    ):
        clip.restored(index, other)
    assert clip.restorer(look.model)[0].report.crops == network


def test_the_hull_changes_part_of_what_the_ellipse_changes(tiny_model: Path) -> None:
    settings = RestoreSettings(model=str(tiny_model), detector="builtin", device="cpu", deflicker=False)
    clip = opened(SAMPLES / "interview.mp4", settings)
    index = next(i for i in range(clip.tracks.frames) if any(t.weights[i - t.start] == 1 for t in clip.tracks.at(i)))
    source = clip.frame(index).planes[0]
    ellipse, hull = (clip.restored(index, replace(Look.of(settings), mask=m)).planes[0] != source for m in MASKS)
    assert hull.any()
    # Rounding to whole levels makes a few differ the other way.
    assert (hull & ~ellipse).sum() < 0.02 * hull.sum()
    assert hull.sum() < 0.8 * ellipse.sum()


def test_edits_are_saved_and_found_again(tiny_model: Path, tmp_path: Path) -> None:
    source = tmp_path / "clip.mp4"
    source.write_bytes((SAMPLES / "interview.mp4").read_bytes())
    settings = RestoreSettings(model=str(tiny_model), detector="builtin", device="cpu")
    clip = opened(source, settings)
    clip.save(replace(Look.of(settings), people=((1, 0.25),)), {"grain": 0.5})
    assert read_sidecar(tmp_path / "clip.tracks.json").tracks[0].strength == 0.25
    again = opened(source, settings)
    assert again.tracks.tracks[0].strength == 0.25
    assert again.tracks.detector == clip.tracks.detector
    assert again.saved == {"grain": 0.5}


def test_a_sidecar_of_another_clip_is_refused_if_named_and_left_alone_if_not(tiny_model: Path, tmp_path: Path) -> None:
    source = tmp_path / "clip.mp4"
    source.write_bytes((SAMPLES / "interview.mp4").read_bytes())
    sidecar = tmp_path / "clip.tracks.json"
    settings = RestoreSettings(model=str(tiny_model), detector="builtin", device="cpu")
    write_sidecar(analyse(source, replace(settings, end=1.0)), sidecar)
    before = sidecar.read_bytes()
    with pytest.raises(InputError, match="frames"):
        opened(source, replace(settings, tracks=sidecar))
    clip = opened(source, settings)
    assert clip.complete
    clip.save(replace(Look.of(settings), people=((1, 0.25),)), {"grain": 0.5})
    assert sidecar.read_bytes() == before
    again = opened(source, settings)
    assert (again.sidecar.name, again.saved) == ("clip.preview.tracks.json", {"grain": 0.5})
    assert again.tracks.tracks[0].strength == 0.25
    # Whoever analyses the clip anew means the new tracks.
    write_sidecar(clip.tracks, sidecar)
    assert opened(source, settings).sidecar == sidecar


def _seen_meanwhile(clip: PreviewClip, look: Look) -> Frame:
    """The twentieth frame as it was shown while the sixtieth of a clip was read."""
    seen: list[Frame] = []

    class Watch(Silent):
        def advance(self, frames: int, faces: int = 0) -> None:  # noqa: ARG002
            if len(clip.index) == 60 and not seen:
                seen.append(clip.restored(20, look))

    clip.analyse(Watch())
    assert seen
    return seen[0]


def test_frames_seen_with_another_clip_s_tracks_are_not_shown_again(tiny_model: Path, tmp_path: Path) -> None:
    source = tmp_path / "clip.mp4"
    source.write_bytes((SAMPLES / "interview.mp4").read_bytes())
    settings = RestoreSettings(model=str(tiny_model), detector="builtin", device="cpu")
    found = analyse(source, settings)
    moved = [replace(t, parameters=t.parameters + np.array([0.1, 0, 9, 9])) for t in found.tracks]
    write_sidecar(replace(found, tracks=moved, frames=found.frames + 9, shots=[Shot(0, found.frames + 9)]), tmp_path / "clip.tracks.json")
    clip, look = PreviewClip(source, settings), Look.of(settings)
    seen = _seen_meanwhile(clip, look)
    assert clip.generation == 1
    fresh = PreviewClip(source, replace(settings, tracks=tmp_path / "new.json"))
    fresh.analyse(Silent())
    now, expected = clip.restored(20, look), fresh.restored(20, look)
    assert all(np.array_equal(a, b) for a, b in zip(now.planes, expected.planes, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(now.planes, seen.planes, strict=True))


def test_frames_seen_with_a_sidecar_of_another_clip_are_not_shown_again_with_the_right_one(tiny_model: Path, tmp_path: Path) -> None:
    source = tmp_path / "clip.mp4"
    source.write_bytes((SAMPLES / "interview.mp4").read_bytes())
    settings = RestoreSettings(model=str(tiny_model), detector="builtin", device="cpu")
    found = analyse(source, settings)
    write_sidecar(found, tmp_path / "clip.tracks.json")
    others = replace(found, frames=found.frames + 9, shots=[Shot(0, found.frames + 9)], tracks=[])
    write_sidecar(others, tmp_path / "clip.preview.tracks.json")
    os.utime(tmp_path / "clip.tracks.json", (1, 1))
    clip, look = PreviewClip(source, settings), Look.of(settings)
    seen = _seen_meanwhile(clip, look)
    assert clip.sidecar.name == "clip.tracks.json"
    assert clip.generation == 1
    assert any(not np.array_equal(a, b) for a, b in zip(clip.restored(20, look).planes, seen.planes, strict=True))


def test_pictures_have_all_threads_though_the_analysis_runs_on_one() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        desk = Desk()
        torch.set_num_threads(1)
        asked = desk.ask("threads", lambda: bytes([torch.get_num_threads()]), view="")
        assert asked.result(10) == b"\2"
        desk.close()
    finally:
        torch.set_num_threads(before)


def test_a_thread_that_starts_a_render_has_all_threads_though_each_crop_has_one() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        pool = _crop_threads(3)
        assert {job.result() for job in [pool.submit(torch.get_num_threads) for _ in range(9)]} == {1}
        with ThreadPoolExecutor(1) as render:
            assert render.submit(torch.get_num_threads).result() == 2
    finally:
        torch.set_num_threads(before)


def test_a_render_leaves_opencv_the_threads_that_the_preview_wants(settings: RestoreSettings, tmp_path: Path) -> None:
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        PreviewClip(SAMPLES / "old_film.mp4", settings)
        restore(SAMPLES / "old_film.mp4", tmp_path / "out.mp4", replace(settings, end=0.2))
        assert cv2.getNumThreads() == 1
    finally:
        cv2.setNumThreads(before)


def test_two_weight_files_of_one_name_are_two_models(tiny_model: Path, tmp_path: Path) -> None:
    paths = [tmp_path / folder / "tiny.safetensors" for folder in ("a", "b")]
    state = load_file(tiny_model)
    for number, path in enumerate(paths):
        path.parent.mkdir()
        save_file({k: v * (1 - 0.1 * number) for k, v in state.items()}, path)
    settings = RestoreSettings(model=str(paths[0]), detector="builtin", device="cpu")
    clip = opened(SAMPLES / "interview.mp4", settings)
    first, second = (clip.restored(20, replace(Look.of(settings), model=str(path))) for path in paths)
    assert not np.array_equal(first.planes[0], second.planes[0])


@pytest.mark.parametrize("named", [True, False])
def test_a_sidecar_is_read_once_and_again_where_it_has_changed(
    named: bool, settings: RestoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, sidecar, read = tmp_path / "clip.mp4", tmp_path / "clip.tracks.json", []
    source.write_bytes((SAMPLES / "interview.mp4").read_bytes())
    write_sidecar(analyse(source, settings), sidecar)
    monkeypatch.setattr("gpenvid.job.preview.clip.read_sidecar", lambda path: (read.append(path), read_sidecar(path))[1])
    clip = opened(source, replace(settings, tracks=sidecar if named else None))
    assert len(read) == 1
    write_sidecar(replace(clip.tracks, tracks=[]), sidecar)
    clip.analyse(Silent())
    assert (len(read), clip.tracks.tracks) == (2, [])


def test_a_sidecar_that_was_not_there_when_the_clip_was_opened_is_not_replaced(
    settings: RestoreSettings, make_clip: MakeClip, tmp_path: Path
) -> None:
    clip = opened(make_clip([np.zeros((64, 64, 3), np.uint8)] * 3), settings)
    write_sidecar(clip.tracks, tmp_path / "clip.tracks.json")
    with pytest.raises(UsageError, match="has been changed by something else"):
        clip.save(Look.of(settings), {})


def test_a_clip_that_changes_while_it_is_analysed_is_not_complete(settings: RestoreSettings, make_clip: MakeClip) -> None:
    clip = PreviewClip(source := make_clip([np.zeros((64, 64, 3), np.uint8)] * 3), settings)
    os.utime(source)
    clip.check_source()  # touched only
    source.write_bytes(source.read_bytes()[:-1] + b"?")
    with pytest.raises(InputError, match="has changed since it was opened"):
        clip.analyse(Silent())
    assert not clip.complete


def test_a_clip_is_opened_though_another_name_for_its_sidecar_would_be_too_long(settings: RestoreSettings, make_clip: MakeClip) -> None:
    clip = opened(make_clip([np.zeros((64, 64, 3), np.uint8)] * 3, f"{'n' * 236}.mkv"), settings)
    clip.save(Look.of(settings), {})
    write_sidecar(replace(clip.tracks, width=99), clip.sidecar)
    with pytest.raises(InputError, match="start the preview with --tracks"):
        opened(clip.source, settings).save(Look.of(settings), {})


def test_a_preview_s_own_sidecar_of_an_earlier_clip_is_replaced(tiny_model: Path, tmp_path: Path) -> None:
    source = tmp_path / "clip.mp4"
    source.write_bytes((SAMPLES / "interview.mp4").read_bytes())
    settings = RestoreSettings(model=str(tiny_model), detector="builtin", device="cpu")
    for name in ("clip.tracks.json", "clip.preview.tracks.json"):
        write_sidecar(Tracks(6, 99, 99, "", 0, [Shot(0, 6)]), tmp_path / name, {"grain": 0.5})
    clip = opened(source, settings)
    assert (clip.sidecar.name, clip.saved, clip.tracks.frames) == ("clip.preview.tracks.json", {}, 150)


def test_a_sidecar_that_cannot_be_written_names_the_option_for_another(tiny_model: Path, tmp_path: Path) -> None:
    source = tmp_path / "clip.mp4"
    source.write_bytes((SAMPLES / "interview.mp4").read_bytes())
    (tmp_path / "gone").mkdir()
    sidecar = tmp_path / "gone" / "clip.json"
    clip = opened(source, RestoreSettings(model=str(tiny_model), detector="builtin", device="cpu", tracks=sidecar))
    sidecar.parent.rmdir()
    with pytest.raises(InputError, match="start the preview with --tracks"):
        clip.save(Look.of(clip.settings), {})


def test_the_command_takes_no_name_for_an_option(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-v.mp4").write_bytes((SAMPLES / "interview.mp4").read_bytes())
    settings = RestoreSettings(model=str(tiny_model), detector="builtin", device="cpu", tracks=Path("-t.json"))
    line = command_line(PreviewClip(Path("-v.mp4"), settings), Look.of(settings), Path("-o.mp4"))
    assert line.startswith("gpenvid restore ./-v.mp4 --tracks ./-t.json ")
    assert line.endswith(" -o ./-o.mp4")


def test_a_cache_keeps_its_budget() -> None:
    cache: ByteCache[bytes] = ByteCache(10, len)
    for i in range(5):
        cache.put(i, bytes(4))
        cache.get(0)
    assert cache.bytes <= 10
    assert cache.get(0) is not None
    assert cache.get(2) is None


def test_who_has_gone_does_not_stop_the_desk() -> None:
    desk = Desk()
    gate = threading.Event()
    running = desk.ask("gate", lambda: (gate.wait(10), b"")[1], view="")
    gone = [desk.ask(f"gone {i}", lambda: b"", view="one") for i in range(2)]
    assert gone[1].cancel()
    desk.ask("next", lambda: b"", view="one")
    gate.set()
    assert running.result(10) == b""
    assert desk.ask("later", lambda: b"later", view="two").result(10) == b"later"
    desk.close()


def test_the_newest_wish_of_a_view_comes_first() -> None:
    desk = Desk()
    gate, done = threading.Event(), []

    def work(name: str) -> bytes:
        done.append(name)
        return name.encode()

    first = desk.ask("gate", lambda: (gate.wait(10), b"")[1], view="other")
    old = desk.ask("old", lambda: work("old"), view="mine")
    desk.look_ahead([("ahead", lambda: work("ahead"))])
    later = desk.ask("face", lambda: work("face"), view="", rank=1)
    new = desk.ask("new", lambda: work("new"), view="mine")
    gate.set()
    assert (first.result(10), new.result(10), later.result(10)) == (b"", b"new", b"face")
    assert isinstance(old.exception(10), SupersededError)
    assert desk.ask("ahead", lambda: b"", view="mine").result(10) == b"ahead"
    desk.close()
    assert done == ["new", "face", "ahead"]


def test_what_may_be_looked_at_next_is_computed_as_soon_as_a_render_has_ended() -> None:
    desk, done = Desk(), threading.Event()
    desk.patient = True
    desk.look_ahead([("ahead", lambda: (done.set(), b"")[1])])
    assert not done.wait(0.2)
    desk.patient = False
    assert done.wait(5)
    desk.close()


def test_what_was_finished_before_does_not_shorten_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[RenderStatus] = []

    def going_on(_source: object, _output: object, _settings: object, told: Progress) -> None:
        told.stage("render", 1000)
        told.advance(900)
        told.advance(1)
        time.sleep(0.1)
        said.append(job.status)
        raise StoppedError("enough")

    monkeypatch.setattr("gpenvid.job.preview.rendering.restore", going_on)
    job = RenderJob(lambda: None)
    job.start(Path("in.mp4"), Path("out.mp4"), RestoreSettings())
    while job.status.busy:
        time.sleep(0.01)
    assert said[0].remaining is not None
    assert said[0].remaining > 99 * 0.1
