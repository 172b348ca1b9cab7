"""Progress as server-sent events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from gpenvid.server.service.schemas import JobAnswer
from gpenvid.server.service.store import FINISHED

_LOOK_EVERY = 0.25  # seconds
_BREATHE_EVERY = 15.0  # seconds; proxies close connections that are silent


async def job_events(look: Callable[[], JobAnswer | None], stopping: Callable[[], bool]) -> AsyncIterator[str]:
    """A `job` event now and at each change, until the job is finished; then `end`.

    Looking at the job a few times a second, rather than being told, keeps no backlog for clients that do not read.

    Args:
        look: the job as it is, None once it is deleted.
        stopping: whether the server is about to stop.
    """
    said, spoken = "", time.monotonic()
    while not stopping():
        job = await asyncio.to_thread(look)
        text = "" if job is None else job.model_dump_json()
        if job is not None and text != said:
            said, spoken = text, time.monotonic()
            yield f"event: job\ndata: {text}\n\n"
        if job is None or job.state in FINISHED:
            yield "event: end\ndata: {}\n\n"
            return
        if time.monotonic() - spoken > _BREATHE_EVERY:
            spoken = time.monotonic()
            yield ": still here\n\n"
        await asyncio.sleep(_LOOK_EVERY)
