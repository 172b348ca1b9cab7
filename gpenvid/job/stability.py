"""How steady faces are, measured without ground truth: in the report (`--stability`) and in `benchmarks/stability.py`.

Against the *plain way*: every frame detected by itself, restored by itself, nothing smoothed over time. Warping error is the
usual measure of temporal consistency (Lai et al., "Learning blind video temporal consistency", ECCV 2018), here inside the
face and with flow from the source, so that a restorer is not judged by flow on what it made up. Blur would win it, so it is
given next to sharpness.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from gpenvid.blend.mask import face_ellipse
from gpenvid.blend.paste import BlendSettings
from gpenvid.blend.warp import crop_bounds, cut_crop, return_change
from gpenvid.faces.align import GPEN, Template, crop_affine, similarity_parameters
from gpenvid.faces.detector import Detector
from gpenvid.faces.embedding import FaceEmbedder
from gpenvid.faces.tracks import Track, Tracks
from gpenvid.geometry import compose, resize_affine
from gpenvid.job.analyse import VIDEO_DETECTION_SIZE, small_size
from gpenvid.job.progress import Silent
from gpenvid.job.render import Renderer
from gpenvid.job.report import PersonStability, Report, Steadiness, place_jitter
from gpenvid.media.frame import Frame
from gpenvid.restore.restorer import Restorer

_MOST_PEOPLE = 8  # the longest tracks: each costs two more restorations of its stretch
_STRETCH = 48  # frames per person
_FLOW_FAILS = 25  # grey levels: where the source's own flow misses by more, nothing can be said about anyone
_INSIDE = 0.9  # of the mask
_LEAST_WINDOW = 16  # pixels: the flow needs some
_SIDE = 256  # of the crops that sharpness and likeness are taken from

Pictures = list[NDArray[np.uint8]]


class StabilityMeter:
    """Measures people over stretches of a clip.

    Args:
        detector: of the plain way; None takes the tracks' own landmarks there.
        settings: of the blending that is measured.
        stretch: most frames per person.
    """

    def __init__(
        self,
        tracks: Tracks,
        restorer: Restorer,
        template: Template,
        settings: BlendSettings,
        detector: Detector | None,
        embedder: FaceEmbedder | None = None,
        stretch: int = _STRETCH,
    ) -> None:
        self._tracks = tracks
        self._restorer = restorer
        self._template = template
        self._settings = settings
        self._detector = detector
        self._embedder = embedder
        self._stretch = stretch

    def measure(self, frames: Iterable[Frame]) -> Iterator[PersonStability]:
        """People one by one, from the frames that the tracks were made of; at most 8, the longest tracks, in order of time."""
        people = sorted(self._tracks.tracks, key=lambda t: -len(t.landmarks))[:_MOST_PEOPLE]
        waiting = sorted((self._part(t) for t in people if len(t.landmarks) >= 3), key=lambda p: (p[2], p[1]))
        held: dict[int, Frame] = {}
        for index, frame in enumerate(frames):
            if not waiting:
                return
            if any(first <= index < end for _, first, end in waiting):
                held[index] = frame
            while waiting and waiting[0][2] == index + 1:
                track, first, end = waiting.pop(0)
                window = _window(track.parameters[first - track.start : end - track.start], frame.geometry.display_size)
                if not window.empty:  # a sidecar may place faces outside the picture
                    yield self._person(track, [held[i] for i in range(first, end)], first, window)
                needed = min((p[1] for p in waiting), default=index + 1)
                held = {i: f for i, f in held.items() if i >= needed}

    def _part(self, track: Track) -> tuple[Track, int, int]:
        """The stretch in the middle of a track."""
        length = min(self._stretch, len(track.landmarks))
        first = track.start + (len(track.landmarks) - length) // 2
        return track, first, first + length

    def _person(self, track: Track, frames: list[Frame], first: int, window: _Window) -> PersonStability:
        part = slice(first - track.start, first - track.start + len(frames))
        raw = np.stack([similarity_parameters(p) for p in track.landmarks[part]])
        places, detected = self._detected(track, frames, first, raw)
        parameters = track.parameters.copy()
        parameters[part] = places
        ways = [
            [_shown(f.own(), window) for f in frames],  # as results are shown: FFmpeg's own converter differs by a grey level
            self._rendered(replace(track, parameters=parameters), frames, first, window, replace(self._settings, deflicker=False), None),
            self._rendered(track, frames, first, window, self._settings, self._embedder),
        ]
        source, plain, ours = _steadiness(ways, track.parameters[part], window)
        likeness = self._likeness(ways[0], ways[2], track.parameters[part], window)
        return PersonStability(
            id=track.id,
            first=first,
            last=first + len(frames) - 1,
            jitter_detected=place_jitter(places) if detected else None,
            jitter_unsmoothed=place_jitter(raw),
            jitter=place_jitter(track.parameters[part]),
            source=source,
            plain=plain,
            ours=ours,
            likeness_least=float(likeness.min()) if likeness is not None else None,
            likeness_spread=float(likeness.std()) if likeness is not None else None,
        )

    def _detected(self, track: Track, frames: list[Frame], first: int, carried: NDArray[np.float64]) -> tuple[NDArray[np.float64], bool]:
        """Places (N, 4) by detecting every frame; where nothing is found near, the carried ones."""
        if self._detector is None:
            return carried, False
        width, height = small_size(frames[0].geometry, VIDEO_DETECTION_SIZE)
        display = frames[0].geometry.display_size
        to_display = resize_affine(display[0] / width, display[1] / height)
        places = carried.copy()
        for i, frame in enumerate(frames):
            points = track.landmarks[first + i - track.start]
            eyes = max(float(np.hypot(*(points[1] - points[0]))), 1.0)
            faces = [f.transformed(to_display) for f in self._detector.detect([frame.thumbnail(width, height)])[0]]
            apart = [float(np.hypot(*(f.landmarks - points).T).mean()) / eyes for f in faces]
            if apart and min(apart) < 1:
                places[i] = similarity_parameters(faces[int(np.argmin(apart))].landmarks)
        return places, True

    def _rendered(
        self, track: Track, frames: list[Frame], first: int, window: _Window, blend: BlendSettings, embedder: FaceEmbedder | None
    ) -> Pictures:
        alone = replace(self._tracks, tracks=[track])
        renderer = Renderer(alone, self._restorer, self._template, blend, Report("", ""), Silent(), embedder)
        return [_shown(f, window) for f in renderer.render((f.own() for f in frames), first)]

    def _likeness(self, sources: Pictures, results: Pictures, places: NDArray[np.float64], window: _Window) -> NDArray[np.float64] | None:
        if self._embedder is None:
            return None
        likeness = []
        for source, result, place in zip(sources, results, places, strict=True):
            to_crop = compose(crop_affine(place, _SIDE), window.to_display)
            before, after = (cut_crop(np.asarray(p, np.float32) / np.float32(255), to_crop, _SIDE) for p in (source, result))
            likeness.append(self._embedder.likeness(before, after, GPEN))
        return np.array(likeness)


@dataclass(frozen=True)
class _Window:
    """The part of the shown picture that a face stays within, in its pixels."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def empty(self) -> bool:
        return self.right - self.left < _LEAST_WINDOW or self.bottom - self.top < _LEAST_WINDOW

    @property
    def to_display(self) -> NDArray[np.float64]:
        return np.array([[1.0, 0.0, self.left], [0.0, 1.0, self.top]])


def _window(places: NDArray[np.float64], display: tuple[float, float]) -> _Window:
    bounds = np.array([crop_bounds(crop_affine(p, _SIDE), _SIDE) for p in places])
    left, top = np.maximum(np.floor(bounds[:, :2].min(axis=0)), 0).astype(int)
    right, bottom = np.minimum(np.ceil(bounds[:, 2:].max(axis=0)) + 1, np.round(display)).astype(int)
    return _Window(int(left), int(top), int(right), int(bottom))


def _shown(frame: Frame, window: _Window) -> NDArray[np.uint8]:
    width, height = (round(v) for v in frame.geometry.display_size)
    return frame.thumbnail(width, height)[window.top : window.bottom, window.left : window.right].copy()


def _steadiness(ways: Sequence[Pictures], places: NDArray[np.float64], window: _Window) -> list[Steadiness]:
    """Warping error and sharpness of several ways (the source first) of showing the same frames."""
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grays = [[np.asarray(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY), np.uint8) for p in pictures] for pictures in ways]
    height, width = grays[0][0].shape
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=2).astype(np.float32)
    ellipse = np.ascontiguousarray(face_ellipse(_SIDE, GPEN.eye_distance))
    errors: list[list[float]] = [[] for _ in ways]
    gradients: list[list[float]] = [[] for _ in ways]
    for t in range(1, len(places)):
        inside = return_change(ellipse, compose(crop_affine(places[t], _SIDE), window.to_display), width, height) > _INSIDE
        back = grid + flow.calc(grays[0][t], grays[0][t - 1], None)  # type: ignore[call-overload]
        carried = [cv2.remap(g[t - 1], back, None, cv2.INTER_LINEAR) for g in grays]  # type: ignore[call-overload]
        sure = inside & (np.abs(carried[0].astype(np.int16) - grays[0][t]) < _FLOW_FAILS)
        if not sure.any():
            continue
        for way, gray in enumerate(grays):
            errors[way].append(float(np.abs(carried[way].astype(np.int16) - gray[t])[sure].mean()))
            gx, gy = (cv2.Sobel(gray[t], cv2.CV_32F, *d) for d in ((1, 0), (0, 1)))
            gradients[way].append(float(np.hypot(gx, gy)[inside].mean()))
    return [Steadiness(float(np.mean(e)) if e else 0.0, float(np.mean(g)) if g else 0.0) for e, g in zip(errors, gradients, strict=True)]
