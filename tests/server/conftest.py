"""Previews that run, and a browser to look at them."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import CHROMIUM, Served

EXTRA = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]  # tests run as root in containers


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    driving = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with driving.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=EXTRA)
        yield chromium
        chromium.close()


@pytest.fixture
def serve(tmp_path: Path, tiny_model: Path) -> Iterator[object]:
    """Start previews of clips; they end with the test."""
    import uvicorn

    from gpenvid import RestoreSettings
    from gpenvid.job.preview.clip import PreviewClip
    from gpenvid.job.progress import Silent
    from gpenvid.server.guard import PAGE_POLICY, Guard, GuardSettings
    from gpenvid.server.preview.app import preview_app
    from gpenvid.server.preview.session import PreviewSession
    from gpenvid.server.run import address_of, listen

    running = []

    def start(source: Path, *, analyse: bool = True) -> Served:
        clip = tmp_path / source.name
        if clip != source:
            shutil.copy(source, clip)
        session = PreviewSession(PreviewClip(clip, RestoreSettings(model=str(tiny_model), detector="builtin")), None, Silent())
        app = Guard(preview_app(session), GuardSettings(token="t" * 24, cookies=True, policy=PAGE_POLICY))
        opened = listen("127.0.0.1", 0)
        server = uvicorn.Server(uvicorn.Config(app, ws="none", log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]}, daemon=True)
        thread.start()
        if analyse:
            session.start()
        served = Served(f"{address_of(opened)}/?token={'t' * 24}", clip, threading.Event())
        running.append((server, thread, session, opened))
        return served

    yield start
    for server, thread, session, opened in running:
        session.open = False
        server.should_exit = True
        thread.join(10)
        session.close()
        opened.close()


@pytest.fixture
def page(browser) -> Iterator[object]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    context.set_default_timeout(30_000)
    opened = context.new_page()
    troubles: list[str] = []
    opened.on("pageerror", lambda error: troubles.append(str(error)))
    opened.on("console", lambda message: troubles.append(message.text) if "Content Security" in message.text else None)
    opened.on("request", lambda request: troubles.append(request.url) if not _is_own(request.url) else None)
    yield opened
    context.close()
    assert troubles == []


def _is_own(address: str) -> bool:
    return address.startswith(("http://127.0.0.1:", "blob:http://127.0.0.1:"))
