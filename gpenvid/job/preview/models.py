"""The restorers one can look through."""

from __future__ import annotations

from pathlib import Path

from gpenvid.restore.cards import all_cards
from gpenvid.restore.weights import locate


def offered_models(chosen: str) -> list[dict[str, str | bool]]:
    """Every restorer, the chosen one first where it is a file of the user's.

    Returns:
        name, description, licence, and whether its file is here. What is not is not fetched by looking.
    """
    cards = [card for card in all_cards().values() if card.kind == "restorer"]
    found: list[dict[str, str | bool]] = [
        {"name": c.name, "description": c.description, "licence": c.licence, "here": locate(c) is not None} for c in cards
    ]
    if chosen.lower() not in {c.name.lower() for c in cards}:
        found.insert(0, {"name": chosen, "description": Path(chosen).name, "licence": "not known", "here": True})
    return found
