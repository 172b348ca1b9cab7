"""Measure the built-in detector on the test clips: `python -m weights.training.evaluate_detector`.

The teacher's faces are the reference. On frames scaled to 640 pixels, a face it finds at 0.9 or more and at least 40 pixels
wide has to be found; finding one of its other faces (from 0.3) is neither right nor wrong; anything else is a false face.
A face is found if the boxes overlap by 0.4 or more. Landmark errors are means over the five points, in percent of the eye distance.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file

from gpenvid.faces import builtin
from gpenvid.faces.builtin import BuiltinDetector
from gpenvid.faces.builtin_net import detector_from_state_dict
from gpenvid.faces.detector import Detector
from gpenvid.faces.nms import box_overlap
from gpenvid.faces.placed import PlacedDetector
from gpenvid.geometry import Face
from weights.training.data import SHARED, WEIGHTS, Image, fit, video_frames, write_image
from weights.training.teacher import load_teacher, mirrored

LONGER = 640
WIDEST_IGNORED = 40.0
SURE, POSSIBLE = 0.9, 0.3
SAME = 0.4
_MOVE = (5, 3)

Reference = list[tuple[Image, list[Face]]]
"""Frames at 640 pixels, each with the teacher's faces."""


@dataclass
class Figures:
    """Counts over some frames."""

    frames: int = 0
    wanted: int = 0
    found: int = 0
    false: int = 0
    errors: list[float] = field(default_factory=list)

    def add(self, other: Figures) -> None:
        """Count another clip's frames in."""
        self.frames += other.frames
        self.wanted += other.wanted
        self.found += other.found
        self.false += other.false
        self.errors += other.errors

    @property
    def recall(self) -> float:
        """Found of the wanted faces."""
        return self.found / self.wanted if self.wanted else float("nan")

    @property
    def false_per_hundred(self) -> float:
        """False faces per 100 frames."""
        return 100 * self.false / max(1, self.frames)

    @property
    def landmark_error(self) -> float:
        """Mean landmark error over the found faces, as a part of the eye distance."""
        return float(np.mean(self.errors)) if self.errors else float("nan")

    def row(self, name: str) -> str:
        """A line of the table."""
        counts = f"{self.frames} | {self.wanted} | {self.recall:.3f}"
        return f"| {name} | {counts} | {self.false_per_hundred:.2f} | {100 * self.landmark_error:.1f}% |"


HEADER = "| clip | frames | faces | recall | false per 100 frames | landmark error |\n|---|---|---|---|---|---|"


def reference_of(detector: Detector, frames: Iterable[Image]) -> Reference:
    """Scale frames and let the teacher label them."""
    scaled = (fit(frame, LONGER) for frame in frames)
    return [(image, detector.detect([image])[0]) for image in scaled]


def _is_wanted(face: Face) -> bool:
    """Whether one of the teacher's faces has to be found."""
    return bool(face.score >= SURE and face.box[2] - face.box[0] >= WIDEST_IGNORED)


def compare(found: Sequence[Face], reference: Sequence[Face]) -> Figures:
    """Judge one frame's faces."""
    figures = Figures(frames=1)
    boxes = np.array([f.box for f in found], np.float32).reshape(-1, 4)
    others = np.array([f.box for f in reference], np.float32).reshape(-1, 4)
    overlap = box_overlap(boxes, others)
    for index, face in enumerate(reference):
        if not _is_wanted(face):
            continue
        figures.wanted += 1
        if len(found) and overlap[:, index].max() >= SAME:
            figures.found += 1
            points = found[int(overlap[:, index].argmax())].landmarks
            figures.errors.append(float(np.hypot(*(points - face.landmarks).T).mean() / face.eye_distance))
    figures.false = sum(not len(reference) or float(row.max()) < SAME for row in overlap)
    return figures


def measure(detector: Detector, reference: Reference) -> Figures:
    """Run the detector over labelled frames."""
    total = Figures()
    for image, faces in reference:
        total.add(compare(detector.detect([image])[0], faces))
    return total


def referee(detector: Detector, references: Sequence[Reference], every: int = 4) -> tuple[float, float, int]:
    """Mean landmark distance from YuNet's, in its eye distances: the detector's, the teacher's, and over how many faces.

    The teacher errs too. A third network that neither of the two has learned from says which of them is nearer to a face.
    """
    yunet = cv2.FaceDetectorYN.create(str(SHARED / "weights" / "face_detection_yunet_2023mar.onnx"), "", (LONGER, LONGER), 0.6)
    apart: list[list[float]] = []
    for image, faces in (pair for reference in references for pair in reference[::every]):
        wanted = [f for f in faces if _is_wanted(f)]
        ours = detector.detect([image])[0] if wanted else []
        yunet.setInputSize((image.shape[1], image.shape[0]))
        seen = yunet.detect(np.ascontiguousarray(image[..., ::-1]))[1] if ours else None
        if seen is None:
            continue
        boxes = np.concatenate([seen[:, :2], seen[:, :2] + seen[:, 2:4]], axis=1).astype(np.float32)
        points = seen[:, 4:14].reshape(-1, 5, 2)
        for face in wanted:
            here = np.asarray(face.box, np.float32)[None]
            third = box_overlap(here, boxes)[0]
            own = box_overlap(here, np.stack([f.box for f in ours]).astype(np.float32))[0]
            if min(third.max(), own.max()) >= SAME:
                truth = points[int(third.argmax())]
                eyes = max(float(np.hypot(*(truth[1] - truth[0]))), 1.0)
                both = (ours[int(own.argmax())].landmarks, face.landmarks)
                apart.append([float(np.hypot(*(p - truth).T).mean()) / eyes for p in both])
    return float(np.mean([a for a, _ in apart])), float(np.mean([b for _, b in apart])), len(apart)


def own_noise(teacher: Detector, references: Sequence[Reference], every: int = 4) -> tuple[float, float, int]:
    """How far the teacher's landmarks lie from its own in the same picture, moved by a few pixels and mirrored, and over how many faces.

    In eye distances. What it says of a face is no more certain than that.
    """
    apart: list[list[float]] = []
    for image, faces in (pair for reference in references for pair in reference[::every]):
        wanted = [f for f in faces if _is_wanted(f)]
        if not wanted:
            continue
        right, down = _MOVE
        moved = np.pad(image, ((down, 0), (right, 0), (0, 0)), mode="edge")
        there = [f.landmarks - (right, down) for f in teacher.detect([moved])[0]]
        back = [mirrored(f.landmarks, image.shape[1]) for f in teacher.detect([np.ascontiguousarray(image[:, ::-1])])[0]]
        for face in wanted:
            both = [min((float(np.hypot(*(p - face.landmarks).T).mean()) for p in points), default=np.inf) for points in (there, back)]
            if max(both) < 0.6 * face.eye_distance:
                apart.append([d / face.eye_distance for d in both])
    return float(np.mean([a for a, _ in apart])), float(np.mean([b for _, b in apart])), len(apart)


def looks_table(names: Sequence[str], references: Sequence[Reference], teacher: Detector, placed: Detector) -> str:
    """Per clip: the teacher's landmarks and those that close looks place from them, from their own in another picture and from YuNet's."""
    lines = [
        "| clip | moved: teacher | placed | mirrored: teacher | placed | from YuNet's: teacher | placed |\n|---|---|---|---|---|---|---|"
    ]
    for name, reference in zip(names, references, strict=True):
        again = [(image, placed.detect([image])[0]) for image, _ in reference]
        noise = [own_noise(d, [r], 1)[:2] for d, r in ((teacher, reference), (placed, again))]
        apart = referee(placed, [reference], 1)
        figures = (noise[0][0], noise[1][0], noise[0][1], noise[1][1], apart[1], apart[0])
        lines.append(f"| {name} | {' | '.join(f'{100 * f:.1f}%' for f in figures)} |")
    return "\n".join(lines)


def latency(detector: Detector, image: Image, groups: int = 15, repeats: int = 5) -> tuple[float, float, int]:
    """Wall time and processor time in milliseconds of a picture scaled to 640x360, and the number of faces in it.

    The wall time is the median over groups of the fastest of a few repeats. On a machine that others use it still measures them too; the
    processor time (of all threads together) hardly does.
    """
    picture = np.asarray(cv2.resize(image, (640, 360)), np.uint8)
    fastest, spent = [], time.process_time()
    for _ in range(groups):
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            found = detector.detect([picture])[0]
            times.append(1e3 * (time.perf_counter() - start))
        fastest.append(min(times))
    return statistics.median(fastest), 1e3 * (time.process_time() - spent) / (groups * repeats), len(found)


def draw(image: Image, found: Sequence[Face], reference: Sequence[Face]) -> Image:
    """The picture with the teacher's faces in white and ours in green."""
    out = image.copy()
    for faces, colour in ((reference, (255, 255, 255)), (found, (0, 255, 0))):
        for face in faces:
            x0, y0, x1, y1 = (int(v) for v in face.box)
            cv2.rectangle(out, (x0, y0), (x1, y1), colour, 1)
            for x, y in face.landmarks:
                cv2.circle(out, (int(x), int(y)), 2, colour, -1)
    return out


def sheet(detector: Detector, references: Sequence[Reference], most: int = 3) -> Image:
    """A contact sheet: per clip the frames that went worst."""
    tiles = []
    for reference in references:
        judged = []
        for index, (image, faces) in enumerate(reference):
            found = detector.detect([image])[0]
            figures = compare(found, faces)
            judged.append((figures.wanted - figures.found + figures.false + sum(figures.errors), index, draw(image, found, faces)))
        for _, _, picture in sorted(judged, key=lambda j: (-j[0], j[1]))[:most]:
            tile = np.zeros((400, 400, 3), np.uint8)
            small = fit(picture, 400)
            tile[: small.shape[0], : small.shape[1]] = small
            tiles.append(tile)
    columns = 6
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    return np.concatenate([np.concatenate(tiles[i : i + columns], axis=1) for i in range(0, len(tiles), columns)])


def load_detector(path: Path, threshold: float | None = None) -> BuiltinDetector:
    """The built-in detector from a safetensors file."""
    net = detector_from_state_dict(load_file(path))
    return BuiltinDetector(net, threshold=builtin.SURE if threshold is None else threshold)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=WEIGHTS / "face-det.safetensors")
    parser.add_argument("--threshold", type=float, nargs="*", default=[None])
    parser.add_argument("--every", type=int, default=1, help="look at each n-th frame only")
    parser.add_argument("--sheet", type=Path, help="write a contact sheet of the worst frames here")
    options = parser.parse_args()
    teacher = load_teacher(POSSIBLE)
    clips = sorted((SHARED / "media" / "clips").iterdir())
    references = [reference_of(teacher, video_frames(path, options.every)) for path in clips]
    moved, mirrored, count = own_noise(teacher, references)
    print(
        f"the teacher's landmarks from its own, {count} faces: moved {100 * moved:.1f}%, mirrored {100 * mirrored:.1f}% of the eye distance"
    )
    closely = load_detector(options.weights).close_look
    if closely is not None:
        print(looks_table([path.stem for path in clips], references, teacher, PlacedDetector(teacher, closely)))
    for threshold in options.threshold:
        detector = load_detector(options.weights, threshold)
        print(f"\nthreshold {detector.threshold}\n{HEADER}")
        total = Figures()
        for path, reference in zip(clips, references, strict=True):
            figures = measure(detector, reference)
            total.add(figures)
            print(figures.row(path.stem), flush=True)
        print(total.row("**all**"))
        own, teachers, count = referee(detector, references)
        print(f"landmarks from YuNet's, {count} faces: ours {100 * own:.1f}%, the teacher's {100 * teachers:.1f}% of the eye distance")
    for name, picture in (("no face", np.zeros((360, 640, 3), np.uint8)), ("faces", next(video_frames(clips[1])))):
        wall, busy, count = latency(detector, picture)
        print(f"640x360, {name} ({count} found): {wall:.1f} ms, {busy:.1f} ms of processor time, {torch.get_num_threads()} threads")
    print(f"{options.weights.stat().st_size} bytes")
    if options.sheet:
        write_image(options.sheet, sheet(detector, references))


if __name__ == "__main__":
    main()
