"""Small jets inside large ones: two fat jets per event, the constituents of each clustered again."""

from __future__ import annotations

from dataclasses import dataclass

import awkward as ak
import numpy as np
import numpy.typing as npt

from processors.jets import Jets, cluster_jets

FloatArray = npt.NDArray[np.float64]
_USUAL_SUBJETS = 16  # of a fat jet; where one has more, all are clustered once more with room for them


@dataclass(frozen=True)
class Subjets:
    """The two hardest fat jets of n events, hardest first, and the jets inside each, hardest first; NaN where none is.

    pt and mass in GeV.
    """

    fat_pt: FloatArray  # (n, 2)
    fat_eta: FloatArray  # (n, 2) pseudorapidity
    fat_phi: FloatArray  # (n, 2)
    fat_mass: FloatArray  # (n, 2)
    pt: FloatArray  # (n, 2, at most)
    eta: FloatArray  # (n, 2, at most)
    phi: FloatArray  # (n, 2, at most)
    mass: FloatArray  # (n, 2, at most)


def recluster(
    particles: ak.Array,
    *,
    fat_radius: float,
    radius: float,
    min_fat_jet_pt: float,
    min_jet_pt: float,
    first_event: int = 0,
) -> Subjets:
    """Cambridge-Aachen fat jets, the constituents of the two hardest reclustered with kT (arXiv:1905.10384, section 2).

    Args:
        particles: (n_events, var) record of pt, eta, phi, mass (GeV).
        fat_radius: R of the Cambridge-Aachen clustering.
        radius: R of the kT clustering.
        min_fat_jet_pt: smallest pT of a fat jet in GeV.
        min_jet_pt: smallest pT of a jet inside in GeV; without such a cut (0) the jets of a fat jet add up to it.
        first_event: number of the first event in its file, for messages.

    Raises:
        InputError: particles that cannot be clustered, as :func:`cluster_jets` says.
    """
    fat = cluster_jets(
        particles,
        radius=fat_radius,
        min_pt=min_fat_jet_pt,
        count=2,
        algorithm="cambridge",
        n_subjettiness=0,
        keep_constituents=True,
        first_event=first_event,
    )
    constituents = ak.flatten(fat.constituents, axis=1)  # (2 n_events, var)
    jets = _inside(constituents, radius=radius, min_pt=min_jet_pt, count=_USUAL_SUBJETS)
    most = int(jets.n_jets.max(initial=0))
    if most > _USUAL_SUBJETS:
        jets = _inside(constituents, radius=radius, min_pt=min_jet_pt, count=most)
    shape = (*fat.pt.shape, jets.pt.shape[1])
    inside = {name: getattr(jets, name).reshape(shape) for name in ("pt", "eta", "phi", "mass")}
    return Subjets(fat_pt=fat.pt, fat_eta=fat.eta, fat_phi=fat.phi, fat_mass=fat.mass, **inside)


def _inside(constituents: ak.Array, *, radius: float, min_pt: float, count: int) -> Jets:
    return cluster_jets(constituents, radius=radius, min_pt=min_pt, count=count, algorithm="kt", n_subjettiness=0)
