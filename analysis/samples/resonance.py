"""The signal's particles: W' → X⁺ Y⁰ with any masses, widths and decays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

# Pythia's names for the added resonances: codes that the PDG reserves for private use.
WPRIME, X, Y = 34, 9900101, 9900102

# Three times the charge of what a resonance may decay to, by |PDG code|; and the masses that thresholds are
# checked with (GeV; the light ones do not matter).
THREE_CHARGE = {1: -1, 2: 2, 3: -1, 4: 2, 5: -1, 6: 2, 11: -3, 12: 0, 13: -3, 14: 0, 15: -3, 16: 0, 21: 0, 22: 0}
THREE_CHARGE |= {23: 0, 24: 3, 25: 0}
MASS = {4: 1.5, 5: 4.8, 6: 171.0, 15: 1.777, 23: 91.19, 24: 80.38, 25: 125.0}
OWN_ANTIPARTICLE = {21, 22, 23, 25}
COLOURED = {1, 2, 3, 4, 5, 6}


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Particle(_Model):
    """One resonance: mass and width in GeV (width null: 1% of the mass)."""

    mass: float = Field(gt=0, allow_inf_nan=False)
    width: float | None = Field(default=None, ge=0, allow_inf_nan=False)

    @property
    def total_width(self) -> float:
        """The width in GeV, given or 1% of the mass."""
        return 0.01 * self.mass if self.width is None else self.width

    @model_validator(mode="after")
    def _narrow(self) -> Particle:
        if self.total_width > 0.5 * self.mass:
            raise ValueError(f"width = {self.width:g} GeV is more than half the mass {self.mass:g} GeV")
        return self


class Decaying(Particle):
    """A resonance with its decays: lists of two or three PDG codes, all equally likely."""

    decays: tuple[tuple[int, ...], ...] = Field(min_length=1)


class Resonance(_Model):
    """W' → X⁺ Y⁰ (and its charge conjugate). Defaults: the LHC Olympics R&D signal, 3.5 / 0.5 / 0.1 TeV.

    The decays of X are those of X⁺, with total charge +1; those of Y have charge 0. `angles` are those of
    longitudinally polarised vector bosons, which the LHC Olympics signal shows, or isotropic in every decay.

    With `x_masses` every file has an X of another mass (GeV) between these two, in place of `x.mass`: a mixture of
    all of them, spread evenly in ln(mass) by however many files there are.
    """

    wprime: Particle = Particle(mass=3500.0)
    x: Decaying = Decaying(mass=500.0, decays=((2, -1), (4, -3)))
    y: Decaying = Decaying(mass=100.0, decays=((1, -1), (2, -2), (3, -3), (4, -4)))
    angles: Literal["longitudinal", "isotropic"] = "longitudinal"
    x_masses: tuple[float, float] | None = None

    @model_serializer(mode="wrap")
    def _without_what_is_newer(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave `x_masses` out where there are none: samples on disk are older than this field."""
        content: dict[str, Any] = handler(self)
        if self.x_masses is None:
            content.pop("x_masses", None)
        return content

    def of_file(self, index: int) -> Resonance:
        """Return the resonance of file `index`: X has the mass that is its turn among `x_masses`.

        The fractions of the range are those of van der Corput's sequence, ½, ¼, ¾, ⅛ …: the first n, for any n,
        cover it evenly.
        """
        if self.x_masses is None:
            return self
        low, high = self.x_masses
        number = index + 1
        fraction = int(f"{number:b}"[::-1], 2) / 2 ** number.bit_length()
        mass = round(low * (high / low) ** fraction, 3)
        return self.model_copy(update={"x": self.x.model_copy(update={"mass": mass}), "x_masses": None})

    @model_validator(mode="before")
    @classmethod
    def _lay_over_defaults(cls, content: Any) -> Any:
        """Take what a particle leaves out (its decays, say) from the default one, so that one number can be changed."""
        if not isinstance(content, Mapping):
            return content
        merged = dict(content)
        for name in ("x", "y"):
            if isinstance(merged.get(name), Mapping):
                merged[name] = {"decays": cls.model_fields[name].default.decays, **merged[name]}
        return merged

    @model_validator(mode="after")
    def _possible(self) -> Resonance:
        if self.x_masses is not None:
            self._check_masses(*self.x_masses)
        if self.x.mass + self.y.mass >= self.wprime.mass:
            raise ValueError(
                f"x.mass + y.mass = {self.x.mass + self.y.mass:g} GeV must be below wprime.mass = "
                f"{self.wprime.mass:g} GeV: W' cannot decay to X Y"
            )
        for name, particle, charge in (("x", self.x, 3), ("y", self.y, 0)):
            for decay in particle.decays:
                _check_decay(decay, mass=particle.mass, three_charge=charge, name=name)
        return self

    def _check_masses(self, low: float, high: float) -> None:
        """Raise ValueError unless X can have all masses of the range, with its width and its decays."""
        if not 0 < low < high < self.wprime.mass - self.y.mass:
            raise ValueError(
                f"x_masses = [{low:g}, {high:g}] must rise, from above 0 to below wprime.mass − y.mass = "
                f"{self.wprime.mass - self.y.mass:g} GeV"
            )
        Particle(mass=low, width=self.x.width)
        for decay in self.x.decays:
            _check_decay(decay, mass=low, three_charge=3, name="x")


def _check_decay(decay: Sequence[int], *, mass: float, three_charge: int, name: str) -> None:
    """Raise ValueError unless Pythia can let a colour singlet of this mass and charge decay so."""
    where = f"{name}.decays: {list(decay)}"
    if len(decay) not in (2, 3):
        raise ValueError(f"{where} has {len(decay)} products: expected 2 or 3")
    for code in decay:
        if abs(code) not in THREE_CHARGE or (code < 0 and -code in OWN_ANTIPARTICLE):
            known = ", ".join(str(known) for known in THREE_CHARGE)
            raise ValueError(f"{where}: {code} is not a PDG code that decays may have (± {known})")
    total = sum(THREE_CHARGE[abs(code)] * (1 if code > 0 else -1) for code in decay)
    if total != three_charge:
        raise ValueError(f"{where} has charge {total / 3:+.3g}, but {name.upper()} has {three_charge // 3:+d}")
    quarks = [code for code in decay if abs(code) in COLOURED]
    pair = len(quarks) == 2 and quarks[0] * quarks[1] < 0
    triplet = len(quarks) == 3 and (min(quarks) > 0 or max(quarks) < 0)
    gluons = sum(code == 21 for code in decay)
    if not (pair or triplet or (not quarks and gluons != 1)):
        raise ValueError(f"{where} is not a colour singlet: expected quark-antiquark, three quarks or two gluons")
    threshold = sum(MASS.get(abs(code), 0.0) for code in decay)
    if threshold >= mass:
        raise ValueError(f"{where} weighs {threshold:g} GeV, more than {name.upper()} with {mass:g} GeV")
