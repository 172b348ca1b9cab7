"""A video restored into numbered pictures, for compositing and for archives that keep frames."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from gpenvid.errors import UsageError, naming
from gpenvid.job.inputs import Input, also_read, check_output
from gpenvid.job.models import Models
from gpenvid.job.parts import chosen_range
from gpenvid.job.progress import Progress
from gpenvid.job.rendered import Rendered, frames_to_write, rendered
from gpenvid.job.report import Report
from gpenvid.job.work import clean_up_after_success, is_half_named
from gpenvid.job.work_folder import keep_apart
from gpenvid.media.pictures import encode_pictures
from gpenvid.media.probe import VideoInfo, open_input
from gpenvid.media.reader import VideoReader
from gpenvid.media.segments import read_segment, sync
from gpenvid.media.sequence import existing_numbers, is_pattern, numbered
from gpenvid.media.stills import check_samples, is_still
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
    models: Models,
    progress: Progress,
) -> Report:
    """Restore the faces of a video and write its frames as pictures, numbered from 1; all get their names at the end.

    Pictures are upright RGB or grey, 16 bit where the source has more than 8.

    Raises:
        InputError: the source cannot be read, or the place cannot be written to.
        UsageError: options or a kind of picture that do not fit.
    """
    reader = VideoReader(item.path, deinterlace=settings.deinterlace)
    keep_apart(output, [item.path, *also_read(settings)])
    clean_up_after_success(output)
    overwrite = settings.overwrite or is_half_named(output)
    _check(item, output, reader.info, settings, overwrite=overwrite)
    warnings = _losses(item.path, reader.info, settings)
    if settings.strict and warnings:
        raise UsageError(f"{item.path}: {warnings[0]}", "name a video file with -o, or leave out --strict")
    report = Report(str(item.path), str(output), warnings=warnings)
    for warning in warnings:
        progress.note(warning)
    suffix = output.suffix.lower()
    encode, name = partial(encode_pictures, suffix=suffix), f"pictures {suffix}"
    # Segments and pictures stand side by side for a moment.
    space = 2 * _bytes_of(reader.info) * frames_to_write(reader.info, settings)
    keep = chosen_range(reader, settings)
    with rendered(item, output, reader, keep, settings, models, encode, name=name, space=space, report=report, progress=progress) as done:
        targets = [numbered(output, number) for number in range(1, done.tracks.frames + 1)]
        _name(done, targets, lambda target: check_output(item, target, overwrite=overwrite))
    left = [n for n in existing_numbers(output) if not 1 <= n <= len(targets)]
    if left:
        report.warnings.append(f"{len(left)} pictures of an earlier run, such as {numbered(output, left[0]).name}, lie beside the result")
    return report


def _check(item: Input, output: Path, info: VideoInfo, settings: RestoreSettings, *, overwrite: bool) -> None:
    for option in ("codec", "crf", "preset", "stability"):
        if (value := getattr(settings, option)) is not None and value is not False:
            raise UsageError(f"--{option} is for videos", "leave it out when the result is pictures")
    suffix = output.suffix.lower()
    with naming(output, UsageError):
        check_samples(suffix, "gray" if info.layout.model == "gray" else "rgb", bits=info.layout.bits, alpha=info.layout.alpha)
    numbers = existing_numbers(output)
    check_output(item, numbered(output, numbers[0] if numbers else 1), overwrite=overwrite)


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


def _name(done: Rendered, targets: list[Path], check: Callable[[Path], None]) -> None:
    """Write the pictures of all segments, and give them their names when all are on the disk and may have them."""
    work, parts = done.work, list[Path]()
    try:
        for segment in done.segments:
            for picture in read_segment(segment):
                parts.append(work.path / f"picture{len(parts):08d}.part")
                parts[-1].write_bytes(picture.data)
                sync(parts[-1])
        for target in targets:
            check(target)  # hours have passed since it was looked at
        work.save_naming(done=False)
        for part, target in zip(parts, targets, strict=True):
            part.replace(target)
    except BaseException:
        for part in parts:
            part.unlink(missing_ok=True)  # the segments stay
        raise
    sync(targets[0].parent)
    work.save_naming(done=True)
