"""Signal efficiencies, and with them cross sections of numbers of selected events.

A selection that does not depend on the signal has one efficiency per mass (``Efficiency``). A detector trained on the
data it searches selects more signal when there is more: its efficiency is a function of the injected cross section
(``InjectedEfficiency``), and S(σ) = σ L ε(σ) selected events have to be solved for σ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stats.errors import StatisticsError
from stats.systematics import Normalisation


@dataclass(frozen=True)
class Efficiency:
    """Fraction of the produced signal events that a selection keeps inside the spectrum.

    Attributes:
        values: efficiencies, one, or one per mass.
        errors: their standard deviations, shape of ``values``.
        masses: GeV, rising; None for one efficiency at all masses.

    Raises:
        StatisticsError: for efficiencies outside (0, 1], negative errors and masses that do not rise.
    """

    values: Sequence[float]
    errors: Sequence[float]
    masses: Sequence[float] | None = None

    def __post_init__(self) -> None:
        values, _ = _check(self.values, self.errors)
        if self.masses is None and values.size != 1:
            raise StatisticsError(f"{values.size} efficiencies without masses: give one, or the mass of each.")
        if self.masses is not None:
            _check_rising("masses", self.masses, values.size)

    @classmethod
    def constant(cls, value: float, error: float = 0.0) -> Efficiency:
        """The same at every mass."""
        return cls((value,), (error,))

    def at(self, mass: float) -> tuple[float, float]:
        """Efficiency and error at ``mass`` (GeV), linear between the given masses; outside them is an error."""
        if self.masses is None:
            return float(self.values[0]), float(self.errors[0])
        if not self.masses[0] <= mass <= self.masses[-1]:
            raise StatisticsError(
                f"The efficiency is known from {self.masses[0]:g} to {self.masses[-1]:g} GeV, not at {mass:g} GeV."
            )
        return tuple(float(np.interp(mass, self.masses, numbers)) for numbers in (self.values, self.errors))  # type: ignore[return-value]

    def systematic(self, mass: float, name: str = "signal_efficiency") -> Normalisation | None:
        """The uncertainty as a nuisance parameter of a workspace; None where there is none."""
        value, error = self.at(mass)
        return Normalisation.relative(name, error / value) if error > 0 else None


@dataclass(frozen=True)
class CrossSection:
    """The cross section that a number of selected events means.

    Attributes:
        value: fb; NaN unless ``status`` is "inside".
        low, high: with the efficiency one standard deviation up and down, fb; NaN where outside the tested range.
        status: "inside"; "below" or "above" where the answer lies outside the range in which the efficiency was
            measured, [``tested[0]``, ``tested[1]``], and nothing is extrapolated; "unknown" where the number of events
            is (``cross_sections``).
        ambiguous: whether several cross sections give as many events; ``value`` is the largest of them.
        tested: fb.
    """

    value: float
    low: float
    high: float
    status: str
    ambiguous: bool
    tested: tuple[float, float]


@dataclass(frozen=True)
class InjectedEfficiency:
    """Efficiency as a function of the injected signal, linear between the points.

    Attributes:
        injected: cross sections in fb, rising, none negative.
        values, errors: efficiency and its standard deviation at each, inside the spectrum as for ``Efficiency``.

    Raises:
        StatisticsError: for fewer than two points, or efficiencies outside [0, 1].
    """

    injected: Sequence[float]
    values: Sequence[float]
    errors: Sequence[float]

    def __post_init__(self) -> None:
        values, _ = _check(self.values, self.errors, zero=True)
        _check_rising("injected cross sections", self.injected, values.size)
        if values.size < 2 or self.injected[0] < 0:
            raise StatisticsError(
                f"An efficiency that depends on the signal needs two points or more, from 0 fb up; got {self.injected}."
            )

    @classmethod
    def from_events(
        cls, events: Sequence[float], values: Sequence[float], errors: Sequence[float], *, luminosity: float
    ) -> InjectedEfficiency:
        """From numbers of produced signal events in data of ``luminosity`` (fb⁻¹)."""
        check_luminosity(luminosity)
        return cls(tuple(float(n) / luminosity for n in events), values, errors)

    def at(self, cross_section: float) -> tuple[float, float]:
        """Efficiency and error at ``cross_section`` (fb); outside the tested range is an error."""
        if not self.injected[0] <= cross_section <= self.injected[-1]:
            raise StatisticsError(
                f"The efficiency was measured from {self.injected[0]:g} to {self.injected[-1]:g} fb, "
                f"not at {cross_section:g} fb: inject that much."
            )
        return tuple(float(np.interp(cross_section, self.injected, n)) for n in (self.values, self.errors))  # type: ignore[return-value]

    def relative_error(self, cross_section: float) -> float:
        """Standard deviation of the efficiency at ``cross_section`` (fb), over the efficiency: a ``Normalisation``.

        Raises:
            StatisticsError: outside the tested range, and where nothing is selected.
        """
        value, error = self.at(cross_section)
        if value == 0:
            raise StatisticsError(f"Nothing is selected of {cross_section:g} fb: the efficiency has no relative error.")
        return error / value

    def neighbours(self, cross_section: float) -> tuple[tuple[float, float], tuple[float, float]]:
        """The tested points (fb, efficiency) on either side of ``cross_section`` (fb)."""
        self.at(cross_section)
        last = len(self.injected) - 2
        below = min(int(np.searchsorted(self.injected, cross_section, side="right")) - 1, last)
        low, high = ((float(self.injected[k]), float(self.values[k])) for k in (below, below + 1))
        return low, high

    def cross_section(self, events: float, *, luminosity: float) -> CrossSection:
        """The largest tested σ with σ L ε(σ) = ``events``: every larger tested one selects more.

        Args:
            events: selected events, at least 0.
            luminosity: fb⁻¹.
        """
        check_luminosity(luminosity)
        if not (np.isfinite(events) and events >= 0):
            raise StatisticsError(f"A number of selected events is 0 or more, got {events}.")
        produced = events / luminosity
        values, errors = np.asarray(self.values, dtype=float), np.asarray(self.errors, dtype=float)
        solutions, status = self._solve(values, produced)
        up, down = (self._solve(np.clip(values + sign * errors, 0.0, 1.0), produced) for sign in (1, -1))
        return CrossSection(
            value=max(solutions, default=np.nan) if status == "inside" else np.nan,
            low=max(up[0], default=np.nan) if up[1] == "inside" else np.nan,
            high=max(down[0], default=np.nan) if down[1] == "inside" else np.nan,
            status=status,
            ambiguous=len(solutions) > 1,
            tested=(float(self.injected[0]), float(self.injected[-1])),
        )

    def _solve(self, values: np.ndarray, produced: float) -> tuple[list[float], str]:
        """Every σ with σ ε(σ) = ``produced``, and where the largest lies: S is a parabola between two points."""
        injected = np.asarray(self.injected, dtype=float)
        seen = injected * values
        solutions: set[float] = set()
        for left, right, first, second in zip(injected, injected[1:], values, values[1:], strict=False):
            slope = (second - first) / (right - left)
            roots = np.roots([slope, first - slope * left, -produced] if slope else [first, -produced])
            real = roots[np.abs(roots.imag) < 1e-9 * right].real
            reach = 1e-9 * right
            solutions |= {float(np.clip(x, left, right)) for x in real if left - reach <= x <= right + reach}
        merged = [x for x in sorted(solutions) if not any(0 < x - other < 1e-6 * injected[-1] for other in solutions)]
        if seen[-1] < produced * (1.0 - 1e-9) or seen[-1] == 0:  # nothing of the last point: nor of larger ones
            return merged, "above"
        return (merged, "inside") if merged else ([], "below")


def check_luminosity(luminosity: float) -> None:
    """Refuse a luminosity (fb⁻¹) that is not positive."""
    if not (np.isfinite(luminosity) and luminosity > 0):
        raise StatisticsError(f"A cross section needs a positive luminosity in fb⁻¹, got {luminosity}.")


def _check(values: Any, errors: Any, *, zero: bool = False) -> tuple[np.ndarray, np.ndarray]:
    values, errors = np.asarray(values, dtype=float), np.asarray(errors, dtype=float)
    fine = np.isfinite(values).all() and values.max(initial=0.0) <= 1 and values.size and values.shape == errors.shape
    if not fine or (values < 0).any() or (not zero and (values == 0).any()):
        raise StatisticsError(f"Efficiencies lie between 0 and 1, each with its error; got {values} ± {errors}.")
    if not np.isfinite(errors).all() or (errors < 0).any():
        raise StatisticsError(f"The errors of an efficiency are finite and not negative, got {errors}.")
    return values, errors


def _check_rising(what: str, numbers: Sequence[float], size: int) -> None:
    found = np.asarray(numbers, dtype=float)
    if found.shape != (size,) or not np.isfinite(found).all() or (np.diff(found) <= 0).any():
        raise StatisticsError(f"The {what} must rise, one per efficiency; got {list(numbers)} for {size} efficiencies.")
