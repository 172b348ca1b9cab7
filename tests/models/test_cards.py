"""Every shipped model has a card, and the card tells the truth."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from safetensors import safe_open

LARGEST = {"face-det": 1_000_000, "gpen-lite-256": 10_000_000}


@pytest.mark.parametrize("name", LARGEST)
def test_machine_card_matches_the_file(weights: Path, name: str) -> None:
    card = json.loads((weights / f"{name}.json").read_text())
    data = (weights / card["file"]).read_bytes()
    assert card["name"] == name
    assert card["bytes"] == len(data)
    assert card["sha256"] == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("name", LARGEST)
def test_model_is_small_and_in_half_precision(weights: Path, name: str) -> None:
    path = weights / f"{name}.safetensors"
    assert path.stat().st_size <= LARGEST[name]
    with safe_open(path, "pt") as file:
        assert {file.get_slice(key).get_dtype() for key in file.keys()} == {"F16"}  # noqa: SIM118 (no iterator)


@pytest.mark.parametrize("name", LARGEST)
def test_card_for_people_states_data_figures_and_limits(weights: Path, name: str) -> None:
    text = (weights / f"{name}.md").read_text()
    for part in ("## Data", "## Training", "## Measured", "## Limits", "## Not for"):
        assert part in text, f"{name}.md lacks {part}"
