"""The preview page in a browser: Debian's Chromium, driven by Playwright. Skipped where either is missing.

With `GPENVID_SHOTS=FOLDER` every state's screenshot is kept there, to be looked at.
"""

from __future__ import annotations

import re
from pathlib import Path

import av
import numpy as np
import pytest
from browsing import CHROMIUM, SAMPLES, canvas, drawn, settled, shot

from gpenvid.faces.shots import Shot
from gpenvid.faces.tracks import Tracks
from gpenvid.job.sidecar import write_sidecar

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("fastapi", reason="the server's packages are not installed")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt-get install chromium)")


def test_from_the_first_frame_to_the_result(serve, page, tmp_path: Path) -> None:
    served = serve(SAMPLES / "old_film.mp4", known=False)
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
    drawn(page)
    moved = int(page.get_attribute("#wipe", "aria-valuenow"))
    assert moved < 45
    page.locator("#wipe").press("ArrowRight")
    drawn(page)
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
    page.wait_for_selector("#replace-not:focus")
    shot(page, "replace")
    page.keyboard.press("Escape")
    page.wait_for_selector("#render:focus")
    assert page.locator("#replace").is_hidden()

    page.keyboard.press("?")
    page.wait_for_selector("#help[open]")
    shot(page, "help")


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
