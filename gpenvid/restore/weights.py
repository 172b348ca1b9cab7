"""Weight files: where they are, how they get there, and reading them without running them."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from platformdirs import user_cache_path
from safetensors.torch import load
from torch import Tensor

from gpenvid.errors import GpenvidError, UsageError, WeightsError, naming
from gpenvid.lock import alone
from gpenvid.restore.cards import ModelCard, all_cards, any_card, built_in_folder
from gpenvid.restore.download import download
from gpenvid.restore.gpen import generator_size

Trust = Literal["published", "pinned", "unknown"]
Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all (0 where unknown)."""


def cache_folder() -> Path:
    """Where downloads go: `$GPENVID_WEIGHTS`, else the user's cache."""
    named = os.environ.get("GPENVID_WEIGHTS")
    return Path(named) if named else user_cache_path("gpenvid") / "weights"


def search_folders() -> list[Path]:
    """Where weight files are looked for, in order."""
    return [built_in_folder(), cache_folder()]


def locate(card: ModelCard) -> Path | None:
    """The file of a model, if it is on this machine, in a folder that may be entered."""
    return next((f / card.file for f in search_folders() if _is_here(f / card.file)), None)


def _is_here(path: Path) -> bool:
    try:
        return path.is_file()
    except PermissionError:
        return False


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal.

    Raises:
        WeightsError: the file may not be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except PermissionError as error:
        raise _unreadable(path) from error


def _unreadable(path: Path) -> WeightsError:
    return WeightsError(f"{path}: may not be read", "make it readable")


@dataclass(frozen=True)
class Pins:
    """Hashes recorded when a file without a publicly known hash came here first: trust on first use."""

    path: Path

    def read(self) -> dict[str, str]:
        """Hash by file name.

        Raises:
            WeightsError: if the record is damaged.
        """
        if not self.path.exists():
            return {}
        try:
            text = re.sub(r",(\s*})", r"\1", self.path.read_text(encoding="utf-8"))  # left by who deleted the last line
            return {str(k): str(v) for k, v in json.loads(text).items()}
        except (ValueError, AttributeError, OSError) as error:
            raise WeightsError(f"{self.path}: the record of pinned hashes is damaged", "delete it to trust the files again") from error

    def add(self, file: str, sha256: str) -> None:
        """Record a hash.

        Raises:
            WeightsError: if the record is damaged or cannot be written.
        """
        part = self.path.with_suffix(".part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with alone(self.path.with_suffix(".lock")):
                part.write_text(json.dumps({**self.read(), file: sha256}, indent=1), encoding="utf-8")
                part.replace(self.path)
        except OSError as error:
            raise WeightsError(f"{self.path}: cannot be written ({error.strerror})", "make its folder writable") from error


def pins() -> Pins:
    """The record that goes with the cache folder."""
    return Pins(cache_folder() / "pins.json")


def check_file(card: ModelCard, path: Path) -> Trust:
    """Compare a file with its published or pinned hash.

    Returns:
        whether it agrees with a published hash, with the pin of its first use, or nothing is known of it.

    Raises:
        WeightsError: if it differs.
    """
    expected = card.sha256 or pins().read().get(card.file, "")
    if not expected:
        return "unknown"
    if card.bytes and path.stat().st_size != card.bytes:
        raise WeightsError(f"{path}: has {path.stat().st_size} bytes, {card.name} has {card.bytes}", "delete it and get it again")
    if file_sha256(path) != expected:
        remedy = f"delete it and run `gpenvid models get {card.name}`"
        if card.sha256:
            raise WeightsError(f"{path}: is not {card.name} (its SHA-256 differs)", remedy)
        known = f"or delete the line of {card.file} in {pins().path} if you trust this one"
        raise WeightsError(f"{path}: is not the {card.name} of the first use (its SHA-256 differs)", f"{remedy}, {known}")
    return "published" if card.sha256 else "pinned"


def check_network(card: ModelCard, path: Path, state: dict[str, object]) -> None:
    """Make sure that the weights of a restorer are a GPEN generator of its size; nothing is known of other kinds.

    Raises:
        WeightsError: if not.
    """
    if card.kind != "restorer":
        return
    with naming(path, WeightsError):
        size = generator_size(state)
    if card.size and size != card.size:
        raise WeightsError(f"{path}: is a {size} network, {card.name} is {card.size}", "choose the right file")


def _trust(card: ModelCard, path: Path) -> None:
    """Check a file against its hash; the first of which none is known is pinned, if it is such a network at all.

    Raises:
        WeightsError: wrong hash, damaged, unsafe, another network, or its hash cannot be recorded.
    """
    if check_file(card, path) != "unknown":
        return
    check_network(card, path, read_state_dict(path, suffix=Path(card.file).suffix))
    try:
        pins().add(card.file, file_sha256(path))
    except WeightsError as error:
        remedy = f"{error.remedy}, or choose the file itself with --model {path}" if card.kind == "restorer" else error.remedy
        raise WeightsError(error.message, remedy) from error


def obtain(card: ModelCard, progress: Progress | None = None) -> Path:
    """The file of a model, downloaded if need be, its hash checked or pinned.

    Raises:
        WeightsError: wrong hash, or it cannot be downloaded; the message says what to fetch and where to put it.
    """
    path = locate(card)
    if path is None:
        if card.built_in:
            raise WeightsError(f"{card.file}: the built-in model is missing", "install gpenvid again")
        with _arriving(card) as target:
            path = locate(card)  # another process may have brought it meanwhile
            if path is None:
                _fetch(card, target, progress)
                return target
    _trust(card, path)
    return path


def _fetch(card: ModelCard, target: Path, progress: Progress | None) -> None:
    download(card.url, target, card.bytes, progress)
    try:
        _trust(card, target)  # an error page that came with a 200 must not be pinned as the model
    except WeightsError:
        target.unlink()  # under its name it would be taken for the model again
        raise


@contextmanager
def _arriving(card: ModelCard) -> Iterator[Path]:
    """Where a model's file goes. One process at a time: two that write one partial file would mix what they write.

    Raises:
        WeightsError: the folder cannot be made.
    """
    target = cache_folder() / card.file
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WeightsError(f"{target.parent}: cannot be made ({error.strerror})", "set GPENVID_WEIGHTS to another folder") from error
    with alone(target.with_name(target.name + ".lock")):
        yield target


def read_state_dict(path: Path, suffix: str = "") -> dict[str, object]:
    """Read tensors by key from `.safetensors`, or from a PyTorch file without running code in it.

    Args:
        suffix: the kind of file, where its name does not end in it.

    Raises:
        WeightsError: no such file, not to be read, damaged, not weights, or a pickle that holds code.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such weight file", "check the path")
    try:
        if (suffix or path.suffix) == ".safetensors":
            # Not `load_file`: in safetensors 0.8.0 every call of it leaks 7 kB, which a job for every picture adds up.
            return dict(load(path.read_bytes()))
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: holds code or is damaged and was not opened", "use the published file, or convert it to .safetensors"
        ) from error
    except (GpenvidError, MemoryError):
        raise  # the user's Ctrl-C
    except PermissionError as error:
        raise _unreadable(path) from error
    except Exception as error:  # a damaged pickle raises whatever it stumbles over
        reason = (str(error) or type(error).__name__).splitlines()[0][:100]
        raise WeightsError(f"{path}: damaged or not a weight file ({reason})", "get it again") from error
    if not isinstance(state, dict):
        raise WeightsError(f"{path}: holds no weights by name", "choose a state dict")
    return state


def tensors_of(state: dict[str, object]) -> dict[str, Tensor]:
    """The tensors of a flat state dict."""
    return {k: v for k, v in state.items() if isinstance(v, Tensor)}


@dataclass(frozen=True)
class Verdict:
    """One line of `gpenvid models verify`."""

    good: bool
    text: str


_TRUST_WORDS = {
    "published": "agrees with the published hash",
    "pinned": "agrees with the hash pinned at its first use (no published one is known)",
    "unknown": "no hash is known; it is pinned at its first use",
}


def verify_all() -> Iterator[Verdict]:
    """Check every known model that is on this machine."""
    for card in all_cards().values():
        path = locate(card)
        if path is None:
            yield Verdict(True, f"{card.name}: not here")
            continue
        try:
            yield Verdict(True, f"{card.name}: {path}: {_TRUST_WORDS[check_file(card, path)]}")
        except WeightsError as error:
            yield Verdict(False, f"{card.name}: {error}")


def import_file(file: Path, name: str | None = None) -> Path:
    """Copy a weight file into the cache under its model's file name, its hash checked or pinned, and return where it is.

    Raises:
        UsageError: if no known model has that file name and `name` is not given.
        WeightsError: no such file, its hash is wrong, it is another network or kind of file, or it cannot be copied.
    """
    if not file.is_file():
        raise WeightsError(f"{file}: no such weight file", "check the path")
    card = any_card(name) if name else next((c for c in all_cards().values() if c.file == file.name), None)
    if card is None:
        raise UsageError(f"{file}: no known model has this file name", "say which it is with --as NAME")
    suffix = Path(card.file).suffix
    if not card.sha256:
        pins().read()  # damage of the record has a remedy of its own
        if file.suffix == ".safetensors" != suffix:  # PyTorch reads such a file by its name, which the copy does not have
            raise WeightsError(f"{file}: the file of {card.name} is a {suffix}", f"import that, or use this one with --model {file}")
    state = read_state_dict(file, suffix=suffix)
    try:
        known = check_file(card, file) != "unknown"
    except WeightsError as error:
        other = "" if card.sha256 else f", or delete the line of {card.file} in {pins().path} if you trust this file"
        raise WeightsError(error.message, f"choose the file of {card.name}, or another name with --as{other}") from error
    if not known:
        check_network(card, file, state)
    with _arriving(card) as target:
        part = target.with_name(target.name + ".part")
        try:
            shutil.copyfile(file, part)
            if not known:
                pins().add(card.file, file_sha256(part))
            check_file(card, part)
            part.replace(target)
        except OSError as error:
            raise WeightsError(f"{target}: cannot be written ({error.strerror})", "make room, or make its folder writable") from error
        finally:
            if part.is_file():
                part.unlink()
    return target
