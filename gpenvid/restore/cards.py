"""Model cards: what is known of each weight file before it is opened."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Literal

from gpenvid.errors import UsageError

Kind = Literal["restorer", "detector"]

_GPEN_LICENCE = "non-commercial use only (Alibaba, academic research)"
_GPEN_BASE = "https://public-vigen-video.oss-cn-shanghai.aliyuncs.com/robin/models/"
_MODELSCOPE = "https://modelscope.cn/models/damo/cv_gpen_image-portrait-enhancement-hires/resolve/master/"
_FACEXLIB = "https://github.com/xinntao/facexlib/releases/download/v0.1.0/"
BUILT_IN_DETECTOR = "face-det"


@dataclass(frozen=True)
class ModelCard:
    """Facts about a weight file.

    Attributes:
        name: as in `--model` or `--detector`.
        kind: what the network does.
        file: file name it is looked up by.
        licence: of the weights.
        description: one line for people.
        dtypes: number formats it may run in.
        size: side of the crop, for restorers.
        template: alignment template, for restorers.
        url: published address; empty for built-in models and imported files.
        bytes: exact size, 0 where not publicly known.
        sha256: publicly known hash, empty where there is none (the first download is then pinned).
    """

    name: str
    kind: Kind
    file: str
    licence: str
    description: str
    dtypes: tuple[str, ...] = ("fp32", "bf16")
    size: int = 0
    template: str = "gpen"
    url: str = ""
    bytes: int = 0
    sha256: str = ""

    @property
    def built_in(self) -> bool:
        """Whether the file comes with gpenvid."""
        return not self.url


def _gpen(size: int, url: str, file: str) -> ModelCard:
    return ModelCard(
        f"GPEN-BFR-{size}", "restorer", file, _GPEN_LICENCE, f"GPEN for {size} x {size} crops, by its authors", size=size, url=url
    )


_PUBLISHED = (
    _gpen(256, _GPEN_BASE + "GPEN-BFR-256.pth", "GPEN-BFR-256.pth"),
    _gpen(512, _GPEN_BASE + "GPEN-BFR-512.pth", "GPEN-BFR-512.pth"),
    _gpen(1024, _MODELSCOPE + "pytorch_model.pt", "GPEN-BFR-1024.pt"),
    _gpen(2048, _MODELSCOPE + "pytorch_model-2048.pt", "GPEN-BFR-2048.pt"),
    ModelCard(
        "retinaface-mobilenet",
        "detector",
        "detection_mobilenet0.25_Final.pth",
        "MIT (facexlib)",
        "RetinaFace on MobileNet x 0.25: small and accurate",
        url=_FACEXLIB + "detection_mobilenet0.25_Final.pth",
        bytes=1_789_735,
        sha256="2979b33ffafda5d74b6948cd7a5b9a7a62f62b949cef24e95fd15d2883a65220",
    ),
    ModelCard(
        "retinaface-resnet50",
        "detector",
        "detection_Resnet50_Final.pth",
        "MIT (facexlib)",
        "RetinaFace on ResNet-50: finds the hardest faces, slow on a CPU",
        url=_FACEXLIB + "detection_Resnet50_Final.pth",
        bytes=109_497_761,
        sha256="6d1de9c2944f2ccddca5f5e010ea5ae64a39845a86311af6fdf30841b0a5a16d",
    ),
)


def built_in_folder() -> Path:
    """Where the models that come with gpenvid lie: inside the installed package, or `weights/` of a checkout."""
    packaged = Path(str(resources.files("gpenvid"))) / "weights"
    return packaged if packaged.is_dir() else packaged.parent.parent / "weights"


@lru_cache(maxsize=1)
def all_cards() -> dict[str, ModelCard]:
    """Every known model by name, built-in ones first."""
    own = [_read_card(path) for path in sorted(built_in_folder().glob("*.json"))]
    return {card.name: card for card in (*own, *_PUBLISHED)}


def _read_card(path: Path) -> ModelCard:
    facts = json.loads(path.read_text(encoding="utf-8"))
    known = {k: v for k, v in facts.items() if k in ModelCard.__dataclass_fields__}
    return ModelCard(**{**known, "dtypes": tuple(facts.get("dtypes", ("fp32", "bf16")))})


def find_card(name: str, kind: Kind) -> ModelCard:
    """The card of a model by name, capitals ignored.

    Raises:
        UsageError: if there is none of that kind.
    """
    cards = {n.lower(): c for n, c in all_cards().items() if c.kind == kind}
    if name.lower() not in cards:
        raise UsageError(f"unknown {kind} {name}", f"choose one of {', '.join(c.name for c in cards.values())}")
    return cards[name.lower()]


def any_card(name: str) -> ModelCard:
    """The card of a model of any kind by name, capitals ignored.

    Raises:
        UsageError: if there is none.
    """
    for card in all_cards().values():
        if card.name.lower() == name.lower():
            return card
    raise UsageError(f"unknown model {name}", "`gpenvid models list` shows them all")
