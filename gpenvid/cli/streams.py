"""Standard output and standard error that outlive whoever reads them."""

from __future__ import annotations

import io
import os
import sys

from gpenvid.errors import InputError


class Outlet(io.TextIOWrapper):
    """A text stream that goes on into nothing once it cannot be written: a render must not end because its log does.

    Args:
        stream: what to write to in its stead; both share a buffer.
        told: raise what is not a closed pipe, once; a table that somebody wanted must not be cut short without a word.
    """

    def __init__(self, stream: io.TextIOWrapper, *, told: bool) -> None:
        super().__init__(
            stream.buffer,
            encoding=stream.encoding,
            errors="backslashreplace" if stream.errors == "strict" else stream.errors,  # a job that is done must not fail for a name
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )
        self._told = told

    def write(self, text: str) -> int:
        """Write text.

        Raises:
            InputError: where `told`.
        """
        if text == "":
            return 0  # Typer's question whether text can be written: it swallows the answer, and `told` raises once only
        try:
            return super().write(text)
        except OSError as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        """Write what is buffered.

        Raises:
            InputError: where `told`.
        """
        try:
            super().flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
        super().flush()
        if self._told and not isinstance(error, BrokenPipeError):
            raise InputError(f"standard output: {error.strerror}", "write it elsewhere") from error


def keep_streams_open() -> None:
    """Put an `Outlet` in the place of each standard stream of this process, unless somebody else already has."""
    if sys.stdout is sys.__stdout__ and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout = Outlet(sys.stdout, told=True)
    if sys.stderr is sys.__stderr__ and isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr = Outlet(sys.stderr, told=False)
