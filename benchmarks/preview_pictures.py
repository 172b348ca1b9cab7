"""Makes the pictures of docs/preview.md: the page with the sample clips and the built-in model, in Debian's Chromium."""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path

import cv2
import numpy as np
import uvicorn
from playwright.sync_api import Page, sync_playwright

from gpenvid import RestoreSettings
from gpenvid.job.preview.clip import PreviewClip
from gpenvid.job.progress import Silent
from gpenvid.server.preview.app import preview_app
from gpenvid.server.preview.session import PreviewSession
from gpenvid.server.run import address_of, listen

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "docs" / "pictures"
MOST = 60_000  # bytes


def keep(page: Page, name: str) -> None:
    """Write a screenshot as WebP, as good as the size allows."""
    page.wait_for_selector("#stage[aria-busy='false']")
    page.wait_for_timeout(2500)
    picture = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    for quality in range(92, 30, -4):
        data = cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, quality])[1].tobytes()
        if len(data) < MOST:
            break
    (PICTURES / f"{name}.webp").write_bytes(data)
    print(f"{name}: {len(data)} bytes, quality {quality}")


def main() -> None:
    """Open both samples and photograph them."""
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1120, "height": 700})
        for clip in ("old_film", "interview"):
            source = Path(shutil.copy(ROOT / "samples" / f"{clip}.mp4", scratch))
            session = PreviewSession(PreviewClip(source, RestoreSettings(detector="builtin")), None, Silent())
            session.clip.analyse(Silent())
            session._set_analysis(state="ready")
            opened = listen("127.0.0.1", 0)
            server = uvicorn.Server(uvicorn.Config(preview_app(session), ws="none", log_config=None))
            thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]}, daemon=True)
            thread.start()
            page.goto(address_of(opened))
            page.wait_for_selector("#canvas[data-settled='0']", timeout=60_000)
            for _ in range(7):
                page.keyboard.press("Shift+ArrowRight")
            page.wait_for_selector("#canvas[data-settled='70']", timeout=60_000)
            if clip == "interview":
                page.keyboard.press("z")
                page.keyboard.press("2")
                keep(page, "preview_zoom")
            else:
                page.locator("#canvas").hover(position={"x": 120, "y": 300})
                keep(page, "preview_wipe")
            page.goto("about:blank")
            server.should_exit = True
            thread.join(10)
            session.close()
        browser.close()


if __name__ == "__main__":
    main()
