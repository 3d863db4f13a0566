"""A resonance that decays to top pairs: which kind, its mass and width."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from analysis.samples.resonance import Particle

# Pythia's codes: its own Z' and heavy CP-even Higgs boson; the PDG reserves the last one for private use.
ZPRIME, HEAVY_HIGGS, OCTET = 32, 35, 9900103

# The range of the mass, in widths to either side.
TOP_WIDTHS_IN_RANGE = 5


class TopResonance(Particle):
    """X → tt̄, the signals of arXiv:1905.10384, section 4.2; mass and width in GeV.

    `zprime`: colour-singlet vector, made by quarks; `scalar`: colour-singlet CP-even scalar, made by gluons;
    `octet`: the same scalar as a colour octet.
    """

    kind: Literal["zprime", "scalar", "octet"] = "zprime"
    mass: float = Field(default=2000.0, gt=0, allow_inf_nan=False)
    width: float | None = Field(default=89.6, gt=0, allow_inf_nan=False)

    def mass_range(self, *, min_top_pt: float) -> tuple[float, float]:
        """Return the masses (GeV) that are made: `TOP_WIDTHS_IN_RANGE` widths around the pole.

        Below 2·`min_top_pt` no decay gives two tops with that pT (GeV).
        """
        reach = TOP_WIDTHS_IN_RANGE * self.total_width
        return max(self.mass - reach, 2 * min_top_pt), self.mass + reach
