"""The restorers one can look through."""

from __future__ import annotations

from pathlib import Path

from gpenvid.restore.cards import all_cards, find_card
from gpenvid.restore.weights import locate
from gpenvid.settings import is_weight_file


def usual_name(model: str) -> str:
    """A restorer's name as its card has it, or the file of weights that it is.

    Raises:
        UsageError: there is none of this name.
    """
    return model if is_weight_file(model) else find_card(model, "restorer").name


def offered_models(chosen: str) -> list[dict[str, str | bool]]:
    """Every restorer, the chosen one first where it is a file of the user's.

    Returns:
        name, description, licence, and whether its file is here. What is not is not fetched by looking.
    """
    cards = [card for card in all_cards().values() if card.kind == "restorer"]
    found: list[dict[str, str | bool]] = [
        {"name": c.name, "description": c.description, "licence": c.licence, "here": locate(c) is not None} for c in cards
    ]
    if chosen not in {c.name for c in cards}:
        found.insert(0, {"name": chosen, "description": Path(chosen).name, "licence": "not known", "here": True})
    return found
