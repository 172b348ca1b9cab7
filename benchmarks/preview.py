"""How long the preview takes to show a frame: one that was computed ahead, and one that nobody has asked for yet.

Serves a 720p clip with the built-in model, as `gpenvid preview` does, and asks for pictures as the page does. Where Chromium and
Playwright are found, a step is also timed in the browser: from the key to the drawn frame.
"""

from __future__ import annotations

import random
import shutil
import statistics
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import uvicorn

from gpenvid import RestoreSettings
from gpenvid.job.preview.clip import PreviewClip
from gpenvid.job.progress import Silent
from gpenvid.server.preview.app import preview_app
from gpenvid.server.preview.session import PreviewSession
from gpenvid.server.run import address_of, listen

SAMPLE = Path(__file__).parent.parent / "samples" / "interview.mp4"
STEPS, COLD, EDITS = 40, 12, 12
STEP = """async () => {
  const canvas = document.getElementById("canvas");
  const next = Number(canvas.dataset.settled) + 1;
  const begun = performance.now();
  document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
  while (canvas.dataset.settled !== String(next)) await new Promise((go) => requestAnimationFrame(go));
  await new Promise((go) => requestAnimationFrame(go));
  return performance.now() - begun;
}"""


def make_720p(target: Path) -> None:
    """The interview sample at 1280x720, keyframes every 2 seconds."""
    with av.open(str(SAMPLE)) as source, av.open(str(target), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"crf": "18", "preset": "veryfast", "g": "50"})
        stream.width, stream.height, stream.pix_fmt, stream.time_base = 1280, 720, "yuv420p", Fraction(1, 25)
        for index, frame in enumerate(source.decode(video=0)):
            large = frame.reformat(1280, 720, "yuv420p", interpolation="BICUBIC")
            large.pts, large.time_base = index, Fraction(1, 25)
            output.mux(stream.encode(large))
        output.mux(stream.encode(None))


def timed(act: Callable[[], object]) -> float:
    """Milliseconds."""
    begin = time.perf_counter()
    act()
    return 1000 * (time.perf_counter() - begin)


def told(name: str, values: list[float], limit: float) -> None:
    """Print median, 95th percentile and worst."""
    worst, late = max(values), float(np.percentile(values, 95))
    print(f"{name}: median {statistics.median(values):.0f} ms, 95% under {late:.0f} ms, worst {worst:.0f} ms (asked: {limit:.0f} ms)")


def measure(folder: Path) -> None:
    """Serve, ask, print."""
    clip_path = folder / "interview_720p.mp4"
    make_720p(clip_path)
    session = PreviewSession(PreviewClip(clip_path, RestoreSettings(detector="builtin")), None, Silent())
    session.clip.analyse(Silent())
    session._set_analysis(state="ready")
    frames = session.clip.tracks.frames
    opened = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(preview_app(session), ws="none", log_config=None))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]}, daemon=True)
    thread.start()
    base = address_of(opened)

    def picture(index: int, **changes: object) -> int:
        choice = {"kind": "restored", "form": "jpeg", "model": "gpen-lite-256", "view": "bench"} | changes
        with urllib.request.urlopen(f"{base}/api/frame/{index}?{urllib.parse.urlencode(choice)}", timeout=60) as answer:
            return len(answer.read())

    picture(0, ahead="true", view="")  # the network's first run is slower than all others
    cold = random.Random(1).sample(range(20, frames - 20, 8), COLD)
    # Without a view nothing is computed ahead: these are frames, neighbours and all, that nobody has asked for.
    used = time.process_time()
    told("a cold frame, 720p, eleven faces restored", [timed(lambda i=i: picture(i, view="")) for i in cold], 1000)
    print(f"  of which processor time, server and client: {1000 * (time.process_time() - used) / COLD:.0f} ms on average")
    shares = [round(0.05 + i / 20, 2) for i in range(EDITS)]
    told("a change of strength on a frame that was seen", [timed(lambda s=s: picture(cold[0], strength=s, view="")) for s in shares], 1000)
    steps = []
    for index in range(20, 20 + STEPS):
        picture(index)
        until_ahead(session)
        steps.append(timed(lambda i=index: picture(i + 1)))
    told("a step to a prefetched frame, HTTP", steps, 100)
    in_browser(base, session)
    server.should_exit = True
    thread.join(10)
    session.close()


def until_ahead(session: PreviewSession) -> None:
    """Wait until everything around the cursor is computed."""
    while session.desk._ahead or session.desk._wishes:
        time.sleep(0.01)
    time.sleep(0.05)


def in_browser(base: str, session: PreviewSession) -> None:
    """Steps from the key to the drawn frame, where a browser is found."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        print("no Playwright here: not timed in a browser")
        return
    chromium = shutil.which("chromium")
    if chromium is None:
        print("no Chromium here: not timed in a browser")
        return
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.goto(base)
        page.wait_for_selector("#canvas[data-settled='0']", timeout=60_000)
        times = []
        for _ in range(STEPS):
            page.wait_for_selector("#stage[aria-busy='false']")
            until_ahead(session)
            page.wait_for_timeout(150)
            times.append(page.evaluate(STEP))
        browser.close()
    told("a step to a prefetched frame, key to picture in Chromium", times, 100)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        measure(Path(scratch))
