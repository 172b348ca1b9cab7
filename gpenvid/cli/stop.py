"""The command line's answer to Ctrl-C and SIGTERM."""

from __future__ import annotations

from threading import Event
from types import FrameType

from gpenvid.errors import StoppedError

STOPPED = StoppedError("interrupted; what is finished stays, and nothing unfinished has a result's name")

TOLD_TO_STOP = Event()
"""Set once a signal came: what it raises may come back as an error of a library that was being loaded."""


def stop(_signal: int, _frame: FrameType | None) -> None:
    """Handle a signal by raising `STOPPED`.

    Not KeyboardInterrupt: the option parser turns that into an exit of its own, without a word.
    """
    TOLD_TO_STOP.set()
    raise STOPPED


def check_stopped() -> None:
    """Raise `STOPPED` if a signal came and its error was swallowed."""
    if TOLD_TO_STOP.is_set():
        raise STOPPED
