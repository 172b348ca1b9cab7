"""From frames to tracks: shots, windows between detections, links, and the tracks they make."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from gpenvid.faces.align import similarity_parameters
from gpenvid.faces.chains import Chain, bridge
from gpenvid.faces.detector import Detector
from gpenvid.faces.ease import GuardSettings, face_weights
from gpenvid.faces.reuse import ReuseSettings, Sighting, SmallFrame, WindowAnalyser
from gpenvid.faces.sharpness import sharpness
from gpenvid.faces.shots import CutFinder, Shot
from gpenvid.faces.smooth import smooth_parameters
from gpenvid.faces.tracks import Track, Tracks
from gpenvid.geometry import Affine, Face, apply_affine

_MONOCHROME = 7.0  # largest mean chroma (of 255) of a frame without colour; compression alone leaves 1 to 4


@dataclass(frozen=True)
class TrackerSettings:
    """What counts as a face.

    Attributes:
        least_frames: tracks shorter than this are false, unless their shot is that short.
        bridge: most frames, missed or shared, over which a track is joined to its continuation: a window between two calls, and a little.
        reuse: detection reuse.
        guards: when a face is left alone.
    """

    least_frames: int = 4
    bridge: int = 16
    reuse: ReuseSettings = field(default_factory=ReuseSettings)
    guards: GuardSettings = field(default_factory=GuardSettings)


class Tracker:
    """Takes small frames in order, gives tracks at the end. Needs to see up to one window ahead.

    Args:
        detector: finds faces in single frames.
        to_display: the map from pixels of the small frames to display space of the full picture.
        size: (width, height) of display space.
    """

    def __init__(self, detector: Detector, to_display: Affine, size: tuple[int, int], settings: TrackerSettings | None = None) -> None:
        self.settings = settings or TrackerSettings()
        self._detector = detector
        self._to_display = to_display
        self._size = size
        reuse, closely = self.settings.reuse, detector.close_look
        self._windows = WindowAnalyser(lambda frame: detector.detect([frame.rgb])[0], detector.sure, reuse, closely)
        self._cuts = CutFinder()
        self._waiting: list[SmallFrame] = []  # frames whose cut decision is not ripe
        self._window: list[SmallFrame] = []
        self._window_start = 0
        self._faces: list[Face] = []
        self._open: list[Chain] = []
        self._chains: list[Chain] = []
        self._tracks: list[Track] = []
        self._shots: list[Shot] = []
        self._shot_start = 0
        self._chroma = 0.0
        self._position = 0  # frames taken out of the waiting list

    @property
    def shots(self) -> int:
        """How many shots have ended."""
        return len(self._shots)

    def push(self, rgb: NDArray[np.uint8]) -> None:
        """Take the next frame, (h, w, 3) uint8 RGB, upright."""
        gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        self._waiting.append(SmallFrame(rgb, np.asarray(gray, np.uint8)))
        for is_cut in self._cuts.push(self._waiting[-1].gray):
            self._take(is_cut)

    def finish(self) -> Tracks:
        """The tracks, after the last frame."""
        for is_cut in self._cuts.finish():
            self._take(is_cut)
        self._end_shot()
        return self.so_far()

    def so_far(self) -> Tracks:
        """The tracks of the shots that have ended, with the numbers that they keep."""
        width, height = self._size
        calls, looks = self._windows.calls, self._windows.looks
        return Tracks(self._shot_start, width, height, self._detector.name, calls, list(self._shots), list(self._tracks), looks)

    def _take(self, is_cut: bool) -> None:
        frame = self._waiting.pop(0)
        if is_cut and self._position > self._shot_start:
            self._end_shot()
        if self._position == self._shot_start:
            self._window, self._window_start = [frame], self._position
            self._faces = self._windows.detect(frame)
            self._open = [Chain(self._position, _measured([Sighting(f, "detected")], frame)) for f in self._faces]
        else:
            self._window.append(frame)
            if len(self._window) > self.settings.reuse.window:
                self._flush()
        self._position += 1
        if self._chroma < _MONOCHROME:  # one frame with colour settles it
            self._chroma = max(self._chroma, _mean_chroma(frame.rgb))

    def _flush(self) -> None:
        """Fill the window and keep its last frame as the first of the next."""
        rows = self._windows.fill(self._window, self._faces)
        for index, (row, frame) in enumerate(zip(rows, self._window[1:], strict=True), start=self._window_start + 1):
            self._extend(index, _measured(row, frame))
        if rows:
            self._faces = [s.face for s in rows[-1]]
        self._window_start += len(rows)
        self._window = self._window[-1:]

    def _extend(self, index: int, row: list[Sighting]) -> None:
        before, used = self._open, set()
        after: list[Chain] = []
        for sighting in row:
            if sighting.previous is None:
                after.append(Chain(index, [sighting]))
            else:
                chain = before[sighting.previous]
                chain.sightings.append(sighting)
                used.add(sighting.previous)
                after.append(chain)
        self._chains += [c for i, c in enumerate(before) if i not in used]
        self._open = after

    def _end_shot(self) -> None:
        if self._position == self._shot_start:
            return
        self._flush()
        chains = bridge(self._chains + self._open, self.settings.bridge)
        length = self._position - self._shot_start
        least = min(self.settings.least_frames, length)
        faces = [c for c in chains if c.is_face(self._detector.sure) and len(c.sightings) >= least]
        self._shots.append(Shot(self._shot_start, self._position, self._chroma < _MONOCHROME))
        self._tracks += [self._track(i, c) for i, c in enumerate(sorted(faces, key=lambda c: c.start), start=len(self._tracks) + 1)]
        self._chains, self._open, self._shot_start, self._chroma = [], [], self._position, 0.0

    def _track(self, number: int, chain: Chain) -> Track:
        faces = [s.face.transformed(self._to_display) for s in chain.sightings]
        landmarks = np.stack([apply_affine(np.eye(2, 3), f.landmarks) for f in faces])
        raw = similarity_parameters(landmarks)
        shot = self._shots[-1]
        sharp = np.array([np.nan if s.sharpness is None else s.sharpness for s in chain.sightings])
        weights, flags = face_weights(landmarks, chain.start, (shot.start, shot.end), self.settings.guards, sharp)
        # Rounded here and not when written: what is rendered at once and what is read back later are the same numbers.
        return Track(
            id=number,
            start=chain.start,
            boxes=np.stack([np.asarray(f.box, np.float64) for f in faces]).round(2),
            scores=np.array([f.score for f in faces]).round(4),
            landmarks=landmarks.round(3),
            detected=np.array([s.source == "detected" for s in chain.sightings]),
            parameters=smooth_parameters(raw).round(6),
            weights=weights,
            flags=flags,
        )


def _measured(row: list[Sighting], frame: SmallFrame) -> list[Sighting]:
    """The same sightings, with how sharp each face is."""
    return [replace(s, sharpness=sharpness(frame.gray, s.face.landmarks)) for s in row]


def _mean_chroma(rgb: NDArray[np.uint8]) -> float:
    """Mean spread between the largest and the smallest channel, 0 to 255, on a small version."""
    small = cv2.resize(rgb, (32, 18), interpolation=cv2.INTER_AREA).astype(np.int16)
    return float((small.max(axis=2) - small.min(axis=2)).mean())
