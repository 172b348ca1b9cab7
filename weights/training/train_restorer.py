"""Train the built-in restorer: `python -m weights.training.train_restorer --out runs/restorer`.

`--begin FILE` goes on from a GPEN file of the same or any other shape instead of from random weights. With `--freeze-below SIZE` only
the layers that work at SIZE pixels and above are trained; the others stay as they are in FILE, bit for bit.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from gpenvid.restore.gpen import GpenGenerator, GpenShape, generator_from_state_dict
from weights.training.damage_faces import training_pair
from weights.training.data import SHARED, Image, load_portraits, portrait_files
from weights.training.identity import Identity
from weights.training.restorer_loss import FaceFeatures, LossWeights, restorer_loss
from weights.training.teacher import load_teacher

SHAPE = GpenShape(size=256, style_dim=256, n_mlp=4, channels=(128, 128, 128, 128, 64, 32, 16))
AVERAGING = 0.998
PLAIN = LossWeights()
PARTS = ("pixels", "gradients", "features", "identity")


def resolution(key: str, size: int) -> int:
    """The side in pixels at which a tensor of a GPEN network with `size` x `size` output works; 0 for the style network and its input."""
    place = key.split(".")
    if place[0].startswith("ecd"):
        return size >> int(place[0].removeprefix("ecd"))
    if place[0] == "generator" and place[1] == "convs":
        return 8 << int(place[2]) // 2
    if place[0] == "generator" and place[1] == "to_rgbs":
        return 8 << int(place[2])
    return 4 if place[0] == "generator" and place[1] in ("input", "conv1", "to_rgb1") else 0


def to_tensor(images: list[Image]) -> Tensor:
    """Pictures (H, W, 3) uint8 as (N, 3, H, W) uint8."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()


class Pairs(IterableDataset[tuple[Tensor, Tensor]]):
    """Endless batches of damaged and clean faces, (N, 3, 256, 256) uint8; every worker and every `start` has its own seed."""

    def __init__(self, portraits: Image, batch: int, seed: int, start: int, light: float) -> None:
        self.portraits, self.batch, self.seed, self.start, self.light = portraits, batch, seed, start, light

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        info = torch.utils.data.get_worker_info()
        rng = np.random.default_rng((self.seed, self.start, info.id if info else 0))
        cv2.setNumThreads(1)
        while True:
            chosen = rng.integers(0, len(self.portraits), self.batch)
            pairs = [training_pair(rng, self.portraits[i], self.light) for i in chosen]
            yield to_tensor([p[0] for p in pairs]), to_tensor([p[1] for p in pairs])


def rate(step: int, steps: int, peak: float) -> float:
    """Learning rate: short warm-up, flat, and down to a hundredth over the last half (so that `--steps` may change on resuming)."""
    return peak * min((step + 1) / 100, max(0.01, min(1.0, (steps - step) / (0.5 * steps))))


def train(
    out: Path,
    portraits: Image,
    *,
    steps: int,
    begin: Path | None = None,
    shape: GpenShape = SHAPE,
    batch: int = 8,
    peak: float = 1e-3,
    weights: LossWeights = PLAIN,
    light: float = 0.0,
    freeze_below: int = 0,
    seed: int = 0,
    workers: int = 1,
    save_every: int = 200,
    compiled: bool = False,
    bf16: bool = False,
    device: str = "cpu",
) -> GpenGenerator:
    """Train, or go on training from `out/checkpoint.pt`; writes the averaged network to `out/gpen-lite-256.safetensors`.

    Layers that work below `freeze_below` pixels stay as they were; `light` is the share of pictures that are damaged lightly at most;
    with `bf16` convolutions are computed in bf16, weights, their updates and the loss in float32.

    Returns:
        the network with averaged weights.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    net = generator_from_state_dict(dict(load_file(begin))) if begin else GpenGenerator(shape)
    net = net.to(device)
    for key, tensor in net.named_parameters():
        tensor.requires_grad_(resolution(key, net.shape.size) >= freeze_below)
    average = copy.deepcopy(net)
    features = FaceFeatures(load_teacher().net).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    identity = Identity(SHARED / "weights" / "foamliu_MobileFaceNet.onnx").to(device) if weights.identity else None
    learning = [p for p in net.parameters() if p.requires_grad]
    averages = [a for a, p in zip(average.parameters(), net.parameters(), strict=True) if p.requires_grad]
    optimiser = torch.optim.Adam(learning, lr=peak, betas=(0.9, 0.99))
    step = 0
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device, weights_only=True)
        net.load_state_dict(saved["net"])
        average.load_state_dict(saved["average"])
        optimiser.load_state_dict(saved["optimiser"])
        step = saved["step"]

    def objective(source: Tensor, clean: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=bf16):
            output = net(source)
        return restorer_loss(output.float(), source, clean, features, identity, weights)

    # One compiled function from pixels to loss: the element-wise work between the convolutions costs more than they do.
    forward = torch.compile(objective) if compiled else objective
    # Spawned, not forked: a forked copy of OpenCV's and OpenMP's thread pools hangs.
    context = "spawn" if workers else None
    data = Pairs(portraits, batch, seed, step, light)
    loader = DataLoader(data, None, num_workers=workers, prefetch_factor=8 if workers else None, multiprocessing_context=context)
    batches = iter(loader)
    sums = torch.zeros(4 if identity else 3)
    started, first = time.monotonic(), step
    while step < steps:
        pair = [t.to(device).contiguous(memory_format=torch.channels_last).float() / 127.5 - 1 for t in next(batches)]
        for group in optimiser.param_groups:
            group["lr"] = rate(step, steps, peak)
        loss, parts = forward(*pair)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        step += 1
        with torch.no_grad():
            keep = min(AVERAGING, step / (step + 10))
            torch._foreach_lerp_(averages, learning, 1 - keep)
        sums += parts.cpu()
        if step % 20 == 0:
            pace = (time.monotonic() - started) / (step - first)
            found = " ".join(f"{name} {value:.4f}" for name, value in zip(PARTS, (sums / 20).tolist(), strict=False))
            print(f"step {step}/{steps} {pace:.3f} s/step {found}", flush=True)
            sums.zero_()
        if step % save_every == 0 or step == steps:
            torch.save(
                {"net": net.state_dict(), "average": average.state_dict(), "optimiser": optimiser.state_dict(), "step": step},
                out / "checkpoint.new",
            )
            (out / "checkpoint.new").replace(checkpoint)
            state = {k: v.half().cpu().contiguous() for k, v in average.state_dict().items()}
            save_file(state, out / "gpen-lite-256.safetensors", metadata={"format": "pt", "name": "gpen-lite-256"})
    return average


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/restorer"))
    parser.add_argument("--begin", type=Path, help="safetensors file to go on from")
    parser.add_argument("--steps", type=int, default=20000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--features", type=float, default=0.5, help="weight of the feature distance")
    parser.add_argument("--identity", type=float, default=0.0, help="weight of the identity distance (needs the package onnx)")
    parser.add_argument("--even", type=float, default=0.0, help="0: plain errors; 1: each face's loss relative to its damage")
    parser.add_argument("--light", type=float, default=0.0, help="share of the pictures that are damaged lightly at most")
    parser.add_argument("--freeze-below", type=int, default=0, metavar="SIZE", help="train only the layers at SIZE pixels and above")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--bf16", action="store_true", help="convolve in bf16: twice as fast where the hardware does")
    options = parser.parse_args()
    train(
        options.out,
        load_portraits(portrait_files(evaluation=False)),
        steps=options.steps,
        begin=options.begin,
        batch=options.batch,
        peak=options.rate,
        weights=LossWeights(options.features, options.identity, options.even),
        light=options.light,
        freeze_below=options.freeze_below,
        seed=options.seed,
        workers=options.workers,
        compiled=options.compile,
        bf16=options.bf16,
        device=options.device,
    )


if __name__ == "__main__":
    main()
