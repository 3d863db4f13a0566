"""How the selections of one search share their events, so that toys can share them, too.

A 1% selection is part of the 10% one and both are part of the inclusive spectrum: an upward fluctuation of the tightest
is one of all three. Toys drawn for each on its own would miss that and make the trials factor too large.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stats.errors import StatisticsError

ROUNDS = 500  # of proportional fitting
CLOSE = 1e-9  # relative agreement at which it has settled
LARGEST_DRAW = 4_000_000  # numbers drawn at once
LARGEST_MISFIT = 0.05  # of a selection's events: beyond, background fits and overlaps contradict each other

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Overlap:
    """The disjoint parts that several selections are made of.

    Attributes:
        members: whether part k belongs to selection s, shape (n_parts, n_selections); no two rows alike.
        counts: events of each part, shape (n_parts, n_bins).

    Raises:
        StatisticsError: for shapes that do not fit, repeated or empty parts, counts that are none.
    """

    members: np.ndarray
    counts: np.ndarray

    def __post_init__(self) -> None:
        members, counts = np.array(self.members, dtype=bool), np.array(self.counts, dtype=float)
        if members.ndim != 2 or counts.ndim != 2 or members.shape[0] != counts.shape[0] or not members.size:
            raise StatisticsError(
                "An overlap needs members of shape (n_parts, n_selections) and counts of shape (n_parts, n_bins), got "
                f"{members.shape} and {counts.shape}."
            )
        if not members.any(axis=1).all() or len({tuple(row) for row in members.tolist()}) != len(members):
            raise StatisticsError("Each part of an overlap must belong to a selection, and no two to the same ones.")
        if not members.any(axis=0).all():
            raise StatisticsError("A selection without any part cannot have events: give every selection one.")
        if not np.all(np.isfinite(counts)) or (counts < 0).any():
            raise StatisticsError("The parts of an overlap must hold finite counts, none negative.")
        object.__setattr__(self, "members", members)
        object.__setattr__(self, "counts", counts)

    @classmethod
    def from_events(cls, masses: np.ndarray, selected: np.ndarray, edges: np.ndarray) -> Overlap:
        """From the events themselves.

        Args:
            masses: GeV, shape (n_events,).
            selected: whether selection s keeps the event, shape (n_selections, n_events).
            edges: bin edges in GeV that all the selections' spectra have.
        """
        masses, selected = np.asarray(masses, dtype=float), np.asarray(selected, dtype=bool)
        if selected.ndim != 2 or masses.shape != selected.shape[1:] or np.isnan(masses).any():
            raise StatisticsError(
                f"Expected one mass per event and selections of shape (n_selections, n_events), got {masses.shape} and "
                f"{selected.shape}, without NaN."
            )
        kept = selected.any(axis=0)
        patterns, part = np.unique(selected[:, kept].T, axis=0, return_inverse=True)
        part = part.ravel()
        counts = [np.histogram(masses[kept][part == index], edges)[0] for index in range(len(patterns))]
        return cls(patterns, np.array(counts).reshape(len(patterns), len(edges) - 1))

    @classmethod
    def nested(cls, spectra: Sequence[np.ndarray]) -> Overlap:
        """Of spectra, each wholly inside the next larger one; counts of shape (n_bins,) each, in any order.

        Raises:
            StatisticsError: if one holds more events in some bin than the one it should be part of.
        """
        counts = np.stack([np.asarray(one, dtype=float) for one in spectra])
        order = np.argsort(counts.sum(axis=1), kind="stable")
        members, parts, previous = [], [], np.zeros(counts.shape[1])
        for place, index in enumerate(order):
            extra = counts[index] - previous
            if (extra < 0).any():
                bin_ = int(np.argmin(extra))
                raise StatisticsError(
                    f"Selections {order[place - 1]} and {index} are not nested: the smaller holds {-extra[bin_]:g} "
                    f"more events in bin {bin_}. Give an Overlap of their events."
                )
            members.append(np.isin(np.arange(len(order)), order[place:]))
            parts.append(extra)
            previous = counts[index]
        return cls(np.array(members), np.array(parts))

    def expected(self, marginals: np.ndarray) -> np.ndarray:
        """Events that each part expects so that every selection expects its own fitted background.

        Iterative proportional fitting (Deming and Stephan, Ann. Math. Statist. 11 (1940) 427) of the observed parts,
        bin by bin: the fits fix what each selection expects, the observed parts only how that is shared.

        Args:
            marginals: what the selections expect, shape (n_selections, n_bins).

        Returns:
            Shape (n_parts, n_bins).

        Raises:
            StatisticsError: if no sharing comes within 5% of the events of a selection.
        """
        # an event per bin, spread as the parts are overall: an empty bin shares like its surroundings
        share = self.counts.sum(axis=1, keepdims=True) / max(self.counts.sum(), 1.0)
        parts = self.counts + share
        for _ in range(ROUNDS):
            before = parts
            for selection, wanted in enumerate(marginals):
                inside = self.members[:, selection]
                total = parts[inside].sum(axis=0)
                parts = np.where(
                    inside[:, None], parts * np.where(total > 0, wanted / np.maximum(total, 1e-300), 0), parts
                )
            if np.abs(parts - before).max() <= CLOSE * max(float(np.max(marginals)), 1e-300):
                break
        self._check(parts, marginals)
        return parts

    def _check(self, parts: np.ndarray, marginals: np.ndarray) -> None:
        misfit = np.abs(self.members.T.astype(float) @ parts - marginals).sum(axis=1) / marginals.sum(axis=1)
        worst = int(np.argmax(misfit))
        if misfit[worst] > LARGEST_MISFIT:
            raise StatisticsError(
                f"The background fits of the selections do not agree with how they share events: {misfit[worst]:.0%} "
                f"of what selection {worst} expects cannot be shared. Was the overlap counted in these spectra?"
            )
        if misfit[worst] > 0.01:
            logger.warning("sharing events, toys of selection %d miss its fit by %.1f%%", worst, 100 * misfit[worst])

    def draw(self, parts: np.ndarray, number: int, rng: np.random.Generator) -> list[np.ndarray]:
        """Toys of every selection, shape (number, n_bins) each: the parts are drawn once and added up.

        Many windows of many efficiencies overlap in thousands of parts: only some toys at a time are held in memory,
        which leaves every number as it is.
        """
        at_once = max(LARGEST_DRAW // parts.size, 1)
        belongs = self.members.T.astype(float)
        found = [
            belongs @ rng.poisson(parts, size=(min(at_once, number - first), *parts.shape)).astype(float)
            for first in range(0, number, at_once)
        ]
        return list(np.ascontiguousarray(np.moveaxis(np.concatenate(found), 1, 0)))
