"""What FFmpeg leaves out of a QuickTime or MP4 file, written into the finished one.

Of languages it writes into QuickTime only the few that old Macintoshes had. And a picture's track refers to its timecode or to
the chapters, not to both: where no sound refers to the chapters, they are left as texts that belong to nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

_NONE = 0x7FFF
"""What FFmpeg writes for a language without a number of its own."""


def state_languages(path: Path, languages: Sequence[str]) -> None:
    """Write the languages that FFmpeg has left out into the tracks of a finished QuickTime file, packed as in MP4.

    QuickTime's specification allows for that: numbers from 0x400 on are three letters of five bits each.

    Args:
        languages: of the first tracks, in the file's order, in three letters; empty for none.
    """
    with path.open("r+b") as file:
        for language, track in zip(languages, _tracks(file)[1], strict=False):
            media = dict(_boxes(file, track))[b"mdia"]
            begin, _ = dict(_boxes(file, media))[b"mdhd"]
            file.seek(begin)
            at = begin + (32 if file.read(1)[0] else 20)
            file.seek(at)
            if language and struct.unpack(">H", file.read(2))[0] == _NONE:
                file.seek(at)
                file.write(struct.pack(">H", sum((ord(letter) - 0x60) << 5 * (2 - i) for i, letter in enumerate(language))))


def state_chapters(path: Path) -> None:
    """Let the first track refer to the chapters beside its timecode, as QuickTime's specification has it.

    Args:
        path: a file with titled chapters as FFmpeg finishes it: they are the last texts, and what is said of tracks stands
            behind the samples, which do not move then.
    """
    with path.open("r+b") as file:
        movie, tracks = _tracks(file)
        texts = [track for track in tracks if _handler(file, track) == b"text"]
        references = dict(_boxes(file, tracks[0])).get(b"tref")
        if not texts or references is None or b"chap" in dict(_boxes(file, references)):
            return
        begin, _ = dict(_boxes(file, texts[-1]))[b"tkhd"]
        file.seek(begin)
        file.seek(begin + (20 if file.read(1)[0] else 12))
        added = struct.pack(">I4s4s", 12, b"chap", file.read(4))
        at = references[1]
        file.seek(at)
        behind = file.read()
        file.seek(at)
        file.write(added + behind)
        for begin, end in (movie, tracks[0], references):
            file.seek(begin - 8)
            file.write(struct.pack(">I", end - begin + 8 + len(added)))


def _tracks(file: BinaryIO) -> tuple[tuple[int, int], list[tuple[int, int]]]:
    """Where what is said of the film lies, and what is said of each track."""
    movie = next(place for kind, place in _boxes(file, (0, file.seek(0, 2))) if kind == b"moov")
    return movie, [place for kind, place in _boxes(file, movie) if kind == b"trak"]


def _handler(file: BinaryIO, track: tuple[int, int]) -> bytes:
    """What a track holds: `vide`, `soun`, `text`, ..."""
    media = dict(_boxes(file, track))[b"mdia"]
    begin, _ = dict(_boxes(file, media))[b"hdlr"]
    file.seek(begin + 8)
    return file.read(4)


def _boxes(file: BinaryIO, within: tuple[int, int]) -> list[tuple[bytes, tuple[int, int]]]:
    """Kind, and begin and end of the content, of the boxes between two places."""
    found = []
    at, end = within
    while at + 8 <= end:
        file.seek(at)
        size, kind = struct.unpack(">I4s", file.read(8))
        head = 8
        if size == 1:
            size, head = struct.unpack(">Q", file.read(8))[0], 16
        size = size or end - at
        found.append((kind, (at + head, at + size)))
        at += max(size, head)
    return found
