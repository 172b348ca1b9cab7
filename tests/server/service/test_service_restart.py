"""Servers that end, politely or not, and what becomes of their jobs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from serving import SAMPLES, Served

from gpenvid.media.audit import audit

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
Serve = Callable[..., Served]


def _workers(served: Served) -> list[psutil.Process]:
    return psutil.Process(served.process.pid).children(recursive=True)


@pytest.mark.alone
def test_a_killed_server_finishes_its_job_after_a_restart(serve: Serve, tmp_path: Path) -> None:
    source = SAMPLES / "interview.mp4"
    # Slowly enough that the end of a clip of six seconds does not come before it is seen coming.
    first = serve()
    options = {"preset": "ultrafast", "model": "gpen-lite-256"}
    whole = first.submit(source, **options)["id"]
    assert first.finished(whole)["state"] == "done"
    expected = first.client.get(f"/v1/jobs/{whole}/result").content
    job = first.submit(source, **options)["id"]
    # In the second segment: the first is on the disk.
    first.rendering(job, 110)
    workers = _workers(first)
    assert workers
    assert first.end(signal.SIGKILL) == -signal.SIGKILL
    assert not psutil.wait_procs(workers, timeout=30)[1]  # none outlives its server
    segments = list((first.data / "jobs" / job / "result.mp4.gpenvid").glob("*.seg"))
    assert segments
    (first.data / "jobs" / "cut off").mkdir()
    written = {s: s.stat().st_mtime_ns for s in segments}

    second = serve()
    state = second.job(job)["state"]
    assert state in ("queued", "running")
    seen = second.until(job, lambda j: (p := j["progress"]) is not None and p["stage"] == "render")
    assert {s: s.stat().st_mtime_ns for s in segments} == written  # not rendered again
    assert seen["progress"]["total"] == 150
    done = second.finished(job)
    assert done["state"] == "done", done
    out = tmp_path / "out.mp4"
    out.write_bytes(second.client.get(f"/v1/jobs/{job}/result").content)
    assert out.read_bytes() == expected
    assert audit(source, out).passed
    assert second.job(whole)["state"] == "done"  # what was done before is still there
    assert not (second.data / "jobs" / "cut off").exists()
    assert second.end() == 0


@pytest.mark.alone
def test_a_server_that_is_told_to_stop_does_so_at_once_and_keeps_the_job(serve: Serve) -> None:
    first = serve()
    job = first.submit(SAMPLES / "interview.mp4", model="gpen-lite-256")["id"]
    first.rendering(job, 2)
    with first.client.stream("GET", f"/v1/jobs/{job}/events") as events:
        lines = events.iter_lines()
        next(lines)
        began = time.monotonic()
        first.process.send_signal(signal.SIGTERM)
        list(lines)
    assert first.process.wait(timeout=60) == 0
    print(f"stopped after {time.monotonic() - began:.2f} s")
    assert "Traceback" not in first.text
    second = serve()
    assert second.job(job)["state"] in ("queued", "running")
    assert second.client.post(f"/v1/jobs/{job}/cancel").status_code == 202
    assert second.finished(job)["state"] == "cancelled"


@pytest.mark.slow
def test_a_job_whose_process_dies_is_tried_again_and_then_fails(serve: Serve) -> None:
    served = serve()
    job = served.submit(SAMPLES / "interview.mp4", model="gpen-lite-256")["id"]
    for _ in range(3):
        served.rendering(job, 1)
        for worker in _workers(served):
            worker.kill()
        served.until(job, lambda j: (p := j["progress"]) is None or p["stage"] != "render" or p["done"] < 1)
    failed = served.finished(job)
    assert (failed["state"], failed["error"]["code"]) == ("failed", "crashed")
    # The server is as well as before.
    assert served.finished(served.submit(SAMPLES / "old_film.mp4", end="0.2")["id"])["state"] == "done"
    assert served.client.get("/healthz").json()["status"] == "ok"


def test_two_servers_do_not_share_a_folder(serve: Serve, tiny_model: Path) -> None:
    served = serve()
    second = subprocess.run(
        [sys.executable, "-m", "gpenvid", "serve", "--port", "0", "--data", str(served.data), "--model", str(tiny_model)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ,
    )
    assert second.returncode == 2
    assert "another gpenvid" in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--model", "GPEN-BFR-512"], "gpenvid models get"),
        (["--model", "absent.pth"], "absent.pth"),
        (["--detector", "magic"], "magic"),
        (["--device", "cuda:9"], "cuda:9"),
        (["--media-root", "no/where"], "no/where"),
        (["--host", "0.0.0.0"], "--token-file"),
        (["--queue", "0"], "--queue"),
        (["--keep-days", "-1"], "--keep-days"),
        (["--data", "/proc/gpenvid"], "--data"),
    ],
)
def test_a_service_that_cannot_work_does_not_start(options: list[str], named: str, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "gpenvid",
        "serve",
        "--port",
        "0",
        *(["--data", str(tmp_path / "data")] if "--data" not in options else []),
    ]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=120, check=False, env=os.environ)
    assert done.returncode in (2, 3, 4), done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("gpenvid:")]
    assert len(lines) == 1
    assert named in lines[0]
    assert "Traceback" not in done.stderr


def test_with_a_token_nothing_is_answered_without_it(serve: Serve, tmp_path: Path) -> None:
    token = "a-token-that-is-long-enough"
    (tmp_path / "token").write_text(token + "\n")
    served = serve("--token-file", str(tmp_path / "token"), headers={"authorization": f"Bearer {token}"})
    assert served.client.get("/v1/jobs").status_code == 200
    document = served.client.get("/v1/openapi.json").json()
    assert document["security"] == [{"token": []}]
    for given in ({"authorization": ""}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {token}"}):
        for method, path in (
            ("GET", "/v1/jobs"),
            ("GET", "/metrics"),
            ("GET", "/v1/openapi.json"),
            ("POST", "/v1/jobs"),
            ("GET", "/nowhere"),
        ):
            answer = served.client.request(method, path, headers=given)
            assert answer.status_code == 401
            assert answer.json()["error"]["code"] == "token"
    assert served.client.get("/healthz", headers={"authorization": ""}).status_code == 200
    assert served.client.get(f"/v1/jobs?token={token}", headers={"authorization": ""}).status_code == 401
    assert token not in served.text
