"""The hardest jets of each event, one or two, clustered or as the file gives them, and what is computed from a pair."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import awkward as ak
import numpy as np
import numpy.typing as npt

from processors.jets import cluster_jets
from processors.nsubjettiness import compiled
from processors.smearing import jet_width, smearing_factor

FloatArray = npt.NDArray[np.float64]
UNKNOWN = -1  # τ, ratio of τ or number of constituents that the file does not give
_ROUNDING = 1e-10


@dataclass(frozen=True)
class LeadingJets:
    """The k hardest jets of n events, (n, k) each, hardest first; pt is NaN where an event has no such jet.

    pt and mass in GeV; ``tau`` is (n, k, 3); ``constituents`` is ragged, (n, k, var), hardest particle first, or None.
    What is made of a pair needs k = 2.
    """

    pt: FloatArray
    eta: FloatArray
    phi: FloatArray
    mass: FloatArray
    tau: FloatArray
    n_constituents: npt.NDArray[np.int32]
    constituents: ak.Array | None = None

    def scaled(self, factor: float) -> LeadingJets:
        """The same jets with four-momenta times ``factor``; directions, τ and constituents stay."""
        return self if factor == 1 else replace(self, pt=self.pt * factor, mass=self.mass * factor)

    def smeared(self, size: float) -> LeadingJets:
        """The same jets with three-momenta moved by ``size`` widths of the jet resolution; mass and direction stay.

        The jets are ordered again by pT, but they stay the same: a further jet that the smearing makes harder than one
        of them does not replace it.
        """
        if size == 0:
            return self
        smeared = replace(self, pt=self.pt * smearing_factor(jet_width(self.pt), size))
        return smeared._ordered(np.argsort(-smeared.pt, axis=1, kind="stable"))

    def dijet_mass(self) -> FloatArray:
        """Invariant mass of the two jets in GeV, (n,)."""
        mass = np.empty(len(self.pt))
        _fill_dijet_mass(self.pt, self.eta, self.phi, self.mass, mass)
        return mass

    def delta_eta(self) -> FloatArray:
        """|η1 − η2|, (n,)."""
        return np.abs(self.eta[:, 0] - self.eta[:, 1])

    def select(self, chosen: npt.NDArray[np.bool_]) -> LeadingJets:
        """The events of a mask, jets ordered by mass: the more massive first, the harder where masses are equal."""
        some = LeadingJets(
            **{name: getattr(self, name)[chosen] for name in ("pt", "eta", "phi", "mass", "tau", "n_constituents")},
            constituents=None if self.constituents is None else self.constituents[chosen],
        )
        return some._ordered(np.argsort(-some.mass, axis=1, kind="stable"))

    def _ordered(self, order: npt.NDArray[np.intp]) -> LeadingJets:
        """The jets of each event in the given order, (n, k)."""
        arrays = {
            name: np.take_along_axis(getattr(self, name), order, axis=1)
            for name in ("pt", "eta", "phi", "mass", "n_constituents")
        }
        tau = np.take_along_axis(self.tau, order[..., np.newaxis], axis=1)
        kept = None
        if self.constituents is not None:
            kept = self.constituents[ak.from_regular(ak.Array(order))]
        return LeadingJets(tau=tau, constituents=kept, **arrays)


@compiled
def _fill_dijet_mass(pt: FloatArray, eta: FloatArray, phi: FloatArray, mass: FloatArray, out: FloatArray) -> None:
    # a compiled loop, because the rounding of NumPy's functions may depend on the length of the array
    for i in range(len(out)):
        energy, px, py, pz = 0.0, 0.0, 0.0, 0.0
        for j in range(2):
            x, y, z = pt[i, j] * math.cos(phi[i, j]), pt[i, j] * math.sin(phi[i, j]), pt[i, j] * math.sinh(eta[i, j])
            energy += math.sqrt(x * x + y * y + z * z + mass[i, j] * mass[i, j])
            px, py, pz = px + x, py + y, pz + z
        out[i] = math.sqrt(max(0.0, (energy + pz) * (energy - pz) - px * px - py * py))


def cluster_leading(
    particles: ak.Array, *, radius: float, min_pt: float, count: int = 2, keep_constituents: bool = False
) -> LeadingJets:
    """The ``count`` hardest anti-kT jets above ``min_pt`` (GeV) of ragged particles (pt, eta, phi, mass)."""
    jets = cluster_jets(
        particles, radius=radius, min_pt=min_pt, count=count, n_subjettiness=3, keep_constituents=keep_constituents
    )
    return LeadingJets(
        pt=jets.pt,
        eta=jets.eta,
        phi=jets.phi,
        mass=jets.mass,
        tau=jets.tau,
        n_constituents=np.asarray(jets.n_constituents, dtype=np.int32),
        constituents=jets.constituents,
    )


def given_leading(jets: ak.Array, *, count: int = 2) -> LeadingJets:
    """The ``count`` hardest of the jets a file gives (pt, eta, phi, mass and, where it has them, tau1 … tau3)."""
    ordered = jets[ak.argsort(jets.pt, axis=1, ascending=False, stable=True)]
    hardest = ak.pad_none(ordered, count, axis=1, clip=True)

    def column(name: str, missing: float) -> FloatArray:
        if name not in jets.fields:
            return np.full((len(jets), count), float(UNKNOWN))
        return np.asarray(ak.to_numpy(ak.fill_none(hardest[name], missing)), dtype=np.float64).reshape(-1, count)

    tau = np.stack([column(f"tau{order}", UNKNOWN) for order in (1, 2, 3)], axis=2)
    momentum = {name: column(name, np.nan) for name in ("pt", "eta", "phi", "mass")}
    return LeadingJets(tau=tau, n_constituents=column("n_constituents", UNKNOWN).astype(np.int32), **momentum)


def tau_ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """τ_{N}/τ_{N-1}, never NaN.

    0 where the denominator is 0 (then the numerator is too) or below 1e-10, which is rounding: a jet of N - 1
    particles. -1 where τ is not known.
    """
    unknown = (numerator < 0) | (denominator < 0)
    ratio = np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > _ROUNDING)
    return np.where(unknown, float(UNKNOWN), ratio)
