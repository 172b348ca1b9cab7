"""Who sends a transport stream and what it is called, from its service description: FFmpeg knows, and PyAV does not tell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from av.container import InputContainer

_PID, _TABLE, _DESCRIPTOR = 0x11, 0x42, 0x48  # the services of this very stream, ETSI EN 300 468
_BEGINNING = 4 << 20  # bytes; the table is repeated every two seconds at most
_PACKET, _SYNC = 188, 0x47


@dataclass(frozen=True)
class Service:
    """The first service of a transport stream; empty where nothing is stated."""

    name: str = ""
    provider: str = ""


def service_of_source(file: InputContainer) -> Service:
    """The service that a source of any kind comes from: recorders keep it as tags."""
    if file.format.name == "mpegts":
        return service_of(Path(file.name))
    return Service(file.metadata.get("service_name", ""), file.metadata.get("service_provider", ""))


def service_of(path: Path) -> Service:
    """Read the service description of a file.

    Raises:
        OSError: if the file cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(_BEGINNING)
    for section in _sections(data):
        try:
            found = _first_service(section)
        except IndexError:
            continue  # damaged; it comes again
        if found is not None:
            return found
    return Service()


def _sections(data: bytes) -> Iterator[bytes]:
    """The tables of the service description, as far as they are whole."""
    before = 4 if data[4:5] == bytes([_SYNC]) and data[:1] != bytes([_SYNC]) else 0  # .m2ts has a time before every packet
    section = b""
    for start in range(before, len(data) - _PACKET + 1, _PACKET + before):
        packet = data[start : start + _PACKET]
        if packet[0] != _SYNC or (packet[1] & 0x1F) << 8 | packet[2] != _PID or not packet[3] & 0x10:
            continue
        payload = packet[5 + packet[4] :] if packet[3] & 0x20 else packet[4:]
        if packet[1] & 0x40 and payload:
            section = payload[1 + payload[0] :]
        elif section:
            section += payload
        if len(section) > 3 and len(section) >= 3 + (length := (section[1] & 0x0F) << 8 | section[2]):
            yield section[: 3 + length]
            section = b""


def _first_service(section: bytes) -> Service | None:
    if section[0] != _TABLE:
        return None
    position, end = 16, 16 + ((section[14] & 0x0F) << 8 | section[15])
    while position < end:
        kind, length = section[position], section[position + 1]
        content = section[position + 2 : position + 2 + length]
        if kind == _DESCRIPTOR:
            provider = content[2 : 2 + content[1]]
            rest = content[2 + content[1] :]
            return Service(_text(rest[1 : 1 + rest[0]]), _text(provider))
        position += 2 + length
    return None


def _text(data: bytes) -> str:
    if data[:1] == b"\x15":
        return data[1:].decode("utf-8", "replace")
    # Any other first byte below a space names a table; Latin letters are what the tables have in common.
    return (data[1:] if data and data[0] < 0x20 else data).decode("latin-1")
