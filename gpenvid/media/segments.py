"""Encoded segments on disk: packets with exact times, complete and checksummed, or absent.

A segment file is a line that says what it is, then per packet a fixed record (pts, duration, flags, length) and its bytes, then a
SHA-256 of all that. Times are integers in the encoder's time base, which no container would keep as exactly.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from av.packet import Packet
from av.video.stream import VideoStream

from gpenvid.errors import GpenvidError

_MAGIC = b"gpenvid segment 1\n"
_RECORD = struct.Struct("<qqBI")
_DIGEST = hashlib.sha256().digest_size
_CHUNK = 1 << 20


class DamagedSegmentError(GpenvidError):
    """A segment file is not what was written."""


@dataclass(frozen=True)
class EncodedPacket:
    """One packet in decoding order. Decoding times are the assembler's to assign."""

    pts: int
    duration: int
    keyframe: bool
    data: bytes


def sync(path: Path) -> None:
    """Make sure that a file, or the names in a folder, are on the disk. Windows has no such thing for folders."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_segment(path: Path, packets: Iterable[Packet[VideoStream]]) -> str:
    """Write packets so that the file is complete or absent.

    Returns:
        the file's checksum, as hexadecimal.

    Raises:
        OSError: if the disk is full or fails; nothing is left then.
        DamagedSegmentError: if the encoder gives a packet without a time.
    """
    part = path.with_suffix(".part")
    try:
        digest = _write(part, packets)
        part.replace(path)
        sync(path.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return digest


def _write(part: Path, packets: Iterable[Packet[VideoStream]]) -> str:
    digest = hashlib.sha256()
    with part.open("wb") as file:

        def put(data: bytes) -> None:
            digest.update(data)
            file.write(data)

        put(_MAGIC)
        for packet in packets:
            if packet.pts is None:
                raise DamagedSegmentError(f"{part.name}: the encoder gave a packet without a time", "choose another --codec")
            data = bytes(packet)
            put(_RECORD.pack(packet.pts, packet.duration or 0, packet.is_keyframe, len(data)))
            put(data)
        file.write(digest.digest())
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def is_complete(path: Path, digest: str) -> bool:
    """Whether a segment file is there, whole, and the one that has this checksum."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return _checksums(file) == (bytes.fromhex(digest),) * 2


def read_segment(path: Path) -> Iterator[EncodedPacket]:
    """Read the packets of a segment in decoding order, holding one at a time: a segment of large pictures takes gigabytes.

    Raises:
        DamagedSegmentError: if the file is cut, or was changed; before the first packet is handed out.
    """
    with path.open("rb") as file:
        stated, found = _checksums(file)
        file.seek(0)
        if stated != found or file.read(len(_MAGIC)) != _MAGIC:
            raise DamagedSegmentError(f"{path}: segment is damaged", "run the same command again")
        end = path.stat().st_size - _DIGEST
        while file.tell() < end:
            pts, duration, keyframe, length = _RECORD.unpack(file.read(_RECORD.size))
            yield EncodedPacket(pts, duration, bool(keyframe), file.read(length))


def _checksums(file: BinaryIO) -> tuple[bytes, bytes]:
    """The checksum at the end of a segment, and that of what stands before it."""
    left = max(0, file.seek(0, os.SEEK_END) - _DIGEST)
    file.seek(0)
    digest = hashlib.sha256()
    while left > 0 and (part := file.read(min(left, _CHUNK))):
        digest.update(part)
        left -= len(part)
    return file.read(_DIGEST), digest.digest()
