"""A disk that is full, and streams without end."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

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


@pytest.mark.alone
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
    shutil.copy2(SAMPLES / "interview.mp4", served.media)
    (small_disk / "fill").write_bytes(bytes(shutil.disk_usage(small_disk).free - 100_000))
    job = served.finished(served.client.post("/v1/jobs", json={"path": "interview.mp4"}).json()["id"])
    assert job["error"] == {"code": "space", "message": "the server's disk is full", "remedy": "try again later"}
    assert "Traceback" not in served.text


def test_no_more_clients_can_follow_than_the_server_bears_though_they_come_at_once(served: Served) -> None:
    job = served.submit(SAMPLES / "interview.mp4", model="gpen-lite-256")["id"]
    place = urlsplit(served.url)

    def follow() -> tuple[socket.socket, str]:
        connection = socket.create_connection((place.hostname, place.port), timeout=60)
        connection.sendall(f"GET /v1/jobs/{job}/events HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode())
        return connection, connection.recv(4096).decode().lower()

    with ThreadPoolExecutor(16) as pool:
        followers = list(pool.map(lambda _: follow(), range(70)))
    refused = [head for _, head in followers if head.startswith("http/1.1 429")]
    assert len(refused) == 6
    assert all("retry-after" in head for head in refused)
    assert sum(head.startswith("http/1.1 200") for _, head in followers) == 64
    for connection, _ in followers:
        connection.close()
    deadline = time.monotonic() + 30
    while True:  # the places of those that left are free again
        again, head = follow()
        again.close()
        if head.startswith("http/1.1 200"):
            break
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert served.client.get("/healthz").status_code == 200
    served.client.delete(f"/v1/jobs/{job}")
