"""`--start` and `--end`: what a part holds of the streams beside the picture."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest
from av.stream import Disposition
from films import RATE, Film

import gpenvid
from gpenvid import RestoreSettings
from gpenvid.errors import InputError, UsageError
from gpenvid.media.audit import audit

TEXTS = (("subrip", "deu", Disposition.default),)  # on screen from 100 to 300 ms and from 400 to 600 ms


@pytest.fixture
def settings(settings: RestoreSettings) -> RestoreSettings:
    return replace(settings, preset="ultrafast")


def _subtitles(path: Path) -> list[tuple[int, int, bytes]]:
    """(begin, length, text) in milliseconds."""
    with av.open(str(path)) as file:
        packets = [p for p in file.demux(subtitles=0) if p.size]
        return [(round(p.pts * p.time_base * 1000), round(p.duration * p.time_base * 1000), bytes(p)) for p in packets]


def _second_video(path: Path) -> tuple[list[Fraction], list[Fraction]]:
    """Times of the pictures of the second video stream: by packets, and of those that decode."""
    with av.open(str(path)) as file:
        packets = sorted(p.pts * p.time_base for p in file.demux(video=1) if p.pts is not None)
    with av.open(str(path)) as file:
        return packets, [f.pts * f.time_base for f in file.decode(video=1)]


@pytest.mark.parametrize(
    ("start", "end", "kept"),
    [
        (0.2, None, [(0, 100, b"Good evening."), (200, 200, b"Good night.")]),
        (0.32, 0.48, [(80, 80, b"Good night.")]),
        (0.48, 0.56, [(0, 80, b"Good night.")]),
        (None, 0.44, [(100, 200, b"Good evening."), (400, 40, b"Good night.")]),
        (0.32, 0.4, []),
    ],
)
def test_a_subtitle_on_screen_at_an_end_of_the_part_is_shortened(
    start: float | None, end: float | None, kept: list, settings: RestoreSettings, tmp_path: Path
) -> None:
    film = Film(texts=TEXTS).write(tmp_path / "film.mkv")
    gpenvid.restore(film, tmp_path / "part.mkv", replace(settings, start=start, end=end))
    assert _subtitles(tmp_path / "part.mkv") == kept
    assert audit(film, tmp_path / "part.mkv", start=start, end=end).passed


def test_a_subtitle_of_mp4_begins_with_the_part(settings: RestoreSettings, tmp_path: Path) -> None:
    film = Film(texts=(("mov_text", "deu", Disposition.default),)).write(tmp_path / "film.mp4")
    gpenvid.restore(film, tmp_path / "part.mp4", replace(settings, start=0.2))
    shown = [s for s in _subtitles(tmp_path / "part.mp4") if s[2] != b"\0\0"]
    assert [(begin, length, text[2:]) for begin, length, text in shown] == [(0, 100, b"Good evening."), (200, 200, b"Good night.")]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_a_copied_video_begins_with_its_first_keyframe_in_the_part(
    codec: str, suffix: str, settings: RestoreSettings, tmp_path: Path
) -> None:
    film = Film(videos=("libx264", codec), gop=8, frames=30).write(tmp_path / f"film{suffix}")
    report = gpenvid.restore(film, tmp_path / f"part{suffix}", replace(settings, start=0.2, end=0.92))
    packets, decoded = _second_video(tmp_path / f"part{suffix}")
    assert decoded == packets
    # Frame 8 is the first keyframe behind 0.2 s, frame 22 the last one before 0.92 s; one that it is predicted from may follow.
    tick = Fraction(1, 1000)
    assert abs(decoded[0] - (Fraction(8, RATE) - Fraction(1, 5))) <= tick
    assert {round(t * 1000) for t in decoded} >= {1000 * i // RATE - 200 for i in range(8, 23)}
    name = {"libx264": "h264"}.get(codec, codec)
    late = f"stream 1 (video, {name}) begins 0.12 s after the chosen part does, with its first keyframe there"
    assert [w for w in report.warnings if "keyframe" in w] == [late]
    assert audit(film, tmp_path / f"part{suffix}", start=0.2, end=0.92).passed


def test_a_copied_video_whose_keyframe_the_part_begins_with_loses_nothing(settings: RestoreSettings, tmp_path: Path) -> None:
    film = Film(videos=("libx264", "mpeg4"), gop=5).write(tmp_path / "film.mkv")
    report = gpenvid.restore(film, tmp_path / "part.mkv", replace(settings, start=0.2, strict=True))
    assert len(_second_video(tmp_path / "part.mkv")[1]) == 15
    assert not report.warnings


@pytest.mark.parametrize(("suffix", "tracks"), [(".mp4", 1), (".mov", 1), (".m2ts", 1), (".mkv", 2)])
def test_a_part_without_sound_is_written_without_the_track_where_the_container_has_no_empty_ones(
    suffix: str, tracks: int, settings: RestoreSettings, tmp_path: Path
) -> None:
    film = Film(sound_start=Fraction(2, 5)).write(tmp_path / f"film{suffix}")
    report = gpenvid.restore(film, tmp_path / f"part{suffix}", replace(settings, end=0.2))
    with av.open(str(tmp_path / f"part{suffix}")) as file:
        assert len(file.streams) == tracks
    told = "stream 1 (audio, aac) has no packets in the chosen part; nothing of it is kept"
    assert report.warnings == ([told] if tracks == 1 else [])
    assert audit(film, tmp_path / f"part{suffix}", end=0.2).passed


def test_a_track_without_a_packet_is_told_before_the_work(settings: RestoreSettings, tmp_path: Path) -> None:
    film = Film(sound_start=Fraction(2, 5)).write(tmp_path / "film.mp4")
    with pytest.raises(UsageError, match="has no packets in the chosen part"):
        gpenvid.restore(film, tmp_path / "part.mp4", replace(settings, end=0.2, strict=True))
    assert {p.name for p in tmp_path.iterdir()} == {"film.mp4"}


def test_a_source_with_an_empty_track_is_restored_into_mp4(settings: RestoreSettings, tmp_path: Path) -> None:
    with av.open(str(Film(sounds=()).write(tmp_path / "pictures.mkv"))) as source, av.open(str(tmp_path / "film.mkv"), "w") as film:
        video = film.add_stream_from_template(source.streams.video[0], opaque=True)
        film.add_stream("aac", rate=48000)
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = video
                film.mux(packet)
    report = gpenvid.restore(tmp_path / "film.mkv", tmp_path / "out.mp4", settings)
    assert report.warnings == ["stream 1 (audio, aac) has no packets; nothing of it is kept"]
    assert audit(tmp_path / "film.mkv", tmp_path / "out.mp4").passed


WHOLE = Film(
    videos=("libx264", "mpeg4"),
    texts=TEXTS,
    chapters=((0, 400, "One"), (400, 800, "Two")),
    tags={"title": "Film"},
    timecode="01:02:03:04",
    start=Fraction(1, 5),
    sound_start=Fraction(1, 5),
    gop=5,
)


@pytest.fixture
def part(settings: RestoreSettings, tmp_path: Path) -> tuple[Path, Path]:
    """A film that begins late, and its frames 5 to 12."""
    film = WHOLE.write(tmp_path / "film.mkv")
    gpenvid.restore(film, tmp_path / "part.mkv", replace(settings, start=0.2, end=0.52))
    return film, tmp_path / "part.mkv"


def test_verify_compares_a_part_with_that_part_of_the_source(part: tuple[Path, Path]) -> None:
    result = audit(*part, start=0.2, end=0.52, pixels=True)
    assert [f for f in result.findings if f.outcome == "differs"] == []
    same = {f.what: f.detail for f in result.findings if f.outcome == "same"}
    assert same["frame count"] == "8"
    assert "chapters (ms)" in same
    assert {f"stream {n} ({kind}) packets" for n, kind in ((1, "video mpeg4"), (2, "audio aac"), (3, "subtitle subrip"))} <= set(same)


@pytest.mark.parametrize(("start", "end"), [(None, None), (0.2, None), (0.2, 0.56), (0.16, 0.52), (0.24, 0.56)])
def test_verify_fails_where_another_part_is_named(start: float | None, end: float | None, part: tuple[Path, Path]) -> None:
    assert not audit(*part, start=start, end=end).passed


def test_numbered_pictures_of_a_part_are_verified(settings: RestoreSettings, tmp_path: Path) -> None:
    film = WHOLE.write(tmp_path / "film.mkv")
    chosen = replace(settings, start=0.2, end=0.52, preset=None, strength=0)
    gpenvid.restore(film, tmp_path / "f_%02d.png", chosen)
    result = audit(film, tmp_path / "f_%02d.png", start=0.2, end=0.52, pixels=True)
    assert result.passed
    assert any("100.0% of the samples are identical" in f.detail for f in result.findings)
    assert not audit(film, tmp_path / "f_%02d.png").passed


def test_a_part_of_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="are for videos"):
        audit(tmp_path / "a.png", tmp_path / "b.png", start=1.0)


def test_a_part_behind_the_end_is_named(part: tuple[Path, Path]) -> None:
    with pytest.raises(InputError, match=r"film\.mkv: no frame lies in the chosen part"):
        audit(*part, start=9.0)


@pytest.mark.parametrize(("start", "end"), [(-1.0, None), (2.0, 1.0), (float("nan"), None), (None, float("inf"))])
def test_what_is_no_part_is_named(start: float | None, end: float | None, part: tuple[Path, Path]) -> None:
    with pytest.raises(UsageError, match="are no part"):
        audit(*part, start=start, end=end)


def test_gaps_between_chapters_of_another_part_are_no_loss(settings: RestoreSettings, tmp_path: Path) -> None:
    film = Film(chapters=((0, 200, "One"), (200, 400, "Two"), (600, 800, "Three"))).write(tmp_path / "film.mkv")
    report = gpenvid.restore(film, tmp_path / "part.mp4", replace(settings, end=0.32, strict=True))
    assert report.warnings == []
    assert audit(film, tmp_path / "part.mp4", end=0.32).passed
