"""Measure the built-in restorer: `python -m weights.training.evaluate_restorer --sheet restorer.png`.

Held-out portraits at three fixed levels of damage (and undamaged), the pairs of `media/stills`, and flicker. Per row, before and after:
PSNR in dB against the original; identity cosine (MobileFaceNet) to the original; distance of RetinaFace features to the original's.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from gpenvid.restore.gpen import generator_from_state_dict
from weights.training.colour import keep_source_colour
from weights.training.damage_faces import LEVELS, degrade_face
from weights.training.data import SHARED, WEIGHTS, Image, load_portraits, portrait_files, read_image, write_image
from weights.training.restorer_loss import FaceFeatures, feature_distance
from weights.training.teacher import load_teacher

# ArcFace's template in a 112x112 crop.
_IDENTITY_POINTS = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32
)


@dataclass(frozen=True)
class Quality:
    """Means over some pictures."""

    psnr: float
    identity: float
    features: float


class Judge:
    """Compares faces with their originals. `identity` needs onnxruntime; without it that column is NaN."""

    def __init__(self, shared: Path = SHARED, *, identity: bool = True) -> None:
        self.teacher = load_teacher(0.5, shared)
        self.features = FaceFeatures(self.teacher.net)
        self.session = None
        if identity:
            import onnxruntime

            self.session = onnxruntime.InferenceSession(str(shared / "weights" / "foamliu_MobileFaceNet.onnx"))

    def _embed(self, image: Image, matrix: NDArray[np.float64]) -> NDArray[np.float32]:
        assert self.session is not None
        crop = cv2.warpAffine(image, matrix, (112, 112), flags=cv2.INTER_AREA)
        x = ((crop.astype(np.float32) - 127.5) / 127.5).transpose(2, 0, 1)[None]
        vector = np.asarray(self.session.run(None, {self.session.get_inputs()[0].name: x})[0], np.float32)[0]
        return vector / np.linalg.norm(vector)

    def identity(self, image: Image, original: Image) -> float:
        """Cosine between the identities of two aligned pictures; NaN where the original shows no sure face."""
        faces = self.teacher.detect([original])[0] if self.session else []
        if not faces:
            return float("nan")
        matrix, _ = cv2.estimateAffinePartial2D(faces[0].landmarks, _IDENTITY_POINTS, method=cv2.LMEDS)
        return float(self._embed(image, matrix) @ self._embed(original, matrix))

    @torch.inference_mode()
    def quality(self, images: Image, originals: Image) -> Quality:
        """Judge pictures (N, H, W, 3) uint8 against their originals."""
        error = (images.astype(np.float32) - originals).reshape(len(images), -1)
        psnr = float(np.mean(10 * np.log10(255**2 / np.maximum(np.square(error).mean(axis=1), 1e-6))))
        distances = [
            feature_distance(self.features(to_network(images[i : i + 8])), self.features(to_network(originals[i : i + 8])))
            for i in range(0, len(images), 8)
        ]
        identity = np.nanmean([self.identity(a, b) for a, b in zip(images, originals, strict=True)]) if self.session else np.nan
        return Quality(psnr, float(identity), float(torch.cat(distances).mean()))


def to_network(images: Image) -> Tensor:
    """(N, H, W, 3) uint8 to (N, 3, H, W) float in [-1, 1]."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


@torch.inference_mode()
def restore(net: nn.Module, images: Image, batch: int = 8) -> Image:
    """Restore aligned faces (N, 256, 256, 3) uint8 through the colour step."""
    parts = []
    for start in range(0, len(images), batch):
        x = to_network(images[start : start + batch])
        y = keep_source_colour(net(x), x)
        parts.append(((y.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy())
    return np.concatenate(parts)


def damaged(originals: Image, name: str, seed: int = 0) -> Image:
    """The originals at a level of `LEVELS`, the same damage every time; `sharp` is no damage."""
    if name == "sharp":
        return originals
    rng = np.random.default_rng((seed, *name.encode()))
    return np.stack([degrade_face(rng, image, LEVELS[name]) for image in originals])


def flicker(net: nn.Module, originals: Image, sigma: float = 3.0) -> float:
    """How much two restorations of one face under fresh noise differ, as a multiple of how much the two inputs differ (mean absolute)."""
    rng = np.random.default_rng(0)
    twice = [np.clip(originals + rng.normal(0, sigma, originals.shape), 0, 255).round().astype(np.uint8) for _ in range(2)]
    before = np.abs(twice[0].astype(np.float32) - twice[1]).mean()
    after = np.abs(restore(net, twice[0]).astype(np.float32) - restore(net, twice[1])).mean()
    return float(after / before)


def stills() -> tuple[Image, Image]:
    """The pairs of `media/stills` at 256x256: damaged, originals."""
    folder = SHARED / "media" / "stills" / "pairs"
    names = sorted(p.name[: -len("_lq.png")] for p in folder.glob("*_lq.png"))

    def load(suffix: str) -> Image:
        return np.stack([cv2.resize(read_image(folder / f"{n}{suffix}"), (256, 256), interpolation=cv2.INTER_AREA) for n in names])

    return load("_lq.png"), load("_hq.jpg")


def row(name: str, before: Quality, after: Quality) -> str:
    """A line of the table; where nothing was damaged there is no gain and no ratio."""
    same = before.features < 1e-6
    gain = "" if same else f"{after.psnr - before.psnr:+.2f}"
    ratio = "" if same else f"{after.features / before.features:.2f}"
    psnr = f"{'' if same else f'{before.psnr:.2f}'} | {after.psnr:.2f} | {gain}"
    return f"| {name} | {psnr} | {before.identity:.3f} | {after.identity:.3f} | {before.features:.3f} | {after.features:.3f} | {ratio} |"


HEADER = "| faces | PSNR in | out | gain | identity in | out | features in | out | ratio |\n|---|---|---|---|---|---|---|---|---|"


def sheet(rows: Sequence[Sequence[Image]], scale: int = 1) -> Image:
    """A contact sheet of equally large pictures, row by row."""
    picture = np.concatenate([np.concatenate(list(r), axis=1) for r in rows])
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST), np.uint8)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=WEIGHTS / "gpen-lite-256.safetensors")
    parser.add_argument("--limit", type=int, help="use only so many of the held-out portraits, evenly spaced")
    parser.add_argument("--sheet", type=Path, help="write a contact sheet here: input, output, original")
    options = parser.parse_args()
    net = generator_from_state_dict(dict(load_file(options.weights)))
    judge = Judge()
    files = portrait_files(evaluation=True)
    if options.limit:
        files = files[:: max(1, len(files) // options.limit)][: options.limit]
    originals = load_portraits(files)
    print(f"{len(originals)} held-out portraits\n{HEADER}")
    tiles: list[list[Image]] = []
    for name in ("sharp", *LEVELS):
        source = damaged(originals, name)
        output = restore(net, source)
        print(row(name, judge.quality(source, originals), judge.quality(output, originals)), flush=True)
        picks = np.linspace(0, len(originals) - 1, 8).astype(int)[1::2] + (list(LEVELS).index(name) if name in LEVELS else 0)
        tiles.append([t for i in picks % len(originals) for t in (source[i], output[i], originals[i])])
    source, original = stills()
    output = restore(net, source)
    print(row("media/stills/pairs", judge.quality(source, original), judge.quality(output, original)))
    tiles.append([t for i in range(min(4, len(source))) for t in (source[i], output[i], original[i])])
    tiles[-1] += [np.zeros_like(source[0])] * (len(tiles[0]) - len(tiles[-1]))
    print(
        f"\nflicker under fresh noise of sigma 3: {flicker(net, originals[:32]):.2f} of the input's; {options.weights.stat().st_size} bytes"
    )
    if options.sheet:
        write_image(options.sheet, sheet(tiles))


if __name__ == "__main__":
    main()
