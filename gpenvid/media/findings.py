"""What an audit finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Outcome = Literal["same", "differs", "noted"]


@dataclass(frozen=True)
class Finding:
    """One comparison.

    Attributes:
        what: the property.
        outcome: `same`; `differs`, which fails the audit; or `noted`, a difference the container or the codec forces.
        detail: numbers for a person.
    """

    what: str
    outcome: Outcome
    detail: str = ""


@dataclass
class Audit:
    """All comparisons of a source and a result."""

    source: Path
    output: Path
    findings: list[Finding] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether nothing differs."""
        return all(f.outcome != "differs" for f in self.findings)

    def compare(self, what: str, wanted: object, found: object) -> None:
        """Record whether two values are equal."""
        same = wanted == found
        self.findings.append(Finding(what, "same" if same else "differs", str(found) if same else f"{wanted} became {found}"))

    def fail(self, what: str, detail: str) -> None:
        """Record a difference that is not one of two values."""
        self.findings.append(Finding(what, "differs", detail))

    def note(self, what: str, detail: str) -> None:
        """Record a difference that is no failure."""
        self.findings.append(Finding(what, "noted", detail))
