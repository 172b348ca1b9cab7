"""Train the detector's second look: `python -m weights.training.train_landmarks --detector runs/detector/face-det.safetensors`.

Portraits, roughly upright at 64x64 as after a first look that errs, damaged; the target is where the teacher's landmarks went.
Places where the detector sees a face and there is none are collected first and shown as what they are.
Writes the detector's file with the second network in it.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from gpenvid.faces.builtin import BuiltinDetector, close_up
from gpenvid.faces.builtin_net import CLOSE_UP, OFFSET, LandmarkNet, detector_from_state_dict
from gpenvid.faces.nms import box_overlap
from gpenvid.geometry import apply_affine
from weights.training import degrade
from weights.training.backgrounds import background, skin
from weights.training.composites import Sources, sample
from weights.training.data import Image
from weights.training.teacher import Labelled
from weights.training.train_detector import fold, load_sources, rate

_MIRROR = [1, 0, 2, 4, 3]
SIDE = 160  # of the picture the close-up is cut from


def _pose(rng: np.random.Generator, face: Labelled, index: int) -> tuple[Image, NDArray[np.float64]]:
    """A face in another pose, squeezed and sheared, and its landmarks."""
    mirror = rng.random() < 0.5
    squeeze = np.exp(rng.normal(0, 0.08, 2)) * [rng.uniform(0.62, 1.0) if rng.random() < 0.3 else 1.0, 1.0]
    turn = np.deg2rad(rng.normal(0, 12))
    scale = 1.3 * np.linalg.norm(CLOSE_UP[1] - CLOSE_UP[0]) / np.linalg.norm(face.landmarks[index][1] - face.landmarks[index][0])
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    linear = linear @ np.array([[1.0, rng.normal(0, 0.06)], [rng.normal(0, 0.06), 1.0]]) @ np.diag(squeeze * [-1 if mirror else 1, 1])
    points = np.asarray(face.landmarks[index], np.float64)
    matrix = np.column_stack([linear, SIDE / 2 - linear @ points.mean(axis=0)])
    source = face.image
    if scale < 0.6:
        half = (source.shape[1] // 2, source.shape[0] // 2)
        source = np.asarray(cv2.resize(source, half, interpolation=cv2.INTER_AREA), np.uint8)
        reduced = matrix.copy()
        reduced[:, :2] *= 2
        reduced[:, 2] += matrix[:, :2] @ (0.5, 0.5)
    else:
        reduced = matrix
    image = cv2.warpAffine(source, reduced, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    points = apply_affine(matrix, points)
    return np.asarray(image, np.uint8), points[_MIRROR] if mirror else points


def _damage(rng: np.random.Generator, image: Image) -> Image:
    if rng.random() < 0.6:
        image = degrade.lighting(image, rng)
    if rng.random() < 0.3:
        ramp = np.linspace(*rng.uniform(0.3, 1.3, 2), image.shape[1], dtype=np.float32)[None, :, None]
        image = np.clip(image * ramp, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        image = degrade.grey(image)
    if rng.random() < 0.2:
        place = (int(rng.uniform(20, SIDE - 20)), int(rng.uniform(20, SIDE - 20)))
        axes = (int(rng.uniform(4, 22)), int(rng.uniform(4, 22)))
        colour = skin(rng) if rng.random() < 0.5 else tuple(int(v) for v in rng.integers(0, 256, 3))
        image = np.asarray(cv2.ellipse(image.copy(), place, axes, rng.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA), np.uint8)
    if rng.random() < 0.35:
        image = degrade.blur(image, rng, float(np.exp(rng.uniform(np.log(0.5), np.log(5)))))
    elif rng.random() < 0.15:
        image = degrade.motion_blur(image, rng, float(rng.uniform(2, 12)))
    if rng.random() < 0.5:
        image = degrade.shrink(image, rng, float(np.exp(rng.uniform(0, np.log(5)))))
    if rng.random() < 0.4:
        image = degrade.add_noise(image, rng, rng.uniform(2, 18), grain=rng.choice([0.0, 0.7]), mono=bool(rng.random() < 0.5))
    if rng.random() < 0.4:
        image = degrade.jpeg(image, int(rng.integers(20, 95)))
    return degrade.enlarge(image, rng, SIDE, SIDE) if image.shape[0] != SIDE else image


def mistakes(detector: BuiltinDetector, sources: Sources, rng: np.random.Generator, pictures: int) -> list[Image]:
    """Close-ups of what a detector takes for a face in so many training pictures, and is none."""
    found = []
    for _ in range(pictures):
        picture = sample(rng, sources)
        for face in detector.detect([picture.image])[0]:
            # Next to a real face is no mistake to learn from: the box may only be off.
            if not len(picture.boxes) or box_overlap(face.box[None], picture.boxes).max() < 0.05:
                found.append(close_up(picture.image, face.landmarks)[0])
    return found


def close_up_sample(rng: np.random.Generator, sources: Sources, wrong: Sequence[Image] = ()) -> tuple[Image, NDArray[np.float32], float]:
    """A 64x64 close-up, where the landmarks are in it (5, 2) and whether it shows a face; `wrong` are close-ups of no face."""
    if wrong and rng.random() < 0.12:
        return degrade.lighting(wrong[rng.integers(len(wrong))], rng), CLOSE_UP.astype(np.float32), 0.0
    if rng.random() < 0.1:
        image = _damage(rng, background(rng, sources.backgrounds, SIDE))
        guess = CLOSE_UP * rng.uniform(1.0, 2.0) + rng.uniform(0, 30, 2)
        return close_up(image, guess)[0], CLOSE_UP.astype(np.float32), 0.0
    pool = [f for f in sources.frames if f.sure.any()] if rng.random() < 0.15 else sources.portraits
    face = (pool or sources.portraits)[rng.integers(len(pool or sources.portraits))]
    index = int(rng.choice(np.flatnonzero(face.sure)))
    image, points = _pose(rng, face, index)
    # What the first look gets wrong: mostly little, at times much.
    size = float(np.linalg.norm(CLOSE_UP[1] - CLOSE_UP[0])) * 1.3 * (2.0 if rng.random() < 0.2 else 1.0)
    angle, zoom = np.deg2rad(rng.normal(0, 6)), np.exp(rng.normal(0, 0.1))
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = points.mean(axis=0)
    guess = (points - middle) @ turn.T + middle + rng.normal(0, 0.09 * size, 2) + rng.normal(0, 0.07 * size, (5, 2))
    crop, matrix = close_up(_damage(rng, image), guess)
    return crop, apply_affine(matrix, points).astype(np.float32), 1.0


class CloseUps(IterableDataset[tuple[Tensor, Tensor, Tensor]]):
    """Endless batches: crops (N, 3, 64, 64) uint8, landmarks (N, 5, 2), face or not (N,)."""

    def __init__(self, sources: Sources, wrong: Sequence[Image], batch: int, seed: int) -> None:
        self.sources, self.wrong, self.batch, self.seed = sources, wrong, batch, seed

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        info = torch.utils.data.get_worker_info()
        rng = np.random.default_rng((self.seed, info.id if info else 0))
        cv2.setNumThreads(1)
        while True:
            crops, points, faces = zip(*(close_up_sample(rng, self.sources, self.wrong) for _ in range(self.batch)), strict=True)
            images = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).contiguous()
            yield images, torch.from_numpy(np.stack(points)), torch.tensor(faces)


def train(
    sources: Sources,
    wrong: Sequence[Image],
    *,
    steps: int,
    batch: int = 128,
    peak: float = 3e-3,
    seed: int = 0,
    workers: int = 1,
    device: str = "cpu",
) -> LandmarkNet:
    """Train from scratch (a matter of minutes, hence no checkpoints); returns the averaged network."""
    torch.manual_seed(seed)
    net = LandmarkNet(normalise=True).to(device)
    average = copy.deepcopy(net)
    optimiser = torch.optim.AdamW(net.parameters(), lr=peak, weight_decay=1e-3)
    context = "spawn" if workers else None
    loader = DataLoader(
        CloseUps(sources, wrong, batch, seed),
        None,
        num_workers=workers,
        prefetch_factor=8 if workers else None,
        multiprocessing_context=context,
    )
    batches = iter(loader)
    template = torch.from_numpy(CLOSE_UP).float().to(device)
    eyes = float(np.linalg.norm(CLOSE_UP[1] - CLOSE_UP[0]))
    total = 0.0
    step = 0
    while step < steps:
        images, points, faces = (t.to(device) for t in next(batches))
        for _ in range(2):  # each crop and its mirror image
            images = images.flip(-1)
            points = torch.stack([63 - points[..., 0], points[..., 1]], dim=-1)[:, _MIRROR]
            for group in optimiser.param_groups:
                group["lr"] = rate(step, steps, peak)
            y = net((images.float() - 127.5) / 64)
            error = ((template + y[:, :10].view(-1, 5, 2) * OFFSET - points) / eyes).norm(dim=-1)
            loss = (error * faces[:, None]).mean() * 10 + 0.2 * F.binary_cross_entropy_with_logits(y[:, 10], faces)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimiser.step()
            total += float((error.detach() * faces[:, None]).sum() / (5 * faces.sum()))
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
    parser.add_argument("--detector", type=Path, required=True, help="trained by train_detector")
    parser.add_argument("--out", type=Path, default=Path("runs/landmarks"))
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    sources = load_sources()
    first = {k: v for k, v in load_file(options.detector).items() if not k.startswith("refine.")}
    detector = BuiltinDetector(detector_from_state_dict(first), threshold=0.25)
    wrong = mistakes(detector, sources, np.random.default_rng(options.seed), 800)
    print(f"{len(wrong)} mistakes to learn from", flush=True)
    net = train(sources, wrong, steps=options.steps, seed=options.seed, workers=options.workers, device=options.device)
    options.out.mkdir(parents=True, exist_ok=True)
    second = {f"refine.{k}": v.cpu() for k, v in fold(net).items()}
    save_file(first | second, options.out / "face-det.safetensors", metadata={"format": "pt", "name": "face-det"})


if __name__ == "__main__":
    main()
