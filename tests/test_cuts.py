"""What of a bitmap subtitle's stream a part keeps: the screen of its beginning, and all that this needs."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import pytest
from av.packet import Packet

import gpenvid
from gpenvid import RestoreSettings
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
    assert _sent(made, (1, EPOCH, 1), (2, NORMAL, 2), (6, NORMAL, 0)) == [(3, 0), (3, 1)]


def test_nothing_is_sent_from_before_a_composition_that_stands_alone(made: tuple[BitmapCut, str]) -> None:
    assert _sent(made, (0.5, EPOCH, 1), (1, NORMAL, 1), (2, ACQUISITION, 1)) == [(3, 2)]
    assert made[0].standing() == []


def test_what_begins_with_the_part_needs_nothing_before(made: tuple[BitmapCut, str]) -> None:
    assert _sent(made, (1, EPOCH, 1), (2, NORMAL, 0), (3, EPOCH, 1), (4.999, EPOCH, 1), (5, NORMAL, 0)) == [(3, 2), (4.999, 3)]


def test_what_lies_too_late_in_the_file_follows_what_was_sent(made: tuple[BitmapCut, str]) -> None:
    cut, _ = made
    assert _sent(made, (1, EPOCH, 1)) == [(3, 0)]
    packet: Packet = Packet(b"late")
    packet.time_base, packet.pts = Fraction(1, 1000), 2900
    assert cut.take(packet) == [packet]
    assert (packet.pts, packet.dts) == (3000, 3000)


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


@pytest.mark.parametrize("suffix", [".mkv", ".ts"])
def test_a_broadcasts_subtitle_is_carried_into_a_part(suffix: str, shared: Path, tiny_model: Path, tmp_path: Path) -> None:
    source, out = shared / "media" / "formats" / "fate_law-and-order-partial.wtv", tmp_path / f"out{suffix}"
    gpenvid.restore(source, out, RestoreSettings(model=str(tiny_model), start=1.1, strength=0))
    with av.open(str(out)) as file:
        begin = min(p.pts * p.time_base for p in file.demux(video=0) if p.pts is not None)
    with av.open(str(out)) as file:
        times = [float(p.pts * p.time_base - begin) for p in file.demux(subtitles=0) if p.size]
    # Three packets for the one that began half a second before, two for the next.
    assert times == pytest.approx([0, 0, 0, 0.97, 0.97], abs=0.05)
