"""Who uses the preview page without a mouse, without good eyes or on a small screen. Skipped without Chromium or Playwright."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from browsing import CHROMIUM, SAMPLES, at_a_face, settled, shot

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("fastapi", reason="the server's packages are not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt-get install chromium)")

AA = """() => {
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const colour = (text) => [...text.match(/[\\d.]+/g).map(Number), 1].slice(0, 4);
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3]));
  const chain = (e) => (e ? [...chain(e.parentElement), e] : []);
  const own = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  return [...document.querySelectorAll("body *:not(option, script, noscript)")]
    .filter((e) => e.checkVisibility() && own(e) && !e.closest(".visually-hidden, .skip, [inert], :disabled"))
    .map((e) => {
      const above = chain(e).map((n) => getComputedStyle(n));
      const opacity = above.reduce((product, s) => product * Number(s.opacity), 1);
      if (!opacity) return [21, ""];
      const ground = above.reduce((under, s) => over(colour(s.backgroundColor), under), [0, 0, 0]);
      const text = colour(getComputedStyle(e).color);
      const [one, two] = [light(over([...text.slice(0, 3), text[3] * opacity], ground)), light(ground)];
      return [(Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05), e.textContent.trim().slice(0, 30)];
    })
    .filter(([ratio]) => ratio < 4.5);
}"""


def test_text_has_the_contrast_that_aa_asks(serve, page) -> None:
    at_a_face(page, serve(SAMPLES / "old_film.mp4"))
    for keys in ("", "xf", "a", "c", "?"):
        for key in keys:
            page.keyboard.press(key)
        page.wait_for_timeout(300)
        assert page.evaluate(AA) == []


@pytest.mark.parametrize("percent", [0, 20, 50, 100])
def test_the_number_on_a_person_s_bar_can_be_read_at_every_strength(serve, page, percent: int) -> None:
    at_a_face(page, serve(SAMPLES / "old_film.mp4"))
    page.locator("#share-1").fill(str(percent))
    page.wait_for_timeout(300)
    box = page.locator("#timeline-canvas").bounding_box()
    number = {"x": box["x"] + 24, "y": box["y"] + 33, "width": 14, "height": 20}  # beside the portrait
    picture = cv2.imdecode(np.frombuffer(page.screenshot(clip=number), np.uint8), cv2.IMREAD_COLOR)[..., ::-1] / 255
    light = np.where(picture <= 0.04045, picture / 12.92, ((picture + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]
    ground = np.median(light)
    text = light.flat[np.abs(light - ground).argmax()]
    assert (max(ground, text) + 0.05) / (min(ground, text) + 0.05) >= 4.5


def test_every_control_has_a_name_and_shows_its_focus(serve, page) -> None:
    at_a_face(page, serve(SAMPLES / "old_film.mp4"))
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, a[href], [tabindex='0']")]
          .filter((e) => e.checkVisibility() && !(e.ariaLabel || e.textContent.trim()))
          .filter((e) => ![...(e.labels ?? [])].some((label) => label.textContent.trim()))
          .map((e) => e.outerHTML.slice(0, 80))"""
    )
    assert nameless == []
    page.evaluate("() => document.activeElement.blur()")
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        name, outlined = page.evaluate(
            """() => {
              const e = document.activeElement;
              const shown = getComputedStyle(e.querySelector(".grip") ?? e);
              return [e.id || e.className, shown.outlineStyle !== "none" && parseFloat(shown.outlineWidth) >= 2];
            }"""
        )
        if page.evaluate("() => document.activeElement === document.body"):
            break
        assert outlined, name
        reached.append(name)
    looks = {"wipe", "timeline", "play", "zoom"}
    choices = {"model", "strength", "grain", "deflicker", "include-1", "share-1", "render", "save", "copy"}
    assert looks | choices <= set(reached)


def test_a_loop_that_is_being_made_says_how_far_on_a_small_screen_too_and_can_be_given_up(serve, page) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    at_a_face(page, serve(SAMPLES / "interview.mp4"))
    page.keyboard.press("i")
    for _ in range(7):
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("o")
    page.keyboard.press("p")
    page.wait_for_function("() => /^Rendering the loop · [0-9]+ of 71$/.test(document.getElementById('badge').textContent)")
    assert page.locator("#badge").is_visible()
    shot(page, "loop-making")
    page.keyboard.press("Escape")
    page.wait_for_function("() => !document.getElementById('badge').textContent.startsWith('Rendering')")
    assert page.get_attribute("#loop", "aria-pressed") == "false"


def test_a_loop_that_cannot_be_played_says_so(serve, page) -> None:
    at_a_face(page, serve(SAMPLES / "old_film.mp4"))
    page.route("**/api/loop/*.mp4", lambda route: route.fulfill(body=b"no video", content_type="video/mp4"))
    page.keyboard.press("p")
    page.wait_for_function("() => document.getElementById('badge').textContent === 'This browser cannot play the loop'")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => !document.getElementById('badge').textContent.startsWith('This browser')")


def test_options_and_endings_of_names_are_not_broken(serve, page) -> None:
    at_a_face(page, serve(SAMPLES / "old_film.mp4"))
    page.locator("#grain").fill("30")
    page.keyboard.press("c")
    page.wait_for_selector("#command .whole")
    lines = page.evaluate("() => [...document.querySelectorAll('#command .whole')].map((e) => [e.textContent, e.getClientRects().length])")
    assert ["--tracks", 1] in lines
    assert {count for _, count in lines} == {1}
    for name in ("output-name", "sidecar-name"):
        assert (
            page.evaluate(
                """(name) => {
              const range = document.createRange();
              range.selectNode(document.getElementById(name).lastChild);
              return range.getClientRects().length;
            }""",
                name,
            )
            == 1
        )


def test_labels_lie_on_the_picture(serve, page, make_clip) -> None:
    tall = [np.full((320, 180, 3), 90 + i, np.uint8) for i in range(6)]
    page.goto(serve(make_clip(tall, "tall.mp4", codec="libx264")).address)
    settled(page, 0)
    page.wait_for_selector("#label-left:not([hidden])")
    stage, label = page.locator("#stage").bounding_box(), page.locator("#label-left").bounding_box()
    assert label["x"] - stage["x"] > (stage["width"] - stage["height"] * 180 / 320) / 2


@pytest.mark.parametrize(("width", "height"), [(640, 360), (320, 256), (740, 360)])
def test_everything_can_be_reached_in_a_low_window(serve, page, width: int, height: int) -> None:
    """A phone on its side, or a page enlarged two or four times."""
    served = serve(SAMPLES / "interview.mp4")
    page.set_viewport_size({"width": width, "height": height})
    page.goto(served.address)
    settled(page, 0)
    page.wait_for_selector("#render:not([disabled])")
    tops = {page.locator(part).bounding_box()["y"] for part in (".views", "#ab", "#help-open")}
    assert width < 560 or max(tops) - min(tops) < 10  # one row, which leaves more to the picture
    for control in ("#play", "#strength", "#copy", "#render"):
        page.locator(control).focus()
        shot(page, f"low-{width}-{control[1:]}")
        assert page.evaluate(
            """(control) => {
              const box = document.querySelector(control).getBoundingClientRect();
              const there = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
              return document.querySelector(control).contains(there);
            }""",
            control,
        ), control


def test_a_request_that_did_not_reach_the_server_is_made_again(serve, page) -> None:
    served, lost = serve(SAMPLES / "old_film.mp4"), []
    at_a_face(page, served)

    def lose(route) -> None:
        if lost.count(route.request.url):
            route.continue_()
        else:
            lost.append(route.request.url)
            route.abort()

    page.route("**/api/frame/99?*", lose)
    page.keyboard.press("End")
    settled(page, 99)
    assert lost
    assert not page.locator("#notice.failed").is_visible()


def test_who_is_in_the_picture_is_said_though_it_is_known_late(serve, page) -> None:
    served = serve(SAMPLES / "interview.mp4")
    page.route("**/api/places?*", lambda route: (page.wait_for_timeout(800), route.continue_()))
    page.goto(served.address)
    settled(page, 0)
    page.wait_for_selector('#canvas[aria-label*="person 1"]')


def test_a_window_that_nobody_sees_leaves_its_connection_to_others_and_catches_up_when_it_is_seen(serve, page) -> None:
    served = serve(SAMPLES / "old_film.mp4")
    at_a_face(page, served)
    other = page.context.new_page()
    at_a_face(other, served)
    news: list[str] = []
    page.on("request", lambda request: news.append(request.url) if "/api/events" in request.url else None)
    turn = """(hidden) => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(turn, True)
    other.locator("#grain").fill("40")
    other.keyboard.press("Control+s")
    other.wait_for_selector("#save-state:text-is('choices saved')")
    page.wait_for_timeout(500)
    assert page.input_value("#grain") == "0"
    page.evaluate(turn, False)
    page.wait_for_selector("#grain-out:text-is('40 %')")
    assert len(news) == 1


def test_a_frame_that_cannot_be_shown_says_why_and_is_not_waited_for(serve, page) -> None:
    served = serve(SAMPLES / "old_film.mp4")
    at_a_face(page, served)
    served.clip.rename(served.clip.with_suffix(".gone"))
    gone = {"error": {"code": "input", "message": "the file is gone"}}
    page.route("**/api/frame/99?*", lambda route: route.fulfill(status=422, json=gone))
    page.keyboard.press("End")
    page.wait_for_selector("#notice.failed:not([hidden])")
    assert page.locator("#notice-text").inner_text() == "the file is gone"
    page.wait_for_selector("#busy", state="hidden")
    shot(page, "trouble")
    page.keyboard.press("Home")
    page.wait_for_selector("#notice", state="hidden")
