"""Train the detector's second look: `python -m weights.training.train_landmarks --detector runs/detector/face-det.safetensors`.

Portraits, roughly upright at 64x64 as after a first look that errs, damaged; the target is where the teacher's landmarks went.
Places where the detector sees a face and there is none are collected first and shown as what they are.
Writes the detector's file with the second network in it.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from gpenvid.faces.builtin import BuiltinDetector, close_up
from gpenvid.faces.builtin_net import CLOSE_UP, OFFSET, LandmarkNet, detector_from_state_dict
from gpenvid.faces.detector import Detector
from gpenvid.faces.nms import box_overlap
from gpenvid.geometry import apply_affine
from weights.training import degrade
from weights.training.backgrounds import background, skin
from weights.training.composites import Sources, sample
from weights.training.data import Image, fit
from weights.training.teacher import MIRROR, Labelled, label_portraits, load_teacher
from weights.training.train_detector import fold, load_sources, rate
from weights.training.turn import turned

SIDE = 160  # of a picture without a face that a close-up is cut from
_AROUND = 4.6  # eye distances: side of the picture that is kept of a face
_SMALLEST, _LARGEST = 14.0, 150.0  # eye distances in pixels that the teacher is shown
_KEPT = 30.0  # pixels: eye distance down to which larger views are reduced
_NEAR = 0.4  # eye distances: what the teacher sees farther away is something else
_SEES = 0.9  # teacher score from which its landmarks on a damaged face are the target, as it is measured


@dataclass(frozen=True)
class View:
    """A damaged face and the landmarks (5, 2) to find in it."""

    image: Image
    points: NDArray[np.float64]


def _pose(rng: np.random.Generator, face: Labelled, index: int, side: int) -> tuple[Image, NDArray[np.float64]]:
    """A face in another pose, squeezed and sheared, in the middle of a square, and its landmarks."""
    mirror = rng.random() < 0.5
    squeeze = np.exp(rng.normal(0, 0.08, 2)) * [rng.uniform(0.62, 1.0) if rng.random() < 0.15 else 1.0, 1.0]
    turn = np.deg2rad(rng.normal(0, 12))
    scale = side / _AROUND / np.linalg.norm(face.landmarks[index][1] - face.landmarks[index][0])
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    linear = linear @ np.array([[1.0, rng.normal(0, 0.06)], [rng.normal(0, 0.06), 1.0]]) @ np.diag(squeeze * [-1 if mirror else 1, 1])
    points = np.asarray(face.landmarks[index], np.float64)
    matrix = np.column_stack([linear, side / 2 - linear @ points.mean(axis=0)])
    source = face.image
    if scale < 0.6:
        half = (source.shape[1] // 2, source.shape[0] // 2)
        source = np.asarray(cv2.resize(source, half, interpolation=cv2.INTER_AREA), np.uint8)
        reduced = matrix.copy()
        reduced[:, :2] *= 2
        reduced[:, 2] += matrix[:, :2] @ (0.5, 0.5)
    else:
        reduced = matrix
    image = cv2.warpAffine(source, reduced, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    points = apply_affine(matrix, points)
    return np.asarray(image, np.uint8), points[MIRROR] if mirror else points


def _damage(rng: np.random.Generator, image: Image) -> Image:
    side = image.shape[0]
    unit = side / SIDE
    if rng.random() < 0.6:
        image = degrade.lighting(image, rng)
    if rng.random() < 0.3:
        ramp = np.linspace(*rng.uniform(0.3, 1.3, 2), side, dtype=np.float32)[None, :, None]
        image = np.clip(image * ramp, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        image = degrade.grey(image)
    if rng.random() < 0.2:
        place = (int(rng.uniform(0.1, 0.9) * side), int(rng.uniform(0.1, 0.9) * side))
        axes = (1 + int(rng.uniform(0.03, 0.15) * side), 1 + int(rng.uniform(0.03, 0.15) * side))
        colour = skin(rng) if rng.random() < 0.5 else tuple(int(v) for v in rng.integers(0, 256, 3))
        image = np.asarray(cv2.ellipse(image.copy(), place, axes, rng.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA), np.uint8)
    if rng.random() < 0.35:
        image = degrade.blur(image, rng, max(0.3, unit * float(np.exp(rng.uniform(np.log(0.5), np.log(5))))))
    elif rng.random() < 0.15:
        image = degrade.motion_blur(image, rng, max(1.0, unit * float(rng.uniform(2, 12))))
    if rng.random() < 0.6:
        image = degrade.shrink(image, rng, float(np.exp(rng.uniform(0, np.log(max(1.3, 6 * unit))))))
    if rng.random() < 0.4:
        image = degrade.add_noise(image, rng, rng.uniform(2, 18), grain=rng.choice([0.0, 0.7]), mono=bool(rng.random() < 0.5))
    if rng.random() < 0.5:
        image = degrade.jpeg(image, int(rng.integers(12, 95)))
    return degrade.enlarge(image, rng, side, side) if image.shape[0] != side else image


def turned_portraits(teacher: Detector, portraits: Sequence[Labelled], rng: np.random.Generator, each: int) -> list[Labelled]:
    """Every portrait with its head turned `each` times, labelled by the teacher."""
    images = []
    for portrait in portraits:
        for _ in range(each):
            yaw, pitch = np.deg2rad(np.clip(rng.normal(0, (24, 11)), (-50, -25), (50, 25)))
            images.append(turned(portrait.image, portrait.landmarks[0], float(yaw), float(pitch)))
    return label_portraits(teacher, np.stack(images)) if images else []


def view(rng: np.random.Generator, face: Labelled, teacher: Detector | None) -> View:
    """One face in another pose and size, damaged.

    The target is where the teacher sees the landmarks in that very picture, as long as it is sure; else where they were before the damage.
    """
    index = int(rng.choice(np.flatnonzero(face.sure)))
    eyes = float(np.exp(rng.uniform(np.log(_SMALLEST), np.log(_LARGEST))))
    side = 32 * max(2, round(eyes * _AROUND / 32))
    image, points = _pose(rng, face, index, side)
    image = _damage(rng, image)
    if teacher is not None:
        unit = float(np.linalg.norm(points[1] - points[0]))
        for seen in teacher.detect([image])[0]:
            if seen.score >= _SEES and np.hypot(*(seen.landmarks - points).T).mean() < _NEAR * unit:
                points = np.asarray(seen.landmarks, np.float64)
                break
    factor = int(eyes / _KEPT)
    if factor >= 2:
        small = (side // factor, side // factor)
        ratio = side / small[0]
        image = np.asarray(cv2.resize(image, small, interpolation=cv2.INTER_AREA), np.uint8)
        points = (points + 0.5) / ratio - 0.5
    return View(image, points)


def views(sources: Sources, teacher: Detector | None, rng: np.random.Generator, count: int) -> list[View]:
    """So many views, a fifth of them of real frames where there are any."""
    real = [f for f in sources.frames if f.sure.any()]
    faces = []
    for _ in range(count):
        pool = real if real and rng.random() < 0.2 else sources.portraits
        faces.append(view(rng, pool[rng.integers(len(pool))], teacher))
    return faces


def mistakes(detector: BuiltinDetector, sources: Sources, rng: np.random.Generator, pictures: int) -> list[Image]:
    """Close-ups of what a detector takes for a face in so many training pictures and in the backgrounds by themselves, and is none."""
    found = []
    for _ in range(pictures):
        picture = sample(rng, sources)
        for face in detector.detect([picture.image])[0]:
            # Next to a real face is no mistake to learn from: the box may only be off.
            if not len(picture.boxes) or box_overlap(face.box[None], picture.boxes).max() < 0.05:
                found.append(close_up(picture.image, face.landmarks)[0])
    for empty in (fit(b, side) for b in sources.backgrounds for side in (160, 320, 640)):
        found += [close_up(empty, face.landmarks)[0] for face in detector.detect([empty])[0]]
    return found


def _guess(rng: np.random.Generator, points: NDArray[np.float64], *, lost: bool) -> NDArray[np.float64]:
    """What the first look makes of landmarks: mostly little off, at times much; `lost`: beside the face, or over face and clothes."""
    eyes = float(np.linalg.norm(points[1] - points[0]))
    middle = points.mean(axis=0)
    if lost:
        far = rng.uniform(0, 2 * np.pi)
        if rng.random() < 0.5:
            return (points - middle) * rng.uniform(1.8, 2.6) + middle + rng.normal(0, 0.5 * eyes, 2)
        return points + rng.uniform(1.3, 2.2) * eyes * np.array([np.cos(far), np.sin(far)])
    size = eyes * (2.0 if rng.random() < 0.2 else 1.0)
    angle, zoom = np.deg2rad(rng.normal(0, 6)), np.exp(rng.normal(0, 0.1))
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (points - middle) @ turn.T + middle + rng.normal(0, 0.09 * size, 2) + rng.normal(0, 0.07 * size, (5, 2))


def close_up_sample(
    rng: np.random.Generator, faces: Sequence[View], empty: Sequence[Image], wrong: Sequence[Image] = ()
) -> tuple[Image, NDArray[np.float32], float]:
    """A 64x64 close-up, where the landmarks are in it (5, 2) and whether it shows a face.

    Args:
        faces: what to look at.
        empty: pictures without a face.
        wrong: close-ups that the detector took for faces.
    """
    draw = rng.random()
    template = CLOSE_UP.astype(np.float32)
    if wrong and draw < 0.12:
        return degrade.lighting(wrong[rng.integers(len(wrong))], rng), template, 0.0
    if empty and draw < 0.20:
        guess = CLOSE_UP * rng.uniform(1.0, 2.0) + rng.uniform(0, 30, 2)
        return close_up(empty[rng.integers(len(empty))], guess)[0], template, 0.0
    face = faces[rng.integers(len(faces))]
    lost = draw < 0.26
    crop, matrix = close_up(face.image, _guess(rng, face.points, lost=lost))
    if rng.random() < 0.3:
        crop = degrade.lighting(crop, rng, 0.5)
    return (crop, template, 0.0) if lost else (crop, apply_affine(matrix, face.points).astype(np.float32), 1.0)


def batches(
    faces: Sequence[View], empty: Sequence[Image], wrong: Sequence[Image], batch: int, seed: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Endless batches: crops (N, 3, 64, 64) uint8, landmarks (N, 5, 2), face or not (N,)."""
    rng = np.random.default_rng(seed)
    while True:
        crops, points, known = zip(*(close_up_sample(rng, faces, empty, wrong) for _ in range(batch)), strict=True)
        images = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).contiguous()
        yield images, torch.from_numpy(np.stack(points)), torch.tensor(known)


def train(
    faces: Sequence[View],
    empty: Sequence[Image],
    wrong: Sequence[Image],
    *,
    steps: int,
    batch: int = 128,
    peak: float = 3e-3,
    seed: int = 0,
    device: str = "cpu",
    bf16: bool = False,
) -> LandmarkNet:
    """Train from scratch (a matter of minutes, hence no checkpoints); returns the averaged network."""
    torch.manual_seed(seed)
    net = LandmarkNet(normalise=True).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(net)
    optimiser = torch.optim.AdamW(net.parameters(), lr=peak, weight_decay=1e-3)
    source = batches(faces, empty, wrong, batch, seed)
    template = torch.from_numpy(CLOSE_UP).float().to(device)
    eyes = float(np.linalg.norm(CLOSE_UP[1] - CLOSE_UP[0]))
    total = 0.0
    step = 0
    while step < steps:
        images, points, known = (t.to(device) for t in next(source))
        for _ in range(2):  # each crop and its mirror image
            images = images.flip(-1)
            points = torch.stack([63 - points[..., 0], points[..., 1]], dim=-1)[:, MIRROR]
            for group in optimiser.param_groups:
                group["lr"] = rate(step, steps, peak)
            with torch.autocast(device, torch.bfloat16, enabled=bf16):
                y = net(((images.float() - 127.5) / 64).contiguous(memory_format=torch.channels_last)).float()
            error = ((template + y[:, :10].view(-1, 5, 2) * OFFSET - points) / eyes).norm(dim=-1)
            loss = (error * known[:, None]).mean() * 10 + 0.2 * F.binary_cross_entropy_with_logits(y[:, 10], known)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimiser.step()
            total += float((error.detach() * known[:, None]).sum() / (5 * known.sum()))
            step += 1
            with torch.no_grad():
                keep = min(0.998, step / (step + 10))
                for a, b in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
                    if a.is_floating_point():
                        a.lerp_(b, 1 - keep)
                    else:
                        a.copy_(b)
            if step % 100 == 0:
                print(f"step {step}/{steps} landmark error {total:.2f}% of the eye distance", flush=True)
                total = 0.0
    return average


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--detector", type=Path, required=True, help="by train_detector; from an earlier run of this, its mistakes count too"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/landmarks"))
    parser.add_argument("--steps", type=int, default=6500)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--views", type=int, default=15000)
    parser.add_argument("--bf16", action="store_true", help="twice as fast where the processor has it")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    sources = load_sources()
    rng = np.random.default_rng(options.seed)
    state = load_file(options.detector)
    first = {k: v for k, v in state.items() if not k.startswith("refine.")}
    wrong = mistakes(BuiltinDetector(detector_from_state_dict(first), threshold=0.25), sources, rng, 500)
    if len(state) > len(first):
        wrong += mistakes(BuiltinDetector(detector_from_state_dict(state), threshold=0.15), sources, rng, 900)
    print(f"{len(wrong)} mistakes to learn from", flush=True)
    teacher = load_teacher()
    turns = turned_portraits(teacher, sources.portraits, rng, 2)
    faces = views(replace(sources, portraits=sources.portraits + turns), teacher, rng, options.views)
    empty = [_damage(rng, background(rng, sources.backgrounds, SIDE)) for _ in range(options.views // 10)]
    print(f"{len(faces)} faces to learn from", flush=True)
    net = train(faces, empty, wrong, steps=options.steps, seed=options.seed, device=options.device, bf16=options.bf16)
    options.out.mkdir(parents=True, exist_ok=True)
    second = {f"refine.{k}": v.cpu() for k, v in fold(net).items()}
    save_file(first | second, options.out / "face-det.safetensors", metadata={"format": "pt", "name": "face-det"})


if __name__ == "__main__":
    main()
