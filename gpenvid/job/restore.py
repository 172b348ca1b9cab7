"""The main job: one call for everything that can be restored."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import torch

from gpenvid.errors import UsageError
from gpenvid.job.inputs import Input, classify, default_name
from gpenvid.job.models import describe_device, open_detector, open_restorer
from gpenvid.job.progress import Progress, Silent
from gpenvid.job.report import Report, RestorerReport
from gpenvid.job.stills import restore_pictures
from gpenvid.job.video import restore_video
from gpenvid.settings import RestoreSettings


def restore(
    source: str | Path, output: str | Path | None = None, settings: RestoreSettings | None = None, progress: Progress | None = None
) -> Report:
    """Restore the faces in a video, a picture, a folder of pictures or a numbered image sequence.

    Args:
        source: a path; `scan_%04d.png` names a sequence.
        output: where the result goes; by default `NAME_restored.EXT` beside the source.
        settings: choices; the defaults need no download.
        progress: told what is going on.

    Returns:
        what was done, in numbers.

    Raises:
        InputError: the source cannot be read or the result cannot be written.
        UsageError: settings that do not fit together.
        WeightsError: a model that is missing, damaged or unsafe.

    Example:
        >>> import gpenvid
        >>> report = gpenvid.restore("interview.mp4")  # doctest: +SKIP
        >>> report.faces  # doctest: +SKIP
        150
    """
    return restore_many([source], output, settings, progress)[0]


def restore_many(
    sources: Sequence[str | Path],
    output: str | Path | None = None,
    settings: RestoreSettings | None = None,
    progress: Progress | None = None,
) -> list[Report]:
    """Restore several sources with the same models; `output` is then a folder. See `restore`."""
    settings, progress = settings or RestoreSettings(), progress or Silent()
    items = [classify(Path(s)) for s in sources]
    outputs = _outputs(items, None if output is None else Path(output))
    detector = open_detector(settings.detector, settings.device, progress)
    restorer, template = open_restorer(settings, progress)
    if restorer.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(restorer.device)
    reports: list[Report] = []
    for item, target in zip(items, outputs, strict=True):
        start = time.perf_counter()
        work = restore_video if item.kind == "video" else restore_pictures
        report = work(item, target, settings, detector, restorer, template, progress)
        report.analysis.detector = detector.name
        report.identity_guard = settings.identity.name if settings.identity else "off"
        report.restorer = RestorerReport(restorer.card.name, restorer.dtype, describe_device(restorer.device))
        if restorer.report.shrunk:
            report.warnings.append(f"batches were halved {restorer.report.shrunk} times for lack of device memory")
        report.timing["wall"] = time.perf_counter() - start
        report.measure_memory(restorer.device)
        reports.append(report)
    return reports


def _outputs(items: list[Input], output: Path | None) -> list[Path | None]:
    if output is None:
        return [None] * len(items)
    if len(items) == 1 and not (output.is_dir() and items[0].kind in ("still", "sequence")):
        return [output]
    if not output.is_dir():
        raise UsageError(f"{output}: several inputs need a folder to go to", "make the folder and name it with -o")
    names = [output if item.kind == "video" else output / default_name(item) for item in items]
    if len({default_name(item) for item in items}) < len(items):
        raise UsageError(f"{output}: two inputs have the same name", "restore them into different folders")
    return list(names)
