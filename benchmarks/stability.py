"""Detection reuse, jitter and flicker, measured against detection and restoration of every frame by itself.

Prints two Markdown tables. The first needs detections only; the second renders the first frames of each clip twice: once the
plain way (every frame detected, nothing smoothed, nothing averaged), once as gpenvid does.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice, pairwise
from pathlib import Path

import cv2
import numpy as np
from judge import held_by, is_confirmed, other_detector

from gpenvid.blend.paste import BlendSettings
from gpenvid.faces.align import GPEN, similarity_parameters
from gpenvid.faces.detector import Detector
from gpenvid.faces.reuse import match_faces
from gpenvid.faces.tracker import Tracker
from gpenvid.faces.tracks import Tracks
from gpenvid.geometry import Face
from gpenvid.job.analyse import VIDEO_DETECTION_SIZE, analyse_frames, small_size
from gpenvid.job.models import open_detector, open_restorer
from gpenvid.job.progress import Silent
from gpenvid.job.stability import StabilityMeter
from gpenvid.media.reader import VideoReader
from gpenvid.settings import RestoreSettings

CLIPS = Path(__file__).parent.parent.parent / "shared" / "media" / "clips"
SLOW = 0.02  # eye distances a frame: below, a head counts as still or slow
FEW = 10  # frames: over fewer, a figure says nothing
LARGE = 20.0  # eye distance in analysed pixels from which landmarks are finer than the detector's own grid


class Remembered:
    """A detector that was asked about every frame once, and answers from memory."""

    def __init__(self, detector: Detector, frames: Sequence[np.ndarray]) -> None:
        self.name, self.sure, self.close_look = detector.name, detector.sure, detector.close_look
        self.faces = [detector.detect([frame])[0] for frame in frames]
        self._by_frame = {id(frame): faces for frame, faces in zip(frames, self.faces, strict=True)}

    def detect(self, images: Sequence[np.ndarray]) -> list[list[Face]]:
        """See `Detector.detect`."""
        return [self._by_frame[id(image)] for image in images]


def per_frame_tracks(faces: list[list[Face]], cuts: set[int], sure: float) -> list[list[tuple[int, Face]]]:
    """Detections of every frame linked over frames, with hysteresis: a link must once be sure, and last four frames."""
    chains: list[list[tuple[int, Face]]] = []
    last: list[list[tuple[int, Face]]] = []
    for t, found in enumerate(faces):
        last = [] if t in cuts else last
        pairs = {j: i for i, j in match_faces([np.asarray(c[-1][1].landmarks, float) for c in last], found, 0.8)}
        following = []
        for j, face in enumerate(found):
            chain = last[pairs[j]] if j in pairs else []
            if not chain:
                chains.append(chain)
            chain.append((t, face))
            following.append(chain)
        last = following
    return [c for c in chains if len(c) >= 4 and max(f.score for _, f in c) >= sure]


def jitter(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Second difference of (N, 4) places in eye distances, and whether the head is slow there; the weave of film is a motion."""
    eyes = GPEN.eye_distance * np.exp(places[1:-1, 0])
    bend = np.hypot(*np.diff(places[:, 2:], n=2, axis=0).T) / eyes
    smooth = cv2.GaussianBlur(places[:, 2:], (1, 0), sigmaX=1e-3, sigmaY=1.0) if len(places) > 8 else places[:, 2:]
    steps = np.hypot(*np.diff(smooth, axis=0).T)
    # The faster of the steps before and after: at the turning point of a head that is shaken their mean is nothing.
    return bend, np.maximum(steps[:-1], steps[1:]) < SLOW * eyes


@dataclass
class Sums:
    """Figures of one clip or of all: the judge confirms some of the wanted faces, tracks hold some of those; see `held_by` for the rest."""

    frames: int = 0
    calls: int = 0
    wanted: int = 0
    found: int = 0
    confirmed: int = 0
    held: int = 0
    sure: int = 0
    tracked: int = 0
    strays: int = 0
    switches: int = 0

    def add(self, other: Sums) -> None:
        """Add another clip."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))


def measure(clip: Path, detector: Detector, judge: Detector | None) -> tuple[Sums, np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """One clip: counts, errors in eye distances, which of them are on large faces, and jitter by kind."""
    reader = VideoReader(clip)
    width, height = small_size(reader.info.geometry, VIDEO_DETECTION_SIZE)
    frames = [frame.thumbnail(width, height) for frame in reader.frames()]
    remembered = Remembered(detector, frames)
    tracker = Tracker(remembered, np.eye(2, 3), (width, height))
    for frame in frames:
        tracker.push(frame)
    tracks = tracker.finish()
    sums = Sums(len(frames), tracks.detector_calls)
    if judge is not None:
        judge = Remembered(judge, frames)
        sums.sure, sums.tracked, sums.strays = held_by(tracks, judge, frames)
    errors, large = [], []
    places: dict[str, list[np.ndarray]] = {k: [] for k in ("detector", "ours", "smoothed", "slow", "apart")}
    for chain in per_frame_tracks(remembered.faces, {s.start for s in tracks.shots}, detector.sure):
        ids = []
        real = judge is not None and is_confirmed(judge, frames, chain)
        for t, face in chain:
            sums.wanted += 1
            sums.confirmed += real
            near = [(np.hypot(*(k.landmarks[t - k.start] - face.landmarks).T).mean() / face.unit, k.id) for k in tracks.at(t)]
            if near and min(near)[0] < 0.5:
                sums.found += 1
                sums.held += real
                errors.append(min(near)[0])
                large.append(face.eye_distance >= LARGE)
                ids.append(min(near)[1])
        sums.switches += sum(a != b for a, b in pairwise(ids))
        add_jitter(places, chain, ids, tracks)
    return sums, np.array(errors), np.array(large, bool), {k: np.concatenate(v) if v else np.zeros(0) for k, v in places.items()}


def add_jitter(places: dict[str, list[np.ndarray]], chain: list[tuple[int, Face]], ids: list[int], tracks: Tracks) -> None:
    """Jitter of one person on the frames that detection of every frame and one of our tracks share."""
    if len(chain) < 12 or len(set(ids)) != 1 or len(ids) != len(chain) or chain[-1][0] - chain[0][0] != len(chain) - 1:
        return
    track = next(k for k in tracks.tracks if k.id == ids[0])
    part = slice(chain[0][0] - track.start, chain[-1][0] + 1 - track.start)
    raw = np.stack([similarity_parameters(face.landmarks) for _, face in chain])
    ours = np.stack([similarity_parameters(points) for points in track.landmarks[part]])
    bend, (unsmoothed, slow) = jitter(raw)[0], jitter(ours)
    eyes = GPEN.eye_distance * np.exp(ours[1:-1, 0])
    places["apart"].append(np.hypot(*(track.parameters[part] - ours)[1:-1, 2:].T) / eyes)
    for name, values in (("detector", bend), ("ours", unsmoothed), ("smoothed", jitter(track.parameters[part])[0]), ("slow", slow)):
        places[name].append(values)


def rms(values: np.ndarray) -> float:
    """Root mean square, not a number where there is nothing."""
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else float("nan")


def first_table(clips: list[Path], detector: Detector) -> None:
    """Detection reuse and jitter."""
    counts = ["calls", "found", "of real faces", "landmark error, mean / 99%", "large faces"]
    columns = ["clip", *counts, "jitter still", "moving", "moved by smoothing", "track changes"]
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    judge = other_detector(detector.name)
    total, all_errors, all_large, all_jitter = Sums(), [], [], []
    for clip in clips:
        sums, errors, large, places = measure(clip, detector, judge)
        total.add(sums)
        all_errors.append(errors)
        all_large.append(large)
        all_jitter.append(places)
        print(first_row(clip.stem, sums, errors, large, places), flush=True)
    joined = {k: np.concatenate([p[k] for p in all_jitter]) for k in all_jitter[0]}
    print(first_row("all", total, np.concatenate(all_errors), np.concatenate(all_large), joined))
    if judge is not None:
        print(f"\n{judge.name} is sure of {total.sure} faces of 40 pixels (of 640) and more: tracks hold {total.tracked}.")
        print(f"Faces of our tracks where it sees none: {total.strays}, in {total.frames} frames.")


def first_row(name: str, sums: Sums, errors: np.ndarray, large: np.ndarray, places: dict[str, np.ndarray]) -> str:
    """One line of the first table; jitter as before and after smoothing, over that of detection."""
    slow = places["slow"].astype(bool)

    def ratio(mask: np.ndarray) -> str:
        base = rms(places["detector"][mask])
        return f"{rms(places['ours'][mask]) / base:.2f}, {rms(places['smoothed'][mask]) / base:.2f}" if mask.sum() >= FEW and base else "-"

    def share(values: np.ndarray) -> str:
        return f"{100 * values.mean():.1f}% / {100 * np.percentile(values, 99):.1f}%" if values.size else "-"

    found = f"{100 * sums.found / sums.wanted:.1f}%" if sums.wanted else "-"
    real = f"{100 * sums.held / sums.confirmed:.1f}%" if sums.confirmed else "-"
    calls = f"{sums.calls}/{sums.frames} ({100 * sums.calls / sums.frames:.1f}%)"
    jitters = f"{ratio(slow)} | {ratio(~slow)} | {share(places['apart'][~slow])}"
    return f"| {name} | {calls} | {found} | {real} | {share(errors)} | {share(errors[large])} | {jitters} | {sums.switches} |"


def second_table(clips: list[Path], detector: Detector, count: int, model: str) -> None:
    """Flicker and sharpness of the person seen longest."""
    print("\n| clip | warping error: source | plain | ours | ours / plain | sharpness ours / plain |\n|---|---|---|---|---|---|")
    restorer, template = open_restorer(RestoreSettings(model=model, device="cpu", dtype="fp32"), Silent())
    errors, least = np.zeros(3), np.inf
    for clip in clips:
        reader = VideoReader(clip)
        tracks = analyse_frames(islice(reader.frames(), count), reader.info.geometry, detector, Silent())
        if not tracks.tracks:
            continue
        track = max(tracks.tracks, key=lambda k: len(k.landmarks))
        meter = StabilityMeter(replace(tracks, tracks=[track]), restorer, template, BlendSettings(), detector, stretch=count)
        (p,) = meter.measure(reader.frames())
        sharp = p.ours.sharpness / p.plain.sharpness
        found = np.array([p.source.warping, p.plain.warping, p.ours.warping])
        errors, least = errors + found, min(least, sharp)
        print(f"| {clip.stem} | {warping_errors(found)} | {sharp:.2f} |", flush=True)
    print(f"| all | {warping_errors(errors)} | {least:.2f} at least |")


def warping_errors(errors: np.ndarray) -> str:
    """Of source, plain and ours, and of ours to plain."""
    return " | ".join(f"{e:.2f}" for e in (*errors, errors[2] / errors[1]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="*", type=Path, default=sorted(CLIPS.glob("*")))
    parser.add_argument("--detector", default="auto")
    parser.add_argument("--model", default="gpen-lite-256")
    parser.add_argument("--render-frames", type=int, default=60)
    options = parser.parse_args()
    detector = open_detector(options.detector, "cpu", Silent())
    print(f"detector: {detector.name}\n")
    first_table(options.clips, detector)
    if options.render_frames:
        second_table(options.clips, detector, options.render_frames, options.model)


if __name__ == "__main__":
    main()
