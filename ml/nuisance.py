"""What a score should not depend on, cut into the classes that an adversary tells apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.errors import TrainingError, nearest_names
from ml.sample import Sample

CATEGORY, MASS = "category", "mass"
"""Names of `Sample.category` and `Sample.mass` as nuisance; any other name is that of a column."""


@dataclass(frozen=True)
class NuisanceClasses:
    """Classes of a nuisance, fitted on training events.

    Attributes:
        name: of the nuisance.
        labels: (n_classes,) the category of each class, ascending, or None.
        edges: (n_classes − 1,) inner edges between classes of a continuous nuisance, ascending, or None. An event on an
            edge belongs to the class above it; the outermost classes have no end.
    """

    name: str
    labels: np.ndarray | None = None
    edges: np.ndarray | None = None

    @classmethod
    def fit(cls, name: str, values: np.ndarray, weight: np.ndarray, *, bins: int) -> NuisanceClasses:
        """The classes of values (n_events,): each category is one; anything else is cut into weighted quantiles.

        Raises:
            TrainingError: fewer than two classes; values that so many quantiles do not cut, as too many are equal;
                classes without weight.
        """
        if np.min(values) == np.max(values):
            raise TrainingError(
                f"the nuisance {name!r} has the one value {values[0]} in all {len(values)} training events: there is "
                "nothing to be independent of; give events of several classes, or set `adversary: false`"
            )
        if name == CATEGORY:
            fitted, wanted = cls(name, labels=np.unique(values)), None
        else:
            fitted, wanted = cls(name, edges=_quantiles(values, weight, np.arange(1, bins) / bins)), bins
        totals = np.bincount(fitted.index(values), weights=weight, minlength=len(fitted))
        if len(fitted) < (wanted or 0) or not (totals > 0).all():
            raise TrainingError(
                f"a class of the nuisance {name!r} has no events, or no weight: "
                + ("drop that category" if wanted is None else "too many values are equal; take fewer nuisance_bins")
            )
        return fitted

    def index(self, values: np.ndarray) -> np.ndarray:
        """The class of each value, (n_events,) int64; TrainingError for a category that was not fitted."""
        if self.labels is None:
            assert self.edges is not None
            return np.searchsorted(self.edges, values, side="right")
        unknown = ~np.isin(values, self.labels)
        if unknown.any():
            raise TrainingError(
                f"category {values[unknown][0]} is not among those of the training events: {self.labels.tolist()}"
            )
        return np.searchsorted(self.labels, values)

    def __len__(self) -> int:
        if self.labels is not None:
            return len(self.labels)
        return 1 + (0 if self.edges is None else len(self.edges))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "name": self.name,
            "labels": None if self.labels is None else self.labels.tolist(),
            "edges": None if self.edges is None else self.edges.tolist(),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> NuisanceClasses:
        """The inverse of `to_dict`."""
        labels, edges = content["labels"], content["edges"]
        return cls(
            content["name"],
            labels=None if labels is None else np.array(labels),
            edges=None if edges is None else np.array(edges, dtype=np.float64),
        )


def nuisance_values(sample: Sample, name: str) -> np.ndarray:
    """The nuisance of each event (n_events,), by name.

    Raises:
        TrainingError: a sample without categories, categories that are no integers, a column that is missing (with the
            nearest names) or NaN.
    """
    if name == MASS:
        return np.asarray(sample.mass, dtype=np.float64)
    if name != CATEGORY:
        if name not in sample.columns:
            raise TrainingError(
                f"the sample has no column {name!r} to be independent of: "
                f"{nearest_names(name, [CATEGORY, MASS, *sample.columns])}"
            )
        return sample.features([name])[:, 0]
    if sample.category is None:
        raise TrainingError(
            "the sample has no categories to be independent of: give each event the class of its nuisance in "
            "`Sample.category`, or name another `nuisance` (mass, or a column)"
        )
    values = np.asarray(sample.category)
    whole = values.astype(np.int64) if np.issubdtype(values.dtype, np.number) and np.isfinite(values).all() else None
    if whole is None or (whole != values).any():
        raise TrainingError(
            f"`Sample.category` holds {values.dtype} that are not all integers: number the classes of the nuisance"
        )
    return whole


def _quantiles(values: np.ndarray, weight: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """The distinct values below which the given shares of the weight lie, halfway to the next value."""
    order = np.argsort(values, kind="stable")
    ordered, cumulative = values[order], np.cumsum(weight[order])
    places = np.minimum(np.searchsorted(cumulative, levels * cumulative[-1]), len(values) - 1)
    following = np.minimum(places + 1, len(values) - 1)
    return np.unique((ordered[places] + ordered[following]) / 2)
