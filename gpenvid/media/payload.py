"""What a packet holds, whatever container it was framed for."""

from __future__ import annotations

# Parameter sets and delimiters, which some containers keep in the packets and others in their header.
_H264_HEADERS = {7, 8, 9}
_HEVC_HEADERS = {32, 33, 34, 35}


def payload(codec: str, data: bytes) -> bytes:
    """A packet without its framing, so that the same sound or picture is equal in MP4 and in a transport stream.

    Args:
        codec: FFmpeg's codec name; others than `aac`, `dvb_subtitle`, `h264` and `hevc` are framed alike everywhere.
    """
    if codec == "aac":
        return _without_adts(data)
    if codec == "h264":
        return b"".join(unit for unit in _units(data) if unit[0] & 31 not in _H264_HEADERS)
    if codec == "dvb_subtitle":
        return data[2:-1] if data[:2] == b"\x20\0" and data[-1:] == b"\xff" else data  # ETSI EN 300 743, section 7.2
    if codec == "hevc":
        # An encoder's message about itself (SEI 5 of kind 39) also lies in the header of some containers.
        return b"".join(u for u in _units(data) if u[0] >> 1 & 63 not in _HEVC_HEADERS and (u[0] >> 1 & 63, u[2:3]) != (39, b"\5"))
    return data


def _without_adts(data: bytes) -> bytes:
    if len(data) < 7 or data[0] != 0xFF or data[1] & 0xF6 != 0xF0:
        return data
    length = (data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5
    return data[7 if data[1] & 1 else 9 :] if length == len(data) else data


def _units(data: bytes) -> list[bytes]:
    """The NAL units of a packet, from four-byte lengths or, where those do not come out even, from start codes."""
    units, position = [], 0
    while position + 4 <= len(data):
        length = int.from_bytes(data[position : position + 4])
        units.append(data[position + 4 : position + 4 + length])
        position += 4 + length
    if position != len(data):
        units = data.split(b"\0\0\1")
    return [stripped for unit in units if (stripped := unit.rstrip(b"\0"))]
