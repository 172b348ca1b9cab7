"""Forms with a file, written to the disk as they come in."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from fastapi import Request
from pydantic import ValidationError
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from gpenvid.server.guard import drain
from gpenvid.server.service.problems import NO_ROOM, Problem, busy, explain
from gpenvid.server.service.store import QueueFull

_MOST_FIELDS = 40
_LONGEST_FIELD = 4096  # bytes
_LONGEST_BODY = 65_536  # bytes of JSON
_STILL_SECONDS = 60.0
_SLOWEST = 10_000  # bytes a second: an upload holds a place in the queue
_LONGEST_NAME = 120


@dataclass
class Form:
    """What a form held.

    Attributes:
        path: where its file is.
        name: what the client calls the file, without folders and control characters; empty where there was no file.
        fields: all other fields.
        bytes: of the file.
    """

    path: Path
    name: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    bytes: int = 0


class _Reader:
    """Callbacks of the parser."""

    def __init__(self, form: Form, file: BinaryIO, limit: int) -> None:
        self.form = form
        self.complete = False
        self._file, self._limit = file, limit
        self._header, self._value = b"", b""
        self._disposition = b""
        self._field: str | None = None
        self._content = b""
        self._count = 0

    def on_part_begin(self) -> None:
        self._disposition, self._field, self._content = b"", None, b""

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]
        self._check_header()

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._check_header()

    def _check_header(self) -> None:
        if len(self._header) + len(self._value) > _LONGEST_FIELD:
            raise Problem(400, "malformed", "a header of the form is too long")

    def on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if not name:
            raise Problem(400, "malformed", "a part of the form has no name")
        if b"filename" not in options and name != "file":
            self._field = name
            self._count += 1
            if self._count > _MOST_FIELDS:
                raise Problem(400, "malformed", "the form has too many fields")
            return
        if name != "file" or self.form.name:
            raise Problem(400, "malformed", "the form has one file, in the field `file`")
        self.form.name = clean_name(options.get(b"filename", b"").decode("utf-8", "replace"))

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._field is None:
            self.form.bytes += end - start
            if self.form.bytes > self._limit:
                raise too_large(self._limit)
            self._file.write(data[start:end])
            return
        self._content += data[start:end]
        if len(self._content) > _LONGEST_FIELD:
            raise Problem(413, "too_large", f"a field has more than {_LONGEST_FIELD} bytes")

    def on_part_end(self) -> None:
        if self._field is not None:
            # A list may come as a field for each of its values, or as one with commas.
            before = [self.form.fields[self._field]] if self._field in self.form.fields else []
            self.form.fields[self._field] = ",".join([*before, self._content.decode("utf-8", "replace")])

    def on_end(self) -> None:
        self.complete = True


async def receive_form(request: Request, path: Path, limit: int) -> Form:
    """Read a form; its file goes to `path`.

    Args:
        limit: bytes that the file may have.

    Raises:
        Problem: 400 malformed, 408 stood still, 413 too large, 422 no file, 507 no room.
    """
    _, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if not 1 <= len(boundary) <= 100:
        raise Problem(400, "malformed", "the form has no boundary")
    announced = request.headers.get("content-length", "")
    size = int(announced) if announced.isdecimal() and len(announced) < 20 else 0
    most = limit + _MOST_FIELDS * 2 * _LONGEST_FIELD
    if size > most:
        raise too_large(limit)
    if size > shutil.disk_usage(path.parent).free:
        raise _no_room()
    form = Form(path)
    try:
        with path.open("wb") as file:
            reader = _Reader(form, file, limit)
            names = ("part_begin", "header_field", "header_value", "header_end", "headers_finished", "part_data", "part_end", "end")
            parser = MultipartParser(boundary, {f"on_{n}": getattr(reader, f"on_{n}") for n in names})  # type: ignore[arg-type]
            received = 0
            async for chunk in _chunks(request):
                received += len(chunk)
                if received > most:
                    raise too_large(limit)
                if not reader.complete:  # what lies behind the end means nothing (RFC 2046, 5.1.1), in whatever chunks it comes
                    await asyncio.to_thread(parser.write, chunk)
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
    except FormParserError as error:
        raise Problem(400, "malformed", "the body is no multipart form") from error
    if not reader.complete:
        raise Problem(400, "malformed", "the form is cut off")
    if not form.name:
        raise Problem(422, "invalid", "the form has no field `file`")
    return form


async def receive_json(request: Request) -> bytes:
    """Read a small body.

    Raises:
        Problem: 408 stood still, 413 too large.
    """
    body = b""
    async for chunk in _chunks(request):
        body += chunk
        if len(body) > _LONGEST_BODY:
            raise too_large(_LONGEST_BODY)
    return body


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    stream = request.stream()
    began, size = time.monotonic(), 0
    while True:
        try:
            async with asyncio.timeout(_STILL_SECONDS):
                chunk = await anext(stream, None)
        except TimeoutError as error:
            raise Problem(408, "slow", "the upload stood still for a minute", "send it again") from error
        except ClientDisconnect as error:
            raise Problem(400, "malformed", "the body is cut off") from error
        if chunk is None:
            return
        size += len(chunk)
        if time.monotonic() - began > _STILL_SECONDS + size / _SLOWEST:
            raise Problem(408, "slow", f"the upload comes with less than {_SLOWEST} bytes a second", "use a faster connection")
        yield chunk


@asynccontextmanager
async def refusing(request: Request) -> AsyncIterator[None]:
    """Answer what goes wrong in the block as problems, after what the client still sends was read."""
    try:
        yield
        return
    except QueueFull:
        problem = busy()
    except ValidationError as error:
        problem = Problem(422, "invalid", explain(error))
    except Problem as refused:
        problem = refused
    except (OSError, sqlite3.OperationalError) as error:
        if not _is_full(error):
            raise
        problem = _no_room()
    await drain(request.scope, request.receive)
    raise problem


def too_large(limit: int) -> Problem:
    """The answer to a body over a limit."""
    return Problem(413, "too_large", f"more than {limit} bytes", "send a smaller file")


def _is_full(error: OSError | sqlite3.OperationalError) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return error.sqlite_errorcode == sqlite3.SQLITE_FULL


def _no_room() -> Problem:
    return Problem(507, "space", *NO_ROOM)


def clean_name(name: str) -> str:
    """A client's file name without folders and characters that do something; `file` where nothing is left."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(c for c in last if c.isprintable() and c not in '<>:"|?*').strip(" .")
    stem, dot, suffix = kept.rpartition(".")
    kept = f"{stem[:_LONGEST_NAME]}.{suffix[:10]}" if dot else kept[:_LONGEST_NAME]
    return kept or "file"
