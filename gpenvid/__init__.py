"""gpenvid: restore faces in video.

The same file comes back with the faces restored: same timing, same sound, every pixel outside the faces untouched.
"""

from __future__ import annotations

import importlib
import os
from types import ModuleType
from typing import TYPE_CHECKING, Any

# OpenCV asks once, when it is loaded; it would decode a picture of 2^30 pixels before anyone could refuse it.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(2**28))
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # what it has to say comes as an error, and is said in one line

__version__ = "0.1.0"
__all__ = ["Report", "RestoreSettings", "__version__", "analyse", "restore", "restore_many"]

_HOMES = {
    "analyse": "gpenvid.job.analyse",
    "restore_many": "gpenvid.job.restore",
    "Report": "gpenvid.job.report",
    "RestoreSettings": "gpenvid.settings",
}


def __getattr__(name: str) -> Any:
    # Loaded on first use: importing torch takes two seconds, which `gpenvid --help` need not.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


if TYPE_CHECKING:
    from gpenvid.job.analyse import analyse
    from gpenvid.job.report import Report
    from gpenvid.job.restore import restore, restore_many
    from gpenvid.settings import RestoreSettings
else:
    from gpenvid import restore

    class _RestoreRoom(ModuleType):
        """`gpenvid.restore` is the room of the restorers, and, called, the main job."""

        def __call__(self, source, output=None, settings=None, progress=None):
            """See `gpenvid.job.restore.restore`."""
            return importlib.import_module("gpenvid.job.restore").restore(source, output, settings, progress)

        def __reduce__(self):
            # So that pools of processes can be handed it, as they can any function.
            return importlib.import_module, (self.__name__,)

    restore.__class__ = _RestoreRoom
