"""Ship a trained file: `python -m weights.training.publish runs/detector/face-det.safetensors`.

Copies it into `weights/` and writes its machine card (`.json`: size, SHA-256 and what it is). The card for people (`.md`) is
written by hand, from what the evaluation prints.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from pathlib import Path

from weights.training.data import WEIGHTS

_FACTS: dict[str, dict[str, object]] = {
    "face-det": {
        "kind": "detector",
        "licence": "Apache-2.0",
        "dtypes": ["fp32"],
        "source": "built-in",
        "description": "Small face detector with five landmarks, trained by this project.",
    },
    "gpen-lite-256": {
        "kind": "restorer",
        "licence": "Apache-2.0",
        "size": 256,
        "template": "gpen",
        "dtypes": ["fp32", "bf16"],
        "source": "built-in",
        "description": "Small GPEN trained by this project: cleans and sharpens faces at 256x256, texture stays soft.",
    },
}


def write_card(file: Path) -> Path:
    """Write the machine card beside a weight file; its name says which of the two models it is."""
    data = file.read_bytes()
    card = {"name": file.stem, "file": file.name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), **_FACTS[file.stem]}
    path = file.with_suffix(".json")
    path.write_text(json.dumps(card, indent=2) + "\n")
    return path


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    target = WEIGHTS / options.file.name
    if options.file.resolve() != target.resolve():
        shutil.copyfile(options.file, target)
    print(write_card(target).read_text())


if __name__ == "__main__":
    main()
