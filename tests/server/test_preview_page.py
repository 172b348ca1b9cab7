"""The preview page in a browser: Debian's Chromium, driven by Playwright. Skipped where either is missing.

With `GPENVID_SHOTS=FOLDER` every state's screenshot is kept there, to be looked at.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest

from gpenvid.faces.shots import Shot
from gpenvid.faces.tracks import Tracks
from gpenvid.job.sidecar import write_sidecar

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("fastapi", reason="the server's packages are not installed")
CHROMIUM = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt-get install chromium)")

SAMPLES = Path(__file__).parent.parent.parent / "samples"
EXTRA = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]  # tests run as root in containers


@dataclass
class Served:
    """A preview that is running."""

    address: str
    clip: Path
    stop: threading.Event


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    with playwright.sync_playwright() as driver:
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


def canvas(page) -> np.ndarray:
    import cv2

    data = page.locator("#canvas").screenshot()
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)).astype(int)


def test_from_the_first_frame_to_the_result(serve, page, tmp_path: Path) -> None:
    served = serve(SAMPLES / "old_film.mp4")
    page.goto(served.address)
    settled(page, 0)
    assert "token" not in page.url
    page.wait_for_selector("#save:not([disabled])")
    shot(page, "wipe")

    # The wipe: by pointer, then by key.
    box = page.locator("#wipe").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] - 250, box["y"] + 210, steps=4)
    page.mouse.up()
    moved = int(page.get_attribute("#wipe", "aria-valuenow"))
    assert moved < 45
    page.locator("#wipe").press("ArrowRight")
    assert int(page.get_attribute("#wipe", "aria-valuenow")) == moved + 2

    # Stepping.
    page.locator("#canvas").click(position={"x": 5, "y": 5})
    for expected, key in [(1, "ArrowRight"), (11, "Shift+ArrowRight"), (10, "ArrowLeft")]:
        page.keyboard.press(key)
        settled(page, expected)
    page.keyboard.press("End")
    last = page.locator("#frame").inner_text()
    settled(page, int(last))
    page.keyboard.press("Home")
    settled(page, 0)
    page.keyboard.press("ArrowDown")
    assert int(page.locator("#frame").inner_text()) > 0
    page.locator("#timeline-canvas").click(position={"x": 200, "y": 20})
    frame = int(page.locator("#frame").inner_text())
    settled(page, frame)

    # Views.
    for key, name in [("2", "side"), ("3", "difference"), ("4", "before"), ("5", "after")]:
        page.keyboard.press(key)
        settled(page, frame)
        page.wait_for_timeout(150)
        shot(page, name)

    # A person left out: the face changes back, by a click on it and by its switch.
    restored = canvas(page)
    page.locator(".face").first.click()
    page.wait_for_selector(".face.out")
    settled(page, frame)
    page.wait_for_timeout(100)
    page.mouse.move(5, 5)
    left_out = canvas(page)
    page.locator(".people .switch").first.click()
    page.wait_for_selector(".face:not(.out)")
    settled(page, frame)
    page.mouse.move(5, 5)
    page.wait_for_timeout(100)
    assert np.abs(left_out - restored).max() > 20
    assert np.abs(canvas(page) - restored).max() == 0

    # Zoom is exact: every picture pixel is a square of one colour.
    page.keyboard.press("z")
    page.wait_for_function("() => Number(document.getElementById('zoom').value) > 0")
    settled(page, frame)
    page.wait_for_timeout(150)
    shot(page, "zoom")
    page.keyboard.press("z")

    # A against B.
    page.keyboard.press("1")
    page.locator("[data-look='1']").click()
    page.locator("#grain").fill("60")
    page.locator("[data-mask='hull']").click()
    page.keyboard.press("a")
    settled(page, frame)
    page.wait_for_timeout(150)
    assert page.locator("#label-left").inner_text() == "A"
    shot(page, "a-b")
    page.keyboard.press("a")
    page.locator("[data-look='0']").click()

    # Saved, with the person out.
    page.locator(".people .switch").first.click()
    page.locator("#canvas").click(position={"x": 5, "y": 5})
    page.keyboard.press("Control+s")
    page.wait_for_function("() => document.getElementById('save-state').textContent === 'choices saved'")
    from gpenvid.job.sidecar import read_preview, read_sidecar

    sidecar = served.clip.with_name("old_film.tracks.json")
    assert 0.0 in [t.strength for t in read_sidecar(sidecar).tracks]
    assert read_preview(sidecar)["looks"][1]["grain"] == 0.6
    assert [look["mask"] for look in read_preview(sidecar)["looks"]] == ["ellipse", "hull"]
    page.reload()
    page.wait_for_selector("#person-1.out")
    assert page.locator("#save-state").inner_text() == "choices saved"
    page.locator(".people .switch").first.click()

    # The loop plays.
    page.keyboard.press("i")
    page.keyboard.press("p")
    page.wait_for_selector("#loop[aria-pressed='true']", timeout=60_000)
    page.wait_for_function("() => document.getElementById('video').currentTime > 0.1")
    shot(page, "loop")
    page.keyboard.press("Escape")
    page.wait_for_selector("#loop[aria-pressed='false']")

    # The command line.
    page.keyboard.press("c")
    page.wait_for_selector("#command:not([hidden])")
    assert re.match(r"gpenvid restore \S+old_film.mp4 --tracks \S+old_film.tracks.json --model", page.locator("#command").inner_text())

    # The render, held and gone on with, to the end.
    page.locator("#render").click()
    page.wait_for_selector("#pause:not([hidden])")
    page.locator("#pause").click()
    page.wait_for_function("() => document.getElementById('pause').textContent === 'Go on'")
    shot(page, "rendering")
    page.locator("#pause").click()
    page.wait_for_selector("#download", timeout=90_000)
    shot(page, "done")
    with page.expect_download() as waiting:
        page.locator("#download").click()
    result = tmp_path / "result.mp4"
    waiting.value.save_as(result)
    with av.open(str(result)) as file, av.open(str(served.clip)) as source:
        assert sum(1 for _ in file.decode(video=0)) == sum(1 for _ in source.decode(video=0))

    # A second render asks before it replaces.
    page.locator("#render").click()
    page.wait_for_selector("#replace")
    shot(page, "replace")
    page.locator("#replace-not").click()

    page.keyboard.press("?")
    page.wait_for_selector("#help[open]")
    shot(page, "help")


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


def test_a_click_on_a_face_behind_the_wipe_leaves_the_person_out_and_a_drag_does_not(serve, page) -> None:
    face = at_a_face(page, serve(SAMPLES / "old_film.mp4"))
    wipe = page.locator("#wipe").bounding_box()
    x, y = wipe["x"] + wipe["width"] / 2, face["y"] + face["height"] / 2
    assert face["x"] < x < face["x"] + face["width"]
    page.mouse.click(x, y)
    page.wait_for_selector(".face.out")
    assert page.get_attribute("#wipe", "aria-valuenow") == "50"
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y, steps=3)
    page.mouse.up()
    assert int(page.get_attribute("#wipe", "aria-valuenow")) > 52
    assert page.locator(".face.out").count() == 1


def test_the_zoom_to_a_face_that_fills_the_picture_enlarges_it_too(serve, page, make_clip, astronaut: np.ndarray) -> None:
    portrait = np.ascontiguousarray(astronaut[40:200, 140:300])
    served = serve(make_clip([np.roll(portrait, i // 2, axis=1) for i in range(12)], "portrait.mp4", codec="libx264"))
    fitted = at_a_face(page, served)
    page.keyboard.press("z")
    assert face_box(page)["width"] > 1.04 * fitted["width"]


def test_a_zoomed_picture_is_moved_by_dragging_a_face(serve, page) -> None:
    at_a_face(page, serve(SAMPLES / "old_film.mp4"))
    for key in "5z+":
        page.keyboard.press(key)
    before = face_box(page)
    x, y = before["x"] + before["width"] / 2, before["y"] + before["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 50, y, steps=3)
    page.mouse.up()
    assert face_box(page)["x"] - before["x"] == pytest.approx(-50, abs=3)
    assert page.locator(".face.out").count() == 0


@pytest.mark.parametrize(("touch", "least"), [(False, 24), (True, 40)])
def test_controls_are_large_enough_to_be_hit(serve, browser, touch: bool, least: int) -> None:
    served = serve(SAMPLES / "old_film.mp4")
    context = browser.new_context(viewport={"width": 360, "height": 740}, has_touch=touch, is_mobile=touch)
    page = context.new_page()
    page.goto(served.address)
    page.wait_for_selector("#include-1")
    small = page.evaluate(
        """(least) => [...document.querySelectorAll("button, select, input, a[href]")]
          .filter((e) => e.checkVisibility() && !e.matches(".skip, .face"))
          .filter((e) => {
            e.scrollIntoView({ block: "end" });
            scrollBy(0, 60);
            const box = e.getBoundingClientRect();
            const middle = (box.top + box.bottom) / 2;
            if (!e.matches(".switch")) return box.height < least || box.width < Math.min(least, 32);
            const reach = least / 2 - 1;
            return [middle - reach, middle + reach].some((y) => document.elementFromPoint((box.left + box.right) / 2, y) !== e);
          })
          .map((e) => `${e.id || e.textContent.trim()} ${e.getBoundingClientRect().height}`)""",
        least,
    )
    shot(page, f"controls-{'touch' if touch else 'mouse'}")
    assert small == []
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360
    context.close()


def test_a_clip_that_is_being_opened_says_so(serve, page, make_clip) -> None:
    grey = [np.full((90, 160, 3), 90 + i, np.uint8) for i in range(6)]
    served = serve(make_clip(grey, "grey.mp4", codec="libx264"), analyse=False)
    page.goto(served.address)
    page.wait_for_selector("#notice:not([hidden])")
    assert page.locator("#notice-title").inner_text() == "Opening the clip"
    shot(page, "loading")


def test_a_clip_without_faces_says_so(serve, page, make_clip) -> None:
    grey = [np.full((90, 160, 3), 90 + i, np.uint8) for i in range(6)]
    source = make_clip(grey, "grey.mp4", codec="libx264")
    # A sidecar of another clip lies there: it is left alone, and the page says so.
    write_sidecar(Tracks(6, 99, 99, "", 0, [Shot(0, 6)]), source.with_name("grey.tracks.json"))
    served = serve(source)
    page.goto(served.address)
    settled(page, 0)
    page.wait_for_selector("#notes:not([hidden])")
    assert "grey.tracks.json tells of a clip of another size" in page.locator("#notes").inner_text()
    assert page.locator("#sidecar-name").inner_text() == "grey.preview.tracks.json"
    page.wait_for_function("() => document.getElementById('badge').textContent.startsWith('No face')")
    shot(page, "empty")


def test_a_clip_that_fails_says_why(serve, page, make_clip) -> None:
    grey = [np.full((90, 160, 3), 90 + i, np.uint8) for i in range(6)]
    source = make_clip(grey, "bad.mp4", codec="libx264")
    source.with_name("bad.tracks.json").write_text("{}")
    served = serve(source)
    page.goto(served.address)
    page.wait_for_selector("#notice.failed:not([hidden])")
    assert "bad.tracks.json" in page.locator("#notice-text").inner_text()
    assert str(source.parent) not in page.locator("#notice-text").inner_text()
    shot(page, "error")


@pytest.mark.parametrize(("name", "width", "height"), [("narrow", 360, 740), ("wide", 3840, 2160)])
def test_it_fits_small_and_large_screens(serve, page, name: str, width: int, height: int) -> None:
    served = serve(SAMPLES / "interview.mp4")
    page.set_viewport_size({"width": width, "height": height})
    page.goto(served.address)
    settled(page, 0)
    page.wait_for_timeout(300)
    shot(page, name)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    for control in ("#play", "#strength", "#zoom", "#help-open", "#render"):
        box = page.locator(control).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
