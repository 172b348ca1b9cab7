"""Make the two sample clips from scikit-image's astronaut portrait (public domain, NASA).

``old_film.mp4`` imitates a scanned silent film, ``interview.mp4`` a starved web video with sound. Both move one still portrait by
motion that is known exactly: `film_transform` and `interview_transform` map portrait pixels to frame pixels, so that tests can
compare a recovered face track with the truth.

Pixel coordinates follow OpenCV throughout: x right, y down, integers at pixel centres.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.reformatter import Colorspace
from numpy.typing import NDArray
from scipy import signal
from skimage import data

Array = NDArray[np.float32]
Affine = NDArray[np.float64]

PORTRAIT_LANDMARKS: Affine = np.array([[203.0, 100.5], [246.0, 103.0], [223.0, 126.5], [204.0, 139.5], [244.5, 140.0]])
"""Eye on the picture's left, eye on its right, nose tip, mouth corner left, right: portrait pixels, read by eye to about 1.5 px."""

FACE_CENTRE = (223.5, 116.0)
"""Middle of the face in portrait pixels: the point both motions turn and zoom about."""

FILM_SIZE = (320, 240)
"""Width and height of the film's frames in pixels."""
FILM_FPS = 18
"""Frames per second, a common speed for silent film."""
FILM_FRAMES = 100
"""Length of the film in frames (5.6 s)."""
FILM_CUT = 50
"""First frame of the second shot."""

INTERVIEW_SIZE = (640, 360)
"""Width and height of the interview's frames in pixels."""
INTERVIEW_FPS = 25
"""Frames per second."""
INTERVIEW_FRAMES = 150
"""Length of the interview in frames (6 s)."""

AUDIO_RATE = 44_100
"""Audio samples per second."""


# --- known motion -----------------------------------------------------------------------------------------------------------------


def _similarity(scale: float, degrees: float, target: tuple[float, float], *, mirrored: bool = False) -> Affine:
    """Return the 2x3 map that takes FACE_CENTRE to `target` (frame px), zooming by `scale` and turning by `degrees` (clockwise)."""
    c, s = scale * math.cos(math.radians(degrees)), scale * math.sin(math.radians(degrees))
    linear = np.array([[c, -s], [s, c]])
    if mirrored:
        linear = linear @ np.diag([-1.0, 1.0])
    shift = np.array(target) - linear @ np.array(FACE_CENTRE)
    return np.hstack([linear, shift[:, None]])


@cache
def _gate_weave() -> Affine:
    """Return the gate's (x, y) error for every film frame in px: a slow wander with a smaller jump from frame to frame on top."""
    rng = np.random.default_rng(1895)
    wander = signal.lfilter([0.25], [1.0, -0.75], rng.standard_normal((FILM_FRAMES, 2)), axis=0)
    jitter = rng.standard_normal((FILM_FRAMES, 2))
    # Registration is worse along the film's travel than across it, so y gets more than x.
    weave = wander * [1.0, 1.5] + jitter * [0.2, 0.4]
    return np.asarray(np.clip(weave, -3.0, 3.0), dtype=np.float64)


def film_transform(frame: int) -> Affine:
    """Return the 2x3 affine from portrait px to px of film frame `frame` (0-based), gate weave included.

    The first shot is wide (eyes about 30 px apart). The second, from FILM_CUT on, is closer (about 44 px) and mirrored, so its linear
    part has a negative determinant and the picture's left eye is on the frame's right.
    """
    if not 0 <= frame < FILM_FRAMES:
        raise ValueError(f"frame must be in 0..{FILM_FRAMES - 1}, got {frame}")
    t = frame / FILM_FPS
    if frame < FILM_CUT:
        scale = 0.70 + 0.012 * math.sin(2 * math.pi * 0.21 * t)
        target = (150.0 + 4.0 * math.sin(2 * math.pi * 0.27 * t), 76.0 + 1.0 * math.sin(2 * math.pi * 0.4 * t))
        matrix = _similarity(scale, 0.5 * math.sin(2 * math.pi * 0.3 * t), target)
    else:
        t -= FILM_CUT / FILM_FPS
        scale = 1.02 + 0.02 * math.sin(2 * math.pi * 0.18 * t)
        target = (142.0 + 6.0 * math.sin(2 * math.pi * 0.25 * t), 106.0 + 2.5 * math.sin(2 * math.pi * 0.35 * t))
        matrix = _similarity(scale, 1.5 * math.sin(2 * math.pi * 0.22 * t), target, mirrored=True)
    matrix[:, 2] += _gate_weave()[frame]
    return matrix


def interview_transform(t: float) -> Affine:
    """Return the 2x3 affine from portrait px to interview frame px at `t` seconds: smooth sinusoids about a seated head's place."""
    scale = 1.30 + 0.06 * math.sin(2 * math.pi * 0.13 * t)
    degrees = 4.0 * math.sin(2 * math.pi * 0.21 * t + 0.6)
    target = (318.0 + 20.0 * math.sin(2 * math.pi * 0.17 * t), 162.0 + 5.0 * math.sin(2 * math.pi * 0.33 * t + 1.0))
    return _similarity(scale, degrees, target)


def map_points(matrix: Affine, points: Affine = PORTRAIT_LANDMARKS) -> Affine:
    """Map (N, 2) portrait px to frame px by a 2x3 affine; without `points`, the five landmarks in the portrait's order."""
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2], dtype=np.float64)


def click_times() -> list[float]:
    """Return when the interview's clicks start, in seconds: one per second, on the half second, clear of both ends of the clip."""
    return [k + 0.5 for k in range(INTERVIEW_FRAMES // INTERVIEW_FPS)]


def _portrait() -> NDArray[np.uint8]:
    """Return the portrait, RGB (512, 512, 3), 0..255."""
    return np.asarray(data.astronaut(), dtype=np.uint8)  # type: ignore[no-untyped-call]


# --- old film ---------------------------------------------------------------------------------------------------------------------


def _gauss(image: Array, sigma: float) -> Array:
    """Blur by a Gaussian of `sigma` px."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), dtype=np.float32)


def _film_stock(portrait: Array) -> Array:
    """Return the RGB portrait as early stock would see it: grey 0..255, nearly blind to red, with a print's steep contrast."""
    grey = portrait @ np.array([0.18, 0.52, 0.30], dtype=np.float32) / 255.0
    curve = grey**0.85
    curve = curve + 0.35 * (curve - 0.5) * (1.0 - np.abs(2.0 * curve - 1.0))
    return np.asarray(22.0 + 205.0 * np.clip(curve, 0.0, 1.0), dtype=np.float32)


def _scratches(rng: np.random.Generator) -> list[tuple[int, int, float, float, float, float]]:
    """Return vertical scratches as (first frame, length in frames, x in px, drift in px per frame, width in px, grey levels added)."""
    marks = []
    for _ in range(16):
        level = rng.uniform(35, 85) * (1 if rng.random() < 0.7 else -1)
        marks.append(
            (
                int(rng.integers(-8, FILM_FRAMES)),
                int(rng.integers(4, 26)),
                float(rng.uniform(5, FILM_SIZE[0] - 5)),
                float(rng.normal(0, 0.35)),
                float(rng.uniform(0.4, 0.75)),
                float(level),
            )
        )
    return marks


def _draw_scratches(image: Array, frame: int, marks: list[tuple[int, int, float, float, float, float]], rng: np.random.Generator) -> None:
    """Add the scratches that cross `frame` to the grey `image`, in place."""
    width, height = FILM_SIZE
    xs = np.arange(width, dtype=np.float64)
    for first, length, x, drift, sigma, level in marks:
        if not first <= frame < first + length:
            continue
        centre = x + drift * (frame - first) + rng.normal(0, 0.25)
        profile = np.exp(-0.5 * ((xs - centre) / sigma) ** 2)
        # A scratch is cut more or less deep along its way, and breaks off in places.
        depth = np.interp(np.arange(height), np.linspace(0, height, 9), rng.uniform(-0.1, 1.0, 9)).clip(0.0, 1.0)
        image += (level * depth[:, None] * profile[None, :]).astype(np.float32)


def _draw_dust(image: Array, rng: np.random.Generator) -> None:
    """Add this frame's own dust to the grey `image`, in place: specks, and now and then a hair. It lies on one frame only."""
    width, height = FILM_SIZE
    for _ in range(int(rng.poisson(3.5))):
        mask = np.zeros((height * 4, width * 4), dtype=np.uint8)
        x, y = int(rng.integers(0, width * 4)), int(rng.integers(0, height * 4))
        if rng.random() < 0.08:
            turns = np.cumsum(rng.normal(0, 0.35, 14)) + rng.uniform(0, 2 * math.pi)
            steps = np.cumsum(np.stack([np.cos(turns), np.sin(turns)], axis=1) * 6.0, axis=0) + np.array([x, y])
            cv2.polylines(mask, [steps.astype(np.int32)], False, 255, 3)
        else:
            axes = (int(rng.integers(3, 10)), int(rng.integers(2, 7)))
            cv2.ellipse(mask, (x, y), axes, float(rng.uniform(0, 180)), 0, 360, 255, -1)
        cover = cv2.resize(mask, FILM_SIZE, interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0
        # Dust on the negative prints white, dust on the print is dark.
        tone = 235.0 if rng.random() < 0.65 else 25.0
        image += _gauss(cover, 0.5) * 0.85 * (tone - image)


def film_frames() -> Iterator[NDArray[np.uint8]]:
    """Yield the film's frames: grey (240, 320), luma 0..255."""
    rng = np.random.default_rng(1927)
    stock = _film_stock(_portrait().astype(np.float32))
    width, height = FILM_SIZE
    # The lens is soft by about one frame pixel. Blurring the portrait by as much also keeps the wide shot's downscaling from aliasing.
    shots = {False: _gauss(stock, 1.0 / 0.70), True: _gauss(stock, 1.25 / 1.02)}
    yy, xx = np.mgrid[0:height, 0:width].astype(np.float32)
    radius2 = ((xx - width / 2) / (width / 2)) ** 2 + ((yy - height / 2) / (height / 2)) ** 2
    vignette = 1.0 - 0.16 * radius2
    marks = _scratches(rng)
    breath = 0.0
    for frame in range(FILM_FRAMES):
        source = shots[frame >= FILM_CUT]
        picture = cv2.warpAffine(source, film_transform(frame), FILM_SIZE, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
        # Hand-cranked exposure: a slow swell, and a smaller step from frame to frame.
        breath = 0.7 * breath + 0.035 * float(rng.standard_normal())
        gain = 1.0 + breath + 0.03 * float(rng.standard_normal())
        # A patch of uneven development wanders over the frame.
        side = float(rng.normal(0, 0.03))
        image = np.asarray(picture * vignette * (gain + side * (xx / width - 0.5)), dtype=np.float32)
        grain = _gauss(rng.standard_normal((height, width)).astype(np.float32), 0.7) * 2.4
        # Grain shows most in the middle tones, least in clear and in dense film.
        image += grain * (3.0 + 7.0 * np.sin(np.pi * np.clip(image / 255.0, 0.0, 1.0)))
        _draw_scratches(image, frame, marks, rng)
        _draw_dust(image, rng)
        yield np.clip(np.rint(image), 0, 255).astype(np.uint8)


def make_old_film(path: Path) -> None:
    """Write the film to `path` (MP4, H.264, no sound)."""
    width, height = FILM_SIZE
    with av.open(str(path), "w", options={"movflags": "+faststart", "fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=FILM_FPS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        # The clip should come out the same each time. One thread, because x264's decisions depend on their number; no macroblock tree,
        # because on vector units its result was seen to change from run to run with the same frames (not so with asm=0).
        stream.options = {"crf": "27", "preset": "medium", "threads": "1", "g": "90", "x264-params": "no-mbtree=1"}
        stream.time_base = Fraction(1, FILM_FPS)
        context = stream.codec_context
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = 1, 6, 6, 6
        for index, grey in enumerate(film_frames()):
            planes = np.full((height * 3 // 2, width), 128, dtype=np.uint8)
            planes[:height] = np.rint(16.0 + grey * (219.0 / 255.0)).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, FILM_FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


# --- interview --------------------------------------------------------------------------------------------------------------------


def _cut_out(portrait: NDArray[np.uint8]) -> tuple[Array, Array]:
    """Cut the sitter out of the portrait: (RGB 0..255 with colours carried past the edge, opacity 0..1)."""
    cv2.setRNGSeed(7)  # GrabCut seeds its colour models at random
    height, width = portrait.shape[:2]
    mask = np.full((height, width), cv2.GC_BGD, dtype=np.uint8)
    maybe = np.array(
        [[130, 0], [322, 0], [322, 150], [330, 215], [375, 300], [400, 512], [0, 512], [0, 400], [25, 250], [95, 200], [130, 140]]
    )
    head = [[165, 95], [175, 40], [270, 40], [285, 95], [268, 110], [255, 155], [253, 175]]
    suit = [[290, 215], [290, 270], [340, 300], [330, 512], [40, 512], [60, 290], [110, 240], [135, 205], [190, 160]]
    sure = np.array(head + suit)
    cv2.fillPoly(mask, [maybe.astype(np.int32)], cv2.GC_PR_FGD)
    cv2.fillPoly(mask, [sure.astype(np.int32)], cv2.GC_FGD)
    # The collar's ring crosses the backdrop behind the neck and is as grey as it: given, not found.
    ring = [[185, 151], [160, 154], [142, 160], [128, 173], [121, 195], [120, 212], [150, 270], [215, 288], [280, 285], [301, 261]]
    ring += [[302, 240], [294, 216], [278, 190], [256, 171], [230, 165]]
    cv2.fillPoly(mask, [np.array(ring, dtype=np.int32)], cv2.GC_FGD)
    gap = [[272, 142], [264, 155], [261, 163], [268, 172], [285, 185], [310, 200], [310, 142]]
    cv2.fillPoly(mask, [np.array(gap, dtype=np.int32)], cv2.GC_BGD)  # backdrop between jaw and ring
    cv2.grabCut(portrait, mask, [0, 0, 1, 1], np.zeros((1, 65)), np.zeros((1, 65)), 6, cv2.GC_INIT_WITH_MASK)
    hard = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    # Only the sitter: drop specks of backdrop, keep the largest piece.
    _, labels, stats, _ = cv2.connectedComponentsWithStats(hard)
    hard = (labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))).astype(np.uint8)
    hard = cv2.morphologyEx(hard, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)).astype(np.uint8)
    alpha = _gauss(hard.astype(np.float32), 1.6)
    # Pull the edge in by a pixel, so that no rim of the old backdrop comes along.
    alpha = np.clip((alpha - 0.45) / 0.5, 0.0, 1.0).astype(np.float32)
    rgb = portrait.astype(np.float32)
    solid = cv2.erode(hard, np.ones((5, 5), np.uint8)).astype(np.float32)
    carried = _gauss(rgb * solid[..., None], 3.0) / np.maximum(_gauss(solid, 3.0), 1e-3)[..., None]
    keep = _gauss(solid, 1.0)[..., None]
    return np.asarray(rgb * keep + carried * (1.0 - keep), dtype=np.float32), alpha


def _studio() -> Array:
    """Return the plain backdrop, RGB (360, 640): warm grey, lit from the upper right, falling off to the corners."""
    width, height = INTERVIEW_SIZE
    yy, xx = np.mgrid[0:height, 0:width].astype(np.float32)
    light = np.exp(-(((xx - 400.0) / 420.0) ** 2) - ((yy - 120.0) / 330.0) ** 2)
    return np.asarray((70.0 + 115.0 * light)[..., None] * np.array([1.0, 0.97, 0.93], dtype=np.float32), dtype=np.float32)


def interview_frames() -> Iterator[NDArray[np.uint8]]:
    """Yield the interview's frames: RGB (360, 640, 3), 0..255, before compression."""
    rng = np.random.default_rng(2005)
    rgb, alpha = _cut_out(_portrait())
    studio = _studio()
    for index in range(INTERVIEW_FRAMES):
        matrix = interview_transform(index / INTERVIEW_FPS)
        # Past the portrait's border the sitter is continued, but the window never reaches that far below the shoulders.
        sitter = cv2.warpAffine(rgb, matrix, INTERVIEW_SIZE, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        cover = cv2.warpAffine(alpha, matrix, INTERVIEW_SIZE, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)[..., None]
        image = sitter * cover + studio * (1.0 - cover)
        # A cheap lens, and a little sensor noise: noise starves the encoder where a clean picture would not.
        image = _gauss(image.astype(np.float32), 0.8) + _gauss(rng.standard_normal(image.shape).astype(np.float32), 0.6) * 6.0
        yield np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _vowel(source: NDArray[np.float64], formants: tuple[float, float, float]) -> NDArray[np.float64]:
    """Pass the glottal `source` through three resonances at `formants` Hz, and level the result to a root mean square of 1."""
    out = source
    for centre, bandwidth in zip(formants, (80.0, 110.0, 160.0), strict=True):
        radius = math.exp(-math.pi * bandwidth / AUDIO_RATE)
        feedback = [1.0, -2.0 * radius * math.cos(2 * math.pi * centre / AUDIO_RATE), radius**2]
        out = np.asarray(signal.lfilter([sum(feedback)], feedback, out), dtype=np.float64)
    return np.asarray(out / np.sqrt(np.mean(out**2)), dtype=np.float64)


def interview_audio() -> Array:
    """Return the interview's sound: mono, AUDIO_RATE Hz, -1..1, as long as the picture.

    A voice-like babble (a glottal pulse train through vowel formants, about five syllables per second, with hissed consonants and
    pauses for breath), and a 3 ms click at each of `click_times`, far louder than the voice, which is ducked around it.
    """
    rng = np.random.default_rng(1961)
    count = AUDIO_RATE * INTERVIEW_FRAMES // INTERVIEW_FPS
    t = np.arange(count) / AUDIO_RATE
    # Pitch falls along each phrase of two seconds and wavers a little.
    pitch = 205.0 - 22.0 * (t % 2.0) + 6.0 * np.sin(2 * np.pi * 0.9 * t) + 2.5 * np.sin(2 * np.pi * 5.2 * t)
    phase = np.cumsum(pitch) / AUDIO_RATE % 1.0
    # Rosenberg's pulse: the glottis opens slowly, shuts fast, stays shut. Its slope is what the vocal tract is driven by.
    opening = 0.5 * (1.0 - np.cos(np.pi * phase / 0.4))
    closing = np.cos(0.5 * np.pi * (phase - 0.4) / 0.16)
    flow = np.where(phase < 0.4, opening, np.where(phase < 0.56, closing, 0.0))
    source = np.diff(flow, prepend=flow[0]) + 2e-4 * rng.standard_normal(count)
    table = [(730.0, 1190.0, 2640.0), (530.0, 1840.0, 2480.0), (310.0, 2600.0, 3200.0), (570.0, 900.0, 2540.0), (370.0, 1000.0, 2500.0)]
    vowels = [_vowel(source, formants) for formants in table]
    b, a = signal.butter(2, [3500.0, 8500.0], btype="bandpass", fs=AUDIO_RATE)
    hiss = np.asarray(signal.lfilter(b, a, rng.standard_normal(count)), dtype=np.float64)
    voice = np.zeros(count)
    start = 0.12
    while start < count / AUDIO_RATE - 0.3:
        length = float(rng.uniform(0.15, 0.25))
        first, second = rng.choice(len(vowels), 2, replace=False)
        place = np.clip((t - start) / length, 0.0, 1.0)
        envelope = np.sin(np.pi * place) ** 0.8 * float(rng.uniform(0.6, 1.0))
        # Gliding from one vowel to another within the syllable makes diphthongs, which is what tells speech from a siren.
        voice += envelope * ((1.0 - place) * vowels[first] + place * vowels[second])
        if rng.random() < 0.45:
            voice += hiss * 0.6 * np.exp(-0.5 * ((t - start + 0.02) / 0.018) ** 2)
        start += length + (float(rng.uniform(0.25, 0.4)) if rng.random() < 0.14 else 0.01)
    voice *= 0.25 / np.max(np.abs(voice))
    for click in click_times():
        voice *= 1.0 - np.exp(-0.5 * ((t - click) / 0.025) ** 8)
        first = round(click * AUDIO_RATE)
        burst = np.arange(round(0.003 * AUDIO_RATE))
        voice[first : first + burst.size] += 0.9 * np.cos(2 * np.pi * 3000.0 * burst / AUDIO_RATE) * np.exp(-burst / 30.0)
    return voice.astype(np.float32)


def make_interview(path: Path) -> None:
    """Write the interview to `path` (MP4, H.264 starved of bits, AAC mono)."""
    with av.open(str(path), "w", options={"movflags": "+faststart", "fflags": "+bitexact"}) as container:
        video = container.add_stream("libx264", rate=INTERVIEW_FPS)
        video.width, video.height, video.pix_fmt = *INTERVIEW_SIZE, "yuv420p"
        # No deblocking and no psychovisual help: the blocks of an old, cheap encoder should show on the face.
        x264 = "no-deblock=1:aq-mode=0:no-psy=1:no-mbtree=1:8x8dct=0"
        video.options = {"crf": "37", "preset": "veryfast", "threads": "1", "g": "50", "x264-params": x264}
        video.time_base = Fraction(1, INTERVIEW_FPS)
        context = video.codec_context
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = 1, 1, 1, 1
        audio = container.add_stream("aac", rate=AUDIO_RATE, layout="mono")
        audio.bit_rate = 96_000
        sound = np.concatenate([interview_audio(), np.zeros(1024, np.float32)])
        sent = 0

        def send_sound(until: int) -> None:
            """Encode whole AAC frames of 1024 samples up to sample `until`, so that sound and picture interleave."""
            nonlocal sent
            while sent + 1024 <= until:
                block = av.AudioFrame.from_ndarray(sound[None, sent : sent + 1024], format="fltp", layout="mono")
                block.sample_rate, block.pts, block.time_base = AUDIO_RATE, sent, Fraction(1, AUDIO_RATE)
                container.mux(audio.encode(block))
                sent += 1024

        for index, rgb in enumerate(interview_frames()):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)
            frame.pts, frame.time_base = index, Fraction(1, INTERVIEW_FPS)
            container.mux(video.encode(frame))
            send_sound((index + 1) * AUDIO_RATE // INTERVIEW_FPS)
        send_sound(sound.size)
        container.mux(video.encode())
        container.mux(audio.encode())


def main() -> None:
    """Make both clips."""
    parser = argparse.ArgumentParser(description="Make the sample clips old_film.mp4 and interview.mp4.")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent, help="folder to write to (default: this script's)")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for name, make in (("old_film.mp4", make_old_film), ("interview.mp4", make_interview)):
        make(out / name)
        print(f"{out / name}: {(out / name).stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
