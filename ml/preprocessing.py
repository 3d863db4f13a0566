"""Feature scaling: fitted on training events, saved with the model, never refitted on what is scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.special import ndtr, ndtri

from ml.errors import TrainingError


@dataclass(frozen=True)
class Standardiser:
    """(x − mean)/scale, feature by feature; `mean` and `scale` are (n_features,)."""

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, x: np.ndarray, weights: np.ndarray, *, names: Sequence[str]) -> Standardiser:
        """Weighted mean and standard deviation of x (n_events, n_features).

        Raises:
            TrainingError: a feature that is constant, named.
        """
        mean = np.average(x, axis=0, weights=weights)
        scale = np.sqrt(np.maximum(np.average((x - mean) ** 2, axis=0, weights=weights), 0))
        constant = ~(scale > 1e-12 * np.abs(mean))
        if constant.any():
            i = int(np.argmax(constant))
            raise TrainingError(
                f"feature {names[i]!r} is constant ({x[0, i]:g}) over the {len(x)} training events: do not use it"
            )
        return cls(mean=mean, scale=scale)

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Standardised x, (n_events, n_features) float32."""
        return ((x - self.mean) / self.scale).astype(np.float32)

    def invert(self, x: np.ndarray) -> np.ndarray:
        """The inverse of `apply`, (…, n_features) float64."""
        return np.asarray(x, np.float64) * self.scale + self.mean

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"mean": self.mean.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Standardiser:
        """The inverse of `to_dict`."""
        return cls(mean=np.array(content["mean"]), scale=np.array(content["scale"]))


@dataclass(frozen=True)
class MaxAbs:
    """x/scale with the largest absolute value as `scale` (n_features,), as scikit-learn's `MaxAbsScaler`."""

    scale: np.ndarray

    @classmethod
    def fit(cls, x: np.ndarray, weights: np.ndarray, *, names: Sequence[str]) -> MaxAbs:
        """Largest absolute values of x (n_events, n_features), weights or not.

        Raises:
            TrainingError: a feature that is constant, named.
        """
        Standardiser.fit(x, weights, names=names)  # refuses constant features
        return cls(scale=np.abs(x).max(axis=0))

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Scaled x, (n_events, n_features) float32, within [−1, 1] for the events it was fitted on."""
        return (x / self.scale).astype(np.float32)

    def invert(self, x: np.ndarray) -> np.ndarray:
        """The inverse of `apply`, (…, n_features) float64."""
        return np.asarray(x, np.float64) * self.scale

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"scale": self.scale.tolist()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> MaxAbs:
        """The inverse of `to_dict`."""
        return cls(scale=np.array(content["scale"]))


@dataclass(frozen=True)
class NormalScores:
    """Each feature mapped to a standard normal distribution by its quantiles, (n_features, n_quantiles).

    Long tails, as of jet masses, come close, which is half the work of a network. Beyond the outermost quantiles the
    result is level, hence always finite.
    """

    quantiles: np.ndarray

    LEVELS: ClassVar[int] = 201

    @classmethod
    def fit(cls, x: np.ndarray, weights: np.ndarray, *, names: Sequence[str]) -> NormalScores:
        """Weighted quantiles of x (n_events, n_features).

        Raises:
            TrainingError: a feature that is constant, named.
        """
        Standardiser.fit(x, weights, names=names)  # refuses constant features
        levels = np.linspace(0, 1, cls.LEVELS)
        return cls(quantiles=np.array([_weighted_quantiles(column, weights, levels) for column in x.T]))

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Normal scores of x, (n_events, n_features) float32."""
        levels = np.linspace(0, 1, self.quantiles.shape[1])
        cumulative = [np.interp(column, own, levels) for column, own in zip(x.T, self.quantiles, strict=True)]
        edge = 0.5 / (self.quantiles.shape[1] - 1)
        return ndtri(np.clip(np.stack(cumulative, axis=1), edge, 1 - edge)).astype(np.float32)

    def invert(self, x: np.ndarray) -> np.ndarray:
        """The inverse of `apply` between the outermost quantiles, (…, n_features) float64."""
        levels = np.linspace(0, 1, self.quantiles.shape[1])
        columns = [np.interp(ndtr(x[..., i]), levels, own) for i, own in enumerate(self.quantiles)]
        return np.stack(columns, axis=-1)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"quantiles": self.quantiles.tolist()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> NormalScores:
        """The inverse of `to_dict`."""
        return cls(quantiles=np.array(content["quantiles"]))


@dataclass(frozen=True)
class SliceQuantiles:
    """Features mapped to normal scores within slices of the resonance mass, which removes their drift with it.

    Attributes:
        centres: (n_slices,) mean mass of each slice, GeV, ascending.
        quantiles: (n_slices, n_features, n_quantiles) of each feature in each slice.

    Between two slice centres the cumulative distributions are interpolated linearly, outside them the nearest slice
    counts. Fit it on sidebands alone: slices of the signal window would absorb the very excess that is searched for.
    """

    centres: np.ndarray
    quantiles: np.ndarray

    @classmethod
    def fit(
        cls, x: np.ndarray, mass: np.ndarray, weights: np.ndarray, *, slices: int, groups: np.ndarray
    ) -> SliceQuantiles:
        """Equally populated slices of x (n_events, n_features), `slices` within each group (sideband) of events."""
        levels = np.linspace(0, 1, 201)
        centres, quantiles = [], []
        for group in np.unique(groups):
            rows = np.flatnonzero(groups == group)
            for part in np.array_split(rows[np.argsort(mass[rows], kind="stable")], slices):
                if len(part) < 20:
                    raise TrainingError(
                        f"a mass slice of {len(part)} events is too small: use fewer slices than {slices}"
                    )
                centres.append(np.average(mass[part], weights=weights[part]))
                quantiles.append([_weighted_quantiles(c[part], weights[part], levels) for c in x.T])
        order = np.argsort(centres)
        return cls(centres=np.array(centres)[order], quantiles=np.array(quantiles)[order])

    def apply(self, x: np.ndarray, mass: np.ndarray) -> np.ndarray:
        """Normal scores, (n_events, n_features), finite: beyond the outermost quantiles they are level."""
        position = np.interp(mass, self.centres, np.arange(len(self.centres)))
        lower = np.minimum(position.astype(int), len(self.centres) - 1)
        upper = np.minimum(lower + 1, len(self.centres) - 1)
        share = (position - lower)[:, None]
        cumulative = (1 - share) * self._cumulative(x, lower) + share * self._cumulative(x, upper)
        edge = 0.5 / (self.quantiles.shape[2] - 1)
        return ndtri(np.clip(cumulative, edge, 1 - edge))

    def _cumulative(self, x: np.ndarray, slices: np.ndarray) -> np.ndarray:
        result = np.empty_like(x, dtype=np.float64)
        levels = np.linspace(0, 1, self.quantiles.shape[2])
        for i in np.unique(slices):
            rows = slices == i
            for j in range(x.shape[1]):
                result[rows, j] = np.interp(x[rows, j], self.quantiles[i, j], levels)
        return result

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"centres": self.centres.tolist(), "quantiles": self.quantiles.tolist()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> SliceQuantiles:
        """The inverse of `to_dict`."""
        return cls(centres=np.array(content["centres"]), quantiles=np.array(content["quantiles"]))


def balanced_weights(
    weights: np.ndarray, groups: np.ndarray, shares: Mapping[int, float], *, names: Mapping[int, str] | None = None
) -> np.ndarray:
    """Scale event weights so that each group sums to its share of the number of events.

    Args:
        weights: (n_events,).
        groups: (n_events,) group of each event.
        shares: group → its share; they should sum to 1, so that the mean weight is 1.
        names: group → its name in an error; its number if None.

    Raises:
        TrainingError: a group without events or whose weights do not sum to something positive.
    """
    balanced = np.zeros(len(weights), dtype=np.float64)
    for group, share in shares.items():
        rows = groups == group
        total = float(np.sum(weights[rows]))
        if not total > 0:
            name = (names or {}).get(group, group)
            raise TrainingError(
                f"the weights of class {name} sum to {total:g} over {int(rows.sum())} events: every class needs "
                "events with a positive sum of weights"
            )
        balanced[rows] = weights[rows] * (share * len(weights) / total)
    return balanced


def _weighted_quantiles(values: np.ndarray, weights: np.ndarray, levels: np.ndarray) -> np.ndarray:
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(np.maximum(weights[order], 0))
    return np.interp(levels, (cumulative - cumulative[0]) / max(cumulative[-1] - cumulative[0], 1e-300), values[order])
