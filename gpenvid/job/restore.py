"""The main job: one call for everything that can be restored."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import torch

from gpenvid.errors import BatchError, GpenvidError, StoppedError, UsageError, as_known, gravest, told_of
from gpenvid.job.frames import restore_to_pictures, wants_pictures
from gpenvid.job.inputs import Input, check_also_read, classify
from gpenvid.job.models import describe_device, open_models
from gpenvid.job.outputs import named_output, outputs_for
from gpenvid.job.progress import Progress, Silent
from gpenvid.job.report import Report, RestorerReport
from gpenvid.job.stills import PicturesError, restore_pictures
from gpenvid.job.video import MeasuringStoppedError, restore_video
from gpenvid.settings import RestoreSettings, named

_MANY_PICTURES = 32  # from here on compiling an engine (a third of a second) is made up for by what it saves a face (10 ms and more)


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
        BatchError: some pictures of a folder failed; the others are finished, and its `report` is theirs.

    Example:
        >>> import gpenvid
        >>> report = gpenvid.restore("interview.mp4")  # doctest: +SKIP
        >>> report.faces  # doctest: +SKIP
        150
    """
    return restore_many([source], output, settings, progress)[0]


@contextmanager
def _opencv_threads_kept() -> Iterator[None]:
    threads = cv2.getNumThreads()
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


@_opencv_threads_kept()
def restore_many(
    sources: Iterable[str | Path],
    output: str | Path | None = None,
    settings: RestoreSettings | None = None,
    progress: Progress | None = None,
    finished: Callable[[Report], None] | None = None,
) -> list[Report]:
    """Restore several sources with the same models; `output` is then a folder. See `restore`.

    One that fails does not end the others.

    Args:
        finished: told of each source as soon as it is done or has failed (`Report.error`), so that nothing is lost
            if the whole is stopped.

    Raises:
        BatchError: some of several sources, or of one folder's pictures, failed; with the exit code of the gravest of them.
        UsageError: there are no sources, or two results would get the same name. Nothing has been done then.
    """
    if isinstance(sources, str | Path):
        raise UsageError(f"{sources}: one source where several are expected", "put it into a list, or call gpenvid.restore")
    settings, progress = settings or RestoreSettings(), progress or Silent()
    paths = [named(source) for source in sources]
    if not paths:
        raise UsageError("no INPUT", "name a video, a picture, a folder or a sequence")
    items = [_classified(path, alone=len(paths) == 1) for path in paths]
    check_also_read(settings)
    there = [item for item in items if isinstance(item, Input)]
    targets = outputs_for(there, None if output is None else named_output(output, there), several=len(paths) > 1)
    models = open_models(settings, progress, few=_few_faces(items))
    restorer = models.restorer
    if restorer.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(restorer.device)

    def run(item: Input, target: Path | None) -> Report:
        if target is not None and wants_pictures(item, target):
            return restore_to_pictures(item, target, settings, models, progress)
        if item.kind == "video":
            return restore_video(item, target, settings, models, progress)
        return restore_pictures(item, target, settings, models, progress)

    reports: list[Report] = []
    errors: list[GpenvidError] = []
    waiting = iter(targets)
    for source, item in zip(paths, items, strict=True):
        start, shrunk = time.perf_counter(), restorer.report.shrunk
        stopped: StoppedError | None = None
        try:
            if isinstance(item, GpenvidError):
                raise item
            report = run(item, next(waiting))
        except MeasuringStoppedError as error:
            stopped, report = error, error.report
        except StoppedError:
            raise
        except PicturesError as error:
            errors.append(error)
            report = error.report
            report.error = str(error)
        except Exception as error:
            if len(items) == 1:
                raise
            errors.append(as_known(error, source))
            report = Report(str(source), "", error=told_of(source, errors[-1]))
            progress.note(f"failed: {report.error}")
        report.analysis.detector = models.finder
        report.identity_guard = settings.identity.name if settings.identity else "off"
        report.restorer = RestorerReport(restorer.card.name, restorer.dtype, describe_device(restorer.device), restorer.engine)
        if restorer.report.shrunk > shrunk:
            report.warnings.append(f"batches were halved {restorer.report.shrunk - shrunk} times for lack of device memory")
        report.timing["wall"] = time.perf_counter() - start
        report.measure_memory(restorer.device)
        reports.append(report)
        if finished is not None:
            finished(report)
        if stopped is not None:
            raise stopped
    if errors:
        if len(items) == 1:
            raise errors[0]
        raise BatchError(errors, len(items)) from gravest(errors)
    return reports


def _few_faces(items: Sequence[Input | GpenvidError]) -> bool:
    """Whether only a handful of pictures is to be restored."""
    known = [item for item in items if isinstance(item, Input)]
    return all(item.kind != "video" for item in known) and sum(len(item.files) for item in known) < _MANY_PICTURES


def _classified(path: Path, *, alone: bool) -> Input | GpenvidError:
    """What a path is, or why it cannot be restored; one that stands alone fails at once."""
    try:
        return classify(path)
    except GpenvidError as error:
        if alone:
            raise
        return error
