"""The first pass: where every face is in every frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from gpenvid.errors import InputError
from gpenvid.faces.detector import Detector
from gpenvid.faces.ease import GuardSettings
from gpenvid.faces.tracker import Tracker, TrackerSettings
from gpenvid.faces.tracks import Tracks
from gpenvid.geometry import resize_affine
from gpenvid.job.film import open_film
from gpenvid.job.models import open_detector
from gpenvid.job.pipeline import Pipeline, StageTimes, frame_bytes
from gpenvid.job.progress import Progress, Silent
from gpenvid.media.frame import Frame
from gpenvid.media.orientation import DisplayGeometry
from gpenvid.settings import RestoreSettings, named

_LARGE_DETECTORS = ("retinaface-resnet50",)
VIDEO_DETECTION_SIZE = 640
"""Longer side in pixels that video is reduced to for detection and flow."""


def tracker_settings(settings: RestoreSettings) -> TrackerSettings:
    """The part of a user's choices that concerns tracking: from where on faces are left alone, with a ramp to where all is restored."""
    eyes, turned, sharp = settings.least_eyes, settings.most_turn, settings.least_sharpness
    usual = GuardSettings()
    guards = replace(
        usual,
        eye_distance=(eyes, max(eyes * 5 / 3, 1.0)),
        turn=(turned, turned * 2 / 3) if turned else (1e-3, 0.0),
        blur=(sharp, sharp + 0.2) if sharp else (-1.0, 0.0),
        focus=usual.focus if sharp else (-1.0, 0.0),
    )
    return TrackerSettings(guards=guards)


def small_size(geometry: DisplayGeometry, longest: int) -> tuple[int, int]:
    """(width, height) of the analysed picture: display shape, longer side `longest` at most."""
    width, height = geometry.display_size
    factor = min(1.0, longest / max(width, height))
    return max(1, round(width * factor)), max(1, round(height * factor))


@contextmanager
def _threads_for(detector: Detector) -> Iterator[None]:
    """Let a small network run on one thread of PyTorch's: two took four times the processor's time for it, waiting for each other."""
    before = torch.get_num_threads()
    if detector.name not in _LARGE_DETECTORS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def analyse_frames(
    frames: Iterable[Frame],
    geometry: DisplayGeometry,
    detector: Detector,
    progress: Progress,
    *,
    longest: int = VIDEO_DETECTION_SIZE,
    settings: TrackerSettings | None = None,
    on_shot: Callable[[Tracks], None] | None = None,
    stages: list[StageTimes] | None = None,
) -> Tracks:
    """Follow all faces through a clip; tracks are in display space of the full picture.

    Decoding, reducing and following run at the same time.

    Args:
        on_shot: told the tracks so far whenever a shot has ended.
        stages: takes what the stages did with their time.
    """
    width, height = small_size(geometry, longest)
    display = geometry.display_size
    to_display = resize_affine(display[0] / width, display[1] / height)
    tracker = Tracker(detector, np.asarray(to_display), (round(display[0]), round(display[1])), settings)
    shots = 0
    pipeline = Pipeline("follow")
    with _threads_for(detector), pipeline:
        decoded = pipeline.run("decode", frames, frame_bytes)
        reduced = (frame.thumbnail(width, height) for frame in decoded)
        for picture in pipeline.run("reduce", reduced, lambda image: image.nbytes):
            tracker.push(picture)
            progress.advance(1)
            if on_shot is not None and tracker.shots > shots:
                shots = tracker.shots
                on_shot(tracker.so_far())
        tracks = tracker.finish()
    if stages is not None:
        stages += pipeline.stages
    return tracks


def analyse(source: str | Path, settings: RestoreSettings | None = None, progress: Progress | None = None) -> Tracks:
    """Find and follow the people of a film.

    Args:
        source: a video file, or a numbered sequence such as `scan_%04d.png`.
        settings: of which the detector, the device and the chosen part are used.

    Raises:
        InputError: if it cannot be read, or no frame lies in the chosen part.
        UsageError: if it is no film.
        WeightsError: if the detector's file is missing or damaged.
    """
    settings, progress = settings or RestoreSettings(), progress or Silent()
    film = open_film(named(source), settings)
    detector = open_detector(settings.detector, settings.device, progress)
    progress.stage("analyse", film.count)
    tracks = analyse_frames(film.frames(), film.geometry, detector, progress, settings=tracker_settings(settings))
    if not tracks.frames:
        raise InputError(f"{source}: no frame lies in the chosen part", "check --start and --end")
    return replace(tracks, begin=settings.start or 0.0)
