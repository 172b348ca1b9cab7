"""Pictures that come where films are expected."""

from __future__ import annotations

from pathlib import Path

from av.container import InputContainer

from gpenvid.errors import InputError
from gpenvid.media.untrusted import still_suffix

_STILL_BRANDS = {"avif", "heic", "heix", "mif1"}


def is_picture_format(container: InputContainer) -> bool:
    """Whether a file is of a kind that holds one picture, or some one behind the other."""
    kind = container.format.name
    return kind.endswith("_pipe") or kind in ("image2", "ico") or container.metadata.get("major_brand") in _STILL_BRANDS


def single_picture(path: Path) -> InputError:
    """What is said of one picture of a kind, or under a name, that is not restored; as a video it would come back as something else."""
    with path.open("rb") as file:
        suffix = still_suffix(file.read(12))
    if suffix:
        return InputError(f"{path}: is a picture that is not named like one", f"rename it to {path.stem}{suffix}")
    return InputError(f"{path}: is a picture of a kind that is not restored", "convert it to PNG or TIFF first")
