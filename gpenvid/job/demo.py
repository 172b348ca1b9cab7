"""The clips that come with gpenvid."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from gpenvid.errors import InputError, UsageError

CLIPS = ("old_film", "interview")


def sample_folder() -> Path:
    """Where the sample clips lie: inside the installed package, or `samples/` of a checkout."""
    packaged = Path(str(resources.files("gpenvid"))) / "samples"
    return packaged if packaged.is_dir() else packaged.parent.parent / "samples"


def sample_clips(name: str) -> list[Path]:
    """The sample clips of that name, or `all`.

    Raises:
        UsageError: if there is no such clip.
        InputError: if the installation lacks it.
    """
    if name not in (*CLIPS, "all"):
        raise UsageError(f"unknown clip {name}", f"choose one of {', '.join(CLIPS)}, all")
    paths = [sample_folder() / f"{clip}.mp4" for clip in (CLIPS if name == "all" else (name,))]
    for path in paths:
        if not path.is_file():
            raise InputError(f"{path}: the sample is missing", "install gpenvid again")
    return paths
