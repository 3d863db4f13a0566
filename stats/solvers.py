"""How each kind of background family is fitted: one solver per model and set of spectra."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from stats import newton, symmetric
from stats.errors import StatisticsError
from stats.functions import BinnedFamily

CELLS = 75_000  # spectra × bins per block: what stays in a core's cache
LEAST_EVENTS = 1.0 - 1e-6  # in all spectra, effective ones; short of one by rounding only
DEEPEST = 0.9  # share of the background that a negative signal may take in any bin of its peak


@dataclass(frozen=True)
class Signal:
    """A signal of free yield.

    Attributes:
        template: signal events per bin for a yield of 1, shape (n_bins,) or that of the counts.
        peak: bins that limit a negative yield, same shape.
        non_negative: whether the yield stays at 0 or above.
    """

    template: np.ndarray
    peak: np.ndarray
    non_negative: bool


class Solver(abc.ABC):
    """A background on bins in coordinates u, θ = rotation · u, in which fits of similar spectra are well conditioned.

    Attributes:
        model: the family on its bins.
        rotation: shape (p, p).
    """

    model: BinnedFamily
    rotation: np.ndarray

    @abc.abstractmethod
    def fit(self, counts: np.ndarray, exposure: np.ndarray | None) -> newton.Minimum:
        """Background-only fits."""

    def fit_signal(
        self, start: newton.Minimum, counts: np.ndarray, exposure: np.ndarray | None, signal: Signal
    ) -> newton.Minimum:
        """Fits of background and signal, one per row of ``counts``, from background-only fits.

        Args:
            start: background-only fits; one for all rows, or one each.
            counts, exposure: as fitted there.
            signal: what is added to the background.
        """
        return in_blocks(counts.shape[0], self.block, self.with_signal(start, counts, exposure, signal))

    @abc.abstractmethod
    def with_signal(
        self, start: newton.Minimum, counts: np.ndarray, exposure: np.ndarray | None, signal: Signal
    ) -> Callable[[np.ndarray], newton.Minimum]:
        """What ``fit_signal`` does with some of the rows."""

    @property
    def block(self) -> int:
        """Spectra that are fitted together."""
        return max(CELLS // self.model.n_bins, 1)

    @abc.abstractmethod
    def expected(self, state: np.ndarray) -> np.ndarray:
        """Events per bin before exposure, shape (N, n_bins)."""

    @abc.abstractmethod
    def log_derivatives(self, state: np.ndarray) -> np.ndarray:
        """∂ log E_i/∂θ_k, shape (N, n_bins, p)."""

    def parameters(self, state: np.ndarray) -> np.ndarray:
        """θ, shape (N, p)."""
        return state[: self.model.n_parameters].T @ self.rotation.T

    def covariance(self, minimum: newton.Minimum) -> np.ndarray:
        """Of θ for background-only fits, shape (N, p, p)."""
        inner = symmetric.inverse(minimum.factor, self.model.n_parameters)
        return np.einsum("ij,njk,lk->nil", self.rotation, inner, self.rotation)


def undetermined(model: BinnedFamily, total: np.ndarray, *, converged: bool = True) -> StatisticsError:
    """What to say of a spectrum (n_bins,) that cannot be fitted: the data are at fault, or the iteration gave up."""
    what = f"{total.sum():g} events in {int((total > 0).sum())} filled bins"
    if not converged:
        return StatisticsError(
            f"The fit of {model.family.name} to {what} did not converge: take another family, or merge bins."
        )
    return StatisticsError(
        f"{what} do not determine the {model.n_parameters} parameters of {model.family.name}: take fewer parameters, "
        "or a looser selection."
    )


def summed(counts: np.ndarray, exposure: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """All spectra as one, and its exposure; shapes (1, n_bins) and (n_bins,)."""
    total = counts.sum(axis=0, keepdims=True)
    if total.sum() <= 0:
        raise StatisticsError("There are no events to fit a background to.")
    if total.sum() < LEAST_EVENTS:
        raise StatisticsError(
            f"There are {total.sum():.3g} (effective) events in all, practically no events to fit a background to: no "
            "probability follows from less than one. Were the counts normalised, or the weights lost?"
        )
    if exposure is None:
        return total, np.full(total.shape[1], float(counts.shape[0]))
    return total, np.broadcast_to(exposure, counts.shape).sum(axis=0)


def in_blocks(n_spectra: int, size: int, fit: Callable[[np.ndarray], newton.Minimum]) -> newton.Minimum:
    """``fit`` on blocks of ``size`` spectra at most, given by their rows, and the results joined."""
    parts = [fit(rows) for rows in _blocks(n_spectra, max(size, 1))]
    if len(parts) == 1:
        return parts[0]
    joined = {
        name: np.concatenate([getattr(part, name) for part in parts], axis=-1)
        for name in ("state", "value", "factor", "converged", "determined", "bounded")
    }
    return replace(parts[0], iterations=max(part.iterations for part in parts), **joined)


def least_yield(background: np.ndarray, template: np.ndarray, peak: np.ndarray, *, deepest: float) -> np.ndarray:
    """The yield at which the share ``deepest`` of ``background`` is gone in some bin of the peak, per row."""
    share = np.where(peak, template, 0.0) / np.clip(background, 1e-300, 1e300)
    return -deepest / share.max(axis=-1)


def _blocks(n_rows: int, size: int) -> Iterator[np.ndarray]:
    for first in range(0, n_rows, size):
        yield np.arange(first, min(first + size, n_rows))
