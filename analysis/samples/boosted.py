"""Heavy resonances that decay to single jets of tops or of Higgs bosons, as the test sets of arXiv:2007.01850."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

from analysis.samples.resonance import MASS, Decaying, Particle

# Pythia's names for the added scalars: codes that the PDG reserves for private use.
HEAVY, LIGHT = 9900104, 9900105
BOTTOM = 5


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HadronicTops(_Model):
    """Z' → tt̄ with both tops decaying to hadrons; masses in GeV.

    `top_mass` and `w_mass` replace those of the Standard Model, with the widths that Pythia calculates for them.
    """

    zprime: Particle = Particle(mass=1300.0)
    top_mass: float = Field(default=174.0, gt=0, allow_inf_nan=False)
    w_mass: float = Field(default=80.38, ge=15, allow_inf_nan=False)

    @model_validator(mode="after")
    def _possible(self) -> HadronicTops:
        if self.w_mass + MASS[BOTTOM] >= self.top_mass:
            raise ValueError(
                f"top_mass = {self.top_mass:g} GeV must be above w_mass = {self.w_mass:g} GeV and a b quark: "
                "t cannot decay to b W"
            )
        if 2 * self.top_mass >= self.zprime.mass:
            raise ValueError(
                f"zprime.mass = {self.zprime.mass:g} GeV must be above twice top_mass = {self.top_mass:g} GeV"
            )
        return self


class HiggsPair(_Model):
    """Heavy scalar, made by gluons, → H H, each H → h h, each h → bb̄: jets of four b quarks.

    All of them are scalars and decay isotropically. Widths are 1% of the mass unless given.
    """

    resonance: Particle = Particle(mass=1300.0)
    heavy: Particle = Particle(mass=174.0)
    light: Particle = Particle(mass=80.0)

    @model_validator(mode="after")
    def _possible(self) -> HiggsPair:
        chain = {"resonance": self.resonance.mass, "heavy": self.heavy.mass, "light": self.light.mass}
        for mother, product in (("resonance", "heavy"), ("heavy", "light")):
            if 2 * chain[product] >= chain[mother]:
                raise ValueError(
                    f"{mother}.mass = {chain[mother]:g} GeV must be above twice {product}.mass = {chain[product]:g} GeV"
                )
        if 2 * MASS[BOTTOM] >= self.light.mass:
            raise ValueError(f"light.mass = {self.light.mass:g} GeV is too small for a decay to two b quarks")
        return self

    @property
    def decaying(self) -> tuple[Decaying, Decaying]:
        """H and h with their decays."""
        heavy, light = self.heavy.model_dump(), self.light.model_dump()
        return Decaying(**heavy, decays=((LIGHT, LIGHT),)), Decaying(**light, decays=((BOTTOM, -BOTTOM),))
