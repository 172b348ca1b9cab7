"""What stands in front of every app: who may ask, from where, and what a browser may do with the answer.

Pure ASGI, so that it wraps any app and costs nothing to import.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_LOG = logging.getLogger("gpenvid.server")
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_LOOPBACK_NAMES = ("localhost",)

API_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox"
"""Content-Security-Policy of answers that are no pages."""

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; connect-src 'self'; "
    "font-src 'self'; worker-src 'self'; manifest-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
"""Content-Security-Policy of our own pages: own files only, nothing inline, no frames."""


@dataclass(frozen=True)
class GuardSettings:
    """What a guard lets through.

    Attributes:
        host: the address the server listens on.
        names: further host names under which it is reached, such as that of a reverse proxy.
        more_names: how whoever runs the server adds some, to follow a sentence.
        token: what every request must bring, None for no token.
        cookies: a browser may bring the token as a cookie, which it gets from an address with `?token=`. For pages only:
            pictures, sound and event streams in a page cannot carry an `Authorization` header.
        ticket: stands for the token in an address once, for an address that others may see.
        policy: Content-Security-Policy of every answer.
        open_paths: paths that need no token, such as a health check.
    """

    host: str = "127.0.0.1"
    names: tuple[str, ...] = ()
    more_names: str = ""
    token: str | None = field(default=None, repr=False)
    cookies: bool = False
    ticket: str | None = field(default=None, repr=False)
    policy: str = API_POLICY
    open_paths: tuple[str, ...] = ()


def is_loopback(host: str) -> bool:
    """Whether an address or name to listen on can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() in _LOOPBACK_NAMES


class Guard:
    """ASGI middleware that refuses requests a browser was tricked into, and those without the token.

    * *Host* must be a name of this server, or any address made of numbers where it listens on all addresses: a foreign name that
      was made to point here (DNS rebinding) is refused.
    * *Origin* must be the server itself for every method that changes something; where the browser says that another
      site asks (`Sec-Fetch-Site`), only following a link to a page is allowed.
    * The token comes as `Authorization: Bearer TOKEN` and is compared in constant time.
    * Every answer carries a content security policy and its companions; exceptions become an answer without details.

    Args:
        app: what is guarded.
        settings: see `GuardSettings`.
    """

    def __init__(self, app: App, settings: GuardSettings) -> None:
        self._app = app
        self._settings = settings
        self._ticket = settings.ticket
        self._cookie = "gpenvid_" + hashlib.sha256((settings.token or "").encode()).hexdigest()[:12]  # browsers share cookies among ports
        listening = settings.host.strip("[]").lower()
        self._any_address = listening in ("0.0.0.0", "::", "")
        self._names = {n.strip("[]").lower() for n in settings.names} | {"localhost", "127.0.0.1", "::1"}
        if not self._any_address:
            self._names.add(listening)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await drain(scope, receive)
            await _answer(self._secured(send), *refusal)
            return
        if scope["method"] == "GET" and (login := self._login(scope)) is not None:
            await _answer(self._secured(send), login[0], "", "", headers=login[1])
            return
        started = False
        body = {"complete": False}
        scope[_BODY] = body

        async def read() -> Message:
            message = await receive()
            body["complete"] = body["complete"] or not message.get("more_body", False)
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, read, self._secured(watched))
        except Exception:
            # Details go to the log of whoever runs the server; who asked gets none.
            _LOG.exception("%r %r failed", scope["method"], scope["path"])  # quoted: a path may hold line breaks
            if started:
                raise  # the answer is cut off, so the client sees that it is not whole
            await _answer(self._secured(send), 500, "internal", "something went wrong in the server; its log says what")

    def _refusal(self, scope: Scope) -> tuple[int, str, str] | None:
        headers = _headers(scope)
        hosts = headers.get("host", [])
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            return 403, "host", f"this server does not answer under that host name{self._settings.more_names}"
        if not self._same_site(scope["method"], headers, hosts[0]):
            return 403, "origin", "requests from other sites are refused"
        if self._settings.token is None or scope["path"] in self._settings.open_paths or self._has_token(scope, headers):
            return None
        return 401, "token", "a token is needed: send it as `Authorization: Bearer TOKEN`"

    def _is_ours(self, host: str) -> bool:
        name = _host_name(host)
        if name is None:
            return False
        if name in self._names:
            return True
        if not self._any_address:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True  # rebinding needs a name

    @staticmethod
    def _same_site(method: str, headers: dict[str, list[str]], host: str) -> bool:
        safe = method in _SAFE_METHODS
        if _is_from_elsewhere(headers) and not (safe and headers.get("sec-fetch-mode") == ["navigate"]):
            return False
        # Programs other than browsers send no Origin; browsers do with everything that can change something.
        return safe or all(_authority(origin) == _authority(f"//{host}") is not None for origin in headers.get("origin", []))

    def _has_token(self, scope: Scope, headers: dict[str, list[str]]) -> bool:
        offered = [value[7:].strip() for value in headers.get("authorization", []) if value[:7].lower() == "bearer "]
        if self._settings.cookies:
            # Only our own is looked at: what other servers of this machine set need not be well formed.
            parts = [part.strip() for header in headers.get("cookie", []) for part in header.split(";")]
            offered += [part.removeprefix(f"{self._cookie}=") for part in parts if part.startswith(f"{self._cookie}=")]
            if scope["method"] == "GET":
                in_address = _tokens_in(_query(scope))
                offered += in_address
                if _is_among(in_address, self._ticket):
                    return True
        return _is_among(offered, self._settings.token)

    def _login(self, scope: Scope) -> tuple[int, list[tuple[bytes, bytes]]] | None:
        """Where the token came in the address: a cookie, and the same address without it, so that it is not kept in the history."""
        query = _query(scope)
        if not (self._settings.cookies and self._settings.token):
            return None
        if _is_among(_tokens_in(query), self._ticket):
            self._ticket = None
        elif not _is_among(_tokens_in(query), self._settings.token):
            return None
        rest = urlencode([(key, value) for key, value in query if key != "token"])
        # One slash: two would make it the address of another server.
        path = "/" + scope.get("raw_path", b"/").decode("latin-1").split("?")[0].lstrip("/\\")
        cookie = f"{self._cookie}={self._settings.token}; HttpOnly; SameSite=Strict; Path=/"
        where = (path + (f"?{rest}" if rest else "")).encode("latin-1")
        if _is_from_elsewhere(_headers(scope)):
            # Browsers follow a redirect without the cookie, being strict, where a link or a file led here; a page of ours goes on with it.
            return 200, [(b"refresh", b"0; url=" + where), (b"content-type", b"text/html"), (b"set-cookie", cookie.encode())]
        return 303, [(b"location", where), (b"set-cookie", cookie.encode())]

    def _secured(self, send: Send) -> Send:
        policy = self._settings.policy.encode()

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", []))
                present = {name.lower() for name, _ in headers}
                for name, value in ((b"content-security-policy", policy), *_HEADERS):
                    if name not in present:
                        headers.append((name, value))
                message = {**message, "headers": headers}
            await send(message)

        return secured


_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
    (b"cache-control", b"no-store"),
)


_BODY = "gpenvid.body"
_DRAIN_BYTES, _DRAIN_SECONDS = 2**20, 5.0


async def drain(scope: Scope, receive: Receive) -> None:
    """Read what is left of a request before it is refused, a little of it at most.

    A connection that is closed while the client still sends is reset, and the client does not see why it was refused.
    """
    if scope.get(_BODY, {}).get("complete") or any(name == b"expect" for name, _ in scope["headers"]):
        return  # there is no more, or the client waits to be told before it sends
    size = 0
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            while size < _DRAIN_BYTES:
                message = await receive()
                size += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        return


def error_body(code: str, message: str, remedy: str = "") -> dict[str, dict[str, str]]:
    """The JSON form of every error: a short code, what is wrong, and what to do about it where that is known."""
    return {"error": {"code": code, "message": message, "remedy": remedy}}


async def _answer(send: Send, status: int, code: str, message: str, *, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    body = json.dumps(error_body(code, message)).encode() if code else b""
    extra = [*headers, (b"content-length", str(len(body)).encode()), (b"connection", b"close")]
    if body:
        extra.append((b"content-type", b"application/json"))
    if status == 401:
        extra.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": extra})
    await send({"type": "http.response.body", "body": body})


def _headers(scope: Scope) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _is_among(offered: list[str], secret: str | None) -> bool:
    """Whether one of them is the secret, each compared in constant time; where there is none, nothing is."""
    digest = hashlib.sha256((secret or "").encode()).digest()
    return bool(secret) and any(hmac.compare_digest(hashlib.sha256(text.encode()).digest(), digest) for text in offered)


def _tokens_in(query: list[tuple[str, str]]) -> list[str]:
    return [value for key, value in query if key == "token"]


def _is_from_elsewhere(headers: dict[str, list[str]]) -> bool:
    """Whether the browser says that another site asks, or led here."""
    return any(site.lower() in ("cross-site", "same-site") for site in headers.get("sec-fetch-site", []))


def _query(scope: Scope) -> list[tuple[str, str]]:
    try:
        return parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True, max_num_fields=100)
    except ValueError:
        return []


def _host_name(host: str) -> str | None:
    """The name in a Host header without its port, None where it is none."""
    authority = _authority(f"//{host}")
    return None if authority is None else authority[0]


def _authority(address: str) -> tuple[str, int | None] | None:
    """(name, port) of an address, the usual ports left out; None where it has none or is malformed."""
    try:
        parts = urlsplit(address)
        name, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not name or parts.path not in ("", "/") or "@" in parts.netloc:
        return None
    return name.lower().rstrip("."), None if port in (80, 443) else port
