"""Typed errors. Every one is a sentence a user can act on, and carries the exit code of its kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path


class ExitCode(IntEnum):
    """Exit codes of the command line, by kind of failure."""

    OK = 0
    BUG = 1
    USAGE = 2
    INPUT = 3
    WEIGHTS = 4
    INTERRUPTED = 130


class GpenvidError(Exception):
    """Base of all errors gpenvid raises on purpose.

    Args:
        message: what is wrong, in one line, naming the file or option.
        remedy: what the user can do about it, in one line.
    """

    exit_code = ExitCode.BUG

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message}: {remedy}" if remedy else message)
        self.message = message
        self.remedy = remedy

    def __reduce__(self) -> tuple[type[GpenvidError], tuple[object, ...]]:
        # Errors come back from pools of processes.
        return type(self), (self.message, self.remedy)


class UsageError(GpenvidError):
    """An option or a combination of options makes no sense."""

    exit_code = ExitCode.USAGE


class InputError(GpenvidError):
    """The source cannot be read, or the destination cannot be written."""

    exit_code = ExitCode.INPUT


class NoRoomError(InputError):
    """The disk is full, or will be."""


class TooLargeError(InputError):
    """A picture has more pixels than are taken."""


class WeightsError(GpenvidError):
    """A weight file is missing, damaged, unsafe or of another kind than asked for."""

    exit_code = ExitCode.WEIGHTS


class UnsupportedDtypeError(UsageError):
    """A model was asked to run in a number format its card does not list."""


class EngineError(UsageError):
    """An engine is installed, but does not work here."""


class StoppedError(GpenvidError):
    """The user stopped the job (SIGINT or SIGTERM)."""

    exit_code = ExitCode.INTERRUPTED


_GRAVITY = (ExitCode.USAGE, ExitCode.INPUT, ExitCode.WEIGHTS, ExitCode.BUG)


class BatchError(GpenvidError):
    """Some of several inputs, or pictures of a folder, could not be restored; the others are finished.

    Attributes:
        errors: one for each that failed.
    """

    def __init__(self, errors: list[GpenvidError], of: int, what: str = "inputs") -> None:
        others = "; the others are finished" if len(errors) < of else ""
        super().__init__(f"{len(errors)} of {of} {what} failed", f"each is named above and in the report{others}")
        self.errors = errors
        self.exit_code = gravest(errors).exit_code
        self._of, self._what = of, what

    def __reduce__(self) -> tuple[type[GpenvidError], tuple[object, ...]]:
        return type(self), (self.errors, self._of, self._what)


@contextmanager
def naming(file: Path, kind: type[GpenvidError]) -> Iterator[None]:
    """Let errors of a kind name the file that they are about."""
    try:
        yield
    except kind as error:
        raise kind(f"{file}: {error.message}", error.remedy) from error


def gravest(errors: Iterable[GpenvidError]) -> GpenvidError:
    """The first of those whose exit code weighs most: bugs before weights, input and usage."""
    return max(errors, key=lambda error: _GRAVITY.index(error.exit_code))


def told_of(source: object, error: GpenvidError) -> str:
    """An error's sentence, with the source before it where it does not name it itself."""
    return str(error) if str(source) in str(error) else f"{source}: {error}"


def as_known(error: Exception, source: object) -> GpenvidError:
    """An error as one that can be told beside others: an unexpected one names its class and the source it happened to."""
    if isinstance(error, GpenvidError):
        return error
    why = f": {error}" if str(error) else ""
    told = GpenvidError(f"{source}: unexpected {type(error).__name__}{why}", "run it alone with --debug and report it")
    told.__cause__ = error
    return told
