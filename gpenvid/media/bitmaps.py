"""What bitmap subtitles say of the screen, as far as cutting them needs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from gpenvid.media.payload import payload

_SEGMENTS = (0x14, 0x15, 0x16, 0x17, 0x80)  # palette, object, composition, windows, end
_FOR_EVER = Fraction(10**9)


@dataclass(frozen=True)
class Composition:
    """What is on screen from a packet on.

    Attributes:
        complete: whether it needs nothing that was sent before.
        visible: whether there is anything.
        lasts: seconds after which it is taken away if nothing follows.
    """

    complete: bool
    visible: bool
    lasts: Fraction = _FOR_EVER


def read_presentation_graphics(data: bytes) -> Composition | None:
    """The composition of a Blu-ray disc's packet, None where it has none. Format: US patent application 2009/0185789."""
    place = 0
    while place + 3 <= len(data):
        kind, length = data[place], int.from_bytes(data[place + 1 : place + 3])
        body = data[place + 3 : place + 3 + length]
        if kind == 0x16 and len(body) >= 11:
            return Composition(complete=bool(body[7] & 0xC0), visible=body[10] > 0)
        place += 3 + length
    return None


def is_further_segment(data: bytes) -> bool:
    """Whether a packet holds segments of a Blu-ray disc's subtitle whose composition came before; Matroska keeps them in one packet."""
    place = 0
    while place + 3 <= len(data) and data[place] in _SEGMENTS:
        place += 3 + int.from_bytes(data[place + 1 : place + 3])
    return place == len(data) > 0 and read_presentation_graphics(data) is None


def read_broadcast(data: bytes) -> Composition | None:
    """The composition of a DVB packet, None where it has none. ETSI EN 300 743, section 7.2.2: the page composition segment."""
    data, place = payload("dvb_subtitle", data), 0
    while place + 6 <= len(data) and data[place] == 0x0F:
        length = int.from_bytes(data[place + 4 : place + 6])
        body = data[place + 6 : place + 6 + length]
        if data[place + 1] == 0x10 and len(body) >= 2:
            return Composition(complete=body[1] >> 2 & 3 in (1, 2), visible=len(body) > 2, lasts=Fraction(body[0]))
        place += 6 + length
    return None


COMPOSITIONS: Mapping[str, Callable[[bytes], Composition | None]] = {
    "hdmv_pgs_subtitle": read_presentation_graphics,
    "dvb_subtitle": read_broadcast,
}
"""By FFmpeg's name of the codec."""
