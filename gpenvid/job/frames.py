"""A video restored into numbered pictures, for compositing and for archives that keep frames."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gpenvid.errors import InputError, UsageError
from gpenvid.faces.align import Template
from gpenvid.faces.detector import Detector
from gpenvid.job.identity import fingerprint
from gpenvid.job.inputs import Input, check_output, check_space
from gpenvid.job.models import open_embedder
from gpenvid.job.parts import chosen_range, frames_in
from gpenvid.job.progress import Progress
from gpenvid.job.render import Renderer, blend_settings
from gpenvid.job.report import Report, describe_tracks
from gpenvid.job.video import find_tracks
from gpenvid.media.frame import Frame
from gpenvid.media.pictures import picture_of
from gpenvid.media.probe import VideoInfo, open_input
from gpenvid.media.reader import VideoReader
from gpenvid.media.sequence import existing_numbers, is_pattern, numbered
from gpenvid.media.stills import NARROW_SUFFIXES, StillExtras, encode_still, is_still
from gpenvid.restore.restorer import Restorer
from gpenvid.settings import RestoreSettings

_SHARE = 0.6
"""Of a picture's own bytes, what PNG and TIFF take for film."""


def wants_pictures(item: Input, output: Path | None) -> bool:
    """Whether a video is to become numbered pictures."""
    return item.kind == "video" and output is not None and is_pattern(output) and is_still(output)


def restore_to_pictures(
    item: Input,
    output: Path,
    settings: RestoreSettings,
    detector: Detector | None,
    restorer: Restorer,
    template: Template,
    progress: Progress,
) -> Report:
    """Restore the faces of a video and write its frames as pictures, numbered from 1; all get their names at the end.

    Pictures are upright RGB or grey, 16 bit where the source has more than 8.

    Raises:
        InputError: the source cannot be read, or the place cannot be written to.
        UsageError: options or a kind of picture that do not fit.
    """
    reader = VideoReader(item.path, deinterlace=settings.deinterlace)
    _check(item, output, reader.info, settings)
    warnings = _losses(item.path, reader.info, settings)
    if settings.strict and warnings:
        raise UsageError(f"{item.path}: {warnings[0]}", "name a video file with -o, or leave out --strict")
    report = Report(str(item.path), str(output), warnings=warnings)
    for warning in warnings:
        progress.note(warning)
    before = fingerprint(item.path)
    keep = chosen_range(reader, settings)
    with report.timed("analyse"):
        tracks = find_tracks(item, reader, keep, settings, detector, report.stages, progress)
    for fault in reader.faults.sentences(item.path):
        report.warnings.append(fault)
        progress.note(fault)
    tracks = tracks.chosen(settings.only, settings.exclude)
    describe_tracks(report, tracks)
    targets = [numbered(output, number) for number in range(1, tracks.frames + 1)]
    for target in targets:
        check_output(item, target, overwrite=settings.overwrite)
    check_space(output.parent, _bytes_of(reader.info) * tracks.frames, progress.note)
    progress.stage("render", tracks.frames)
    work = output.parent
    try:
        work = Path(tempfile.mkdtemp(prefix=".gpenvid-", dir=output.parent))
        renderer = Renderer(tracks, restorer, template, blend_settings(settings), report, progress, open_embedder(settings))
        with report.timed("render"):
            parts = list(_write(renderer.render(frames_in(reader.frames(), keep), 0), targets, work))
        if len(parts) != len(targets) or fingerprint(item.path) != before:
            raise InputError(f"{item.path}: has changed while it was restored", "leave it alone and run the command again")
        for part, target in zip(parts, targets, strict=True):
            part.replace(target)
    except OSError as error:
        raise InputError(f"{output}: cannot be written ({error.strerror})", "make room, or choose another -o") from error
    finally:
        if work != output.parent:
            shutil.rmtree(work, ignore_errors=True)
    left = [n for n in existing_numbers(output) if not 1 <= n <= len(targets)]
    if left:
        report.warnings.append(f"{len(left)} pictures of an earlier run, such as {numbered(output, left[0]).name}, lie beside the result")
    return report


def _check(item: Input, output: Path, info: VideoInfo, settings: RestoreSettings) -> None:
    for option in ("codec", "crf", "preset"):
        if getattr(settings, option) is not None:
            raise UsageError(f"--{option} is for videos", "leave it out when the result is pictures")
    suffix = output.suffix.lower()
    if suffix in NARROW_SUFFIXES and info.layout.bits > 8:
        raise UsageError(f"{suffix} cannot hold the {info.layout.bits} bits of {item.path.name}", "choose .png or .tif")
    if suffix in (".jpg", ".jpeg") and info.layout.alpha:
        raise UsageError(f"{suffix} cannot hold alpha", "choose .png")
    numbers = existing_numbers(output) if output.parent.is_dir() else []
    check_output(item, numbered(output, numbers[0] if numbers else 1), overwrite=settings.overwrite)


def _losses(source: Path, info: VideoInfo, settings: RestoreSettings) -> list[str]:
    with open_input(source) as file:
        others = len(file.streams) - 1
    found = []
    if others:
        found.append(f"pictures have no sound: {others} other streams of {source.name} are not written")
    if info.geometry.aspect != 1:
        found.append(f"pictures have no pixel shape: give {info.geometry.aspect} to the program that makes a video of them")
    if info.field_order != "progressive" and not settings.deinterlace:
        found.append(f"{source.name} is interlaced; the pictures hold both fields (--deinterlace makes them progressive)")
    return found


def _bytes_of(info: VideoInfo) -> int:
    samples = (1 if info.layout.model == "gray" else 3) + info.layout.alpha
    return round(info.geometry.width * info.geometry.height * samples * (1 if info.layout.bits == 8 else 2) * _SHARE)


def _write(frames: Iterator[Frame], targets: list[Path], work: Path) -> Iterator[Path]:
    for frame, target in zip(frames, targets, strict=False):
        planes, model = picture_of(frame)
        part = work / target.name
        part.write_bytes(encode_still(planes, model, StillExtras(), target.suffix.lower()))
        yield part
