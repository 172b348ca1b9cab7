"""Text files that are whole or not there."""

from __future__ import annotations

from pathlib import Path


def write_whole(path: Path, text: str, *, errors: str = "strict") -> None:
    """Write a text in UTF-8 beside its place and move it there. What is no file, such as a pipe, is written to as it is.

    Args:
        errors: what becomes of characters that UTF-8 has not; see `str.encode`.

    Raises:
        OSError: nothing is left of it, and what stood there before stands there still.
    """
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8", errors=errors)
        return
    place = path.resolve()  # a link stays a link
    part = place.with_name(place.name + ".part")
    try:
        part.write_text(text, encoding="utf-8", errors=errors)
        part.replace(place)
    finally:
        part.unlink(missing_ok=True)
