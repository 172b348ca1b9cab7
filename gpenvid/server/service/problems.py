"""Errors as answers: one JSON shape, no paths, no traces."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from gpenvid.server.guard import error_body

_PATH = re.compile(r"(?<![\w.:/])(?:[A-Za-z]:)?[/\\](?:[^\s/\\:'\"]+[/\\])*([^\s/\\:'\"]*)")

_SUBJECT = re.compile(r"^(?:[A-Za-z]:)?[/\\][^:]*[/\\]([^/\\:]*)(?=: )")  # sentences begin with the file; folders may have spaces
_OPTION = re.compile(r"(`[^`]*`)|(?<![\w-])--(?=[a-z])")  # a command line in backticks stays one


class ProblemDetail(BaseModel):
    """What is wrong."""

    code: str = Field(description="Short and stable, for programs.")
    message: str = Field(description="One sentence for people.")
    remedy: str = Field("", description="What to do about it, where that is known.")


class ProblemBody(BaseModel):
    """The body of every error."""

    error: ProblemDetail


class Problem(Exception):  # noqa: N818 - an answer, not a failure of the server
    """An answer other than success.

    Args:
        status: HTTP status.
        code: short and stable.
        message: one sentence that names no path of the server.
        remedy: what the client can do.
        headers: further headers.
    """

    def __init__(self, status: int, code: str, message: str, remedy: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.remedy, self.headers = status, code, message, remedy, dict(headers or {})

    def answer(self) -> JSONResponse:
        """The answer."""
        return JSONResponse(error_body(self.code, self.message, self.remedy), self.status, self.headers)


NO_ROOM = "the server's disk is full", "try again later"
"""What clients are told where there is no room, and what they can do."""


def file_problem(last: Mapping[str, str], name: str, paths: Iterable[str], max_pixels: int) -> Problem:
    """The answer to a file that a process could not use.

    Args:
        last: its last message: kind, message and remedy.
        name: what the client calls the file.
        paths: where the file may have been meanwhile.
        max_pixels: the service's limit.
    """
    names = dict.fromkeys(paths, name)
    message, remedy = for_clients(last["message"], names), for_clients(last["remedy"], names)
    if last["kind"] == "space":
        return Problem(507, "space", *NO_ROOM)
    if last["kind"] == "too_many_pixels":
        return Problem(413, last["kind"], f"{name}: more than {max_pixels} pixels", "send a smaller picture")
    return Problem(415 if last["kind"] in ("input", "memory", "internal") else 422, last["kind"], message, remedy)


def for_clients(text: str, names: Mapping[str, str]) -> str:
    """A sentence for clients: known paths by the names clients know, all others by their last part, options as the API writes them.

    Args:
        names: path to name.
    """
    if names:
        # All in one pass: a client's name may itself hold one of the names that are looked for.
        known = re.compile("|".join(re.escape(path) for path in sorted(names, key=len, reverse=True)))
        text = known.sub(lambda m: names[m[0]], text)
    return _OPTION.sub(lambda m: m[1] or "", _PATH.sub(r"\1", _SUBJECT.sub(r"\1", text)))


_EXAMPLES = {
    400: ("malformed", "the body is no multipart form", ""),
    401: ("token", "a token is needed: send it as `Authorization: Bearer TOKEN`", ""),
    403: ("origin", "requests from other sites are refused", ""),
    404: ("not_found", "no such job", ""),
    408: ("slow", "the upload stood still for a minute", "send it again"),
    409: ("state", "the job is done", ""),
    413: ("too_large", "more than 4000000000 bytes", "send a smaller file, or a path under the media root"),
    415: ("media_type", "send multipart/form-data or application/json", ""),
    416: ("range", "the result has 1200 bytes", ""),
    422: ("invalid", "strength: Input should be less than or equal to 1", ""),
    429: ("busy", "the queue is full", "try again later"),
    503: ("stopping", "the server is stopping", "try again later"),
    507: ("space", *NO_ROOM),
}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of an operation, for the OpenAPI document; those of the guard are always among them."""
    answers: dict[int | str, dict[str, Any]] = {}
    for status in sorted({401, 403, *statuses}):
        code, message, remedy = _EXAMPLES[status]
        content = {"application/json": {"example": error_body(code, message, remedy)}}
        answers[status] = {"model": ProblemBody, "description": HTTPStatus(status).phrase, "content": content}
        if status == 429:
            answers[status]["headers"] = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
    return answers


def busy(message: str = "the queue is full") -> Problem:
    """The answer when there is no place in a queue."""
    return Problem(429, "busy", message, "try again later", {"Retry-After": "30"})


def explain(error: RequestValidationError | ValidationError) -> str:
    """What is wrong with a request, without repeating what was sent."""
    where = 1 if isinstance(error, RequestValidationError) else 0  # the framework says first where it looked: body, query or path
    places = [[str(p) for p in e["loc"][where:]] for e in error.errors()]
    return "; ".join(f"{'.'.join(place) or 'body'}: {e['msg']}" for place, e in zip(places[:5], error.errors(), strict=False))


def install(app: FastAPI, routers: Sequence[APIRouter]) -> None:
    """Take routers into an app, and make it answer all its errors in the one shape."""
    for router in routers:
        app.include_router(router)

    @app.exception_handler(Problem)
    async def _problem(_request: Request, problem: Problem) -> JSONResponse:
        return problem.answer()

    @app.exception_handler(RequestValidationError)
    async def _invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        return Problem(422, "invalid", explain(error)).answer()

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        code = {404: "not_found", 405: "method"}.get(error.status_code, "http")
        headers = {name.lower(): value for name, value in (error.headers or {}).items()}
        if error.status_code == 405:
            # The framework names the methods of one route only; others may have the same address.
            routes = [route for router in routers for route in router.routes if route.matches(request.scope)[0] is not Match.NONE]
            headers["allow"] = ", ".join(sorted({m for route in routes for m in getattr(route, "methods", ())})) or headers.get("allow", "")
        return Problem(error.status_code, code, HTTPStatus(error.status_code).phrase.lower(), headers=headers).answer()
