"""Previews that run, and a browser to look at them."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from browsing import CHROMIUM, SAMPLES, Served

EXTRA = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]  # tests run as root in containers


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    driving = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with driving.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=EXTRA)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def found(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """The sidecar of a clip, so that not every test looks for faces: one and a half seconds in each."""
    from gpenvid import RestoreSettings
    from gpenvid.job.analyse import analyse
    from gpenvid.job.sidecar import write_sidecar

    folder = tmp_path_factory.mktemp("found")

    @cache
    def sidecar(source: Path) -> Path:
        path = folder / f"{source.stem}.tracks.json"
        write_sidecar(analyse(source, RestoreSettings(detector="builtin")), path)
        return path

    return sidecar


@pytest.fixture
def serve(tmp_path: Path, tiny_model: Path, found: Callable[[Path], Path]) -> Iterator[object]:
    """Start previews of clips; they end with the test. The samples have their sidecars, unless `known` is no."""
    import uvicorn

    from gpenvid import RestoreSettings
    from gpenvid.job.preview.clip import PreviewClip
    from gpenvid.job.progress import Silent
    from gpenvid.server.guard import PAGE_POLICY, Guard, GuardSettings
    from gpenvid.server.preview.app import preview_app
    from gpenvid.server.preview.session import PreviewSession
    from gpenvid.server.run import address_of, listen

    running = []

    def start(source: Path, *, analyse: bool = True, known: bool = True) -> Served:
        clip = tmp_path / source.name
        if clip != source:
            shutil.copy(source, clip)
        if known and source.parent == SAMPLES:
            shutil.copy(found(source), tmp_path)
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
