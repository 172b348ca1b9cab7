"""The choices that decide what a previewed frame looks like."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gpenvid.errors import UsageError
from gpenvid.faces.tracks import Tracks
from gpenvid.settings import Mask, RestoreSettings


@dataclass(frozen=True)
class Look:
    """How faces are to be restored. Equal looks give equal pixels.

    Attributes:
        model: restorer by name.
        strength, keep_colour, deflicker, grain, mask: see `RestoreSettings`.
        people: strength by track id, where it differs from what the tracks say.
    """

    model: str = RestoreSettings.model
    strength: float = 1.0
    keep_colour: bool = True
    deflicker: bool = True
    grain: float = 0.0
    mask: Mask = "ellipse"
    people: tuple[tuple[int, float], ...] = ()

    @classmethod
    def of(cls, settings: RestoreSettings) -> Look:
        """The look that settings give, `only` and `exclude` apart."""
        return cls(settings.model, settings.strength, settings.keep_colour, settings.deflicker, settings.grain, settings.mask)

    def settings(self, base: RestoreSettings) -> RestoreSettings:
        """Other choices from `base`, these from here.

        Raises:
            UsageError: if one is out of range.
        """
        return replace(
            base,
            model=self.model,
            strength=self.strength,
            keep_colour=self.keep_colour,
            deflicker=self.deflicker,
            grain=self.grain,
            mask=self.mask,
        )

    def tracks(self, tracks: Tracks) -> Tracks:
        """The tracks with the strengths of this look.

        Raises:
            UsageError: if a strength is out of range. People who are not (yet) in the tracks are passed over.
        """
        if not all(0 <= strength <= 1 for _, strength in self.people):
            raise UsageError("a person's strength is out of range", "choose 0 to 1")
        if not self.people:
            return tracks
        chosen = dict(self.people)
        return replace(tracks, tracks=[replace(t, strength=chosen.get(t.id, t.strength)) for t in tracks.tracks])
