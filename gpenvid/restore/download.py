"""Downloading a file completely or not at all, going on where an earlier try stopped."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from gpenvid.errors import WeightsError

_SCHEME = "https://"
_CHUNK = 1 << 20
_TIMEOUT = 30.0  # seconds without a byte


def download(url: str, target: Path, size: int = 0, progress: Callable[[int, int], None] | None = None) -> None:
    """Download over HTTPS to `target`; a partial file is kept beside it and continued at the next try.

    Args:
        size: expected bytes, 0 where unknown.
        progress: called with bytes done and bytes in all.

    Raises:
        WeightsError: no network, an error of the server, an incomplete answer, or no place to write. The message says
            what to fetch and where to put it.
    """
    part = target.with_name(target.name + ".part")
    remedy = f"fetch it elsewhere and put it at {target}"
    if not url.startswith(_SCHEME):
        raise WeightsError(f"{url}: only https addresses are downloaded", remedy)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        done = part.stat().st_size if part.exists() else 0
        if size and done == size:  # the last try was ended between the last byte and the name
            part.replace(target)
            return
        request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
        try:
            opened = urllib.request.urlopen(request, timeout=_TIMEOUT)
        except urllib.error.HTTPError as error:
            if error.code != 416 or not done:
                raise
            if not size and error.headers.get("Content-Range") == f"bytes */{done}":
                part.replace(target)  # as above, of a file whose size only the server knows
                return
            part.unlink()  # it is no beginning of this file
            download(url, target, size, progress)
            return
        with opened as answer:
            if not answer.url.startswith(_SCHEME):
                raise WeightsError(f"{url}: leads to {answer.url}, which is not https", remedy)
            if done and answer.status != 206:
                done = 0
            total = done + int(answer.headers.get("Content-Length") or 0)
            with part.open("ab" if done else "wb") as file:
                while chunk := answer.read(_CHUNK):
                    file.write(chunk)
                    done += len(chunk)
                    if progress:
                        progress(done, size or total)
        if (total and done != total) or (size and done != size):
            raise WeightsError(f"{url}: incomplete ({done} of {size or total} bytes)", "run the command again to continue")
        part.replace(target)
    except urllib.error.HTTPError as error:
        raise WeightsError(f"{url}: the server answers {error.code}", remedy) from error
    except (OSError, http.client.HTTPException) as error:
        raise WeightsError(f"{url}: cannot be downloaded ({getattr(error, 'reason', error)})", remedy) from error
