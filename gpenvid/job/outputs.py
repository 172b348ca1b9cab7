"""Where the results of several inputs go, decided before the first is restored."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gpenvid.errors import GpenvidError, InputError, UsageError
from gpenvid.job.inputs import Input, check_output, default_name, default_output
from gpenvid.job.work_folder import keep_apart
from gpenvid.media.containers import Container, container_for_output, container_for_source
from gpenvid.media.probe import VideoInfo
from gpenvid.media.reader import VideoReader
from gpenvid.media.sequence import is_pattern
from gpenvid.settings import named


@dataclass(frozen=True)
class VideoResult:
    """Where a video's result goes, and what it becomes.

    Attributes:
        reason: a sentence that says why it is another container than the source's, where nobody chose it; else None.
    """

    path: Path
    container: Container
    reason: str | None


def video_result(item: Input, info: VideoInfo, output: Path | None) -> VideoResult:
    """Where a video's result goes: to the file that is named, or under a name of its own beside the source or into a folder.

    Raises:
        UsageError: a named file's extension is of no container that gpenvid writes.
    """
    if output is not None and not output.is_dir():
        return VideoResult(output, container_for_output(output), None)
    container, reason = container_for_source(item.path, info.container, alpha=info.layout.alpha, sounds=info.sounds)
    path = default_output(item, container.suffix) if output is None else output / default_name(item, container.suffix)
    return VideoResult(path, container, reason)


def named_output(output: str | Path, items: Iterable[Input]) -> Path:
    """An output that somebody gave for some inputs.

    Raises:
        UsageError: it is empty.
        InputError: it is written like a folder and there is none; only what is made of a folder makes its own.
    """
    path = named(output, "an output")
    if str(output).endswith(("/", os.sep)) and not path.is_dir() and any(item.kind != "folder" for item in items):
        raise InputError(f"{output}: no such folder", "make it first")
    return path


def outputs_for(items: list[Input], output: Path | None, *, several: bool) -> list[Path | None]:
    """The output to hand to each input's job: None for a name beside it, a folder for a video to be named in, or a file.

    Args:
        items: the inputs that are there.
        several: whether more than one was named.

    Raises:
        UsageError: several inputs and no folder to put them in, or two of them would get the same name, or one lies where
            another's work is done.
    """
    targets: list[Path | None]
    if output is None:
        targets = [None] * len(items)
    elif not several and not (output.is_dir() and items[0].kind in ("still", "sequence")):
        targets = [output]
    elif not output.is_dir():
        raise UsageError(f"{output}: several inputs need a folder to go to", "make the folder and name it with -o")
    else:
        targets = [output if item.kind == "video" else output / default_name(item) for item in items]
    if len(items) > 1:
        _check_clashes(items, targets)
    return targets


def check_named(item: Input, output: Path | None, *, overwrite: bool) -> None:
    """Refuse an output that somebody named and that cannot be, before anything is loaded or decoded; its job checks it again.

    Raises:
        UsageError, InputError: see `video_result` and `check_output`.
    """
    if output is None or output.is_dir() or is_pattern(output):
        return
    if item.kind == "video":
        container_for_output(output)
    check_output(item, output, overwrite=overwrite)


def results_of(items: list[Input], output: Path | None, *, several: bool) -> list[Path]:
    """Where results go, absolute, as far as that is known beforehand: files, folders, and patterns of numbered pictures.

    Raises:
        UsageError: see `outputs_for`.
    """
    found = (_result_of(item, target) for item, target in zip(items, outputs_for(items, output, several=several), strict=True))
    return [result for result in found if result is not None]


def _check_clashes(items: list[Input], targets: list[Path | None]) -> None:
    taken: dict[Path, Input] = {}
    for item, target in zip(items, targets, strict=True):
        result = _result_of(item, target)
        if result is None:
            continue
        keep_apart(result, [read.path for read in items])
        other = taken.setdefault(result, item)
        if other is not item:
            told = f"{result}: both {other.path} and {item.path} would go there (two inputs have the same name)"
            raise UsageError(told, "restore them one by one, each with its own -o, or into different folders")


def _result_of(item: Input, target: Path | None) -> Path | None:
    """The file an input ends up in; None where that is not known because it cannot be read, which its own job will say."""
    if item.kind == "video" and (target is None or target.is_dir()):
        try:
            return video_result(item, VideoReader(item.path).info, target).path.resolve()
        except GpenvidError:
            return None
    return (default_output(item) if target is None else target).resolve()
