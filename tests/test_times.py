"""Every frame keeps its time, whatever the source's clock does. The files are read back without gpenvid."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest
from films import RATE, Film, held, moving_portrait, shown_times
from PIL import Image

import gpenvid
from gpenvid import RestoreSettings
from gpenvid.media.audit import audit
from gpenvid.media.last_picture import stands
from gpenvid.media.reader import VideoReader
from gpenvid.media.time_range import TimeRange


@pytest.fixture
def settings(settings: RestoreSettings) -> RestoreSettings:
    return replace(settings, preset="ultrafast")


def _remuxed(source: Path, target: Path) -> Path:
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        copies = {s.index: new.add_stream_from_template(s, opaque=True) for s in (*old.streams.video, *old.streams.audio)}
        for packet in old.demux():
            if packet.size:
                packet.stream = copies[packet.stream_index]
                new.mux(packet)
    return target


def _encoded(path: Path, count: int, seconds: Fraction, **options: str) -> Path:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=1 / seconds, options=options)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for number, rgb in enumerate(moving_portrait(count, (160, 120))):
            frame = av.VideoFrame.from_ndarray(rgb, "rgb24")
            frame.pts, frame.time_base = number, seconds
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def _passes(source: Path, out: Path) -> None:
    found = audit(source, out)
    assert found.passed, [f for f in found.findings if f.outcome == "differs"]


def test_a_live_stream_that_was_interrupted_goes_on_with_its_sound(settings: RestoreSettings, tmp_path: Path) -> None:
    once = _remuxed(Film(frames=50).write(tmp_path / "film.mp4"), tmp_path / "once.flv").read_bytes()
    source, out = tmp_path / "twice.flv", tmp_path / "out.mkv"
    source.write_bytes(once + once[13:])  # the header, and then the same tags with the same times again
    report = gpenvid.restore(source, out, settings)
    assert any("clock starts over 1 time" in w for w in report.warnings)
    times = shown_times(out)
    assert len(times) == 100
    assert {round(1000 * (b - a)) for a, b in pairwise(times)} == {40}
    sound = held(out)[0].times
    assert max(b - a for a, b in pairwise(sound)) < 60
    assert sound[-1] == pytest.approx(1000 * float(times[-1]), abs=100)
    _passes(source, out)


def test_slow_pictures_that_are_reordered_are_no_clock_that_starts_over(settings: RestoreSettings, tmp_path: Path) -> None:
    source = _encoded(tmp_path / "film.mkv", 20, Fraction(3), bf="3", **{"x264-params": "b-adapt=0"})
    with av.open(str(source)) as file:
        first = [p.pts * p.time_base for p in file.demux(video=0) if p.size and p.dts is None]
    assert max(a - b for a, b in pairwise(first)) > 1  # or this shows nothing
    report = gpenvid.restore(source, tmp_path / "out.mkv", settings)
    assert report.warnings == []
    assert shown_times(tmp_path / "out.mkv") == [Fraction(3 * i) for i in range(20)]


def test_reordered_pictures_in_avi_come_at_an_even_pace(settings: RestoreSettings, tmp_path: Path) -> None:
    source = _encoded(tmp_path / "film.avi", 20, Fraction(1, RATE), bf="2", **{"x264-params": "b-adapt=0"})
    given = shown_times(source)
    assert any(b <= a for a, b in pairwise(given))  # what FFmpeg makes up for them
    report = gpenvid.restore(source, tmp_path / "out.mkv", settings)
    assert not any("timestamp" in w for w in report.warnings)
    assert {round(1000 * (b - a)) for a, b in pairwise(shown_times(tmp_path / "out.mkv"))} == {40}
    _passes(source, tmp_path / "out.mkv")


def test_times_that_repeat_in_a_fine_clock_stay_apart_in_a_coarse_one(settings: RestoreSettings, tmp_path: Path) -> None:
    part = Film(frames=10, sounds=()).write(tmp_path / "part.ts").read_bytes()
    source, out = tmp_path / "film.ts", tmp_path / "out.mkv"
    source.write_bytes(part + part)  # falls back by less than a second, which is no other clock
    report = gpenvid.restore(source, out, settings)
    assert any("10 frames had no usable timestamp" in w for w in report.warnings)
    times = shown_times(out)
    assert all(a < b for a, b in pairwise(times))
    _passes(source, out)


def test_first_pictures_without_a_time_count_back_from_the_one_that_has_one(settings: RestoreSettings, tmp_path: Path) -> None:
    whole, source, out = Film(frames=20).write(tmp_path / "whole.mp4"), tmp_path / "film.mkv", tmp_path / "out.mkv"
    with av.open(str(whole)) as old, av.open(str(source), "w", options={"avoid_negative_ts": "disabled"}) as new:
        copies = [new.add_stream_from_template(s, opaque=True) for s in old.streams]
        for packet in old.demux():
            if packet.size:
                earlier = round(Fraction(1, 5) / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts - earlier, packet.dts - earlier, copies[packet.stream_index]
                new.mux(packet)
    with av.open(str(source)) as file:
        assert [f.pts for f in file.decode(video=0)][:7] == [None] * 5 + [0, 40]
    report = gpenvid.restore(source, out, settings)
    assert any("5 frames had no usable timestamp" in w for w in report.warnings)
    times = [round(1000 * t) for t in shown_times(out)]
    assert {b - a for a, b in pairwise(times)} == {40}
    assert times[5] - times[0] == 200
    assert times[0] - held(out)[0].times[0] == -200 - held(source)[0].times[0]
    _passes(source, out)


def _lasting(path: Path, last: Fraction) -> Path:
    """Twenty pictures of a twentieth of a second, the last of which stands for longer."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=20, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        packets = []
        for number, rgb in enumerate(moving_portrait(20)):
            frame = av.VideoFrame.from_ndarray(rgb, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 20)
            packets += stream.encode(frame)
        packets += stream.encode(None)
        for packet in packets:
            packet.duration = 1
            if packet is packets[-1]:
                packet.duration = round(last * 20)
            file.mux(packet)
    return path


@pytest.mark.parametrize(("start", "end", "length"), [(None, None, 4.0), (0.5, None, 3.5), (None, 2.5, 2.5), (None, 0.5, 0.5)])
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_the_last_picture_stands_as_long_as_in_the_source_and_no_longer_than_the_part(
    suffix: str, start: float | None, end: float | None, length: float, settings: RestoreSettings, tmp_path: Path
) -> None:
    source, out = _lasting(tmp_path / f"film{suffix}", Fraction(61, 20)), tmp_path / f"out{suffix}"
    report = gpenvid.restore(source, out, replace(settings, start=start, end=end))
    assert not report.warnings
    with av.open(str(out)) as file:
        (stream,) = file.streams.video
        assert float(stream.duration * stream.time_base) == pytest.approx(length, abs=1e-3)
    found = audit(source, out, start=start, end=end)
    assert found.passed
    assert [f.outcome for f in found.findings if f.what == "last picture"] == ["same"]


@pytest.mark.parametrize(("before", "length"), [(2, 9), (1, 9), (7, 9), (0, 2), (9, 2)])  # 7 as in MP4 where pictures are reordered
def test_the_last_picture_is_believed_where_the_one_before_lasts_long_enough(before: int, length: int) -> None:
    assert stands([(4, before), (6, 9), (2, 2)], Fraction(1, 25), TimeRange(), usual=2) == length


def test_a_clock_that_starts_late_makes_no_film_longer(make_clip, tmp_path: Path) -> None:
    path = make_clip(moving_portrait(4), pts=[1_080_000_000 + 40 * i for i in range(4)], time_base=Fraction(1, 1000))
    assert VideoReader(path).info.frame_count == 4


def test_only_ffmpeg_counts_a_matroska_film_from_zero_on(make_clip) -> None:
    path = make_clip(moving_portrait(6), pts=[200 + 40 * i for i in range(6)], time_base=Fraction(1, 1000))
    assert VideoReader(path).info.duration == pytest.approx(0.24, abs=0.01)
    # mkvmerge states how long the pictures last; that they begin late was no part of it.
    path.write_bytes(path.read_bytes().replace(b"Lavf", b"mkvm"))
    assert VideoReader(path).info.duration == pytest.approx(0.44, abs=0.01)


def test_sound_whose_times_fall_back_is_moved_and_passes(settings: RestoreSettings, tmp_path: Path) -> None:
    film = bytearray(Film(frames=50).write(tmp_path / "film.ts").read_bytes())
    begins = [at for at in range(0, len(film), 188) if film[at + 1] & 0x5F == 0x41 and film[at + 2] == 1]  # of the sound
    at = begins[len(begins) // 2]
    at = film.index(b"\0\0\1\xc0", at) + 9
    field = film[at : at + 5]
    time = (field[0] >> 1 & 7) << 30 | field[1] << 22 | (field[2] >> 1) << 15 | field[3] << 7 | field[4] >> 1
    time -= 27_000
    film[at : at + 5] = [field[0] & 0xF1 | time >> 29 & 14, time >> 22 & 255, time >> 14 & 254 | 1, time >> 7 & 255, time << 1 & 254 | 1]
    (tmp_path / "film.ts").write_bytes(film)
    report = gpenvid.restore(tmp_path / "film.ts", tmp_path / "out.mkv", settings)
    assert any("packets beside the picture had times that were missing or fell back" in w for w in report.warnings)
    found = audit(tmp_path / "film.ts", tmp_path / "out.mkv")
    assert found.passed, [f for f in found.findings if f.outcome == "differs"]
    assert any("fall back in the source, and were moved" in f.detail and f.outcome == "noted" for f in found.findings)


def test_an_audit_tells_a_last_picture_that_stands_too_short(tmp_path: Path) -> None:
    long, short = _lasting(tmp_path / "long.mp4", Fraction(3)), _lasting(tmp_path / "short.mp4", Fraction(1))
    (told,) = (f for f in audit(long, short).findings if f.what == "last picture")
    assert (told.outcome, told.detail) == ("differs", "stands 1.000 s instead of 3.000 s")


def test_the_last_picture_of_a_gif_stands_as_long_as_it_says(settings: RestoreSettings, tmp_path: Path) -> None:
    pictures = [Image.fromarray(rgb) for rgb in moving_portrait(4)]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=[100, 100, 100, 3000])
    gpenvid.restore(tmp_path / "a.gif", tmp_path / "out.mkv", replace(settings, preset=None))
    with av.open(str(tmp_path / "out.mkv")) as file:
        assert file.duration == pytest.approx(3.3e6, abs=2e3)


def test_durations_of_a_tick_that_some_files_state_are_not_believed(shared: Path, settings: RestoreSettings, tmp_path: Path) -> None:
    source, out = shared / "media" / "formats" / "androidx_sample_with_ass_subtitles.mkv", tmp_path / "out.mp4"
    gpenvid.restore(source, out, settings)
    with av.open(str(out)) as file:
        (stream,) = file.streams.video
        end = stream.start_time + stream.duration
        last = float((end - max(p.pts for p in file.demux(stream) if p.size)) * stream.time_base)
    assert 0.01 < last < 0.05


def _stated_length(path: Path) -> float:
    """Of the whole file, in seconds, as FFmpeg reads it."""
    with av.open(str(path)) as file:
        assert file.duration is not None
        return file.duration / 1e6


def test_pictures_that_are_reordered_stand_as_long_after_two_restorations(settings: RestoreSettings, tmp_path: Path) -> None:
    medium = replace(settings, preset=None)
    gpenvid.restore(_lasting(tmp_path / "film.mp4", Fraction(61, 20)), tmp_path / "once.mp4", medium)
    gpenvid.restore(tmp_path / "once.mp4", tmp_path / "twice.mp4", medium)
    with av.open(str(tmp_path / "twice.mp4")) as file:
        packets = [p for p in file.demux(file.streams.video[0]) if p.size]
        assert packets[-1].pts != max(p.pts for p in packets) or any(p.pts != p.dts for p in packets)
    for name in ("once.mp4", "twice.mp4"):
        assert _stated_length(tmp_path / name) == pytest.approx(4.0, abs=2e-3)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_gap_before_the_last_pictures_makes_the_film_no_longer(suffix: str, settings: RestoreSettings, tmp_path: Path) -> None:
    source, out = tmp_path / f"film{suffix}", tmp_path / f"out{suffix}"
    with av.open(str(source), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number, rgb in zip([*range(18), 150, 151], moving_portrait(20), strict=True):
            frame = av.VideoFrame.from_ndarray(rgb, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    gpenvid.restore(source, out, replace(settings, preset=None))
    assert _stated_length(out) == pytest.approx(_stated_length(source), abs=0.05)
