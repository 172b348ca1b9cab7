"""A disk that is full, and streams without end."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from serving import SAMPLES, Served

HEAD = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n'
FORM = {"content-type": "multipart/form-data; boundary=x"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "data"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)], check=False, capture_output=True).returncode:
        pytest.skip("no right to mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=False)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts a Linux file system")
def test_a_full_disk_is_said_and_over_when_it_is(small_disk: Path, serve: Callable[..., Served]) -> None:
    served = serve()
    whole = HEAD + bytes(3_000_000) + b"\r\n--x--\r\n"
    pieces = (whole[i : i + 50_000] for i in range(0, len(whole), 50_000))
    for path, content in (("/v1/jobs", whole), ("/v1/jobs", pieces), ("/v1/restore/image", whole)):
        answer = served.client.post(path, headers=FORM, content=content)
        assert answer.status_code == 507
        assert answer.json()["error"]["code"] == "space"
    assert not list((small_disk / "jobs").iterdir())
    assert served.finished(served.submit(SAMPLES / "old_film.mp4", end="0.2")["id"])["state"] == "done"
    assert "Traceback" not in served.text


def test_no_more_clients_can_follow_than_the_server_bears(served: Served) -> None:
    job = served.submit(SAMPLES / "interview.mp4", model="gpen-lite-256")["id"]
    with httpx.Client(base_url=served.url, timeout=60, limits=httpx.Limits(max_connections=100), trust_env=False) as client:
        streams, read = [], []
        for _ in range(64):
            streams.append(client.send(client.build_request("GET", f"/v1/jobs/{job}/events"), stream=True))
            assert streams[-1].status_code == 200
            read.append(streams[-1].iter_raw())
            next(read[-1])
        refused = client.get(f"/v1/jobs/{job}/events")
        assert refused.status_code == 429
        assert refused.headers["retry-after"]
        for stream in streams:
            stream.close()
    deadline = time.monotonic() + 30
    while True:  # the places of those that left are free again
        with served.client.stream("GET", f"/v1/jobs/{job}/events") as again:
            if again.status_code == 200:
                break
        assert time.monotonic() < deadline
    assert served.client.get("/healthz").status_code == 200
    served.client.delete(f"/v1/jobs/{job}")
