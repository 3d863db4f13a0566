"""What the bins outside a window say about the background, and about a signal, inside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stats.errors import StatisticsError
from stats.fits import BackgroundFits, effective, fit_background
from stats.functions import BinnedFamily, Family
from stats.goodness import Goodness, chi2_test
from stats.spectrum import Spectrum

LARGEST_UNCERTAINTY = (
    0.7  # relative, of one eigenvector in one bin: beyond, an additive template is no good picture of the function
)


@dataclass(frozen=True)
class Sidebands:
    """Prediction of a window's background from the fit to the bins outside it.

    Attributes:
        background: expected events in the window's bins, shape (n,).
        shifts: of log background, one principal component one standard deviation up, the largest first, shape (p, n).
        response: background predicted in the window's bins per event in each of the spectrum's, shape (n, n_bins): 0
            for the bins that were not fitted.
        extrapolated: "below" or "above" where no bin on that side of the window was fitted, else "".
        goodness: χ² of the fit over the bins that were fitted: a function that does not describe them predicts nothing.
    """

    background: np.ndarray
    shifts: np.ndarray
    response: np.ndarray
    extrapolated: str
    goodness: Goodness


def predict(spectrum: Spectrum, family: Family, inside: np.ndarray, mask: np.ndarray | None = None) -> Sidebands:
    """Fit all bins but those ``inside`` (shape (n_bins,)) and those that ``mask`` holds False for.

    Raises:
        StatisticsError: where the sidebands are too few, do not determine the background, or leave it too uncertain.
    """
    used = ~inside if mask is None else ~inside & mask
    window = np.flatnonzero(inside)
    where = f"outside {spectrum.edges[window[0]]:g} to {spectrum.edges[window[-1] + 1]:g} GeV"
    if used.sum() <= family.n_parameters:
        raise StatisticsError(f"{int(used.sum())} bins {where} cannot constrain {family.name}: widen the spectrum.")
    counts, exposure = effective(spectrum, used)
    fits = fit_background(BinnedFamily(family, spectrum.edges), counts, exposure=exposure)
    if not (fits.converged[0] and fits.determined[0]):
        raise StatisticsError(
            f"The fit of {family.name} to the {counts.sum():g} events {where} does not settle: take fewer parameters."
        )
    shifts = _principal_shifts(fits, inside)
    worst = float(np.abs(shifts).max())
    if not worst <= LARGEST_UNCERTAINTY:
        raise StatisticsError(
            f"The {counts.sum():g} events {where} leave the background there uncertain by {worst:.0%} in one "
            f"direction alone: no limit rests on it. Take fewer parameters than {family.name} has, a wider spectrum, "
            "a narrower signal, or a looser selection."
        )
    below, above = used[: window[0]].any(), used[window[-1] :].any()
    return Sidebands(
        background=fits.expected[0][inside],
        shifts=shifts,
        response=_response(fits, inside, used),
        extrapolated="" if below and above else "above" if below else "below",
        goodness=chi2_test(spectrum.counts[used], fits.expected[0][used], n_parameters=family.n_parameters),
    )


def _principal_shifts(fits: BackgroundFits, inside: np.ndarray) -> np.ndarray:
    """Eigenvectors of the covariance of log E in the window, each times the root of its eigenvalue: shape (p, n).

    Turned so that the first holds as much as it can, they span what the eigenvectors of the parameters' covariance do.
    """
    values, vectors = np.linalg.eigh(fits.covariance[0])
    spread = fits.log_derivatives[0][inside] @ (vectors * np.sqrt(np.maximum(values, 0.0)))
    left, sizes, _ = np.linalg.svd(spread, full_matrices=False)
    return np.asarray((left * sizes).T)


def _response(fits: BackgroundFits, inside: np.ndarray, used: np.ndarray) -> np.ndarray:
    """∂E_i/∂n_j of the fit, i in the window and j in the sidebands.

    At the minimum Σ_j (E_j − n_j) ∂log E_j/∂θ = 0, so ∂θ/∂n_j is the covariance times ∂log E_j/∂θ.
    """
    derivatives = fits.log_derivatives[0]
    slopes = fits.expected[0][inside, None] * derivatives[inside]
    return slopes @ fits.covariance[0] @ (derivatives * used[:, None]).T
