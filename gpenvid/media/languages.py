"""Languages of tracks: as containers with three letters for them hold them, and how they get into QuickTime files."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

# ISO 639-1 and the ISO 639-2/T code of the same language, one behind the other.
_TWO_AND_THREE = """
aaaar ababk aeave afafr akaka amamh anarg arara asasm avava ayaym azaze babak bebel bgbul bibis bmbam bnben bobod brbre bsbos cacat
ceche chcha cocos crcre csces cuchu cvchv cycym dadan dedeu dvdiv dzdzo eeewe elell eneng eoepo esspa etest eueus fafas ffful fifin
fjfij fofao frfra fyfry gagle gdgla glglg gngrn guguj gvglv hahau heheb hihin hohmo hrhrv hthat huhun hyhye hzher iaina idind ieile
igibo iiiii ikipk ioido isisl itita iuiku jajpn jvjav kakat kgkon kikik kjkua kkkaz klkal kmkhm knkan kokor krkau kskas kukur kvkom
kwcor kykir lalat lbltz lglug lilim lnlin lolao ltlit lulub lvlav mgmlg mhmah mimri mkmkd mlmal mnmon mrmar msmsa mtmlt mymya nanau
nbnob ndnde nenep ngndo nlnld nnnno nonor nrnbl nvnav nynya ococi ojoji omorm orori ososs papan pipli plpol pspus ptpor quque rmroh
rnrun roron rurus rwkin sasan scsrd sdsnd sesme sgsag shhbs sisin skslk slslv smsmo snsna sosom sqsqi srsrp ssssw stsot susun svswe
swswa tatam tetel tgtgk ththa titir tktuk tltgl tntsn toton trtur tstso tttat twtwi tytah uguig ukukr ururd uzuzb veven vivie vovol
wawln wowol xhxho yiyid yoyor zazha zhzho zuzul
"""
_THREE = {pair[:2]: pair[2:] for pair in _TWO_AND_THREE.split()}

_NONE = 0x7FFF
"""What FFmpeg writes into QuickTime files for all but the few languages that had a number on old Macintoshes."""


def three_letters(language: str) -> str:
    """The code that MP4, QuickTime and transport streams hold of a language tag (`de`, `deu`, `pt-BR`); empty where there is none.

    Of several, as transport streams have them for one track (`eng,fra`), the first.
    """
    first = re.split("[-_,]", language.lower())[0]
    code = _THREE.get(first, first)
    return code if len(code) == 3 and code.isascii() and code.isalpha() else ""


def state_languages(path: Path, languages: Sequence[str]) -> None:
    """Write the languages that FFmpeg has left out into the tracks of a finished QuickTime file, packed as in MP4.

    QuickTime's specification allows for that: numbers from 0x400 on are three letters of five bits each.

    Args:
        languages: of the first tracks, in the file's order, in three letters; empty for none.
    """
    with path.open("r+b") as file:
        movie = next(place for kind, place in _boxes(file, (0, path.stat().st_size)) if kind == b"moov")
        tracks = [place for kind, place in _boxes(file, movie) if kind == b"trak"]
        for language, track in zip(languages, tracks, strict=False):
            media = dict(_boxes(file, track))[b"mdia"]
            begin, _ = dict(_boxes(file, media))[b"mdhd"]
            file.seek(begin)
            at = begin + (32 if file.read(1)[0] else 20)
            file.seek(at)
            if language and struct.unpack(">H", file.read(2))[0] == _NONE:
                file.seek(at)
                file.write(struct.pack(">H", sum((ord(letter) - 0x60) << 5 * (2 - i) for i, letter in enumerate(language))))


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
