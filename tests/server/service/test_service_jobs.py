"""The queue: from upload to download, and everything that can be done to a job."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

import pytest
from serving import SAMPLES, Served

from gpenvid.media.audit import audit


@pytest.fixture(scope="module")
def done(served: Served) -> dict[str, str]:
    """A finished job; a whole clip."""
    job = served.submit(SAMPLES / "interview.mp4", "my interview ä.mp4", strength="0.5", color="restored", preset="veryslow")
    assert job["options"] == {"strength": 0.5, "color": "restored", "preset": "veryslow"}
    return served.finished(job["id"])


def test_an_upload_becomes_a_verified_result(served: Served, done: dict[str, object], tmp_path: Path) -> None:
    assert done["state"] == "done"
    report = done["report"]
    assert isinstance(report, dict)
    assert (report["frames"], report["source"], report["output"]) == (150, "my interview ä.mp4", "my interview ä_restored.mp4")
    answer = served.client.get(f"/v1/jobs/{done['id']}/result")
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["content-disposition"] == (
        "attachment; filename=\"my interview __restored.mp4\"; filename*=utf-8''my%20interview%20%C3%A4_restored.mp4"
    )
    out = tmp_path / "out.mp4"
    out.write_bytes(answer.content)
    assert done["result"] == {"name": "my interview ä_restored.mp4", "bytes": len(answer.content), "href": f"/v1/jobs/{done['id']}/result"}
    assert audit(SAMPLES / "interview.mp4", out).passed
    # The upload has done its service.
    assert sorted(p.name for p in (served.data / "jobs" / str(done["id"])).iterdir()) == ["report.json", "result.mp4"]
    assert str(served.data.parent) not in json.dumps(done)


RANGES = {
    "bytes=0-9": (206, 0, 10),
    "bytes=100-": (206, 100, None),
    "bytes=-7": (206, -7, None),
    "bytes=5-999999999": (206, 5, None),
    "bytes=0-0": (206, 0, 1),
    "bytes=-999999999": (206, 0, None),
    "bytes=9-5": (200, 0, None),
    "bytes=0-1,5-6": (200, 0, None),
    "bytes=-": (200, 0, None),
    "bytes=a-b": (200, 0, None),
    "lines=1-2": (200, 0, None),
    "bytes=٣-٤": (200, 0, None),
}


@pytest.mark.parametrize("asked", RANGES)
def test_parts_of_a_result_can_be_downloaded(asked: str, served: Served, done: dict[str, str]) -> None:
    path = f"/v1/jobs/{done['id']}/result"
    whole = served.client.get(path).content
    status, begin, end = RANGES[asked]
    answer = served.client.get(path, headers={b"range": asked.encode()})
    assert answer.status_code == status
    assert answer.content == whole[begin:end]
    if status == 206:
        first = begin % len(whole)
        assert answer.headers["content-range"] == f"bytes {first}-{first + len(answer.content) - 1}/{len(whole)}"


def test_a_range_outside_the_result_is_refused(served: Served, done: dict[str, str]) -> None:
    path = f"/v1/jobs/{done['id']}/result"
    for asked in ("bytes=999999999-", "bytes=-0"):
        answer = served.client.get(path, headers={"range": asked})
        assert answer.status_code == 416
        assert answer.headers["content-range"].startswith("bytes */")
        assert answer.json()["error"]["code"] == "range"


def test_a_download_is_continued_only_if_the_result_is_the_same(served: Served, done: dict[str, str]) -> None:
    path = f"/v1/jobs/{done['id']}/result"
    head = served.client.head(path)
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["accept-ranges"] == "bytes"
    for tag, status in ((head.headers["etag"], 206), ('"other"', 200)):
        assert served.client.get(path, headers={"range": "bytes=5-", "if-range": tag}).status_code == status
    assert int(head.headers["content-length"]) == len(served.client.get(path).content)


def test_progress_comes_as_events(served: Served) -> None:
    job = served.submit(SAMPLES / "old_film.mp4", end="1.5")
    seen, ended = [], False
    with served.client.stream("GET", f"/v1/jobs/{job['id']}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        kind = ""
        for line in answer.iter_lines():
            if line.startswith("event: "):
                kind = line[7:]
                ended = kind == "end"
            elif line.startswith("data: ") and kind == "job":
                seen.append(json.loads(line[6:]))
    assert ended
    assert seen[-1]["state"] == "done"
    assert seen[-1] == served.job(job["id"])
    assert {s["state"] for s in seen} <= {"queued", "running", "done"}
    stages = [s["progress"]["stage"] for s in seen if s["progress"]]
    assert "starting" in stages


def test_a_file_under_the_media_root_is_restored_where_it_lies(served: Served) -> None:
    folder = served.media / "reels" / "a b"
    folder.mkdir(parents=True)
    source = folder / "film.mp4"
    source.write_bytes((SAMPLES / "old_film.mp4").read_bytes())
    (served.media / "link.mp4").symlink_to(source)
    before = source.stat(), sorted(served.media.rglob("*"))
    for path in ("reels/a b/film.mp4", "link.mp4"):
        answer = served.client.post("/v1/jobs", json={"path": path, "end": 0.5, "crf": 30})
        assert answer.status_code == 201, answer.text
        assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
        job = served.finished(answer.json()["id"])
        assert (job["state"], job["media"], job["name"]) == ("done", path, Path(path).name)
        assert served.client.delete(f"/v1/jobs/{job['id']}").status_code == 204
    after = source.stat()
    assert (after.st_mtime_ns, after.st_size, sorted(served.media.rglob("*"))) == (before[0].st_mtime_ns, before[0].st_size, before[1])


def test_a_picture_can_be_a_job_too(served: Served, tmp_path: Path, astronaut: object) -> None:
    import cv2
    import numpy as np

    path = tmp_path / "face.dat"
    path.write_bytes(cv2.imencode(".png", np.asarray(astronaut)[:, :, ::-1])[1].tobytes())
    job = served.finished(served.submit(path)["id"])
    assert (job["state"], job["kind"], job["result"]["name"]) == ("done", "still", "face_restored.png")


def test_deleting_removes_everything(served: Served) -> None:
    job = served.finished(served.submit(SAMPLES / "old_film.mp4", end="0.3")["id"])
    assert served.client.delete(f"/v1/jobs/{job['id']}").status_code == 204
    assert not (served.data / "jobs" / job["id"]).exists()
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/result"), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/resume")):
        answer = served.client.request(method, f"/v1/jobs/{job['id']}{path}")
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "not_found"


@pytest.mark.alone
def test_a_running_job_is_cancelled_within_seconds(served: Served) -> None:
    job = served.submit(SAMPLES / "interview.mp4", model="gpen-lite-256")
    served.rendering(job["id"], 2)
    began = time.monotonic()
    assert served.client.post(f"/v1/jobs/{job['id']}/cancel").status_code == 202
    assert served.client.post(f"/v1/jobs/{job['id']}/pause").status_code == 409  # what is being removed cannot be kept
    job = served.finished(job["id"])
    took = time.monotonic() - began
    print(f"cancelled after {took:.2f} s")
    assert took < 12  # the process is killed after ten
    assert job["state"] == "cancelled"
    assert not (served.data / "jobs" / job["id"]).exists()
    assert served.client.post(f"/v1/jobs/{job['id']}/cancel").status_code == 409
    assert served.client.get(f"/v1/jobs/{job['id']}/result").status_code == 409


@pytest.mark.alone
def test_a_paused_job_gives_way_and_continues_where_it_was(served: Served, done: dict[str, str]) -> None:
    job = served.submit(SAMPLES / "interview.mp4", strength="0.5", color="restored", preset="veryslow")["id"]
    served.rendering(job, 100)
    assert served.client.post(f"/v1/jobs/{job}/pause").status_code == 202
    served.until(job, lambda j: j["state"] == "paused")
    other = served.finished(served.submit(SAMPLES / "old_film.mp4", end="0.2")["id"])
    assert other["state"] == "done"
    assert served.job(job)["state"] == "paused"
    assert served.client.post(f"/v1/jobs/{job}/resume").status_code == 202
    assert served.finished(job)["state"] == "done"
    results = [served.client.get(f"/v1/jobs/{j}/result").content for j in (job, done["id"])]
    assert hashlib.sha256(results[0]).digest() == hashlib.sha256(results[1]).digest()


def test_what_can_be_read_answers_to_head_without_a_body(served: Served, done: dict[str, str]) -> None:
    for path in ("/healthz", "/metrics", "/v1/models", "/v1/jobs", f"/v1/jobs/{done['id']}", "/v1/openapi.json"):
        answer = served.client.head(path)
        assert answer.status_code == 200, path
        assert answer.content == b""
        assert int(answer.headers["content-length"]) > 0


@pytest.mark.alone
def test_a_full_queue_says_when_to_come_back(served: Served) -> None:
    running = served.submit(SAMPLES / "interview.mp4", model="gpen-lite-256")["id"]
    served.until(running, lambda j: j["state"] == "running")
    waiting = [served.submit(SAMPLES / "old_film.mp4")["id"] for _ in range(4)]
    with (SAMPLES / "old_film.mp4").open("rb") as file:
        answer = served.client.post("/v1/jobs", files={"file": file})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["error"]["code"] == "busy"
    listed = served.client.get("/v1/jobs", params={"state": "queued"}).json()
    assert [j["id"] for j in listed["jobs"]] == waiting[::-1]
    assert listed["queued"] == 4
    assert len(served.client.get("/v1/jobs", params={"limit": 2, "offset": 1}).json()["jobs"]) == 2
    for job in (*waiting, running):
        assert served.client.delete(f"/v1/jobs/{job}").status_code == 204
    assert served.client.get("/v1/jobs", params={"state": "queued"}).json() == {"jobs": [], "queued": 0}


def test_metrics_are_prometheus_text(served: Served, done: dict[str, str]) -> None:
    answer = served.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = dict(line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))
    assert float(samples['gpenvid_jobs{state="done"}']) >= 1
    assert float(samples["gpenvid_frames_total"]) >= 150
    assert float(samples["process_resident_memory_bytes"]) > 1e7
    assert served.client.get("/healthz").json()["status"] == "ok"
