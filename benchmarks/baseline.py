"""How much faster than the plain way? The plain way: the same weights and encoder, one frame after the other.

Every frame is detected: by the built-in detector in 640 pixels, as gpenvid does, or with `--detector` by RetinaFace in all of its
pixels, as GPEN's own loop does (on ResNet-50). Every crop goes through the network by itself in float32 with per-sample weights
(modulated convolution as StyleGAN2's published form has it: weights times style, grouped by sample, blur by padding and a convolution
on single planes), and is pasted into a full-frame float picture through a full-frame mask. Nothing overlaps.

Prints Markdown: the generator alone in all forms, then a clip end to end plainly and by gpenvid as it comes (in bf16 where the
hardware has it). Ratios come from one run. On a machine that does
other work too, run it with OMP_NUM_THREADS=1 and compare processor times: threads that share one layer wait for each other.
"""

from __future__ import annotations

import argparse
import math
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from unittest import mock

import av
import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import gpenvid
from gpenvid import RestoreSettings
from gpenvid.blend.mask import face_ellipse
from gpenvid.faces.align import crop_affine, similarity_parameters
from gpenvid.faces.detector import Detector, RGBImage
from gpenvid.faces.placed import PlacedDetector
from gpenvid.faces.retinaface import RetinaFaceDetector
from gpenvid.faces.retinaface_net import RetinaFaceNet
from gpenvid.geometry import Face
from gpenvid.job.analyse import VIDEO_DETECTION_SIZE
from gpenvid.job.bench.clip import official_shape, write_clip, write_random_weights
from gpenvid.job.models import open_detector, open_restorer
from gpenvid.job.progress import Silent
from gpenvid.restore.cards import find_card
from gpenvid.restore.choices import fast_bf16, openvino_version
from gpenvid.restore.fused import FusedGenerator
from gpenvid.restore.gpen import GpenGenerator, generator_from_state_dict
from gpenvid.restore.weights import obtain, read_state_dict


class PlainGenerator:
    """GPEN's forward pass as published: per-sample weights, separate element-wise steps, channels first."""

    def __init__(self, network: GpenGenerator) -> None:
        self.network = network

    @torch.inference_mode()
    def __call__(self, x: Tensor) -> Tensor:
        features = []
        x = x.contiguous()
        for i in range(len(self.network.shape.channels)):
            x = self._encode(x, self.network.encoder_stage(i))
            features.append(x)
        prior = self.network.generator
        style = prior.style(self.network.final_linear(x.flatten(1)))
        features.reverse()
        x = self._styled(prior.input.input.repeat(len(style), 1, 1, 1), style, prior.conv1, features[0])
        rgb = self._to_rgb(x, style, prior.to_rgb1, None)
        for level, to_rgb in enumerate(prior.to_rgbs):
            for layer in prior.convs[2 * level : 2 * level + 2]:
                x = self._styled(x, style, layer, features[level + 1])
            rgb = self._to_rgb(x, style, to_rgb, rgb)
        return rgb

    @staticmethod
    def _blur(x: Tensor, kernel: Tensor, pad: tuple[int, int]) -> Tensor:
        """A low-pass on single planes. `kernel` is (4, 4)."""
        planes = F.pad(x.reshape(-1, 1, *x.shape[2:]), (*pad, *pad))
        return F.conv2d(planes, kernel[None, None]).view(*x.shape[:2], *(n + sum(pad) - 3 for n in x.shape[2:]))

    @staticmethod
    def _activate(x: Tensor, bias: Tensor) -> Tensor:
        return F.leaky_relu(x + bias.view(1, -1, 1, 1), 0.2) * math.sqrt(2)

    def _encode(self, x: Tensor, stage: torch.nn.Sequential) -> Tensor:
        *blur, conv, bias = stage
        if blur:
            x = self._blur(x, blur[0].kernel[0, 0], (2, 2))
        return self._activate(F.conv2d(x, conv.weight * conv.scale, stride=conv.stride), bias.bias)

    def _modulated(self, x: Tensor, style: Tensor, conv: torch.nn.Module) -> Tensor:
        batch, inputs, height, width = x.shape
        weight = conv.weight * conv.scale * conv.modulation(style).view(batch, 1, inputs, 1, 1)
        if conv.demodulate:
            weight = weight * torch.rsqrt(weight.pow(2).sum([2, 3, 4]) + 1e-8).view(batch, -1, 1, 1, 1)
        outputs, side = weight.shape[1], weight.shape[3]
        x = x.reshape(1, batch * inputs, height, width)
        if conv.blur is None:
            y = F.conv2d(x, weight.view(batch * outputs, inputs, side, side), padding=conv.padding, groups=batch)
            return y.view(batch, outputs, height, width)
        weight = weight.transpose(1, 2).reshape(batch * inputs, outputs, side, side)
        y = F.conv_transpose2d(x, weight, stride=2, groups=batch).view(batch, outputs, 2 * height + 1, 2 * width + 1)
        return self._blur(y, conv.blur.kernel[0, 0], (1, 1))

    def _styled(self, x: Tensor, style: Tensor, layer: torch.nn.Module, features: Tensor) -> Tensor:
        y = self._modulated(x, style, layer.conv)
        return self._activate(torch.cat((y, layer.noise.weight * features), dim=1), layer.activate.bias)

    def _to_rgb(self, x: Tensor, style: Tensor, layer: torch.nn.Module, before: Tensor | None) -> Tensor:
        rgb = self._modulated(x, style, layer.conv) + layer.bias
        if before is None:
            return rgb
        # Zeros between the samples, then the low-pass: upfirdn2d's plain form.
        wide = before.new_zeros(*before.shape[:2], 2 * before.shape[2], 2 * before.shape[3])
        wide[:, :, ::2, ::2] = before
        return rgb + self._blur(wide, layer.kernel[0, 0], (2, 1))


class Seconds(dict[str, float]):
    """Wall seconds by stage."""

    @contextmanager
    def of(self, stage: str) -> Iterator[None]:
        """Add the time of a block."""
        start = time.perf_counter()
        yield
        self[stage] = self.get(stage, 0.0) + time.perf_counter() - start


class ResNetsTime:
    """The built-in detector's faces in the time of RetinaFace on ResNet-50, whose file of 109 MB is not needed to know that."""

    name = "retinaface-resnet50"

    def __init__(self, faces: Detector) -> None:
        self._faces = faces
        self._resnet = RetinaFaceDetector(RetinaFaceNet("resnet50").eval(), threshold=1.0)
        self.sure, self.close_look = faces.sure, faces.close_look

    def detect(self, images: Sequence[RGBImage]) -> list[list[Face]]:
        """See `Detector.detect`."""
        self._resnet.detect(images)
        return self._faces.detect(images)


def open_finder(name: str) -> Detector:
    """The detector for both ways."""
    if name == ResNetsTime.name:
        return ResNetsTime(open_detector("builtin", "cpu", Silent()))
    return open_detector(name, "cpu", Silent())


def restore_plainly(
    source: Path, output: Path, network: PlainGenerator, size: int, detector: Detector, longest: float, preset: str
) -> tuple[int, Seconds]:
    """Restore a clip the plain way, detecting in pictures of at most `longest` pixels; returns frames and seconds by stage."""
    seconds, count = Seconds(), 0
    mask = face_ellipse(size, 0.2097)
    with av.open(str(source)) as reader, av.open(str(output), "w") as writer:
        stream = reader.streams.video[0]
        encoder = writer.add_stream("libx264", rate=stream.average_rate, options={"preset": preset, "crf": "16"})
        encoder.width, encoder.height, encoder.pix_fmt = stream.width, stream.height, "yuv420p"
        frames = reader.decode(stream)
        while True:
            with seconds.of("decode"):
                picture = next(frames, None)
                if picture is None:
                    break
                rgb = picture.to_ndarray(format="rgb24")
            with seconds.of("detect"):
                factor = min(1.0, longest / max(rgb.shape[:2]))
                small = cv2.resize(rgb, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
                (faces,) = detector.detect([small])
            canvas = rgb.astype(np.float32) / 255
            for face in faces[:1]:  # best first; the clip has one
                to_crop = crop_affine(similarity_parameters(face.landmarks / factor), size)
                with seconds.of("restore"):
                    crop = cv2.warpAffine(canvas, to_crop, (size, size), borderMode=cv2.BORDER_REFLECT_101)
                    x = torch.from_numpy(crop).permute(2, 0, 1)[None] * 2 - 1
                    y = (network(x)[0].permute(1, 2, 0).numpy() + 1) / 2
                with seconds.of("blend"):
                    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
                    full = cv2.warpAffine(np.ascontiguousarray(y), to_crop, rgb.shape[1::-1], flags=flags)
                    share = cv2.warpAffine(mask, to_crop, rgb.shape[1::-1], flags=flags)[:, :, None]
                    canvas = canvas * (1 - share) + full * share
            with seconds.of("blend"):
                result = np.rint(np.clip(canvas, 0, 1) * 255).astype(np.uint8)
            with seconds.of("encode"):
                frame = av.VideoFrame.from_ndarray(result, "rgb24").reformat(format="yuv420p")
                frame.pts, frame.time_base = count, Fraction(1, 1) / stream.average_rate
                writer.mux(encoder.encode(frame))
            count += 1
        with seconds.of("encode"):
            writer.mux(encoder.encode(None))
    return count, seconds


def fastest(forward: Callable[[], object], runs: int) -> float:
    """Least wall seconds of several runs, after one to warm up: what other work does to a machine only adds."""
    forward()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        forward()
        times.append(time.perf_counter() - start)
    return min(times)


def compare_generators(name: str, network: GpenGenerator, runs: int) -> str:
    """One row: the plain form, the batching form and those used on CPUs, in float32 and where hardware computes it in bf16."""
    x = torch.rand(1, 3, network.shape.size, network.shape.size) * 2 - 1
    plain, fused = PlainGenerator(network), FusedGenerator(network)
    expected = plain(x)
    error = float((fused(x) - expected).norm() / expected.norm())
    wide = x.contiguous(memory_format=torch.channels_last)
    network.fold()
    with torch.inference_mode():
        seconds = [fastest(lambda: plain(x), runs), fastest(lambda: network(wide), runs), fastest(lambda: fused(x), runs)]
    lossy: list[Callable[[Tensor], Tensor]] = [FusedGenerator(network, torch.bfloat16)]
    if openvino_version():
        from gpenvid.restore.compiled import CompiledGenerator

        lossy.append(CompiledGenerator(network, torch.bfloat16, at_once=1, threads=torch.get_num_threads()))
    seconds += [fastest(lambda f=f: f(x), runs) if fast_bf16(torch.device("cpu")) else math.nan for f in lossy]  # type: ignore[misc]
    losses = [float((f(x) - expected).norm() / expected.norm()) for f in lossy]
    seconds += [math.nan] * (5 - len(seconds))
    milliseconds = " | ".join(f"{s * 1e3:.0f}" for s in seconds)
    ratios = " | ".join(f"{seconds[0] / s:.2f}" for s in seconds[2:])
    return f"| {name} | {milliseconds} | {ratios} | {', '.join(f'{e:.0e}' for e in (error, *losses))} |"


def compare_clips(model: str, path: Path, finder: str, width: int, height: int, frames: int, preset: str) -> str:
    """One row: a clip end to end, plainly and by gpenvid."""
    network = generator_from_state_dict(read_state_dict(path))
    detector = open_finder(finder)
    plain_detector = detector.detector if isinstance(detector, PlacedDetector) else detector
    longest = VIDEO_DETECTION_SIZE if finder == "builtin" else math.inf
    with tempfile.TemporaryDirectory() as folder:
        source = write_clip(Path(folder) / "clip.mp4", width, height, faces=1, frames=frames)
        start, worked = time.perf_counter(), time.process_time()
        size = network.shape.size
        count, seconds = restore_plainly(source, Path(folder) / "plain.mp4", PlainGenerator(network), size, plain_detector, longest, preset)
        plain, plain_work = count / (time.perf_counter() - start), (time.process_time() - worked) / count
        settings = RestoreSettings(model=str(path), device="cpu", preset=preset, only=(1,))
        worked = time.process_time()
        open_restorer(settings, Silent())
        open_finder(finder)
        loading = time.process_time() - worked  # the plain way has its models loaded
        worked = time.process_time() + loading
        with mock.patch("gpenvid.job.models.open_detector", return_value=detector):
            report = gpenvid.restore(source, Path(folder) / "ours.mp4", settings)
        ours, our_work = report.frames / report.timing["wall"], (time.process_time() - worked) / report.frames
    stages = ", ".join(f"{name} {1e3 * s / count:.0f}" for name, s in seconds.items())
    work = f"{1e3 * plain_work:.0f} | {1e3 * our_work:.0f} | {plain_work / our_work:.2f}"
    return f"| {model} | {finder} | {width}x{height}, {count} | {plain:.2f} | {ours:.2f} | {ours / plain:.2f} | {work} | {stages} |"


def table(*columns: str) -> str:
    """The head of a Markdown table."""
    return f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|"


def main() -> None:
    """Run and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="256,512", help="official layouts, random weights, for the generator alone")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--preset", default="veryfast")
    parser.add_argument("--detector", default="builtin", choices=("builtin", "retinaface-mobilenet", "retinaface-resnet50"))
    parser.add_argument("--no-clip", action="store_true", help="the generator alone")
    parser.add_argument("--no-generator", action="store_true", help="the clip alone")
    options = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}\n")
    with tempfile.TemporaryDirectory() as folder:
        built_in = obtain(find_card("gpen-lite-256", "restorer"))
        models = {"gpen-lite-256": built_in}
        for size in filter(None, options.sizes.split(",")):
            path = Path(folder) / f"gpen-{size}.safetensors"
            models[f"GPEN-{size} layout"] = write_random_weights(path, official_shape(int(size)))
        print(
            table(
                "generator, batch 1",
                "plain ms",
                "batching form ms",
                "CPU form ms",
                "in bf16",
                "OpenVINO, bf16",
                "plain / CPU form",
                "plain / bf16",
                "plain / OpenVINO",
                "relative differences",
            )
        )
        for name, path in () if options.no_generator else models.items():
            print(compare_generators(name, generator_from_state_dict(read_state_dict(path)), options.runs), flush=True)
        if options.no_clip:
            return
        work = "plain processor ms", "gpenvid processor ms", "ratio", "plain: ms per frame by stage"
        print("\n" + table("clip, one face", "detector", "size, frames", "plain fps", "gpenvid fps", "ratio", *work))
        for name, path in list(models.items())[:2]:
            print(compare_clips(name, path, options.detector, options.width, options.height, options.frames, options.preset), flush=True)


if __name__ == "__main__":
    main()
