"""Who may ask: DNS rebinding, requests from other sites, tokens, and what every answer carries."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from gpenvid.server.guard import PAGE_POLICY, App, Guard, GuardSettings, is_loopback

TOKEN = "0123456789abcdefABCDEF"
OURS = "http://127.0.0.1:8765"


async def _echo(scope: Any, receive: Any, send: Any) -> None:
    if scope["path"] == "/broken":
        raise RuntimeError("/secret/place/file.py is broken")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


def ask(
    method: str = "GET",
    path: str = "/",
    *,
    headers: dict[str, str] | None = None,
    app: App = _echo,
    settings: GuardSettings | None = None,
    base: str = OURS,
) -> httpx.Response:
    async def call() -> httpx.Response:
        transport = httpx.ASGITransport(app=Guard(app, settings or GuardSettings()))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url=base) as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(call())


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8765", "localhost:1", "LOCALHOST", "localhost.", "[::1]:80"])
def test_own_names_are_answered(host: str) -> None:
    assert ask(headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", "192.168.0.9", "", "a@localhost", "[::1", "localhost:x"]
)
def test_a_foreign_name_that_points_here_is_refused(host: str) -> None:
    answer = ask(headers={"host": host})
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "host"


def test_a_wildcard_address_answers_to_numbers_and_given_names_only() -> None:
    settings = GuardSettings(host="0.0.0.0", names=("Studio.example",), token=TOKEN)
    bearer = {"authorization": f"Bearer {TOKEN}"}
    for host, status in (("10.0.0.5:80", 200), ("[fe80::1]:9", 200), ("studio.example", 200), ("evil.example", 403)):
        assert ask(headers={"host": host, **bearer}, settings=settings).status_code == status, host


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:3000", "http://127.0.0.1.evil.example:8765", "file://", ""]
)
def test_another_site_cannot_change_anything(method: str, origin: str) -> None:
    answer = ask(method, headers={"origin": origin})
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "origin"


def test_the_own_page_and_programs_can() -> None:
    assert ask("POST").status_code == 200
    assert ask("POST", headers={"origin": OURS, "sec-fetch-site": "same-origin"}).status_code == 200


def test_behind_a_proxy_with_tls_the_origin_is_that_of_the_host() -> None:
    settings = GuardSettings(names=("studio.example",))
    headers = {"host": "studio.example", "origin": "https://studio.example"}
    assert ask("POST", headers=headers, settings=settings).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_sites_cannot_embed_what_is_here_but_may_link_to_it(site: str) -> None:
    assert ask(headers={"sec-fetch-site": site, "sec-fetch-mode": "no-cors"}).status_code == 403
    assert ask("POST", headers={"sec-fetch-site": site, "sec-fetch-mode": "navigate"}).status_code == 403
    assert ask(headers={"sec-fetch-site": site, "sec-fetch-mode": "navigate"}).status_code == 200


@pytest.mark.parametrize(
    "given", [None, "", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", "Bearer \xff"]
)
def test_without_the_token_nothing_is_answered(given: str | None) -> None:
    headers = {} if given is None else {"authorization": given.encode("latin-1")}
    answer = ask(headers=headers, settings=GuardSettings(token=TOKEN))  # type: ignore[arg-type]
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert TOKEN not in answer.text


def test_the_token_opens_and_open_paths_need_none() -> None:
    settings = GuardSettings(token=TOKEN, open_paths=("/healthz",))
    assert ask(headers={"authorization": f"bearer {TOKEN}"}, settings=settings).status_code == 200
    assert ask(path="/healthz", settings=settings).status_code == 200
    assert ask(path="/healthz/../x", settings=settings).status_code == 401


def test_only_where_pages_are_served_the_token_may_come_in_the_address_or_a_cookie() -> None:
    settings = GuardSettings(token=TOKEN, cookies=True)
    first = ask(path=f"/a?x=1&token={TOKEN}", settings=settings)
    assert first.status_code == 303
    assert first.headers["location"] == "/a?x=1"
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert ask(headers={"cookie": cookie.split(";")[0]}, settings=settings).status_code == 200
    for plain in (GuardSettings(token=TOKEN), GuardSettings(token=TOKEN + "other", cookies=True)):
        assert ask(headers={"cookie": cookie.split(";")[0]}, settings=plain).status_code == 401
        assert ask(path=f"/a?token={TOKEN}", settings=plain).status_code == 401
    assert ask("POST", f"/a?token={TOKEN}", settings=settings).status_code == 401


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_whom_a_link_or_a_file_brings_here_is_led_on_by_a_page(site: str) -> None:
    """Browsers keep the cookie back from a redirect then."""
    headers = {"sec-fetch-site": site, "sec-fetch-mode": "navigate"}
    answer = ask(path=f"/a?x=1&token={TOKEN}", headers=headers, settings=GuardSettings(token=TOKEN, cookies=True))
    assert (answer.status_code, answer.headers["refresh"]) == (200, "0; url=/a?x=1")
    assert "SameSite=Strict" in answer.headers["set-cookie"]


@pytest.mark.parametrize("foreign", ['prefs={"theme": "dark"}', "a b=1", "csrf[a]=1", 'lang="de', "="])
def test_a_foreign_cookie_does_not_lock_anybody_out(foreign: str) -> None:
    settings = GuardSettings(token=TOKEN, cookies=True)
    cookie = ask(path=f"/?token={TOKEN}", settings=settings).headers["set-cookie"].split(";")[0]
    assert ask(headers={"cookie": f"{foreign}; {cookie}; {foreign}"}, settings=settings).status_code == 200


def test_the_address_without_the_token_stays_on_this_server() -> None:
    answer = ask(path=f"//evil.example/?token={TOKEN}", settings=GuardSettings(token=TOKEN, cookies=True), base=OURS)
    assert answer.status_code in (303, 403)
    assert not answer.headers.get("location", "").startswith("//")


def test_every_answer_tells_the_browser_what_it_may_not_do() -> None:
    for answer in (ask(), ask(headers={"host": "evil.example"}), ask(path="/broken")):
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "access-control-allow-origin" not in answer.headers
    assert ask(settings=GuardSettings(policy=PAGE_POLICY)).headers["content-security-policy"] == PAGE_POLICY


def test_an_exception_becomes_an_answer_without_details() -> None:
    answer = ask(path="/broken")
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal"
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


def test_what_is_loopback() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.3.2.1", "::1", "[::1]", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.1", "example.com", "", "localhost.evil.example")))
