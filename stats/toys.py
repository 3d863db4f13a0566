"""CLs limits of pyhf workspaces from toys, where asymptotic formulas are not to be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr

from stats.errors import StatisticsError
from stats.limits import SELECTED, UpperLimit, upper_limit
from stats.modelfits import ModelFits, process_pool
from stats.teststatistics import FittedToys, Hypotheses, check_toys, draw_toys, known, warn_of_failures
from stats.toycurves import RankedToys, bootstrap_errors, bracket, crossing

AROUND = (0.85, 1.0, 1.18)  # strengths tried, in units of each asymptotic limit
CLOSEST = 1.07  # ratio of neighbouring strengths below which one of them is left out
WIDEST = 1.35  # ratio of the strengths around a limit above which one more is tried between them
ROUNDS = 12
REACH = 40.0  # times the largest asymptotic limit: beyond, the search is given up
REPLICAS = 100
NAMES = ("observed", "expected −2σ", "expected −1σ", "median expected", "expected +1σ", "expected +2σ")


@dataclass(frozen=True, repr=False)
class ToyLimit:
    """A CLs upper limit from toys.

    Attributes:
        observed, observed_error: limit in ``unit`` and its statistical error (bootstrap of the toys); NaN where the
            toys do not tell, which ``notes`` explain.
        expected, expected_errors: at −2, −1, 0, 1, 2 standard deviations of the background-only outcome, likewise;
            None if not asked for.
        scan: (mu, observed CLs, its error, five expected CLs) of every tested strength, rising in mu.
        level: CLs at the limit.
        best_fit: strength that fits the data best, at least 0.
        toys: per strength with a signal, and in all without.
        n_toys: toys fitted in all.
        failed: toys without a fit among them. With a signal they count as compatible with it, without as excluding
            nothing: both make the limit weaker.
        fits: fits to toys.
        asymptotic: the asymptotic limit, where the strengths were chosen around it.
        unit: of the limits, ``best_fit`` and the scan.
        notes: which limits are not known, and why.
    """

    observed: float
    observed_error: float
    expected: tuple[float, ...] | None
    expected_errors: tuple[float, ...] | None
    scan: tuple[tuple[float, float, float, tuple[float, ...]], ...]
    level: float
    best_fit: float
    toys: int
    n_toys: int
    failed: int
    fits: int
    asymptotic: UpperLimit | None = None
    unit: str = SELECTED
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """The limit with its error and what was expected, in one line."""
        expected = (
            "" if self.expected is None else ", {1:.4g} expected ({0:.4g} to {2:.4g})".format(*self.expected[1:4])
        )
        return (
            f"ToyLimit: {self.observed:.4g} ± {self.observed_error:.2g} {self.unit} observed{expected}, "
            f"{100 * (1 - self.level):.3g}% CLs from {self.n_toys} toys, {self.failed} of them failed"
        )

    @property
    def failure_rate(self) -> float:
        """Share of toys without a fit."""
        return self.failed / self.n_toys

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; limits and errors that are unknown are None."""
        asymptotic = self.asymptotic
        return {
            "method": "toys",
            "unit": self.unit,
            "observed": known(self.observed),
            "observed_error": known(self.observed_error),
            "expected": None if self.expected is None else [known(limit) for limit in self.expected],
            "expected_errors": None if self.expected_errors is None else [known(e) for e in self.expected_errors],
            "scan": [[mu, cls, error] for mu, cls, error, _ in self.scan],
            "scan_expected": [[mu, list(expected)] for mu, _, _, expected in self.scan],
            "level": self.level,
            "best_fit": self.best_fit,
            "toys": self.toys,
            "n_toys": self.n_toys,
            "failed": self.failed,
            "failure_rate": self.failure_rate,
            "fits": self.fits,
            "asymptotic_observed": None if asymptotic is None else asymptotic.observed,
            "asymptotic_expected": None if asymptotic is None else list(asymptotic.expected),
            "notes": list(self.notes),
        }


def toy_limit(
    workspace: Mapping[str, Any],
    *,
    level: float = 0.05,
    toys: int,
    rng: np.random.Generator,
    strengths: Sequence[float] | None = None,
    expected: bool = True,
    workers: int = 1,
    unit: str = SELECTED,
) -> ToyLimit:
    """Observed and expected CLs upper limits from toys of q̃ (arXiv:1007.1727, equation 16).

    At each strength ``toys`` toys with a signal are drawn at the nuisances fitted to the data there, auxiliary data
    included; ``toys`` toys without a signal, at those fitted with no signal, serve all strengths. Limits are
    interpolated linearly in log CLs. A statistic counts as reached within the precision of the fits, so that discrete
    outcomes of few events tie.

    Args:
        rng: the same state gives the same result, whatever ``workers``.
        strengths: to test; by default around the asymptotic limits, more being added until each limit lies between
            two strengths no further apart than 35%. A limit between given strengths that are further apart, or of which
            the upper one has no toy in the tail, is not known.
        expected: also the five expected limits, which need more strengths.
        workers: processes.
        unit: of the parameter of interest, as ``events`` made it: "selected events" or "fb".

    Raises:
        StatisticsError: when the model cannot be fitted to the data, or no limit at all is known.
    """
    check_toys(toys, rng)
    if not 0 < level < 1:
        raise StatisticsError(f"CLs at the limit lies between 0 and 1, got {level}.")
    least = int(np.ceil(1.0 / (level * ndtr(-2.0)))) if expected else int(np.ceil(1.0 / level))
    if toys < least:
        raise StatisticsError(
            f"{toys} toys cannot show a CLs of {level}{' at −2 standard deviations' if expected else ''}: take {least} "
            f"at the very least, better ten times as many{', or expected=False' if expected else ''}."
        )
    given = None if strengths is None else _checked(strengths)
    asymptotic = upper_limit(workspace, level=level) if given is None else None
    with process_pool(workspace, workers) as pool:
        search = _Search(workspace, given, asymptotic, level=level, toys=toys, rng=rng, expected=expected, pool=pool)
        if given is None:
            search.close_in()
        return search.result(unit)


class _Search:
    """The strengths tested so far, their toys, and where to test next."""

    def __init__(
        self,
        workspace: Mapping[str, Any],
        given: list[float] | None,
        asymptotic: UpperLimit | None,
        *,
        level: float,
        toys: int,
        rng: np.random.Generator,
        expected: bool,
        pool: Any,
    ) -> None:
        self.level, self.toys, self.rng, self.pool, self.asymptotic = level, toys, rng, pool, asymptotic
        self.curves = range(6) if expected else range(1)
        self.given = given is not None
        first = _around(asymptotic, expected) if given is None and asymptotic is not None else given or []
        self.largest = REACH * first[-1] if given is None else first[-1]
        self.fits = ModelFits(workspace)
        self.hypotheses = Hypotheses(self.fits, largest=2.0 * self.largest)
        none = self.hypotheses.none[0]
        data = draw_toys(self.fits, none, toys, rng.spawn(1)[0])
        self.background = FittedToys(self.fits, data, start=none, pool=pool)
        self.ranked: list[RankedToys] = []
        self.n_fits, self.failed_signal = 0, 0
        self.failed_background = np.zeros(toys, dtype=bool)
        for mu in first:
            self.test(mu)

    def test(self, mu: float) -> None:
        """Draw and fit the toys of one strength."""
        point = self.hypotheses.at(mu)[0]
        data = draw_toys(self.fits, point, self.toys, self.rng.spawn(1)[0])
        fitted = FittedToys(self.fits, data, start=point, pool=self.pool)
        signal, background = fitted.q_tilde(mu), self.background.q_tilde(mu)
        self.n_fits += fitted.n_fits
        self.failed_signal += int(np.isnan(signal).sum())
        self.failed_background |= np.isnan(background)
        signal, background = np.nan_to_num(signal, nan=np.inf), np.nan_to_num(background, nan=-np.inf)
        self.ranked.append(RankedToys(mu, self.hypotheses.q_tilde(mu), signal, background))
        self.ranked.sort(key=lambda toys: toys.mu)

    def close_in(self) -> None:
        """Test more strengths until every limit lies between two that are close."""
        for _ in range(ROUNDS):
            wanted = [mu for curve in self.curves if (mu := self._next(curve)) is not None]
            if not wanted:
                return
            for mu in _thinned(wanted):
                self.test(mu)

    def _next(self, curve: int) -> float | None:
        strengths, values = self._curve(curve)
        places = bracket(strengths, values, self.level)
        if places is None:
            given_up = strengths[-1] >= self.largest or self.ranked[-1].exhausted(curve)
            return None if given_up else min(1.4 * strengths[-1], self.largest)
        high = strengths[places[1]]
        low = strengths[places[0]] if places[0] >= 0 else 0.0
        if high <= WIDEST * low:
            return None
        return float(
            np.clip(crossing(strengths, values, self.level), low + 0.2 * (high - low), high - 0.2 * (high - low))
        )

    def _curve(self, curve: int) -> tuple[np.ndarray, np.ndarray]:
        return np.array([t.mu for t in self.ranked]), np.array([t.curve()[curve] for t in self.ranked])

    def _unknown(self, curve: int) -> str | None:
        """Why the toys do not tell this limit, or None."""
        strengths, values = self._curve(curve)
        places = bracket(strengths, values, self.level)
        highest = self.ranked[-1]
        if places is None and highest.unexpected(curve):
            return (
                f"none of {self.toys} toys without a signal is as extreme as the data, so that CLs is not known at any "
                "strength: the data lie far below the expected background"
            )
        if places is None and highest.exhausted(curve):
            return f"none of {self.toys} toys with a signal of {highest.mu:g} is as extreme: take more toys"
        if places is None:
            return f"CLs stays above {self.level:g} up to a strength of {highest.mu:g}: test larger ones"
        low, high = strengths[places[0]] if places[0] >= 0 else 0.0, strengths[places[1]]
        if high > WIDEST * low:
            return (
                f"it lies between {low:g} and {high:g}, which is too wide to interpolate: test strengths between them"
            )
        if self.given and self.ranked[places[1]].exhausted(curve):
            return (
                f"none of {self.toys} toys with a signal of {high:g} is as extreme: test strengths closer to {low:g} "
                "or take more toys"
            )
        return None

    def result(self, unit: str) -> ToyLimit:
        """The limits, their errors and the scan.

        Raises:
            StatisticsError: if no limit is known.
        """
        reasons = {curve: reason for curve in self.curves if (reason := self._unknown(curve)) is not None}
        notes = tuple(f"No {NAMES[curve]} limit: {reason}." for curve, reason in reasons.items())
        if len(reasons) == len(self.curves):
            raise StatisticsError(
                f"{' '.join(dict.fromkeys(notes))} ({self.failed_signal} toys with a signal and "
                f"{int(self.failed_background.sum())} without have no fit.)"
            )
        limits = [np.nan if curve in reasons else crossing(*self._curve(curve), self.level) for curve in self.curves]
        errors, _ = bootstrap_errors(self.ranked, self.level, rng=self.rng.spawn(1)[0], replicas=REPLICAS)
        errors[list(reasons)] = np.nan
        points = [toys.point() for toys in self.ranked]
        failed = self.failed_signal + int(self.failed_background.sum())
        n_toys = self.toys * (len(points) + 1)
        warn_of_failures(failed, n_toys)
        everything = len(limits) == 6
        return ToyLimit(
            observed=limits[0],
            observed_error=float(errors[0]),
            expected=tuple(limits[1:]) if everything else None,
            expected_errors=tuple(errors[1:].tolist()) if everything else None,
            scan=tuple((p.mu, float(p.values[0]), float(p.errors[0]), tuple(p.values[1:].tolist())) for p in points),
            level=self.level,
            best_fit=self.hypotheses.strength,
            toys=self.toys,
            n_toys=n_toys,
            failed=failed,
            fits=self.n_fits + self.background.n_fits,
            asymptotic=self.asymptotic,
            unit=unit,
            notes=notes,
        )


def _around(limit: UpperLimit, expected: bool) -> list[float]:
    limits = [limit.observed, *limit.expected] if expected else [limit.observed]
    return _thinned([share * value for value in limits for share in AROUND])


def _thinned(strengths: Sequence[float]) -> list[float]:
    kept: list[float] = []
    for mu in sorted(strengths):
        if not kept or mu > CLOSEST * kept[-1]:
            kept.append(float(mu))
    return kept


def _checked(strengths: Sequence[float]) -> list[float]:
    values = np.asarray(strengths, dtype=float)
    if values.ndim != 1 or not values.size or not np.all(np.isfinite(values)) or (values <= 0).any():
        raise StatisticsError(f"The strengths of a toy limit must be positive and finite, got {strengths!r}.")
    return sorted(set(values.tolist()))
