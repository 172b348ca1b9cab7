"""Restoring pictures: one, a folder of unrelated ones, or the numbered frames of a film scan."""

from __future__ import annotations

import shutil
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from gpenvid.errors import BatchError, GpenvidError, InputError, StoppedError, UsageError, as_known, gravest, naming
from gpenvid.faces.detector import Detector
from gpenvid.faces.tracks import Tracks
from gpenvid.job.analyse import analyse_frames, tracker_settings
from gpenvid.job.film import film_of_pictures
from gpenvid.job.inputs import Input, check_output, check_picture_settings, default_output
from gpenvid.job.models import Models
from gpenvid.job.progress import Progress, Silent
from gpenvid.job.render import Renderer, blend_settings
from gpenvid.job.report import Report, describe_tracks
from gpenvid.job.sidecar import check_tracks_of, read_sidecar
from gpenvid.media.containers import is_container
from gpenvid.media.frame import Frame
from gpenvid.media.sequence import files_left_out, is_pattern, number_in, numbered
from gpenvid.media.still_extras import StillExtras
from gpenvid.media.still_kept import about, kept_in
from gpenvid.media.stills import check_samples, encode_still, is_still, read_frame, read_still
from gpenvid.settings import RestoreSettings

STILL_DETECTION_SIZE = 1600
"""Longer side in pixels that a single picture is reduced to for detection: group photographs have small faces."""


_DAMAGED = "its data is damaged; it is taken as it decodes"


class PicturesError(BatchError):
    """Some pictures of a folder could not be restored; the others are finished.

    Attributes:
        report: of the others.
    """

    def __init__(self, errors: list[GpenvidError], folder: Path, of: int, report: Report) -> None:
        super().__init__(errors, of, f"pictures of {folder}")
        self.report = report
        self._folder = folder

    def __reduce__(self) -> tuple[type[GpenvidError], tuple[object, ...]]:
        return type(self), (self.errors, self._folder, self._of, self.report)


def restore_pictures(
    item: Input,
    output: Path | None,
    settings: RestoreSettings,
    models: Models,
    progress: Progress,
) -> Report:
    """Restore the faces of a still, a folder or a sequence.

    Pictures of a sequence are frames of one film: faces are tracked through them. Those of a folder have nothing to do
    with each other, and one that fails does not end the others, unless `strict`. Results are written beside their final names
    and get them all at the end.

    Raises:
        InputError: a picture that cannot be read, or a place that cannot be written to, or a sidecar that does not fit.
        PicturesError: some pictures of a folder failed, for any other reason; the others are finished.
        UsageError: an output that does not fit the input, or, with `strict`, cannot hold all of it.
    """
    check_picture_settings(item.kind, settings)
    named = default_output(item) if output is None else output
    targets = _targets(item, named)
    check = partial(_check, item, named, targets, overwrite=settings.overwrite)
    check()
    if item.kind == "sequence":  # the others are looked at one by one
        layout = read_frame(item.files[0]).layout
        with naming(targets[0], UsageError):
            check_samples(targets[0].suffix.lower(), layout.model, bits=layout.bits, alpha=layout.alpha)
    report = Report(str(item.path), str(named))
    if item.kind == "folder" and (left := files_left_out(item.path)):
        report.notes.append(f"{item.path}: {left} files that are not named as pictures are left out (name videos one by one)")
        progress.note(report.notes[-1])
    related = item.kind == "sequence"
    progress.stage("restore", len(item.files))
    parts: list[tuple[Path, Path]] = []
    lost: dict[str, list[str]] = {}
    failed: list[GpenvidError] = []

    def restore_group(pairs: Sequence[tuple[Path, Path]], work: Path) -> None:
        files, detector = [file for file, _ in pairs], models.detector
        with report.timed("analyse"):
            tracks = _film_tracks(item, settings, detector, progress) if related else _still_tracks(item, *pairs[0], settings, detector)
        describe_tracks(report, tracks)
        if related:
            progress.stage("restore", len(files))
        tracks = tracks.chosen(settings.only, settings.exclude)
        renderer = Renderer(tracks, models.restorer, models.template, blend_settings(settings), report, progress, models.embedder)
        with report.timed("render"):
            for (frame, extras), (file, target) in zip(_rendered(files, renderer), pairs, strict=True):
                sentences = kept_in(extras, target.suffix.lower(), frame.layout.model)[1]
                if extras.damaged:
                    sentences.append(_DAMAGED)
                if settings.strict and extras.damaged:
                    raise InputError(about([str(file)], _DAMAGED), "get another copy, or leave out --strict")
                if settings.strict and sentences:
                    raise UsageError(about([file.name], sentences[0]), "choose another kind of picture, or leave out --strict")
                parts.append((_write(frame, extras, work / target.name, target), target))
                for sentence in sentences:
                    lost.setdefault(sentence, []).append(file.name)

    place = targets[0].parent.parent if item.kind == "folder" else targets[0].parent
    work = place
    try:
        work = Path(tempfile.mkdtemp(prefix=".gpenvid-", dir=place))
        pairs = list(zip(item.files, targets, strict=True))
        for group in [pairs] if related else [[pair] for pair in pairs]:
            try:
                restore_group(group, work)
            except (StoppedError, OSError):
                raise
            except Exception as error:
                if len(pairs) == 1 or related or settings.strict:
                    raise
                failed.append(as_known(error, group[0][0]))
                report.warnings.append(str(failed[-1]))
                progress.note(f"failed: {failed[-1]}")
        check()  # hours may have passed
        for part, target in parts:
            target.parent.mkdir(exist_ok=True)
            part.replace(target)
    except OSError as error:
        raise InputError(f"{place}: cannot be written to ({error.strerror})", "choose another -o, or make room") from error
    finally:
        if work != place:
            shutil.rmtree(work, ignore_errors=True)
    for sentence, names in lost.items():
        report.warnings.append(about(names, sentence))
        progress.note(report.warnings[-1])
    if failed:
        raise PicturesError(failed, item.path, len(item.files), report) from gravest(failed)
    return report


def _targets(item: Input, named: Path) -> list[Path]:
    """The file every picture goes to.

    Raises:
        UsageError: the output does not fit the input.
    """
    if item.kind == "folder":
        if is_still(named) or is_container(named):
            raise UsageError(f"{named}: a folder of pictures gives a folder", "name a folder; for a film name its numbered frames")
        return [named / f.name for f in item.files]
    if item.kind == "still":
        if not is_still(named):
            raise UsageError(f"{named}: a picture gives a picture", "name it .png, .jpg, .tif or .webp")
        return [named]
    if not (is_pattern(named) and is_still(named)):
        raise UsageError(f"{named}: a numbered sequence gives a numbered sequence", "name it like restored_%04d.png")
    return [numbered(named, number_in(f, item.path)) for f in item.files]


def _check(item: Input, named: Path, targets: list[Path], *, overwrite: bool) -> None:
    """Make sure that all results may be written; see `check_output`."""
    for target in [named] if item.kind == "folder" else targets:
        check_output(item, target, overwrite=overwrite)


def _frames(files: list[Path]) -> Iterator[tuple[Frame, StillExtras]]:
    for index, path in enumerate(files):
        yield read_still(path, index=index)


def _film_tracks(item: Input, settings: RestoreSettings, detector: Detector | None, progress: Progress) -> Tracks:
    film = film_of_pictures(item.files)
    if settings.tracks is not None:
        width, height = film.geometry.display_size
        tracks = read_sidecar(settings.tracks)
        check_tracks_of(tracks, settings.tracks, item.path, film.count, (round(width), round(height)), None)
        return tracks
    assert detector is not None
    progress.stage("analyse", film.count)
    return analyse_frames(film.frames(), film.geometry, detector, progress, settings=tracker_settings(settings))


def _still_tracks(item: Input, file: Path, target: Path, settings: RestoreSettings, detector: Detector | None) -> Tracks:
    assert detector is not None
    frame = read_frame(file)
    # In a folder a file may be of another kind than its name says; elsewhere the user named the result.
    with naming(file if item.kind == "folder" else target, UsageError):
        check_samples(target.suffix.lower(), frame.layout.model, bits=frame.layout.bits, alpha=frame.layout.alpha)
    told = Silent()
    return analyse_frames([frame], frame.geometry, detector, told, longest=STILL_DETECTION_SIZE, settings=tracker_settings(settings))


def _rendered(files: list[Path], renderer: Renderer) -> Iterator[tuple[Frame, StillExtras]]:
    extras: deque[StillExtras] = deque()

    def frames() -> Iterator[Frame]:
        for frame, extra in _frames(files):
            extras.append(extra)
            yield frame

    for frame in renderer.render(frames(), 0):
        yield frame, extras.popleft()


def _write(frame: Frame, extras: StillExtras, path: Path, target: Path) -> Path:
    with naming(target, UsageError):
        path.write_bytes(encode_still(frame.planes, frame.layout.model, extras, target.suffix.lower()))
    return path
