"""Numbered image sequences (film scans) and folders of pictures, as lists of files."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

from gpenvid.errors import InputError
from gpenvid.media.stills import STILL_SUFFIXES

_NUMBER = re.compile(r"%(0?)(\d*)d")


def is_pattern(path: Path) -> bool:
    """Whether a path is a printf pattern with one frame number, such as `scan_%04d.png`."""
    return len(_NUMBER.findall(path.name)) == 1


def is_sequence(path: Path) -> bool:
    """Whether a path stands for numbered files: a pattern, unless it is a file's or folder's own name."""
    return is_pattern(path) and not path.exists()


def sequence_files(pattern: Path) -> list[Path]:
    """The files that match a printf pattern, in numeric order. Gaps are allowed (every second frame of a scan).

    Raises:
        InputError: if nothing matches, or two files have the same number.
    """
    found = _matching(pattern)
    for (number, path), (following, other) in pairwise(found):
        if number == following:
            raise InputError(f"{other}: has the number of {path.name}", "move one of them elsewhere; both would become one frame")
    if not found:
        raise InputError(f"{pattern}: no file matches", "check the folder and the number of digits")
    return [path for _, path in found]


def fits(file: Path, pattern: Path) -> bool:
    """Whether a file's name, wherever it is and whether it is there or not, is one of a pattern's."""
    return _names(pattern).fullmatch(file.name) is not None


def existing_numbers(pattern: Path) -> list[int]:
    """The frame numbers of the files that match a pattern, rising; none where there are none."""
    return [number for number, _ in _matching(pattern)]


def _names(pattern: Path) -> re.Pattern[str]:
    match = _NUMBER.search(pattern.name)
    if match is None:
        raise InputError(f"{pattern}: no frame number in the name", "write it like scan_%04d.png")
    width = int(match[2] or 1)
    digits = rf"(\d{{{width}}}|[1-9]\d{{{width},}})" if match[1] else r"(\d+)"
    return re.compile(re.escape(pattern.name[: match.start()]) + digits + re.escape(pattern.name[match.end() :]))


def _matching(pattern: Path) -> list[tuple[int, Path]]:
    name, folder = _names(pattern), pattern.parent
    return sorted((int(m[1]), p) for p in folder.iterdir() if (m := name.fullmatch(p.name))) if folder.is_dir() else []


def number_in(file: Path, pattern: Path) -> int:
    """The frame number in the name of a file that matches a pattern."""
    match = _NUMBER.search(pattern.name)
    assert match is not None
    return int(file.name[match.start() : len(file.name) - (len(pattern.name) - match.end())])


def numbered(pattern: Path, number: int) -> Path:
    """The file of a frame; only the pattern's own name is filled in, whatever its folders are called."""
    name = _NUMBER.sub(lambda m: f"{number:0{int(m[2] or 1)}d}" if m[1] else str(number), pattern.name)
    return pattern.with_name(name)


def folder_files(folder: Path) -> list[Path]:
    """The pictures in a folder, by name, not looking into sub-folders, without hidden files (macOS leaves some named `._a.jpg`).

    Links that lead nowhere are among them: to read them is an error that names them, and not to is a picture less.

    Raises:
        InputError: if there are none.
    """
    files = [p for p in _listed(folder) if p.suffix.lower() in STILL_SUFFIXES]
    if not files:
        raise InputError(f"{folder}: no pictures in this folder", f"supported are {', '.join(STILL_SUFFIXES)}")
    return files


def files_left_out(folder: Path) -> int:
    """How many files beside its pictures a folder holds, hidden ones not counted."""
    return sum(p.suffix.lower() not in STILL_SUFFIXES for p in _listed(folder))


def _listed(folder: Path) -> list[Path]:
    named = (p for p in folder.iterdir() if not p.name.startswith("."))
    return sorted(p for p in named if p.is_file() or (p.is_symlink() and not p.exists()))
