"""Files that are whole or not there."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path


def write_whole(path: Path, content: str | bytes, *, errors: str = "strict") -> None:
    """Write a file beside its place and move it there. Links, and what is no file, such as a pipe, are written through.

    Args:
        content: a text is written in UTF-8.
        errors: what becomes of characters that UTF-8 has not; see `str.encode`.

    Raises:
        OSError: unless it was written through, nothing is left of it, and what stood there before stands there still.
    """
    data = content.encode("utf-8", errors) if isinstance(content, str) else content
    if path.is_symlink() or (path.exists() and not path.is_file()):
        path.write_bytes(data)
        return
    part = path.with_name(f".gpenvid-{secrets.token_hex(4)}.part")
    try:
        part.write_bytes(data)
        if path.exists():
            shutil.copymode(path, part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
