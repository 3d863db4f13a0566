"""Coherent smearing of objects by a number of widths of a detector's resolution.

Every object is moved by the same signed number of widths, ``size``: its three-momentum is scaled by
1 + size · σ(p)/p, its direction and its mass stay. The missing energy is shifted by size · σ(E_T^miss), its direction
stays. Sizes +1 and -1 are the ends of the Gaussian envelope; arXiv:1905.10384 (section 2) takes three times that, +3
and -3. The paper names the sources of the widths, not the formulas. These are the ones of Rivet's
``SmearingFunctions.hh`` of that time (Buckley et al., arXiv:1003.0694; described in arXiv:1910.01637), which refers to
the same measurements of ATLAS:

- jets, ``JET_SMEAR_ATLAS_RUN1`` after ATLAS-CONF-2015-017: steps in pT, no dependence on η, three-momentum scaled at
  fixed mass (``JET_SMEAR_ATLAS_RUN2`` was the same function);
- electrons, ``ELECTRON_SMEAR_ATLAS_RUN1``: σ(E) = a E ⊕ b √E ⊕ c;
- muons, ``MUON_SMEAR_ATLAS_RUN1``: steps in pT and |η|; here the relative width *rises* with pT above 10 GeV;
- missing energy, ``MET_SMEAR_ATLAS_RUN1`` after figure 15 of arXiv:1108.5602: σ = 0.45 √(ΣE_T), with H_T for ΣE_T as
  the paper says. Rivet's correction for linearity (figure 14) is left out: it would move the unsmeared sample too.

All functions are pure, take NumPy or ragged awkward arrays of one shape, and use only operations that round
correctly: what comes out for an object does not depend on the array it is in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

_JET_EDGES = np.array([50.0, 70.0, 100.0, 150.0, 200.0, 1000.0])  # GeV; a value on an edge belongs above it
_JET_WIDTHS = np.array([0.145, 0.115, 0.095, 0.075, 0.07, 0.05, 0.04])
LARGEST_JET_WIDTH = float(_JET_WIDTHS.max())
# coefficients of σ(E)/GeV for |η| below 2.5, below 3 and above, per bin of pT: below 0.1 GeV, below 25 GeV, above
_ELECTRON_ETA_EDGES = np.array([2.5, 3.0])
_ELECTRON_PT_EDGES = np.array([0.1, 25.0])  # GeV
_ELECTRON_CONSTANT = np.array([[0.0, 0.015, 0.005], [0.005, 0.005, 0.005], [0.107, 0.107, 0.107]])
_ELECTRON_STOCHASTIC = np.array([[0.0, 0.0, 0.05], [0.05, 0.05, 0.05], [2.08, 2.08, 2.08]])  # √GeV
_ELECTRON_NOISE = np.array([[0.0, 0.0, 0.25], [0.25, 0.25, 0.25], [0.0, 0.0, 0.0]])  # GeV
_MUON_ETA_EDGE = 1.5
_MUON_PT_EDGES = np.array([0.1, 1.0, 10.0, 200.0])  # GeV
_MUON_WIDTHS = np.array([[0.0, 0.03, 0.02, 0.03, 0.05], [0.0, 0.04, 0.03, 0.04, 0.05]])
MISSING_ENERGY_WIDTH = 0.45  # √GeV: σ(E_T^miss) over √(ΣE_T)


def jet_width(pt: Any) -> Any:
    """Relative width σ(p)/p of jets of transverse momentum ``pt`` (GeV); it never rises with pT."""
    return _elementwise(lambda pt: _JET_WIDTHS[_bins(pt, _JET_EDGES)], pt)


def electron_width(pt: Any, eta: Any, energy: Any) -> Any:
    """Relative width σ(E)/E of electrons (pt and energy in GeV); 0 where the energy is 0."""

    def width(pt: FloatArray, eta: FloatArray, energy: FloatArray) -> FloatArray:
        row, column = _bins(np.abs(eta), _ELECTRON_ETA_EDGES), _bins(pt, _ELECTRON_PT_EDGES)
        constant, stochastic, noise = (
            table[row, column] for table in (_ELECTRON_CONSTANT, _ELECTRON_STOCHASTIC, _ELECTRON_NOISE)
        )
        sigma = np.sqrt((constant * energy) ** 2 + stochastic**2 * energy + noise**2)
        return np.divide(sigma, energy, out=np.zeros_like(sigma), where=energy != 0)

    return _elementwise(width, pt, eta, energy)


def muon_width(pt: Any, eta: Any) -> Any:
    """Relative width σ(pT)/pT of muons (GeV). The source ends at |η| = 2.5: beyond, the last values hold."""
    return _elementwise(
        lambda pt, eta: _MUON_WIDTHS[(np.abs(eta) >= _MUON_ETA_EDGE).astype(int), _bins(pt, _MUON_PT_EDGES)], pt, eta
    )


def smearing_factor(width: Any, size: float) -> Any:
    """The factor 1 + size · width of a three-momentum, at least 0.

    Size 0 gives 1 exactly. Shifts of the same object add: f(a + b) - 1 = (f(a) - 1) + (f(b) - 1), up to rounding and
    as long as no factor is at its floor. Smearing an object twice is something else, for the second width is that of
    another pT. The floor is that of Rivet: momenta end at 0 and never turn round.
    """
    return np.maximum(1.0 + size * width, 0.0)


def largest_jet_factor(size: float) -> float:
    """The largest factor that smearing by ``size`` can give any jet."""
    return max(1.0, 1.0 + size * LARGEST_JET_WIDTH)


def missing_energy_width(ht: Any) -> Any:
    """Width σ(E_T^miss) in GeV for a scalar sum ``ht`` (GeV) of visible transverse momenta."""
    return MISSING_ENERGY_WIDTH * np.sqrt(ht)


def shifted_missing_energy(missing: Any, ht: Any, size: float) -> Any:
    """Missing energy (GeV) shifted by ``size`` widths, at least 0; ``ht`` (GeV) is that of the unsmeared event.

    Size 0 gives the same bits.
    """
    return np.maximum(missing + size * missing_energy_width(ht), 0.0)


def _bins(values: FloatArray, edges: FloatArray) -> npt.NDArray[np.intp]:
    return np.searchsorted(edges, values, side="right")


def _elementwise(function: Callable[..., FloatArray], *arrays: Any) -> Any:
    """Apply a function of flat arrays to NumPy arrays or, leaf by leaf, to ragged awkward arrays of one shape."""
    if not any(isinstance(array, ak.Array) for array in arrays):
        return function(*(np.asarray(array, dtype=np.float64) for array in arrays))

    def at_leaves(layouts: Any, **_: Any) -> Any:
        inner = layouts if isinstance(layouts, tuple) else (layouts,)
        if not all(layout.is_numpy for layout in inner):
            return None
        values = (np.asarray(layout.data, dtype=np.float64) for layout in inner)
        return ak.contents.NumpyArray(function(*values))

    return ak.transform(at_leaves, *arrays)
