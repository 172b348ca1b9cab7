"""Everything beside the picture: what comes in goes out, or is named. The files are read back without gpenvid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from films import RATE, Film, chapters, edit, held, moving_portrait, png, remuxed, shown_times

import gpenvid
from gpenvid import RestoreSettings
from gpenvid.errors import InputError, UsageError
from gpenvid.media.audit import audit
from gpenvid.media.payload import payload
from gpenvid.media.probe import packets_of
from gpenvid.media.transport import Service, service_of

DEFAULT, COMMENT, FORCED = Disposition.default, Disposition.comment, Disposition.forced
DEAF = Disposition.hearing_impaired


@pytest.fixture
def settings(settings: RestoreSettings) -> RestoreSettings:
    return replace(settings, preset="ultrafast")


FULL = {
    ".mkv": Film(
        videos=("libx264", "mpeg4"),
        sounds=(("eng", "Original", DEFAULT), ("fra", "Commentary", COMMENT | DEAF)),
        texts=(("subrip", "deu", DEFAULT), ("subrip", "jpn", FORCED)),
        cover=png(),
        fonts={"one.ttf": b"font one" * 100, "two.ttf": b"two"},
        chapters=((0, 400, "One"), (400, 800, "Two")),
        tags={"title": "Film", "artist": "Nobody", "reel": "7"},
    ),
    ".mp4": Film(
        videos=("libx264", "mpeg4"),
        sounds=(("eng", "", DEFAULT), ("fra", "Commentary", COMMENT)),
        texts=(("mov_text", "deu", DEFAULT),),
        cover=png(),
        chapters=((0, 400, "One"), (400, 800, "Two")),
        tags={"title": "Film", "artist": "Nobody"},
    ),
    ".mov": Film(
        sounds=(("eng", "", DEFAULT), ("fra", "", DEFAULT)),
        chapters=((0, 800, "All"),),
        tags={"title": "Film"},
        timecode="01:02:03:04",
    ),
    ".ts": Film(sounds=(("eng", "", Disposition(0)), ("fra", "", Disposition(0))), tags={"service_name": "One"}),
    ".webm": Film(videos=("libvpx-vp9",), chapters=((100, 700, "Middle"),), tags={"title": "Film"}, texts=(("webvtt", "deu", DEFAULT),)),
}  # fmt: skip


@pytest.mark.parametrize("suffix", FULL)
def test_all_that_a_file_holds_is_in_the_result(suffix: str, settings: RestoreSettings, tmp_path: Path) -> None:
    source, out = FULL[suffix].write(tmp_path / f"film{suffix}"), tmp_path / f"out{suffix}"
    if suffix == ".webm":
        settings = replace(settings, preset=None)
    report = gpenvid.restore(source, out, settings)
    assert report.warnings == []
    assert report.faces == report.frames == 20
    assert shown_times(out) == shown_times(source)
    # Covers may stand elsewhere: their place is the muxer's choice.
    assert sorted(held(out), key=repr) == sorted(held(source), key=repr)
    assert chapters(out) == chapters(source)
    with av.open(str(source)) as old, av.open(str(out)) as new:
        kept = {k.lower(): v for k, v in new.metadata.items()}
        assert {k: kept.get(k) for k in FULL[suffix].tags} == (FULL[suffix].tags if suffix != ".ts" else {"service_name": None})
        assert [(a.metadata.get("filename"), a.data) for a in new.streams.attachments] == [
            (a.metadata.get("filename"), a.data) for a in old.streams.attachments
        ]
        assert sum(s.type == "data" for s in new.streams) == sum(s.type == "data" for s in old.streams)
        assert new.streams.video[0].metadata.get("timecode", "") == FULL[suffix].timecode
    found = audit(source, out)
    assert found.passed, [f for f in found.findings if f.outcome == "differs"]


def test_which_of_several_videos_is_restored_is_said(settings: RestoreSettings, tmp_path: Path) -> None:
    source = FULL[".mkv"].write(tmp_path / "film.mkv")
    report = gpenvid.restore(source, tmp_path / "out.mkv", replace(settings, strict=True))
    assert any("2 video streams" in n and "restored is stream 0" in n and "copied as it is: 1" in n for n in report.notes)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".ts", ".webm"])
def test_what_another_container_cannot_hold_is_named_and_the_rest_is_there(suffix: str, settings: RestoreSettings, tmp_path: Path) -> None:
    source, out = FULL[".mkv"].write(tmp_path / "film.mkv"), tmp_path / f"out{suffix}"
    if suffix == ".webm":
        settings = replace(settings, preset=None)
    report = gpenvid.restore(source, out, settings)
    said = " ".join(report.warnings)
    for thing in ("subrip" if "subrip" in said else "srt", "attachment", ".mkv"):
        assert thing in said
    if suffix in (".mp4", ".mov"):
        assert [h.digest for h in held(out) if h.kind == "audio"] == [h.digest for h in held(source) if h.kind == "audio"]
        assert chapters(out) == chapters(source)
    if suffix == ".ts":
        assert "chapters do not fit" in said
        assert "artist, reel, title" in said
        assert "comment" in said
        assert len([h for h in held(out) if h.kind == "audio"]) == 2
    if suffix == ".webm":
        assert "aac" in said
    if suffix == ".mov":
        assert "cover picture" in said
        assert "comment, hearing_impaired" in said
    found = audit(source, out)
    assert found.passed, [f for f in found.findings if f.outcome == "differs"]
    with pytest.raises(UsageError, match="leave out --strict"):
        gpenvid.restore(source, tmp_path / f"strict{suffix}", replace(settings, strict=True))


def test_tags_that_fit_beside_a_cover_only_in_matroska_are_named(settings: RestoreSettings, tmp_path: Path) -> None:
    source = Film(cover=png(), tags={"title": "Film", "reel": "7"}).write(tmp_path / "film.mkv")
    report = gpenvid.restore(source, tmp_path / "out.mp4", settings)
    assert any("reel" in w and ".mkv" in w for w in report.warnings)
    assert any(h.codec == "png" for h in held(tmp_path / "out.mp4"))
    with av.open(str(tmp_path / "out.mp4")) as file:
        assert file.metadata["title"] == "Film"
        assert "gpenvid" in file.metadata["encoder"]


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_tags_of_a_track_that_fit_only_into_matroska_are_named(suffix: str, settings: RestoreSettings, tmp_path: Path) -> None:
    plain, source, out = Film(frames=8).write(tmp_path / "plain.mkv"), tmp_path / "film.mkv", tmp_path / f"out{suffix}"
    with av.open(str(plain)) as old, av.open(str(source), "w") as new:
        copies = [new.add_stream_from_template(s, opaque=True) for s in old.streams]
        copies[1].metadata.update({"source": "tape", "title": "Boom", "language": "fra"})
        for packet in old.demux():
            if packet.size:
                packet.stream = copies[packet.stream_index]
                new.mux(packet)
    report = gpenvid.restore(source, out, settings)
    assert [w for w in report.warnings if "source" in w and ".mkv" in w]
    assert [(h.title, h.language) for h in held(out)] == [("Boom", "fra")]
    assert audit(source, out).passed
    assert gpenvid.restore(source, tmp_path / "out.mkv", settings).warnings == []


def test_a_transport_stream_keeps_its_service_and_names_what_restored_it(settings: RestoreSettings, tmp_path: Path) -> None:
    source = Film(frames=8, tags={"service_name": "Ärztefunk", "service_provider": "Nobody"}).write(tmp_path / "film.ts")
    for tag, provider in ((True, f"Nobody; gpenvid {gpenvid.__version__}, tiny"), (False, "Nobody")):
        out = tmp_path / f"{tag}.ts"
        gpenvid.restore(source, out, replace(settings, tag=tag))
        assert service_of(out) == Service("Ärztefunk", provider)
        assert audit(source, out).passed
    other = Film(frames=8, tags={"service_name": "Two"}).write(tmp_path / "other.ts")
    assert {f.what for f in audit(other, out).findings if f.outcome == "differs"} >= {"service", "service provider"}


def test_a_second_video_that_nothing_decodes_is_named(settings: RestoreSettings, tmp_path: Path) -> None:
    source = Film(frames=8, videos=("libx264", "mpeg4")).write(tmp_path / "film.mkv")
    content = source.read_bytes()
    assert content.count(b"V_MPEG4/ISO/ASP") == 1
    source.write_bytes(content.replace(b"V_MPEG4/ISO/ASP", b"V_MPEG4/ISO/XXX"))
    report = gpenvid.restore(source, tmp_path / "out.mkv", settings)
    assert any("2 video streams: restored is stream 0" in n for n in report.notes)
    assert any("stream 1 (video" in w and "cannot be copied" in w for w in report.warnings)


def test_a_stream_that_comes_up_on_the_way_ends_no_reading() -> None:
    class Late:
        """As PyAV's container does it."""

        def demux(self, _streams: list) -> Iterator[str]:
            yield from ("one", "two")
            raise IndexError("list index out of range")

    assert list(packets_of(Late(), [])) == ["one", "two"]


def test_chapters_move_with_sound_that_begins_before_zero(settings: RestoreSettings, tmp_path: Path) -> None:
    source = replace(FULL[".mp4"], texts=(), cover=b"").write(tmp_path / "film.mp4")
    gpenvid.restore(source, tmp_path / "out.mkv", settings)
    moved = round(1000 * (shown_times(tmp_path / "out.mkv")[0] - shown_times(source)[0]))
    assert moved > 0
    assert chapters(tmp_path / "out.mkv") == [(a + moved, b + moved, title) for a, b, title in chapters(source)]


@pytest.mark.parametrize("kind", [".mkv", ".mov"])  # FFmpeg's own .mov leaves the chapters as texts that belong to nothing
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_a_silent_film_keeps_chapters_beside_its_timecode(kind: str, suffix: str, settings: RestoreSettings, tmp_path: Path) -> None:
    film = Film(sounds=(), chapters=((0, 400, "One"), (400, 800, "Two")), timecode="01:02:03:04", frames=20)
    source, out = film.write(tmp_path / f"film{kind}"), tmp_path / f"out{suffix}"
    assert gpenvid.restore(source, out, settings).warnings == []
    assert chapters(out) == [(0, 400, "One"), (400, 800, "Two")]
    assert held(out) == []
    with av.open(str(out)) as file:
        assert [s.type for s in file.streams] == ["video", "data", "data"]  # chapters that are referred to, and the timecode
        assert file.streams.video[0].metadata["timecode"] == "01:02:03:04"
    found = audit(source, out)
    assert found.passed, [f for f in found.findings if f.outcome == "differs"]


def test_a_part_has_its_share_of_the_chapters_and_no_timecode(settings: RestoreSettings, tmp_path: Path) -> None:
    source = replace(FULL[".mov"], chapters=((0, 300, "One"), (300, 600, "Two"), (600, 800, "Three"))).write(tmp_path / "film.mov")
    gpenvid.restore(source, tmp_path / "out.mov", replace(settings, start=0.2, end=0.6))
    assert chapters(tmp_path / "out.mov") == [(0, 100, "One"), (100, 400, "Two")]
    with av.open(str(tmp_path / "out.mov")) as file:
        assert "timecode" not in file.streams.video[0].metadata


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("start", [Fraction(12, 25), Fraction(10)])
def test_a_picture_that_begins_later_than_its_sound_stays_later(
    suffix: str, start: Fraction, settings: RestoreSettings, tmp_path: Path
) -> None:
    source = Film(start=start).write(tmp_path / f"film{suffix}")
    gpenvid.restore(source, tmp_path / f"out{suffix}", settings)
    assert shown_times(tmp_path / f"out{suffix}") == shown_times(source)
    assert held(tmp_path / f"out{suffix}")[0].times == held(source)[0].times


def test_a_clock_that_starts_over_goes_on(settings: RestoreSettings, tmp_path: Path) -> None:
    late = Film(start=Fraction(20), sound_start=Fraction(20)).write(tmp_path / "late.ts").read_bytes()
    early = Film().write(tmp_path / "early.ts").read_bytes()
    source = tmp_path / "film.ts"
    source.write_bytes(late + early)
    report = gpenvid.restore(source, tmp_path / "out.mkv", settings)
    assert any("clock starts over 1 time" in w for w in report.warnings)
    times = shown_times(tmp_path / "out.mkv")
    assert len(times) == report.frames == 40
    steps = {round(1000 * (b - a)) for a, b in pairwise(times)}
    assert steps <= {39, 40, 41}
    found = audit(source, tmp_path / "out.mkv")
    assert found.passed, [f for f in found.findings if f.outcome == "differs"]


def test_a_gap_forward_is_a_gap(settings: RestoreSettings, make_clip, tmp_path: Path) -> None:
    frames = [np.full((64, 64, 3), 10 * i, np.uint8) for i in range(6)]
    pts = [0, 40, 80, 90000, 90040, 90080]
    source = make_clip(frames, pts=pts, time_base=Fraction(1, 1000))
    gpenvid.restore(source, tmp_path / "out.mkv", settings)
    assert shown_times(tmp_path / "out.mkv") == [Fraction(p, 1000) for p in pts]


def test_times_that_repeat_are_moved_by_a_tick_and_counted(settings: RestoreSettings, tmp_path: Path) -> None:
    source = tmp_path / "film.mkv"
    with av.open(str(source), "w") as file:
        stream = file.add_stream("ffv1", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for i, pts in enumerate((0, 40, 40, 120, 120, 200)):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 10 * i, np.uint8), "rgb24")
            frame.pts, frame.time_base = i, Fraction(1, RATE)
            for packet in stream.encode(frame):
                packet.pts = packet.dts = pts
                packet.time_base = Fraction(1, 1000)
                file.mux(packet)
    report = gpenvid.restore(source, tmp_path / "out.mkv", settings)
    assert report.frames == 6
    assert any("2 frames had no usable timestamp" in w for w in report.warnings)
    assert [round(t * 1000) for t in shown_times(tmp_path / "out.mkv")] == [0, 40, 41, 120, 121, 200]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".ts"])
def test_languages_are_told_in_three_letters_where_that_is_all_a_container_holds(
    suffix: str, settings: RestoreSettings, tmp_path: Path
) -> None:
    asked = {"deu": "deu", "zho": "zho", "gsw": "gsw", "eng": "eng", "nl": "nld", "pt-BR": "por", "klingon": "und"}
    source, out = tmp_path / "film.mkv", tmp_path / f"out{suffix}"
    Film(frames=8, sounds=[(language, "", DEFAULT) for language in asked]).write(source)
    said = [w for w in gpenvid.restore(source, out, settings).warnings if "the language" in w]
    assert [next(name for name in asked if f" {name} " in w) for w in said] == ["pt-BR", "klingon"]
    assert [h.language for h in held(out)] == list(asked.values())
    assert len(shown_times(out)) == 8
    assert audit(source, out).passed
    assert gpenvid.restore(source, tmp_path / "out.mkv", settings).warnings == []
    assert [h.language for h in held(tmp_path / "out.mkv")] == list(asked)


@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".mp4", ".mov", ".ts"])
def test_a_mark_of_a_track_is_kept_or_named(suffix: str, settings: RestoreSettings, tmp_path: Path) -> None:
    marks = [Disposition[name] for name in ("dub", "original", "comment", "forced", "hearing_impaired", "visual_impaired")]
    source, out = tmp_path / "film.mkv", tmp_path / f"out{suffix}"
    if suffix == ".webm":
        Film(frames=8, sounds=(), texts=[("webvtt", "eng", mark) for mark in marks]).write(source)
    else:
        Film(frames=8, sounds=[("eng", "", mark) for mark in marks]).write(source)
    said = gpenvid.restore(source, out, replace(settings, preset=None) if suffix == ".webm" else settings).warnings
    for number, (mark, stream) in enumerate(zip(marks, held(out), strict=True), start=1):
        named = any(f"stream {number} " in w and f"the mark {mark.name} " in w for w in said)
        assert named != bool(stream.marks & mark)
    assert len(said) == {".mkv": 0, ".webm": 5, ".mp4": 1, ".mov": 6, ".ts": 4}[suffix]
    assert audit(source, out).passed


def _retag(streams: list) -> None:
    streams[1].disposition = Disposition(0)
    streams[2].metadata["language"] = "ita"


def _seconds(packet: av.Packet, seconds: int) -> None:
    packet.pts += round(seconds / packet.time_base)
    packet.dts = None if packet.dts is None else packet.dts + round(seconds / packet.time_base)


def _lengthen(packet: av.Packet) -> None:
    packet.duration *= 4 if packet.stream.type == "subtitle" else 1


@pytest.mark.parametrize(
    ("head", "change", "noticed"),
    [
        (id, id, []),
        (_retag, id, ["stream 1 (audio aac) disposition", "stream 2 (audio aac) tag language"]),
        (id, _lengthen, ["stream 3 (subtitle subrip) lengths"]),
        (id, lambda packet: _seconds(packet, 5), ["start"]),
    ],
    ids=["nothing", "another default track, another language", "longer texts", "all five seconds later"],
)
def test_verify_notices_in_a_copy(head, change, noticed: list[str], settings: RestoreSettings, tmp_path: Path) -> None:
    film = Film(frames=8, sounds=(("deu", "", DEFAULT), ("fra", "", Disposition(0))), texts=(("subrip", "deu", DEFAULT),))
    source = film.write(tmp_path / "film.mkv")
    gpenvid.restore(source, tmp_path / "out.mkv", settings)
    assert [h.marks for h in held(tmp_path / "out.mkv")] == [int(DEFAULT), 0, int(DEFAULT)]
    copy = remuxed(tmp_path / "out.mkv", tmp_path / "copy.mkv", change, head, default_mode="passthrough")
    assert [f.what for f in audit(source, copy).findings if f.outcome == "differs" and "_" not in f.what] == noticed


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".ts"])
def test_a_clock_that_overflows_hides_no_picture(suffix: str, settings: RestoreSettings, tmp_path: Path) -> None:
    before = Fraction(2**33, 90_000) - Fraction(1, 5)
    plain = Film(frames=10).write(tmp_path / "plain.mkv")
    source = remuxed(plain, tmp_path / "film.ts", lambda packet: _seconds(packet, before), mpegts_copyts="1")
    assert shown_times(source)[0] < 0
    gpenvid.restore(source, tmp_path / f"out{suffix}", settings)
    assert len(shown_times(tmp_path / f"out{suffix}")) == 10
    assert audit(source, tmp_path / f"out{suffix}").passed


def test_tags_in_the_code_page_of_old_programs_are_read(settings: RestoreSettings, tmp_path: Path) -> None:
    source = Film(frames=4, tags={"title": "Müller"}).write(tmp_path / "film.avi")
    source.write_bytes(source.read_bytes().replace("Müller".encode(), "Müllerö".encode("cp1252")))
    gpenvid.restore(source, tmp_path / "out.mkv", settings)
    with av.open(str(tmp_path / "out.mkv")) as file:
        assert file.metadata["title"] == "Müllerö"


def test_pixels_that_change_their_shape_are_named(settings: RestoreSettings, tmp_path: Path) -> None:
    parts = []
    for shape in (Fraction(1), Fraction(4, 3)):
        with av.open(str(tmp_path / "part.m2v"), "w", format="mpeg2video") as file:
            stream = file.add_stream("mpeg2video", rate=RATE)
            stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
            stream.codec_context.sample_aspect_ratio = shape
            for picture in moving_portrait(6):
                file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuv420p")))
            file.mux(stream.encode(None))
        parts.append((tmp_path / "part.m2v").read_bytes())
    (tmp_path / "film.m2v").write_bytes(b"".join(parts))
    report = gpenvid.restore(tmp_path / "film.m2v", tmp_path / "out.mkv", settings)
    assert any("the shape of its pixels changes" in w for w in report.warnings)


def heard(path: Path) -> float:
    """Seconds of sound, decoded."""
    with av.open(str(path)) as file:
        return sum(frame.samples / frame.sample_rate for frame in file.decode(audio=0))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("edits", [[(0.2, 0), (0.2, 0.5)], [(0.2, -1), (0.3, 0.4)], [(0.4, 0.4)]], ids=["cut", "late", "trimmed"])
def test_sound_that_an_edit_list_hides_is_not_heard(suffix: str, edits: list, settings: RestoreSettings, tmp_path: Path) -> None:
    source, out = edit(Film().write(tmp_path / "film.mp4"), 1, *edits), tmp_path / f"out{suffix}"
    assert gpenvid.restore(source, out, settings).warnings == []
    # A container that hides nothing has what the decoder needs before the first packet, and that packet whole.
    assert 0 <= heard(out) - heard(source) < 0.065
    assert audit(source, out).passed


def test_pictures_behind_the_end_of_an_edit_list_are_no_damage(settings: RestoreSettings, tmp_path: Path) -> None:
    source = edit(Film(sounds=()).write(tmp_path / "film.mp4"), 0, (0.4, 0.08))
    report = gpenvid.restore(source, tmp_path / "out.mp4", settings)
    assert (report.frames, report.warnings) == (10, [])


def test_frames_that_an_edit_list_hides_are_no_damage(settings: RestoreSettings, tmp_path: Path) -> None:
    whole, source = Film(sounds=()).write(tmp_path / "whole.mp4"), tmp_path / "film.mp4"
    with av.open(str(whole)) as old, av.open(str(source), "w", options={"avoid_negative_ts": "disabled"}) as new:
        copy = new.add_stream_from_template(old.streams.video[0], opaque=True)
        for packet in old.demux(video=0):
            if packet.size:
                packet.pts, packet.dts = (t - round(Fraction(1, 5) / packet.time_base) for t in (packet.pts, packet.dts))
                packet.stream = copy
                new.mux(packet)
    report = gpenvid.restore(source, tmp_path / "out.mp4", settings)
    assert report.warnings == []
    assert report.frames == 15
    assert shown_times(tmp_path / "out.mp4") == shown_times(source)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_packet_is_the_same_however_it_is_framed(codec: str) -> None:
    header = {"h264": bytes([0x67, 1, 2]), "hevc": bytes([0x42, 1, 2])}[codec]
    units = [header, bytes([0x65, 3]) + b"x" * 499, bytes([0x61, 9])]  # 501 bytes: its length looks like a start code
    framed = b"".join(len(u).to_bytes(4) + u for u in units)
    stream = b"".join(b"\0\0\0\1" + u for u in units[1:])
    assert payload(codec, framed) == payload(codec, stream)


def test_sound_is_the_same_with_and_without_its_transport_header() -> None:
    sound = bytes(range(100))
    length = len(sound) + 7
    header = bytes([0xFF, 0xF1, 0x4C, 0x80 | length >> 11, length >> 3 & 255, (length & 7) << 5 | 31, 0xFC])
    assert payload("aac", header + sound) == sound == payload("aac", sound)


def test_a_muxer_that_refuses_does_so_before_the_work(settings: RestoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = FULL[".mkv"].write(tmp_path / "film.mkv")

    def refusing(*_: object) -> None:
        raise av.error.ArgumentError(22, "Invalid argument")

    monkeypatch.setattr("gpenvid.media.assemble._add_others", refusing)
    for suffix, remedy in ((".mp4", "try a .mkv output"), (".mkv", "remux the source with FFmpeg")):
        with pytest.raises(InputError, match=rf"film\.mkv: \{suffix} cannot hold its streams .*: {remedy}, and report it"):
            gpenvid.restore(source, tmp_path / f"out{suffix}", settings)
    assert [p.name for p in tmp_path.iterdir()] == ["film.mkv"]


def _with_told(path: Path, chapter_tags: dict[str, str]) -> Path:
    """A Matroska file with a cover that has a title, and a chapter with these tags beside its title."""
    whole = Film().write(path.with_name("whole.mp4"))
    with av.open(str(whole)) as old, av.open(str(path), "w") as new:
        copies = [new.add_stream_from_template(s, opaque=True) for s in old.streams]
        new.add_attachment("front.png", "image/png", png()).metadata["title"] = "Front"
        base = Fraction(1, 1000)
        new.set_chapters([{"id": 1, "start": 0, "end": 500, "time_base": base, "metadata": {"title": "One", **chapter_tags}}])
        for packet in old.demux():
            if packet.size:
                packet.stream = copies[packet.stream_index]
                new.mux(packet)
    return path


def test_what_is_said_of_covers_and_chapters_is_kept_in_matroska(settings: RestoreSettings, tmp_path: Path) -> None:
    source, out = _with_told(tmp_path / "film.mkv", {"ARTIST": "Somebody"}), tmp_path / "out.mkv"
    assert not gpenvid.restore(source, out, replace(settings, strict=True)).warnings
    assert audit(source, out).passed
    with av.open(str(out)) as file:
        assert [s.metadata["title"] for s in file.streams if s.disposition & Disposition.attached_pic] == ["Front"]
        assert [c["metadata"] for c in file.chapters()] == [{"title": "One", "ARTIST": "Somebody"}]
    assert not audit(_with_told(tmp_path / "other.mkv", {"ARTIST": "Somebody else"}), out).passed


def test_what_is_said_of_covers_and_chapters_is_named_where_mp4_cannot_hold_it(settings: RestoreSettings, tmp_path: Path) -> None:
    source, out = _with_told(tmp_path / "film.mkv", {"ARTIST": "Somebody"}), tmp_path / "out.mp4"
    report = gpenvid.restore(source, out, settings)
    assert [w for w in report.warnings if "tags" in w] == [
        "tags of a cover picture do not fit into .mp4: title (a .mkv output keeps them)",
        "tags of chapters do not fit into .mp4: artist (a .mkv output keeps them)",
    ]
    assert audit(source, out).passed


def test_the_name_of_an_attached_cover_is_no_tag(settings: RestoreSettings, tmp_path: Path) -> None:
    source = Film(cover=png()).write(tmp_path / "film.mkv")
    assert not gpenvid.restore(source, tmp_path / "out.mp4", replace(settings, strict=True)).warnings
