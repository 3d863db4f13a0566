"""Distributions of the test statistics q̃ and q₀ from toys.

A toy is drawn from the model with its nuisance parameters at the values fitted to the data with the signal strength
held at the one tested (signal + background) or at 0 (background only): observations from Poisson distributions,
auxiliary data from their constraints. Every toy is fitted as the data are. q̃ is equation 16 and q₀ equation 12 of
Cowan, Cranmer, Gross, Vitells (arXiv:1007.1727); their asymptotic distributions are there, too.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr

from stats.errors import StatisticsError
from stats.inputs import check_generator, check_number
from stats.modelfits import ModelFits, process_pool

logger = logging.getLogger(__name__)

WORRYING = 1e-3  # rate of failed toys that is warned of
TIE = 1e-5  # relative: statistics closer than fits resolve count as equal, hence as at least as extreme
ROUGH = 1e-6  # −2 log L: a free fit this much above one with the strength held stopped short and is done again


@dataclass(frozen=True)
class StatisticToys:
    """q̃ of one signal strength, on the data and on toys.

    Attributes:
        mu: tested strength.
        observed: on the data.
        signal: on signal + background toys, shape (N,); +∞ where a fit failed: it counts as compatible with a signal.
        background: on background-only toys, shape (N,); −∞ where a fit failed: it does not help exclude a signal.
        asimov: on the background-only expectation: what the asymptotic distributions need.
    """

    mu: float
    observed: float
    signal: np.ndarray
    background: np.ndarray
    asimov: float

    @property
    def failed(self) -> int:
        """Toys without a fit."""
        return int(np.isinf(self.signal).sum() + np.isinf(self.background).sum())

    @property
    def p_values(self) -> tuple[float, float]:
        """Fractions of signal + background and of background-only toys with q̃ of at least the observed one."""
        least = tied(self.observed)
        return float((self.signal >= least).mean()), float((self.background >= least).mean())

    def asymptotic_tails(self, statistic: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """P(q̃ ≥ ``statistic``) with and without a signal (arXiv:1007.1727, equations 64 to 66); 1 at 0."""
        values = np.asarray(statistic, dtype=float)
        root, root_asimov = np.sqrt(np.maximum(values, 0.0)), np.sqrt(self.asimov)
        if root_asimov == 0.0:
            return np.where(values > 0, ndtr(-root), 1.0), np.where(values > 0, ndtr(-root), 1.0)
        shifted = np.where(root <= root_asimov, root, (values + self.asimov) / (2.0 * root_asimov))
        tails = ndtr(-shifted), ndtr(-(shifted - root_asimov))
        return np.where(values > 0, tails[0], 1.0), np.where(values > 0, tails[1], 1.0)


def tied(statistic: Any) -> Any:
    """The least value that counts as equal to ``statistic`` (number or array)."""
    return statistic - TIE * np.maximum(1.0, statistic)


def draw_toys(fits: ModelFits, point: np.ndarray, toys: int, rng: np.random.Generator) -> np.ndarray:
    """Observations and auxiliary data of ``toys`` experiments at the parameters ``point``, shape (toys, n_data).

    Raises:
        StatisticsError: where the model expects a negative number of events there.
    """
    expected = fits.expected(point)
    config = fits.model.config
    observations = expected[: config.nmaindata]
    if not np.all(np.isfinite(expected)) or (observations < 0).any():
        raise StatisticsError(
            f"The model expects {observations.min():g} events in a bin at its fit to the data: no toys can be drawn."
        )
    columns = [rng.poisson(observations, size=(toys, observations.size)).astype(float)]
    place = config.nmaindata
    for name in config.auxdata_order:
        parameters = config.param_set(name)
        means = expected[place : place + parameters.n_parameters]
        place += parameters.n_parameters
        if parameters.pdf_type == "normal":
            columns.append(rng.normal(means, np.asarray(parameters.width()), size=(toys, means.size)))
        elif parameters.pdf_type == "poisson":
            columns.append(rng.poisson(means, size=(toys, means.size)).astype(float))
        else:
            raise StatisticsError(f"The constraint of {name!r} is {parameters.pdf_type!r}: toys of it are unknown.")
    return np.concatenate(columns, axis=1)


class FittedToys:
    """Toys of one hypothesis, fitted freely once, and their test statistics at any strength.

    The fit with the strength held starts where the free one of the same toy ended, and the free one is done again from
    there should it be the worse: where a likelihood has two minima, both come from the same one.
    """

    def __init__(self, fits: ModelFits, data: np.ndarray, *, start: np.ndarray, pool: Any = None) -> None:
        self.fits, self.data, self.pool = fits, data, pool
        free = fits.fit_many(data, starts=start, pool=pool)
        self.points, self.values = free.points.copy(), free.values.copy()
        self.n_fits = data.shape[0]

    def q_tilde(self, mu: float) -> np.ndarray:
        """q̃ at ``mu`` of every toy, shape (N,); NaN where a fit failed."""
        return self._ratio(mu, self.points[:, self.fits.poi] < mu)

    def q_zero(self) -> np.ndarray:
        """q₀ of every toy, shape (N,), 0 for deficits; NaN where a fit failed."""
        return self._ratio(0.0, self.points[:, self.fits.poi] > 0.0)

    def _ratio(self, mu: float, needed: np.ndarray) -> np.ndarray:
        result = np.where(np.isnan(self.values), np.nan, 0.0)
        rows = np.flatnonzero(needed & ~np.isnan(self.values))
        held = self.fits.fit_many(self.data[rows], fixed={self.fits.poi: mu}, starts=self.points[rows], pool=self.pool)
        again = np.flatnonzero(held.values < self.values[rows] - ROUGH)
        better = self.fits.fit_many(self.data[rows[again]], starts=held.points[again], pool=self.pool)
        found = better.values < self.values[rows[again]]
        self.values[rows[again[found]]] = better.values[found]
        self.points[rows[again[found]]] = better.points[found]
        self.n_fits += rows.size + again.size
        result[rows] = np.maximum(held.values - self.values[rows], 0.0)
        return result


class Hypotheses:
    """A workspace's data with the fits that toys rest on.

    Attributes:
        best: best fit with the strength at least 0: point and −2 log L.
        none: the same without a signal.
        failed_fits: fits to the data that failed.
    """

    def __init__(self, fits: ModelFits, *, largest: float | None = None) -> None:
        lower, upper = fits.bounds[fits.poi]
        if lower > 0:
            raise StatisticsError(
                f"The parameter of interest is bounded from below at {lower:g}: without 0 there is no background-only "
                "hypothesis."
            )
        fits.bounds[fits.poi] = 0.0, max(upper, largest or 0.0)
        self.fits = fits
        none = fits.fit(fits.data, fixed={fits.poi: 0.0})
        best = fits.free_fit()
        if none is None:
            raise StatisticsError(
                "The model could not be fitted to the data: its background or bounds do not suit them."
            )
        self.none = none
        self.best = best if best[1] <= none[1] else none
        self.held: dict[float, tuple[np.ndarray, float]] = {0.0: none}

    @property
    def strength(self) -> float:
        """Fitted strength, at least 0."""
        return float(self.best[0][self.fits.poi])

    @property
    def q_zero(self) -> float:
        """q₀ of the data."""
        return max(self.none[1] - self.best[1], 0.0)

    def at(self, mu: float) -> tuple[np.ndarray, float]:
        """The fit to the data with the strength held at ``mu``.

        Raises:
            StatisticsError: if it fails.
        """
        if mu not in self.held:
            found = self.fits.fit(self.fits.data, fixed={self.fits.poi: mu}, start=self.best[0])
            if found is None:
                raise StatisticsError(f"The fit to the data with the signal strength held at {mu:g} failed.")
            self.held[mu] = found
        return self.held[mu]

    def q_tilde(self, mu: float) -> float:
        """q̃ of the data at ``mu``."""
        return max(self.at(mu)[1] - self.best[1], 0.0) if mu > self.strength else 0.0

    def asimov_q(self, mu: float) -> float:
        """q̃ at ``mu`` of the background-only expectation."""
        expected = self.fits.expected(self.none[0])
        free = self.fits.fit(expected, fixed={self.fits.poi: 0.0}, start=self.none[0])
        held = self.fits.fit(expected, fixed={self.fits.poi: mu}, start=self.none[0])
        return max(held[1] - free[1], 0.0) if held is not None and free is not None else float("nan")


def statistic_toys(
    workspace: Mapping[str, Any], mu: float, *, toys: int, rng: np.random.Generator, workers: int = 1
) -> StatisticToys:
    """q̃ at the strength ``mu`` on the data of a workspace and on ``toys`` toys with and as many without a signal.

    Args:
        rng: the same state gives the same result, whatever ``workers`` (processes).

    Raises:
        StatisticsError: when the model cannot be fitted to the data.
    """
    check_toys(toys, rng)
    if not np.isfinite(mu) or mu <= 0:
        raise StatisticsError(f"The tested signal strength must be positive and finite, got {mu}.")
    with process_pool(workspace, workers) as pool:
        fits = ModelFits(workspace)
        hypotheses = Hypotheses(fits, largest=10.0 * mu)
        point, none = hypotheses.at(mu)[0], hypotheses.none[0]
        rng_signal, rng_background = rng.spawn(2)
        signal = FittedToys(fits, draw_toys(fits, point, toys, rng_signal), start=point, pool=pool)
        background = FittedToys(fits, draw_toys(fits, none, toys, rng_background), start=none, pool=pool)
        return StatisticToys(
            mu=float(mu),
            observed=hypotheses.q_tilde(mu),
            signal=np.nan_to_num(signal.q_tilde(mu), nan=np.inf),
            background=np.nan_to_num(background.q_tilde(mu), nan=-np.inf),
            asimov=hypotheses.asimov_q(mu),
        )


def check_toys(toys: int, rng: np.random.Generator) -> None:
    """Refuse numbers of toys and random numbers that are none."""
    check_number(toys, "toys", least=1)
    check_generator(rng)


def warn_of_failures(failed: int, toys: int) -> None:
    """Say so where toys without a fit are too many to be harmless."""
    if failed > WORRYING * toys:
        share = 100.0 * failed / toys
        logger.warning("%d of %d toys (%.2g%%) have no fit; they count against a result", failed, toys, share)


def known(value: float) -> float | None:
    """A number for JSON, None where it is not finite."""
    return float(value) if np.isfinite(value) else None
