"""Many requests at once while a job runs: none is lost, and the server's memory does not grow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import httpx
import numpy as np
import psutil
import pytest
from serving import SAMPLES, Served

CONNECTIONS, REQUESTS = 16, 200


def _ask(served: Served, picture: bytes, job: str, number: int) -> tuple[str, int]:
    """One request of a mix as a busy service sees it; a client of its own for each connection would hide nothing."""
    kinds: list[tuple[str, Callable[[], httpx.Response]]] = [
        ("look", lambda: served.client.get(f"/v1/jobs/{job}")),
        ("list", lambda: served.client.get("/v1/jobs")),
        ("metrics", lambda: served.client.get("/metrics")),
        ("picture", lambda: served.client.post("/v1/restore/image", files={"file": ("face.jpg", picture)})),
        ("bad job", lambda: served.client.post("/v1/jobs", files={"file": ("bad.mp4", picture[:50])})),
    ]
    name, call = kinds[number % len(kinds)]
    answer = call()
    assert answer.status_code < 500, answer.text
    assert answer.headers["content-security-policy"]
    if name == "picture" and answer.status_code == 200:
        assert cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR) is not None
    return name, answer.status_code


def _storm(served: Served, picture: bytes, job: str) -> Counter[tuple[str, int]]:
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return Counter(pool.map(lambda n: _ask(served, picture, job, n), range(REQUESTS)))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_two_hundred_requests_over_sixteen_connections_while_a_job_runs(
    serve: Callable[..., Served], tmp_path: Path, astronaut: np.ndarray
) -> None:
    served = serve("--queue", "32")
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    served.client = httpx.Client(base_url=served.url, timeout=300, limits=limits, trust_env=False)
    picture = cv2.imencode(".jpg", astronaut[:256, 100:356, ::-1])[1].tobytes()
    jobs = [served.submit(SAMPLES / "interview.mp4", model="gpen-lite-256")["id"] for _ in range(2)]
    served.rendering(jobs[0], 1)
    server = psutil.Process(served.process.pid)
    memory = []
    for _ in range(3):
        answers = _storm(served, picture, jobs[0])
        print(dict(answers))
        assert sum(answers.values()) == REQUESTS
        # Sixteen connections are fewer than the places in both queues: nobody is told to come back.
        assert answers["picture", 200] == answers["look", 200] == answers["list", 200] == answers["metrics", 200] == REQUESTS // 5
        assert answers["bad job", 415] == REQUESTS // 5
        memory.append(server.memory_info().rss)
    print("resident after each 200 requests:", [f"{m / 2**20:.1f} MiB" for m in memory])
    assert memory[-1] < memory[0] + 4 * 2**20
    assert not server.children() or all(c.memory_info().rss < 3 * 2**30 for c in server.children())
    assert {served.finished(job, 600)["state"] for job in jobs} == {"done"}
    assert served.end() == 0
    assert "Traceback" not in served.text


@pytest.mark.slow
def test_when_too_many_pictures_wait_the_rest_is_told_so(serve: Callable[..., Served], astronaut: np.ndarray) -> None:
    served = serve("--pictures", "2")
    served.client = httpx.Client(base_url=served.url, timeout=300, limits=httpx.Limits(max_connections=CONNECTIONS), trust_env=False)
    picture = cv2.imencode(".png", astronaut[:, :, ::-1])[1].tobytes()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        answers = list(pool.map(lambda _: served.client.post("/v1/restore/image", files={"file": ("face.png", picture)}), range(64)))
    counts = Counter(a.status_code for a in answers)
    print(counts)
    assert set(counts) == {200, 429}
    assert all(int(a.headers["retry-after"]) > 0 for a in answers if a.status_code == 429)
