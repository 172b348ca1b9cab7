"""Starting and stopping a server."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from gpenvid.errors import UsageError
from gpenvid.server.run import address_of, listen, read_token, require_server

_SERVER = """
import asyncio
import sys
from gpenvid.server.guard import Guard, GuardSettings
from gpenvid.server.run import address_of, listen, serve

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        say("closed")
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/slow":
        say("slow")
        await asyncio.sleep(60)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"here"})

opened = listen("127.0.0.1", 0)
def say(text):
    print(text, flush=True)

serve(Guard(app, GuardSettings()), opened, ready=lambda: say(address_of(opened)), stopping=lambda: say("stopping"))
print("after", flush=True)
"""


@contextmanager
def _running(before: str = "") -> Iterator[tuple[subprocess.Popen[str], IO[str], str]]:
    """The server above in a process of its own, what it writes, and its address; it must end well, and within a minute."""
    process = subprocess.Popen([sys.executable, "-c", before + _SERVER], stdout=subprocess.PIPE, text=True)
    limit = threading.Timer(60, process.kill)
    limit.start()
    assert process.stdout is not None
    yield process, process.stdout, process.stdout.readline().strip()
    assert process.wait() == 0
    limit.cancel()


def _place(address: str) -> tuple[str, int]:
    return "127.0.0.1", int(address.rsplit(":", 1)[1])


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_a_server_takes_a_free_port_and_stops_when_asked(kind: signal.Signals) -> None:
    with _running() as (process, said, address):
        assert address.startswith("http://127.0.0.1:")
        assert urllib.request.urlopen(address, timeout=10).read() == b"here"
        process.send_signal(kind)
        assert said.read().split() == ["stopping", "closed", "after"]


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
def test_a_second_interrupt_ends_open_requests_and_still_the_app_in_good_order() -> None:
    with _running() as (process, said, address), socket.create_connection(_place(address), timeout=10) as open_request:
        open_request.sendall(b"GET /slow HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        for told in ("slow", "stopping"):
            assert said.readline().strip() == told
            process.send_signal(signal.SIGINT)
        assert said.read().split() == ["stopping", "closed", "after"]


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
def test_connections_that_bring_no_request_are_closed_and_leave_room_for_those_that_do() -> None:
    limits = "import gpenvid.server.connections as c; c.HEAD_SECONDS, c.MOST = 0.5, 20\n"
    with _running(limits) as (process, _said, address):
        idle = []
        for number in range(40):
            idle.append(socket.create_connection(_place(address), timeout=10))
            idle[-1].sendall(b"GET / HTTP/1.1\r\nHost: 127" if number % 2 else b"")
        for connection in idle:
            try:
                assert connection.recv(100) == b""
            except ConnectionResetError:
                continue
        assert urllib.request.urlopen(address, timeout=10).read() == b"here"
        with socket.create_connection(_place(address), timeout=10) as slow:
            for part in (b"GET / HTTP/1.1\r\n", b"Host: 127.0.0.1\r\n", b"\r\n"):
                slow.sendall(part)
                time.sleep(0.1)
            assert slow.recv(100).startswith(b"HTTP/1.1 200")
        process.terminate()


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
def test_what_is_left_of_a_request_that_is_answered_has_its_time_to_come() -> None:
    soon = "import gpenvid.server.connections as c; c.HEAD_SECONDS = 0.7\n"
    with _running(soon) as (process, _said, address):
        request = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n"
        with (
            socket.create_connection(_place(address), timeout=10) as kept,
            socket.create_connection(_place(address), timeout=10) as lasting,
        ):
            for connection, size in ((kept, 3), (lasting, 10**6)):
                connection.sendall(request % size)
                told = b""
                while not told.endswith(b"0\r\n\r\n"):
                    told += connection.recv(1000)
            # A body that comes late is passed over, and the connection is good for another request.
            kept.sendall(b"bye" + request % 0)
            assert kept.recv(100).startswith(b"HTTP/1.1 200")
            lasting.sendall(b"x")
            assert lasting.recv(100) == b""
        process.terminate()


def test_a_taken_port_is_said_in_one_line() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        assert address_of(first) == f"http://127.0.0.1:{port}"
        with pytest.raises(UsageError, match=f"port {port} is taken"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.7", "a" * 300])
def test_an_address_of_another_machine_is_said_in_one_line(host: str) -> None:
    with pytest.raises(UsageError, match="no address of this machine"):
        listen(host, 0)


def test_without_the_extra_the_error_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install 'gpenvid\[server\]'"):
        require_server()


def test_an_open_address_needs_a_token(tmp_path: Path) -> None:
    assert read_token("127.0.0.1", None) is None
    with pytest.raises(UsageError, match="--token-file"):
        read_token("0.0.0.0", None)
    file = tmp_path / "token"
    file.write_text("abcdefghijklmnop-_01\n")
    assert read_token("0.0.0.0", file) == "abcdefghijklmnop-_01"


@pytest.mark.parametrize(
    "content", [b"", b"short\n", b"sixteen letters and more\n", b"\xff" * 40, b"a" * 20 + b"\n" + b"b" * 20, b'"' * 20]
)
def test_a_token_file_without_a_usable_token_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(UsageError, match="token"):
        read_token("127.0.0.1", file)
    with pytest.raises(UsageError, match="token"):
        read_token("127.0.0.1", tmp_path)
