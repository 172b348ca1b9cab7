"""What the user named, and where the result goes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gpenvid.errors import InputError, NoRoomError, UsageError
from gpenvid.media.sequence import fits, folder_files, is_pattern, is_sequence, sequence_files
from gpenvid.media.stills import is_still
from gpenvid.settings import RestoreSettings, is_weight_file, named

InputKind = Literal["video", "still", "folder", "sequence"]
_SUFFIX = "_restored"


@dataclass(frozen=True)
class Input:
    """One thing to restore.

    Attributes:
        path: as given.
        kind: what it is.
        files: the pictures of a still, folder or sequence, in order; empty for a video.
    """

    path: Path
    kind: InputKind
    files: tuple[Path, ...] = ()


def classify(path: Path) -> Input:
    """Tell videos, pictures, folders and numbered sequences apart.

    Raises:
        InputError: if nothing is there, or a folder or sequence holds no pictures.
    """
    if is_sequence(path):
        return Input(path, "sequence", tuple(sequence_files(path)))
    if not path.exists():
        raise InputError(f"{path}: no such file", "check the path")
    if path.is_dir():
        return Input(path, "folder", tuple(folder_files(path)))
    if not path.is_file():
        raise InputError(f"{path}: is no file", "write it to a file first; gpenvid reads its source more than once")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty", "check the file")
    return Input(path, "still", (path,)) if is_still(path) else Input(path, "video")


def also_read(settings: RestoreSettings) -> list[Path]:
    """The files that a job reads besides its source: sidecar, face embedding and weights, as far as the settings name some."""
    weights = [Path(settings.model)] if is_weight_file(settings.model) else []
    return [*(path for path in (settings.tracks, settings.identity) if path is not None), *weights]


def check_also_read(settings: RestoreSettings) -> None:
    """Make sure that none of these files is a pipe or a device, which has nothing left when it is read again.

    Raises:
        InputError: naming it.
    """
    for path in also_read(settings):
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise InputError(f"{path}: is no file", "write it to a file first; gpenvid reads it more than once")


def default_name(item: Input, suffix: str | None = None) -> str:
    """`NAME_restored.EXT`, or `NAME_restored` for a folder."""
    if item.kind == "folder":
        return _as_called(item).name + _SUFFIX
    return item.path.stem + _SUFFIX + (suffix or item.path.suffix)


def default_output(item: Input, suffix: str | None = None) -> Path:
    """`default_name` beside the input; where that is a link beside the link, for what it leads to may be an archive."""
    return _as_called(item).with_name(default_name(item, suffix))


def _as_called(item: Input) -> Path:
    # `.` and `..` have no name before they are resolved.
    return item.path.resolve() if item.path.name in ("", "..") else item.path


def is_on_disk(path: Path) -> bool:
    """Whether there is such a file or folder; a name that is too long, at which `exists` raises, is nobody's."""
    return os.access(path, os.F_OK)


def check_output(item: Input, output: Path, *, overwrite: bool) -> None:
    """Make sure a result may be written where it is to go.

    Raises:
        UsageError: the output is the source, or exists and may not be replaced.
        InputError: its name is too long, or its folder does not exist or cannot be written to.
    """
    named(output, "an output")  # the name that an input's own makes may be too long
    if _is_one_of(output, item):
        raise UsageError(f"{output}: the output is the source", "name another -o; gpenvid never changes its source")
    if (output.exists() or output.is_symlink()) and not overwrite:
        raise UsageError(f"{output}: exists already", "name another -o, or add --overwrite")
    if item.kind != "folder" and output.is_dir():
        raise UsageError(f"{output}: is a folder", "name a file")
    if item.kind == "folder" and output.exists() and not output.is_dir():
        raise UsageError(f"{output}: is a file", "name a folder")
    _check_folder(output.parent)


def check_picture_settings(kind: InputKind, settings: RestoreSettings) -> None:
    """Make sure that no choice is one for videos.

    Raises:
        UsageError: naming it.
    """
    if kind != "sequence" and (settings.tracks is not None or settings.only or settings.exclude):
        raise UsageError("--tracks, --only and --exclude are for videos and numbered sequences", "leave them out")
    for option in ("codec", "crf", "preset", "start", "end", "stability"):
        if (value := getattr(settings, option)) is not None and value is not False:
            raise UsageError(f"--{option} is for videos", "leave it out for pictures")


def check_side_file(path: Path, items: Iterable[Input], *, others: Iterable[Path] = (), overwrite: bool = True) -> None:
    """Make sure a report, sidecar or contact sheet may be written, before hours of work and not after.

    Args:
        others: what else the same command reads or writes; a pattern of numbered pictures stands for all that match.

    Raises:
        UsageError: it is one of the sources or the others, or a folder, or exists and may not be replaced.
        InputError: its folder does not exist or cannot be written to.
    """
    if any(_is_one_of(path, item) for item in items):
        raise UsageError(f"{path}: is a source", "name another file; gpenvid never changes its source")
    if any(_is_same(path, other) for other in others):
        raise UsageError(f"{path}: is something else that this command reads or writes", "name another file")
    if path.is_dir():
        raise UsageError(f"{path}: is a folder", "name a file")
    if path.exists() and not overwrite:
        raise UsageError(f"{path}: exists already", "name another file, or add --overwrite")
    if path.exists() and not os.access(path, os.W_OK):
        raise InputError(f"{path}: not writable", "name another file")
    _check_folder(path.parent)


def _is_same(path: Path, other: Path) -> bool:
    """Whether two names are of one file, there or not; a pattern is every name that fits it."""
    if path.exists() and other.exists():
        return path.samefile(other)
    path, other = path.resolve(), other.resolve()
    return path == other or (is_pattern(other) and path.parent == other.parent and fits(path, other))


def _is_one_of(path: Path, item: Input) -> bool:
    """Whether a path is a source, under whatever name."""
    if not path.exists():
        return False
    found = path.stat()
    return any(
        (s := source.stat()).st_ino == found.st_ino and s.st_dev == found.st_dev for source in (item.path, *item.files) if source.exists()
    )


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder", "make it first")
    if not os.access(folder, os.W_OK):
        raise InputError(f"{folder}: not writable", "choose another place")


def check_space(folder: Path, needed: int, note: Callable[[str], None]) -> None:
    """Make sure the destination has room for an estimated number of bytes.

    An estimate can be twice too high, so only half of it is asked for; between that and the whole, a note says so.

    Raises:
        NoRoomError: if fewer than half of `needed` bytes are free.
    """
    free = shutil.disk_usage(folder).free
    told = f"{folder}: {free / 1e6:.0f} MB free, about {needed / 1e6:.0f} MB needed"
    if free < needed / 2:
        raise NoRoomError(told, "make room or choose another -o")
    if free < needed:
        note(told)
