"""What of a bitmap subtitle's stream a part keeps: the screen of its beginning, and all that this needs."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest
from av.packet import Packet
from films import Film, bitmap, no_bitmap

import gpenvid
from gpenvid import RestoreSettings
from gpenvid.media.audit import audit
from gpenvid.media.bitmaps import COMPOSITIONS, read_broadcast, read_presentation_graphics
from gpenvid.media.cuts import BitmapCut
from gpenvid.media.time_range import TimeRange

NORMAL, ACQUISITION, EPOCH = 0x00, 0x40, 0x80
START = TimeRange(Fraction(3), Fraction(5))


def _graphics(state: int, objects: int) -> bytes:
    body = struct.pack(">HHBHBBBB", 1920, 1080, 0x10, 1, state, 0, 0, objects) + bytes(8) * objects
    return b"\x16" + struct.pack(">H", len(body)) + body + b"\x80\0\0"


def _page(state: int, regions: int, lasts: int = 60) -> bytes:
    body = bytes([lasts, state << 2]) + bytes(6) * regions
    return b"\x0f\x10\0\1" + struct.pack(">H", len(body)) + body


@pytest.fixture(params=COMPOSITIONS)
def made(request: pytest.FixtureRequest) -> tuple[BitmapCut, str]:
    """A cut of a stream, and its codec."""
    return BitmapCut(START, COMPOSITIONS[request.param]), request.param


def _sent(made: tuple[BitmapCut, str], *shown: tuple[float, int, int]) -> list[tuple[float, int]]:
    """Times and numbers of the packets that a part from 3 to 5 s keeps of some at given times, in states and with so many objects."""
    (cut, codec), numbers, kept = made, dict[int, int](), list[Packet]()
    for number, (moment, state, objects) in enumerate(shown):
        data = _graphics(state, objects) if codec == "hdmv_pgs_subtitle" else _page({NORMAL: 0, ACQUISITION: 1, EPOCH: 2}[state], objects)
        packet: Packet = Packet(data)
        packet.time_base, packet.pts, packet.dts = Fraction(1, 1000), round(moment * 1000), round(moment * 1000)
        numbers[id(packet)] = number
        kept += cut.take(packet)
    kept += cut.standing()
    return [(float(packet.pts * packet.time_base), numbers[id(packet)]) for packet in kept]


def test_what_is_on_screen_is_sent_when_the_part_begins(made: tuple[BitmapCut, str]) -> None:
    assert _sent(made, (1, EPOCH, 1), (4, NORMAL, 0)) == [(3, 0), (4, 1)]


def test_what_was_taken_away_before_is_not(made: tuple[BitmapCut, str]) -> None:
    assert _sent(made, (1, EPOCH, 1), (2, NORMAL, 0), (4, EPOCH, 1)) == [(4, 2)]


def test_changes_are_sent_with_what_they_change(made: tuple[BitmapCut, str]) -> None:
    assert _sent(made, (1, EPOCH, 1), (2, NORMAL, 2), (6, NORMAL, 0)) == [(3, 0), (3.001, 1)]


def test_nothing_is_sent_from_before_a_composition_that_stands_alone(made: tuple[BitmapCut, str]) -> None:
    assert _sent(made, (0.5, EPOCH, 1), (1, NORMAL, 1), (2, ACQUISITION, 1)) == [(3, 2)]
    assert made[0].standing() == []


def test_what_begins_with_the_part_needs_nothing_before(made: tuple[BitmapCut, str]) -> None:
    assert _sent(made, (1, EPOCH, 1), (2, NORMAL, 0), (3, EPOCH, 1), (4.999, EPOCH, 1), (5, NORMAL, 0)) == [(3, 2), (4.999, 3)]


def test_what_lies_too_late_in_the_file_follows_what_was_sent(made: tuple[BitmapCut, str]) -> None:
    assert _sent(made, (1, EPOCH, 1)) == [(3, 0)]
    assert _sent(made, (2.9, NORMAL, 0)) == [(3.001, 0)]
    assert _sent(made, (0.5, EPOCH, 1), (2.8, NORMAL, 0), (4, EPOCH, 1)) == [(3.002, 0), (3.003, 1), (4, 2)]


def test_what_lies_too_late_and_is_gone_is_not_sent(made: tuple[BitmapCut, str]) -> None:
    """Sound that lies before the subtitles in the file has begun the part already."""
    assert made[0].standing() == []
    assert _sent(made, *((i / 10, (EPOCH, NORMAL)[i % 2], 1 - i % 2) for i in range(20)), (4, EPOCH, 1)) == [(4, 20)]


def test_what_the_first_composition_of_a_part_refers_to_is_sent_although_it_was_taken_away(made: tuple[BitmapCut, str]) -> None:
    assert _sent(made, (1, EPOCH, 1), (2, NORMAL, 0), (4, NORMAL, 1)) == [(3, 0), (3.001, 1), (4, 2)]
    assert made[0].standing() == []


def test_nothing_is_sent_for_a_composition_that_shows_nothing(made: tuple[BitmapCut, str]) -> None:
    assert _sent(made, (1, EPOCH, 1), (2, NORMAL, 0), (4, NORMAL, 0)) == [(4, 2)]


@pytest.mark.parametrize(("lasts", "kept"), [(1000, None), (2500, 500), (9000, 2000)])
def test_a_stated_length_is_that_of_what_is_left_in_the_part(lasts: int, kept: int | None, made: tuple[BitmapCut, str]) -> None:
    cut, codec = made
    packet: Packet = Packet(_graphics(EPOCH, 1) if codec == "hdmv_pgs_subtitle" else _page(2, 1))
    packet.time_base, packet.pts, packet.duration = Fraction(1, 1000), 1000, lasts
    assert cut.take(packet) == []
    assert [(p.pts, p.duration) for p in cut.standing()] == ([] if kept is None else [(3000, kept)])


@pytest.mark.parametrize(("lasts", "sent"), [(1, 0), (3, 1)])
def test_a_broadcasts_page_goes_when_its_time_is_out(lasts: int, sent: int) -> None:
    cut = BitmapCut(START, read_broadcast)
    packet: Packet = Packet(b"\x20\0" + _page(2, 1, lasts) + b"\xff")
    packet.time_base, packet.pts = Fraction(1), 1
    assert cut.take(packet) == []
    assert len(cut.standing()) == sent


@pytest.mark.parametrize("read", [read_presentation_graphics, read_broadcast])
def test_cut_off_and_other_packets_are_no_compositions(read: object) -> None:
    assert callable(read)
    whole = {read_presentation_graphics: _graphics(EPOCH, 1), read_broadcast: _page(2, 1)}[read]
    assert read(whole).complete
    for size in range(8):
        assert read(whole[:size]) is None
    assert read(b"") is read(b"\x15\0\1\0") is read(b"\x0f\x11\0\1\0\0") is None


def _segments(data: bytes) -> Iterator[bytes]:
    while data:
        size = 3 + int.from_bytes(data[1:3])
        yield data[:size]
        data = data[size:]


@pytest.fixture
def disc(tmp_path: Path) -> Path:
    """A film as Blu-ray discs have it: each segment of a bitmap subtitle in a packet of its own, decoded before it is shown."""
    film = Film(frames=35).write(tmp_path / "film.mkv")
    with av.open(str(film)) as source, av.open(str(tmp_path / "disc.m2ts"), "w") as file:
        copies = {stream.index: file.add_stream_from_template(stream, opaque=True) for stream in source.streams}
        texts = file.add_mux_stream("pgssub")
        texts.time_base = Fraction(1, 90000)
        file.start_encoding()
        for packet in source.demux():
            if packet.size:
                packet.stream = copies[packet.stream_index]
                file.mux(packet)
        for moment, data in ((200, bitmap(1)), (500, no_bitmap(2)), (700, bitmap(3)), (1000, no_bitmap(4))):
            for number, segment in enumerate(_segments(data)):
                packet = Packet(segment)
                packet.pts, packet.dts = 90 * (moment if number == 0 else moment - 30 + number), 90 * (moment - 60 + number)
                packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 90000), texts, True
                file.mux(packet)
    return tmp_path / "disc.m2ts"


@pytest.mark.parametrize("suffix", [".mkv", ".m2ts"])
@pytest.mark.parametrize(
    ("start", "end", "shown"),
    [(None, None, [0.2, 0.7]), (0.32, None, [0, 0.38]), (0.2, 0.6, [0]), (0.48, 0.6, [0]), (0.52, 0.68, []), (0.68, None, [0.02])],
)
def test_segments_of_a_disc_stay_together(
    start: float | None, end: float | None, shown: list[float], suffix: str, disc: Path, settings: RestoreSettings, tmp_path: Path
) -> None:
    out = tmp_path / f"out{suffix}"
    report = gpenvid.restore(disc, out, replace(settings, start=start, end=end, strength=0))
    assert not any("missing or fell back" in warning for warning in report.warnings)
    assert [f for f in audit(disc, out, start=start, end=end).findings if f.outcome == "differs"] == []
    with av.open(str(out)) as file:
        begin = min(p.pts * p.time_base for p in file.demux(video=0) if p.pts is not None)
    with av.open(str(out)) as file:
        texts = file.streams.subtitles
        packets = [p for p in (file.demux(texts[0]) if texts else ()) if p.size]
        found = [(float(p.pts * p.time_base - begin), list(texts[0].codec_context.decode2(p) or ())) for p in packets]
    assert [moment for moment, bitmaps in found if bitmaps] == pytest.approx(shown, abs=0.04)


@pytest.mark.parametrize("suffix", [".mkv", ".m2ts"])
def test_a_standing_bitmap_lies_at_the_beginning_of_the_part(suffix: str, disc: Path, settings: RestoreSettings, tmp_path: Path) -> None:
    """A player that reads on from there must not wait for the next subtitle to see this one."""
    out = tmp_path / f"out{suffix}"
    gpenvid.restore(disc, out, replace(settings, start=0.8, strength=0))
    with av.open(str(out)) as file:
        kinds = [packet.stream.type for packet in file.demux() if packet.size]
    assert kinds.index("subtitle") < 8 < kinds.count("video")


@pytest.mark.parametrize("suffix", [".mkv", ".ts"])
def test_a_broadcasts_subtitle_is_carried_into_a_part(suffix: str, shared: Path, settings: RestoreSettings, tmp_path: Path) -> None:
    source, out = shared / "media" / "formats" / "fate_law-and-order-partial.wtv", tmp_path / f"out{suffix}"
    gpenvid.restore(source, out, replace(settings, detector="auto", start=1.1, strength=0))
    with av.open(str(out)) as file:
        begin = min(p.pts * p.time_base for p in file.demux(video=0) if p.pts is not None)
    with av.open(str(out)) as file:
        times = [float(p.pts * p.time_base - begin) for p in file.demux(subtitles=0) if p.size]
    # Three packets for the one that began half a second before, two for the next.
    assert times == pytest.approx([0, 0, 0, 0.97, 0.97], abs=0.05)
