"""Opening detectors and restorers by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gpenvid.errors import UsageError, WeightsError
from gpenvid.faces.align import TEMPLATES, Template
from gpenvid.faces.builtin import BuiltinDetector
from gpenvid.faces.builtin_net import detector_from_state_dict
from gpenvid.faces.detector import Detector
from gpenvid.faces.embedding import FaceEmbedder
from gpenvid.faces.placed import PlacedDetector
from gpenvid.faces.retinaface import RetinaFaceDetector
from gpenvid.faces.retinaface_net import retinaface_from_state_dict
from gpenvid.job.progress import Progress
from gpenvid.restore.cards import BUILT_IN_DETECTOR, Kind, ModelCard, find_card
from gpenvid.restore.choices import choose_device
from gpenvid.restore.restorer import Restorer, load_restorer
from gpenvid.restore.weights import locate, obtain, read_state_dict, tensors_of
from gpenvid.settings import WEIGHT_SUFFIXES, RestoreSettings, is_weight_file

DETECTORS = ("auto", "builtin", "retinaface-mobilenet", "retinaface-resnet50")


@dataclass(frozen=True)
class Models:
    """What a job works with, opened once for all of its inputs.

    Attributes:
        detector: None where a sidecar takes its place.
        restorer, template: see `open_restorer`.
        embedder: see `open_embedder`.
    """

    detector: Detector | None
    restorer: Restorer
    template: Template
    embedder: FaceEmbedder | None

    @property
    def finder(self) -> str:
        """The detector's name, empty where there is none."""
        return self.detector.name if self.detector else ""


def fetch(card: ModelCard, progress: Progress) -> Path:
    """The file of a model; before a first download its licence is shown."""
    if locate(card) is None and not card.built_in:
        progress.note(f"{card.name}: licence of the weights: {card.licence}")
        progress.note(f"downloading {card.url}")
    announced = -1

    def tell(done: int, total: int) -> None:
        nonlocal announced
        tenth = 10 * done // total if total else -1
        if tenth > announced:
            announced = tenth
            progress.note(f"{card.file}: {10 * tenth}% of {total / 1e6:.0f} MB")

    return obtain(card, tell)


def is_here(name: str, kind: Kind) -> bool:
    """Whether a model's file is on this machine. Restorers may be paths of weight files.

    Raises:
        UsageError: unknown name.
    """
    path = Path(name)
    if kind == "restorer" and is_weight_file(path):
        return path.is_file()
    if kind == "detector":
        check_detector(name)
        if name in ("auto", "builtin"):
            return True
    return locate(find_card(name, kind)) is not None


def check_detector(name: str) -> None:
    """Make sure that there is such a detector.

    Raises:
        UsageError: there is not.
    """
    if name not in DETECTORS:
        raise UsageError(f"unknown detector {name}", f"choose one of {', '.join(DETECTORS)}")


def open_detector(name: str, device: str, progress: Progress) -> Detector:
    """Open a detector.

    `auto` is RetinaFace on MobileNet where its file is at hand, else the one that comes with gpenvid.

    Raises:
        UsageError: unknown name.
        WeightsError: its file is missing or wrong.
    """
    check_detector(name)
    if name == "auto":
        card = find_card("retinaface-mobilenet", "detector")
        name = card.name if locate(card) else "builtin"
    where = choose_device(device)
    built_in = BuiltinDetector(detector_from_state_dict(_tensors(BUILT_IN_DETECTOR, progress)), device=where)
    if name == "builtin":
        return built_in
    # The built-in detector's second network looks after the faces of every detector between its calls.
    closely = built_in.close_look
    retinaface = RetinaFaceDetector(retinaface_from_state_dict(_tensors(name, progress)), device=where, close_look=closely)
    # MobileNet's landmarks are worth placing anew. ResNet-50's may be the better ones: that was not measured.
    if closely is None or name != "retinaface-mobilenet":
        return retinaface
    return PlacedDetector(retinaface, closely)


def _tensors(detector: str, progress: Progress) -> dict[str, Tensor]:
    return tensors_of(read_state_dict(fetch(find_card(detector, "detector"), progress)))


def open_restorer(settings: RestoreSettings, progress: Progress, *, few: bool = False) -> tuple[Restorer, Template]:
    """Open the restorer that the settings name, and the template it was trained with.

    Args:
        settings: model, device, number format, batch and engine.
        progress: told of downloads.
        few: whether few faces are expected; see `choose_engine`.

    Raises:
        UsageError: unknown model, device, number format or engine.
        WeightsError: its file is missing, damaged, unsafe or wrong.
    """
    path = Path(settings.model)
    if is_weight_file(path):
        card = ModelCard(path.stem, "restorer", path.name, "not known", "a file named by the user")
    else:
        if path.is_file():
            raise UsageError(f"{path}: is no weight file by its name", f"its name must end in {', '.join(WEIGHT_SUFFIXES)}")
        card = find_card(settings.model, "restorer")
        path = fetch(card, progress)
    restorer = load_restorer(
        card, path, device=settings.device, dtype=settings.dtype, batch=settings.batch, engine=settings.engine, few=few
    )
    if restorer.instead:
        progress.note(restorer.instead)
    return restorer, TEMPLATES[card.template]


def open_embedder(settings: RestoreSettings) -> FaceEmbedder | None:
    """The identity guard's network, None where the settings name none.

    Raises:
        WeightsError: if the file is missing or no such network.
    """
    if settings.identity is None:
        return None
    if not settings.identity.is_file():
        raise WeightsError(f"{settings.identity}: no such embedding file", "check the path, or leave --identity out")
    return FaceEmbedder(settings.identity)


def open_models(settings: RestoreSettings, progress: Progress, *, few: bool = False) -> Models:
    """Open everything that the settings name; see `open_detector`, `open_restorer` and `open_embedder`."""
    # Not with a sidecar: nothing would be detected, and RetinaFace might be fetched for it.
    detector = None if settings.tracks else open_detector(settings.detector, settings.device, progress)
    return Models(detector, *open_restorer(settings, progress, few=few), open_embedder(settings))


def describe_device(device: torch.device) -> str:
    """A device's name for people and reports."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)
