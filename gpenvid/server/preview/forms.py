"""What the page may send, checked."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gpenvid.errors import UsageError
from gpenvid.job.preview.look import Look
from gpenvid.settings import Mask

Share = Annotated[float, Field(ge=0, le=1)]
_MOST_PEOPLE = 20000


class LookForm(BaseModel):
    """How faces are to be restored: see `Look`."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(max_length=400)
    strength: Share = 1.0
    color: Literal["source", "restored"] = "source"
    deflicker: bool = True
    grain: Share = 0.0
    mask: Mask = "ellipse"

    def look(self, people: dict[int, float]) -> Look:
        """As the job room knows it."""
        chosen = tuple(sorted(people.items()))
        return Look(self.model, self.strength, self.color == "source", self.deflicker, self.grain, self.mask, chosen)


class Person(BaseModel):
    """What was chosen for one person; the strength is kept while they are left out."""

    model_config = ConfigDict(extra="forbid")

    strength: Share = 1.0
    included: bool = True


class PageForm(BaseModel):
    """Everything that is chosen on the page."""

    model_config = ConfigDict(extra="forbid")

    looks: tuple[LookForm, LookForm]
    active: Literal[0, 1] = 0
    people: dict[int, Person] = Field(default_factory=dict, max_length=_MOST_PEOPLE)

    def look(self, number: int | None = None) -> Look:
        """One of the two looks, the active one by default, with the chosen people."""
        strengths = {i: p.strength if p.included else 0.0 for i, p in self.people.items()}
        return self.looks[self.active if number is None else number].look(strengths)


def saved_page(found: dict[str, Any]) -> dict[str, Any] | None:
    """What a sidecar says the page was set to, None where it says nothing usable: people edit sidecars."""
    try:
        return PageForm.model_validate(found).model_dump(mode="json")
    except ValidationError:
        return None


class RenderForm(BaseModel):
    """A render to start."""

    page: PageForm
    overwrite: bool = False


class LoopForm(BaseModel):
    """A loop to make."""

    page: PageForm
    first: int = Field(ge=0)
    last: int = Field(ge=0)
    compare: Literal["source", "looks"] = "source"
    width: int = Field(default=960, ge=64, le=1920)


class StopForm(BaseModel):
    """A loop to give up."""

    id: str = Field(max_length=40)


class FrameQuery(BaseModel):
    """One picture.

    Attributes:
        kind: as decoded, or restored with this look.
        form: `png` for the very pixels.
        width: pixels, 0 for all.
        view: who looks; a later request of the same view replaces this one while it waits.
        ahead: it is not looked at yet; what is goes first.
        session: part of the address only, so that no browser shows pictures of an earlier start.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Literal["source", "restored"] = "source"
    form: Literal["png", "jpeg"] = "jpeg"
    width: int = Field(default=0, ge=0, le=16384)
    view: str = Field(default="", pattern=r"^[A-Za-z0-9-]{0,40}$")
    ahead: bool = False
    session: str = Field(default="", max_length=40)
    model: str = Field(default="", max_length=400)
    strength: Share = 1.0
    color: Literal["source", "restored"] = "source"
    deflicker: bool = True
    grain: Share = 0.0
    mask: Mask = "ellipse"
    people: str = Field(default="", max_length=200_000)

    def look(self) -> Look | None:
        """The look, None for the source.

        Raises:
            UsageError: `people` is not written like `1:0.5,2:0`.
        """
        if self.kind == "source":
            return None
        try:
            chosen = dict(_pair(part) for part in self.people.split(",") if part)
        except ValueError as error:
            raise UsageError("people are not written like 1:0.5,2:0", "load the page again") from error
        form = LookForm.model_validate(self.model_dump(include=set(LookForm.model_fields)))
        return form.look(chosen)


def _pair(text: str) -> tuple[int, float]:
    number, _, strength = text.partition(":")
    value = float(strength)
    if not 0 <= value <= 1:
        raise ValueError(text)
    return int(number), value


FrameParameters = Annotated[FrameQuery, Query()]
