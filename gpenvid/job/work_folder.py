"""Where the work of a result lies until it is finished, and what must not lie there."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from gpenvid.errors import UsageError
from gpenvid.job.inputs import is_on_disk


def work_folder(output: Path) -> Path:
    """Where the work of an output lies: `OUT.gpenvid` beside it."""
    return output.with_name(output.name + ".gpenvid")


def keep_apart(output: Path, read: Iterable[Path]) -> None:
    """Make sure that nothing a job reads lies in the work folder of its output, which is cleared without asking.

    Raises:
        UsageError: something does, under its own name or that of a link.
    """
    folder = work_folder(output)
    for path in read if is_on_disk(folder) else ():
        # Not `resolve`: it raises at links that lead to themselves.
        inside = (Path(os.path.realpath(path.parent), path.name), Path(os.path.realpath(path)))
        if any(p.exists() and p.samefile(folder) for file in inside for p in file.parents):
            raise UsageError(f"{path}: lies in {folder}, which is cleared for the work", "move it elsewhere, or name another -o")
