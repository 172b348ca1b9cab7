"""The measures of steadiness: still pictures are steady, noise is not, and the result is compared with the plain way."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from gpenvid import RestoreSettings, restore
from gpenvid.blend.paste import BlendSettings
from gpenvid.faces.tracks import Tracks
from gpenvid.geometry import Face
from gpenvid.job.models import open_restorer
from gpenvid.job.progress import Silent
from gpenvid.job.stability import StabilityMeter
from gpenvid.media.reader import VideoReader

SAMPLES = Path(__file__).parent.parent / "samples"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Tracks:
    from gpenvid.job.analyse import analyse

    return analyse(SAMPLES / "interview.mp4", RestoreSettings(detector="builtin", end=1.0))


class Trembling:
    """A detector whose landmarks jump by a pixel from frame to frame."""

    name, sure, close_look = "trembling", 0.5, None

    def __init__(self, tracks: Tracks) -> None:
        self._track = tracks.tracks[0]
        self._width = tracks.width
        self._calls = -1

    def detect(self, images: list[np.ndarray]) -> list[list[Face]]:
        self._calls += 1
        factor = images[0].shape[1] / self._width
        points = self._track.landmarks[self._calls] * factor + (1.0 if self._calls % 2 else -1.0)
        return [[Face(self._track.boxes[self._calls] * factor, 0.9, points)]]


def _meter(tracks: Tracks, model: Path, detector: object = None) -> StabilityMeter:
    restorer, template = open_restorer(RestoreSettings(model=str(model), device="cpu", dtype="fp32"), Silent())
    return StabilityMeter(tracks, restorer, template, BlendSettings(), detector, stretch=12)  # type: ignore[arg-type]


def test_jitter_of_a_trembling_detector_is_told_from_ours(found: Tracks, tiny_model: Path) -> None:
    frames = list(VideoReader(SAMPLES / "interview.mp4").frames())[: found.frames]
    (person,) = _meter(replace(found, tracks=found.tracks[:1]), tiny_model, Trembling(found)).measure(frames)
    assert person.jitter_detected is not None
    assert person.jitter < person.jitter_unsmoothed < person.jitter_detected
    assert person.last - person.first == 11


def test_who_is_placed_outside_the_picture_is_not_measured(found: Tracks, tiny_model: Path) -> None:
    track = found.tracks[0]
    outside = replace(track, parameters=track.parameters + np.array([0, 0, 1e5, 0]))
    frames = list(VideoReader(SAMPLES / "interview.mp4").frames())[: found.frames]
    assert list(_meter(replace(found, tracks=[outside]), tiny_model).measure(frames)) == []


def test_a_result_that_is_the_source_is_measured_as_the_source_is(found: Tracks, tiny_model: Path) -> None:
    meter = _meter(replace(found, tracks=found.tracks[:1]), tiny_model)
    meter._settings = BlendSettings(strength=0)
    (person,) = meter.measure(list(VideoReader(SAMPLES / "interview.mp4").frames())[: found.frames])
    assert person.source == person.plain == person.ours


def test_a_still_clip_has_no_warping_error_and_measuring_changes_no_frame(found: Tracks, tiny_model: Path) -> None:
    track = found.tracks[0]
    count = len(track.landmarks)
    places, points = np.repeat(track.parameters[:1], count, axis=0), np.repeat(track.landmarks[:1], count, axis=0)
    still = replace(track, parameters=places, landmarks=points)
    frame = next(VideoReader(SAMPLES / "interview.mp4").frames())
    before = [p.copy() for p in frame.planes]
    (person,) = _meter(replace(found, tracks=[still]), tiny_model).measure([frame] * found.frames)
    assert person.source.warping == pytest.approx(0, abs=0.2)
    assert person.ours.warping == pytest.approx(0, abs=0.2)
    assert person.jitter == person.jitter_unsmoothed == 0
    assert person.jitter_detected is None
    assert all(np.array_equal(a, b) for a, b in zip(before, frame.planes, strict=True))


def test_flicker_of_the_source_shows_as_warping_error_and_blur_as_lost_sharpness(found: Tracks, tiny_model: Path) -> None:
    track = found.tracks[0]
    frames = []
    for t, frame in enumerate(VideoReader(SAMPLES / "interview.mp4").frames()):
        if t == found.frames:
            break
        own = frame.own()
        own.planes[0][:] = np.clip(own.planes[0].astype(int) + (12 if t % 2 else 0), 0, 235)
        frames.append(own)
    (flickering,) = _meter(replace(found, tracks=[track]), tiny_model).measure(frames)
    soft = [f.own() for f in frames]
    for f in soft:
        f.planes[0][:] = cv2.GaussianBlur(f.planes[0], (0, 0), 3)
    (blurred,) = _meter(replace(found, tracks=[track]), tiny_model).measure(soft)
    assert flickering.source.warping > 8
    assert blurred.source.sharpness < 0.7 * flickering.source.sharpness


def test_the_report_holds_the_stability_that_was_asked_for(tmp_path: Path, tiny_model: Path) -> None:
    settings = RestoreSettings(model=str(tiny_model), detector="builtin", end=0.5, stability=True, device="cpu")
    report = restore(SAMPLES / "interview.mp4", tmp_path / "out.mp4", settings)
    (person,) = json.loads(report.to_json())["stability"]
    assert person["ours"]["sharpness"] > 0
    assert person["jitter_detected"] > 0
    assert person["likeness_least"] is None
    assert not restore(SAMPLES / "interview.mp4", tmp_path / "b.mp4", replace(settings, stability=False)).stability
