"""Chromium on the preview page: what its tests share."""

from __future__ import annotations

import os
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np

CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
SAMPLES = Path(__file__).parent.parent.parent / "samples"


@dataclass
class Served:
    """A preview that is running."""

    address: str
    clip: Path
    stop: threading.Event


def shot(page, name: str) -> bytes:
    picture = page.screenshot()
    folder = os.environ.get("GPENVID_SHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{name}.png").write_bytes(picture)
    return bytes(picture)


def settled(page, frame: int) -> None:
    page.wait_for_selector(f"#canvas[data-settled='{frame}']")
    page.wait_for_selector("#stage[aria-busy='false']")


def drawn(page) -> None:
    """Wait until the page has shown what the last event changed."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def canvas(page) -> np.ndarray:
    import cv2

    data = page.locator("#canvas").screenshot()
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)).astype(int)


def face_box(page) -> dict[str, float]:
    """Where the first face is, once the page has come to rest."""
    page.wait_for_timeout(250)
    return dict(page.evaluate("() => document.querySelector('.face').getBoundingClientRect().toJSON()"))


def at_a_face(page, served: Served) -> dict[str, float]:
    page.goto(served.address)
    page.wait_for_selector("#save:not([disabled])")
    page.locator("#canvas").click(position={"x": 5, "y": 5})
    page.wait_for_selector(".face", state="attached")
    settled(page, 0)
    return face_box(page)
