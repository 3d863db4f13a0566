"""How a signal is shared between the regions, from simulation, and the statistical errors of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stats.abcd.plane import plane_of
from stats.abcd.regions import Regions, extended_regions, plain_regions
from stats.errors import StatisticsError


@dataclass(frozen=True)
class SignalShares:
    """Signal per region, for ``abcd_workspace(signal=shares, signal_systematics=systematics)``.

    Attributes:
        shares: region → signal events per one in A.
        errors: region → relative standard deviation of the simulated events in it; 0 where there are none.
    """

    shares: dict[str, float]
    errors: dict[str, float]

    @property
    def systematics(self) -> dict[str, dict[str, float]]:
        """Nuisance parameter → region → relative uncertainty.

        ``mu`` counts the events in A: the error of those simulated there moves the shares of all others together.
        """
        own = {f"signal_share_{name}": {name: size} for name, size in self.errors.items() if name != "A" and size > 0}
        others = {name: self.errors["A"] for name, share in self.shares.items() if name != "A" and share > 0}
        return {**own, "signal_share_A": others} if others else own

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"shares": dict(self.shares), "errors": dict(self.errors)}


def signal_shares(
    first: np.ndarray,
    second: np.ndarray,
    *,
    first_cuts: Sequence[float],
    second_cuts: Sequence[float],
    weight: np.ndarray | None = None,
    axis: int = 0,
) -> SignalShares:
    """Shares of a simulated signal between the regions that thresholds on two scores make.

    Args:
        first, second: (n_events,) scores of simulated signal.
        first_cuts, second_cuts: rising thresholds of the data's strips, one for the plain estimate, and two along
            ``axis`` (0: first score) for the extended one; an event passes at the threshold.
        weight: (n_events,), 1 by default.

    Raises:
        StatisticsError: for scores that are not finite, thresholds that do not rise, no event in A.
    """
    edges = [np.asarray(cuts, dtype=float) for cuts in (first_cuts, second_cuts)]
    values = [np.asarray(score, dtype=float) for score in (first, second)]
    if not all(np.isfinite(score).all() for score in values):
        raise StatisticsError("Scores of a simulated signal have to be finite: leave events out that have none.")
    if any(cuts.ndim != 1 or not cuts.size or np.isnan(cuts).any() or (np.diff(cuts) <= 0).any() for cuts in edges):
        raise StatisticsError(f"Thresholds rise from strip to strip: got {first_cuts!r} and {second_cuts!r}.")
    rows, columns = (np.searchsorted(cuts, score, side="right") for cuts, score in zip(edges, values, strict=True))
    plane = plane_of(rows, columns, shape=(edges[0].size + 1, edges[1].size + 1), weight=weight)
    return shares_of(plain_regions(plane) if max(map(len, edges)) == 1 else extended_regions(plane, axis=axis))


def shares_of(regions: Regions) -> SignalShares:
    """The same from simulated signal events counted in regions already.

    Raises:
        StatisticsError: where none lies in region A.
    """
    if not regions.counts["A"] > 0:
        raise StatisticsError(
            "No simulated signal event lies in region A: its shares are not known. Simulate more of it, or take a "
            "looser selection."
        )
    shares = {name: count / regions.counts["A"] for name, count in regions.counts.items()}
    errors = {
        name: float(np.sqrt(regions.variances[name]) / count) if count > 0 else 0.0
        for name, count in regions.counts.items()
    }
    return SignalShares(shares, errors)
