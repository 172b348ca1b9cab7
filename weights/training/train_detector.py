"""Train the built-in detector: `python -m weights.training.train_detector --out runs/detector`."""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from gpenvid.faces.builtin_net import DetectorNet, DetectorShape, cells
from weights.training import backgrounds
from weights.training.composites import SIDE, Sources, sample
from weights.training.data import load_portraits, portrait_files
from weights.training.detector_loss import detector_loss, pack
from weights.training.teacher import label_frames, label_portraits, load_teacher, training_frames

SHAPE = DetectorShape(widths=(16, 32, 64, 96, 128, 160), depths=(1, 3, 4, 2, 1), pyramid=64)


def load_sources(limit: int | None = None) -> Sources:
    """Label all portraits and frames with the teacher. `limit` takes only so many portraits and no frames, for a quick try."""
    teacher = load_teacher()
    portraits = label_portraits(teacher, load_portraits(portrait_files(evaluation=False)[:limit]))
    frames = [] if limit else label_frames(teacher, training_frames())
    pool = backgrounds.photos() + [f.image for f in frames if not len(f.boxes)]
    return Sources(portraits, frames, pool)


class Composites(IterableDataset[tuple[Tensor, Tensor, Tensor]]):
    """Endless packed batches; every worker and every `start` has its own seed."""

    def __init__(self, sources: Sources, batch: int, seed: int, start: int) -> None:
        self.sources, self.batch, self.seed, self.start = sources, batch, seed, start

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        info = torch.utils.data.get_worker_info()
        rng = np.random.default_rng((self.seed, self.start, info.id if info else 0))
        cv2.setNumThreads(1)
        while True:
            yield pack([sample(rng, self.sources) for _ in range(self.batch)])


def vary(images: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    """Another view of a packed batch for little work: mirrored, with another brightness and contrast. Images become network input."""
    mirrored = faces.clone()
    mirrored[..., [0, 2]] = SIDE - 1 - faces[..., [2, 0]]
    points = faces[..., 4:].unflatten(-1, (5, 2))[..., [1, 0, 2, 4, 3], :].clone()
    points[..., 0] = SIDE - 1 - points[..., 0]
    mirrored[..., 4:] = points.flatten(-2)
    shape = (len(images), 1, 1, 1)
    x = (images.flip(-1).float() - 127.5) / 64
    return x * (1 + 0.15 * torch.randn(shape)) + 0.15 * torch.randn(shape), mirrored


def fold(net: nn.Module) -> dict[str, Tensor]:
    """The state dict with every batch normalisation folded into the convolution before it, in half precision."""
    state: dict[str, Tensor] = {}
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d):
            weight, bias = module.weight.detach(), module.bias
            unit = net.get_submodule(name.rpartition(".")[0])
            norm = getattr(unit, "norm", None)
            if isinstance(norm, nn.BatchNorm2d):
                assert norm.running_mean is not None
                assert norm.running_var is not None
                gain = norm.weight.detach() * torch.rsqrt(norm.running_var + norm.eps)
                weight, bias = weight * gain[:, None, None, None], norm.bias.detach() - norm.running_mean * gain
            assert bias is not None
            state[f"{name}.weight"], state[f"{name}.bias"] = weight.half().contiguous(), bias.detach().half().contiguous()
        elif isinstance(module, nn.Linear):
            state[f"{name}.weight"], state[f"{name}.bias"] = module.weight.detach().half(), module.bias.detach().half()
    return state


def rate(step: int, steps: int, peak: float) -> float:
    """Learning rate: short warm-up, flat, and down to a hundredth over the last 40% (so that `--steps` may change on resuming)."""
    if step < 200:
        return peak * (step + 1) / 200
    left = (steps - step) / (0.4 * steps)
    return peak * max(0.01, min(1.0, left))


def train(
    out: Path,
    sources: Sources,
    *,
    steps: int,
    batch: int = 8,
    peak: float = 3e-3,
    seed: int = 0,
    workers: int = 1,
    save_every: int = 250,
    compiled: bool = False,
    device: str = "cpu",
) -> DetectorNet:
    """Train, or go on training from `out/checkpoint.pt`; writes the averaged network to `out/face-det.safetensors`.

    Returns:
        the network with averaged weights, normalisation not folded.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    net = DetectorNet(SHAPE, normalise=True).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    for head in net.outputs:
        nn.init.constant_(head.bias, 0.0)
        nn.init.constant_(head.bias[:1], -4.0)
    average = copy.deepcopy(net)
    optimiser = torch.optim.AdamW(net.parameters(), lr=peak, weight_decay=1e-4)
    step = 0
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device, weights_only=True)
        net.load_state_dict(saved["net"])
        average.load_state_dict(saved["average"])
        optimiser.load_state_dict(saved["optimiser"])
        step = saved["step"]
    forward = torch.compile(net) if compiled else net
    where = cells(SIDE, SIDE).to(device)
    # Spawned, not forked: a forked copy of OpenCV's and OpenMP's thread pools hangs.
    context = "spawn" if workers else None
    data = Composites(sources, batch, seed, step)
    loader = DataLoader(data, None, num_workers=workers, prefetch_factor=8 if workers else None, multiprocessing_context=context)
    batches = iter(loader)
    net.train()
    sums: dict[str, float] = {}
    started, first = time.monotonic(), step
    while step < steps:
        images, faces, state = next(batches)
        for _ in range(2):  # composing costs as much as a step: use each picture and its mirror image
            x, faces = vary(images, faces)
            images = images.flip(-1)
            for group in optimiser.param_groups:
                group["lr"] = rate(step, steps, peak)
            x = x.to(device).contiguous(memory_format=torch.channels_last)
            losses = detector_loss(forward(x), faces.to(device), state.to(device), where)
            optimiser.zero_grad(set_to_none=True)
            losses["total"].backward()
            nn.utils.clip_grad_norm_(net.parameters(), 10.0)
            optimiser.step()
            step += 1
            with torch.no_grad():
                keep = min(0.998, step / (step + 10))
                for a, b in zip(average.state_dict().values(), net.state_dict().values(), strict=True):
                    if a.is_floating_point():
                        a.lerp_(b, 1 - keep)
                    else:
                        a.copy_(b)
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach())
            if step % 50 == 0:
                pace = (time.monotonic() - started) / (step - first)
                print(f"step {step}/{steps} {pace:.3f} s/step " + " ".join(f"{k} {v / 50:.4f}" for k, v in sums.items()), flush=True)
                sums = {}
            if step % save_every == 0 or step == steps:
                saved = {"net": net.state_dict(), "average": average.state_dict(), "optimiser": optimiser.state_dict(), "step": step}
                torch.save(saved, out / "checkpoint.new")
                (out / "checkpoint.new").replace(checkpoint)
                save_file(fold(average), out / "face-det.safetensors", metadata={"format": "pt", "name": "face-det"})
            if step >= steps:
                break
    return average


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/detector"))
    parser.add_argument("--steps", type=int, default=20000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    train(
        options.out,
        load_sources(),
        steps=options.steps,
        batch=options.batch,
        seed=options.seed,
        workers=options.workers,
        compiled=options.compile,
        device=options.device,
    )


if __name__ == "__main__":
    main()
