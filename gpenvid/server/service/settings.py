"""What the operator of a service chooses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import platformdirs

from gpenvid.errors import UsageError
from gpenvid.settings import is_weight_file


def default_data() -> Path:
    """Where a service keeps its files if nothing is said: in the user's data folder."""
    return platformdirs.user_data_path("gpenvid") / "service"


_MOST_SECONDS = 86400
OPENING = ("detector", "device", "dtype", "batch", "engine")
"""What models are opened with, beside their names: of `ServiceSettings`, and of `RestoreSettings` under the same names."""


@dataclass(frozen=True)
class ServiceSettings:
    """Choices of one service. Clients cannot change them.

    Attributes:
        data: folder of the queue, uploads and results; one service at a time uses it.
        media_root: clients may name files in this folder instead of uploading; None for uploads only.
        models: restorers clients may choose, by name or as a GPEN weight file; the first is the default.
        detector: face detector by name.
        device, dtype, batch, engine: see `RestoreSettings`.
        queue: jobs that may wait.
        pictures: requests for single pictures that may wait.
        max_upload: bytes of an uploaded file.
        max_picture: bytes of a picture that is answered at once.
        max_pixels: pixels of a frame or picture.
        picture_seconds: longest time for one picture.
        keep_days: finished jobs older than that are removed; 0 keeps them.
        keep_bytes: the oldest finished jobs are removed while all together take more; 0 for no limit.
    """

    data: Path
    media_root: Path | None = None
    models: tuple[str, ...] = ("gpen-lite-256",)
    detector: str = "auto"
    device: str = "auto"
    dtype: str = "auto"
    batch: int = 0
    engine: str = "auto"
    queue: int = 16
    pictures: int = 32
    max_upload: int = 4 * 10**9
    max_picture: int = 64 * 10**6
    max_pixels: int = 2**26
    picture_seconds: float = 120.0
    keep_days: float = 7.0
    keep_bytes: int = 50 * 10**9

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            UsageError: naming the option and its range.
        """
        for option in ("queue", "pictures", "max_upload", "max_picture", "max_pixels"):
            if getattr(self, option) < 1:
                raise UsageError(f"--{option.replace('_', '-')} {getattr(self, option)} is out of range", "choose 1 or more")
        for option in ("keep_days", "keep_bytes"):
            if not getattr(self, option) >= 0:
                raise UsageError(f"--{option.replace('_', '-').replace('bytes', 'gb')} is negative", "choose 0 or more")
        if not 1 <= self.picture_seconds <= _MOST_SECONDS:
            raise UsageError(f"--picture-seconds {self.picture_seconds:g} is out of range", f"choose 1 to {_MOST_SECONDS}")
        if not self.models or len(self.model_names()) < len(self.models):
            raise UsageError("--model names no model, or two of one name", "name each once")
        if self.media_root is not None:
            if not self.media_root.is_dir():
                raise UsageError(f"{self.media_root}: no such folder", "name an existing folder with --media-root")
            root, data = self.media_root.resolve(), self.data.resolve()
            if data.is_relative_to(root) or root.is_relative_to(data):
                raise UsageError("--media-root and --data lie in one another", "choose folders beside each other")

    def opening(self) -> dict[str, str | int]:
        """The operator's part of a restoration's settings."""
        return {name: getattr(self, name) for name in OPENING}

    def model_names(self) -> dict[str, str]:
        """What clients call each model, and what it is: a name, or the path of a weight file."""
        return {Path(m).stem if is_weight_file(m) else m: m for m in self.models}
