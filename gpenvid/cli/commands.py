"""The commands together, and what becomes of their errors."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from gpenvid import __version__
from gpenvid.cli import analyse, bench, check, models, restore, server
from gpenvid.cli.stop import STOPPED, TOLD_TO_STOP, stop
from gpenvid.cli.streams import keep_streams_open
from gpenvid.errors import ExitCode, GpenvidError, InputError, UsageError

app = typer.Typer(
    name="gpenvid",
    help="Restore faces in video: same file back, same timing, same sound, faces restored.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"gpenvid {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Restore faces in video."""


# In the order of the help.
restore.register(app)
analyse.register(app)
restore.register_demo(app)
check.register(app)
server.register(app)
bench.register(app)
models.register(app)


def main() -> None:
    """Run the command line; every expected error becomes one line and its exit code."""
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    TOLD_TO_STOP.clear()
    keep_streams_open()
    debug = "--debug" in sys.argv
    if os.environ.get("COLUMNS") == "0":  # some terminals' word for unknown; Rich takes it for a width and prints nothing
        del os.environ["COLUMNS"]
    try:
        _check_folder()
        arguments = [a for a in sys.argv[1:] if a != "--debug"]
        if "" in arguments:  # it would stand for the current folder, or for everyone
            raise UsageError("an INPUT or an option without a name", "is a variable of the shell not set?")
        code = app(args=arguments, standalone_mode=False)
    except GpenvidError as error:
        _fail(str(error), error.exit_code, debug)
    except ImportError as error:
        remedy = "reinstall gpenvid with its constraints"
        if "libGL" in str(error):
            remedy = "run `apt-get install libgl1`, or install opencv-python-headless instead"
        _fail(f"a library does not load ({error}); {remedy}", ExitCode.BUG, debug)
    except OSError as error:
        _fail(f"{error.filename or 'a file'}: {error.strerror or error}: check the path and its permissions", ExitCode.INPUT, debug)
    except Exception as error:  # noqa: BLE001 - the last line of defence: one line for people, a traceback on request
        # Usage errors of the option parser; their class has moved between its releases, their interface has not.
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):
            if not error.format_message():  # help was asked for by giving no command
                raise SystemExit(int(ExitCode.USAGE)) from None
            _fail(f"{error.format_message()}; see --help", ExitCode.USAGE, debug)
        _fail(f"unexpected {type(error).__name__}: {error}; run again with --debug and report it", ExitCode.BUG, debug)
    else:
        raise SystemExit(code or 0)


def _check_folder() -> None:
    """Make sure that this folder is still there: without it oneMKL ends the process in words of its own.

    Raises:
        InputError: if not.
    """
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise InputError("this folder: has been deleted", "change to another") from error


def _fail(message: str, code: ExitCode, debug: bool) -> None:
    if TOLD_TO_STOP.is_set():  # libraries that are being loaded make errors of their own of it
        message, code = str(STOPPED), ExitCode.INTERRUPTED
    if debug:
        traceback.print_exc()
    Console(stderr=True).print(f"gpenvid: {' '.join(message.split())}", highlight=False, markup=False, soft_wrap=True)
    raise SystemExit(int(code))
