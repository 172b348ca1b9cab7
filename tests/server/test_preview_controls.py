"""What hands do on the preview page: clicks, drags, keys, fingers. Skipped without Chromium or Playwright."""

from __future__ import annotations

import numpy as np
import pytest
from browsing import CHROMIUM, SAMPLES, at_a_face, canvas, face_box, settled, shot

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("fastapi", reason="the server's packages are not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt-get install chromium)")


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


def test_a_picture_that_comes_late_does_not_replace_the_exact_one(serve, page) -> None:
    """The view has gone on meanwhile, to a picture that is there already."""
    page.set_viewport_size({"width": 1120, "height": 700})
    at_a_face(page, serve(SAMPLES / "interview.mp4"))
    held = []
    page.route("**/api/frame/0?form=jpeg*", lambda route: held.append(route))
    page.keyboard.press("2")
    page.wait_for_selector("#stage[aria-busy='true']")
    while not held:
        page.wait_for_timeout(50)
    page.keyboard.press("z")
    page.wait_for_selector("#stage[aria-busy='false']")
    exact = canvas(page)
    for late in held:
        late.continue_()
    page.wait_for_timeout(700)
    assert page.get_attribute("#stage", "aria-busy") == "false"
    assert np.array_equal(canvas(page), exact)


def test_a_picture_that_both_sides_wait_for_comes_although_one_of_them_turns_away(serve, page) -> None:
    """A against B begins while the picture of A is on its way: it goes from the right side to the left."""
    at_a_face(page, serve(SAMPLES / "old_film.mp4"))
    held, holding = [], True
    # What sets out after the others were let go must not be held for ever.
    page.route("**/api/frame/0?*kind=restored*", lambda route: held.append(route) if holding else route.continue_())
    page.keyboard.press("x")
    page.wait_for_selector("#stage[aria-busy='true']")
    page.keyboard.press("a")
    page.wait_for_timeout(200)
    assert len(held) == 2
    holding = False
    for late in held:
        late.continue_()
    page.wait_for_selector("#stage[aria-busy='false']", timeout=10_000)
    assert page.locator("#label-left").inner_text() == "A"


def test_a_picture_that_was_overtaken_by_an_older_wish_is_asked_for_again(serve, page) -> None:
    at_a_face(page, serve(SAMPLES / "old_film.mp4"))
    answered = []

    def overtaken(route) -> None:
        answered.append(route)
        if len(answered) > 1:
            route.continue_()
        else:
            route.fulfill(status=409, json={"error": {"code": "superseded", "message": "another picture was asked for meanwhile"}})

    page.route("**/api/frame/60?*view=*-left*", overtaken)
    for _ in range(6):
        page.keyboard.press("Shift+ArrowRight")
    page.wait_for_selector("#stage[aria-busy='false']", timeout=10_000)
    assert len(answered) == 2


def test_pictures_asked_for_ahead_leave_connections_to_what_is_looked_at(serve, page) -> None:
    served = serve(SAMPLES / "old_film.mp4")
    held = []
    page.route("**/api/frame/*ahead=true*", lambda route: held.append(route))
    at_a_face(page, served)
    page.wait_for_timeout(300)
    assert len(held) == 2
    held[0].continue_()
    page.wait_for_timeout(500)
    assert len(held) == 3


def test_l_plays_on_j_plays_back_and_k_stops(serve, page) -> None:
    at_a_face(page, serve(SAMPLES / "old_film.mp4"))
    page.keyboard.press("l")
    page.wait_for_function("() => Number(document.getElementById('frame').textContent) >= 8")
    page.keyboard.press("k")
    held = int(page.locator("#frame").inner_text())
    settled(page, held)
    page.wait_for_timeout(300)
    assert int(page.locator("#frame").inner_text()) == held
    page.keyboard.press("j")
    page.wait_for_function(f"() => Number(document.getElementById('frame').textContent) <= {held - 4}")
    page.keyboard.press("k")


def test_the_mask_changes_the_picture_and_its_choice_follows_the_keys(serve, page) -> None:
    at_a_face(page, serve(SAMPLES / "old_film.mp4"))
    page.keyboard.press("End")
    page.keyboard.press("3")
    settled(page, 99)
    page.mouse.move(5, 5)
    page.wait_for_timeout(250)
    ellipse = canvas(page)
    page.locator("[data-mask='ellipse']").focus()
    page.keyboard.press("ArrowRight")
    assert page.get_attribute("[data-mask='hull']", "aria-checked") == "true"
    page.wait_for_timeout(100)
    settled(page, 99)
    page.wait_for_timeout(250)
    hull = canvas(page)
    assert np.count_nonzero(hull > 12) < 0.8 * np.count_nonzero(ellipse > 12)


def test_the_difference_of_a_picture_that_is_shown_smaller_is_black_around_the_faces(serve, page) -> None:
    page.set_viewport_size({"width": 700, "height": 700})
    face = at_a_face(page, serve(SAMPLES / "interview.mp4"))
    page.keyboard.press("3")
    settled(page, 0)
    page.mouse.move(5, 5)
    page.wait_for_timeout(250)
    box = page.locator("#canvas").bounding_box()
    left, right = int(face["x"] - 20 - box["x"]), int(face["x"] + face["width"] + 20 - box["x"])
    shown = canvas(page)[40:]  # below the label
    assert shown[:, left:right].max() > 40
    assert max(shown[:, :left].max(), shown[:, right:].max()) <= 16


def test_a_render_that_is_stopped_on_the_page_is_gone_on_with(serve, page) -> None:
    served = serve(SAMPLES / "old_film.mp4")
    at_a_face(page, served)
    page.locator("#render").click()
    page.wait_for_selector("#pause:not([hidden])")
    page.locator("#pause").click()
    page.locator("#stop").click()
    page.wait_for_selector("#stop", state="hidden")
    shot(page, "stopped")
    assert not served.clip.with_name("old_film_restored.mp4").exists()
    page.locator("#render").click()
    page.wait_for_selector("#download", timeout=90_000)
    assert served.clip.with_name("old_film_restored.mp4").exists()


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


def test_what_one_window_saves_the_other_shows_or_tells_of(serve, page) -> None:
    served = serve(SAMPLES / "old_film.mp4")
    at_a_face(page, served)
    other = page.context.new_page()
    at_a_face(other, served)
    before = canvas(page)
    other.locator("#people-here .switch").first.uncheck()
    other.keyboard.press("Control+s")
    # Nothing was chosen here: the other's choices are taken over, in the picture too.
    page.wait_for_selector(".face.out", state="attached")
    page.wait_for_selector("#save-state:text-is('choices saved')")
    settled(page, 0)
    assert not np.array_equal(canvas(page), before)
    assert other.inner_text("#save-state") == "choices saved"
    # Something was chosen here: it stays, until it is saved.
    page.locator("#grain").fill("40")
    other.locator("#people-here .switch").first.check()
    other.keyboard.press("Control+s")
    page.wait_for_selector("#elsewhere")
    assert (page.input_value("#grain"), page.inner_text("#save-state")) == ("40", "not saved")
    assert page.locator(".face.out").count() == 1
    shot(page, "two-windows")
    page.click("#save")
    page.wait_for_selector("#elsewhere", state="hidden")
    other.wait_for_selector("#grain-out:text-is('40 %')")
    other.wait_for_selector(".face.out", state="attached")
    assert other.locator("#elsewhere").is_hidden()


def test_a_page_with_unsaved_choices_asks_before_it_is_left(serve, page) -> None:
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    at_a_face(page, serve(SAMPLES / "old_film.mp4"))
    page.reload()
    page.wait_for_selector("#save:not([disabled])")
    assert asked == []  # nothing was chosen
    page.locator("#grain").fill("40")
    page.reload()
    assert asked == ["beforeunload"]
    page.wait_for_selector("#save:not([disabled])")
    page.locator("#grain").fill("30")
    page.click("#save")
    page.wait_for_selector("#save-state:text-is('choices saved')")
    page.reload()
    assert asked == ["beforeunload"]


def test_what_something_else_has_changed_is_told_and_not_replaced(serve, page) -> None:
    served = serve(SAMPLES / "old_film.mp4")
    at_a_face(page, served)
    sidecar = served.clip.with_name("old_film.tracks.json")
    sidecar.write_text(edited := sidecar.read_text().replace('"strength":1.0', '"strength":0.4'))
    for button in ("#save", "#copy", "#render"):
        page.locator("#render-problem").evaluate("(line) => (line.textContent = '')")
        page.locator("#grain").fill("40")
        page.click(button)
        page.wait_for_selector(
            "#render-problem:has-text('old_film.tracks.json: has been changed by something else: start the preview again')"
        )
    shot(page, "edited-elsewhere")
    assert sidecar.read_text() == edited
    served.clip.write_bytes((SAMPLES / "interview.mp4").read_bytes())
    page.locator("#canvas").click(position={"x": 5, "y": 5})
    page.keyboard.press("End")
    page.wait_for_selector("#notice-text:text-is('old_film.mp4: has changed since it was opened: start the preview again')")
    shot(page, "replaced")


def test_of_two_windows_the_one_whose_loop_was_displaced_says_so(serve, page) -> None:
    served = serve(SAMPLES / "interview.mp4")
    at_a_face(page, served)
    other = page.context.new_page()
    at_a_face(other, served)
    page.keyboard.press("p")
    page.wait_for_function("() => document.getElementById('badge').textContent.startsWith('Rendering the loop ·')")
    other.keyboard.press("p")
    page.wait_for_function("() => document.getElementById('badge').textContent.startsWith('Another window')")
    page.keyboard.press("Escape")
    other.wait_for_selector("#loop[aria-pressed='true']")


def test_a_loop_that_is_given_up_and_begun_again_at_once_plays(serve, page) -> None:
    at_a_face(page, serve(SAMPLES / "old_film.mp4"))
    for _ in range(3):
        page.evaluate("async () => { const { toggleLoop } = await import('/page/loop.js'); for (let i = 0; i < 3; i += 1) toggleLoop(); }")
        page.wait_for_selector("#loop[aria-pressed='true']", timeout=15_000)
        page.keyboard.press("Escape")


def test_playing_steps_over_a_frame_that_cannot_be_shown(serve, page) -> None:
    page.route("**/api/frame/5?*", lambda route: route.fulfill(status=422, json={"error": {"message": "damaged"}}))
    at_a_face(page, serve(SAMPLES / "old_film.mp4"))
    page.keyboard.press("Space")
    page.wait_for_function("() => Number(document.getElementById('frame').textContent) > 8", timeout=15_000)


def test_playing_again_and_again_asks_for_the_screen_once_a_picture(serve, page) -> None:
    at_a_face(page, serve(SAMPLES / "old_film.mp4"))
    ticks = page.evaluate(
        """async () => {
          const { pausePlay, play } = await import("/page/transport.js");
          const usual = requestAnimationFrame;
          let [ticks, pictures] = [0, 0];
          window.requestAnimationFrame = (act) => usual((now) => (ticks += act.name === "tick", act(now)));
          for (let i = 0; i < 6; i += 1) { pausePlay(); play(1); }
          for (; pictures < 10; pictures += 1) await new Promise((done) => usual(done));
          pausePlay();
          return ticks / pictures;
        }"""
    )
    assert ticks <= 1.2


def test_a_command_that_is_not_to_be_had_is_told_of(serve, page) -> None:
    at_a_face(page, serve(SAMPLES / "old_film.mp4"))
    page.route("**/api/command", lambda route: route.fulfill(status=409, json={"error": {"message": "there is no such model here"}}))
    page.locator("#copy").click()
    page.wait_for_selector("#render-problem:text-is('there is no such model here')")


def test_a_page_whose_server_is_gone_does_not_ask_on_and_catches_up_when_it_is_back(serve, page) -> None:
    at_a_face(page, serve(SAMPLES / "old_film.mp4"))
    asked = []
    page.route("**/api/clip", lambda route: (asked.append(route), route.abort()))
    page.route("**/api/events", lambda route: route.abort())
    page.locator("#grain").fill("40")
    page.keyboard.press("Control+s")
    page.wait_for_timeout(400)
    assert asked
    again = "() => document.dispatchEvent(new Event('visibilitychange'))"
    page.evaluate(again)
    page.wait_for_selector("#notice.failed")
    page.wait_for_timeout(400)
    before = len(asked)
    page.wait_for_timeout(800)
    assert len(asked) == before
    page.unroute("**/api/clip")
    page.unroute("**/api/events")
    page.evaluate(again)
    page.wait_for_function("async () => (await import('/page/state.js')).state.clip.saves === 1")
