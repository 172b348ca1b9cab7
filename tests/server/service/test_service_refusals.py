"""What a service does not take: each a 4xx with one clear sentence, and nothing left behind."""

from __future__ import annotations

import asyncio
import gzip
import os
import random
import shutil
import socket
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import httpx
import pytest
from serving import SAMPLES, Served
from starlette.requests import Request

from gpenvid.server.service.uploads import receive_form


@pytest.fixture(autouse=True)
def _nothing_left(served: Served) -> Iterator[None]:
    yield
    assert list((served.data / "jobs").iterdir()) == []
    assert list((served.data / "pictures").iterdir()) == []
    assert served.client.get("/v1/jobs").json()["jobs"] == []


def refused(answer: httpx.Response, served: Served, *statuses: int) -> dict[str, str]:
    """The error of an answer that has one of these statuses and gives nothing away."""
    assert answer.status_code in (statuses or range(400, 500)), answer.text
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "remedy"}
    assert error["message"]
    for secret in (str(served.data), str(served.media), str(Path.home()), "Traceback", "upload", 'File "', "/tmp"):
        assert secret not in answer.text
    return dict(error)


def _png(width: int, height: int, data: bytes = b"") -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def _no_frames(path: Path) -> bytes:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.start_encoding()
    return path.read_bytes()


def _sound(path: Path) -> bytes:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame(format="s16", layout="mono", samples=800)
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path.read_bytes()


def bad_files(folder: Path) -> dict[str, tuple[str, bytes]]:
    """One of every kind of file that is no video or picture."""
    clip, chance = (SAMPLES / "interview.mp4").read_bytes(), random.Random(0)
    return {
        "text called mp4": ("text.mp4", b"this is no film\n" * 50),
        "empty": ("empty.mp4", b""),
        "noise called png": ("noise.png", chance.randbytes(5000)),
        "header only": ("head.mp4", clip[:64] + chance.randbytes(3000)),
        "no index": ("cut.mp4", clip[: len(clip) // 50]),
        "no frames": ("noframes.mkv", _no_frames(folder / "noframes.mkv")),
        "sound only": ("sound.wav", _sound(folder / "sound.wav")),
        "png with a broken body": ("broken.png", _png(64, 64, b"nonsense")),
        "jpeg start only": ("start.jpg", b"\xff\xd8\xff\xe0" + bytes(20)),
        "zip": ("a.mp4", b"PK\x03\x04" + chance.randbytes(500)),
        "gzip": ("a.mkv", gzip.compress(clip[:1000])),
        "html": ("a.webm", b"<html><script>alert(1)</script>"),
        "svg": ("a.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'),
        "pickle": ("a.pth", b"\x80\x04cos\nsystem\n(S'touch x'\ntR."),
        "elf": ("a.mp4", Path("/bin/true").read_bytes()[:4000] if Path("/bin/true").exists() else b"\x7fELF"),
        "playlist": ("a.m3u8", f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile://{SAMPLES}/interview.mp4\n#EXT-X-ENDLIST\n".encode()),
        "concat": ("a.mp4", f"ffconcat version 1.0\nfile {SAMPLES}/interview.mp4\n".encode()),
        "concat beside": ("a.mp4", b"ffconcat version 1.0\nfile source.mp4\n"),
        "session description": ("a.sdp", b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n"),
        "dash": ("a.mpd", b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period/></MPD>'),
        "bomb": ("bomb.png", _png(60_000, 60_000, zlib.compress(bytes(10**6)))),
        "endless size": ("big.png", _png(2**31 - 1, 2**31 - 1)),
    }


CASES = [
    "text called mp4",
    "empty",
    "noise called png",
    "header only",
    "no index",
    "no frames",
    "sound only",
    "png with a broken body",
    "jpeg start only",
    "zip",
    "gzip",
    "html",
    "svg",
    "pickle",
    "elf",
    "playlist",
    "concat",
    "concat beside",
    "session description",
    "dash",
    "bomb",
    "endless size",
]


@pytest.mark.parametrize("case", CASES)
def test_a_bad_file_is_refused_before_it_is_a_job(case: str, served: Served, tmp_path: Path) -> None:
    name, content = bad_files(tmp_path)[case]
    error = refused(served.client.post("/v1/jobs", files={"file": (name, content)}), served, 413, 415, 422)
    print(error["message"])
    assert name in error["message"]


@pytest.mark.parametrize("case", CASES)
def test_a_bad_picture_is_refused(case: str, served: Served, tmp_path: Path) -> None:
    name, content = bad_files(tmp_path)[case]
    error = refused(served.client.post("/v1/restore/image", files={"file": (name, content)}), served, 413, 415, 422)
    print(error["message"])
    assert name in error["message"]


@pytest.mark.parametrize("seed", range(8))
def test_damaged_files_are_refused_or_restored_as_far_as_they_go(seed: int, served: Served) -> None:
    chance = random.Random(seed)
    content = bytearray((SAMPLES / "interview.mp4").read_bytes())
    for _ in range(200):
        content[chance.randrange(0, 3000 if seed % 2 else len(content))] ^= 1 << chance.randrange(8)
    answer = served.client.post("/v1/jobs", files={"file": ("damaged.mp4", bytes(content))}, data={"end": "0.3"})
    if answer.status_code == 201:
        job = served.finished(answer.json()["id"])
        assert job["state"] in ("done", "failed")
        assert job["state"] == "done" or job["error"]["message"]
        served.client.delete(f"/v1/jobs/{job['id']}")
    else:
        refused(answer, served)


def test_a_damaged_picture_is_not_too_large_whatever_it_is_called(served: Served) -> None:
    answer = served.client.post("/v1/restore/image", files={"file": ("pixels.png", _png(64, 64, b"nonsense"))})
    assert refused(answer, served, 415)["code"] == "input"


def test_a_video_is_no_picture(served: Served) -> None:
    content = (SAMPLES / "old_film.mp4").read_bytes()
    error = refused(served.client.post("/v1/restore/image", files={"file": ("film.png", content)}), served, 415)
    assert "queue" in error["remedy"]


OPTIONS = {
    "unknown field": {"colour": "source"},
    "strength above one": {"strength": "1.5"},
    "strength no number": {"strength": "much"},
    "infinite": {"grain": "inf"},
    "no number": {"crf": "nan"},
    "unknown model": {"model": "GPEN-9000"},
    "model as a path": {"model": "/etc/passwd"},
    "model that is not offered": {"model": "GPEN-BFR-512"},
    "unknown codec": {"codec": "cinepak9"},
    "codec that the container cannot hold": {"codec": "prores"},
    "preset with options": {"preset": "medium:tune=film"},
    "unknown preset": {"preset": "sluggish"},
    "end before start": {"start": "3", "end": "1"},
    "negative": {"start": "-1"},
    "beyond the end": {"start": "300"},
    "people": {"only": "1,x"},
    "path": {"path": "x.mp4"},
    "operator's setting": {"device": "cuda:0"},
    "side file": {"tracks": "/etc/passwd"},
    "overwrite": {"overwrite": "true"},
    "nonsense truth": {"deflicker": "perhaps"},
    "long": {"codec": "x" * 5000},
}


@pytest.mark.parametrize("case", OPTIONS)
def test_options_that_make_no_sense_are_refused(case: str, served: Served) -> None:
    content = (SAMPLES / "old_film.mp4").read_bytes()
    error = refused(served.client.post("/v1/jobs", files={"file": ("film.mp4", content)}, data=OPTIONS[case]), served, 413, 422)
    print(error["message"])
    body = {"path": "film.mp4", **OPTIONS[case]}
    (served.media / "film.mp4").write_bytes(content)
    refused(served.client.post("/v1/jobs", json=body), served, 404, 422)


@pytest.mark.parametrize("option", ["codec", "crf", "preset", "start", "end", "only"])
def test_options_of_videos_are_refused_for_pictures_at_once(option: str, served: Served) -> None:
    value = {"codec": "h264", "preset": "fast"}.get(option, "1")
    answer = served.client.post("/v1/jobs", files={"file": ("a.png", _png(1, 1, zlib.compress(bytes(4))))}, data={option: value})
    error = refused(answer, served, 422)
    assert error["code"] == "settings"
    assert option in error["message"]


def test_a_field_is_named_whatever_it_is_called(served: Served) -> None:
    error = refused(served.client.post("/v1/jobs", json={"path": ""}), served, 422)
    assert error["message"].startswith("path: ")


TRAVERSALS = [
    "../data/jobs.sqlite3",
    "..",
    ".",
    "",
    "a/../../data/jobs.sqlite3",
    "/etc/passwd",
    "//etc/passwd",
    "C:\\Windows\\win.ini",
    "..\\data",
    "film.mp4\0.png",
    "fil\nm.mp4",
    "%2e%2e/data",
    "out.mp4",
    "loop",
    "door/interview.mp4",
    "pipe",
    "folder",
    "absent.mp4",
    "film.mp4/",
    "~/x.mp4",
    "x" * 5000,
    "a/" * 1500,
]


@pytest.mark.parametrize("path", TRAVERSALS, ids=lambda p: ascii(p)[:30])
def test_what_lies_outside_the_media_root_does_not_exist(path: str, served: Served) -> None:
    for name, target in (("out.mp4", SAMPLES / "interview.mp4"), ("door", SAMPLES), ("loop", served.media / "loop")):
        if not (served.media / name).is_symlink():
            (served.media / name).symlink_to(target)
    if not (served.media / "pipe").exists():
        os.mkfifo(served.media / "pipe")
        (served.media / "folder").mkdir()
    shutil.copy(SAMPLES / "old_film.mp4", served.media / "film.mp4")
    error = refused(served.client.post("/v1/jobs", json={"path": path}), served, 404, 422)
    assert error["code"] in ("not_found", "invalid")


BODIES = {
    "no body": ({}, b"", 415),
    "text": ({"content-type": "text/plain"}, b"hello", 415),
    "url encoded": ({"content-type": "application/x-www-form-urlencoded"}, b"path=x", 415),
    "no json": ({"content-type": "application/json"}, b"{", 422),
    "json list": ({"content-type": "application/json"}, b"[]", 422),
    "deep json": ({"content-type": "application/json"}, b"[" * 60_000, 422),
    "no text": ({"content-type": "application/json"}, b'{"path": "\xff"}', 422),
    "large json": ({"content-type": "application/json"}, b'{"path": "' + b"x" * 100_000 + b'"}', 413),
    "no boundary": ({"content-type": "multipart/form-data"}, b"x", 400),
    "no form": ({"content-type": "multipart/form-data; boundary=x"}, b"hello", 400),
    "empty form": ({"content-type": "multipart/form-data; boundary=x"}, b"--x--\r\n", 422),
    "cut form": (
        {"content-type": "multipart/form-data; boundary=x"},
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc',
        400,
    ),
    "no name": ({"content-type": "multipart/form-data; boundary=x"}, b"--x\r\nContent-Disposition: form-data\r\n\r\nabc\r\n--x--\r\n", 400),
    "no file": (
        {"content-type": "multipart/form-data; boundary=x"},
        b'--x\r\nContent-Disposition: form-data; name="crf"\r\n\r\n9\r\n--x--\r\n',
        422,
    ),
    "endless header": ({"content-type": "multipart/form-data; boundary=x"}, b"--x\r\nA: " + b"b" * 100_000, 400),
    "many fields": (
        {"content-type": "multipart/form-data; boundary=x"},
        b"".join(b'--x\r\nContent-Disposition: form-data; name="f%d"\r\n\r\n9\r\n' % i for i in range(100)) + b"--x--\r\n",
        400,
    ),
    "two files": (
        {"content-type": "multipart/form-data; boundary=x"},
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc\r\n' * 2 + b"--x--\r\n",
        400,
    ),
}


@pytest.mark.parametrize("case", BODIES)
def test_malformed_bodies_are_refused(case: str, served: Served) -> None:
    headers, body, status = BODIES[case]
    refused(served.client.post("/v1/jobs", headers=headers, content=body), served, status)
    if "json" not in str(headers):
        refused(served.client.post("/v1/restore/image", headers=headers, content=body), served, status)


def test_what_lies_behind_the_end_of_a_form_is_passed_over_in_whatever_chunks_it_comes(tmp_path: Path) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc\r\n--x--\r\nmore\r\n--x\r\n' + b"y" * 40
    scope = {"type": "http", "headers": [(b"content-type", b"multipart/form-data; boundary=x")]}
    for size in (1, 7, 50, len(body)):
        parts = [{"type": "http.request", "body": body[i : i + size], "more_body": True} for i in range(0, len(body), size)]
        coming = iter([*parts, {"type": "http.request"}])

        async def receive(coming: Iterator[dict[str, object]] = coming) -> dict[str, object]:
            return next(coming)

        form = asyncio.run(receive_form(Request(scope, receive), tmp_path / "file", 1000))
        assert (form.name, form.path.read_bytes()) == ("a", b"abc")


@pytest.mark.parametrize("announced", [True, False])
def test_an_upload_over_the_limit_is_refused_and_not_kept(announced: bool, served: Served) -> None:
    for path, size in (("/v1/jobs", 4_000_000), ("/v1/restore/image", 3_000_000)):
        head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.mp4"\r\n\r\n'
        for body in (head + bytes(size) + b"\r\n--x--\r\n", head + b"abc\r\n--x--" + b"\r\n" * (size // 2)):
            content = body if announced else (body[i : i + 50_000] for i in range(0, len(body), 50_000))
            answer = served.client.post(path, headers={"content-type": "multipart/form-data; boundary=x"}, content=content)
            assert refused(answer, served, 413)["code"] == "too_large"


def test_an_upload_that_breaks_off_leaves_nothing(served: Served) -> None:
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        head = (
            b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 90000\r\n\r\n"
        )
        connection.sendall(head + b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + bytes(5000))
        _until(lambda: bool(list((served.data / "jobs").iterdir())))
    _until(lambda: not list((served.data / "jobs").iterdir()))


def _until(good: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not good():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/", 404),
    ("GET", "/v1", 404),
    ("GET", "/v1/jobs/", 404),
    ("GET", "/docs", 404),
    ("GET", "/v1/jobs/x", 422),
    ("GET", "/v1/jobs/" + "0" * 32, 404),
    ("GET", "/v1/jobs/%2e%2e", 422),
    ("GET", "/v1/jobs/..%2f..%2fetc%2fpasswd/result", 404),
    ("GET", "/v1/jobs?limit=0", 422),
    ("GET", "/v1/jobs?offset=99999999999999999999", 422),
    ("GET", "/v1/jobs?state=deleting", 422),
    ("PUT", "/v1/jobs", 405),
    ("TRACE", "/v1/jobs", 405),
    ("GET", "/v1/restore/image", 405),
    ("GET", "/v1/models?x=<script>", 200),
])  # fmt: skip
def test_addresses_that_lead_nowhere(method: str, path: str, status: int, served: Served) -> None:
    answer = served.client.request(method, path)
    assert answer.status_code == status
    if status != 200:
        refused(answer, served)
    if status == 405:
        assert len(answer.headers.get_list("allow")) == 1
        assert answer.headers["allow"]


def test_requests_of_other_sites_and_names_are_refused(served: Served) -> None:
    content = (SAMPLES / "old_film.mp4").read_bytes()
    for headers in ({"origin": "http://evil.example"}, {"host": "evil.example"}, {"sec-fetch-site": "cross-site"}):
        refused(served.client.post("/v1/jobs", files={"file": ("film.mp4", content)}, headers=headers), served, 403)
