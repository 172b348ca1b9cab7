"""Starting a web server, and stopping it in good order."""

from __future__ import annotations

import errno
import importlib.util
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from gpenvid.errors import UsageError
from gpenvid.server.guard import App, is_loopback

if TYPE_CHECKING:
    import uvicorn

_GRACE = 5  # seconds that open requests get when the server is asked to stop
_SHORTEST_TOKEN = 16


def require_server() -> None:
    """Check that what a server needs is installed.

    Raises:
        UsageError: naming the command that installs it.
    """
    missing = [name for name in ("fastapi", "uvicorn", "python_multipart") if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"the server needs {' and '.join(missing)}", "run `pip install 'gpenvid[server]'`")


def read_token(host: str, file: Path | None) -> str | None:
    """The token of a token file; needed where other machines can reach the server.

    Raises:
        UsageError: other machines can reach the address and no file is named, or the file holds no usable token.
    """
    if file is None:
        if not is_loopback(host):
            raise UsageError(f"--host {host} is open to others, so a token is needed", "name a file that holds one with --token-file")
        return None
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: the token cannot be read", "name a readable text file with --token-file") from error
    if len(token) < _SHORTEST_TOKEN or not all("!" <= c <= "~" and c not in '",;\\' for c in token):
        raise UsageError(
            f"{file}: a token has {_SHORTEST_TOKEN} or more letters and digits on one line",
            "make one with `python3 -c 'import secrets; print(secrets.token_urlsafe(32))'`",
        )
    return token


def listen(host: str, port: int) -> socket.socket:
    """Open the socket of a server, before anything else is loaded.

    Args:
        port: 0 takes a free one.

    Raises:
        UsageError: the port is taken or reserved, or the address is not this machine's.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        opened = socket.socket(family, socket.SOCK_STREAM)
    except (OSError, UnicodeError, OverflowError) as error:
        raise UsageError(f"--host {host} is no address of this machine", "leave it out for 127.0.0.1") from error
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen(128)
    except OSError as error:
        opened.close()
        if error.errno == errno.EADDRINUSE:
            raise UsageError(f"port {port} is taken", "choose another --port; 0 finds a free one") from error
        if error.errno == errno.EACCES:
            raise UsageError(f"port {port} is reserved for the system", "choose a --port above 1023") from error
        raise UsageError(f"--host {host} is no address of this machine", "leave it out for 127.0.0.1") from error
    return opened


def address_of(opened: socket.socket) -> str:
    """`http://HOST:PORT` of an open socket, with an address one can go to."""
    host, port = opened.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(app: App, opened: socket.socket, *, ready: Callable[[], None], stopping: Callable[[], None]) -> None:
    """Answer requests until SIGINT or SIGTERM.

    Args:
        app: the guarded app.
        opened: see `listen`.
        ready: called once requests are answered.
        stopping: called when the server is asked to stop, before open requests are waited for: streams that never end should end then.
    """
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                ready()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            await super().shutdown(sockets)
            if self.force_exit:  # a second Ctrl-C: open requests are not waited for, but the app still has to end in good order
                await self.lifespan.shutdown()

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            stopping()
            super().handle_exit(sig, frame)

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            # uvicorn's own raises the signal again at the end; being asked to stop is no failure of a server.
            before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

    Server(_configuration(app)).run(sockets=[opened])


def _configuration(app: Any) -> uvicorn.Config:
    import uvicorn

    from gpenvid.server.connections import PatientProtocol

    return uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        loop="asyncio",
        lifespan="on",
        access_log=False,  # it would write addresses, which may hold a token
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE,
    )
