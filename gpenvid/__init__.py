"""gpenvid: restore faces in video.

The same file comes back with the faces restored: same timing, same sound, every pixel outside the faces untouched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Report", "RestoreSettings", "__version__", "restore", "restore_many"]

if TYPE_CHECKING:
    from gpenvid.job.report import Report
    from gpenvid.job.restore import restore, restore_many
    from gpenvid.settings import RestoreSettings

_HOMES = {
    "restore": "gpenvid.job.restore",
    "restore_many": "gpenvid.job.restore",
    "Report": "gpenvid.job.report",
    "RestoreSettings": "gpenvid.settings",
}


def __getattr__(name: str) -> Any:
    # Loaded on first use: importing torch takes two seconds, which `gpenvid --help` need not.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
