"""Moments of a clip as people write them."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from gpenvid.errors import UsageError

_CLOCK = re.compile(r"(?:(\d+):)?([0-5]?\d):([0-5]?\d(?:\.\d+)?)")

Start = Annotated[str, typer.Option(help="Begin here: seconds from the first frame, or H:MM:SS.")]
End = Annotated[str, typer.Option(help="End here: seconds from the first frame, or H:MM:SS.")]


def seconds_of(option: str, text: str) -> float | None:
    """Seconds from `90.5`, `1:30.5` or `0:01:30.5`; None from nothing.

    Raises:
        UsageError: if it is neither, naming the option.
    """
    if not text:
        return None
    clock = _CLOCK.fullmatch(text)
    if clock:
        hours, minutes, seconds = clock.groups()
        return int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds)
    try:
        return float(text)
    except ValueError as error:
        raise UsageError(f"{option} {text} is no time", "write seconds from the first frame, 1:30.5 or 0:01:30.5") from error
