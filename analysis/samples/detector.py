"""The parametrised detector's numbers: acceptance, efficiencies, resolutions and granularity by particle type."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0, le=1)]
Width = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tracker(_Model):
    """Charged particles: |eta| < `max_eta`; efficiency by pT (GeV); relative pT resolution a ⊕ b·pT.

    Above `soft_pt` the efficiency is `efficiency` in the barrel (|eta| < 1.5) and `endcap_efficiency` beyond;
    between `min_pt` and `soft_pt` it is `soft_efficiency` times as large. Directions are exact.
    """

    max_eta: float = Field(default=2.5, gt=0)
    min_pt: Width = 0.5
    soft_pt: Width = 1.0
    efficiency: Fraction = 0.95
    endcap_efficiency: Fraction = 0.85
    soft_efficiency: Fraction = 0.74
    resolution: Width = 0.01
    resolution_per_gev: Width = 1.5e-4


class Calorimeter(_Model):
    """Towers of `cell` × `cell` in eta and phi (0: every particle is its own tower), `forward_cell` beyond.

    The energy resolution is σ² = (noise² + (stochastic²·GeV)·E + (constant·E)²)·(1 + growth·eta²)², E and noise in
    GeV; beyond `forward_eta` it is σ² = (forward_stochastic²·GeV)·E + (forward_constant·E)². A tower gives a
    neutral candidate where its excess over the tracks in it passes `min_energy` (GeV) and `min_significance` (in σ).
    """

    max_eta: float = Field(default=5.0, gt=0)
    cell: Width
    forward_cell: Width = 0.175
    forward_eta: Width
    constant: Width
    stochastic: Width
    noise: Width = 0.0
    growth: Width = 0.0
    forward_constant: Width
    forward_stochastic: Width
    min_energy: Width
    min_significance: Width


class Detector(_Model):
    """A detector in the manner of Delphes's CMS card: tracker, two calorimeters, energy flow.

    `electromagnetic` stops photons and electrons, `hadronic` all hadrons; muons are seen by the tracker,
    neutrinos by nothing. `max_candidates` hardest candidates of an event are kept (LHC Olympics: 700).
    """

    tracker: Tracker = Tracker()
    electromagnetic: Calorimeter = Calorimeter(
        cell=0.02,
        forward_eta=3.0,
        constant=0.008,
        stochastic=0.11,
        noise=0.4,
        growth=0.64,
        forward_constant=0.107,
        forward_stochastic=2.08,
        min_energy=0.5,
        min_significance=2.0,
    )
    hadronic: Calorimeter = Calorimeter(
        cell=0.087,
        forward_eta=2.5,
        constant=0.05,
        stochastic=1.5,
        forward_constant=0.13,
        forward_stochastic=2.7,
        min_energy=1.0,
        min_significance=1.0,
    )
    max_candidates: int = Field(default=700, gt=0, le=700)
