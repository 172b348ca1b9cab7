"""Measurements in processes of their own: peaks of memory and load times mean nothing in one that did other things before."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import ParamSpec, TypeVar

from gpenvid.errors import GpenvidError

P = ParamSpec("P")
R = TypeVar("R")


def in_own_process(work: Callable[P, R], *arguments: P.args, **others: P.kwargs) -> R:
    """Call a function of a module in a fresh process.

    Raises:
        GpenvidError: if the process was killed, as systems do with one that takes too much memory.
        Exception: what the function raises.
    """
    # An interrupt is the parent's to handle, which then ends its children.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        try:
            return pool.submit(work, *arguments, **others).result()
        except BrokenProcessPool as error:
            raise GpenvidError(f"{work.__name__} was killed, probably for lack of memory", "close other programs") from error
        except BaseException:
            for process in (getattr(pool, "_processes", None) or {}).values():
                process.terminate()
            raise
