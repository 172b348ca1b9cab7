"""One picture, at once: the same as the command line makes, in the format it came in."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from serving import SAMPLES, Served

import gpenvid
from gpenvid import RestoreSettings

TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".tif": "image/tiff",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
    ".ppm": "image/x-portable-pixmap",
}


def _write(path: Path, picture: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), picture[:, :, ::-1])
    return path


@pytest.mark.parametrize("suffix", TYPES)
def test_the_answer_is_what_the_command_line_makes(
    suffix: str, served: Served, astronaut: np.ndarray, tiny_model: Path, tmp_path: Path
) -> None:
    source = _write(tmp_path / f"face{suffix}", astronaut)
    settings = RestoreSettings(model=str(tiny_model), detector="builtin", strength=0.5)
    report = gpenvid.restore(source, tmp_path / f"expected{suffix}", settings)
    assert report.faces == 1
    # The name says nothing: what it is comes from its content.
    answer = served.client.post("/v1/restore/image", files={"file": ("me.gif", source.read_bytes())}, data={"strength": "0.5"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == TYPES[suffix]
    assert answer.headers["x-faces-restored"] == "1"
    assert answer.headers["content-disposition"].endswith(f"me_restored{suffix}")
    assert answer.content == (tmp_path / f"expected{suffix}").read_bytes()
    assert list((served.data / "pictures").iterdir()) == []


def test_sixteen_bits_stay_sixteen_bits(served: Served, astronaut: np.ndarray, tmp_path: Path) -> None:
    small = astronaut[:256, 100:356].astype(np.uint16) * 257
    answer = served.client.post(
        "/v1/restore/image", files={"file": _write(tmp_path / "deep.png", small).open("rb")}, data={"strength": "0"}
    )
    restored = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(restored[:, :, ::-1], small)


@pytest.mark.alone
def test_pictures_are_answered_while_a_job_runs(served: Served, astronaut: np.ndarray, tmp_path: Path) -> None:
    job = served.submit(SAMPLES / "interview.mp4", model="gpen-lite-256")["id"]
    served.rendering(job, 1)
    source = _write(tmp_path / "face.png", astronaut)
    for _ in range(3):
        assert served.client.post("/v1/restore/image", files={"file": source.open("rb")}).status_code == 200
    assert served.job(job)["state"] == "running"
    served.client.delete(f"/v1/jobs/{job}")


def test_the_models_are_listed(served: Served, tiny_model: Path) -> None:
    assert served.client.get("/v1/models").json() == {"models": ["tiny", "gpen-lite-256"], "default": "tiny"}


@pytest.mark.alone
def test_a_process_that_dies_over_a_picture_is_replaced(serve: Callable[..., Served], astronaut: np.ndarray, tmp_path: Path) -> None:
    served = serve()
    crowd = _write(tmp_path / "crowd.png", np.tile(astronaut, (4, 5, 1)))
    (worker,) = psutil.Process(served.process.pid).children()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(served.client.post, "/v1/restore/image", files={"file": crowd.read_bytes()}, data={"model": "gpen-lite-256"})
        while not list((served.data / "pictures").glob("*/upload.png")):
            assert not waiting.done()
        worker.kill()
        answer = waiting.result()
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "crashed"
    assert list((served.data / "pictures").iterdir()) == []
    small = _write(tmp_path / "face.png", astronaut)
    assert served.client.post("/v1/restore/image", files={"file": small.open("rb")}).status_code == 200
    assert served.client.get("/healthz").json()["status"] == "ok"
