"""The first pass: where every face is in every frame."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from gpenvid.faces.detector import Detector
from gpenvid.faces.tracker import Tracker, TrackerSettings
from gpenvid.faces.tracks import Tracks
from gpenvid.geometry import resize_affine
from gpenvid.job.progress import Progress
from gpenvid.media.frame import Frame
from gpenvid.media.orientation import DisplayGeometry

VIDEO_DETECTION_SIZE = 640
"""Longer side in pixels that video is reduced to for detection and flow."""


def small_size(geometry: DisplayGeometry, longest: int) -> tuple[int, int]:
    """(width, height) of the analysed picture: display shape, longer side `longest` at most."""
    width, height = geometry.display_size
    factor = min(1.0, longest / max(width, height))
    return max(1, round(width * factor)), max(1, round(height * factor))


def analyse_frames(
    frames: Iterable[Frame],
    geometry: DisplayGeometry,
    detector: Detector,
    progress: Progress,
    *,
    longest: int = VIDEO_DETECTION_SIZE,
    settings: TrackerSettings | None = None,
) -> tuple[Tracks, list[int]]:
    """Follow all faces through a clip.

    Returns:
        the tracks, in display space of the full picture; and the pts of every frame.
    """
    width, height = small_size(geometry, longest)
    display = geometry.display_size
    to_display = resize_affine(display[0] / width, display[1] / height)
    tracker = Tracker(detector, np.asarray(to_display), (round(display[0]), round(display[1])), settings)
    times: list[int] = []
    for frame in frames:
        tracker.push(frame.thumbnail(width, height))
        times.append(frame.pts)
        progress.advance(1)
    return tracker.finish(), times
