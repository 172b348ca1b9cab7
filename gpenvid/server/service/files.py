"""Sending files, whole or in part."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from email.utils import formatdate
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from gpenvid.server.service.problems import Problem

_CHUNK = 256 * 1024
_RANGE = re.compile(r"bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", re.ASCII)
TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".tif": "image/tiff",
    ".webp": "image/webp",
    ".bmp": "image/bmp",
    ".pgm": "image/x-portable-graymap",
    ".ppm": "image/x-portable-pixmap",
    ".jp2": "image/jp2",
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".mkv": "video/x-matroska",
    ".webm": "video/webm",
    ".ts": "video/mp2t",
    ".m2ts": "video/mp2t",
}


def file_answer(request: Request, file: BinaryIO, name: str, headers: dict[str, str] | None = None) -> Response:
    """An open file as a download; a `Range` of bytes is respected. The file is closed at the end, and may be gone from its folder by then.

    Raises:
        Problem: 416, the range lies outside the file.
    """
    facts = os.fstat(file.fileno())
    etag = f'"{facts.st_mtime_ns:x}-{facts.st_size:x}"'
    try:
        part = _part(request, facts.st_size, etag)
    except Problem:
        file.close()
        raise
    begin, end = part or (0, facts.st_size)
    sent = {
        "accept-ranges": "bytes",
        "content-length": str(end - begin),
        "content-disposition": f"attachment; filename=\"{_ascii(name)}\"; filename*=utf-8''{quote(name, safe='')}",
        "etag": etag,
        "last-modified": formatdate(facts.st_mtime, usegmt=True),
        **(headers or {}),
    }
    if part is not None:
        sent["content-range"] = f"bytes {begin}-{end - 1}/{facts.st_size}"
    media_type = TYPES.get(Path(name).suffix.lower(), "application/octet-stream")
    if request.method == "HEAD":
        file.close()
        return Response(None, 206 if part else 200, sent, media_type)
    return StreamingResponse(_content(file, begin, end), 206 if part else 200, sent, media_type)


def _ascii(name: str) -> str:
    """A name for clients that know nothing else (`curl -OJ`), without what would end it."""
    return re.sub(r"[^ -~]|[\\\"%/]", "_", name)


def _part(request: Request, size: int, etag: str) -> tuple[int, int] | None:
    """First byte, and the byte after the last, of the part asked for; None for the whole file."""
    asked = _RANGE.fullmatch(request.headers.get("range", ""))
    # Several ranges, other units and nonsense are answered with the whole, as HTTP allows.
    if asked is None or asked[1] == asked[2] == "" or request.headers.get("if-range", etag) != etag:
        return None
    if asked[1] == "":
        begin, end = max(0, size - int(asked[2])), size
    else:
        begin, end = int(asked[1]), min(size, int(asked[2]) + 1) if asked[2] else size
        if asked[2] and int(asked[2]) < begin:
            return None
    if begin >= end:
        raise Problem(416, "range", f"the file has {size} bytes", headers={"content-range": f"bytes */{size}"})
    return begin, end


async def _content(file: BinaryIO, begin: int, end: int) -> AsyncIterator[bytes]:
    with file:
        file.seek(begin)
        while begin < end:
            chunk = await asyncio.to_thread(file.read, min(_CHUNK, end - begin))
            if not chunk:
                return
            begin += len(chunk)
            yield chunk
