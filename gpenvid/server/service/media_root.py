"""Files that clients may name: those inside one folder, however the name is spelled."""

from __future__ import annotations

import stat
from pathlib import Path, PurePosixPath, PureWindowsPath

from gpenvid.server.service.problems import Problem


def resolve_inside(root: Path, text: str) -> Path:
    """The real path of a file under the media root.

    Args:
        root: the folder.
        text: relative path with `/`, as the client wrote it.

    Raises:
        Problem: 404 for everything that is no regular file inside the folder; what lies outside is not told apart from what does not exist.
    """
    missing = Problem(404, "not_found", "no such file under the media root", "give its path relative to the media root")
    if not text or len(text) > 4096 or text.endswith("/") or any(ord(c) < 32 for c in text):
        raise missing
    if PurePosixPath(text).is_absolute() or PureWindowsPath(text).anchor or ".." in PurePosixPath(text.replace("\\", "/")).parts:
        raise missing
    try:
        found = (root / text).resolve(strict=True)
        regular = stat.S_ISREG(found.stat().st_mode)
    except (OSError, ValueError, RuntimeError) as error:  # the last is a loop of links
        raise missing from error
    if not regular or not found.is_relative_to(root.resolve()):
        raise missing
    return found


def still_inside(root: Path, path: Path) -> bool:
    """Whether a path that was resolved earlier still is a file inside the folder, by no detour."""
    try:
        return path.resolve(strict=True) == path and path.is_file() and path.is_relative_to(root.resolve())
    except (OSError, RuntimeError):
        return False
