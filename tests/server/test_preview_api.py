"""The preview's HTTP: what it answers, and what it refuses."""

from __future__ import annotations

import io
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from threading import Event, Timer
from typing import Any

import av
import cv2
import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the server's packages are not installed")
from fastapi.testclient import TestClient

from gpenvid import RestoreSettings
from gpenvid.errors import InputError
from gpenvid.job.preview.clip import PreviewClip
from gpenvid.job.preview.look import Look
from gpenvid.job.preview.pictures import display_picture
from gpenvid.job.preview.rendering import is_there
from gpenvid.job.progress import Silent
from gpenvid.media.loop import read_sound
from gpenvid.server.guard import PAGE_POLICY, Guard, GuardSettings
from gpenvid.server.preview.app import page_files, preview_app
from gpenvid.server.preview.session import PreviewSession, Wanted

SAMPLES = Path(__file__).parent.parent.parent / "samples"
HEADERS = {"authorization": f"Bearer {'t' * 24}"}


@pytest.fixture
def session(tmp_path: Path, tiny_model: Path, found: Callable[[Path], Path]) -> Iterator[PreviewSession]:
    clip = tmp_path / "interview.mp4"
    shutil.copy(SAMPLES / "interview.mp4", clip)
    shutil.copy(found(SAMPLES / "interview.mp4"), tmp_path)
    opened = PreviewSession(PreviewClip(clip, RestoreSettings(model=str(tiny_model), detector="builtin")), None, Silent())
    opened.clip.analyse(Silent())
    yield opened
    opened.close()


@pytest.fixture
def client(session: PreviewSession) -> TestClient:
    guard = Guard(preview_app(session), GuardSettings(token="t" * 24, cookies=True, policy=PAGE_POLICY))
    return TestClient(guard, base_url="http://127.0.0.1", headers=HEADERS)


def choices(tiny_model: Path, **changes: Any) -> dict[str, Any]:
    look = {"model": str(tiny_model), "strength": 1.0, "color": "source", "deflicker": True, "grain": 0.0}
    return {"looks": [look | changes, look], "active": 0, "people": {}}


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB))


def until(done: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_png_holds_the_very_pixels(client: TestClient, session: PreviewSession, tiny_model: Path) -> None:
    query = {"kind": "restored", "form": "png", "model": str(tiny_model), "people": "1:0.5"}
    answer = client.get("/api/frame/7", params=query)
    look = Look(model=str(tiny_model), people=((1, 0.5),))
    assert answer.headers["content-type"] == "image/png"
    assert np.array_equal(decoded(answer.content), display_picture(session.clip.restored(7, look)))
    source = decoded(client.get("/api/frame/7", params={"form": "png"}).content)
    assert np.array_equal(source, display_picture(session.clip.frame(7)))
    changed = np.abs(source.astype(int) - decoded(answer.content)).max(axis=2) > 0
    assert 0 < changed.mean() < 0.5


def test_a_smaller_picture_is_as_wide_as_asked(client: TestClient) -> None:
    assert decoded(client.get("/api/frame/0", params={"width": 320}).content).shape == (180, 320, 3)


ODD_ADDRESSES = [
    ("/api/frame/99999", 404),
    ("/api/frame/-1", 404),
    ("/api/frame/x", 422),
    ("/api/frame/0?kind=restored&model=/etc/passwd", 409),
    ("/api/frame/0?kind=restored&model=GPEN-BFR-512", 409),
    ("/api/frame/0?strength=2", 422),
    ("/api/frame/0?strength=nan", 422),
    ("/api/frame/0?people=1:x&kind=restored", 409),
    ("/api/frame/0?form=exe", 422),
    ("/api/frame/0?width=99999999", 422),
    ("/api/frame/0?view=<b>", 422),
    ("/api/people/99/face.jpg", 404),
    ("/api/places?first=-5&count=-1", 200),
    ("/api/loop/../../x.mp4", 404),
    ("/api/result", 404),
    ("/page/..%2fapp.py", 404),
    ("/page/app.py", 404),
    ("/openapi.json", 404),
]


def test_odd_addresses_are_answered_plainly(client: TestClient, session: PreviewSession) -> None:
    for path, status in ODD_ADDRESSES:
        answer = client.get(path)
        assert answer.status_code == status, path
        if status != 200:
            assert answer.json()["error"]["message"]
            assert str(session.clip.source.parent) not in answer.text


def test_a_model_that_is_not_offered_is_neither_read_nor_fetched(client: TestClient, tmp_path: Path, tiny_model: Path) -> None:
    other = shutil.copy(tiny_model, tmp_path / "other.safetensors")
    for model in (str(other), "GPEN-BFR-512"):
        page = choices(tiny_model, model=model)
        for path, body in (("save", page), ("command", page), ("render", {"page": page}), ("loop", {"page": page, "first": 0, "last": 5})):
            assert client.post(f"/api/{path}", json=body).status_code == 409, (path, model)


def test_nothing_is_told_without_the_token_or_to_other_sites(client: TestClient, tiny_model: Path) -> None:
    assert client.get("/api/clip", headers={"authorization": ""}).status_code == 401
    assert client.get("/", headers={"authorization": ""}).status_code == 401
    assert client.get("/api/clip", headers={"host": "evil.example"}).status_code == 403
    evil = {"origin": "https://evil.example"}
    assert client.post("/api/save", json=choices(tiny_model), headers=evil).status_code == 403
    assert client.post("/api/save", json=choices(tiny_model), headers={"origin": "http://127.0.0.1"}).status_code == 200


def test_the_page_brings_everything_itself(client: TestClient) -> None:
    assert {"index.html", "main.js", "page.css"} <= set(page_files())
    for name, path in page_files().items():
        answer = client.get("/" if name == "index.html" else f"/page/{name}")
        assert answer.status_code == 200
        assert "unsafe" not in answer.headers["content-security-policy"]
        text = path.read_text(encoding="utf-8")
        assert "innerHTML" not in text
        assert " style=" not in text
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
        assert "https://" not in text
        assert " onclick=" not in text


def test_the_clip_is_described(client: TestClient) -> None:
    about = client.get("/api/clip").json()
    assert (about["name"], about["width"], about["height"], about["frames"], about["complete"]) == ("interview.mp4", 640, 360, 150, True)
    assert about["shots"][-1][1] == 150
    assert about["people"][0]["id"] == 1
    assert len(client.get("/api/times").json()) == 150
    assert client.get("/api/times?first=149").json() == [pytest.approx(149 / 25)]
    places = client.get("/api/places?first=10&count=5").json()["places"]
    assert len(places) == 5
    assert places[0][0][0] == 1
    assert decoded(client.get("/api/people/1/face.jpg").content).shape == (160, 160, 3)
    assert {m["name"]: m["here"] for m in about["models"]}["gpen-lite-256"] is True


def test_a_sidecar_edited_into_nonsense_is_no_choice(client: TestClient, session: PreviewSession, tiny_model: Path) -> None:
    assert client.get("/api/clip").json()["saved"] is None
    session.clip.saved = {"looks": "<script>", "people": [1]}
    assert client.get("/api/clip").json()["saved"] is None
    session.clip.saved = choices(tiny_model)
    assert client.get("/api/clip").json()["saved"]["looks"][0]["model"] == str(tiny_model)


def test_a_loop_holds_both_sides_and_the_sound(client: TestClient, session: PreviewSession, tiny_model: Path) -> None:
    asked = {"page": choices(tiny_model), "first": 30, "last": 44, "width": 320}
    name = client.post("/api/loop", json=asked).json()["id"]
    until(lambda: session.status()["loop"]["state"] != "running")
    assert session.status()["loop"]["state"] == "ready", session.status()["loop"]
    answer = client.get(f"/api/loop/{name}.mp4", headers={"range": "bytes=0-99"})
    assert (answer.status_code, len(answer.content)) == (206, 100)
    with av.open(io.BytesIO(client.get(f"/api/loop/{name}.mp4").content)) as file:
        frames = [f.to_ndarray(format="rgb24") for f in file.decode(video=0)]
        assert (len(frames), frames[0].shape) == (15, (180, 640, 3))
        assert len(file.streams.audio) == 1
        assert float(file.duration / av.time_base) == pytest.approx(15 / 25, abs=0.05)
    with av.open(io.BytesIO(client.get(f"/api/loop/{name}.mp4").content)) as file:
        heard = np.concatenate([f.to_ndarray()[0] for f in file.decode(audio=0)])
    begin = session.clip.index.pts(30) * session.clip.info.time_base
    said = read_sound(session.clip.source, begin, begin + Fraction(15, 25))
    assert said is not None
    # The encoder's run-up of 1024 samples is cut off by the decoder; what is left is the same sound at the same time.
    length = min(len(heard), said.shape[1])
    assert np.corrcoef(heard[:length], said[0, :length])[0, 1] > 0.98
    shown = display_picture(session.clip.frame(30), 320)
    assert np.abs(frames[0][:, :320].astype(int) - shown).mean() < 4


@pytest.mark.parametrize(("first", "last"), [(5, 5), (9, 3), (0, 100), (140, 150)])
def test_loops_that_cannot_be(client: TestClient, tiny_model: Path, first: int, last: int) -> None:
    answer = client.post("/api/loop", json={"page": choices(tiny_model), "first": first, "last": last})
    assert answer.status_code == 409
    assert "loop" in answer.json()["error"]["message"]


def test_the_render_is_what_the_page_was_set_to(client: TestClient, session: PreviewSession, tiny_model: Path) -> None:
    page = choices(tiny_model, strength=0.5, color="restored", mask="hull") | {"people": {"1": {"strength": 0.7, "included": False}}}
    command = client.post("/api/command", json=page).json()["command"]
    assert command.endswith(f"--model {tiny_model} --strength 0.5 --mask hull --color restored")
    assert client.post("/api/render", json={"page": page}).status_code == 202
    assert client.post("/api/render", json={"page": page}).json()["error"]["message"] == "a render is running"
    until(lambda: session.render.status.state == "done")
    status = session.status()["render"]
    assert (status["frames"], status["faces"], status["result"]) == (150, 0, "interview_restored.mp4")
    part = client.get("/api/result", headers={"range": "bytes=10-19"})
    assert part.status_code == 206
    assert part.content == session.target.read_bytes()[10:20]
    assert client.post("/api/render", json={"page": page}).json()["error"]["code"] == "exists"
    saved = json.loads(session.clip.sidecar.read_text())
    assert saved["tracks"][0]["strength"] == 0
    assert saved["preview"]["people"]["1"] == {"strength": 0.7, "included": False}


def test_a_clip_that_was_replaced_is_neither_shown_nor_saved_nor_rendered(
    client: TestClient, session: PreviewSession, tiny_model: Path
) -> None:
    page, clip, sidecar = choices(tiny_model), session.clip.source, session.clip.sidecar.read_bytes()
    assert client.get("/api/frame/3").status_code == 200
    shutil.copy(SAMPLES / "old_film.mp4", clip.with_name("other.mp4")).replace(clip)
    asked = [client.get(f"/api/frame/{index}") for index in (3, 40)]
    for answer in (*asked, client.post("/api/save", json=page), client.post("/api/render", json={"page": page})):
        assert answer.status_code == 422
        assert answer.json()["error"]["message"] == "interview.mp4: has changed since it was opened"
        assert answer.json()["error"]["remedy"] == "start the preview again"
    with pytest.raises(InputError, match="has changed since it was opened"):  # between the question and the answer
        session.clip.frame(40)
    assert session.clip.sidecar.read_bytes() == sidecar
    assert session.render.status.state == "idle"


def test_a_sidecar_that_something_else_has_changed_is_not_replaced(client: TestClient, session: PreviewSession, tiny_model: Path) -> None:
    page, sidecar = choices(tiny_model), session.clip.sidecar
    for _ in range(2):
        assert client.post("/api/save", json=page).status_code == 200
    sidecar.write_text(edited := sidecar.read_text().replace('"strength":1.0', '"strength":0.4'))
    for answer in (client.post("/api/save", json=page), client.post("/api/render", json={"page": page})):
        assert answer.status_code == 409
        assert answer.json()["error"]["message"] == "interview.tracks.json: has been changed by something else"
        assert "move that file away" in answer.json()["error"]["remedy"]
    assert sidecar.read_text() == edited
    assert session.render.status.state == "idle"
    sidecar.rename(sidecar.with_name("edited.json"))
    assert client.post("/api/save", json=page).status_code == 200


def test_a_render_into_numbered_pictures_is_asked_about_before_it_replaces_some(
    session: PreviewSession, client: TestClient, tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "stills").mkdir()
    session.output = session.target = tmp_path / "stills" / "f_%04d.png"
    assert not is_there(session.target)
    assert not is_there(session.target.with_name("n" * 300))
    client.post("/api/render", json={"page": choices(tiny_model)})
    until(lambda: session.render.status.state == "done")
    status = session.status()
    assert is_there(session.target)
    assert not status["render"]["single"]
    assert len(list((tmp_path / "stills").glob("*.png"))) == 150
    assert client.post("/api/render", json={"page": choices(tiny_model)}).json()["error"]["code"] == "exists"


def test_an_analysis_that_fails_is_told_in_the_terminal_too(tmp_path: Path, tiny_model: Path) -> None:
    told: list[str] = []

    class Console(Silent):
        def note(self, text: str) -> None:
            told.append(text)

    shutil.copy(SAMPLES / "interview.mp4", tmp_path)
    (tmp_path / "interview.tracks.json").write_text("{}")
    clip = PreviewClip(tmp_path / "interview.mp4", RestoreSettings(model=str(tiny_model), detector="builtin"))
    session = PreviewSession(clip, None, Console())
    session.start()
    until(lambda: session.status()["analysis"]["state"] == "failed")
    session.close()
    assert any("interview.tracks.json" in text for text in told)


def test_a_render_that_is_stopped_goes_on_where_it_was(client: TestClient, session: PreviewSession, tiny_model: Path) -> None:
    page = choices(tiny_model)
    client.post("/api/render", json={"page": page})
    until(lambda: session.render.status.done > 100)
    assert client.post("/api/render/pause").json()["state"] in ("paused", "done")
    held = session.render.status.done
    time.sleep(0.3)
    assert session.render.status.done == held
    client.post("/api/render/stop")
    until(lambda: session.render.status.state == "stopped")
    assert not session.target.exists()
    client.post("/api/render", json={"page": page})
    until(lambda: session.render.status.state == "done")
    assert any("continuing" in note for note in session.status()["render"]["notes"])


def test_a_render_goes_by_what_was_chosen_when_it_was_asked_for(session: PreviewSession, tiny_model: Path) -> None:
    look = Look(model=str(tiny_model))
    session.start_render(look, {}, overwrite=False)
    session.save(replace(look, people=((1, 0.0),)), {})
    until(lambda: not session.render.status.busy)
    report = session.render.status.report
    assert report is not None
    assert report.faces > 0


def test_no_remedy_tells_where_files_lie(
    client: TestClient, session: PreviewSession, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object) -> None:
        raise InputError("nothing is written", f"remove {session.clip.source}")

    for work in ("gpenvid.job.preview.clip.write_sidecar", "gpenvid.job.preview.rendering.restore"):
        with monkeypatch.context() as broken:
            broken.setattr(work, fail)
            answer = client.post("/api/render", json={"page": choices(tiny_model)})
            until(lambda: not session.render.status.busy)
        assert str(session.clip.source.parent) not in answer.text
    assert session.status()["render"]["remedy"] == "remove interview.mp4"


def test_pictures_ahead_are_those_that_are_asked_for_where_people_come_and_go(session: PreviewSession, tiny_model: Path) -> None:
    clip, look = session.clip, Look(model=str(tiny_model), people=((1, 0.5),))
    track = clip.tracks.tracks[0]
    cut = {name: getattr(track, name)[:12] for name in ("boxes", "scores", "landmarks", "detected", "parameters", "weights")}
    clip._publish(replace(clip.tracks, tracks=[replace(track, **cut, start=0, flags=[])]))

    def wanted(index: int) -> Wanted:
        return Wanted(index, clip.look_at(index, look), 160, "jpeg")

    session.picture(wanted(10), "view").result(10)
    assert {near for near, _ in session._around(10)} >= {wanted(9), wanted(11), wanted(12)}


def test_a_loop_that_waits_for_a_picture_ends_quietly_with_the_preview(session: PreviewSession, tiny_model: Path) -> None:
    told: list[object] = []
    gate = Event()
    session.desk.ask("slow", lambda: (gate.wait(10), b"")[1], view="")
    session.start_loop(0, 10, None, Look(model=str(tiny_model)), 320)
    until(lambda: session.desk._wishes)
    Timer(0.2, gate.set).start()
    before, threading.excepthook = threading.excepthook, told.append
    session.close()
    threading.excepthook = before
    assert told == []


def test_a_loop_is_given_up_by_its_own_name_and_stays_for_the_window_that_plays_it(
    client: TestClient, session: PreviewSession, tiny_model: Path
) -> None:
    asked = {"page": choices(tiny_model), "first": 30, "last": 33, "width": 64}
    first = client.post("/api/loop", json=asked).json()["id"]
    until(lambda: session.status()["loop"]["state"] == "ready")
    second = client.post("/api/loop", json=asked).json()["id"]
    client.post("/api/loop/stop", json={"id": first})
    until(lambda: session.status()["loop"]["state"] != "running")
    assert (session.status()["loop"]["id"], session.status()["loop"]["state"]) == (second, "ready")
    assert [client.get(f"/api/loop/{name}.mp4").status_code for name in (first, second)] == [200, 200]
