"""Damaged files: a report or an error for the input; no hang, no crash, no result that does not decode."""

from __future__ import annotations

import multiprocessing
import random
import traceback
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]
VARIANTS = 500
LIMIT = 60.0  # seconds a file may take
KINDS = ("clip.mp4", "clip.mkv", "clip.ts", "clip.avi", "clip.webm", "clip.flv")


def _make(path: Path) -> None:
    """Twenty small frames that move, and sound."""
    import av
    import numpy as np

    codec = {".webm": "libvpx-vp9", ".avi": "mpeg4"}.get(path.suffix, "libx264")
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=25)
        video.width, video.height, video.pix_fmt = 160, 120, "yuv420p"
        sound = container.add_stream({".webm": "libopus", ".avi": "mp2"}.get(path.suffix, "aac"), rate=48000)
        y, x = np.mgrid[0:120, 0:160]
        for i in range(20):
            picture = np.dstack([(x + 4 * i) % 256, (y * 2) % 256, (x + y) % 256]).astype(np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(video.encode(None))
        for i in range(30):
            tone = av.AudioFrame.from_ndarray(np.zeros((1, 1920), np.int16), "s16", "stereo")
            tone.sample_rate, tone.pts = 48000, i * 960
            container.mux(sound.encode(tone))
        container.mux(sound.encode(None))


def _damaged(chance: random.Random, contents: list[bytes]) -> bytes:
    content = bytearray(chance.choice(contents))
    kind = chance.choice(("bits", "cut", "head", "hole", "burst"))
    if kind == "bits":
        for _ in range(chance.choice((1, 5, 50, 500))):
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    elif kind == "cut":
        del content[chance.randrange(len(content)) :]
    elif kind == "head":
        length = chance.choice((16, 200, 2000))
        content[:length] = chance.choice(contents)[:length]
    elif kind == "hole":
        start = chance.randrange(len(content))
        del content[start : start + chance.randrange(1, 3000)]
    else:
        start = chance.randrange(len(content))
        content[start : start + 400] = chance.randbytes(400)
    return bytes(content)


def _work(pipe: Connection, model: str) -> None:
    """Restore what is asked for, and say how that went: `done`, `refused`, or what went wrong."""
    import av

    import gpenvid
    from gpenvid import RestoreSettings
    from gpenvid.errors import ExitCode, GpenvidError
    from gpenvid.media.reader import VideoReader

    av.logging.set_level(None)
    settings = RestoreSettings(model=model, detector="builtin", overwrite=True, preset=None)
    while True:
        source, out = pipe.recv()
        try:
            gpenvid.restore(source, out, settings)
            reader = VideoReader(Path(out))
            frames = sum(1 for _ in reader.frames())
            answer = "done" if frames and not reader.faults.undecodable else f"the result does not decode: {reader.faults}"
        except GpenvidError as error:
            answer = "refused" if error.exit_code == ExitCode.INPUT else f"{type(error).__name__}: {error}"
            if Path(out).exists():
                answer = f"a result is there in spite of: {error}"
        except Exception:  # noqa: BLE001 - that is what is looked for
            answer = traceback.format_exc()
        Path(out).unlink(missing_ok=True)
        pipe.send(answer)


@pytest.mark.parametrize("seed", range(5))
def test_damaged_files_end_in_a_report_or_an_error(seed: int, tiny_model: Path, tmp_path: Path) -> None:
    for name in KINDS:
        _make(tmp_path / name)
    contents = [(tmp_path / name).read_bytes() for name in KINDS]
    chance = random.Random(seed)
    outcomes: dict[str, int] = {}
    wrong: list[str] = []
    context = multiprocessing.get_context("spawn")
    worker, pipe = None, None
    for number in range(VARIANTS // 5):
        if worker is None or not worker.is_alive():
            pipe, theirs = context.Pipe()
            worker = context.Process(target=_work, args=(theirs, str(tiny_model)), daemon=True)
            worker.start()
            theirs.close()
        source = tmp_path / f"damaged{number}{chance.choice(KINDS)[4:]}"
        source.write_bytes(_damaged(chance, contents))
        pipe.send((str(source), str(tmp_path / f"out{number}.mkv")))
        try:
            # The first file waits for the process to start, too.
            answer = pipe.recv() if pipe.poll(LIMIT + 60 * (number == 0)) else f"no end after {LIMIT:.0f} s"
        except EOFError:
            answer = "the process died"
        if answer not in ("done", "refused"):
            wrong.append(f"{source.name}: {answer}")
            worker.kill()
            worker.join()
            worker = None
        else:
            source.unlink()
        outcomes[answer.splitlines()[-1][:60]] = outcomes.get(answer.splitlines()[-1][:60], 0) + 1
    if worker is not None:
        worker.kill()
    print(outcomes)
    assert not wrong, "\n".join(wrong)
