"""From every kind of container into every other: what fits is there in step, what does not is named before the work."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from films import Film, bitmap, chapters, no_bitmap, remuxed

import gpenvid
from gpenvid import RestoreSettings
from gpenvid.media.audit import audit
from gpenvid.media.containers import CONTAINERS

SUFFIXES = [c.suffix for c in CONTAINERS if c.suffix != ".m4v"]
SOUNDS = {
    "alac": "s16p",
    "flac": "s16",
    "libopus": "s16",
    "mp2": "s16",
    "pcm_s16be": "s16",
    "pcm_s24le": "s32",
    "pcm_u8": "u8",
    "wavpack": "s16p",
}
TAKEN = {
    "alac": {".mp4", ".mov", ".mkv"},
    "flac": {".mp4", ".mkv"},
    "libopus": {".mp4", ".mkv", ".webm", ".ts", ".m2ts"},
    "mp2": {".mp4", ".mov", ".mkv", ".ts", ".m2ts"},
    "pcm_s16be": {".mp4", ".mov", ".mkv"},
    "pcm_s24le": {".mp4", ".mov", ".mkv"},
    "pcm_u8": {".mov", ".mkv"},
    "wavpack": {".mkv"},
}


def _write(path: Path, codec: str) -> Path:
    """Ten frames and 0.4 s of sound in Matroska, which counts milliseconds and says little about sound."""
    pictures = Film(sounds=(), frames=10).write(path.with_name("pictures.mkv"))
    with av.open(str(pictures)) as source, av.open(str(path), "w") as film:
        video = film.add_stream_from_template(source.streams.video[0], opaque=True)
        sound = film.add_stream(codec, rate=48000, format=SOUNDS[codec], layout="stereo")
        sound.codec_context.open()
        resampler = av.AudioResampler(SOUNDS[codec], "stereo", 48000, sound.codec_context.frame_size or 1024)
        tone = av.AudioFrame.from_ndarray(np.tile((9000 * np.sin(np.arange(19200) / 20)).astype(np.int16), (2, 1)), "s16p", "stereo")
        tone.sample_rate, tone.pts, tone.time_base = 48000, 0, Fraction(1, 48000)
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = video
                film.mux(packet)
        for frame in (*resampler.resample(tone), *resampler.resample(None), None):
            film.mux(sound.encode(frame))
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("codec", SOUNDS)
def test_sound_is_copied_in_step_or_named(codec: str, suffix: str, settings: RestoreSettings, tmp_path: Path) -> None:
    source = _write(tmp_path / "film.mkv", codec)
    report = gpenvid.restore(source, tmp_path / f"out{suffix}", settings)
    with av.open(str(tmp_path / f"out{suffix}")) as file:
        assert len(file.streams.audio) == (suffix in TAKEN[codec])
    assert any("does not fit" in w for w in report.warnings) == (suffix not in TAKEN[codec])
    assert [f for f in audit(source, tmp_path / f"out{suffix}").findings if f.outcome == "differs"] == []


def test_pcm_sounds_the_same_in_mp4(settings: RestoreSettings, tmp_path: Path) -> None:
    source = _write(tmp_path / "film.mkv", "pcm_s16be")
    gpenvid.restore(source, tmp_path / "out.mp4", settings)
    samples = []
    for path in (source, tmp_path / "out.mp4"):
        with av.open(str(path)) as file:
            samples.append(np.concatenate([f.to_ndarray() for f in file.decode(audio=0)], axis=1))
            layout = file.streams.audio[0].codec_context.layout.name
    assert np.array_equal(*samples)
    assert layout == "stereo"


@pytest.mark.parametrize("suffix", [".mkv", ".mov", ".mp4"])
def test_pcm_in_packets_of_another_length_is_the_same_sound(suffix: str, settings: RestoreSettings, tmp_path: Path) -> None:
    """MXF has a packet for each picture, MP4 and QuickTime are read in packets of their own."""
    with av.open(str(_write(tmp_path / "film.mkv", "pcm_s24le"))) as film, av.open(str(tmp_path / "film.mxf"), "w") as mxf:
        video, sound = mxf.add_stream("mpeg2video", rate=25), mxf.add_stream("pcm_s16le", rate=48000, layout="stereo")
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        for frame in film.decode(video=0):
            picture = frame.reformat(format="yuv420p")
            picture.pict_type = 0
            mxf.mux(video.encode(picture))
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 2 * 19200), np.int16), "s16", "stereo")
        tone.sample_rate, tone.pts, tone.time_base = 48000, 0, Fraction(1, 48000)
        for stream, frame in ((sound, tone), (sound, None), (video, None)):
            mxf.mux(stream.encode(frame))
    gpenvid.restore(tmp_path / "film.mxf", tmp_path / f"out{suffix}", settings)
    assert audit(tmp_path / "film.mxf", tmp_path / f"out{suffix}").passed


def test_sound_that_begins_between_milliseconds_stays_in_step(settings: RestoreSettings, tmp_path: Path) -> None:
    """MP4 counts a late start in a clock of the whole file, which has to know of all tracks' own."""
    source = Film(frames=10, sound_start=Fraction(62, 1000)).write(tmp_path / "film.mkv")
    gpenvid.restore(source, tmp_path / "out.mp4", settings)
    starts = []
    for path in (source, tmp_path / "out.mp4"):
        with av.open(str(path)) as file:
            starts.append([min(p.pts * p.time_base for p in file.demux(s) if p.pts is not None) for s in file.streams.audio])
    assert abs(starts[0][0] - starts[1][0]) < Fraction(1, 2000)


@pytest.mark.parametrize("samples", [485, 970, 1454])
def test_sound_that_matroska_has_rounded_passes_where_samples_are_counted(samples: int, settings: RestoreSettings, tmp_path: Path) -> None:
    def later(packet: av.Packet) -> None:
        if packet.stream.type == "audio":
            packet.pts = packet.dts = packet.pts + samples

    exact = remuxed(_write(tmp_path / "film.mkv", "pcm_s24le"), tmp_path / "film.mov")
    source = remuxed(exact, tmp_path / "late.mkv", later)
    gpenvid.restore(source, tmp_path / "out.mov", settings)
    assert audit(source, tmp_path / "out.mov").passed


def _blu_ray(path: Path) -> Path:
    """A film with a bitmap subtitle as Blu-ray discs have them: a white square of 16 pixels from 0.1 to 0.3 s."""
    pictures = Film(sounds=(), frames=10).write(path.with_name("pictures.mkv"))
    with av.open(str(pictures)) as source, av.open(str(path), "w") as film:
        video, texts = film.add_stream_from_template(source.streams.video[0], opaque=True), film.add_mux_stream("pgssub")
        texts.time_base = Fraction(1, 1000)
        film.start_encoding()
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = video
                film.mux(packet)
        for moment, data in ((100, bitmap(1)), (300, no_bitmap(2))):
            packet = av.Packet(data)
            packet.pts = packet.dts = moment
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 1000), texts, True
            film.mux(packet)
    return path


@pytest.mark.parametrize("suffix", [".mkv", ".m2ts"])
@pytest.mark.parametrize(("start", "end", "seen"), [(0.04, 0.36, [0.06, 0.26]), (0.2, None, [0, 0.1]), (0.16, 0.24, [0]), (0.36, None, [])])
def test_a_bitmap_that_is_on_screen_when_a_part_begins_is_sent_anew(
    start: float, end: float | None, seen: list[float], suffix: str, settings: RestoreSettings, tmp_path: Path
) -> None:
    source, out = _blu_ray(tmp_path / "film.mkv"), tmp_path / f"out{suffix}"
    gpenvid.restore(source, out, replace(settings, start=start, end=end))
    assert audit(source, out, start=start, end=end).passed
    with av.open(str(out)) as file:
        first = min(p.pts * p.time_base for p in file.demux(video=0) if p.pts is not None)
    with av.open(str(out)) as file:
        if not file.streams.subtitles:
            assert (suffix, seen) == (".m2ts", [])
            return
        packets = [p for p in file.demux(subtitles=0) if p.size]
        shown = [len(list(file.streams.subtitles[0].codec_context.decode2(p) or ())) for p in packets]
    assert [round(float(p.pts * p.time_base - first), 2) for p in packets] == seen
    assert seen == [] or shown[0] == 1
    assert len(seen) < 2 or shown[-1] == 0


@pytest.mark.parametrize("suffix", [".mkv", ".m2ts"])
def test_bitmap_subtitles_of_blu_ray_are_copied(suffix: str, settings: RestoreSettings, tmp_path: Path) -> None:
    source = _blu_ray(tmp_path / "film.mkv")
    report = gpenvid.restore(source, tmp_path / f"out{suffix}", settings)
    assert report.warnings == []
    with av.open(str(tmp_path / f"out{suffix}")) as file:
        assert [s.codec_context.name for s in file.streams.subtitles] == ["pgssub"]
    assert audit(source, tmp_path / f"out{suffix}").passed


@pytest.mark.parametrize("suffix", [".ts", ".mp4", ".webm"])
def test_bitmap_subtitles_of_blu_ray_are_named_where_they_do_not_fit(suffix: str, settings: RestoreSettings, tmp_path: Path) -> None:
    report = gpenvid.restore(_blu_ray(tmp_path / "film.mkv"), tmp_path / f"out{suffix}", settings)
    assert report.warnings[0] == f"stream 1 (subtitle, pgssub) does not fit into {suffix} (a .mkv output keeps it)"


@pytest.mark.parametrize(
    ("suffix", "start", "end"), [(".ts", None, None), (".m2ts", None, None), (".mp4", None, None), (".mp4", 0.3, 0.9), (".mkv", 0.3, 0.9)]
)
def test_a_broadcast_goes_into_every_container(
    suffix: str, start: float | None, end: float | None, shared: Path, settings: RestoreSettings, tmp_path: Path
) -> None:
    """A recording with two sounds, bitmap subtitles, a cover and the name of its service."""
    source, out = shared / "media" / "formats" / "fate_law-and-order-partial.wtv", tmp_path / f"out{suffix}"
    gpenvid.restore(source, out, RestoreSettings(model=settings.model, detector="builtin", start=start, end=end))
    result = audit(source, out, start=start, end=end)
    assert [f for f in result.findings if f.outcome == "differs"] == []
    assert suffix not in (".ts", ".m2ts") or any((f.what, f.detail) == ("service", "five") for f in result.findings)


@pytest.mark.parametrize("suffix", [".ts", ".m2ts"])
@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg2video"])
def test_a_second_picture_goes_into_transport_streams(codec: str, suffix: str, settings: RestoreSettings, tmp_path: Path) -> None:
    film = Film(videos=("libx264", codec), frames=10).write(tmp_path / "film.mkv")
    gpenvid.restore(film, tmp_path / f"out{suffix}", settings)
    assert [f for f in audit(film, tmp_path / f"out{suffix}").findings if f.outcome == "differs"] == []
    with av.open(str(tmp_path / f"out{suffix}")) as file:
        assert len(list(file.decode(video=1))) == 10


CHAPTERS = {
    "one behind the other": (((0, 200, "A"), (200, 400, "B")), ((0, 200, "A"), (200, 400, "B")), 0),
    "with a gap": (((0, 150, "A"), (200, 400, "B")), ((0, 200, "A"), (200, 400, "B")), 1),
    "that begin late": (((100, 200, "A"), (200, 400, "B")), ((0, 200, "A"), (200, 400, "B")), 1),
    "only one, in the middle": (((100, 300, "A"),), ((0, 300, "A"),), 1),
}


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("kind", CHAPTERS)
def test_chapters_stay_where_they_are_or_are_joined_and_named(kind: str, suffix: str, settings: RestoreSettings, tmp_path: Path) -> None:
    wanted, in_mp4, moved = CHAPTERS[kind]
    film, out = Film(chapters=wanted, frames=10).write(tmp_path / "film.mkv"), tmp_path / f"out{suffix}"
    report = gpenvid.restore(film, out, settings)
    assert tuple(chapters(out)) == (wanted if suffix == ".mkv" else in_mp4)
    told = [f"{suffix} holds chapters without gaps: {moved} begin or end elsewhere (a .mkv output keeps them)"]
    assert report.warnings == (told if moved and suffix != ".mkv" else [])
    assert audit(film, out).passed
