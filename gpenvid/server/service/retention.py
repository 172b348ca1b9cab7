"""What is removed, and when."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from pathlib import Path

from gpenvid.server.service.runner import Runner
from gpenvid.server.service.settings import ServiceSettings
from gpenvid.server.service.store import FINISHED, Store

_LOG = logging.getLogger("gpenvid.server")
_EVERY = 60.0  # seconds


def remove_strangers(data: Path, store: Store) -> None:
    """After a start: remove uploads that were cut off, and folders of jobs that are not on record."""
    for folder in (data / "jobs").iterdir():
        if store.get(folder.name) is None:
            shutil.rmtree(folder, ignore_errors=True)
    for folder in (data / "pictures").iterdir():
        shutil.rmtree(folder, ignore_errors=True)


def sweep(settings: ServiceSettings, store: Store, runner: Runner, now: float) -> int:
    """Remove jobs that are too old, then the oldest while all take too much room. Others stay: waiting, paused, running.

    Returns:
        how many were removed.
    """
    removed = 0
    if settings.keep_days:
        for job in store.all_in(*FINISHED):
            if now - (job.finished or job.created) > settings.keep_days * 86400:
                removed += runner.wish(job.id, "delete")
    if settings.keep_bytes:
        resting = store.all_in(*FINISHED)
        sizes = {job.id: folder_bytes(runner.folder(job.id)) for job in resting}
        total = sum(sizes.values())
        for job in sorted(resting, key=lambda j: j.finished or 0):
            if total <= settings.keep_bytes:
                break
            total -= sizes[job.id]
            removed += runner.wish(job.id, "delete")
    return removed


async def sweep_forever(settings: ServiceSettings, store: Store, runner: Runner) -> None:
    """Sweep now and every minute."""
    while True:
        try:
            await asyncio.to_thread(sweep, settings, store, runner, time.time())
        except Exception:  # noqa: BLE001 - logged; the next minute may be better
            _LOG.exception("old jobs could not be removed")
        await asyncio.sleep(_EVERY)


def folder_bytes(folder: Path) -> int:
    """Bytes of the files of a folder; links are not followed."""
    return sum(p.lstat().st_size for p in folder.rglob("*") if not p.is_dir() or p.is_symlink()) if folder.is_dir() else 0
