"""Signal shapes from simulation at a few masses, interpolated between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stats.errors import StatisticsError
from stats.signals.base import check_edges, check_inside

BACKDROP = 1e-9  # share of a template spread flat over its bins: makes the cumulative rise everywhere, hence invertible
CORE = (0.15865525393145707, 0.8413447460685429)  # quantiles at ∓1 standard deviation of a Gaussian


class TemplateShape:
    """A shape simulated at several masses, moved between them.

    Between two masses the quantiles of the two templates are interpolated linearly in the mass: rank u sits at
    (1 − a) x₁(u) + a x₂(u) (A. L. Read, Nucl. Instrum. Meth. A 425 (1999) 357, section 2). The result is a
    histogram again, normalised by construction, whose mean moves linearly; adding the templates bin by bin would give
    two peaks. The fraction of events inside the template's bins is interpolated linearly as well.

    Args:
        masses: simulated masses in GeV, rising; with one alone the shape exists at that mass only.
        templates: events (or sums of weights) per bin, shape (n_masses, n_bins), none negative.
        edges: of the templates' bins in GeV, shape (n_bins + 1,); they need not be those of the spectrum, but should
            reach beyond it and be as fine as the peak's features: inside a bin events are spread evenly.
        produced: events simulated (sum of weights) at each mass, shape (n_masses,); what is missing in the template is
            lost to the spectrum, too. By default nothing is.

    Raises:
        StatisticsError: for shapes that do not fit, negative or empty templates, NaN.
    """

    def __init__(
        self,
        masses: Sequence[float] | np.ndarray,
        templates: Sequence[Any] | np.ndarray,
        *,
        edges: np.ndarray,
        produced: Sequence[float] | np.ndarray | None = None,
    ) -> None:
        self.masses, self.edges = np.array(masses, dtype=float), check_edges(edges)
        events = np.array(templates, dtype=float)
        _check(self.masses, events, self.edges)
        totals = events.sum(axis=1)
        made = totals if produced is None else np.array(produced, dtype=float)
        if made.shape != totals.shape or not np.all(np.isfinite(made)) or (totals > made * (1 + 1e-9)).any():
            raise StatisticsError(
                "produced must hold one number per simulated mass, none below the events in its template, "
                f"got {produced!r}."
            )
        self.accepted = totals / made
        flat = np.diff(self.edges) / (self.edges[-1] - self.edges[0])
        shares = (1.0 - BACKDROP) * events / totals[:, None] + BACKDROP * flat
        self._cumulative = np.concatenate([np.zeros((self.masses.size, 1)), np.cumsum(shares, axis=1)], axis=1)
        self._cumulative /= self._cumulative[:, -1:]

    @classmethod
    def from_samples(
        cls,
        samples: Mapping[float, np.ndarray],
        *,
        edges: np.ndarray,
        weights: Mapping[float, np.ndarray] | None = None,
    ) -> TemplateShape:
        """From simulated events.

        Args:
            samples: by resonance mass (GeV), the reconstructed mass of each event in GeV, shape (n_events,).
            edges: of the templates' bins in GeV; events outside count as produced but lost.
            weights: by resonance mass, one per event.
        """
        masses = sorted(samples)
        templates, produced = [], []
        for mass in masses:
            values = np.asarray(samples[mass], dtype=float)
            weight = np.ones(values.size) if weights is None else np.asarray(weights[mass], dtype=float)
            if weight.shape != values.shape or not (np.all(np.isfinite(values)) and np.all(np.isfinite(weight))):
                raise StatisticsError(f"The sample at {mass:g} GeV needs finite masses and one finite weight for each.")
            templates.append(np.histogram(values, check_edges(edges), weights=weight)[0])
            produced.append(float(weight.sum()))
        return cls(masses, templates, edges=edges, produced=produced)

    def template(self, edges: np.ndarray, mass: float) -> np.ndarray:
        """Events per bin for one produced, shape (n_bins,).

        Raises:
            StatisticsError: for a mass (GeV) outside the spectrum or beyond the simulated ones.
        """
        edges = check_edges(edges)
        check_inside(edges, mass)
        ranks, places = self._quantiles(mass)
        fraction = float(np.interp(mass, self.masses, self.accepted))
        return fraction * np.diff(np.interp(edges, places, ranks, left=0.0, right=1.0))

    def width(self, mass: float) -> float:
        """Half the distance in GeV of the quantiles that hold the central 68.3% of a template."""
        ranks, places = self._quantiles(mass)
        low, high = np.interp(CORE, ranks, places)
        return float(0.5 * (high - low))

    def describe(self) -> str:
        """In words."""
        if self.masses.size == 1:
            return f"simulation at {self.masses[0]:g} GeV"
        return (
            f"simulation at {self.masses.size} masses from {self.masses[0]:g} to {self.masses[-1]:g} GeV, "
            "quantiles interpolated"
        )

    def _between(self, mass: float) -> tuple[int, float]:
        """The simulated mass below, and how far (0 to 1) ``mass`` is on the way to the next."""
        if not self.masses[0] <= mass <= self.masses[-1]:
            raise StatisticsError(
                f"A signal of {mass:g} GeV lies beyond the simulated masses, {self.masses[0]:g} to "
                f"{self.masses[-1]:g} GeV, and is not extrapolated: simulate it, or search between them."
            )
        if self.masses.size == 1:
            return 0, 0.0
        first = min(int(np.searchsorted(self.masses, mass, side="right")) - 1, self.masses.size - 2)
        return first, float((mass - self.masses[first]) / (self.masses[first + 1] - self.masses[first]))

    def _quantiles(self, mass: float) -> tuple[np.ndarray, np.ndarray]:
        """Ranks u and the masses x(u) in GeV; x is linear between them."""
        first, share = self._between(mass)
        lower, upper = self._cumulative[first], self._cumulative[min(first + 1, self.masses.size - 1)]
        ranks = np.union1d(lower, upper)
        places = (1.0 - share) * np.interp(ranks, lower, self.edges) + share * np.interp(ranks, upper, self.edges)
        return ranks, places


def _check(masses: np.ndarray, events: np.ndarray, edges: np.ndarray) -> None:
    if masses.ndim != 1 or not masses.size or not np.all(np.isfinite(masses)) or (np.diff(masses) <= 0).any():
        raise StatisticsError(f"A simulated shape needs rising masses in GeV, got {masses!r}.")
    if events.shape != (masses.size, edges.size - 1):
        raise StatisticsError(
            f"Expected templates of shape ({masses.size}, {edges.size - 1}), masses by bins, got {events.shape}."
        )
    if not np.all(np.isfinite(events)) or (events < 0).any() or (events.sum(axis=1) <= 0).any():
        raise StatisticsError(
            "Every simulated template must hold finite, non-negative bins with at least one above zero: "
            "merge bins in which negative weights win."
        )
