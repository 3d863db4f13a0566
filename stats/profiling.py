"""What a fit of a pyhf workspace says about its nuisance parameters, and they about the signal: pulls and impacts.

The signal strength may be negative here, down to where nine tenths of the background of some bin with a signal would
be gone (the background before the fit or after the one without a signal, whichever leaves more room), so that a
deficit has the same pulls, errors and impacts as an excess. Errors are from the Hessian of −log L at the minimum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from stats.errors import StatisticsError
from stats.modelfits import ModelFits

LEAST_BACKGROUND = 0.1  # share of the background of every bin that a negative signal leaves
EDGE = 1e-6  # of the allowed range: closer to its bound a parameter counts as at the bound


@dataclass(frozen=True)
class Nuisance:
    """One parameter other than the signal strength after a fit.

    Attributes:
        name: pyhf's.
        nominal, prefit_error: θ₀ and σ₀ of the constraint; None for a free parameter.
        value, error: after the fit; the error is None for a parameter at its bound.
        at_bound: whether the fit ended at one of its bounds.
    """

    name: str
    nominal: float | None
    prefit_error: float | None
    value: float
    error: float | None
    at_bound: bool = False

    @property
    def pull(self) -> float | None:
        """(θ̂ − θ₀)/σ₀, None for a free parameter."""
        if self.nominal is None or self.prefit_error is None:
            return None
        return (self.value - self.nominal) / self.prefit_error

    @property
    def constraint(self) -> float | None:
        """Error after the fit over σ₀: 1 where the data add nothing; None where either is not known."""
        return None if self.error is None or self.prefit_error is None else self.error / self.prefit_error

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "name": self.name,
            "nominal": self.nominal,
            "prefit_error": self.prefit_error,
            "value": self.value,
            "error": self.error,
            "pull": self.pull,
            "constraint": self.constraint,
            "at_bound": self.at_bound,
        }


@dataclass(frozen=True)
class PostFit:
    """One fit with errors.

    Attributes:
        strength, strength_error: signal strength; the error is None where it was held or is at its bound.
        nuisances: every other parameter that is not fixed, in pyhf's order.
        names, correlation: of the parameters that were fitted and are not at a bound, shape (n, n).
        covariance: of the same.
        twice_nll: −2 log L at the minimum, with pyhf's constants.
    """

    strength: float
    strength_error: float | None
    nuisances: tuple[Nuisance, ...]
    names: tuple[str, ...]
    correlation: np.ndarray
    covariance: np.ndarray
    twice_nll: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "strength": self.strength,
            "strength_error": self.strength_error,
            "nuisances": [nuisance.to_dict() for nuisance in self.nuisances],
            "correlation": {"names": list(self.names), "matrix": self.correlation.tolist()},
            "twice_nll": self.twice_nll,
        }


@dataclass(frozen=True)
class Pulls:
    """The best fit and the one without a signal."""

    best: PostFit
    background: PostFit

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"best_fit": self.best.to_dict(), "background_only": self.background.to_dict()}


def pulls(workspace: Mapping[str, Any], *, signed: bool = True) -> Pulls:
    """Nuisance parameters after the best fit and after the fit without a signal.

    Args:
        signed: whether the strength may be negative; otherwise the workspace's bounds hold.

    Raises:
        StatisticsError: when a fit fails or its Hessian is not positive.
    """
    fits = open_fits(workspace, signed=signed)
    with fits.session():
        return Pulls(best=post_fit(fits), background=post_fit(fits, fixed={fits.poi: 0.0}))


def open_fits(workspace: Mapping[str, Any], *, signed: bool) -> ModelFits:
    """The workspace's fits with bounds of the strength that hold its best fit, on either side if ``signed``."""
    fits = ModelFits(workspace)
    if signed:
        fits.bounds[fits.poi, 0] = min(fits.bounds[fits.poi, 0], _least_strength(fits))
    fits.free_fit()
    return fits


def _least_strength(fits: ModelFits) -> float:
    """The strength, at most 0, that takes nine tenths of the background of some bin with a signal.

    Of the backgrounds before the fit and after the one without a signal, the one that leaves more room.
    """
    lower, upper = fits.bounds[fits.poi]
    none = fits.fit(fits.data, fixed={fits.poi: min(max(0.0, lower), upper)})
    if none is None:
        raise StatisticsError("The model could not be fitted to the data without a signal.")
    return min(0.0, *(_emptying_strength(fits, point) for point in (none[0], fits.initial)))


def _emptying_strength(fits: ModelFits, point: np.ndarray) -> float:
    n_bins = fits.model.config.nmaindata
    without, one = point.copy(), point.copy()
    without[fits.poi], one[fits.poi] = 0.0, 1.0
    background = fits.expected(without)[:n_bins]
    signal = fits.expected(one)[:n_bins] - background
    filled = signal > 1e-9 * np.abs(signal).max(initial=0.0)
    if not filled.any():
        raise StatisticsError("No bin of the workspace expects a signal.")
    return -(1.0 - LEAST_BACKGROUND) * float((background[filled] / signal[filled]).min())


def post_fit(fits: ModelFits, *, fixed: Mapping[int, float] | None = None) -> PostFit:
    """Fit with the parameters ``fixed`` (index → value) held, and take errors from the Hessian.

    Raises:
        StatisticsError: when the fit fails or its Hessian is not positive.
    """
    found = fits.fit(fits.data, fixed=fixed)
    if found is None:
        raise StatisticsError(f"The fit with {_held_names(fits, fixed)} held failed.")
    point, value = found
    held = {**fits.held, **(fixed or {})}
    edge = np.minimum(point - fits.bounds[:, 0], fits.bounds[:, 1] - point) <= EDGE * np.ptp(fits.bounds, axis=1)
    free = np.array([k for k in range(point.size) if k not in held and not edge[k]], dtype=int)
    covariance = _covariance(fits, point, free)
    errors = dict(zip(free.tolist(), np.sqrt(np.diag(covariance)).tolist(), strict=True))
    nominal, widths = constraints(fits)
    nuisances = tuple(
        Nuisance(
            name=fits.names[k],
            nominal=_known(nominal[k]),
            prefit_error=_known(widths[k]),
            value=float(point[k]),
            error=errors.get(k),
            at_bound=bool(edge[k]),
        )
        for k in range(point.size)
        if k != fits.poi and k not in held
    )
    scale = np.sqrt(np.diag(covariance))
    return PostFit(
        strength=float(point[fits.poi]),
        strength_error=errors.get(fits.poi),
        nuisances=nuisances,
        names=tuple(fits.names[k] for k in free),
        correlation=covariance / np.outer(scale, scale),
        covariance=covariance,
        twice_nll=value,
    )


def constraints(fits: ModelFits) -> tuple[np.ndarray, np.ndarray]:
    """θ₀ and σ₀ of every parameter's constraint, NaN for free ones, each of shape (n_parameters,).

    θ₀ is the auxiliary measurement in units of the parameter; σ₀ of a Poisson constraint is 1/√(events).
    """
    config = fits.model.config
    nominal, widths = np.full(fits.initial.size, np.nan), np.full(fits.initial.size, np.nan)
    measured = fits.data[config.nmaindata :]
    for name in config.auxdata_order:
        parameters, place = config.param_set(name), config.par_slice(name)
        number = parameters.n_parameters
        scale = np.asarray(parameters.factors) if parameters.pdf_type == "poisson" else np.ones(number)
        nominal[place] = measured[:number] / np.where(scale > 0, scale, np.nan)
        widths[place] = parameters.width()
        measured = measured[number:]
    return nominal, widths


def _covariance(fits: ModelFits, point: np.ndarray, free: np.ndarray) -> np.ndarray:
    hessian = fits.hessian(point, free)
    if not free.size:
        return hessian
    scale = 1.0 / np.sqrt(np.maximum(np.diag(hessian), 1e-300))
    scaled = hessian * np.outer(scale, scale)
    if not np.all(np.isfinite(scaled)) or np.linalg.eigvalsh(scaled)[0] < 1e-10:
        flat = [fits.names[k] for k in free[np.diag(hessian) <= 1e-12]] or [fits.names[k] for k in free]
        raise StatisticsError(
            f"The likelihood is flat or not at a minimum in {', '.join(flat[:5])}: the data and the constraints do not "
            "determine all parameters, and they have no errors."
        )
    inverse = np.linalg.inv(scaled)
    return 0.5 * (inverse + inverse.T) * np.outer(scale, scale)


def _held_names(fits: ModelFits, fixed: Mapping[int, float] | None) -> str:
    return ", ".join(f"{fits.names[k]} = {value:g}" for k, value in (fixed or {}).items()) or "nothing"


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
